/* windows: every value behind a window is gathered from what it looks at; the maximum of bits is their OR. */
#include "windows.h"

#if SPQ_TERMS

void spq_as_counts(const spq_source *source, int32_t signs, int32_t height, int32_t width, int32_t channels,
                   int32_t *to) {
    const int32_t words = spq_words(channels), places = height * width;
    for (int32_t i = 0; i < places; i++)
        for (int32_t c = 0; c < channels; c++) {
            int32_t value;
            if (source->counts) value = source->counts[i * channels + c];
            else if (source->spikes) value = (int32_t)(source->spikes[i * words + (c >> 5)] >> (c & 31) & 1u);
            else value = signs ? (int8_t)source->pixels[c * places + i] : source->pixels[c * places + i];
            *to++ = value;
        }
}

/* ---- bits ---- */

static void repeat_bits(const spq_window *w, const uint32_t *from, int32_t width, int32_t words, uint32_t *to) {
    int32_t y = 0, down = 0;
    for (int32_t row = 0; row < w->height; row++) {
        int32_t x = 0, right = 0;
        for (int32_t column = 0; column < w->width; column++) {
            for (int32_t k = 0; k < words; k++) *to++ = from[(y * width + x) * words + k];
            if (++right == w->kernel_width) right = 0, x++;
        }
        if (++down == w->kernel_height) down = 0, y++;
    }
}

/* Where a window over bits has looked at a place: their OR, or one more for each that is set. */
static void take_bits(const uint32_t *from, int32_t words, uint32_t *any, int32_t *counts) {
    for (int32_t k = 0; k < words; k++) {
        if (any) any[k] |= from[k];
        else
            for (uint32_t bits = from[k]; bits; bits &= bits - 1u) counts[32 * k + (int32_t)spq_lowest(bits)]++;
    }
}

static void window_bits(const spq_window *w, const uint32_t *from, int32_t height, int32_t width, int32_t channels,
                        uint32_t *any, int32_t *counts) {
    const int32_t words = spq_words(channels), size = any ? words : channels;
    for (int32_t row = 0, top = -w->pad_height; row < w->height; row++, top += w->step_height)
        for (int32_t column = 0, left = -w->pad_width; column < w->width; column++, left += w->step_width) {
            for (int32_t k = 0; k < size; k++) {
                if (any) any[k] = 0;
                else counts[k] = 0;
            }
            for (int32_t i = 0, y = top; i < w->kernel_height; i++, y += w->dilation_height)
                for (int32_t j = 0, x = left; j < w->kernel_width; j++, x += w->dilation_width)
                    if (y >= 0 && y < height && x >= 0 && x < width)
                        take_bits(from + (y * width + x) * words, words, any, counts);
            if (any) any += size;
            else counts += size;
        }
}

/* ---- numbers ---- */

static void take_numbers(const spq_window *w, const int32_t *from, int32_t channels, int32_t first, int32_t *to) {
    if (w->kind == SPQ_SUM)
        for (int32_t c = 0; c < channels; c++) to[c] += from[c];
    else
        for (int32_t c = 0; c < channels; c++) to[c] = first || from[c] > to[c] ? from[c] : to[c];
}

static void repeat_row(const spq_window *w, const int32_t *from, int32_t width, int32_t channels, int32_t row,
                       int32_t *to) {
    int32_t y = 0, x = 0, right = 0;
    for (int32_t below = w->kernel_height; below <= row; below += w->kernel_height) y++;
    for (int32_t column = 0; column < w->width; column++, to += channels) {
        for (int32_t c = 0; c < channels; c++) to[c] = from[(y * width + x) * channels + c];
        if (++right == w->kernel_width) right = 0, x++;
    }
}

void spq_window_row(const spq_window *w, const int32_t *from, int32_t height, int32_t width, int32_t channels,
                    int32_t row, int32_t *to) {
    if (w->kind == SPQ_REPEAT) {
        repeat_row(w, from, width, channels, row, to);
        return;
    }
    const int32_t top = row * w->step_height - w->pad_height;
    for (int32_t column = 0, left = -w->pad_width; column < w->width; column++, left += w->step_width, to += channels) {
        int32_t first = 1;
        for (int32_t c = 0; c < channels; c++) to[c] = 0;
        for (int32_t i = 0, y = top; i < w->kernel_height; i++, y += w->dilation_height)
            for (int32_t j = 0, x = left; j < w->kernel_width; j++, x += w->dilation_width) {
                if (y < 0 || y >= height || x < 0 || x >= width) continue;
                take_numbers(w, from + (y * width + x) * channels, channels, first, to);
                first = 0;
            }
    }
}

spq_source spq_windowed(const spq_window *w, spq_source source, int32_t height, int32_t width, int32_t channels,
                        void *to) {
    if (source.spikes && w->kind != SPQ_SUM) {
        uint32_t *bits = (uint32_t *)to;
        if (w->kind == SPQ_REPEAT) repeat_bits(w, source.spikes, width, spq_words(channels), bits);
        else window_bits(w, source.spikes, height, width, channels, bits, 0);
        source.spikes = bits;
        return source;
    }
    int32_t *counts = (int32_t *)to;
    if (source.spikes) window_bits(w, source.spikes, height, width, channels, 0, counts);
    for (int32_t row = 0; !source.spikes && row < w->height; row++)
        spq_window_row(w, source.counts, height, width, channels, row, counts + row * w->width * channels);
    source.spikes = 0, source.counts = counts;
    return source;
}

#endif
