/* neuron: the step of integer/reference.py on 32 lanes of int32. */
#include "neuron.h"
#include "lanes.h"

/* Codes of a tile: planes, bit by bit, or bytes. */
SPQ_INLINE void unpack(const uint32_t *state, const int32_t bits, int32_t *field) {
    const uint8_t *bytes = (const uint8_t *)state;
    const uint32_t first = state[0], second = state[1], third = bits > 2 ? state[2] : 0, last = bits > 3 ? state[3] : 0;
    if (bits == 8)
        for (int32_t l = 0; l < SPQ_LANES; l++) field[l] = bytes[l];
    else
        for (int32_t l = 0; l < SPQ_LANES; l++)
            field[l] = (int32_t)((first >> l & 1u) | (second >> l & 1u) << 1 | (third >> l & 1u) << 2 |
                                 (last >> l & 1u) << 3);
}

SPQ_INLINE void pack(const int32_t *field, const int32_t bits, uint32_t *state) {
    uint8_t *bytes = (uint8_t *)state;
    if (bits == 8) {
        for (int32_t l = 0; l < SPQ_LANES; l++) bytes[l] = (uint8_t)field[l];
        return;
    }
    state[0] = spq_gather(field, 0), state[1] = spq_gather(field, 1);
    if (bits > 2) state[2] = spq_gather(field, 2);
    if (bits > 3) state[3] = spq_gather(field, 3);
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
static uint32_t fire_scaled(const spq_neuron *n, int32_t channel, const int32_t *sums, int32_t *field) {
    const int32_t *decay = n->decay + channel, *gain = n->gain + channel;
    const int64_t *offset = n->offset + channel;
    const int32_t unit = 1 << n->fraction, half = (1 << n->decay_shift) >> 1;
    int32_t potential[SPQ_LANES], fired[SPQ_LANES];
    for (int32_t l = 0; l < SPQ_LANES; l++)
        potential[l] = sums[l] * unit + (((field[l] + n->low) * decay[l] + half) >> n->decay_shift);
    const uint32_t word = fire(n, channel, potential, fired);
    for (int32_t l = 0; l < SPQ_LANES; l++) {
        const int64_t code = ((int64_t)potential[l] * gain[l] + offset[l]) >> n->shift;
        field[l] = (int32_t)(code < n->low ? n->low : code > n->high ? n->high : code) - n->low;
    }
    if (!n->subtract) forget(n, fired, field);
    return word;
}

/* A tile whose codes have a constant width and, where they are looked up, a constant number. */
SPQ_INLINE uint32_t step(const spq_neuron *n, const int32_t bits, const int32_t levels, int32_t channel,
                         int32_t channels, const int32_t *sums, uint32_t *state, int8_t *trace) {
    int32_t field[SPQ_LANES];
    unpack(state, bits, field);
    const uint32_t word = levels ? fire_table(n, levels, channel, channels, sums, field)
                                 : fire_scaled(n, channel, sums, field);
    pack(field, bits, state);
    for (int32_t l = 0; trace && l < SPQ_LANES; l++) trace[l] = (int8_t)(field[l] + n->low);
    return word;
}

uint32_t spq_fire(const spq_neuron *n, int32_t channel, int32_t channels, const int32_t *sums, uint32_t *state,
                  int8_t *trace) {
    switch (n->scaled ? n->bits : 16 + n->levels) {
    case 16 + 3: return step(n, 2, 3, channel, channels, sums, state, trace);
    case 16 + 4: return step(n, 2, 4, channel, channels, sums, state, trace);
    case 16 + 8: return step(n, 3, 8, channel, channels, sums, state, trace);
    case 16 + 16: return step(n, 4, 16, channel, channels, sums, state, trace);
    case 2: return step(n, 2, 0, channel, channels, sums, state, trace);
    case 3: return step(n, 3, 0, channel, channels, sums, state, trace);
    case 4: return step(n, 4, 0, channel, channels, sums, state, trace);
    default: return step(n, 8, 0, channel, channels, sums, state, trace);
    }
}
