/* neuron: the step of integer/reference.py on 32 lanes, of int16 where these decide alike, else of int32. */
#include "neuron.h"
#include "lanes.h"
#include "scaled.h"

#if SPQ_HAS_LANES
/* ---- int16 ----
 *
 * Codes are bits of words, and so are the outcomes of comparisons: a code chooses its decay bit by bit, and the edges
 * are searched by halves, whose outcomes are the bits of the new code. Edges rise; sums saturate beyond all of them. */

/* Constants of 32 channels. */
typedef struct {
    spq_vector fire, drop, decay[16], edge[16]; /* edges from 1 on */
    spq_vector least, most;                     /* sums that a shift leaves in their lanes */
    uint32_t zero[4];                           /* bits of the code of zero */
    int32_t fraction, subtract;
} spq_constants;

SPQ_INLINE spq_constants constants_of(const spq_neuron *n, const int32_t levels, int32_t channel, int32_t channels) {
    const int16_t *from = n->narrow + channel;
    spq_constants k;
    k.fire = spq_load(from), k.drop = spq_load(from + channels);
    for (int32_t i = 0; i < levels; i++) k.decay[i] = spq_load(from + (2 + i) * channels);
    for (int32_t i = 1; i < levels; i++) k.edge[i] = spq_load(from + (1 + levels + i) * channels);
    k.most = spq_same((int16_t)(32767 >> n->fraction)), k.least = spq_same((int16_t)-(32767 >> n->fraction));
    for (int32_t b = 0; b < 4; b++) k.zero[b] = 0u - ((uint32_t)-n->low >> b & 1u);
    k.fraction = n->fraction, k.subtract = n->subtract;
    return k;
}

/* One of `levels` vectors for each lane, by the bits of its code. */
SPQ_INLINE spq_vector decay_of(const spq_constants *k, const int32_t levels, const int32_t bits, const spq_mask *code) {
    spq_vector all[16];
    for (int32_t i = 0; i < levels; i++) all[i] = k->decay[i];
    for (int32_t b = 0; b < bits; b++)
        for (int32_t i = 0; i < 1 << (bits - 1 - b); i++)
            all[i] = (2 * i + 1) << b < levels ? spq_choose(code[b], all[2 * i + 1], all[2 * i]) : all[2 * i];
    return all[0];
}

/* The new code, highest bit first; there is one edge fewer than codes. */
SPQ_INLINE void search(spq_vector v, const spq_constants *k, const int32_t bits, uint32_t *code) {
    spq_vector edge[16];
    for (int32_t j = 1; j < 1 << bits; j++) edge[j] = k->edge[j];
    for (int32_t b = bits - 1; b >= 0; b--) {
        const spq_mask above = spq_reaches(v, edge[1 << b]);
        code[b] = spq_word_of(above);
        for (int32_t j = 1; j < 1 << b; j++) edge[j] = spq_choose(above, edge[(1 << b) + j], edge[j]);
    }
}

SPQ_INLINE uint32_t fire_tile(const spq_constants *k, const int32_t bits, const int32_t levels, const int16_t *sums,
                                uint32_t *state, int32_t pitch) {
    spq_mask old[4];
    uint32_t code[4];
    for (int32_t b = 0; b < bits; b++) old[b] = spq_mask_of(state[b * pitch]);
    spq_vector v = spq_load(sums);
    if (k->fraction) v = spq_shift(spq_least(spq_largest(v, k->least), k->most), k->fraction);
    v = spq_add(v, decay_of(k, levels, bits, old));
    const spq_mask fired = spq_reaches(v, k->fire);
    const uint32_t word = spq_word_of(fired), kept = k->subtract ? 0xFFFFFFFFu : ~word;
    if (k->subtract) v = spq_choose(fired, spq_subtract(v, k->drop), v);
    if (levels == 3) {
        code[1] = spq_word_of(spq_reaches(v, k->edge[2]));
        code[0] = spq_word_of(spq_reaches(v, k->edge[1])) & ~code[1];
    } else {
        search(v, k, bits, code);
    }
    for (int32_t b = 0; b < bits; b++) state[b * pitch] = (code[b] & kept) | (k->zero[b] & ~kept);
    return word;
}

