/* run: the layers of a network.
 *
 * A layer takes several steps before the next one does, so that its weights stay in the cache and, where these are all
 * steps of an image, one place holds the state of each layer in turn. Sums of a row go to its neurons at once. The
 * first layer adds up a still image once and shows its sums to the neurons at every step. Layers of terms, and
 * readouts that are more than a sum of all steps, are run by terms.c; where a term takes what was before, all layers
 * take one step after the other. */
#include "blocks.h"
#include "general.h"
#include "packed.h"
#include "quads.h"
#include "run.h"
#include "shortcut.h"
#include "sliced.h"
#include "sliced_layer.h"
#include "sums.h"

/* Neurons of a row, whose sums are there, for as many steps as they hold. */
static void fire_row(const spq_turn *turn, int32_t row, void *sums) {
    const spq_network *network = turn->network;
    const spq_layer *layer = &network->layers[turn->index];
    if (!layer->neuron) return;
    if (SPQ_SHORTCUTS && layer->shortcut) /* behind the first layer, which alone takes several steps at once */
        spq_add_shortcut(layer->shortcut, &network->scratch, turn->arena, beside_of(turn), row, sums);
    for (int32_t t = turn->first; t < turn->first + turn->count; t++) {
        const spq_neuron_row neurons = neurons_of(turn, t, row);
#if SPQ_HOST
        if (!layer->connection.wide) spq_fire_narrow(layer->neuron, (const int16_t *)sums, &neurons);
        else
#endif
            spq_fire_wide(layer->neuron, (const int32_t *)sums, &neurons);
        if (SPQ_BLOCKS && layer->blocks) spq_pass_row(layer->blocks, layer->neuron, &neurons);
        if (turn->trace) trace_row(turn, t, row, &neurons);
    }
}

/* ---- the forms of a connection ---- */

/* Neurons of a row whose codes are packed, for as many steps as its sums hold; a trace sees each step by itself. */
static void fire_packed(const spq_turn *turn, const spq_connection *c, const spq_lists *lists, const spq_view *view,
                        int32_t row) {
    const int32_t at_once = turn->trace ? 1 : turn->count;
    for (int32_t t = turn->first; t < turn->first + turn->count; t += at_once) {
        const spq_neuron_row neurons = neurons_of(turn, t, row);
        spq_packed_row(c, lists, view, &neurons, at_once, layer_words(c));
        if (turn->trace) trace_row(turn, t, row, &neurons);
    }
}

/* Sums of a row, but for those of blocks that need none. */
static void sum_row(const spq_turn *turn, const spq_connection *c, const spq_lists *lists, const spq_view *view,
                    const uint8_t *marks) {
    uint8_t *sums = (uint8_t *)at(turn->arena, turn->network->scratch.sums);
    const int32_t size = (c->wide ? 4 : 2) * c->units * SPQ_UNIT;
    for (int32_t column = 0, x = -c->pad_width; column < c->out_width; column++, x += c->step_width) {
        const uint8_t *here = marks ? marks + column * c->tiles : 0;
        if (!here || spq_needed(here, c->tiles)) spq_sum(c, lists, view, x, here, sums + column * size);
    }
}

/* Mark the blocks of a row that need no sums; none where there is no such block in the layer. */
static const uint8_t *mark_row(const spq_turn *turn, const spq_connection *c, const spq_lists *lists, int32_t row,
                               int32_t top, int32_t slot) {
    const spq_layer *layer = &turn->network->layers[turn->index];
    if (!SPQ_BLOCKS || !layer->blocks) return 0;
    const spq_neuron_row neurons = neurons_of(turn, turn->first, row);
    spq_add_starts(c, lists, top, slot);
    spq_mark_row(layer->blocks, layer->neuron, &neurons, c, lists);
    return neurons.marks;
}

