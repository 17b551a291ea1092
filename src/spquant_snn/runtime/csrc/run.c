/* run: the layers of a network, one time step after the other.
 *
 * Time is outermost: between layers lie the spikes of one step, so that the arena does not grow with time and frames
 * can come one by one. Only the first layer of a still image takes all its steps at each pixel while its sums are at
 * hand; its spikes of all steps are kept. */
#include "neuron.h"
#include "sums.h"

static inline void *at(void *arena, spq_region region) {
    return (uint8_t *)arena + region.offset;
}

static spq_lists lists_of(const spq_connection *c, const spq_scratch *scratch, void *arena) {
    const int32_t grouped = c->form == SPQ_GROUPED, weighed = grouped || c->form == SPQ_MULTIPLY;
    spq_lists lists;
    lists.width = c->width;
    lists.channels = c->channels;
    lists.rows = (c->window - 1) * c->slide_height + c->kernel_height;
    lists.scale = grouped ? 1u : (uint32_t)c->row;
    lists.capacity = (uint32_t)(c->width * c->channels);
    lists.starts = (uint32_t *)at(arena, scratch->starts);
    lists.events = (uint32_t *)at(arena, scratch->events);
    lists.values = weighed ? (int32_t *)at(arena, scratch->values) : 0;
    return lists;
}

/* What a layer is at: its steps of a pixel, and where they are traced. */
typedef struct {
    const spq_layer *layer;
    void *arena;
    int32_t steps;
    uint32_t *spikes_traced;
    int8_t *codes_traced;
} spq_turn;

/* All neurons of a pixel, one tile after the other, for as many steps as their sums hold. */
static void fire_pixel(const spq_turn *turn, int32_t pixel, const int32_t *sums) {
    const spq_layer *layer = turn->layer;
    const spq_connection *c = &layer->connection;
    const int32_t tiles = c->tiles, pitch = c->out_height * c->out_width * tiles, bits = layer->neuron->bits;
    uint32_t *state = (uint32_t *)at(turn->arena, layer->state) + pixel * tiles * bits;
    uint32_t *spikes = (uint32_t *)at(turn->arena, layer->spikes) + pixel * tiles;
    for (int32_t tile = 0; tile < tiles; tile++, state += bits)
        for (int32_t t = 0; t < turn->steps; t++) {
            const int32_t place = t * pitch + tile;
            const int64_t traced = place + (int64_t)pixel * tiles;
            const uint32_t word = spq_fire(layer->neuron, tile * SPQ_LANES, tiles * SPQ_LANES, sums + tile * SPQ_LANES,
                                           state, turn->codes_traced ? turn->codes_traced + traced * SPQ_LANES : 0);
            spikes[place] = word;
            if (turn->spikes_traced) turn->spikes_traced[traced] = word;
        }
}

/* A connection, row by row of its output; each pixel's sums go to its neurons, or to the logits. */
static void run_layer(const spq_network *network, void *arena, const spq_turn *turn, spq_input input) {
    const spq_connection *c = &turn->layer->connection;
    const spq_scratch *scratch = &network->scratch;
    const spq_lists lists = lists_of(c, scratch, arena);
    spq_view view = {0, (spq_line *)at(arena, scratch->lines), (spq_run *)at(arena, scratch->runs)};
    int32_t *sums = (int32_t *)at(arena, scratch->sums);
    input = spq_pooled(c, scratch, arena, input);
    int32_t listed = 0, pixel = 0; /* rows above `listed` need not be listed again */
    int32_t top = -c->pad_height, slot = 0;
    for (int32_t row = 0; row < c->out_height; row++) {
        const int32_t below = top + lists.rows < c->height ? top + lists.rows : c->height;
        for (int32_t y = listed > top ? listed : top; y < below; y++) {
            const int32_t place = slot + y - top;
            spq_list_row(&lists, &input, c->height, y, place < lists.rows ? place : place - lists.rows);
        }
        listed = below > listed ? below : listed;
        spq_look(c, &lists, top, slot, &view);
        int32_t x = -c->pad_width;
        for (int32_t column = 0; column < c->out_width; column++, x += c->step_width, pixel++) {
            spq_sum(c, &lists, &view, x, sums);
            if (turn->layer->neuron) fire_pixel(turn, pixel, sums);
        }
        top += c->step_height, slot += c->step_height;
        while (slot >= lists.rows) slot -= lists.rows;
    }
}

static int32_t neurons_words(const spq_connection *c) {
    return c->out_height * c->out_width * c->tiles;
}

