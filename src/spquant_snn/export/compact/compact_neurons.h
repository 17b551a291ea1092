/* compact_neurons: all steps of the neurons of one pixel. What they store between steps is never in memory. */
#ifndef SPQ_COMPACT_NEURONS_H
#define SPQ_COMPACT_NEURONS_H

#include "compact_sums.h"

/* The sum of a channel at step `t`. */
SPQ_INSIDE int32_t sum_at(const spq_spiking *L, const uint32_t *sums, uint16_t channel, uint16_t t) {
    if (SPQ_LOADS != 1u && L->load) channel = narrow_lane(channel);
    const spq_half *lanes = (const spq_half *)(const void *)sums + channel;
    uint32_t sum = *lanes;
    if (SPQ_STEPS == 1) return (int32_t)sum - (int32_t)LANE_ZERO;
    do {
        lanes += L->pitch, lanes += L->pitch;
    } while (t--);
    sum += *lanes;
    return (int16_t)(uint16_t)(sum & 0xFFFFu);
}

SPQ_INSIDE uint32_t stored_code(const spq_spiking *L, const spq_number *edge, int32_t potential) {
    uint32_t code = 0;
    for (uint16_t i = 0; i < L->edges; i++) code += potential >= edge[i];
    return code;
}

/* The spikes of all channels at all steps, to `out`. */
SPQ_BODY void fire_pixel(const spq_spiking *L, const uint32_t *sums, uint16_t *out) {
    const spq_number *numbers = L->neurons;
    uint16_t *unit = out;
    uint32_t bit = 0;
    for (uint16_t channel = 0; channel < L->channels; channel++, numbers += L->constants) {
        if (!bit) {
            bit = 0x8000u;
            for (uint16_t t = 0; t < SPQ_STEPS; t++) unit[t] = 0;
        }
        const spq_number *edges = numbers + 1 + L->subtracts, *decay = edges + L->edges;
        int32_t left = 0;
        if (SPQ_STEPS > 1) left = decay[L->zero];
        for (uint16_t t = 0; t < SPQ_STEPS; t++) {
            int32_t potential = (int32_t)((uint32_t)sum_at(L, sums, channel, t) << L->fraction) + left;
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
