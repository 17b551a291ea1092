/* sums: one row of codes per event, 16 to 128 outputs at a time.
 *
 * The lanes of the loops below are arrays of a constant length that a compiler keeps in vector registers: an event then
 * costs one load and one addition per register. */
#include "sums.h"
#include "compilers.h"
#include "packed.h"

#define WIDEST (8 * SPQ_UNIT)

/* Lanes as a row of sums keeps them. */
#define KEEP(c, found, lanes, sums, lane)                                                                              \
    if ((c)->wide) {                                                                                                   \
        int32_t *to = (int32_t *)(sums) + (lane);                                                                      \
        for (int32_t l = 0; l < (lanes); l++) to[l] = found[l];                                                        \
    } else {                                                                                                           \
        int16_t *to = (int16_t *)(sums) + (lane);                                                                      \
        for (int32_t l = 0; l < (lanes); l++)                                                                          \
            to[l] = (int16_t)(found[l] > 32767 ? 32767 : found[l] < -32768 ? -32768 : found[l]);                       \
    }

#if SPQ_HOST
#define AT_ONCE WIDEST /* outputs, at most */

/* The next events that fit into the lanes. */
static inline const spq_event *within(const spq_event *event, const spq_event *last, int32_t room) {
    return last - event > room ? event + room : last;
}

/* Events in narrow lanes, emptied into wide ones before they could overflow. */
#define ADD(name, member, narrow_type, wide_type)                                                                      \
    SPQ_INLINE void name(const spq_connection *c, const spq_lists *lists, const spq_run *runs, int32_t count,          \
                         int32_t lane, const int32_t lanes, void *sums) {                                              \
        const narrow_type *codes = c->member + lane;                                                                   \
        narrow_type narrow[WIDEST];                                                                                    \
        wide_type wide[WIDEST];                                                                                        \
        int32_t room = c->limit;                                                                                       \
        for (int32_t l = 0; l < lanes; l++) narrow[l] = 0, wide[l] = 0;                                                \
        for (const spq_run *run = runs; run < runs + count; run++) {                                                   \
            const spq_event *event = lists->events + run->first, *last = lists->events + run->last;                    \
            while (event < last) {                                                                                     \
                const spq_event *end = within(event, last, room);                                                      \
                room -= (int32_t)(end - event);                                                                        \
                for (; event < end; event++) {                                                                         \
                    const narrow_type *row = codes + (run->base + *event);                                             \
                    for (int32_t l = 0; l < lanes; l++) narrow[l] = (narrow_type)(narrow[l] + row[l]);                 \
                }                                                                                                      \
                if (room > 0) continue;                                                                                \
                for (int32_t l = 0; l < lanes; l++) wide[l] = (wide_type)(wide[l] + narrow[l]);                        \
                for (int32_t l = 0; l < lanes; l++) narrow[l] = 0;                                                     \
                room = c->limit;                                                                                       \
            }                                                                                                          \
        }                                                                                                              \
        for (int32_t l = 0; l < lanes; l++) wide[l] = (wide_type)(wide[l] + narrow[l]);                                \
        KEEP(c, wide, lanes, sums, lane)                                                                               \
    }

#else
#define AT_ONCE 8 /* outputs: their sums lie in registers */

/* Events in sums of 32 bits, where there are no lanes. */
#define ADD(name, member, narrow_type, wide_type)                                                                      \
    SPQ_INLINE void name(const spq_connection *c, const spq_lists *lists, const spq_run *runs, int32_t count,          \
                         int32_t lane, const int32_t lanes, void *sums) {                                              \
        const narrow_type *codes = c->member + lane;                                                                   \
        int32_t found[AT_ONCE];                                                                                        \
        for (int32_t l = 0; l < lanes; l++) found[l] = 0;                                                              \
        for (const spq_run *run = runs; run < runs + count; run++)                                                     \
            for (uint32_t i = run->first; i < run->last; i++) {                                                        \
                const narrow_type *row = codes + (run->base + lists->events[i]);                                       \
                SPQ_UNROLL(8)                                                                                          \
                for (int32_t l = 0; l < lanes; l++) found[l] += row[l];                                                \
            }                                                                                                          \
        KEEP(c, found, lanes, sums, lane)                                                                              \
    }