static void run_events(const spq_turn *turn, const spq_connection *c, spq_source input) {
    const spq_scratch *scratch = &turn->network->scratch;
    const spq_lists lists =
        spq_lists_of(c, (uint32_t *)at(turn->arena, scratch->starts), (spq_event *)at(turn->arena, scratch->events),
                     (int32_t *)at(turn->arena, scratch->values));
    spq_view view = {0, (spq_line *)at(turn->arena, scratch->lines), (spq_run *)at(turn->arena, scratch->runs)};
    int32_t listed = 0, top = -c->pad_height, slot = 0; /* rows above `listed` need not be listed again */
    for (int32_t row = 0; row < c->out_height; row++) {
        const int32_t below = top + lists.rows < c->height ? top + lists.rows : c->height;
        for (int32_t y = listed > top ? listed : top; y < below; y++) {
            const int32_t place = slot + y - top;
            spq_list_row(&lists, &input, c->height, y, place < lists.rows ? place : place - lists.rows);
        }
        listed = below > listed ? below : listed;
        spq_look(c, &lists, top, slot, &view);
        if (spq_decides(c)) {
            fire_packed(turn, c, &lists, &view, row);
        } else {
            sum_row(turn, c, &lists, &view, mark_row(turn, c, &lists, row, top, slot));
            fire_row(turn, row, at(turn->arena, scratch->sums));
        }
        top += c->step_height, slot += c->step_height;
        while (slot >= lists.rows) slot -= lists.rows;
    }
}

#if SPQ_HAS_LANES
static void run_dense(const spq_turn *turn, const spq_connection *c, const uint8_t *pixels) {
    const spq_scratch *scratch = &turn->network->scratch;
    const spq_frame frame = spq_frame_of(c, (int16_t *)at(turn->arena, scratch->frame));
    void *sums = at(turn->arena, scratch->sums);
    spq_fill_frame(c, pixels, 0, &frame);
    for (int32_t row = 0; row < c->out_height; row++) {
        spq_dense_row(c, &frame, row, sums);
        fire_row(turn, row, sums);
    }
}
#endif

#if SPQ_HAS_SLICED
/* Counted in slices, of which plain sums are made for neurons that are not computed there. */
static void run_sliced(const spq_turn *turn, const spq_connection *c, const uint32_t *spikes) {
    const spq_scratch *scratch = &turn->network->scratch;
    const spq_layer *layer = &turn->network->layers[turn->index];
    const spq_columns columns = spq_list_columns(c, spikes, (uint16_t *)at(turn->arena, scratch->columns),
                                                 (uint32_t *)at(turn->arena, scratch->heads));
    spq_counters counters = {0, 0, (uint32_t *)at(turn->arena, scratch->planes),
                             (int32_t *)at(turn->arena, scratch->shifts), 0, columns.silent};
    void *sums = at(turn->arena, scratch->sums);
    for (int32_t row = 0; row < c->out_height; row++) {
        const spq_sweep sweep = spq_sweep_of(c, &columns, row);
        if (layer->blocks) {
            const spq_neuron_row neurons = neurons_of(turn, turn->first, row);
            spq_below below = spq_below_of(&sweep);
            for (int32_t x = 0; x < c->out_width; x++)
                (void)spq_gate_pixel(layer->blocks, layer->neuron, &neurons, x,
                                     spq_spiked(&sweep, spq_next_events(&below)));
        }
        counters.most = spq_count_events(&sweep, counters.shifts);
        spq_lay_planes(c, SPQ_MOST_PLANES, c->out_width, &counters);
        spq_count_row(&sweep, 0, &counters);
        spq_unslice_row(c, &counters, sums);
        fire_row(turn, row, sums);
    }
}
#endif

static void run_connection(const spq_turn *turn, spq_source input) {
    const spq_connection *c = &turn->network->layers[turn->index].connection;
#if SPQ_HAS_LANES
    if (c->form == SPQ_DENSE) {
        run_dense(turn, c, input.pixels);
        return;
    }
#endif
    input = spq_pooled(c, &turn->network->scratch, turn->arena, input);
#if SPQ_HAS_QUADS
    if (spq_run_quads(turn, c, input.spikes)) return;
#endif
#if SPQ_HAS_SLICED
    if (c->form == SPQ_SLICED) {
        if (turn->network->layers[turn->index].neuron->planes) spq_run_slices(turn, c, input.spikes);
        else run_sliced(turn, c, input.spikes);
        return;
    }
#endif
    run_events(turn, c, input);
}

/* ---- networks ---- */

