/* general: sums of a whole layer are there before its neurons are computed, row by row. */
#include "general.h"
#include "blocks.h"
#include "current.h"

#if SPQ_TERMS

static void trace_currents(const spq_turn *turn, int32_t row, const uint8_t *codes) {
    if (!SPQ_TRACES || !turn->trace || !turn->trace->codes) return;
    const spq_layer *layer = &turn->network->layers[turn->index];
    const int32_t words = row_words(&layer->connection), all = layer_words(&layer->connection);
    const int64_t place = (2 * (turn->step + turn->first) + 1) * all + row * words;
    int8_t *to = turn->trace->codes[turn->index] + place * SPQ_LANES;
    for (int32_t i = 0; i < words * SPQ_LANES; i++) to[i] = (int8_t)(codes[i] + layer->terms->current->low);
}

void spq_run_terms(const spq_turn *turn, const spq_moment *moment) {
    const spq_layer *layer = &turn->network->layers[turn->index];
    const spq_connection *c = &layer->connection;
    const spq_terms *terms = layer->terms;
    int32_t *sums = spq_sum_terms(moment, terms, c);
    const int32_t *active = (const int32_t *)at(turn->arena, turn->network->general->active);
    uint8_t *codes = (uint8_t *)at(turn->arena, terms->current_state);
    for (int32_t row = 0; row < c->out_height; row++) {
        const spq_neuron_row neurons = neurons_of(turn, turn->first, row);
        if (layer->blocks) spq_gate_row(layer->blocks, layer->neuron, &neurons, active + row * c->out_width);
        if (terms->current) spq_add_current(terms->current, &neurons, codes, sums);
        spq_fire_wide(layer->neuron, sums, &neurons);
        if (layer->blocks) spq_pass_row(layer->blocks, layer->neuron, &neurons);
        if (turn->trace) trace_row(turn, turn->first, row, &neurons);
        if (terms->current) trace_currents(turn, row, codes);
        sums += c->out_width * c->units * SPQ_UNIT;
        codes += row_words(c) * SPQ_LANES;
    }
}

static void read_out(const spq_moment *moment) {
    const spq_general *general = moment->network->general;
    for (int32_t i = 0; i < general->readout_count; i++) {
        const spq_readout *readout = &general->readouts[i];
        enter(moment->network->layer_count + i);
        spq_integrate(moment, readout, spq_sum_terms(moment, &readout->terms, &readout->connection));
    }
    spq_keep_pasts(moment);
}

spq_moment spq_moment_of(const spq_network *network, void *arena, const spq_frames *frames, int32_t t) {
    const spq_moment moment = {network, arena, frames->pixels + t * frames->pitch, t,
                               frames->static_input && (frames->later || t > 0)};
    return moment;
}

void spq_read_out(const spq_network *network, void *arena, const spq_frames *frames, int32_t steps) {
    const spq_general *general = network->general;
    const int32_t *answers = (const int32_t *)at(arena, network->logits);
    int32_t *said = frames->said;
    for (int32_t t = 0; t < steps; t++) {
        const spq_moment moment = spq_moment_of(network, arena, frames, t);
        read_out(&moment);
        for (int32_t i = 0; said && general->each_step && i < general->answers; i++) *said++ = answers[i];
    }
}

#endif
