/* check: what this build can run, whether a network is that, and its arena as large as it needs. */
#include "dense.h"
#include "events.h"
#include "lanes.h"
#include "packed.h"
#include "sliced.h"

/* What counts as too much for any arena, and stays so when such numbers are added. */
#define TOO_MUCH (UINT64_C(1) << 48)

/* The product of what is there, in 64 bits; numbers below zero and those beyond 2^32 make it too much. */
static uint64_t times(int64_t a, int64_t b) {
    if (a < 0 || b < 0 || a >> 32 || b >> 32) return TOO_MUCH;
    const uint64_t product = (uint64_t)a * (uint64_t)b;
    return product < TOO_MUCH ? product : TOO_MUCH;
}

static uint64_t times3(int64_t a, int64_t b, int64_t c) {
    return times((int64_t)times(a, b), c);
}

/* Whether so many places can have numbers of 31 bits, as the source gives them. */
static int32_t countable(uint64_t places) {
    return places <= INT32_MAX;
}

static int32_t fits(spq_region region, uint64_t needed, uint32_t arena_size) {
    return (region.offset & 3u) == 0 && (uint64_t)region.offset + region.size <= arena_size && needed <= region.size;
}

/* No stage of pooling is larger than what comes in. */
static int32_t check_pools(const spq_connection *c, const spq_scratch *scratch, int32_t first, uint32_t size) {
    int32_t height = c->source_height, width = c->source_width, counted = first;
    for (int32_t i = 0; i < c->pool_count; i++) {
        const spq_pool *pool = &c->pools[i];
        if (pool->kernel < 1 || pool->stride < 1 || pool->height < 1 || pool->width < 1) return SPQ_BAD_SHAPE;
        if (times(pool->height - 1, pool->stride) + (uint64_t)pool->kernel > (uint64_t)height ||
            times(pool->width - 1, pool->stride) + (uint64_t)pool->kernel > (uint64_t)width)
            return SPQ_BAD_SHAPE;
        height = pool->height, width = pool->width;
        counted |= !pool->largest;
    }
    if (height != c->height || width != c->width) return SPQ_BAD_SHAPE;
    const int32_t each = counted ? c->channels : spq_words(c->channels);
    const uint64_t needed = 4u * times3(c->source_height, c->source_width, each);
    const int32_t enough = fits(scratch->pooled[0], needed, size) && fits(scratch->pooled[1], needed, size);
    return c->pool_count == 0 || enough ? SPQ_OK : SPQ_BAD_ARENA;
}

/* Lists of so many rows, and runs of an output. */
static int32_t check_lists(const spq_connection *c, const spq_scratch *s, uint64_t rows, uint64_t runs, int32_t marked,
                           uint32_t size) {
    const uint64_t count = times3((int64_t)rows, c->width, c->channels), events = sizeof(spq_event) * count;
    const uint64_t lines = times(c->window, c->kernel_height);
    const uint64_t codes = times((int64_t)times3(c->kernel_height, c->kernel_width, c->channels), c->row);
    if (!countable(codes) || !countable(count) || !countable(times3(c->width, c->channels, c->row)))
        return SPQ_BAD_SHAPE;
    const int32_t packed = c->form == SPQ_PACKED && c->packed->bits == 16;
    const int32_t multiplied = c->form == SPQ_MULTIPLY || c->form == SPQ_MULTIPLY16;
    const int32_t weighed = packed || multiplied || c->form == SPQ_GROUPED;
    const uint64_t starts = 4u * times((int64_t)rows + marked, (int64_t)c->width + 1);
    return fits(s->starts, starts, size) && fits(s->events, events, size) &&
                   fits(s->values, weighed ? 4u * count : 0, size) && fits(s->lines, lines * sizeof(spq_line), size) &&
                   fits(s->runs, runs * sizeof(spq_run), size)
               ? SPQ_OK
               : SPQ_BAD_ARENA;
}

