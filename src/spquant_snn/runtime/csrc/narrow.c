/* narrow: the step of integer/reference.py on lanes of int16, of neurons that these decide as int32 does.
 *
 * Codes are bits of words, and so are the outcomes of comparisons: a code chooses its decay bit by bit, and the edges
 * are searched by halves, whose outcomes are the bits of the new code. Edges rise; sums saturate beyond all of them. */
#include "lanes.h"
#include "neuron.h"
#if !SPQ_HAS_LANES
#include "lanes_plain.h"
#endif

/* Constants of the channels of a vector. */
typedef struct {
    spq_vector fire, drop, decay[16], edge[16]; /* edges from 1 on */
    spq_vector least, most;                     /* sums that a shift leaves in their lanes */
    int32_t fraction, subtract;
} spq_constants;

/* `simple`: of neurons without a fraction whose reset is to zero. */
SPQ_INLINE spq_constants constants_of(const spq_neuron *n, const int32_t levels, const int32_t simple, int32_t channel,
                                      int32_t channels) {
    const int16_t *from = n->narrow + channel;
    spq_constants k;
    k.fire = spq_load(from), k.drop = spq_load(from + channels);
    SPQ_UNROLL(16)
    for (int32_t i = 0; i < levels; i++) k.decay[i] = spq_load(from + (2 + i) * channels);
    SPQ_UNROLL(16)
    for (int32_t i = 1; i < levels; i++) k.edge[i] = spq_load(from + (1 + levels + i) * channels);
    k.most = spq_same((int16_t)(32767 >> n->fraction)), k.least = spq_same((int16_t)-(32767 >> n->fraction));
    k.fraction = simple ? 0 : n->fraction, k.subtract = simple ? 0 : n->subtract;
    return k;
}

/* One of `levels` vectors for each lane, by the bits of its code. */
SPQ_INLINE spq_vector decay_of(const spq_constants *k, const int32_t levels, const int32_t bits, const spq_mask *code) {
    spq_vector all[16];
    SPQ_UNROLL(16)
    for (int32_t i = 0; i < levels; i++) all[i] = k->decay[i];
    SPQ_UNROLL(4)
    for (int32_t b = 0; b < bits; b++) {
        SPQ_UNROLL(8)
        for (int32_t i = 0; i < 1 << (bits - 1 - b); i++)
            all[i] = (2 * i + 1) << b < levels ? spq_choose(code[b], all[2 * i + 1], all[2 * i]) : all[2 * i];
    }
    return all[0];
}

/* The new code, highest bit first; there is one edge fewer than codes. */
SPQ_INLINE void search(spq_vector v, const spq_constants *k, const int32_t bits, spq_mask *code) {
    spq_vector edge[16];
    SPQ_UNROLL(16)
    for (int32_t j = 1; j < 1 << bits; j++) edge[j] = k->edge[j];
    SPQ_UNROLL(4)
    for (int32_t b = bits - 1; b >= 0; b--) {
        code[b] = spq_reaches(v, edge[1 << b]);
        SPQ_UNROLL(8)
        for (int32_t j = 1; j < 1 << b; j++) edge[j] = spq_choose(code[b], edge[(1 << b) + j], edge[j]);
    }
}

/* Where neurons fire; `code` goes to the bits of what is stored where they do not. Of three codes bit 0 is set where
 * bit 1 is, too. */
SPQ_INLINE spq_mask decide(const spq_constants *k, const int32_t bits, const int32_t levels, spq_vector v,
                           spq_mask *code) {
    if (k->fraction) v = spq_shift(spq_least(spq_largest(v, k->least), k->most), k->fraction);
    v = spq_add(v, decay_of(k, levels, bits, code));
    const spq_mask fired = spq_reaches(v, k->fire);
    if (k->subtract) v = spq_choose(fired, spq_subtract(v, k->drop), v);
    if (levels == 3) code[1] = spq_reaches(v, k->edge[2]), code[0] = spq_reaches(v, k->edge[1]);
    else search(v, k, bits, code);
    return fired;
}

/* What is stored of so many neighbours, by the words of their decisions. */
SPQ_INLINE void store(const spq_neuron *n, const int32_t bits, const int32_t levels, uint32_t fired,
                      const uint32_t *code, uint32_t *stored) {
    const uint32_t forget = n->subtract ? 0 : fired;
    for (int32_t b = 0; b < bits; b++) {
        const uint32_t zero = 0u - ((uint32_t)-n->low >> b & 1u);
        const uint32_t word = levels == 3 && b == 0 ? code[0] & ~code[1] : code[b];
        stored[b] = (word & ~forget) | (zero & forget);
    }
}

#if SPQ_HAS_LANES
/* ---- vectors of 32 lanes ---- */

