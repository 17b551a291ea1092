/* terms: term by term, row by row. What a row looks at is listed as for any connection; where rows and columns of the
 * kernel or of the input lie apart, runs of events are collected one column at a time. */
#include "terms.h"
#include "scaled.h"
#include "shortcut.h"
#include "sums.h"
#include "windows.h"

#if SPQ_TERMS

static void *part_of(const spq_moment *m, spq_region region) {
    return (uint8_t *)m->arena + region.offset;
}

static int32_t row_of_sums(const spq_connection *c) {
    return c->out_width * c->units * SPQ_UNIT;
}

static int32_t words_of(const spq_connection *c) {
    return c->out_height * c->out_width * c->tiles;
}

static int32_t is_input(const spq_network *network, int32_t source) {
    return source < network->general->input_count;
}

static int32_t size_of(const spq_input *input) {
    return input->channels * input->height * input->width;
}

/* ---- what comes in ---- */

static spq_source source_of(const spq_moment *m, const spq_term *term) {
    const spq_network *network = m->network;
    spq_source source = {0, 0, 0};
    if (is_input(network, term->source)) {
        const uint8_t *past = (const uint8_t *)part_of(m, term->past);
        source.pixels = term->past.size ? past : m->frame + network->general->inputs[term->source].offset;
    } else if (term->past.size) {
        source.spikes = (const uint32_t *)part_of(m, term->past);
    } else {
        const spq_layer *layer = &network->layers[term->source - network->general->input_count];
        source.spikes = (const uint32_t *)part_of(m, layer->spikes) + m->step * words_of(&layer->connection);
    }
    return source;
}

/* Behind the pools; bytes with signs, and what pools see of pixels, are numbers. */
static spq_source pooled(const spq_moment *m, const spq_term *term) {
    const spq_general *general = m->network->general;
    spq_source source = source_of(m, term);
    int32_t height = term->connection.height, width = term->connection.width, next = 0;
    const int32_t channels = term->connection.channels;
    const spq_layer *layers = m->network->layers;
    int32_t signs = 0;
    if (is_input(m->network, term->source)) {
        const spq_input *input = &general->inputs[term->source];
        signs = input->signs;
        if (term->pool_count) height = input->height, width = input->width;
    } else if (term->pool_count) {
        const spq_connection *c = &layers[term->source - general->input_count].connection;
        height = c->out_height, width = c->out_width;
    }
    if (source.pixels && (signs || term->pool_count)) {
        int32_t *to = (int32_t *)part_of(m, general->values[next]);
        spq_as_counts(&source, signs, height, width, channels, to);
        source.pixels = 0, source.counts = to;
        next ^= 1;
    }
    for (int32_t i = 0; i < term->pool_count; i++) {
        const spq_window *pool = &term->pools[i];
        source = spq_windowed(pool, source, height, width, channels, part_of(m, general->values[next]));
        height = pool->height, width = pool->width;
        next ^= 1;
    }
    return source;
}

/* ---- sums of a term ---- */

/* A row or column of the source, with so many of zeros behind it. */
typedef struct {
    int32_t line, behind;
} spq_place;

static spq_place moved(spq_place place, int32_t by, int32_t spread) {
    if (spread == 1) {
        place.line += by;
        return place;
    }
    place.behind += by;
    while (place.behind >= spread) place.behind -= spread, place.line++;
    while (place.behind < 0) place.behind += spread, place.line--;
    return place;
}

static spq_lists lists_of(const spq_moment *m, const spq_term *term) {
    const spq_scratch *scratch = &m->network->scratch;
    spq_lists lists = spq_lists_of(&term->connection, (uint32_t *)part_of(m, scratch->starts),
                                   (spq_event *)part_of(m, scratch->events), (int32_t *)part_of(m, scratch->values));
    lists.rows = term->rows;
    return lists;
}

/* The lines under a row of outputs, the first of which is `place`; all rows are listed, each in its own slot. */
static void look_apart(const spq_term *term, const spq_lists *lists, spq_place place, spq_view *view) {
    const spq_connection *c = &term->connection;
    const uint32_t kernel_row = (uint32_t)c->kernel_width * (uint32_t)c->channels * (uint32_t)c->row;
    spq_line *line = view->lines;
    for (int32_t ky = 0; ky < c->kernel_height; ky++, place = moved(place, term->dilation_height, term->spread_height)) {
        if (place.behind || place.line < 0 || place.line >= c->height) continue;
        line->starts = (uint32_t)place.line * ((uint32_t)lists->width + 1u);
        line->events = (uint32_t)place.line * lists->capacity;
        line->codes = (uint32_t)ky * kernel_row;
        line++;
    }
    view->line_count = (int32_t)(line - view->lines);
}

