/* dense: pixels times codes, zeros too, for images most of whose pixels are not zero. */
#ifndef SPQ_DENSE_H
#define SPQ_DENSE_H

#include "spq.h"

#if SPQ_VECTORS && (defined(__AVX512BW__) || defined(__AVX2__))
#define SPQ_HAS_QUADS 1
#else
#define SPQ_HAS_QUADS 0
#endif
#define SPQ_BEYOND 64u /* bytes behind a frame of bytes, of which the last groups of four read some */

/* Pixels of a frame as int16, channels last, with its padding. */
typedef struct {
    int32_t height, width; /* with padding */
    int32_t pitch;         /* from one row to the next; two values more than it holds, or three */
    int16_t *pixels;
} spq_frame;

static inline spq_frame spq_frame_of(const spq_connection *c, int16_t *memory) {
    spq_frame frame = {c->height + 2 * c->pad_height, c->width + 2 * c->pad_width, 0, memory};
    frame.pitch = ((frame.width * c->channels + 1) & ~1) + 2;
    return frame;
}

/* Take in pixels [channels][height][width], or numbers with signs. */
void spq_fill_frame(const spq_connection *connection, const uint8_t *pixels, int32_t signs, const spq_frame *frame);

/* Sums of row `y` of the outputs, int16 or int32 as the connection says. */
void spq_dense_row(const spq_connection *connection, const spq_frame *frame, int32_t y, void *sums);

#endif
