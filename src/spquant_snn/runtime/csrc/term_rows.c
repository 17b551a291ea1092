/* term_rows: what a row looks at is listed as for any connection; where rows and columns of the kernel or of the input
 * lie apart, runs of events are collected one column at a time. */
#include "term_rows.h"
#include "dense.h"
#include "compilers.h"
#include "sums.h"

#if SPQ_TERMS

static void *memory_of(void *arena, spq_region region) {
    return (uint8_t *)arena + region.offset;
}

static void move(spq_place *place, int32_t by, int32_t spread) {
    if (spread == 1) {
        place->line += by;
        return;
    }
    place->behind += by;
    while (place->behind >= spread) place->behind -= spread, place->line++;
    while (place->behind < 0) place->behind += spread, place->line--;
}

static spq_lists lists_of(const spq_network *network, void *arena, const spq_term *term) {
    const spq_scratch *scratch = &network->scratch;
    spq_lists lists = spq_lists_of(&term->connection, (uint32_t *)memory_of(arena, scratch->starts),
                                   (spq_event *)memory_of(arena, scratch->events),
                                   (int32_t *)memory_of(arena, scratch->values));
    lists.rows = term->rows;
    return lists;
}

/* The lines under a row of outputs, from the first on; all rows are listed, each in its own slot. */
static void look_apart(const spq_term *term, const spq_lists *lists, const spq_place *first, spq_view *view) {
    spq_place place;
    place.line = first->line, place.behind = first->behind;
    const spq_connection *c = &term->connection;
    const uint32_t kernel_row = (uint32_t)c->kernel_width * (uint32_t)c->channels * (uint32_t)c->row;
    spq_line *line = view->lines;
    for (int32_t ky = 0; ky < c->kernel_height; ky++) {
        if (!place.behind && place.line >= 0 && place.line < c->height) {
            line->starts = (uint32_t)place.line * ((uint32_t)lists->width + 1u);
            line->events = (uint32_t)place.line * lists->capacity;
            line->codes = (uint32_t)ky * kernel_row;
            line++;
        }
        move(&place, term->dilation_height, term->spread_height);
    }
    view->line_count = (int32_t)(line - view->lines);
}

/* One output, which looks at columns from the first on. */
static void sum_apart(const spq_term *term, const spq_lists *lists, const spq_view *view, const spq_place *first,
                      int32_t *sums) {
    spq_place place;
    place.line = first->line, place.behind = first->behind;
    const spq_connection *c = &term->connection;
    const uint32_t pixel = (uint32_t)c->channels * (uint32_t)c->row;
    const int32_t grouped = SPQ_IS(c, SPQ_GROUPED);
    spq_run *run = view->runs;
    for (int32_t o = 0; grouped && o < c->units * SPQ_UNIT; o++) sums[o] = 0;
    for (int32_t kx = 0; kx < c->kernel_width; kx++, move(&place, term->dilation_width, term->spread_width)) {
        const int32_t x = place.line;
        if (place.behind || x < 0 || x >= c->width) continue;
        for (const spq_line *line = view->lines; line < view->lines + view->line_count; line++) {
            if (grouped) {
                spq_sum_tap(c, lists, line, x, kx, sums);
                continue;
            }
            const uint32_t *starts = lists->starts + line->starts + x;
            run->first = line->events + starts[0];
            run->last = line->events + starts[1];
            run->base = line->codes + (uint32_t)kx * pixel - (uint32_t)x * pixel;
            run += run->first != run->last;
        }
    }
    if (!grouped) spq_sum_runs(c, lists, view->runs, (int32_t)(run - view->runs), sums);
}

static int32_t is_apart(const spq_term *term) {
    return term->dilation_height != 1 || term->dilation_width != 1 || term->spread_height != 1 ||
           term->spread_width != 1;
}

/* Field by field: compilers for devices copy whole structs by memcpy, which is not there. */
void spq_start_walk(const spq_network *network, void *arena, const spq_term *term, spq_source source, spq_walk *walk) {
    const spq_scratch *scratch = &network->scratch;
    const spq_connection *c = &term->connection;
    walk->lists = lists_of(network, arena, term);
    walk->view.line_count = 0;
    walk->view.lines = (spq_line *)memory_of(arena, scratch->lines);
    walk->view.runs = (spq_run *)memory_of(arena, scratch->runs);
    walk->source = source;
    walk->apart = is_apart(term);
    walk->listed = 0;
    walk->top = -c->pad_height;
    walk->slot = 0;
    walk->place.line = 0, walk->place.behind = 0;
    walk->row = 0;
    walk->frame = 0;
#if SPQ_HAS_LANES
    if (c->form == SPQ_DENSE) {
        walk->frame = (int16_t *)memory_of(arena, scratch->frame);
        const spq_frame frame = spq_frame_of(c, walk->frame);
        spq_fill_frame(c, source.pixels, network->general->inputs[term->source].signs, &frame);
        return;
    }
#endif
    if (!walk->apart) return;
    for (int32_t y = 0; y < c->height; y++) spq_list_row(&walk->lists, &source, c->height, y, y);
    move(&walk->place, -c->pad_height, term->spread_height);
}

void spq_next_row(const spq_term *term, spq_walk *walk, int32_t *sums) {
    const spq_connection *c = &term->connection;
#if SPQ_HAS_LANES
    if (c->form == SPQ_DENSE) {
        const spq_frame frame = spq_frame_of(c, walk->frame);
        spq_dense_row(c, &frame, walk->row++, sums);
        return;
    }
#endif
    const spq_lists *lists = &walk->lists;
    const int32_t pitch = c->units * SPQ_UNIT;
    if (walk->apart) {
        look_apart(term, lists, &walk->place, &walk->view);
        spq_place place;
        place.line = 0, place.behind = 0;
        move(&place, -c->pad_width, term->spread_width);
        for (int32_t column = 0; column < c->out_width; column++, sums += pitch) {
            sum_apart(term, lists, &walk->view, &place, sums);
            move(&place, c->step_width, term->spread_width);
        }
        move(&walk->place, c->step_height, term->spread_height);
        return;
    }
    const int32_t below = walk->top + lists->rows < c->height ? walk->top + lists->rows : c->height;
    for (int32_t y = walk->listed > walk->top ? walk->listed : walk->top; y < below; y++) {
        const int32_t place = walk->slot + y - walk->top;
        spq_list_row(lists, &walk->source, c->height, y, place < lists->rows ? place : place - lists->rows);
    }
    walk->listed = below > walk->listed ? below : walk->listed;
    spq_look(c, lists, walk->top, walk->slot, &walk->view);
    for (int32_t column = 0, x = -c->pad_width; column < c->out_width; column++, x += c->step_width, sums += pitch)
        spq_sum(c, lists, &walk->view, x, 0, sums);
    walk->top += c->step_height, walk->slot += c->step_height;
    while (walk->slot >= lists->rows) walk->slot -= lists->rows;
}

#endif
