/* neuron: the step of integer/reference.py on 32 lanes of int32, or on 16, for neurons that lanes of int16 (narrow.c)
 * would decide otherwise. */
#include "neuron.h"
#include "lanes.h"
#include "neuron_single.h"
#include "scaled.h"

/* Bit `b` of the lanes of a tile, or of its first half. */
SPQ_INLINE uint32_t gather(const int32_t *field, const int32_t lanes, const int32_t b) {
    return spq_gather(field, b) | (lanes > SPQ_UNIT ? spq_gather(field + SPQ_UNIT, b) << SPQ_UNIT : 0);
}

/* Codes of a tile: bits, `pitch` words apart, or bytes. */
SPQ_INLINE void unpack(const uint32_t *state, int32_t pitch, const int32_t bits, const int32_t lanes, int32_t *field) {
    const uint8_t *bytes = (const uint8_t *)state;
    if (bits == 8) {
        for (int32_t l = 0; l < lanes; l++) field[l] = bytes[l];
        return;
    }
    const uint32_t first = state[0], second = state[pitch];
    const uint32_t third = bits > 2 ? state[2 * pitch] : 0, last = bits > 3 ? state[3 * pitch] : 0;
    for (int32_t l = 0; l < lanes; l++)
        field[l] = (int32_t)((first >> l & 1u) | (second >> l & 1u) << 1 | (third >> l & 1u) << 2 |
                             (last >> l & 1u) << 3);
}

SPQ_INLINE void pack(const int32_t *field, int32_t pitch, const int32_t bits, const int32_t lanes, uint32_t *state) {
    uint8_t *bytes = (uint8_t *)state;
    if (bits == 8) {
        for (int32_t l = 0; l < lanes; l++) bytes[l] = (uint8_t)field[l];
        return;
    }
    state[0] = gather(field, lanes, 0), state[pitch] = gather(field, lanes, 1);
    if (bits > 2) state[2 * pitch] = gather(field, lanes, 2);
    if (bits > 3) state[3 * pitch] = gather(field, lanes, 3);
}

/* Spikes of the lanes, which lower the potential where that is the reset. Returns them as a word, and in `fired` as 0
 * and 1. Here and below a choice is an AND with a mask of all ones or none: lanes have no branches. */
SPQ_INLINE uint32_t fire(const spq_neuron *neuron, int32_t channel, const int32_t lanes, int32_t *potential,
                         int32_t *fired) {
    const int32_t *threshold = neuron->fire + channel;
    const spq_constant *drop = neuron->drop + channel;
    for (int32_t l = 0; l < lanes; l++) fired[l] = potential[l] >= threshold[l];
    if (neuron->subtract)
        for (int32_t l = 0; l < lanes; l++) potential[l] -= drop[l] & -fired[l];
    return gather(fired, lanes, 0);
}

/* Where a neuron fired, the code of zero. */
SPQ_INLINE void forget(const spq_neuron *neuron, const int32_t *fired, const int32_t lanes, int32_t *field) {
    const int32_t zero = -neuron->low;
    for (int32_t l = 0; l < lanes; l++) field[l] = (field[l] & (fired[l] - 1)) | (zero & -fired[l]);
}

/* Up to 4 bits: every code has its remainder and its edge. */
SPQ_INLINE uint32_t fire_table(const spq_neuron *n, const int32_t levels, int32_t channel, int32_t channels,
                               const int32_t lanes, const int32_t *sums, int32_t *field) {
    const spq_constant *decay = n->decay + channel, *edges = n->edges + channel;
    const int32_t unit = 1 << n->fraction; /* a product, for a sum below zero has no shift in C */
    int32_t potential[SPQ_LANES], fired[SPQ_LANES];
    for (int32_t l = 0; l < lanes; l++) potential[l] = sums[l] * unit;
    for (int32_t k = 0; k < levels; k++)
        for (int32_t l = 0; l < lanes; l++) potential[l] += decay[k * channels + l] & -(field[l] == k);
    const uint32_t word = fire(n, channel, lanes, potential, fired);
    for (int32_t l = 0; l < lanes; l++) field[l] = 0;
    for (int32_t k = 0; k < levels - 1; k++)
        for (int32_t l = 0; l < lanes; l++) field[l] += potential[l] >= edges[k * channels + l];
    if (!n->subtract) forget(n, fired, lanes, field);
    return word;
}

/* 5 to 8 bits: one multiplication each way; a right shift of a number below zero rounds down, as every compiler for
 * these machines has it and tests/runtime checks. */
SPQ_INLINE uint32_t fire_scaled(const spq_neuron *n, int32_t channel, const int32_t lanes, const int32_t *sums,
                                int32_t *field) {
    const spq_constant *decay = n->decay + channel;
    const int32_t *gain = n->gain + channel;
    const int64_t *offset = n->offset + channel;
    const int32_t unit = 1 << n->fraction, half = (1 << n->decay_shift) >> 1;
    int32_t potential[SPQ_LANES], fired[SPQ_LANES];
    for (int32_t l = 0; l < lanes; l++)
        potential[l] = sums[l] * unit + (((field[l] + n->low) * decay[l] + half) >> n->decay_shift);
    const uint32_t word = fire(n, channel, lanes, potential, fired);
    for (int32_t l = 0; l < lanes; l++)
        field[l] = spq_scaled(potential[l], gain[l], offset[l], n->shift, n->low, n->high) - n->low;
    if (!n->subtract) forget(n, fired, lanes, field);
    return word;
}