static int32_t check_events(const spq_connection *c, const spq_scratch *s, int32_t marked, uint32_t size) {
    if (c->limit < 1 || c->window < 1 || c->slide_height < 1 || c->slide_width < 1) return SPQ_BAD_SHAPE;
    const uint64_t rows = times(c->window - 1, c->slide_height) + (uint64_t)c->kernel_height;
    return check_lists(c, s, rows, times3(c->window, c->window, c->kernel_height), marked, size);
}

static int32_t check_dense(const spq_connection *c, const spq_scratch *s, int32_t first, uint32_t size) {
    if (!SPQ_HAS_LANES) return SPQ_BAD_BODY;
    const int64_t width = c->width + 2 * (int64_t)c->pad_width, height = c->height + 2 * (int64_t)c->pad_height;
    if (!countable(times(width, c->channels) + 3u)) return SPQ_BAD_SHAPE; /* what the frame counts itself would wrap */
    const uint64_t right = times(c->out_width - 1, c->step_width) + (uint64_t)c->kernel_width;
    const uint64_t below = times(c->out_height - 1, c->step_height) + (uint64_t)c->kernel_height;
    if (!first || c->window != 1 || c->pool_count || right > (uint64_t)width || below > (uint64_t)height)
        return SPQ_BAD_SHAPE;
    if (!countable(times((int64_t)times3(c->kernel_height, c->kernel_width, c->channels), c->row)))
        return SPQ_BAD_SHAPE;
    const spq_frame frame = spq_frame_of(c, 0);
    return fits(s->frame, 2u * times(frame.height, frame.pitch), size) ? SPQ_OK : SPQ_BAD_ARENA;
}

static int32_t check_sliced(const spq_connection *c, const spq_neuron *neuron, const spq_scratch *s, uint32_t size) {
    const spq_slices *p = c->slices;
    if (!SPQ_HAS_SLICED) return SPQ_BAD_BODY;
    if (!p || !neuron || c->window != 1 || p->slots < 1 || p->spread < 1 || p->block < 1) return SPQ_BAD_SHAPE;
    if (times3(p->slots, p->spread, p->block) > SPQ_WORDS || times(p->block, p->blocks) < (uint64_t)c->tiles)
        return SPQ_BAD_SHAPE;
    if (p->vectors != 1 && p->vectors != 2 && (p->vectors != 4 || p->spread == 4)) return SPQ_BAD_SHAPE;
    if (p->planes > SPQ_MOST_PLANES || p->stride < 1) return SPQ_BAD_SHAPE;
    if (p->spread != 1 && p->spread != 2 && p->spread != 4) return SPQ_BAD_SHAPE;
    if (p->spread > 1 && (p->blocks != 1 || (c->tiles & (c->tiles - 1)))) return SPQ_BAD_SHAPE;
    if (p->passes < 1 || times(p->passes, p->spread) > SPQ_MOST_PARTS) return SPQ_BAD_SHAPE;
    const uint64_t row = times(p->stride, c->channels), groups = (uint64_t)c->out_width + (uint64_t)p->slots - 1u;
    const uint64_t rows = (uint64_t)c->height + 2u * (uint64_t)c->pad_height;
    if (times((int64_t)(rows + (uint64_t)c->kernel_height), (int64_t)row) >= 0xFFFFu) return SPQ_BAD_SHAPE;
    const uint64_t words = times(c->out_width, c->tiles), deep = times(p->passes, spq_plane_count(p->planes));
    const uint64_t planes = times3((int64_t)deep, (int64_t)words, p->spread);
    return fits(s->columns, 2u * times((int64_t)groups, (int64_t)(rows * row + 64u)), size) &&
                   fits(s->heads, 4u * times((int64_t)groups, (int64_t)rows + 1), size) &&
                   fits(s->shifts, 4u * (words + SPQ_WORDS), size) && fits(s->planes, 4u * (planes + 64u), size)
               ? SPQ_OK
               : SPQ_BAD_ARENA;
}

/* Bytes of the sums of a row of outputs. */
static uint64_t row_of_sums(const spq_connection *c) {
    return (c->wide ? 4u : 2u) * SPQ_UNIT * times(c->out_width, c->units);
}

