/* check_terms: the general form. */
#include "check_common.h"
#include "events.h"
#include "compilers.h"

#if SPQ_TERMS

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
    if (spq_check_sizes(c) != SPQ_OK || c->pool_count || !c->wide || (SPQ_HAS_LANES && (c->units & 1)))
        return SPQ_BAD_SHAPE;
    if (c->form == SPQ_IDENTITY) {
        const int32_t same = c->channels == c->outputs && c->width == c->out_width && c->height == c->out_height;
        return same && c->codes16 && !counted && !term->pool_count && !term->sum_pool ? SPQ_OK : SPQ_BAD_SHAPE;
    }
    const int32_t packed = c->form == SPQ_PACKED;
    const int32_t products = c->form == SPQ_PRODUCTS;
    if (products && spq_check_products(c) != SPQ_OK) return SPQ_BAD_SHAPE;
    if (c->form == SPQ_SLICED || c->form < SPQ_ADD8 || (c->form > SPQ_IDENTITY && !products)) return SPQ_BAD_SHAPE;
    if (c->form == SPQ_DENSE) {
        const int32_t bytes = term->source < network->general->input_count && !term->pool_count && !apart;
        return c->row == c->units * SPQ_UNIT ? spq_check_dense(c, &network->scratch, bytes, network->arena_size)
                                             : SPQ_BAD_SHAPE;
    }
    if (packed && (spq_check_packed(c, 0) != SPQ_OK || c->packed->lanes || (c->units & 1))) return SPQ_BAD_SHAPE;
    if (c->form != SPQ_GROUPED && !packed && !products && c->row != c->units * SPQ_UNIT) return SPQ_BAD_SHAPE;
    const int32_t weighed = products || c->form == SPQ_GROUPED || c->form == SPQ_MULTIPLY ||
                            c->form == SPQ_MULTIPLY16 || (packed && c->packed->bits == 16);
    if (counted && !weighed) return SPQ_BAD_SHAPE;
    if (!apart) {
        const uint64_t rows = times(c->window - 1, c->slide_height) + (uint64_t)c->kernel_height;
        return term->rows >= 1 && (uint64_t)term->rows == rows
                   ? spq_check_events(c, &network->scratch, 0, network->arena_size)
                   : SPQ_BAD_SHAPE;
    }
    const uint64_t tall = times(c->out_height, c->step_height) + times(c->kernel_height, term->dilation_height);
    const uint64_t wide = times(c->out_width, c->step_width) + times(c->kernel_width, term->dilation_width);
    if (c->window != 1 || c->limit < 1 || term->rows != c->height || !countable(tall + (uint64_t)c->pad_height) ||
        !countable(wide + (uint64_t)c->pad_width))
        return SPQ_BAD_SHAPE;
    return spq_check_lists(c, &network->scratch, (uint64_t)c->height, times(c->kernel_height, c->kernel_width), 0,
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
static int32_t terms_fit(const spq_network *network, const spq_terms *terms, const spq_connection *sums,
                           int32_t known) {
    const spq_general *general = network->general;
    const uint32_t size = network->arena_size;
    if (spq_check_sizes(sums) != SPQ_OK || !sums->wide || terms->count < 1) return SPQ_BAD_SHAPE;
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

int32_t spq_check_inputs(const spq_general *general) {
    if (general->input_count < 1 || general->past_count < 0 || general->readout_count < 0) return SPQ_BAD_SHAPE;
    for (int32_t i = 0; i < general->input_count; i++) {
        const spq_input *input = &general->inputs[i];
        if (input->offset < 0 || input->channels < 1 || input->height < 1 || input->width < 1) return SPQ_BAD_SHAPE;
        if (!countable((uint64_t)input->offset + times3(input->height, input->width, input->channels)))
            return SPQ_BAD_SHAPE;
    }
    return SPQ_OK;
}

int32_t spq_check_readouts(const spq_network *network) {
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
        const int32_t code = terms_fit(network, &r->terms, &r->connection, sources_of(network));
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
int32_t spq_check_terms(const spq_network *network, int32_t index) {
    const spq_layer *layer = &network->layers[index];
    const spq_blocks *blocks = layer->blocks;
    if (!network->general || !layer->terms || !layer->neuron || layer->shortcut) return SPQ_BAD_SHAPE;
    if (!blocks != !layer->terms->gate) return SPQ_BAD_SHAPE;
    if (blocks && (blocks->channels != layer->connection.outputs || blocks->silent || !blocks->count || !blocks->code ||
                   !blocks->least))
        return SPQ_BAD_SHAPE;
    const int32_t terms =
        terms_fit(network, layer->terms, &layer->connection, network->general->input_count + index);
    if (terms != SPQ_OK) return terms;
    const uint64_t row = times(layer->connection.out_width, layer->connection.tiles);
    if (blocks && !fits(network->scratch.marks, row, network->arena_size)) return SPQ_BAD_ARENA;
    const int32_t current = check_current(layer, network->arena_size);
    return current == SPQ_OK ? spq_check_neurons(network, layer) : current;
}
#endif