/* One layer; `step` says where it is traced. */
static void run_neurons(const spq_network *network, void *arena, int32_t index, spq_input input, int32_t steps,
                        const spq_trace *trace, int64_t step) {
    const spq_layer *layer = &network->layers[index];
    const int64_t offset = step * neurons_words(&layer->connection);
    spq_turn turn = {layer, arena, steps, 0, 0};
    if (trace && trace->spikes) turn.spikes_traced = trace->spikes[index] + offset;
    if (trace && trace->codes) turn.codes_traced = trace->codes[index] + offset * SPQ_LANES;
    run_layer(network, arena, &turn, input);
}

/* Everything behind the first layer, whose spikes are given. */
static void run_rest(const spq_network *network, void *arena, const uint32_t *spikes, const spq_trace *trace,
                     int64_t step) {
    const int32_t last = network->layer_count - 1;
    spq_input input = {0, spikes, 0};
    for (int32_t i = 1; i < last; i++) {
        run_neurons(network, arena, i, input, 1, trace, step);
        input.spikes = (const uint32_t *)at(arena, network->layers[i].spikes);
    }
    run_neurons(network, arena, last, input, 1, 0, 0);
    const int32_t *sums = (const int32_t *)at(arena, network->scratch.sums);
    int32_t *logits = (int32_t *)at(arena, network->logits);
    const int32_t unit = 1 << network->fraction;
    for (int32_t i = 0; i < network->layers[last].connection.outputs; i++)
        logits[i] += sums[i] * unit + network->bias[i];
}

const int32_t *spq_step(const spq_network *network, void *arena, const uint8_t *frame, const spq_trace *trace,
                        int64_t step) {
    const spq_input input = {frame, 0, 0};
    run_neurons(network, arena, 0, input, 1, trace, step);
    run_rest(network, arena, (const uint32_t *)at(arena, network->layers[0].spikes), trace, step);
    return (const int32_t *)at(arena, network->logits);
}

static void show(const spq_network *network, void *arena, const uint8_t *image, const spq_trace *trace, int64_t step) {
    const spq_input input = {image, 0, 0};
    const int32_t words = neurons_words(&network->layers[0].connection);
    const uint32_t *spikes = (const uint32_t *)at(arena, network->layers[0].spikes);
    spq_reset(network, arena);
    run_neurons(network, arena, 0, input, network->timesteps, trace, step);
    for (int32_t t = 0; t < network->timesteps; t++) run_rest(network, arena, spikes + t * words, trace, step + t);
}

const int32_t *spq_image(const spq_network *network, void *arena, const uint8_t *image, const spq_trace *trace) {
    show(network, arena, image, trace, 0);
    return (const int32_t *)at(arena, network->logits);
}

/* Word b of a tile whose codes are all zero. */
static uint32_t zeros(const spq_neuron *neuron, int32_t b) {
    const uint32_t zero = (uint32_t)-neuron->low;
    if (neuron->bits == 8) return zero * 0x01010101u;
    return 0u - (zero >> b & 1u);
}

void spq_reset(const spq_network *network, void *arena) {
    for (int32_t i = 0; i + 1 < network->layer_count; i++) {
        const spq_neuron *neuron = network->layers[i].neuron;
        const int32_t words = neurons_words(&network->layers[i].connection) * neuron->bits;
        uint32_t *state = (uint32_t *)at(arena, network->layers[i].state);
        for (int32_t b = 0; b < neuron->bits; b++) {
            const uint32_t zero = zeros(neuron, b);
            for (int32_t k = b; k < words; k += neuron->bits) state[k] = zero;
        }
    }
    int32_t *logits = (int32_t *)at(arena, network->logits);
    for (uint32_t i = 0; i < network->logits.size >> 2; i++) logits[i] = 0;
}

/* ---- checks ---- */

static int32_t fits(spq_region region, uint64_t needed, uint32_t arena_size) {
    return (region.offset & 3u) == 0 && (uint64_t)region.offset + region.size <= arena_size && needed <= region.size;
}

/* No stage of pooling is larger than what comes in. */
static int32_t check_pools(const spq_connection *c, const spq_scratch *scratch, int32_t first, uint32_t size) {
    const uint64_t pixels = (uint64_t)c->source_height * (uint64_t)c->source_width;
    int32_t height = c->source_height, width = c->source_width, counted = first;
    for (int32_t i = 0; i < c->pool_count; i++) {
        const spq_pool *pool = &c->pools[i];
        if (pool->kernel < 1 || pool->stride < 1 || pool->height < 1 || pool->width < 1) return SPQ_BAD_SHAPE;
        if ((pool->height - 1) * pool->stride + pool->kernel > height ||
            (pool->width - 1) * pool->stride + pool->kernel > width)
            return SPQ_BAD_SHAPE;
        height = pool->height, width = pool->width;
        counted |= !pool->largest;
    }
    if (height != c->height || width != c->width) return SPQ_BAD_SHAPE;
    const uint64_t needed = 4u * pixels * (uint64_t)(counted ? c->channels : spq_words(c->channels));
    const int32_t enough = fits(scratch->pooled[0], needed, size) && fits(scratch->pooled[1], needed, size);
    return c->pool_count == 0 || enough ? SPQ_OK : SPQ_BAD_ARENA;
}