/* Sizes that all forms take for granted: each at least one, padding none below zero, and places that have numbers. */
static int32_t check_sizes(const spq_connection *c) {
    const int32_t sizes[14] = {c->row,          c->channels,   c->height,        c->width,        c->source_height,
                               c->source_width, c->out_height, c->out_width,     c->outputs,      c->units,
                               c->step_height,  c->step_width, c->kernel_height, c->kernel_width};
    for (int32_t i = 0; i < 14; i++)
        if (sizes[i] < 1) return SPQ_BAD_SHAPE;
    if (c->pad_height < 0 || c->pad_width < 0 || c->pool_count < 0) return SPQ_BAD_SHAPE;
    const int64_t height = c->height + 2 * (int64_t)c->pad_height, width = c->width + 2 * (int64_t)c->pad_width;
    const int32_t counted = countable(times3(c->source_height, c->source_width, c->channels)) &&
                            countable(times3(height, width, c->channels)) &&
                            countable(times3(c->out_height, c->out_width, c->outputs));
    return counted && c->tiles == spq_words(c->outputs) && (c->units + 1) >> 1 == c->tiles ? SPQ_OK : SPQ_BAD_SHAPE;
}

static int32_t check_packed(const spq_connection *c, const spq_neuron *neuron) {
    const spq_packed *p = c->packed;
    if (!p || p->units < 1 || (p->units + 1) >> 1 != c->tiles || p->many < p->few || p->few < 1) return SPQ_BAD_SHAPE;
    if (p->bits != 2 && p->bits != 4 && p->bits != 8 && p->bits != 16) return SPQ_BAD_SHAPE;
    if (p->grain != 4 && (p->grain != 1 || p->bits != 2 || p->units != 1 || p->lanes || neuron)) return SPQ_BAD_SHAPE;
    const int32_t row = p->grain == 1 ? (c->outputs + 3) >> 2 : p->units * (p->bits >> 1);
    if (c->row != row || p->lift < 0 || p->fraction < 0) return SPQ_BAD_SHAPE;
    if (p->lanes == 0) return c->wide ? SPQ_OK : SPQ_BAD_SHAPE;
    if (!neuron || neuron->bits != 2 || p->levels != neuron->levels || p->pitch < 1) return SPQ_BAD_SHAPE;
    if (p->levels != 3 && p->levels != 4) return SPQ_BAD_SHAPE;
    return p->lanes == 8 || p->lanes == 16 ? SPQ_OK : SPQ_BAD_SHAPE;
}

static int32_t check_form(const spq_network *network, int32_t index) {
    const spq_connection *c = &network->layers[index].connection;
    const spq_scratch *s = &network->scratch;
    const uint32_t size = network->arena_size;
    if (c->form < SPQ_ADD8 || c->form >= SPQ_IDENTITY) return SPQ_BAD_SHAPE; /* nor are terms here */
    if (c->form == SPQ_DENSE) return check_dense(c, s, index == 0, size);
    if (c->form == SPQ_SLICED) return check_sliced(c, network->layers[index].neuron, s, size);
    if (c->form == SPQ_PACKED && check_packed(c, network->layers[index].neuron) != SPQ_OK) return SPQ_BAD_SHAPE;
    return check_events(c, s, network->layers[index].blocks != 0, size);
}

