/* compact_pixels: the first layer. Pixels are added up, never multiplied: its codes are lists of places. */
#ifndef SPQ_COMPACT_PIXELS_H
#define SPQ_COMPACT_PIXELS_H

#include "compact.h"

#if SPQ_LANES_OF_PIXELS == 2
#define SPQ_REACHED 0x80008000u /* the lower lane is of one kernel, the upper of one half an image further */
#define SPQ_LEVEL(x) LANES((uint16_t)(x))
#else
#define SPQ_REACHED 0x80000000u
#define SPQ_LEVEL(x) ((uint32_t)(x))
#endif

/* A pixel, and a sum of pixels, in 32 bits. */
SPQ_INSIDE uint32_t pixel_of(uint8_t byte) {
    return SPQ_SIGNED ? (uint32_t)(int8_t)byte : byte;
}

SPQ_INSIDE uint32_t pixel_sum_of(uint16_t half) {
    return SPQ_SIGNED ? (uint32_t)(int16_t)half : half;
}

/* Where pixels come from: `read` is row number `first`; behind `end` rows begin again. */
typedef struct {
    const uint8_t *begin, *end, *read;
    uint16_t plane, row; /* bytes from a channel of a row to the next, from a row to the next */
    int16_t first;
} spq_lines;

/* Whether there is a row `y` of an image, and where it begins. */
SPQ_INSIDE const uint8_t *line_of(const spq_pixels *L, const spq_lines *lines, int16_t y) {
    if (y < 0 || y >= L->in_height) return 0;
    const uint8_t *row = lines->read;
    for (int16_t from = lines->first; from < y; from++) {
        row += lines->row;
        if (row >= lines->end) row = lines->begin;
    }
    return row;
}

/* Sums of `rows` and columns of pixels at one row, to `line`: [phase][place], zeros where there are no pixels. */
SPQ_INSIDE void sum_pixels(const spq_pixels *L, const uint8_t *const *rows, uint16_t count, uint16_t *line) {
    uint16_t *to = line;
    for (const uint16_t *end = line + L->line; to < end; to += 2) to[0] = to[1] = 0;
    uint32_t turn = L->turn; /* the first place that sees a pixel */
    to = line + L->start;
    const uint8_t *pixel = rows[0], *last = pixel + L->in_width, *below = rows[count - 1];
    if (SPQ_POOLED_PIXELS == L->pool_width && (SPQ_POOLED_PIXELS == 1 || (SPQ_POOLED_PIXELS == 2 && L->apart == 1))) {
        uint32_t before = 0;
        if (SPQ_POOLED_PIXELS == 2 && !L->left) {
            before = pixel_of(*pixel++);
            if (count > 1) before += pixel_of(*below++);
        }
        if (SPQ_POOLED_PIXELS == 2 && L->stride == 2 && count > 1) { /* two columns at a time */
            uint16_t *other = to + L->phase - (turn ? L->line - 1 : 0);
            for (; last - pixel > 1; pixel += 2, below += 2) {
                const uint32_t here = pixel_of(pixel[0]) + pixel_of(below[0]);
                const uint32_t next = pixel_of(pixel[1]) + pixel_of(below[1]);
                *to++ = (uint16_t)(before + here);
                *other++ = (uint16_t)(here + next);
                before = next;
            }
        }
        while (pixel < last) {
            uint32_t sum = pixel_of(*pixel++);
            if (SPQ_POOLED_PIXELS == 2) {
                uint32_t next = sum;
                if (count > 1) next += pixel_of(*below++);
                sum = before + next, before = next;
            }
            *to = (uint16_t)sum;
            to += L->phase;
            if (++turn == L->stride) turn = 0, to -= L->back;
        }
        if (SPQ_POOLED_PIXELS == 2) *to = (uint16_t)before;
        return;
    }
    int16_t x = L->nearest;
    do {
        uint32_t sum = 0;
        int16_t at = x;
        for (uint16_t k = 0; k < L->pool_width; k++, at = (int16_t)(at + L->apart)) {
            if (at < 0 || at >= L->in_width) continue;
            for (uint16_t r = 0; r < count; r++) sum += pixel_of(rows[r][at]);
        }
        *to = (uint16_t)sum;
        to += L->phase;
        if (++turn == L->stride) turn = 0, to -= L->back;
    } while (++x < L->in_width);
}

/* The same at row `first`, to places whose upper lanes are half an image further, of which lower ones below zero borrow;
 * whether one is not zero. */
SPQ_INSIDE uint32_t sum_row(const spq_pixels *L, const spq_lines *lines, int16_t first, uint32_t beside,
                            uint32_t *places, uint16_t *line) {
    const uint8_t *rows[SPQ_POOLED_PIXELS];
    uint16_t count = 0;
    for (uint16_t k = 0; k < L->pool_height; k++, first = (int16_t)(first + L->apart)) {
        const uint8_t *row = line_of(L, lines, first);
        if (row) rows[count++] = row + beside;
    }
    if (!count) {
        for (uint32_t i = 0; i < L->places; i++) places[i] = 0;
        return 0;
    }
    sum_pixels(L, rows, count, line);
    uint32_t any = 0;
    for (uint32_t turn = 0; turn < L->stride; turn++) {
        const uint16_t *from = line;
        for (const uint32_t *end = places + L->length; places < end; from++) {
            uint32_t sum = pixel_sum_of(*from);
            if (SPQ_LANES_OF_PIXELS == 2) sum += (uint32_t)from[L->half] << 16;
            any |= sum;
            *places++ = sum;
        }
        line += L->phase;
    }
    return any;
}

