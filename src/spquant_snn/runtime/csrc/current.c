/* current: one neuron after the other, on any machine. */
#include "current.h"
#include "neuron_single.h"
#include "scaled.h"

#if SPQ_TERMS

static int32_t left(const spq_neuron *n, int32_t channel, int32_t channels, int32_t code) {
    if (!n->scaled) return n->decay[code * channels + channel];
    return ((code + n->low) * n->decay[channel] + ((1 << n->decay_shift) >> 1)) >> n->decay_shift;
}

static int32_t code_of(const spq_neuron *n, int32_t channel, int32_t channels, int32_t drive) {
    int32_t code = 0;
    if (n->scaled)
        return spq_scaled(drive, n->gain[channel], n->offset[channel], n->shift, n->low, n->high) - n->low;
    for (int32_t k = 0; k < n->levels - 1; k++) code += drive >= n->edges[k * channels + channel];
    return code;
}

void spq_add_current(const spq_neuron *n, const spq_neuron_row *neurons, uint8_t *codes, int32_t *sums) {
    const int32_t channels = neurons->tiles * SPQ_LANES, there = neurons->units * SPQ_UNIT, unit = 1 << n->fraction;
    for (int32_t x = 0; x < neurons->width; x++, codes += channels, sums += there)
        for (int32_t c = 0; c < there; c++) {
            if (neurons->marks && neurons->marks[x * neurons->tiles + (c >> 5)]) continue;
            const int32_t drive = sums[c] * unit + left(n, c, channels, codes[c]);
            sums[c] = drive;
            codes[c] = (uint8_t)code_of(n, c, channels, drive);
        }
}

#endif