/* A shortcut starts at an earlier layer, and its sums are as many and as wide as those that it adds to. */
static int32_t check_shortcut(const spq_network *network, int32_t index) {
    const spq_shortcut *shortcut = network->layers[index].shortcut;
    const spq_connection *c = &shortcut->connection, *main = &network->layers[index].connection;
    const spq_scratch *s = &network->scratch;
    const uint32_t size = network->arena_size;
    if (shortcut->source < 0 || shortcut->source >= index || spq_decides(main)) return SPQ_BAD_SHAPE;
    if (check_sizes(c) != SPQ_OK) return SPQ_BAD_SHAPE;
    const spq_connection *source = &network->layers[shortcut->source].connection;
    if (c->width != source->out_width || c->height != source->out_height || c->channels != source->outputs ||
        c->out_width != main->out_width || c->out_height != main->out_height || c->outputs != main->outputs ||
        c->units != main->units || c->tiles != main->tiles || c->wide != main->wide || c->pool_count)
        return SPQ_BAD_SHAPE;
    const spq_neuron *neuron = network->layers[index].neuron;
    const int32_t in_slices = main->form == SPQ_SLICED && neuron->planes;
    if (in_slices && (c->form != SPQ_IDENTITY || neuron->plane_rows != 10)) return SPQ_BAD_SHAPE;
    if (c->form == SPQ_IDENTITY)
        return c->channels == c->outputs && c->width == c->out_width && c->height == c->out_height && c->codes16
                   ? SPQ_OK
                   : SPQ_BAD_SHAPE;
    if (c->form == SPQ_PACKED && (check_packed(c, 0) != SPQ_OK || c->packed->lanes)) return SPQ_BAD_SHAPE;
    if (c->form == SPQ_DENSE || c->form == SPQ_SLICED || c->form > SPQ_IDENTITY || c->row < 1) return SPQ_BAD_SHAPE;
    if (c->form == SPQ_GROUPED && !c->wide) return SPQ_BAD_SHAPE;
    const spq_scratch beside = {.starts = s->beside_starts, .events = s->beside_events, .values = s->beside_values,
                                .lines = s->lines, .runs = s->runs};
    if (!fits(s->beside_sums, row_of_sums(c), size)) return SPQ_BAD_ARENA;
    return check_events(c, &beside, 0, size);
}

#if SPQ_TERMS
/* ---- terms ---- */

/* A map [height][width][channels], of bytes, bits or numbers. */
typedef struct {
    int64_t height, width, channels;
} spq_shape;

/* Whether a window makes what it says of so many rows or columns, `wanted`, and no position leaves 31 bits. */
static int32_t spans(int32_t kind, int64_t size, int32_t kernel, int32_t step, int32_t dilation, int32_t pad,
                     int32_t wanted) {
    if (kernel < 1 || step < 1 || dilation < 1 || pad < 0 || wanted < 1) return 0;
    if (kind == SPQ_REPEAT) return times(size, kernel) == (uint64_t)wanted;
    return countable(times(wanted - 1, step) + times(kernel - 1, dilation) + (uint64_t)pad + (uint64_t)size);
}

static int32_t check_window(const spq_window *w, spq_shape *shape) {
    if (w->kind < SPQ_SUM || w->kind > SPQ_REPEAT) return 0;
    const int32_t fit = spans(w->kind, shape->height, w->kernel_height, w->step_height, w->dilation_height,
                              w->pad_height, w->height) &&
                        spans(w->kind, shape->width, w->kernel_width, w->step_width, w->dilation_width, w->pad_width,
                              w->width);
    shape->height = w->height, shape->width = w->width;
    return fit && countable(times3(shape->height, shape->width, shape->channels));
}

/* The sources that there are, the inputs first. */
static int32_t sources_of(const spq_network *network) {
    const int32_t last = network->general->readout_count == 0; /* the last layer is a readout */
    return network->general->input_count + network->layer_count - last;
}

static spq_shape shape_of(const spq_network *network, int32_t source) {
    const spq_general *general = network->general;
    if (source < general->input_count) {
        const spq_input *input = &general->inputs[source];
        return (spq_shape){input->height, input->width, input->channels};
    }
    const spq_connection *c = &network->layers[source - general->input_count].connection;
    return (spq_shape){c->out_height, c->out_width, c->outputs};
}

/* Bytes of a source in a step. */
static uint64_t bytes_of(const spq_network *network, int32_t source) {
    const spq_shape shape = shape_of(network, source);
    const int32_t pixels = source < network->general->input_count;
    return pixels ? times3(shape.height, shape.width, shape.channels)
                  : 4u * times3(shape.height, shape.width, spq_words((int32_t)shape.channels));
}

