/* term_rows: the sums of a term, row by row. */
#ifndef SPQ_TERM_ROWS_H
#define SPQ_TERM_ROWS_H

#include "events.h"

/* A row or column of the source, with so many of zeros behind it. */
typedef struct {
    int32_t line, behind;
} spq_place;

/* A term at work: the lists of its input, and where the next row of outputs looks. */
typedef struct {
    spq_lists lists;
    spq_view view;
    spq_source source;
    int32_t apart, listed, top, slot; /* rows above `listed` need not be listed again */
    spq_place place;                  /* of the first row under the next row of outputs, where it lies apart */
    int32_t row;                      /* the next of the outputs, where they are dense */
    int16_t *frame;                   /* where their pixels lie */
} spq_walk;

/* A term at its first row, whose source is behind its pools. */
void spq_start_walk(const spq_network *network, void *arena, const spq_term *term, spq_source source, spq_walk *walk);

/* The sums int32 [out_width][units * 16] of the next row of outputs. */
void spq_next_row(const spq_term *term, spq_walk *walk, int32_t *sums);

#endif