SPQ_INLINE void narrow_row(const spq_neuron *n, const int32_t bits, const int32_t levels, const int16_t *sums,
                           const spq_cells *cells) {
    const int32_t tiles = cells->tiles, words = cells->width * tiles, pitch = cells->pitch;
    uint32_t *state = cells->state, *spikes = cells->spikes;
    for (int32_t tile = 0; tile < tiles; tile++) {
        const spq_constants k = constants_of(n, levels, tile * SPQ_LANES, tiles * SPQ_LANES);
        for (int32_t word = tile; word < words; word += tiles) {
            if (cells->marks && cells->marks[word]) continue;
            spikes[word] = fire_tile(&k, bits, levels, sums + word * SPQ_LANES, state + word, pitch);
        }
    }
}

static void fire_narrow(const spq_neuron *n, const int16_t *sums, const spq_cells *cells) {
    switch (n->levels) {
    case 3: narrow_row(n, 2, 3, sums, cells); break;
    case 4: narrow_row(n, 2, 4, sums, cells); break;
    case 8: narrow_row(n, 3, 8, sums, cells); break;
    default: narrow_row(n, 4, 16, sums, cells); break;
    }
}

#endif
/* ---- int32 ---- */

/* Codes of a tile: bits, `pitch` words apart, or bytes. */
SPQ_INLINE void unpack(const uint32_t *state, int32_t pitch, const int32_t bits, int32_t *field) {
    const uint8_t *bytes = (const uint8_t *)state;
    if (bits == 8) {
        for (int32_t l = 0; l < SPQ_LANES; l++) field[l] = bytes[l];
        return;
    }
    const uint32_t first = state[0], second = state[pitch];
    const uint32_t third = bits > 2 ? state[2 * pitch] : 0, last = bits > 3 ? state[3 * pitch] : 0;
    for (int32_t l = 0; l < SPQ_LANES; l++)
        field[l] = (int32_t)((first >> l & 1u) | (second >> l & 1u) << 1 | (third >> l & 1u) << 2 |
                             (last >> l & 1u) << 3);
}

SPQ_INLINE void pack(const int32_t *field, int32_t pitch, const int32_t bits, uint32_t *state) {
    uint8_t *bytes = (uint8_t *)state;
    if (bits == 8) {
        for (int32_t l = 0; l < SPQ_LANES; l++) bytes[l] = (uint8_t)field[l];
        return;
    }
    state[0] = spq_gather(field, 0), state[pitch] = spq_gather(field, 1);
    if (bits > 2) state[2 * pitch] = spq_gather(field, 2);
    if (bits > 3) state[3 * pitch] = spq_gather(field, 3);
}

/* Spikes of the lanes, which lower the potential where that is the reset. Returns them as a word, and in `fired` as 0
 * and 1. Here and below a choice is an AND with a mask of all ones or none: lanes have no branches. */
SPQ_INLINE uint32_t fire(const spq_neuron *neuron, int32_t channel, int32_t *potential, int32_t *fired) {
    const int32_t *threshold = neuron->fire + channel, *drop = neuron->drop + channel;
    for (int32_t l = 0; l < SPQ_LANES; l++) fired[l] = potential[l] >= threshold[l];
    if (neuron->subtract)
        for (int32_t l = 0; l < SPQ_LANES; l++) potential[l] -= drop[l] & -fired[l];
    return spq_gather(fired, 0);
}

/* Where a neuron fired, the code of zero. */
SPQ_INLINE void forget(const spq_neuron *neuron, const int32_t *fired, int32_t *field) {
    const int32_t zero = -neuron->low;
    for (int32_t l = 0; l < SPQ_LANES; l++) field[l] = (field[l] & (fired[l] - 1)) | (zero & -fired[l]);
}