static uint64_t map_of(const spq_connection *c) {
    return 4u * SPQ_UNIT * times3(c->out_height, c->out_width, c->units);
}

/* What comes in, behind its pools: the shape that the connection takes; and whether it is numbers. */
static int32_t check_source(const spq_network *network, const spq_term *term, int32_t *counted) {
    const spq_general *general = network->general;
    const uint32_t size = network->arena_size;
    const int32_t pixels = term->source < general->input_count;
    spq_shape shape = shape_of(network, term->source);
    int32_t numbers = 0, next = 0;
    *counted = pixels;
    if (pixels && (term->pool_count || general->inputs[term->source].signs)) {
        if (!fits(general->values[next], 4u * times3(shape.height, shape.width, shape.channels), size))
            return SPQ_BAD_ARENA;
        numbers = 1, next ^= 1;
    }
    for (int32_t i = 0; i < term->pool_count; i++, next ^= 1) {
        if (!check_window(&term->pools[i], &shape)) return SPQ_BAD_SHAPE;
        if (term->pools[i].kind == SPQ_SUM) numbers = *counted = 1;
        const int64_t each = numbers ? shape.channels : spq_words((int32_t)shape.channels);
        if (!fits(general->values[next], 4u * times3(shape.height, shape.width, each), size)) return SPQ_BAD_ARENA;
    }
    const spq_connection *c = &term->connection;
    const int32_t same = c->height == shape.height && c->width == shape.width && c->channels == shape.channels;
    return same ? SPQ_OK : SPQ_BAD_SHAPE;
}

static int32_t check_term_connection(const spq_network *network, const spq_term *term, int32_t counted) {
    const spq_connection *c = &term->connection;
    const int32_t apart = term->dilation_height != 1 || term->dilation_width != 1 || term->spread_height != 1 ||
                          term->spread_width != 1;
    const int32_t steps[4] = {term->dilation_height, term->dilation_width, term->spread_height, term->spread_width};
    for (int32_t i = 0; i < 4; i++)
        if (steps[i] < 1) return SPQ_BAD_SHAPE;
    if (check_sizes(c) != SPQ_OK || c->pool_count || !c->wide || (SPQ_HAS_LANES && (c->units & 1)))
        return SPQ_BAD_SHAPE;
    if (c->form == SPQ_IDENTITY) {
        const int32_t same = c->channels == c->outputs && c->width == c->out_width && c->height == c->out_height;
        return same && c->codes16 && !counted && !term->pool_count && !term->sum_pool ? SPQ_OK : SPQ_BAD_SHAPE;
    }
    const int32_t packed = c->form == SPQ_PACKED;
    if (c->form == SPQ_DENSE || c->form == SPQ_SLICED || c->form < SPQ_ADD8 || c->form > SPQ_IDENTITY)
        return SPQ_BAD_SHAPE;
    if (packed && (check_packed(c, 0) != SPQ_OK || c->packed->lanes || (c->units & 1))) return SPQ_BAD_SHAPE;
    if (c->form != SPQ_GROUPED && !packed && c->row != c->units * SPQ_UNIT) return SPQ_BAD_SHAPE;
    const int32_t weighed = c->form == SPQ_GROUPED || c->form == SPQ_MULTIPLY || c->form == SPQ_MULTIPLY16 ||
                            (packed && c->packed->bits == 16);
    if (counted && !weighed) return SPQ_BAD_SHAPE;
    if (!apart) {
        const uint64_t rows = times(c->window - 1, c->slide_height) + (uint64_t)c->kernel_height;
        return term->rows >= 1 && (uint64_t)term->rows == rows
                   ? check_events(c, &network->scratch, 0, network->arena_size)
                   : SPQ_BAD_SHAPE;
    }
    const uint64_t tall = times(c->out_height, c->step_height) + times(c->kernel_height, term->dilation_height);
    const uint64_t wide = times(c->out_width, c->step_width) + times(c->kernel_width, term->dilation_width);
    if (c->window != 1 || c->limit < 1 || term->rows != c->height || !countable(tall + (uint64_t)c->pad_height) ||
        !countable(wide + (uint64_t)c->pad_width))
        return SPQ_BAD_SHAPE;
    return check_lists(c, &network->scratch, (uint64_t)c->height, times(c->kernel_height, c->kernel_width), 0,
                       network->arena_size);
}

