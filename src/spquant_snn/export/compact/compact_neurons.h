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
            if (t + 1 < SPQ_STEPS) left = decay[stored_code(L, edges, potential)];
        }
        bit >>= 1;
        if (!bit) unit += SPQ_STEPS;
    }
}

#endif
