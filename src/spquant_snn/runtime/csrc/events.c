/* events: pools on what comes in, the lists of what is not zero, and what of them an output meets. */
#include "events.h"

/* ---- pools ---- */

/* The maximum of bits is their OR. */
static void pool_spikes(const uint32_t *from, int32_t width, int32_t words, const spq_pool *pool, uint32_t *to) {
    for (int32_t y = 0; y < pool->height; y++)
        for (int32_t x = 0; x < pool->width; x++, to += words)
            for (int32_t k = 0; k < words; k++) {
                const uint32_t *window = from + (y * pool->stride * width + x * pool->stride) * words + k;
                uint32_t any = 0;
                for (int32_t i = 0; i < pool->kernel; i++)
                    for (int32_t j = 0; j < pool->kernel; j++) any |= window[(i * width + j) * words];
                to[k] = any;
            }
}

static void pool_counts(const int32_t *from, int32_t width, int32_t channels, const spq_pool *pool, int32_t *to) {
    for (int32_t y = 0; y < pool->height; y++)
        for (int32_t x = 0; x < pool->width; x++, to += channels)
            for (int32_t c = 0; c < channels; c++) {
                const int32_t *window = from + (y * pool->stride * width + x * pool->stride) * channels + c;
                int32_t result = 0; /* nothing that is pooled is below zero */
                for (int32_t i = 0; i < pool->kernel; i++)
                    for (int32_t j = 0; j < pool->kernel; j++) {
                        const int32_t value = window[(i * width + j) * channels];
                        if (!pool->largest) result += value;
                        else if (value > result) result = value;
                    }
                to[c] = result;
            }
}

/* Any input as counts [height][width][channels]. */
static void count(const spq_source *input, int32_t height, int32_t width, int32_t channels, int32_t *to) {
    const int32_t words = spq_words(channels);
    for (int32_t i = 0; i < height * width; i++)
        for (int32_t c = 0; c < channels; c++)
            to[i * channels + c] = input->pixels ? input->pixels[c * height * width + i]
                                                 : (int32_t)(input->spikes[i * words + (c >> 5)] >> (c & 31) & 1u);
}

spq_source spq_pooled(const spq_connection *connection, const spq_scratch *scratch, void *arena, spq_source input) {
    const int32_t channels = connection->channels;
    int32_t height = connection->source_height, width = connection->source_width, next = 0;
    for (int32_t i = 0; SPQ_POOLS && i < connection->pool_count; i++) {
        const spq_pool *pool = &connection->pools[i];
        const int32_t counted = (SPQ_POOLS & 2u) && (input.counts || input.pixels || !pool->largest);
        if (counted && !input.counts) {
            int32_t *to = (int32_t *)(void *)((uint8_t *)arena + scratch->pooled[next].offset);
            count(&input, height, width, channels, to);
            input.pixels = 0, input.spikes = 0, input.counts = to;
            next ^= 1;
        }
        void *to = (uint8_t *)arena + scratch->pooled[next].offset;
        if (counted) {
            pool_counts(input.counts, width, channels, pool, (int32_t *)to);
            input.counts = (const int32_t *)to;
        } else if (SPQ_POOLS & 1u) {
            pool_spikes(input.spikes, width, spq_words(channels), pool, (uint32_t *)to);
            input.spikes = (const uint32_t *)to;
        }
        next ^= 1;
        height = pool->height, width = pool->width;
    }
    return input;
}

/* ---- lists ---- */

static uint32_t list_spikes(const spq_lists *lists, const uint32_t *row, uint32_t *starts, spq_event *events) {
    const int32_t words = spq_words(lists->channels);
    const uint32_t word_step = 32u * lists->scale, pixel_step = (uint32_t)lists->channels * lists->scale;
    uint32_t n = 0, pixel = 0;
    for (int32_t x = 0; x < lists->width; x++, pixel += pixel_step) {
        uint32_t first = pixel;
        starts[x] = n;
        for (int32_t k = 0; k < words; k++, first += word_step)
            for (uint32_t bits = *row++; bits; bits &= bits - 1u)
                events[n++] = (spq_event)(first + spq_lowest(bits) * lists->scale);
    }
    return n;
}