/* A term takes what is there when its layer is at turn, and adds to the very sums of the layer. */
static int32_t check_term(const spq_network *network, const spq_term *term, const spq_connection *sums, int32_t known) {
    const uint32_t size = network->arena_size;
    const spq_connection *c = &term->connection;
    if (term->source < 0 || term->source >= sources_of(network)) return SPQ_BAD_SHAPE;
    if (term->past.size) {
        if (network->steps != 1 || !fits(term->past, bytes_of(network, term->source), size)) return SPQ_BAD_ARENA;
    } else if (term->source >= known) {
        return SPQ_BAD_SHAPE;
    }
    int32_t counted;
    const int32_t source = check_source(network, term, &counted);
    if (source != SPQ_OK) return source;
    const int32_t connection = check_term_connection(network, term, counted);
    if (connection != SPQ_OK) return connection;
    spq_shape shape = {c->out_height, c->out_width, c->outputs};
    if (term->sum_pool && (!check_window(term->sum_pool, &shape) || term->sum_pool->kind == SPQ_REPEAT))
        return SPQ_BAD_SHAPE;
    if (term->sum_pool && !fits(network->general->part, map_of(c), size)) return SPQ_BAD_ARENA;
    if (shape.height != sums->out_height || shape.width != sums->out_width || shape.channels != sums->outputs ||
        c->units != sums->units || term->shift < 0 || term->shift > 31)
        return SPQ_BAD_SHAPE;
    return fits(network->scratch.sums, row_of_sums(sums), size) ? SPQ_OK : SPQ_BAD_ARENA;
}

/* The terms of a layer or a readout; `known`: sources that are computed before. */
static int32_t check_terms(const spq_network *network, const spq_terms *terms, const spq_connection *sums,
                           int32_t known) {
    const spq_general *general = network->general;
    const uint32_t size = network->arena_size;
    if (check_sizes(sums) != SPQ_OK || !sums->wide || terms->count < 1) return SPQ_BAD_SHAPE;
    int32_t still = 0;
    for (int32_t i = 0; i < terms->count; i++) {
        const int32_t code = check_term(network, &terms->terms[i], sums, known);
        if (code != SPQ_OK) return code;
        still |= terms->terms[i].source < general->input_count && !terms->terms[i].past.size;
    }
    if (!fits(general->map, map_of(sums), size)) return SPQ_BAD_ARENA;
    if (still && (!terms->still.size || !fits(terms->still, map_of(sums), size))) return SPQ_BAD_ARENA;
    if (!terms->gate) return SPQ_OK;
    const spq_connection *first = &terms->terms[0].connection;
    spq_shape shape = {first->height, first->width, 1};
    const uint64_t places = times(first->height, first->width) + times(sums->out_height, sums->out_width);
    if (terms->terms[0].source < general->input_count || terms->gate->kind != SPQ_SUM ||
        !check_window(terms->gate, &shape) || shape.height != sums->out_height || shape.width != sums->out_width)
        return SPQ_BAD_SHAPE;
    return fits(general->active, 4u * places, size) ? SPQ_OK : SPQ_BAD_ARENA;
}

static int32_t check_current(const spq_layer *layer, uint32_t size) {
    const spq_connection *c = &layer->connection;
    const spq_neuron *current = layer->terms->current;
    if (!current) return SPQ_OK;
    if (current->levels < 2 || current->levels > 256 || layer->neuron->fraction) return SPQ_BAD_SHAPE;
    const uint64_t codes = SPQ_LANES * times3(c->out_height, c->out_width, c->tiles);
    return fits(layer->terms->current_state, codes, size) ? SPQ_OK : SPQ_BAD_ARENA;
}

