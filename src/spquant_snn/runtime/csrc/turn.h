/* turn: a layer at work, its neurons and its trace. */
#ifndef SPQ_TURN_H
#define SPQ_TURN_H

#include "neuron.h"

/* Where a layer, or a readout behind the layers, begins to work. A build that is to be measured names code, each four
 * bytes of which return at once, and calls that of the layer's number; any other does nothing. */
#if defined(SPQ_PROFILE)
extern const uint8_t SPQ_PROFILE[];
static inline void enter(int32_t index) {
    ((void (*)(void))((uintptr_t)SPQ_PROFILE + 4u * (uintptr_t)index))();
}
#else
static inline void enter(int32_t index) {
    (void)index;
}
#endif

static inline void *at(void *arena, spq_region region) {
    return (uint8_t *)arena + region.offset;
}

static inline int32_t row_words(const spq_connection *c) {
    return c->out_width * c->tiles;
}

static inline int32_t layer_words(const spq_connection *c) {
    return c->out_height * row_words(c);
}

static inline int32_t has_current(const spq_layer *layer) {
    return SPQ_TERMS && layer->terms && layer->terms->current;
}

/* Frames, or one that stays. */
typedef struct {
    const uint8_t *pixels;
    int64_t pitch;
    int32_t static_input;
#if SPQ_TERMS
    int32_t later; /* steps were taken before */
    int32_t *said; /* where the answers of each step are wanted */
#endif
} spq_frames;

/* A layer at work: `count` steps from `first` on, of which each has the same sums. */
typedef struct {
    const spq_network *network;
    void *arena;
    const spq_trace *trace;
    int64_t step; /* traced as */
    int32_t index, first, count;
} spq_turn;

static inline void trace_row(const spq_turn *turn, int32_t t, int32_t row, const spq_neuron_row *neurons) {
    if (!SPQ_TRACES) return;
    const spq_layer *layer = &turn->network->layers[turn->index];
    const int32_t words = row_words(&layer->connection), all = layer_words(&layer->connection);
    const int64_t step = turn->step + t, place = step * all + row * words;
    const int64_t currents = has_current(layer) ? step * all : 0; /* of the steps before */
    if (turn->trace->spikes)
        for (int32_t i = 0; i < words; i++) turn->trace->spikes[turn->index][place + i] = neurons->spikes[i];
    if (turn->trace->codes)
        spq_read_codes(layer->neuron, neurons, turn->trace->codes[turn->index] + (place + currents) * SPQ_LANES);
}

/* The spikes at the source of a layer's shortcut, of its first step. */
static inline const uint32_t *beside_of(const spq_turn *turn) {
    const spq_layer *layers = turn->network->layers, *source = &layers[layers[turn->index].shortcut->source];
    return (const uint32_t *)at(turn->arena, source->spikes) + turn->first * layer_words(&source->connection);
}

static inline spq_neuron_row neurons_of(const spq_turn *turn, int32_t t, int32_t row) {
    const spq_layer *layer = &turn->network->layers[turn->index];
    const spq_connection *c = &layer->connection;
    const int32_t words = row_words(c), all = layer_words(c);
    spq_neuron_row neurons = {c->out_width, c->tiles, c->units, (uint32_t *)at(turn->arena, layer->state), all,
                              (uint32_t *)at(turn->arena, layer->spikes) + t * all + row * words, 0};
    if (SPQ_BLOCKS && layer->blocks) neurons.marks = (uint8_t *)at(turn->arena, turn->network->scratch.marks);
    neurons.state += row * words * (layer->neuron->bits == 8 ? 8 : 1);
    return neurons;
}

#endif
