/* neuron: leak, integrate, fire, reset, store, for the neurons of a row of pixels. */
#ifndef SPQ_NEURON_H
#define SPQ_NEURON_H

#include "spq.h"

/* Stored codes and spikes of a row. */
typedef struct {
    int32_t width, tiles, units;
    uint32_t *state; /* bitmaps [width][tiles], `pitch` words from one bit to the next, or bytes */
    int32_t pitch;
    uint32_t *spikes; /* [width][tiles] */
    uint8_t *marks;   /* [width][tiles] blocks that are not 0 are skipped; none: no such block */
} spq_neuron_row;

/* Word b of the codes of a tile that are all zero. */
static inline uint32_t spq_zeros(const spq_neuron *neuron, int32_t b) {
    const uint32_t zero = (uint32_t)-neuron->low;
    return neuron->bits == 8 ? zero * 0x01010101u : 0u - (zero >> b & 1u);
}

/* One time step of a row, of sums [width][units * 16]. The codes go from the last step's to this one's. */
void spq_fire_wide(const spq_neuron *neuron, const int32_t *sums, const spq_neuron_row *neurons);

/* The same in lanes of int16, of a neuron with narrow constants; in narrow.c, which hosts alone have. */
void spq_fire_narrow(const spq_neuron *neuron, const int16_t *sums, const spq_neuron_row *neurons);

/* Write down the codes of a row, 32 to a tile. */
void spq_read_codes(const spq_neuron *neuron, const spq_neuron_row *neurons, int8_t *codes);

#endif