/* What spikes of a channel, in one or two lanes, a sum that reaches the lowest level makes. */
SPQ_APART void mark_pixel(const spq_pixels *L, uint32_t sum, const spq_level *level, uint16_t *low, uint32_t bit,
                          uint32_t reached) {
    const uint16_t *toggle = L->toggles, *end = toggle + L->count;
    uint16_t *high = low + L->further;
    do {
        uint32_t steps = *toggle++;
        for (uint16_t t = 0; steps; t++, steps >>= 1) {
            if (!(steps & 1u)) continue;
            if (SPQ_LANES_OF_PIXELS == 1) {
                low[t] = (uint16_t)(low[t] ^ bit);
            } else {
                if (sum & reached & 0x8000u) low[t] = (uint16_t)(low[t] ^ bit);
                if (sum & reached & 0x80000000u) high[t] = (uint16_t)(high[t] ^ bit);
            }
        }
        if (toggle == end) return;
        level++;
        sum -= SPQ_LEVEL(*level);
    } while (sum & reached);
}

#if SPQ_CHUNK == 7
#define SPQ_EACH(f) f(0) f(1) f(2) f(3) f(4) f(5) f(6)
#elif SPQ_CHUNK == 5
#define SPQ_EACH(f) f(0) f(1) f(2) f(3) f(4)
#else
#define SPQ_EACH(f) f(0) f(1) f(2) f(3)
#endif

/* The sums of a channel for SPQ_CHUNK kernels, from `places` on; spikes go to `out`. Answers where the next channel's
 * codes begin. */
SPQ_INSIDE const spq_tap *sum_chunk(const spq_pixels *L, const uint32_t *places, const spq_tap *tap,
                                    const spq_level *level, uint16_t *out, uint16_t count, uint32_t bit,
                                    uint16_t beyond, uint32_t low, uint32_t high) {
#define SPQ_CLEAR(i) uint32_t sum##i = 0;
#define SPQ_DOUBLE(i) sum##i <<= 1;
#define SPQ_NEGATE(i) sum##i = 0u - sum##i;
#define SPQ_ADD(i) sum##i += at[i];
#define SPQ_MARK(i)                                                                                                    \
    if (i < count) {                                                                                                   \
        sum##i += start;                                                                                               \
        if (sum##i & SPQ_REACHED)                                                                                      \
            mark_pixel(L, sum##i, level, out, bit, i < beyond ? SPQ_REACHED : SPQ_REACHED & 0xFFFFu);                  \
        out += L->pixel;                                                                                                  \
    }
    SPQ_EACH(SPQ_CLEAR)
    uint16_t planes = L->planes;
    do {
        SPQ_EACH(SPQ_DOUBLE)
        uint16_t sides = 2;
        do {
            SPQ_EACH(SPQ_NEGATE)
            const spq_tap *last = tap + 1;
            last += *tap++;
            const spq_tap *next = last;
            if (low) /* below that, and from the highest on, sums are zero */
                while (tap < last && *tap < low) tap++;
            if (high < L->kernel)
                while (tap < last && last[-1] >= high) last--;
            while (tap < last) {
                const uint32_t *at = places + *tap++;
                SPQ_EACH(SPQ_ADD)
            }
            tap = next;
        } while (--sides);
    } while (--planes);
    const uint32_t start = SPQ_LEVEL(*level);
    SPQ_EACH(SPQ_MARK)
    return tap;
}

/* Row `y` of what the layer makes. */
SPQ_APART void pixel_row(const spq_pixels *L, const spq_lines *lines, int16_t first, uint32_t *places, uint16_t *out) {
    uint32_t place = 0, low = L->kernel, high = 0; /* from the first row whose sums are not zero to the last */
    for (uint16_t k = 0; k < L->rows; k++, first++) {
        uint32_t beside = 0;
        for (uint16_t c = 0; c < L->in_channels; c++, beside += lines->plane) {
            uint32_t any = sum_row(L, lines, first, beside, places + place, (uint16_t *)(void *)(places + L->kernel));
            if (any && place < low) low = place;
            place += L->places;
            if (any) high = place;
        }
    }
    for (uint16_t *at = out, *end = out + L->out_row; at < end; at++) *at = 0;
    const spq_tap *tap = L->taps;
    const spq_level *level = L->levels;
    uint32_t bit = 0x8000u;
    for (uint16_t channel = 0; channel < L->channels; channel++, level += L->count) {
        const spq_tap *after = tap;
        uint16_t left = L->half, beyond = (uint16_t)(SPQ_LANES_OF_PIXELS == 2 ? L->out_width - L->half : L->half);
        const uint32_t *from = places;
        uint16_t *at = out;
        while (left) {
            const uint16_t count = left < SPQ_CHUNK ? left : SPQ_CHUNK;
            after = sum_chunk(L, from, tap, level, at, count, bit, beyond, low, high);
            from += SPQ_CHUNK;
            at += L->chunk;
            left = (uint16_t)(left - count), beyond = (uint16_t)(beyond > count ? beyond - count : 0);
        }
        tap = after;
        bit >>= 1;
        if (!bit) bit = 0x8000u, out += SPQ_STEPS;
    }
}

#endif
