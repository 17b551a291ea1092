/* blocks: which blocks of neurons, 32 channels at one place, need their sums; and the step of those that do not.
 *
 * A gate leaves a block as it is for a step. A block that meets so few inputs that they cannot matter does what it does
 * without input, which its stored codes alone tell. */
#ifndef SPQ_BLOCKS_H
#define SPQ_BLOCKS_H

#include "events.h"
#include "compilers.h"
#include "neuron.h"

enum { SPQ_COMPUTED = 0, SPQ_SILENT, SPQ_HELD };

/* Codes of zero, whose bitmaps of `words` words each end at `end`: where no neuron is, the lowest code instead, as the
 * first step leaves it in every block that is not skipped. */
void spq_settle_padding(const spq_blocks *blocks, const spq_neuron *neuron, int32_t words, uint32_t *end);

/* Mark the blocks of a row of outputs, in the lists of whose inputs starts have been added. */
void spq_mark_row(const spq_blocks *blocks, const spq_neuron *neuron, const spq_neuron_row *neurons,
                  const spq_connection *connection, const spq_lists *lists);

/* The same for a gate alone, at one place of the row, where so many inputs are active; returns whether any of its
 * blocks is computed. */
int32_t spq_gate_pixel(const spq_blocks *blocks, const spq_neuron *neuron, const spq_neuron_row *neurons,
                       int32_t column, int32_t active);

/* The same at each place of the row. */
void spq_gate_row(const spq_blocks *blocks, const spq_neuron *neuron, const spq_neuron_row *neurons,
                  const int32_t *active);

/* Whether a pixel, whose marks these are, has a block that needs its sums. */
static inline int32_t spq_needed(const uint8_t *marks, int32_t tiles) {
    int32_t needed = 0;
    for (int32_t tile = 0; tile < tiles; tile++) needed |= marks[tile] == SPQ_COMPUTED;
    return needed;
}

/* One time step of the marked blocks of a row. */
void spq_pass_row(const spq_blocks *blocks, const spq_neuron *neuron, const spq_neuron_row *neurons);

#endif