static int32_t check_inputs(const spq_general *general) {
    if (general->input_count < 1 || general->past_count < 0 || general->readout_count < 0) return SPQ_BAD_SHAPE;
    for (int32_t i = 0; i < general->input_count; i++) {
        const spq_input *input = &general->inputs[i];
        if (input->offset < 0 || input->channels < 1 || input->height < 1 || input->width < 1) return SPQ_BAD_SHAPE;
        if (!countable((uint64_t)input->offset + times3(input->height, input->width, input->channels)))
            return SPQ_BAD_SHAPE;
    }
    return SPQ_OK;
}

static int32_t check_readouts(const spq_network *network) {
    const spq_general *general = network->general;
    const uint32_t size = network->arena_size;
    uint64_t answers = 0;
    for (int32_t i = 0; i < general->past_count; i++) {
        const spq_past *past = &general->pasts[i];
        if (past->source < 0 || past->source >= sources_of(network)) return SPQ_BAD_SHAPE;
        if (!fits(past->region, bytes_of(network, past->source), size)) return SPQ_BAD_ARENA;
    }
    for (int32_t i = 0; i < general->readout_count; i++) {
        const spq_readout *r = &general->readouts[i];
        const int32_t code = check_terms(network, &r->terms, &r->connection, sources_of(network));
        if (code != SPQ_OK) return code;
        const spq_connection *c = &r->connection;
        const uint64_t said = times3(c->out_height, c->out_width, c->outputs);
        if (r->answer < 0 || (uint64_t)r->answer != answers || r->leak_shift < 0 || r->leak_shift > 16)
            return SPQ_BAD_SHAPE;
        answers += said;
        if (!fits(r->integrator, 4u * said, size)) return SPQ_BAD_ARENA;
    }
    if (answers != (uint64_t)general->answers) return SPQ_BAD_SHAPE;
    return fits(network->logits, 4u * answers, size) ? SPQ_OK : SPQ_BAD_ARENA;
}
#endif

/* Neurons, and where their codes and spikes are. */
static int32_t check_neurons(const spq_network *network, const spq_layer *layer) {
    const spq_connection *c = &layer->connection;
    const int32_t bits = layer->neuron->bits;
    const uint64_t words = times3(c->out_height, c->out_width, c->tiles);
    if (!c->wide && !layer->neuron->narrow) return SPQ_BAD_SHAPE;
    if (bits != 8 && (bits < 2 || bits > 4)) return SPQ_BAD_SHAPE;
    return fits(layer->state, 4u * times((int64_t)words, bits), network->arena_size) &&
                   fits(layer->spikes, 4u * times((int64_t)words, network->steps), network->arena_size)
               ? SPQ_OK
               : SPQ_BAD_ARENA;
}

#if SPQ_TERMS
static int32_t check_layer_of_terms(const spq_network *network, int32_t index) {
    const spq_layer *layer = &network->layers[index];
    const spq_blocks *blocks = layer->blocks;
    if (!network->general || !layer->terms || !layer->neuron || layer->shortcut) return SPQ_BAD_SHAPE;
    if (!blocks != !layer->terms->gate) return SPQ_BAD_SHAPE;
    if (blocks && (blocks->channels != layer->connection.outputs || blocks->silent || !blocks->count || !blocks->code ||
                   !blocks->least))
        return SPQ_BAD_SHAPE;
    const int32_t terms =
        check_terms(network, layer->terms, &layer->connection, network->general->input_count + index);
    if (terms != SPQ_OK) return terms;
    const uint64_t row = times(layer->connection.out_width, layer->connection.tiles);
    if (blocks && !fits(network->scratch.marks, row, network->arena_size)) return SPQ_BAD_ARENA;
    const int32_t current = check_current(layer, network->arena_size);
    return current == SPQ_OK ? check_neurons(network, layer) : current;
}
#endif