#endif

ADD(add8, codes8, int8_t, int16_t)
ADD(add16, codes16, int16_t, int32_t)

/* Events times their values. */
#define MULTIPLY(name, type)                                                                                           \
    SPQ_INLINE void name(const spq_connection *c, const spq_lists *lists, const spq_run *runs, int32_t count,          \
                         int32_t lane, const int32_t lanes, void *sums) {                                              \
        const int16_t *codes = c->codes16 + lane;                                                                      \
        type found[AT_ONCE];                                                                                           \
        for (int32_t l = 0; l < lanes; l++) found[l] = 0;                                                              \
        for (const spq_run *run = runs; run < runs + count; run++)                                                     \
            for (uint32_t i = run->first; i < run->last; i++) {                                                        \
                const int16_t *row = codes + (run->base + lists->events[i]);                                           \
                const type value = (type)lists->values[i];                                                             \
                SPQ_UNROLL_ON_DEVICES(8)                                                                               \
                for (int32_t l = 0; l < lanes; l++) found[l] = (type)(found[l] + value * row[l]);                      \
            }                                                                                                          \
        KEEP(c, found, lanes, sums, lane)                                                                              \
    }

MULTIPLY(multiply, int32_t)
MULTIPLY(multiply16, int16_t)

/* A unit, or several, in the form of the connection; lanes is a constant, so that each width is a body of its own. */
SPQ_INLINE void add(const spq_connection *c, const spq_lists *lists, const spq_run *runs, int32_t count, int32_t lane,
                    const int32_t lanes, void *sums) {
    if (SPQ_IS(c, SPQ_ADD8)) add8(c, lists, runs, count, lane, lanes, sums);
    else if (SPQ_IS(c, SPQ_ADD16)) add16(c, lists, runs, count, lane, lanes, sums);
    else if (SPQ_HOST && SPQ_IS(c, SPQ_MULTIPLY16)) multiply16(c, lists, runs, count, lane, lanes, sums);
    else if (SPQ_IS(c, SPQ_MULTIPLY) || SPQ_IS(c, SPQ_MULTIPLY16)) multiply(c, lists, runs, count, lane, lanes, sums);
}

/* Events of one pixel under one tap of the kernel; here an event is x * channels + channel. */
static void add_tap(const spq_connection *c, const spq_lists *lists, const spq_line *line, int32_t x, int32_t kx,
                    int32_t *sums) {
    const uint32_t *starts = lists->starts + line->starts + x;
    const uint32_t row = (uint32_t)c->row, channels = (uint32_t)c->channels;
    const int16_t *tap = c->codes16 + (line->codes + (uint32_t)kx * channels * row);
    for (uint32_t i = line->events + starts[0]; i < line->events + starts[1]; i++) {
        const uint32_t channel = lists->events[i] - (uint32_t)x * channels;
        const int16_t *codes = tap + channel * row;
        const int32_t value = lists->values[i];
        int32_t *outputs = sums + c->group_start[channel];
        for (uint32_t o = 0; o < row; o++) outputs[o] += value * codes[o];
    }
}

static void add_groups(const spq_connection *c, const spq_lists *lists, const spq_view *view, int32_t x,
                       int32_t *sums) {
    for (int32_t o = 0; o < c->units * SPQ_UNIT; o++) sums[o] = 0;
    for (int32_t j = 0; j < c->window; j++, x += c->slide_width)
        for (int32_t kx = 0; kx < c->kernel_width; kx++) {
            if (x + kx < 0 || x + kx >= c->width) continue;
            for (int32_t i = 0; i < view->line_count; i++) add_tap(c, lists, &view->lines[i], x + kx, kx, sums);
        }
}

#if SPQ_HOST
/* Units from the first on that are computed together: 8, 4, 2 or 1; 0 where their tile is skipped. */
static int32_t together(const uint8_t *marks, int32_t unit, int32_t units) {
    int32_t n = 0;
    while (unit + n < units && n < 8 && !(marks && marks[(unit + n) >> 1])) n++;
    return n > 4 && n < 8 ? 4 : n == 3 ? 2 : n;
}

