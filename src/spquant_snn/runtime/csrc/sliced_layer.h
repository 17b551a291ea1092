/* sliced_layer: a layer whose neurons are computed in bit slices. */
#ifndef SPQ_SLICED_LAYER_H
#define SPQ_SLICED_LAYER_H

#include "sliced.h"
#include "turn.h"

#if SPQ_HAS_SLICED
/* One step of the layer. */
void spq_run_slices(const spq_turn *turn, const spq_connection *connection, const uint32_t *spikes);
#endif

#endif
