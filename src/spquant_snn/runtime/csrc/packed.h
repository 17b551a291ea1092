/* packed: codes in fields of a word, for devices whose memory is small and whose registers are 32 bits wide.
 *
 * Outputs are taken in units of 16. An event adds the fields of a word all at once: fields of 2 bits into lanes of 4,
 * these into lanes of 8 bits before they could overflow, and those, where there are many events, into lanes of 16. */
#ifndef SPQ_PACKED_H
#define SPQ_PACKED_H

#include "events.h"
#include "neuron.h"

/* Whether the neurons of a connection are computed here too. */
static inline int32_t spq_decides(const spq_connection *c) {
    return (SPQ_DECIDES & 0x10100u) && SPQ_IS(c, SPQ_PACKED) && c->packed->lanes;
}

/* Spikes and codes of a row of neurons for `steps` steps that share their sums: the bitmaps of each next step lie
 * `stride` words behind. */
void spq_packed_row(const spq_connection *connection, const spq_lists *lists, const spq_view *view,
                    const spq_neuron_row *neurons, int32_t steps, int32_t stride);

/* Sums [tiles * 32] of one output, int32. */
void spq_packed_sums(const spq_connection *connection, const spq_lists *lists, const spq_run *runs, int32_t count,
                     int32_t *sums);

#endif