static uint32_t list_pixels(const spq_lists *lists, const uint8_t *row, int32_t plane, uint32_t *starts,
                            spq_event *events, int32_t *values) {
    uint32_t n = 0, event = 0;
    for (int32_t x = 0; x < lists->width; x++) {
        starts[x] = n;
        for (int32_t c = 0; c < lists->channels; c++, event += lists->scale) {
            const int32_t value = row[c * plane + x];
            events[n] = (spq_event)event, values[n] = value;
            n += value != 0; /* without a branch: what was written is overwritten */
        }
    }
    return n;
}

static uint32_t list_counts(const spq_lists *lists, const int32_t *row, uint32_t *starts, spq_event *events,
                            int32_t *values) {
    uint32_t n = 0, event = 0;
    for (int32_t x = 0; x < lists->width; x++) {
        starts[x] = n;
        for (int32_t c = 0; c < lists->channels; c++, event += lists->scale) {
            const int32_t value = *row++;
            events[n] = (spq_event)event, values[n] = value;
            n += value != 0;
        }
    }
    return n;
}

void spq_list_row(const spq_lists *lists, const spq_source *input, int32_t height, int32_t y, int32_t slot) {
    const int32_t width = lists->width, channels = lists->channels;
    uint32_t *starts = lists->starts + slot * (width + 1);
    spq_event *events = lists->events + (uint32_t)slot * lists->capacity;
    int32_t *values = lists->values ? lists->values + (uint32_t)slot * lists->capacity : 0;
    uint32_t n;
    if (input->spikes) {
        n = list_spikes(lists, input->spikes + y * width * spq_words(channels), starts, events);
        for (uint32_t i = 0; values && i < n; i++) values[i] = 1;
    } else if ((SPQ_POOLS & 2u) && input->counts) {
        n = list_counts(lists, input->counts + y * width * channels, starts, events, values);
    } else {
        n = list_pixels(lists, input->pixels + y * width, height * width, starts, events, values);
    }
    starts[width] = n;
}

/* ---- what an output meets ---- */

void spq_look(const spq_connection *c, const spq_lists *lists, int32_t y, int32_t slot, spq_view *view) {
    const uint32_t kernel_row = (uint32_t)c->kernel_width * (uint32_t)c->channels * (uint32_t)c->row;
    spq_line *line = view->lines;
    for (int32_t i = 0; i < c->window; i++)
        for (int32_t ky = 0; ky < c->kernel_height; ky++) {
            const int32_t down = i * c->slide_height + ky;
            if (y + down < 0 || y + down >= c->height) continue; /* no event outside */
            const int32_t place = slot + down < lists->rows ? slot + down : slot + down - lists->rows;
            line->starts = (uint32_t)place * ((uint32_t)lists->width + 1u);
            line->events = (uint32_t)place * lists->capacity;
            line->codes = (uint32_t)ky * kernel_row;
            line++;
        }
    view->line_count = (int32_t)(line - view->lines);
}

int32_t spq_collect(const spq_connection *c, const spq_lists *lists, const spq_view *view, int32_t x) {
    const uint32_t pixel = (uint32_t)c->channels * (uint32_t)c->row;
    const spq_line *end = view->lines + view->line_count;
    spq_run *run = view->runs;
    for (int32_t j = 0; j < c->window; j++, x += c->slide_width) {
        const int32_t from = x < 0 ? 0 : x, to = x + c->kernel_width < c->width ? x + c->kernel_width : c->width;
        const uint32_t shift = (uint32_t)x * pixel;
        if (from >= to) continue;
        for (const spq_line *line = view->lines; line < end; line++) {
            const uint32_t *starts = lists->starts + line->starts;
            run->first = line->events + starts[from];
            run->last = line->events + starts[to];
            run->base = line->codes - shift;
            run += run->first != run->last;
        }
    }
    return (int32_t)(run - view->runs);
}

void spq_add_starts(const spq_connection *c, const spq_lists *lists, int32_t y, int32_t slot) {
    const uint32_t pitch = (uint32_t)lists->width + 1u;
    uint32_t *all = lists->starts + (uint32_t)lists->rows * pitch;
    for (uint32_t x = 0; x < pitch; x++) all[x] = 0;
    for (int32_t i = 0; i < lists->rows; i++) {
        if (y + i < 0 || y + i >= c->height) continue;
        const int32_t place = slot + i < lists->rows ? slot + i : slot + i - lists->rows;
        const uint32_t *starts = lists->starts + (uint32_t)place * pitch;
        for (uint32_t x = 0; x < pitch; x++) all[x] += starts[x];
    }
}
