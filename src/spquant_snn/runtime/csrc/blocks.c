/* blocks: the decisions are those of integer/reference.py and integer/silent_blocks.py. */
#include "blocks.h"

/* The sum of the stored codes of a block of so many channels; what lies in lanes beyond them means nothing. */
static int32_t sum_codes(const spq_neuron *n, const spq_neuron_row *neurons, int32_t word, int32_t channels) {
    int32_t sum = n->low * channels;
    if (n->bits == 8) {
        const uint8_t *bytes = (const uint8_t *)(neurons->state + 8 * word);
        for (int32_t c = 0; c < channels; c++) sum += bytes[c];
        return sum;
    }
    const uint32_t there = 0xFFFFFFFFu >> (SPQ_LANES - channels);
    for (int32_t b = 0; b < n->bits; b++) sum += spq_ones(neurons->state[b * neurons->pitch + word] & there) << b;
    return sum;
}

static int32_t held(const spq_blocks *blocks, const spq_neuron *n, const spq_neuron_row *neurons, int32_t word,
                    int32_t tile, int32_t active) {
    const int32_t left = blocks->channels - tile * SPQ_LANES;
    const int32_t codes = sum_codes(n, neurons, word, left < SPQ_LANES ? left : SPQ_LANES);
    return blocks->count[tile] * active + blocks->code[tile] * codes < blocks->least[tile];
}

void spq_settle_padding(const spq_blocks *blocks, const spq_neuron *n, int32_t words, uint32_t *end) {
    const int32_t tiles = (blocks->channels + SPQ_LANES - 1) >> 5, spare = tiles * SPQ_LANES - blocks->channels;
    if (n->scaled) return; /* these stay at zero */
    for (int32_t i = n->bits * words; i > 0; i -= tiles, end -= tiles) end[-1] &= 0xFFFFFFFFu >> spare;
}

void spq_mark_row(const spq_blocks *blocks, const spq_neuron *n, const spq_neuron_row *neurons,
                  const spq_connection *c, const spq_lists *lists) {
    int32_t word = 0;
    for (int32_t column = 0, x = -c->pad_width; column < c->out_width; column++, x += c->step_width) {
        const int32_t active = spq_active(c, lists, x);
        for (int32_t tile = 0; tile < c->tiles; tile++, word++) {
            uint8_t mark = SPQ_COMPUTED;
            if (blocks->silent && active <= blocks->silent[tile]) mark = SPQ_SILENT;
            if (blocks->count && held(blocks, n, neurons, word, tile, active)) mark = SPQ_HELD;
            neurons->marks[word] = mark;
        }
    }
}

#if SPQ_TERMS || SPQ_HOST
int32_t spq_gate_pixel(const spq_blocks *blocks, const spq_neuron *n, const spq_neuron_row *neurons, int32_t column,
                       int32_t active) {
    int32_t word = column * neurons->tiles, computed = 0;
    for (int32_t tile = 0; tile < neurons->tiles; tile++, word++) {
        const int32_t left = held(blocks, n, neurons, word, tile, active);
        neurons->marks[word] = left ? SPQ_HELD : SPQ_COMPUTED;
        computed |= !left;
    }
    return computed;
}

void spq_gate_row(const spq_blocks *blocks, const spq_neuron *n, const spq_neuron_row *neurons, const int32_t *active) {
    for (int32_t column = 0; column < neurons->width; column++)
        (void)spq_gate_pixel(blocks, n, neurons, column, active[column]);
}
#endif

/* What becomes of a tile's codes without input: every code gives way to the next. */
typedef struct {
    int32_t known;
    uint32_t before[4], after[4], spikes;
} spq_outcome;

SPQ_INLINE void rest(const uint32_t *next, const int32_t bits, int32_t levels, const uint32_t *state, int32_t pitch,
                     spq_outcome *found) {
    found->known = 1, found->spikes = 0;
    for (int32_t b = 0; b < bits; b++) found->before[b] = state[b * pitch], found->after[b] = 0;
    for (int32_t k = 0; k < levels; k++, next += bits + 1) {
        uint32_t here = 0xFFFFFFFFu;
        for (int32_t b = 0; b < bits; b++) here &= k >> b & 1 ? found->before[b] : ~found->before[b];
        for (int32_t b = 0; b < bits; b++) found->after[b] |= here & next[b];
        found->spikes |= here & next[bits];
    }
}

/* The marked blocks of a tile. Where much is silent, most have the codes of the one before: these step on as it did. */
SPQ_INLINE void pass_tile(const spq_blocks *blocks, const int32_t bits, int32_t levels, int32_t tile,
                          const spq_neuron_row *neurons) {
    const int32_t words = neurons->width * neurons->tiles, pitch = neurons->pitch;
    spq_outcome last;
    last.known = 0, last.spikes = 0;
    for (int32_t b = 0; b < bits; b++) last.before[b] = 0, last.after[b] = 0;
    for (int32_t word = tile; word < words; word += neurons->tiles) {
        if (neurons->marks[word] == SPQ_COMPUTED) continue;
        if (neurons->marks[word] == SPQ_HELD) {
            neurons->spikes[word] = 0;
            continue;
        }
        uint32_t *state = neurons->state + word, other = !last.known;
        for (int32_t b = 0; !other && b < bits; b++) other = state[b * pitch] ^ last.before[b];
        if (other) rest(blocks->rest + tile * levels * (bits + 1), bits, levels, state, pitch, &last);
        for (int32_t b = 0; b < bits; b++) state[b * pitch] = last.after[b];
        neurons->spikes[word] = last.spikes;
    }
}

void spq_pass_row(const spq_blocks *blocks, const spq_neuron *n, const spq_neuron_row *neurons) {
    for (int32_t tile = 0; tile < neurons->tiles; tile++) {
        if (n->bits == 2) pass_tile(blocks, 2, n->levels, tile, neurons);
        else if (n->bits == 3) pass_tile(blocks, 3, n->levels, tile, neurons);
        else pass_tile(blocks, 4, n->levels, tile, neurons);
    }
}
