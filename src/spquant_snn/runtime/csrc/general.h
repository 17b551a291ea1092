/* general: a layer of terms at work, and what is said. */
#ifndef SPQ_GENERAL_H
#define SPQ_GENERAL_H

#include "terms.h"
#include "turn.h"

/* All sums of a layer, then its neurons. */
void spq_run_terms(const spq_turn *turn, const spq_moment *moment);

/* The step that frame t is taken in. */
spq_moment spq_moment_of(const spq_network *network, void *arena, const spq_frames *frames, int32_t t);

/* Readouts of so many steps, and what is kept for the next. */
void spq_read_out(const spq_network *network, void *arena, const spq_frames *frames, int32_t steps);

#endif
