/* check_common: what the parts of a check have in common. Each says SPQ_OK, or why a network cannot be run. */
#ifndef SPQ_CHECK_COMMON_H
#define SPQ_CHECK_COMMON_H

#include "spq.h"

/* What counts as too much for any arena, and stays so when such numbers are added. */
#define TOO_MUCH (UINT64_C(1) << 48)

/* The product of what is there, in 64 bits; numbers below zero and those beyond 2^32 make it too much. */
static inline uint64_t times(int64_t a, int64_t b) {
    if (a < 0 || b < 0 || a >> 32 || b >> 32) return TOO_MUCH;
    const uint64_t product = (uint64_t)a * (uint64_t)b;
    return product < TOO_MUCH ? product : TOO_MUCH;
}

static inline uint64_t times3(int64_t a, int64_t b, int64_t c) {
    return times((int64_t)times(a, b), c);
}

/* Whether so many places can have numbers of 31 bits, as the source gives them. */
static inline int32_t countable(uint64_t places) {
    return places <= INT32_MAX;
}

static inline int32_t fits(spq_region region, uint64_t needed, uint32_t arena_size) {
    return (region.offset & 3u) == 0 && (uint64_t)region.offset + region.size <= arena_size && needed <= region.size;
}

/* Bytes of the sums of a row of outputs. */
static inline uint64_t row_of_sums(const spq_connection *c) {
    return (c->wide ? 4u : 2u) * SPQ_UNIT * times(c->out_width, c->units);
}

/* Sizes that all forms take for granted: each at least one, padding none below zero, and places that have numbers. */
int32_t spq_check_sizes(const spq_connection *connection);

/* Pools on what comes in, no stage of which is larger than that. */
int32_t spq_check_pools(const spq_connection *connection, const spq_scratch *scratch, int32_t first, uint32_t size);

/* Lists of so many rows, and runs of an output. */
int32_t spq_check_lists(const spq_connection *connection, const spq_scratch *scratch, uint64_t rows, uint64_t runs,
                        int32_t marked, uint32_t size);

/* What is summed from lists of events. */
int32_t spq_check_events(const spq_connection *connection, const spq_scratch *scratch, int32_t marked, uint32_t size);

/* Connections of one form each; `first`: they meet the pixels of an input. */
int32_t spq_check_dense(const spq_connection *connection, const spq_scratch *scratch, int32_t first, uint32_t size);
int32_t spq_check_sliced(const spq_layer *layer, const spq_scratch *scratch, uint32_t size);
int32_t spq_check_quads(const spq_layer *layer, const spq_scratch *scratch, uint32_t size);
int32_t spq_check_packed(const spq_connection *connection, const spq_neuron *neuron);
int32_t spq_check_products(const spq_connection *connection);

/* Neurons, and where their codes and spikes are. */
int32_t spq_check_neurons(const spq_network *network, const spq_layer *layer);

/* Inputs, before anything that counts them; layers of terms; general readouts and what is kept from step to step. */
int32_t spq_check_inputs(const spq_general *general);
int32_t spq_check_terms(const spq_network *network, int32_t index);
int32_t spq_check_readouts(const spq_network *network);

#endif