static void reset_layer(const spq_network *network, void *arena, int32_t index) {
    const spq_layer *layer = &network->layers[index];
    const int32_t words = layer_words(&layer->connection);
    uint32_t *state = (uint32_t *)at(arena, layer->state);
    for (int32_t b = 0; b < layer->neuron->bits; b++) {
        const uint32_t zero = spq_zeros(layer->neuron, b);
        for (int32_t i = 0; i < words; i++) *state++ = zero;
    }
    if (SPQ_BLOCKS && layer->blocks) spq_settle_padding(layer->blocks, layer->neuron, words, state);
    if (!has_current(layer)) return;
    uint8_t *codes = (uint8_t *)at(arena, layer->terms->current_state);
    for (int32_t i = 0; i < words * SPQ_LANES; i++) codes[i] = (uint8_t)-layer->terms->current->low;
}

static int32_t is_readout(const spq_network *network, int32_t index) {
    return !network->layers[index].neuron;
}

void spq_reset(const spq_network *network, void *arena) {
    for (int32_t i = 0; i < network->layer_count && !network->shared; i++)
        if (!is_readout(network, i)) reset_layer(network, arena, i);
    int32_t *logits = (int32_t *)at(arena, network->logits);
    for (uint32_t i = 0; i < network->logits.size >> 2; i++) logits[i] = 0;
#if SPQ_TERMS
    if (network->general) spq_reset_general(network, arena);
#endif
}

static void add_logits(const spq_network *network, void *arena) {
    const int32_t *sums = (const int32_t *)at(arena, network->scratch.sums);
    int32_t *logits = (int32_t *)at(arena, network->logits);
    const int32_t unit = 1 << network->fraction;
    for (int32_t i = 0; i < network->layers[network->layer_count - 1].connection.outputs; i++)
        logits[i] += sums[i] * unit + network->bias[i];
}

/* Layer by layer, each for `steps` steps. */
static void run_steps(const spq_network *network, void *arena, const spq_frames *frames, int32_t steps,
                      const spq_trace *trace, int64_t step) {
    const uint32_t *before = 0;
    int32_t words = 0;
    for (int32_t i = 0; i < network->layer_count; i++) {
        const spq_layer *layer = &network->layers[i];
        enter(i);
        if (network->shared && layer->neuron) reset_layer(network, arena, i);
        const int32_t at_once = i == 0 && frames->static_input && !(SPQ_TERMS && layer->terms) ? steps : 1;
        for (int32_t t = 0; t < steps; t += at_once) {
            const spq_turn turn = {network, arena, layer->neuron ? trace : 0, step, i, t, at_once};
#if SPQ_TERMS
            if (layer->terms) {
                const spq_moment moment = spq_moment_of(network, arena, frames, t);
                spq_run_terms(&turn, &moment);
                continue;
            }
#endif
            const uint8_t *pixels = before ? 0 : frames->pixels + t * frames->pitch;
            const spq_source input = {pixels, before ? before + t * words : 0, 0};
            run_connection(&turn, input);
            if (!layer->neuron) add_logits(network, arena);
        }
        if (!layer->neuron) break;
        if (trace && trace->seen) trace->seen(trace->context, i, steps);
        before = (const uint32_t *)at(arena, layer->spikes);
        words = layer_words(&layer->connection);
    }
#if SPQ_TERMS
    if (network->general) spq_read_out(network, arena, frames, steps);
#endif
}

void spq_run_frames(const spq_network *network, void *arena, spq_frames *frames, int32_t steps, const spq_trace *trace,
                    int64_t step) {
    for (int32_t t = 0; t < steps;) {
        const int32_t left = steps - t, some = left < network->steps ? left : network->steps;
        run_steps(network, arena, frames, some, trace, step + t);
        t += some;
        if (!frames->static_input) frames->pixels += some * frames->pitch;
#if SPQ_TERMS
        frames->later = 1;
        if (frames->said && network->general) frames->said += some * network->general->answers;
#endif
    }
}

const int32_t *spq_step(const spq_network *network, void *arena, const uint8_t *frame, const spq_trace *trace,
                        int64_t step) {
    spq_frames frames;
    spq_show(&frames, frame, 0);
    spq_run_frames(network, arena, &frames, 1, trace, step);
    return (const int32_t *)at(arena, network->logits);
}

const int32_t *spq_image(const spq_network *network, void *arena, const uint8_t *image, const spq_trace *trace) {
    spq_frames frames;
    spq_show(&frames, image, 1);
    spq_reset(network, arena);
    spq_run_frames(network, arena, &frames, network->timesteps, trace, 0);
    return (const int32_t *)at(arena, network->logits);
}
