/* events: which inputs of a connection are not zero, row by row. */
#ifndef SPQ_EVENTS_H
#define SPQ_EVENTS_H

#include "spq.h"

/* Words of a pixel's bitmap. */
static inline int32_t spq_words(int32_t channels) {
    return (channels + 31) >> 5;
}

/* The input of a connection; one of the three is there. */
typedef struct {
    const uint8_t *pixels;  /* [channels][height][width] */
    const uint32_t *spikes; /* bitmaps */
    const int32_t *counts;  /* [height][width][channels], what sum-pools leave */
} spq_input;

/* Lists of the last `rows` rows of an input. An event is x * channels + channel, times `scale`: with the length of a
 * row of codes it is where these start. */
typedef struct {
    int32_t width, channels, rows;
    uint32_t scale, capacity; /* capacity: most events of a row */
    uint32_t *starts;
    spq_event *events;
    int32_t *values; /* none where every event weighs one */
} spq_lists;

/* Pool an input as the connection says; the result lies in scratch unless there is nothing to pool. */
spq_input spq_pooled(const spq_connection *connection, const spq_scratch *scratch, void *arena, spq_input input);

/* List the events of row y, of `height`, in a slot. */
void spq_list_row(const spq_lists *lists, const spq_input *input, int32_t height, int32_t y, int32_t slot);

#endif
