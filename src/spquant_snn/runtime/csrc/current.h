/* current: synaptic currents, of which codes are stored as of potentials. */
#ifndef SPQ_CURRENT_H
#define SPQ_CURRENT_H

#include "neuron.h"

/* Add to the sums of a row [width][units * 16] what the currents' codes [width][tiles * 32], a byte each, leave; store
 * the codes of what comes of it. Sums are then in units of potential: the neurons behind them have no fraction. Blocks
 * that are marked stay as they are. */
void spq_add_current(const spq_neuron *current, const spq_neuron_row *neurons, uint8_t *codes, int32_t *sums);

#endif
