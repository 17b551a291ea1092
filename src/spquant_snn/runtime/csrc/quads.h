/* quads: spikes as bytes times codes, four by four, zeros too, for layers in which so many inputs spike that a list of
 * them costs more. A sum-pool behind the codes is taken before them: sums of neighbouring inputs, still bytes, meet
 * each code once. */
#ifndef SPQ_QUADS_H
#define SPQ_QUADS_H

#include "dense.h"
#include "turn.h"

#if SPQ_HAS_QUADS
/* A step of a layer so many of whose inputs spike that zeros may as well be taken too; where that is not so, nothing is
 * done. Returns whether it was. */
int32_t spq_run_quads(const spq_turn *turn, const spq_connection *connection, const uint32_t *spikes);
#endif

#endif