static int32_t check_layer(const spq_network *network, int32_t index) {
    const spq_layer *layer = &network->layers[index];
    const spq_connection *c = &layer->connection;
    const spq_scratch *s = &network->scratch;
    const uint32_t size = network->arena_size;
#if SPQ_TERMS
    if (c->form == SPQ_TERMS_SUMMED) return check_layer_of_terms(network, index);
#endif
    if (layer->terms) return SPQ_BAD_SHAPE;
    if (check_sizes(c) != SPQ_OK || (SPQ_HAS_LANES && (c->units & 1))) return SPQ_BAD_SHAPE;
    if (c->form != SPQ_GROUPED && c->form != SPQ_PACKED && c->row != c->units * SPQ_UNIT) return SPQ_BAD_SHAPE;
    if (c->form == SPQ_PACKED && (c->units & 1)) return SPQ_BAD_SHAPE;
    const int32_t form = check_form(network, index);
    if (form != SPQ_OK) return form;
    if (!spq_decides(c) && !fits(s->sums, row_of_sums(c), size)) return SPQ_BAD_ARENA;
    const int32_t pools = check_pools(c, s, index == 0, size);
    if (pools != SPQ_OK) return pools;
    if (!layer->neuron)
        return c->wide && c->out_height == 1 && c->out_width == 1 ? SPQ_OK
                                                                                                     : SPQ_BAD_SHAPE;
    if (layer->shortcut) {
        const int32_t beside = check_shortcut(network, index);
        if (beside != SPQ_OK) return beside;
    }
    const spq_blocks *blocks = layer->blocks;
    if (blocks) {
        const int32_t events = c->form != SPQ_DENSE && c->form != SPQ_SLICED;
        if (!events || blocks->channels != c->outputs || (blocks->silent && !blocks->rest)) return SPQ_BAD_SHAPE;
        if (blocks->silent && (layer->neuron->scaled || layer->neuron->bits > 4)) return SPQ_BAD_SHAPE;
        if (blocks->count && (index == 0 || !blocks->code || !blocks->least)) return SPQ_BAD_SHAPE;
        if (!fits(s->marks, times(c->out_width, c->tiles), size)) return SPQ_BAD_ARENA;
    }
    return check_neurons(network, layer);
}

int32_t spq_check(const spq_network *network, uint32_t arena_size) {
    if (network->general && !SPQ_TERMS) return SPQ_BAD_BODY;
    const int32_t general = network->general && network->general->readout_count; /* readouts */
    if (network->layer_count < (general ? 0 : network->general ? 1 : 2)) return SPQ_BAD_SHAPE;
    if (network->timesteps < 1 || network->steps < 1) return SPQ_BAD_SHAPE;
    if (network->shared && network->timesteps > network->steps) return SPQ_BAD_STEPS;
    if (arena_size < network->arena_size) return SPQ_BAD_ARENA;
#if SPQ_TERMS
    if (network->general && check_inputs(network->general) != SPQ_OK) return SPQ_BAD_SHAPE;
#endif
    for (int32_t i = 0; i < network->layer_count; i++) {
        const int32_t hidden = general || i + 1 < network->layer_count;
        if ((network->layers[i].neuron != 0) != hidden) return SPQ_BAD_SHAPE;
        const int32_t code = check_layer(network, i);
        if (code != SPQ_OK) return code;
    }
#if SPQ_TERMS
    const int32_t readouts = network->general ? check_readouts(network) : SPQ_OK;
    if (general || readouts != SPQ_OK) return readouts;
#endif
    const spq_connection *readout = &network->layers[network->layer_count - 1].connection;
    return fits(network->logits, 4u * (uint64_t)readout->outputs, network->arena_size) ? SPQ_OK : SPQ_BAD_ARENA;
}

int32_t spq_body(void) {
#if SPQ_HAS_SLICED
    return SPQ_AVX512_SLICED;
#elif !defined(SPQ_PORTABLE) && defined(__AVX512BW__)
    return SPQ_AVX512;
#elif !defined(SPQ_PORTABLE) && defined(__AVX2__)
    return SPQ_AVX2;
#elif !defined(SPQ_PORTABLE) && defined(__aarch64__) && defined(__ARM_NEON)
    return SPQ_NEON;
#else
    return SPQ_PORTABLE_BODY;
#endif
}