/* A tile whose codes have a constant width and, where they are looked up, a constant number; returns its spikes. */
SPQ_INLINE uint32_t fire_tile(const spq_neuron *n, const int32_t bits, const int32_t levels, const int32_t lanes,
                              const int32_t *sums, int32_t channel, int32_t channels, uint32_t *state, int32_t pitch) {
    int32_t field[SPQ_LANES];
    unpack(state, pitch, bits, lanes, field);
    const uint32_t fired = levels ? fire_table(n, levels, channel, channels, lanes, sums, field)
                                  : fire_scaled(n, channel, lanes, sums, field);
    pack(field, pitch, bits, lanes, state);
    return fired;
}

SPQ_INLINE void wide_row(const spq_neuron *n, const int32_t bits, const int32_t levels, const int32_t *sums,
                         const spq_neuron_row *neurons) {
    const int32_t channels = neurons->tiles * SPQ_LANES, step = bits == 8 ? 8 : 1, pitch = neurons->pitch;
    int32_t word = 0;
    for (int32_t x = 0; x < neurons->width; x++, sums += neurons->units * SPQ_UNIT)
        for (int32_t channel = 0; channel < channels; channel += SPQ_LANES, word++) {
            if (neurons->marks && neurons->marks[word]) continue;
            uint32_t *state = neurons->state + word * step;
            const int32_t *tile = sums + channel;
            if (!SPQ_HOST) {
                neurons->spikes[word] = spq_fire_single(n, bits, levels, channel, channels, tile, state, pitch);
                continue;
            }
            const int32_t half = !SPQ_HAS_LANES && channel + SPQ_UNIT == neurons->units * SPQ_UNIT;
            neurons->spikes[word] = half ? fire_tile(n, bits, levels, SPQ_UNIT, tile, channel, channels, state, pitch)
                                         : fire_tile(n, bits, levels, SPQ_LANES, tile, channel, channels, state, pitch);
        }
}

#if SPQ_VECTORS && defined(__AVX512BW__)

/* Half a word; a word may be read and written as two of them. */
typedef uint16_t __attribute__((may_alias)) spq_half;

/* Up to four codes in registers: the comparisons are masks, and two adders of masks count the edges. */
static void few_codes_row(const spq_neuron *n, const int32_t *sums, const spq_neuron_row *neurons) {
    const int32_t channels = neurons->tiles * SPQ_LANES;
    const __m128i fraction = _mm_cvtsi32_si128(n->fraction);
    const uint32_t zero0 = 0u - ((uint32_t)-n->low & 1u), zero1 = 0u - ((uint32_t)-n->low >> 1 & 1u);
    for (int32_t unit = 0; unit < neurons->units; unit++) {
        const int32_t *decay = n->decay + 16 * unit, *edges = n->edges + 16 * unit, *from = sums + 16 * unit;
        const __m512i threshold = _mm512_loadu_si512(n->fire + 16 * unit);
        const __m512i drop = _mm512_loadu_si512(n->drop + 16 * unit);
        const __m512i decay0 = _mm512_loadu_si512(decay), decay1 = _mm512_loadu_si512(decay + channels);
        const __m512i decay2 = _mm512_loadu_si512(decay + 2 * channels);
        const __m512i decay3 = n->levels > 3 ? _mm512_loadu_si512(decay + 3 * channels) : decay2;
        const __m512i edge0 = _mm512_loadu_si512(edges), edge1 = _mm512_loadu_si512(edges + channels);
        const __m512i edge2 = n->levels > 3 ? _mm512_loadu_si512(edges + 2 * channels) : edge1;
        const __mmask16 last = n->levels > 3 ? 0xFFFF : 0;
        for (int32_t x = 0, word = unit >> 1; x < neurons->width;
             x++, word += neurons->tiles, from += 16 * neurons->units) {
            if (neurons->marks && neurons->marks[word]) continue;
            spq_half *state0 = (spq_half *)(void *)(neurons->state + word) + (unit & 1);
            spq_half *state1 = (spq_half *)(void *)(neurons->state + neurons->pitch + word) + (unit & 1);
            spq_half *spikes = (spq_half *)(void *)(neurons->spikes + word) + (unit & 1);
            const __m512i low = _mm512_mask_blend_epi32(*state0, decay0, decay1);
            const __m512i high = _mm512_mask_blend_epi32(*state0, decay2, decay3);
            __m512i v = _mm512_sll_epi32(_mm512_loadu_si512(from), fraction);
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

#if SPQ_VECTORS && defined(__AVX512BW__)
#define IN_REGISTERS(levels) ((levels) == 3 || (levels) == 4)
#else
#define IN_REGISTERS(levels) 0
#endif
#define WIDE_ROW(code, bits, levels)                                                                                   \
    if ((SPQ_CODES >> (code) & 1u) && !IN_REGISTERS(levels)) wide_row(n, bits, levels, sums, neurons)

void spq_fire_wide(const spq_neuron *n, const int32_t *sums, const spq_neuron_row *neurons) {
    if (!(SPQ_DECIDES & 1u)) return;
#if SPQ_VECTORS && defined(__AVX512BW__)
    if (!n->scaled && n->levels <= 4) {
        few_codes_row(n, sums, neurons);
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

void spq_read_codes(const spq_neuron *n, const spq_neuron_row *neurons, int8_t *codes) {
    int32_t field[SPQ_LANES];
    for (int32_t word = 0; word < neurons->width * neurons->tiles; word++) {
        const uint32_t *state = neurons->state + (n->bits == 8 ? 8 * word : word);
        if (n->bits == 8) unpack(state, neurons->pitch, 8, SPQ_LANES, field);
        else if (n->bits == 4) unpack(state, neurons->pitch, 4, SPQ_LANES, field);
        else if (n->bits == 3) unpack(state, neurons->pitch, 3, SPQ_LANES, field);
        else unpack(state, neurons->pitch, 2, SPQ_LANES, field);
        for (int32_t l = 0; l < SPQ_LANES; l++) *codes++ = (int8_t)(field[l] + n->low);
    }
}
