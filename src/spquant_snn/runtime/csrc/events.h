/* events: which inputs of a connection are not zero, row by row, and which of them an output meets. */
#ifndef SPQ_EVENTS_H
#define SPQ_EVENTS_H

#include "spq.h"

/* Words of a pixel's bitmap. */
static inline int32_t spq_words(int32_t channels) {
    return (channels + 31) >> 5;
}

/* Index of the lowest set bit. Where a CPU has no instruction for it, a compiler calls a library that is not there. */
#if defined(__ARM_ARCH_6M__) || (defined(__riscv) && !defined(__riscv_zbb))
#define SPQ_NO_CTZ
#endif
static inline uint32_t spq_lowest(uint32_t word) {
#if defined(__GNUC__) && !defined(SPQ_NO_CTZ)
    return (uint32_t)__builtin_ctz(word);
#else
    static const uint8_t index[32] = {0,  1,  28, 2,  29, 14, 24, 3, 30, 22, 20, 15, 25, 17, 4,  8,
                                      31, 27, 13, 23, 21, 19, 16, 7, 26, 12, 18, 6,  11, 5,  10, 9};
    return index[((word & (0u - word)) * 0x077CB531u) >> 27]; /* de Bruijn: the top five bits differ for each */
#endif
}

/* How many bits are set. */
static inline int32_t spq_ones(uint32_t word) {
#if SPQ_VECTORS && defined(__POPCNT__)
    return __builtin_popcount(word);
#else
    word -= word >> 1 & 0x55555555u;
    word = (word & 0x33333333u) + (word >> 2 & 0x33333333u);
    return (int32_t)(((word + (word >> 4)) & 0x0F0F0F0Fu) * 0x01010101u >> 24);
#endif
}

/* The input of a connection; one of the three is there. */
typedef struct {
    const uint8_t *pixels;  /* [channels][height][width] */
    const uint32_t *spikes; /* bitmaps */
    const int32_t *counts;  /* [height][width][channels], what sum-pools leave */
} spq_source;

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
spq_source spq_pooled(const spq_connection *connection, const spq_scratch *scratch, void *arena, spq_source input);

/* List the events of row y, of `height`, in a slot. */
void spq_list_row(const spq_lists *lists, const spq_source *input, int32_t height, int32_t y, int32_t slot);

/* A row of the input under a row of outputs: where its starts and its events lie in the lists, and where the codes of
 * its row of the kernel do. */
typedef struct {
    uint32_t starts, events, codes;
} spq_line;

/* Events that follow one another and whose codes do too. */
typedef struct {
    uint32_t first, last; /* in the lists */
    uint32_t base;        /* codes of an event start at base + event, modulo 2^32 */
} spq_run;

/* Where a row of outputs looks: its lines, and memory for the runs of one pixel. */
typedef struct {
    int32_t line_count;
    spq_line *lines; /* [window * kernel_height] */
    spq_run *runs;   /* [window * window * kernel_height] */
} spq_view;

/* The lists of a connection's input, in memory of its own; values where events have some. */
static inline spq_lists spq_lists_of(const spq_connection *c, uint32_t *starts, spq_event *events, int32_t *values) {
    const int32_t grouped = SPQ_IS(c, SPQ_GROUPED);
    const int32_t weighed = grouped || SPQ_IS(c, SPQ_MULTIPLY) || SPQ_IS(c, SPQ_MULTIPLY16) ||
                            SPQ_IS(c, SPQ_PRODUCTS) ||
                            (SPQ_IS(c, SPQ_PACKED) && c->packed->bits == 16);
    const int32_t rows = (c->window - 1) * c->slide_height + c->kernel_height;
    const spq_lists lists = {c->width, c->channels, rows, grouped ? 1u : (uint32_t)c->row,
                             (uint32_t)(c->width * c->channels), starts, events, weighed ? values : 0};
    return lists;
}

/* Find the lines under a row of outputs that looks at rows from y on, which lies in `slot` and may be outside. */
void spq_look(const spq_connection *connection, const spq_lists *lists, int32_t y, int32_t slot, spq_view *view);

/* Runs, in the view, of the output that looks at columns from x on, none of them empty; returns how many. */
int32_t spq_collect(const spq_connection *connection, const spq_lists *lists, const spq_view *view, int32_t x);

/* Add up where the events of each column start in the rows from y on, the first of which lies in `slot`: from one
 * column to another there are as many events as these differ by. */
void spq_add_starts(const spq_connection *connection, const spq_lists *lists, int32_t y, int32_t slot);

/* How many inputs the output that looks at columns from x on meets that are not zero, when starts have been added. */
static inline int32_t spq_active(const spq_connection *c, const spq_lists *lists, int32_t x) {
    const uint32_t *all = lists->starts + (uint32_t)lists->rows * ((uint32_t)lists->width + 1u);
    const int32_t right = x + (c->window - 1) * c->slide_width + c->kernel_width;
    const int32_t from = x < 0 ? 0 : x, to = right < c->width ? right : c->width;
    return from < to ? (int32_t)(all[to] - all[from]) : 0;
}

#endif