/* One output, which looks at columns from `place` on. */
static void sum_apart(const spq_term *term, const spq_lists *lists, const spq_view *view, spq_place place,
                      int32_t *sums) {
    const spq_connection *c = &term->connection;
    const uint32_t pixel = (uint32_t)c->channels * (uint32_t)c->row;
    const int32_t grouped = SPQ_IS(c, SPQ_GROUPED);
    spq_run *run = view->runs;
    for (int32_t o = 0; grouped && o < c->units * SPQ_UNIT; o++) sums[o] = 0;
    for (int32_t kx = 0; kx < c->kernel_width; kx++, place = moved(place, term->dilation_width, term->spread_width)) {
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

/* A term at work: the lists of its input, and where the next row of outputs looks. */
typedef struct {
    spq_lists lists;
    spq_view view;
    spq_source source;
    int32_t apart, listed, top, slot; /* rows above `listed` need not be listed again */
    spq_place place;                  /* of the first row under the next row of outputs, where it lies apart */
} spq_walk;

static spq_walk walk_of(const spq_moment *m, const spq_term *term, spq_source source) {
    const spq_scratch *scratch = &m->network->scratch;
    const spq_connection *c = &term->connection;
    spq_walk walk = {lists_of(m, term), {0, (spq_line *)part_of(m, scratch->lines), (spq_run *)part_of(m, scratch->runs)},
                     source, is_apart(term), 0, -c->pad_height, 0, {0, 0}};
    if (!walk.apart) return walk;
    for (int32_t y = 0; y < c->height; y++) spq_list_row(&walk.lists, &source, c->height, y, y);
    walk.place = moved(walk.place, -c->pad_height, term->spread_height);
    return walk;
}

/* The sums of the next row of outputs. */
static void next_row(const spq_term *term, spq_walk *walk, int32_t *sums) {
    const spq_connection *c = &term->connection;
    const spq_lists *lists = &walk->lists;
    const int32_t pitch = c->units * SPQ_UNIT;
    if (walk->apart) {
        look_apart(term, lists, walk->place, &walk->view);
        spq_place place = moved((spq_place){0, 0}, -c->pad_width, term->spread_width);
        for (int32_t column = 0; column < c->out_width; column++, sums += pitch) {
            sum_apart(term, lists, &walk->view, place, sums);
            place = moved(place, c->step_width, term->spread_width);
        }
        walk->place = moved(walk->place, c->step_height, term->spread_height);
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

/* ---- weighing ---- */

static void add_weighed(const spq_term *term, const int32_t *sums, int32_t units, int32_t width, int32_t *to) {
    const int32_t pitch = units * SPQ_UNIT, *multiplier = term->multiplier;
    for (int32_t x = 0; x < width; x++, sums += pitch, to += pitch) {
        if (!multiplier && !term->shift)
            for (int32_t c = 0; c < pitch; c++) to[c] += sums[c];
        else if (!term->shift)
            for (int32_t c = 0; c < pitch; c++) to[c] += sums[c] * multiplier[c];
        else
            for (int32_t c = 0; c < pitch; c++)
                to[c] += spq_scaled(sums[c], multiplier ? multiplier[c] : 1, 0, term->shift, INT32_MIN, INT32_MAX);
    }
}

/* Add a term to a map of sums; where it is the first, what is there means nothing. */
static void add_term(const spq_moment *m, const spq_term *term, const spq_connection *to, int32_t first,
                     spq_source source, int32_t *map) {
    const spq_connection *c = &term->connection;
    const int32_t size = row_of_sums(to), plain = !term->multiplier && !term->shift && !term->sum_pool;
    const int32_t identity = SPQ_IS(c, SPQ_IDENTITY);
    int32_t *sums = (int32_t *)part_of(m, m->network->scratch.sums);
    if (first && (identity || !plain))
        for (int32_t i = 0; i < to->out_height * size; i++) map[i] = 0;
    spq_walk walk = {0};
    if (!identity) walk = walk_of(m, term, source);
    int32_t *part = (int32_t *)part_of(m, m->network->general->part);
    for (int32_t row = 0; term->sum_pool && row < c->out_height; row++)
        next_row(term, &walk, part + row * row_of_sums(c));
    for (int32_t row = 0; row < to->out_height; row++, map += size) {
        if (identity && plain) {
            spq_add_identity(c, 0, source.spikes, row, map);
        } else if (first && plain) {
            next_row(term, &walk, map);
        } else {
            if (identity) {
                for (int32_t i = 0; i < size; i++) sums[i] = 0;
                spq_add_identity(c, 0, source.spikes, row, sums);
            } else if (term->sum_pool) {
                spq_window_row(term->sum_pool, part, c->out_height, c->out_width, c->units * SPQ_UNIT, row, sums);
            } else {
                next_row(term, &walk, sums);
            }
            add_weighed(term, sums, to->units, to->out_width, map);
        }
    }
}

/* How many inputs are not zero where a gate looks. */
static void count_active(const spq_moment *m, const spq_term *term, const spq_window *gate, spq_source source) {
    const spq_connection *c = &term->connection;
    const int32_t words = spq_words(c->channels), places = c->height * c->width;
    int32_t *found = (int32_t *)part_of(m, m->network->general->active), *each = found + gate->height * gate->width;
    for (int32_t i = 0; i < places; i++) {
        int32_t active = 0;
        for (int32_t k = 0; source.spikes && k < words; k++) active += spq_ones(source.spikes[i * words + k]);
        for (int32_t k = 0; source.counts && k < c->channels; k++) active += source.counts[i * c->channels + k] != 0;
        each[i] = active;
    }
    for (int32_t row = 0; row < gate->height; row++)
        spq_window_row(gate, each, c->height, c->width, 1, row, found + row * gate->width);
}

static int32_t is_still(const spq_moment *m, const spq_term *term) {
    return is_input(m->network, term->source) && !term->past.size;
}

int32_t *spq_sum_terms(const spq_moment *m, const spq_terms *terms, const spq_connection *sums) {
    int32_t *map = (int32_t *)part_of(m, m->network->general->map), *still = (int32_t *)part_of(m, terms->still), first = 1;
    if (terms->still.size) {
        for (int32_t i = 0; i < terms->count && !m->repeated; i++) {
            const spq_term *term = &terms->terms[i];
            if (!is_still(m, term)) continue;
            add_term(m, term, sums, first, pooled(m, term), still);
            first = 0;
        }
        for (int32_t i = 0; i < sums->out_height * row_of_sums(sums); i++) map[i] = still[i];
        first = 0;
    }
    for (int32_t i = 0; i < terms->count; i++) {
        const spq_term *term = &terms->terms[i];
        if (is_still(m, term)) continue;
        const spq_source source = pooled(m, term);
        if (i == 0 && terms->gate) count_active(m, term, terms->gate, source);
        add_term(m, term, sums, first, source, map);
        first = 0;
    }
    return map;
}

/* ---- from step to step ---- */

void spq_keep_pasts(const spq_moment *m) {
    const spq_general *general = m->network->general;
    for (int32_t i = 0; i < general->past_count; i++) {
        const spq_past *past = &general->pasts[i];
        uint8_t *to = (uint8_t *)part_of(m, past->region);
        const uint8_t *from;
        int32_t size;
        if (is_input(m->network, past->source)) {
            const spq_input *input = &general->inputs[past->source];
            from = m->frame + input->offset, size = size_of(input);
        } else {
            const spq_layer *layer = &m->network->layers[past->source - general->input_count];
            from = (const uint8_t *)part_of(m, layer->spikes), size = 4 * words_of(&layer->connection);
        }
        for (int32_t k = 0; k < size; k++) to[k] = from[k];
    }
}

void spq_integrate(const spq_moment *m, const spq_readout *r, const int32_t *sums) {
    const spq_connection *c = &r->connection;
    const int32_t unit = 1 << r->fraction, half = (1 << r->leak_shift) >> 1;
    int32_t *kept = (int32_t *)part_of(m, r->integrator), *answer = (int32_t *)part_of(m, m->network->logits) + r->answer;
    for (int32_t i = 0; i < c->out_height * c->out_width; i++, sums += c->units * SPQ_UNIT)
        for (int32_t o = 0; o < c->outputs; o++, kept++, answer++) {
            int32_t value = *kept;
            if (r->leak) value = spq_scaled(value, r->leak[o], half, r->leak_shift, INT32_MIN, INT32_MAX);
            value += sums[o] * unit + r->bias[o];
            *kept = value;
            if (r->over_time == SPQ_TOTAL) *answer += value;
            else if (r->over_time == SPQ_LAST || value > *answer) *answer = value;
        }
}

void spq_reset_general(const spq_network *network, void *arena) {
    const spq_general *general = network->general;
    uint8_t *memory = (uint8_t *)arena;
    for (int32_t i = 0; i < general->past_count; i++)
        for (uint32_t k = 0; k < general->pasts[i].region.size; k++) memory[general->pasts[i].region.offset + k] = 0;
    for (int32_t i = 0; i < general->readout_count; i++) {
        const spq_readout *r = &general->readouts[i];
        int32_t *kept = (int32_t *)(void *)(memory + r->integrator.offset);
        int32_t *answer = (int32_t *)(void *)(memory + network->logits.offset) + r->answer;
        const int32_t start = r->over_time == SPQ_GREATEST ? INT32_MIN : 0;
        for (int32_t k = 0; k < r->connection.out_height * r->connection.out_width * r->connection.outputs; k++)
            kept[k] = 0, answer[k] = start;
    }
}

#endif
