/* neuron: leak, integrate, fire, reset, store, for 32 neurons of a pixel at a time. */
#ifndef SPQ_NEURON_H
#define SPQ_NEURON_H

#include "spq.h"

/* One time step of a tile, whose first channel is `channel` of `channels` (padded). Returns the spikes as a word; the
 * codes in `state` go from the last step's to this one's, and to `trace` unless it is absent. */
uint32_t spq_fire(const spq_neuron *neuron, int32_t channel, int32_t channels, const int32_t *sums, uint32_t *state,
                  int8_t *trace);

#endif
