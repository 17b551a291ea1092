/* columns: lists of a layer's events by groups of columns. */
#include "lanes.h"
#include "sliced.h"

#if SPQ_HAS_SLICED

/* The events of up to 64 channels, from `first` on; returns how many. Writes 64 values in any case. */
static inline int32_t expand(uint64_t bits, int32_t first, uint16_t *to) {
    static const uint8_t indices[64] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                        16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
                                        32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47,
                                        48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};
    const __m512i start = _mm512_set1_epi16((int16_t)first);
    const __m512i set = _mm512_maskz_compress_epi8(bits, _mm512_loadu_si512(indices));
    const int32_t count = __builtin_popcountll(bits);
    _mm512_storeu_si512(to, _mm512_add_epi16(start, _mm512_cvtepu8_epi16(_mm512_castsi512_si256(set))));
    if (count > 32)
        _mm512_storeu_si512(to + 32, _mm512_add_epi16(start, _mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64(set, 1))));
    return count;
}

/* Lists the spikes of a group whose pixels are one word each; returns how many. Channels of pixels that follow one
 * another are joined to as many bits as are listed at once. */
static int32_t list_joined(const spq_columns *c, const uint32_t *spikes, int32_t group) {
    const int32_t left = group * c->stride - c->pad, channels = c->channels;
    uint16_t *events = c->events + (uint32_t)group * c->pitch;
    uint32_t *head = c->heads + group;
    const uint32_t *row = spikes;
    int32_t n = 0, event = 0, used = 0; /* `used` bits of `bits` stand for what follows on `event` */
    uint64_t bits = 0;
    for (int32_t y = 0; y < c->height; y++, row += c->width, head += c->groups) {
        *head = (uint32_t)(n + __builtin_popcountll(bits));
        for (int32_t x = 0; x < c->stride; x++) {
            if (used + channels > 64) {
                n += expand(bits, event, events + n);
                event += used, used = 0, bits = 0;
            }
            const uint64_t word = (uint32_t)(left + x) < (uint32_t)c->width ? row[left + x] : 0;
            bits |= word << used;
            used += channels;
        }
    }
    n += expand(bits, event, events + n);
    *head = (uint32_t)n;
    _mm512_storeu_si512(events + n, _mm512_set1_epi32(-1));
    return n;
}

/* The same of pixels of any number of words. */
static int32_t list_spikes(const spq_columns *c, const uint32_t *spikes, int32_t group) {
    const int32_t words = spq_words(c->channels), left = group * c->stride - c->pad, right = left + c->stride;
    const int32_t first = left < 0 ? 0 : left, last = right < c->width ? right : c->width;
    uint16_t *events = c->events + (uint32_t)group * c->pitch;
    uint32_t *head = c->heads + group;
    const uint32_t *row = spikes + first * words;
    int32_t n = 0;
    for (int32_t y = 0; y < c->height; y++, row += c->width * words, head += c->groups) {
        const uint32_t *word = row;
        int32_t event = (y * c->stride + first - left) * c->channels;
        *head = (uint32_t)n;
        for (int32_t x = first; x < last; x++, word += words, event += c->channels)
            for (int32_t k = 0; k < words; k += 2) {
                const uint64_t high = k + 1 < words ? word[k + 1] : 0, bits = word[k] | high << 32;
                if (bits) n += expand(bits, event + 32 * k, events + n);
            }
    }
    *head = (uint32_t)n;
    _mm512_storeu_si512(events + n, _mm512_set1_epi32(-1));
    return n;
}

/* Lists what is silent: inputs that did not spike, and padding. */
static void list_silence(const spq_columns *c, const uint32_t *spikes, int32_t group) {
    const int32_t words = spq_words(c->channels), left = group * c->stride - c->pad;
    uint16_t *events = c->events + (uint32_t)group * c->pitch;
    uint32_t *head = c->heads + group;
    int32_t n = 0, event = 0;
    for (int32_t y = -c->above; y < c->height + c->above; y++, head += c->groups) {
        *head = (uint32_t)n;
        for (int32_t x = left; x < left + c->stride; x++, event += c->channels) {
            const int32_t inside = (uint32_t)x < (uint32_t)c->width && (uint32_t)y < (uint32_t)c->height;
            for (int32_t k = 0; k < words; k++) {
                const int32_t rest = c->channels - 32 * k;
                const uint32_t valid = rest < 32 ? (1u << rest) - 1u : 0xFFFFFFFFu;
                const uint32_t spiked = inside ? spikes[(y * c->width + x) * words + k] : 0;
                n += expand(valid & ~spiked, event + 32 * k, events + n);
            }
        }
    }
    *head = (uint32_t)n;
    _mm512_storeu_si512(events + n, _mm512_set1_epi32(-1));
}

spq_columns spq_list_columns(const spq_connection *c, const uint32_t *spikes, uint16_t *events, uint32_t *heads) {
    const int32_t stride = c->slices->stride, rows = c->height + 2 * c->pad_height, row = stride * c->channels;
    spq_columns columns = {c->height, c->width, c->channels, stride, c->pad_width, spq_groups(c), 0, 0,
                           (uint32_t)(rows * row + 64), events, heads};
    int32_t count = 0;
    for (int32_t group = 0; group < columns.groups; group++)
        count += c->channels > 32 ? list_spikes(&columns, spikes, group) : list_joined(&columns, spikes, group);
    if (2 * count <= rows * row * columns.groups) return columns;
    columns.silent = 1, columns.above = c->pad_height;
    for (int32_t group = 0; group < columns.groups; group++) list_silence(&columns, spikes, group);
    return columns;
}

#endif
