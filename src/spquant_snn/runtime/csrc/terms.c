/* terms: term by term, row by row: what comes in is pooled, summed, pooled again, weighed and added. */
#include "terms.h"
#include "scaled.h"
#include "shortcut.h"
#include "term_rows.h"
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
    if (source.pixels && !SPQ_IS(&term->connection, SPQ_DENSE) && (signs || term->pool_count)) {
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

static int32_t is_plain(const spq_term *term) {
    return !term->multiplier && !term->shift && !term->sum_pool;
}

/* Add the spikes of a term whose channels go each to that of its number. */
static void add_spikes(const spq_moment *m, const spq_term *term, const spq_connection *to, const uint32_t *spikes,
                       int32_t *map) {
    const int32_t size = row_of_sums(to);
    int32_t *sums = (int32_t *)part_of(m, m->network->scratch.sums);
    for (int32_t row = 0; row < to->out_height; row++, map += size) {
        if (is_plain(term)) {
            spq_add_identity(&term->connection, 0, spikes, row, map);
            continue;
        }
        for (int32_t i = 0; i < size; i++) sums[i] = 0;
        spq_add_identity(&term->connection, 0, spikes, row, sums);
        add_weighed(term, sums, to->units, to->out_width, map);
    }
}

/* Add a term to a map of sums; where it is the first, what is there means nothing. */
static void add_term(const spq_moment *m, const spq_term *term, const spq_connection *to, int32_t first,
                     spq_source source, int32_t *map) {
    const spq_connection *c = &term->connection;
    const int32_t size = row_of_sums(to), identity = SPQ_IS(c, SPQ_IDENTITY);
    if (first && (identity || !is_plain(term)))
        for (int32_t i = 0; i < to->out_height * size; i++) map[i] = 0;
    if (identity) {
        add_spikes(m, term, to, source.spikes, map);
        return;
    }
    spq_walk walk;
    spq_start_walk(m->network, m->arena, term, source, &walk);
    int32_t *sums = (int32_t *)part_of(m, m->network->scratch.sums);
    int32_t *part = (int32_t *)part_of(m, m->network->general->part);
    for (int32_t row = 0; term->sum_pool && row < c->out_height; row++)
        spq_next_row(term, &walk, part + row * row_of_sums(c));
    for (int32_t row = 0; row < to->out_height; row++, map += size) {
        if (first && is_plain(term)) {
            spq_next_row(term, &walk, map);
            continue;
        }
        if (term->sum_pool)
            spq_window_row(term->sum_pool, part, c->out_height, c->out_width, c->units * SPQ_UNIT, row, sums);
        else
            spq_next_row(term, &walk, sums);
        add_weighed(term, sums, to->units, to->out_width, map);
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

static int32_t all_still(const spq_moment *m, const spq_terms *terms) {
    int32_t all = 1;
    for (int32_t i = 0; i < terms->count; i++) all &= is_still(m, &terms->terms[i]);
    return all;
}

int32_t *spq_sum_terms(const spq_moment *m, const spq_terms *terms, const spq_connection *sums) {
    int32_t *map = (int32_t *)part_of(m, m->network->general->map), *still = (int32_t *)part_of(m, terms->still);
    int32_t first = 1;
    if (terms->still.size) {
        for (int32_t i = 0; i < terms->count && !m->repeated; i++) {
            const spq_term *term = &terms->terms[i];
            if (!is_still(m, term)) continue;
            add_term(m, term, sums, first, pooled(m, term), still);
            first = 0;
        }
        if (!terms->current && all_still(m, terms)) return still;
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
    int32_t *kept = (int32_t *)part_of(m, r->integrator);
    int32_t *answer = (int32_t *)part_of(m, m->network->logits) + r->answer;
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
