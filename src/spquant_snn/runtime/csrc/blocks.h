/* blocks: which blocks of neurons, 32 channels at one place, need their sums; and the step of those that do not.
 *
 * A gate leaves a block as it is for a step. A block that meets so few inputs that they cannot matter does what it does
 * without input, which its stored codes alone tell. */
#ifndef SPQ_BLOCKS_H
#define SPQ_BLOCKS_H

#include "lanes.h"
#include "neuron.h"

enum { SPQ_COMPUTED = 0, SPQ_QUIET, SPQ_HELD };

/* Mark the blocks of pixel x of a row that meets `active` inputs; returns whether one needs its sums. */
int32_t spq_mark_pixel(const spq_blocks *blocks, const spq_neuron *neuron, const spq_cells *cells, int32_t x,
                       int32_t active);

/* One time step of the marked blocks of a row. */
void spq_pass_row(const spq_blocks *blocks, const spq_neuron *neuron, const spq_cells *cells);

#endif
