/* windows: pools of any rectangle and up-sampling, over bits or numbers, channels last. */
#ifndef SPQ_WINDOWS_H
#define SPQ_WINDOWS_H

#include "events.h"

/* A source as numbers int32 [height][width][channels]; pixels may have signs. */
void spq_as_counts(const spq_source *source, int32_t signs, int32_t height, int32_t width, int32_t channels,
                   int32_t *to);

/* What is behind a window over bits or numbers, in `to`: bits, unless they are added up. */
spq_source spq_windowed(const spq_window *window, spq_source source, int32_t height, int32_t width, int32_t channels,
                        void *to);

/* One row [width][channels] behind a window over numbers [height][width][channels]. */
void spq_window_row(const spq_window *window, const int32_t *from, int32_t height, int32_t width, int32_t channels,
                    int32_t row, int32_t *to);

#endif
