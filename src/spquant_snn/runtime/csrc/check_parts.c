/* check_parts: connections of every form, and neurons. */
#include "check_common.h"
#include "dense.h"
#include "events.h"
#include "compilers.h"
#include "sliced.h"

/* No stage of pooling is larger than what comes in. */
int32_t spq_check_pools(const spq_connection *c, const spq_scratch *scratch, int32_t first, uint32_t size) {
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
int32_t spq_check_lists(const spq_connection *c, const spq_scratch *s, uint64_t rows, uint64_t runs, int32_t marked,
                           uint32_t size) {
    const uint64_t count = times3((int64_t)rows, c->width, c->channels), events = sizeof(spq_event) * count;
    const uint64_t lines = times(c->window, c->kernel_height);
    const uint64_t codes = times((int64_t)times3(c->kernel_height, c->kernel_width, c->channels), c->row);
    if (!countable(codes) || !countable(count) || !countable(times3(c->width, c->channels, c->row)))
        return SPQ_BAD_SHAPE;
    const int32_t packed = c->form == SPQ_PACKED && c->packed->bits == 16;
    const int32_t multiplied = c->form == SPQ_MULTIPLY || c->form == SPQ_MULTIPLY16 || c->form == SPQ_PRODUCTS;
    const int32_t weighed = packed || multiplied || c->form == SPQ_GROUPED;
    const uint64_t starts = 4u * times((int64_t)rows + marked, (int64_t)c->width + 1);
    return fits(s->starts, starts, size) && fits(s->events, events, size) &&
                   fits(s->values, weighed ? 4u * count : 0, size) && fits(s->lines, lines * sizeof(spq_line), size) &&
                   fits(s->runs, runs * sizeof(spq_run), size)
               ? SPQ_OK
               : SPQ_BAD_ARENA;
}

int32_t spq_check_events(const spq_connection *c, const spq_scratch *s, int32_t marked, uint32_t size) {
    if (c->limit < 1 || c->window < 1 || c->slide_height < 1 || c->slide_width < 1) return SPQ_BAD_SHAPE;
    const uint64_t rows = times(c->window - 1, c->slide_height) + (uint64_t)c->kernel_height;
    return spq_check_lists(c, s, rows, times3(c->window, c->window, c->kernel_height), marked, size);
}

int32_t spq_check_dense(const spq_connection *c, const spq_scratch *s, int32_t first, uint32_t size) {
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

int32_t spq_check_sliced(const spq_layer *layer, const spq_scratch *s, uint32_t size) {
    const spq_connection *c = &layer->connection;
    const spq_slices *p = c->slices;
    if (!SPQ_HAS_SLICED) return SPQ_BAD_BODY;
    if (!p || !layer->neuron || c->window != 1 || p->slots < 1 || p->spread < 1 || p->block < 1) return SPQ_BAD_SHAPE;
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
    const spq_blocks *blocks = layer->blocks; /* what lies beside the kernel is counted with what is under it */
    if (blocks && (blocks->silent || times(p->slots, p->stride) != (uint64_t)c->kernel_width)) return SPQ_BAD_SHAPE;
    const int32_t rows_at_once = blocks ? spq_rows_at_once(c) : 1;
    const uint64_t words = times3(rows_at_once, c->out_width, c->tiles);
    const uint64_t deep = times(p->passes, spq_plane_count(p->planes)), open = blocks ? 24u * (words + SPQ_WORDS) : 0;
    const uint64_t planes = times3((int64_t)deep, (int64_t)words, p->spread);
    return fits(s->columns, 2u * times((int64_t)groups, (int64_t)(rows * row + 64u)), size) &&
                   fits(s->heads, 4u * times((int64_t)groups, (int64_t)rows + 1), size) &&
                   fits(s->shifts, 4u * (words + SPQ_WORDS), size) && fits(s->planes, 4u * (planes + 64u), size) &&
                   fits(s->open, open, size)
               ? SPQ_OK
               : SPQ_BAD_ARENA;
}

int32_t spq_check_quads(const spq_layer *layer, const spq_scratch *s, uint32_t size) {
    const spq_connection *c = &layer->connection;
    const spq_quads *q = c->quads;
    if (!SPQ_HAS_QUADS) return SPQ_BAD_BODY;
    const int32_t listed = c->form == SPQ_SLICED || c->form == SPQ_ADD8 || c->form == SPQ_ADD16;
    if (!listed || !layer->neuron || layer->shortcut || (layer->blocks && layer->blocks->count)) return SPQ_BAD_SHAPE;
    for (int32_t i = 0; i < c->pool_count; i++)
        if (!c->pools[i].largest) return SPQ_BAD_SHAPE;
    if (q->least < 0 || q->window < 1 || q->window > 11 || q->slide_height < 1 || q->slide_width < 1 || q->limit < 1)
        return SPQ_BAD_SHAPE;
    if (q->kernel_height < 1 || q->kernel_width < 1 || !q->codes || (!q->wide && !layer->neuron->narrow))
        return SPQ_BAD_SHAPE;
    const uint64_t width = (uint64_t)c->width + 2u * (uint64_t)c->pad_width;
    const uint64_t height = (uint64_t)c->height + 2u * (uint64_t)c->pad_height;
    const uint64_t right = times(c->out_width - 1, c->step_width) + times(q->window - 1, q->slide_width);
    const uint64_t below = times(c->out_height - 1, c->step_height) + times(q->window - 1, q->slide_height);
    if (right + (uint64_t)q->kernel_width > width || below + (uint64_t)q->kernel_height > height) return SPQ_BAD_SHAPE;
    if (times(q->count, 4) != ((times(q->kernel_width, c->channels) + 3u) & ~UINT64_C(3))) return SPQ_BAD_SHAPE;
    const uint64_t sums = (q->wide ? 4u : 2u) * SPQ_UNIT * times3(c->out_height, c->out_width, c->units);
    const uint64_t frame = times3((int64_t)height, (int64_t)width, c->channels) + SPQ_BEYOND;
    if (!countable(times3(q->kernel_height, q->count, 4 * SPQ_LANES)) || !countable(sums)) return SPQ_BAD_SHAPE;
    return fits(s->frame, frame, size) && fits(s->sums, sums, size) ? SPQ_OK : SPQ_BAD_ARENA;
}

/* Sizes that all forms take for granted: each at least one, padding none below zero, and places that have numbers. */
int32_t spq_check_sizes(const spq_connection *c) {
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

int32_t spq_check_products(const spq_connection *c) {
    const spq_packed *p = c->packed;
    if (!p || !c->wide || p->units != c->units || p->lift < 0) return SPQ_BAD_SHAPE;
    if (p->bits != 2 && p->bits != 4 && p->bits != 8) return SPQ_BAD_SHAPE;
    const uint64_t fields = times(c->row, 16 >> (p->bits >> 2)); /* of the words of an input */
    const int32_t enough = fields >= (uint64_t)c->outputs && fields <= SPQ_UNIT * (uint64_t)c->units;
    return enough ? SPQ_OK : SPQ_BAD_SHAPE;
}

int32_t spq_check_packed(const spq_connection *c, const spq_neuron *neuron) {
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

/* Neurons, and where their codes and spikes are. */
int32_t spq_check_neurons(const spq_network *network, const spq_layer *layer) {
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
