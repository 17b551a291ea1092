/* compact_neurons: all steps of the neurons of one pixel. What they store between steps is never in memory. */
#ifndef SPQ_COMPACT_NEURONS_H
#define SPQ_COMPACT_NEURONS_H

#include "compact_sums.h"

/* A sum of all steps, which lies at `lane`, with that of one step, which lies at `own`. */
SPQ_INSIDE int32_t sum_of(const spq_half *lane, const spq_half *own) {
    if (SPQ_STEPS == 1) return (int32_t)*lane - (int32_t)LANE_ZERO;
    return (int16_t)(uint16_t)((uint32_t)*lane + *own);
}

SPQ_INSIDE uint32_t stored_code(const spq_spiking *L, const spq_number *edge, int32_t potential) {
    uint32_t code = 0;
    for (uint16_t i = 0; i < L->edges; i++) code += potential >= edge[i];
    return code;
}

#if SPQ_SCALED
/* The code of a potential: this times a gain, and an offset of 64 bits, shifted to the right; `number` are the gain, the
 * offset's lower and upper half, what a code of one leaves, and a zero. No product is left to a library. */
SPQ_APART int32_t scaled_code(const spq_spiking *L, const spq_number *number, int32_t potential) {
    uint64_t sum = (uint64_t)(uint32_t)number[2] << 32 | (uint32_t)number[1], times = (uint64_t)(int64_t)potential;
    for (uint32_t gain = (uint32_t)number[0]; gain; gain >>= 1, times += times)
        if (gain & 1u) sum += times;
    const int32_t upper = (int32_t)(uint32_t)(sum >> 32), low = -(int32_t)L->scaled, high = L->scaled - 1;
    int32_t code = (int32_t)(uint32_t)sum;
    if (L->shift >= 32) code = upper >> (L->shift - 32u);
    else if (L->shift) code = (int32_t)((uint32_t)upper << (32u - L->shift) | (uint32_t)sum >> L->shift);
    return code < low ? low : code > high ? high : code;
}

/* What such a code leaves. */
SPQ_INSIDE int32_t scaled_left(const spq_spiking *L, const spq_number *number, int32_t code) {
    const uint32_t times = product((uint32_t)number[3], (uint32_t)(code < 0 ? -code : code));
    const uint32_t half = (1u << L->left_shift) >> 1;
    return (int32_t)((code < 0 ? 0u - times : times) + half) >> L->left_shift;
}
#endif

/* What is left of a potential when it has been stored. */
SPQ_INSIDE int32_t left_of(const spq_spiking *L, const spq_number *edge, const spq_number *decay, int32_t potential) {
#if SPQ_SCALED
    if (L->scaled) return scaled_left(L, edge, scaled_code(L, edge, potential));
#endif
    return decay[stored_code(L, edge, potential)];
}

/* The spikes of all channels at all steps, to `out`. */
SPQ_BODY void fire_pixel(const spq_spiking *L, const uint32_t *sums, uint16_t *out) {
    const spq_number *numbers = L->neurons;
    const spq_half *lane = (const spq_half *)(const void *)sums;
    uint16_t *unit = out;
    uint32_t bit = 0;
    for (uint16_t channel = 0; channel < L->channels; channel++, lane++, numbers += L->constants) {
        if (!bit) {
            bit = 0x8000u;
            for (uint16_t t = 0; t < SPQ_STEPS; t++) unit[t] = 0;
        }
        const spq_number *edges = numbers + 1 + L->subtracts, *decay = edges + L->edges;
        int32_t left = 0;
        if (SPQ_STEPS > 1) left = decay[L->zero];
        const spq_half *own = lane;
        for (uint16_t t = 0; t < SPQ_STEPS; t++) {
            own += L->lanes;
            int32_t potential = (int32_t)((uint32_t)sum_of(lane, own) << L->fraction) + left;
            if (potential >= numbers[0]) {
                unit[t] = (uint16_t)(unit[t] | bit);
                if (L->resets) {
                    if (SPQ_STEPS > 1) left = decay[L->zero];
                    continue;
                }
                if (L->subtracts) potential -= numbers[1];
            }
            if (t + 1 < SPQ_STEPS) left = left_of(L, edges, decay, potential);
        }
        bit >>= 1;
        if (!bit) unit += SPQ_STEPS;
    }
}

#endif