static int32_t check_layer(const spq_network *network, int32_t index) {
    const spq_layer *layer = &network->layers[index];
    const spq_connection *c = &layer->connection;
    const spq_scratch *s = &network->scratch;
    const uint32_t size = network->arena_size;
    if (c->row < 1 || c->tiles != spq_words(c->outputs) || c->width < 1 || c->height < 1 || c->channels < 1)
        return SPQ_BAD_SHAPE;
    if (c->form != SPQ_GROUPED && c->row != c->tiles * SPQ_LANES) return SPQ_BAD_SHAPE;
    if (c->form < SPQ_ADD8 || c->form > SPQ_GROUPED || c->limit < 1 || c->step_height < 1) return SPQ_BAD_SHAPE;
    const uint64_t rows = (uint64_t)(c->window - 1) * (uint64_t)c->slide_height + (uint64_t)c->kernel_height;
    const uint64_t events = 4u * rows * (uint64_t)c->width * (uint64_t)c->channels;
    const uint64_t words = (uint64_t)c->out_height * (uint64_t)c->out_width * (uint64_t)c->tiles;
    const uint64_t lines = (uint64_t)c->window * (uint64_t)c->kernel_height;
    if (!fits(s->starts, 4u * rows * ((uint64_t)c->width + 1u), size) || !fits(s->events, events, size) ||
        !fits(s->values, c->form >= SPQ_MULTIPLY ? events : 0, size) ||
        !fits(s->lines, lines * sizeof(spq_line), size) ||
        !fits(s->runs, lines * (uint64_t)c->window * sizeof(spq_run), size) ||
        !fits(s->sums, 4u * SPQ_LANES * (uint64_t)c->tiles, size))
        return SPQ_BAD_ARENA;
    const int32_t pools = check_pools(c, s, index == 0, size);
    if (pools != SPQ_OK) return pools;
    if (!layer->neuron) return index + 1 == network->layer_count ? SPQ_OK : SPQ_BAD_SHAPE;
    const int32_t bits = layer->neuron->bits;
    if (bits != 8 && (bits < 2 || bits > 4)) return SPQ_BAD_SHAPE;
    const uint64_t steps = index == 0 ? (uint64_t)network->timesteps : 1u;
    if (!fits(layer->state, 4u * words * (uint64_t)bits, size) ||
        !fits(layer->spikes, 4u * words * steps, size))
        return SPQ_BAD_ARENA;
    return SPQ_OK;
}

int32_t spq_check(const spq_network *network, uint32_t layout, uint32_t arena_size) {
    if (layout != SPQ_LAYOUT || network->layout != SPQ_LAYOUT) return SPQ_BAD_LAYOUT;
    if (network->layer_count < 2 || network->timesteps < 1) return SPQ_BAD_SHAPE;
    if (network->layers[network->layer_count - 1].neuron) return SPQ_BAD_SHAPE;
    if (arena_size < network->arena_size) return SPQ_BAD_ARENA;
    for (int32_t i = 0; i < network->layer_count; i++) {
        const int32_t code = check_layer(network, i);
        if (code != SPQ_OK) return code;
    }
    const spq_connection *readout = &network->layers[network->layer_count - 1].connection;
    return fits(network->logits, 4u * (uint64_t)readout->outputs, network->arena_size) ? SPQ_OK : SPQ_BAD_ARENA;
}

int32_t spq_batch(const spq_network *network, void *arena, uint32_t arena_size, const uint8_t *images, int64_t count,
                  int32_t steps, int64_t frame_pitch, int64_t image_pitch, int32_t *logits, const spq_trace *trace) {
    const int32_t code = spq_check(network, SPQ_LAYOUT, arena_size);
    if (code != SPQ_OK) return code;
    if (steps < 0) return SPQ_BAD_STEPS;
    const int32_t classes = network->layers[network->layer_count - 1].connection.outputs;
    const int32_t *found = (const int32_t *)at(arena, network->logits);
    int64_t traced = 0;
    for (int64_t n = 0; n < count; n++, images += image_pitch, logits += classes) {
        if (steps == 0) {
            show(network, arena, images, trace, traced);
            traced += network->timesteps;
        } else {
            spq_reset(network, arena);
            for (int32_t t = 0; t < steps; t++) spq_step(network, arena, images + t * frame_pitch, trace, traced++);
        }
        for (int32_t i = 0; i < classes; i++) logits[i] = found[i];
    }
    return SPQ_OK;
}
