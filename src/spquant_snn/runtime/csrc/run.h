/* run: steps of a network. */
#ifndef SPQ_RUN_H
#define SPQ_RUN_H

#include "turn.h"

/* One frame, or a still image; field by field, as compilers for devices else call memset, which is not there. */
static inline void spq_show(spq_frames *frames, const uint8_t *pixels, int32_t static_input) {
    frames->pixels = pixels;
    frames->pitch = 0;
    frames->static_input = static_input;
#if SPQ_TERMS
    frames->later = 0;
    frames->said = 0;
#endif
}

/* So many steps, of which a layer takes as many at a time as it can; `frames` are then those behind them. */
void spq_run_frames(const spq_network *network, void *arena, spq_frames *frames, int32_t steps, const spq_trace *trace,
                    int64_t step);

#endif
