/* terms: the general form of a layer: the spikes of any sources, through any pools, weighted, pooled and weighed. */
#ifndef SPQ_TERMS_H
#define SPQ_TERMS_H

#include "spq.h"

/* A time step: where terms find what they take. */
typedef struct {
    const spq_network *network;
    void *arena;
    const uint8_t *frame; /* of all inputs */
    int32_t step;         /* of those whose spikes lie in the arena */
    int32_t repeated;     /* the frame is still that of the step before */
} spq_moment;

/* Sums int32 [out_height][out_width][units * 16] of a layer or a readout, which may be written to where there are
 * currents; what a gate counts is written to its place in the arena. */
int32_t *spq_sum_terms(const spq_moment *moment, const spq_terms *terms, const spq_connection *sums);

/* Keep what is taken in the next step. */
void spq_keep_pasts(const spq_moment *moment);

/* One step of a readout of these sums. */
void spq_integrate(const spq_moment *moment, const spq_readout *readout, const int32_t *sums);

/* Forget what was kept and integrated. */
void spq_reset_general(const spq_network *network, void *arena);

#endif
