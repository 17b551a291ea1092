/* sliced_layer: rows are counted and their neurons computed one after the other. Where a gate leaves some as they are,
 * those that it does not are moved together first, so that a register is full of them: a few rows at a time. */
#include "sliced_layer.h"
#include "blocks.h"

#if SPQ_HAS_SLICED

static void run_rows(const spq_turn *turn, const spq_connection *c, const spq_columns *columns,
                     spq_counters *counters) {
    const spq_layer *layer = &turn->network->layers[turn->index];
    for (int32_t row = 0; row < c->out_height; row++) {
        const spq_sweep sweep = spq_sweep_of(c, columns, row);
        const spq_neuron_row neurons = neurons_of(turn, turn->first, row);
        counters->most = spq_count_events(&sweep, counters->shifts);
        const int32_t bits = spq_potential_bits(c, layer->neuron, counters);
        spq_lay_planes(c, bits - layer->neuron->fraction, c->out_width, counters);
        spq_count_row(&sweep, 0, counters);
        const uint32_t *joined = layer->shortcut ? beside_of(turn) + row * row_words(c) : 0;
        spq_fire_slices(c, layer->neuron, counters, bits, joined, &neurons);
        if (turn->trace) trace_row(turn, turn->first, row, &neurons);
    }
}

/* ---- behind a gate ---- */

/* Pixels that a gate does not leave as they are, moved together. */
typedef struct {
    int32_t count;
    int32_t *columns;                 /* of each */
    uint32_t *codes, *spikes, *added; /* [2][most][tiles], and [most][tiles] of what a shortcut adds */
    uint8_t *marks;                   /* [most][tiles] */
    int32_t pitch;                    /* of codes */
} spq_open;

/* Mark the blocks of a row; those pixels of which any is computed are put behind the others. Returns the most events
 * that any of them meets. */
static int32_t open_row(const spq_turn *turn, const spq_sweep *w, int32_t row, spq_open *open, int32_t *shifts) {
    const spq_layer *layer = &turn->network->layers[turn->index];
    const spq_connection *c = w->connection;
    const spq_neuron_row neurons = neurons_of(turn, turn->first, row);
    const int32_t tiles = c->tiles;
    const uint32_t *joined = layer->shortcut ? beside_of(turn) + row * row_words(c) : 0;
    spq_below below = spq_below_of(w);
    int32_t most = 0;
    for (int32_t x = 0; x < c->out_width; x++) {
        const int32_t n = spq_next_events(&below);
        if (!spq_gate_pixel(layer->blocks, layer->neuron, &neurons, x, spq_spiked(w, n))) continue;
        const int32_t place = open->count * tiles;
        most = n > most ? n : most;
        open->columns[open->count++] = x;
        for (int32_t t = 0; t < tiles; t++) {
            const int32_t word = x * tiles + t;
            open->codes[place + t] = neurons.state[word];
            open->codes[open->pitch + place + t] = neurons.state[neurons.pitch + word];
            open->marks[place + t] = neurons.marks[word];
            if (joined) open->added[place + t] = joined[word];
            shifts[place + t] = n * c->slices->lift;
        }
    }
    return most;
}

/* Give a row back its codes, and its spikes, of which the others have none. */
static void close_row(const spq_turn *turn, const spq_sweep *w, int32_t row, int32_t first, const spq_open *open) {
    const spq_neuron_row neurons = neurons_of(turn, turn->first, row);
    const int32_t tiles = w->connection->tiles;
    for (int32_t i = 0; i < row_words(w->connection); i++) neurons.spikes[i] = 0;
    for (int32_t i = first; i < first + w->count; i++)
        for (int32_t t = 0; t < tiles; t++) {
            const int32_t word = open->columns[i] * tiles + t, place = i * tiles + t;
            if (open->marks[place]) continue;
            neurons.state[word] = open->codes[place];
            neurons.state[neurons.pitch + word] = open->codes[open->pitch + place];
            neurons.spikes[word] = open->spikes[place];
        }
    if (turn->trace) trace_row(turn, turn->first, row, &neurons);
}

static void run_gated(const spq_turn *turn, const spq_connection *c, const spq_columns *columns,
                      spq_counters *counters) {
    const spq_layer *layer = &turn->network->layers[turn->index];
    const spq_scratch *scratch = &turn->network->scratch;
    const int32_t rows = spq_rows_at_once(c), words = rows * row_words(c) + SPQ_WORDS;
    uint32_t *memory = (uint32_t *)at(turn->arena, scratch->open);
    spq_open open = {0, (int32_t *)memory, memory + words, memory + 3 * words, memory + 4 * words,
                     (uint8_t *)(memory + 5 * words), words};
    spq_sweep sweeps[SPQ_WORDS];
    for (int32_t top = 0; top < c->out_height; top += rows) {
        const int32_t end = top + rows < c->out_height ? top + rows : c->out_height;
        open.count = 0, counters->most = 0;
        for (int32_t row = top; row < end; row++) {
            spq_sweep *w = &sweeps[row - top];
            *w = spq_sweep_of(c, columns, row);
            const int32_t before = open.count, most = open_row(turn, w, row, &open, counters->shifts);
            counters->most = most > counters->most ? most : counters->most;
            w->open = open.columns + before, w->count = open.count - before;
        }
        if (open.count) {
            const int32_t bits = spq_potential_bits(c, layer->neuron, counters);
            const spq_neuron_row neurons = {open.count, c->tiles, c->units, open.codes, open.pitch, open.spikes, 0};
            spq_lay_planes(c, bits - layer->neuron->fraction, open.count, counters);
            for (int32_t row = top; row < end; row++) {
                const spq_sweep *w = &sweeps[row - top];
                if (w->count) spq_count_row(w, (int32_t)(w->open - open.columns), counters);
            }
            spq_fire_slices(c, layer->neuron, counters, bits, layer->shortcut ? open.added : 0, &neurons);
        }
        for (int32_t row = top; row < end; row++) {
            const spq_sweep *w = &sweeps[row - top];
            close_row(turn, w, row, (int32_t)(w->open - open.columns), &open);
        }
    }
}

void spq_run_slices(const spq_turn *turn, const spq_connection *c, const uint32_t *spikes) {
    const spq_scratch *scratch = &turn->network->scratch;
    const spq_columns columns = spq_list_columns(c, spikes, (uint16_t *)at(turn->arena, scratch->columns),
                                                 (uint32_t *)at(turn->arena, scratch->heads));
    spq_counters counters = {0, 0, (uint32_t *)at(turn->arena, scratch->planes),
                             (int32_t *)at(turn->arena, scratch->shifts), 0, columns.silent};
    if (turn->network->layers[turn->index].blocks) run_gated(turn, c, &columns, &counters);
    else run_rows(turn, c, &columns, &counters);
}

#endif
