/* neuron_single: the same step one neuron after the other, for processors without lanes: a code looks its remainder up,
 * and where edges rise, the new code is searched by halves. */
#ifndef SPQ_NEURON_SINGLE_H
#define SPQ_NEURON_SINGLE_H

#include "compilers.h"
#include "scaled.h"
#include "spq.h"

/* How many of the edges, `channels` apart, a potential reaches. */
SPQ_INLINE int32_t spq_reached(int32_t v, const spq_constant *edges, const int32_t levels, int32_t channels) {
    int32_t k = 0;
    if (!SPQ_SORTED) {
        for (int32_t j = 0; j < levels - 1; j++) k += v >= edges[j * channels];
        return k;
    }
    SPQ_UNROLL(4)
    for (int32_t step = levels > 8 ? 8 : levels > 4 ? 4 : 2; step; step >>= 1)
        if (k + step < levels && v >= edges[(k + step - 1) * channels]) k += step;
    return k;
}

/* Spikes of a tile, whose codes of `bits` bits go from the last step's to this one's; 0 levels: codes are scaled. */
SPQ_INLINE uint32_t spq_fire_single(const spq_neuron *n, const int32_t bits, const int32_t levels, int32_t channel,
                                    int32_t channels, const int32_t *sums, uint32_t *state, int32_t pitch) {
    const spq_constant *edges = levels ? n->edges + channel : 0;
    const spq_constant *decay = n->decay + channel;
    const int32_t *fire = n->fire + channel;
    const int32_t unit = 1 << n->fraction, zero = -n->low, planes = bits == 8 ? 0 : bits;
    uint8_t *bytes = (uint8_t *)state;
    uint32_t old[4], code[4], spikes = 0;
    SPQ_UNROLL(4)
    for (int32_t b = 0; b < planes; b++) old[b] = state[b * pitch], code[b] = 0;
    for (int32_t l = 0; l < SPQ_LANES; l++) {
        int32_t k = bits == 8 ? bytes[l] : 0, v = sums[l] * unit;
        SPQ_UNROLL(4)
        for (int32_t b = 0; b < planes; b++) k |= (int32_t)(old[b] >> l & 1u) << b;
        if (levels) v += decay[k * channels + l];
        else v += ((k + n->low) * decay[l] + ((1 << n->decay_shift) >> 1)) >> n->decay_shift;
        const uint32_t fired = v >= fire[l];
        spikes |= fired << l;
        k = zero;
        if (fired && n->subtract) v -= n->drop[channel + l];
        if (!fired || n->subtract) {
            if (levels) k = spq_reached(v, edges + l, levels, channels);
            else k += spq_scaled(v, n->gain[channel + l], n->offset[channel + l], n->shift, n->low, n->high);
        }
        if (bits == 8) bytes[l] = (uint8_t)k;
        SPQ_UNROLL(4)
        for (int32_t b = 0; b < planes; b++) code[b] |= ((uint32_t)k >> b & 1u) << l;
    }
    SPQ_UNROLL(4)
    for (int32_t b = 0; b < planes; b++) state[b * pitch] = code[b];
    return spikes;
}

#endif