SPQ_INLINE uint32_t fire_tile(const spq_neuron *n, const spq_constants *k, const int32_t bits, const int32_t levels,
                              const int16_t *sums, uint32_t *state, int32_t pitch) {
    spq_mask code[4];
    uint32_t words[4], stored[4];
    for (int32_t b = 0; b < bits; b++) code[b] = spq_mask_of(state[b * pitch]);
    const uint32_t fired = spq_word_of(decide(k, bits, levels, spq_load(sums), code));
    for (int32_t b = 0; b < bits; b++) words[b] = spq_word_of(code[b]);
    store(n, bits, levels, fired, words, stored);
    for (int32_t b = 0; b < bits; b++) state[b * pitch] = stored[b];
    return fired;
}

SPQ_INLINE void narrow_row(const spq_neuron *n, const int32_t bits, const int32_t levels, const int32_t simple,
                           const int16_t *sums, const spq_neuron_row *neurons) {
    const int32_t tiles = neurons->tiles, words = neurons->width * tiles;
    for (int32_t tile = 0; tile < tiles; tile++) {
        const spq_constants k = constants_of(n, levels, simple, tile * SPQ_LANES, tiles * SPQ_LANES);
        for (int32_t word = tile; word < words; word += tiles) {
            if (neurons->marks && neurons->marks[word]) continue;
            const int16_t *tile_sums = sums + word * SPQ_LANES;
            neurons->spikes[word] = fire_tile(n, &k, bits, levels, tile_sums, neurons->state + word, neurons->pitch);
        }
    }
}

#else
/* ---- 16 lanes, one by one as it is written; a compiler takes as many at a time as it can ---- */

SPQ_INLINE uint32_t fire_unit(const spq_neuron *n, const int32_t bits, const int32_t levels, const int32_t simple,
                              int32_t channel, int32_t channels, const int16_t *sums, uint32_t *code) {
    static const uint16_t bit[SPQ_UNIT] = {1,   2,   4,    8,    16,   32,   64,    128,
                                           256, 512, 1024, 2048, 4096, 8192, 16384, 32768};
    const uint16_t old[4] = {(uint16_t)code[0], (uint16_t)code[1], (uint16_t)code[2], (uint16_t)code[3]};
    uint16_t fired = 0, words[4] = {0, 0, 0, 0};
    for (int32_t l = 0; l < SPQ_UNIT; l++) {
        const spq_constants k = constants_of(n, levels, simple, channel + l, channels);
        spq_mask lane[4];
        SPQ_UNROLL(4)
        for (int32_t b = 0; b < bits; b++) lane[b] = (spq_mask)-((old[b] & bit[l]) != 0);
        fired = (uint16_t)(fired | (decide(&k, bits, levels, sums[l], lane) & bit[l]));
        SPQ_UNROLL(4)
        for (int32_t b = 0; b < bits; b++) words[b] = (uint16_t)(words[b] | (lane[b] & bit[l]));
    }
    for (int32_t b = 0; b < bits; b++) code[b] = words[b];
    return fired;
}

SPQ_INLINE void narrow_row(const spq_neuron *n, const int32_t bits, const int32_t levels, const int32_t simple,
                           const int16_t *sums, const spq_neuron_row *neurons) {
    const int32_t tiles = neurons->tiles, words = neurons->width * tiles, pitch = neurons->pitch;
    for (int32_t word = 0, tile = 0; word < words; word++, tile = tile + 1 < tiles ? tile + 1 : 0) {
        const int32_t units = neurons->units - 2 * tile > 1 ? 2 : 1;
        const int16_t *tile_sums = sums;
        sums += units * SPQ_UNIT;
        if (neurons->marks && neurons->marks[word]) continue;
        uint32_t *state = neurons->state + word, fired = 0, codes[4] = {0, 0, 0, 0}, stored[4];
        for (int32_t u = 0; u < units; u++) {
            const int32_t shift = u * SPQ_UNIT, channel = tile * SPQ_LANES + shift;
            uint32_t code[4] = {0, 0, 0, 0};
            for (int32_t b = 0; b < bits; b++) code[b] = state[b * pitch] >> shift;
            const int16_t *half = tile_sums + shift;
            fired |= fire_unit(n, bits, levels, simple, channel, tiles * SPQ_LANES, half, code) << shift;
            for (int32_t b = 0; b < bits; b++) codes[b] |= code[b] << shift;
        }
        store(n, bits, levels, fired, codes, stored);
        for (int32_t b = 0; b < bits; b++) state[b * pitch] = stored[b];
        neurons->spikes[word] = fired;
    }
}

#endif

void spq_fire_narrow(const spq_neuron *n, const int16_t *sums, const spq_neuron_row *neurons) {
#define ROW(bits, levels)                                                                                              \
    if ((levels) > 4 || n->fraction || n->subtract) narrow_row(n, bits, levels, 0, sums, neurons);                     \
    else narrow_row(n, bits, levels, 1, sums, neurons)
    switch (n->levels) {
    case 3: ROW(2, 3); break;
    case 4: ROW(2, 4); break;
    case 8: ROW(3, 8); break;
    default: ROW(4, 16); break;
    }
#undef ROW
}