/* Up to 4 bits: every code has its remainder and its edge. */
SPQ_INLINE uint32_t fire_table(const spq_neuron *n, const int32_t levels, int32_t channel, int32_t channels,
                               const int32_t *sums, int32_t *field) {
    const int32_t *decay = n->decay + channel, *edges = n->edges + channel;
    const int32_t unit = 1 << n->fraction; /* a product, for a sum below zero has no shift in C */
    int32_t potential[SPQ_LANES], fired[SPQ_LANES];
    for (int32_t l = 0; l < SPQ_LANES; l++) potential[l] = sums[l] * unit;
    for (int32_t k = 0; k < levels; k++)
        for (int32_t l = 0; l < SPQ_LANES; l++) potential[l] += decay[k * channels + l] & -(field[l] == k);
    const uint32_t word = fire(n, channel, potential, fired);
    for (int32_t l = 0; l < SPQ_LANES; l++) field[l] = 0;
    for (int32_t k = 0; k < levels - 1; k++)
        for (int32_t l = 0; l < SPQ_LANES; l++) field[l] += potential[l] >= edges[k * channels + l];
    if (!n->subtract) forget(n, fired, field);
    return word;
}

/* 5 to 8 bits: one multiplication each way; a right shift of a number below zero rounds down, as every compiler for
 * these machines has it and tests/runtime checks. */
SPQ_INLINE uint32_t fire_scaled(const spq_neuron *n, int32_t channel, const int32_t *sums, int32_t *field) {
    const int32_t *decay = n->decay + channel, *gain = n->gain + channel;
    const int64_t *offset = n->offset + channel;
    const int32_t unit = 1 << n->fraction, half = (1 << n->decay_shift) >> 1;
    int32_t potential[SPQ_LANES], fired[SPQ_LANES];
    for (int32_t l = 0; l < SPQ_LANES; l++)
        potential[l] = sums[l] * unit + (((field[l] + n->low) * decay[l] + half) >> n->decay_shift);
    const uint32_t word = fire(n, channel, potential, fired);
    for (int32_t l = 0; l < SPQ_LANES; l++)
        field[l] = spq_scaled(potential[l], gain[l], offset[l], n->shift, n->low, n->high) - n->low;
    if (!n->subtract) forget(n, fired, field);
    return word;
}

/* Rows whose codes have a constant width and, where they are looked up, a constant number. */
SPQ_INLINE void wide_row(const spq_neuron *n, const int32_t bits, const int32_t levels, const int32_t *sums,
                         const spq_cells *cells) {
    const int32_t channels = cells->tiles * SPQ_LANES, step = bits == 8 ? 8 : 1;
    int32_t word = 0;
    for (int32_t x = 0; x < cells->width; x++)
        for (int32_t channel = 0; channel < channels; channel += SPQ_LANES, word++) {
            if (cells->marks && cells->marks[word]) continue;
            const int32_t *tile = sums + word * SPQ_LANES;
            uint32_t *state = cells->state + word * step;
            int32_t field[SPQ_LANES];
            unpack(state, cells->pitch, bits, field);
            cells->spikes[word] = levels ? fire_table(n, levels, channel, channels, tile, field)
                                         : fire_scaled(n, channel, tile, field);
            pack(field, cells->pitch, bits, state);
        }
}

#if !defined(SPQ_PORTABLE) && defined(__AVX512BW__)

/* Half a word; a word may be read and written as two of them. */
typedef uint16_t __attribute__((may_alias)) spq_half;