/* All that are not skipped. */
static void add_tiles(const spq_connection *c, const spq_lists *lists, const spq_run *runs, int32_t count,
                      const uint8_t *marks, void *sums) {
    for (int32_t unit = 0, n; unit < c->units; unit += n ? n : 2) {
        n = together(marks, unit, c->units);
        if (n == 8) add(c, lists, runs, count, unit * SPQ_UNIT, 8 * SPQ_UNIT, sums);
        else if (n == 4) add(c, lists, runs, count, unit * SPQ_UNIT, 4 * SPQ_UNIT, sums);
        else if (n == 2) add(c, lists, runs, count, unit * SPQ_UNIT, 2 * SPQ_UNIT, sums);
        else if (!SPQ_HAS_LANES && n == 1) add(c, lists, runs, count, unit * SPQ_UNIT, SPQ_UNIT, sums);
    }
}

#else
/* Tiles that are not skipped, a few outputs at a time. */
static void add_tiles(const spq_connection *c, const spq_lists *lists, const spq_run *runs, int32_t count,
                      const uint8_t *marks, void *sums) {
    for (int32_t lane = 0; lane < c->tiles * SPQ_LANES; lane += AT_ONCE)
        if (!marks || !marks[lane >> 5]) add(c, lists, runs, count, lane, AT_ONCE, sums);
}
#endif

/* Codes at their bits times the values of events: fields are raised by `lift`, which all of them take back at last. */
SPQ_INLINE void take_fields(const uint32_t *words, const int32_t bits, int32_t count, uint32_t value, uint32_t *sums) {
    const uint32_t mask = (1u << bits) - 1u;
    for (int32_t w = 0; w < count; w++) {
        uint32_t word = words[w];
        for (int32_t k = 0; k < 32; k += bits, word >>= bits) *sums++ += value * (word & mask);
    }
}

static void take_products(const spq_connection *c, const spq_lists *lists, const spq_run *runs, int32_t count,
                          int32_t *wide) {
    const spq_packed *p = c->packed;
    uint32_t total = 0, *sums = (uint32_t *)wide; /* what is raised may wrap, and does so back */
    for (int32_t o = 0; o < c->units * SPQ_UNIT; o++) sums[o] = 0;
    for (const spq_run *run = runs; run < runs + count; run++)
        for (uint32_t i = run->first; i < run->last; i++) {
            const uint32_t *words = p->words + (run->base + lists->events[i]);
            const uint32_t value = (uint32_t)lists->values[i];
            total += value;
            if (p->bits == 2) take_fields(words, 2, c->row, value, sums);
            else if (p->bits == 4) take_fields(words, 4, c->row, value, sums);
            else take_fields(words, 8, c->row, value, sums);
        }
    for (int32_t o = 0; o < c->units * SPQ_UNIT; o++) sums[o] -= total * (uint32_t)p->lift;
}

#if SPQ_TERMS
void spq_sum_runs(const spq_connection *c, const spq_lists *lists, const spq_run *runs, int32_t count, int32_t *sums) {
    if (SPQ_IS(c, SPQ_PACKED)) spq_packed_sums(c, lists, runs, count, sums);
    else if (SPQ_IS(c, SPQ_PRODUCTS)) take_products(c, lists, runs, count, sums);
    else add_tiles(c, lists, runs, count, 0, sums);
}

void spq_sum_tap(const spq_connection *c, const spq_lists *lists, const spq_line *line, int32_t x, int32_t kx,
                 int32_t *sums) {
    add_tap(c, lists, line, x, kx, sums);
}
#endif

void spq_sum(const spq_connection *c, const spq_lists *lists, const spq_view *view, int32_t x, const uint8_t *marks,
             void *sums) {
    if (SPQ_IS(c, SPQ_GROUPED)) { /* always wide */
        add_groups(c, lists, view, x, (int32_t *)sums);
        return;
    }
    const spq_run *runs = view->runs;
    const int32_t count = spq_collect(c, lists, view, x);
    if (SPQ_IS(c, SPQ_PACKED)) {
        spq_packed_sums(c, lists, runs, count, (int32_t *)sums);
        return;
    }
    if (SPQ_IS(c, SPQ_PRODUCTS)) take_products(c, lists, runs, count, (int32_t *)sums);
    else add_tiles(c, lists, runs, count, marks, sums);
}