/* Up to four codes in registers: the comparisons are masks, and two adders of masks count the edges. */
static void few_codes_row(const spq_neuron *n, const int32_t *sums, const spq_cells *cells) {
    const int32_t channels = cells->tiles * SPQ_LANES, words = cells->width * cells->tiles;
    const __m128i fraction = _mm_cvtsi32_si128(n->fraction);
    const uint32_t zero0 = 0u - ((uint32_t)-n->low & 1u), zero1 = 0u - ((uint32_t)-n->low >> 1 & 1u);
    for (int32_t tile = 0; tile < 2 * cells->tiles; tile++) { /* halves of them */
        const int32_t *decay = n->decay + 16 * tile, *edges = n->edges + 16 * tile;
        const __m512i threshold = _mm512_loadu_si512(n->fire + 16 * tile);
        const __m512i drop = _mm512_loadu_si512(n->drop + 16 * tile);
        const __m512i decay0 = _mm512_loadu_si512(decay), decay1 = _mm512_loadu_si512(decay + channels);
        const __m512i decay2 = _mm512_loadu_si512(decay + 2 * channels);
        const __m512i decay3 = n->levels > 3 ? _mm512_loadu_si512(decay + 3 * channels) : decay2;
        const __m512i edge0 = _mm512_loadu_si512(edges), edge1 = _mm512_loadu_si512(edges + channels);
        const __m512i edge2 = n->levels > 3 ? _mm512_loadu_si512(edges + 2 * channels) : edge1;
        const __mmask16 last = n->levels > 3 ? 0xFFFF : 0;
        for (int32_t word = tile >> 1; word < words; word += cells->tiles) {
            if (cells->marks && cells->marks[word]) continue;
            spq_half *state0 = (spq_half *)(void *)(cells->state + word) + (tile & 1);
            spq_half *state1 = (spq_half *)(void *)(cells->state + cells->pitch + word) + (tile & 1);
            spq_half *spikes = (spq_half *)(void *)(cells->spikes + word) + (tile & 1);
            const __m512i low = _mm512_mask_blend_epi32(*state0, decay0, decay1);
            const __m512i high = _mm512_mask_blend_epi32(*state0, decay2, decay3);
            __m512i v = _mm512_sll_epi32(_mm512_loadu_si512(sums + word * SPQ_LANES + 16 * (tile & 1)), fraction);
            v = _mm512_add_epi32(v, _mm512_mask_blend_epi32(*state1, low, high));
            const uint32_t fired = _mm512_cmpge_epi32_mask(v, threshold);
            if (n->subtract) v = _mm512_mask_sub_epi32(v, (__mmask16)fired, v, drop);
            const uint32_t a = _mm512_cmpge_epi32_mask(v, edge0), b = _mm512_cmpge_epi32_mask(v, edge1);
            const uint32_t c = _mm512_mask_cmpge_epi32_mask(last, v, edge2), forget = n->subtract ? 0 : fired;
            *state0 = (uint16_t)(((a ^ b ^ c) & ~forget) | (zero0 & forget));
            *state1 = (uint16_t)(((a & b) | (a & c) | (b & c)) & ~forget) | (uint16_t)(zero1 & forget);
            *spikes = (uint16_t)fired;
        }
    }
}
#endif

#define WIDE_ROW(code, bits, levels)                                                                                   \
    if (SPQ_CODES >> (code) & 1u) wide_row(n, bits, levels, sums, cells)

static void fire_wide(const spq_neuron *n, const int32_t *sums, const spq_cells *cells) {
#if !defined(SPQ_PORTABLE) && defined(__AVX512BW__)
    if (!n->scaled && n->levels <= 4) {
        few_codes_row(n, sums, cells);
        return;
    }
#endif
    switch (n->scaled ? 16 + (n->bits & 7) : n->levels < 16 ? n->levels : 15) { /* bits of SPQ_CODES */
    case 3: WIDE_ROW(3, 2, 3); break;
    case 4: WIDE_ROW(4, 2, 4); break;
    case 8: WIDE_ROW(8, 3, 8); break;
    case 16 + 2: WIDE_ROW(16 + 2, 2, 0); break;
    case 16 + 3: WIDE_ROW(16 + 3, 3, 0); break;
    case 16 + 4: WIDE_ROW(16 + 4, 4, 0); break;
    case 16: WIDE_ROW(16, 8, 0); break;
    default: WIDE_ROW(15, 4, 16); break;
    }
}

void spq_fire_row(const spq_neuron *n, const void *sums, int32_t wide, const spq_cells *cells) {
#if SPQ_HAS_LANES
    if (!wide) {
        fire_narrow(n, (const int16_t *)sums, cells);
        return;
    }
#endif
    (void)wide;
    if (SPQ_DECIDES & 1u) fire_wide(n, (const int32_t *)sums, cells);
}

void spq_read_codes(const spq_neuron *n, const spq_cells *cells, int8_t *codes) {
    int32_t field[SPQ_LANES];
    for (int32_t word = 0; word < cells->width * cells->tiles; word++) {
        const uint32_t *state = cells->state + (n->bits == 8 ? 8 * word : word);
        if (n->bits == 8) unpack(state, cells->pitch, 8, field);
        else if (n->bits == 4) unpack(state, cells->pitch, 4, field);
        else if (n->bits == 3) unpack(state, cells->pitch, 3, field);
        else unpack(state, cells->pitch, 2, field);
        for (int32_t l = 0; l < SPQ_LANES; l++) *codes++ = (int8_t)(field[l] + n->low);
    }
}
