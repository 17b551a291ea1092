/* dense: each instruction takes two pixels of a row under the kernel and two codes of each of its lanes. */
#include "dense.h"
#include "lanes.h"

#if SPQ_HAS_LANES

/* Output pixels that share what is loaded of the codes. */
#if SPQ_VECTORS && defined(__AVX512BW__)
#define AT_ONCE 8
#else
#define AT_ONCE 4
#endif

/* ---- 32 outputs of one or several pixels, or 16 where there are no more: sum += two values times two codes ---- */

#if SPQ_VECTORS && defined(__AVX2__)

/* Two values side by side, as they lie in memory. */
SPQ_INLINE int32_t two(const int16_t *values) {
    return (int32_t)((uint32_t)(uint16_t)values[0] | (uint32_t)(uint16_t)values[1] << 16);
}

#endif
#if SPQ_VECTORS && defined(__AVX512BW__)

typedef struct {
    __m512i half[2];
} spq_products;

SPQ_INLINE spq_products nothing(void) {
    return (spq_products){{_mm512_setzero_si512(), _mm512_setzero_si512()}};
}
SPQ_INLINE __m512i with(__m512i sum, __m512i values, __m512i codes) {
#if defined(__AVX512VNNI__)
    return _mm512_dpwssd_epi32(sum, values, codes);
#else
    return _mm512_add_epi32(sum, _mm512_madd_epi16(values, codes));
#endif
}
SPQ_INLINE void add(spq_products *sums, const int16_t *values, int32_t step, const int16_t *codes, const int32_t count,
                    const int32_t halves) {
    const __m512i low = _mm512_loadu_si512(codes), high = _mm512_loadu_si512(codes + 32);
    SPQ_UNROLL(8)
    for (int32_t i = 0; i < count; i++) {
        const __m512i both = _mm512_set1_epi32(two(values + i * step));
        sums[i].half[0] = with(sums[i].half[0], both, low);
        if (halves > 1) sums[i].half[1] = with(sums[i].half[1], both, high);
    }
}
SPQ_INLINE void store(const spq_products *sums, const int32_t wide, void *to) {
    for (int32_t h = 0; h < 2; h++) {
        if (wide) _mm512_storeu_si512((int32_t *)to + 16 * h, sums->half[h]);
        else
            _mm256_storeu_si256((__m256i *)(void *)((int16_t *)to + 16 * h), _mm512_cvtsepi32_epi16(sums->half[h]));
    }
}

#elif SPQ_VECTORS && defined(__AVX2__)

typedef struct {
    __m256i quarter[4];
} spq_products;

SPQ_INLINE spq_products nothing(void) {
    const __m256i zero = _mm256_setzero_si256();
    return (spq_products){{zero, zero, zero, zero}};
}
SPQ_INLINE void add(spq_products *sums, const int16_t *values, int32_t step, const int16_t *codes, const int32_t count,
                    const int32_t halves) {
    for (int32_t i = 0; i < count; i++) {
        const __m256i both = _mm256_set1_epi32(two(values + i * step));
        for (int32_t q = 0; q < 2 * halves; q++) {
            const __m256i part = _mm256_loadu_si256((const __m256i *)(const void *)(codes + 16 * q));
            sums[i].quarter[q] = _mm256_add_epi32(sums[i].quarter[q], _mm256_madd_epi16(both, part));
        }
    }
}
SPQ_INLINE void store(const spq_products *sums, const int32_t wide, void *to) {
    for (int32_t q = 0; q < 4; q++) {
        if (wide) _mm256_storeu_si256((__m256i *)(void *)((int32_t *)to + 8 * q), sums->quarter[q]);
        else if (q & 1) {
            const __m256i both = _mm256_packs_epi32(sums->quarter[q - 1], sums->quarter[q]); /* by halves */
            _mm256_storeu_si256((__m256i *)(void *)((int16_t *)to + 8 * (q - 1)), _mm256_permute4x64_epi64(both, 0xD8));
        }
    }
}

#else /* on 64-bit Arm compilers make vectors of these loops */

typedef struct {
    int32_t lane[SPQ_LANES];
} spq_products;

SPQ_INLINE spq_products nothing(void) {
    return (spq_products){{0}};
}
SPQ_INLINE void add(spq_products *sums, const int16_t *values, int32_t step, const int16_t *codes, const int32_t count,
                    const int32_t halves) {
    for (int32_t i = 0; i < count; i++) {
        const int32_t first = values[i * step], second = values[i * step + 1];
        for (int32_t l = 0; l < halves * SPQ_UNIT; l++)
            sums[i].lane[l] += first * codes[2 * l] + second * codes[2 * l + 1];
    }
}
SPQ_INLINE void store(const spq_products *sums, const int32_t wide, void *to) {
    for (int32_t l = 0; l < SPQ_LANES; l++) {
        const int32_t sum = sums->lane[l];
        if (wide) ((int32_t *)to)[l] = sum;
        else ((int16_t *)to)[l] = (int16_t)(sum > 32767 ? 32767 : sum < -32768 ? -32768 : sum);
    }
}

#endif

/* ---- frames and rows ---- */

void spq_fill_frame(const spq_connection *c, const uint8_t *pixels, int32_t signs, const spq_frame *frame) {
    for (int32_t i = 0; i < frame->height * frame->pitch; i++) frame->pixels[i] = 0;
    for (int32_t channel = 0; channel < c->channels; channel++)
        for (int32_t y = 0; y < c->height; y++) {
            int16_t *to = frame->pixels + (y + c->pad_height) * frame->pitch + c->pad_width * c->channels + channel;
            if (c->channels == 1 && !signs) /* side by side: a compiler takes many at a time */
                for (int32_t x = 0; x < c->width; x++) to[x] = *pixels++;
            else if (signs)
                for (int32_t x = 0; x < c->width; x++, to += c->channels) *to = (int8_t)*pixels++;
            else
                for (int32_t x = 0; x < c->width; x++, to += c->channels) *to = *pixels++;
        }
}

SPQ_INLINE void pixels_of(const spq_connection *c, const spq_frame *frame, const int16_t *corner, int32_t tile,
                          const int32_t count, const int32_t halves, const int32_t wide, void *sums) {
    const int32_t pairs = (c->kernel_width * c->channels + 1) >> 1, step = c->step_width * c->channels;
    const int16_t *codes = c->codes16 + tile * 2 * SPQ_LANES;
    spq_products found[AT_ONCE];
    SPQ_UNROLL(8)
    for (int32_t i = 0; i < count; i++) found[i] = nothing();
    for (int32_t ky = 0; ky < c->kernel_height; ky++, corner += frame->pitch)
        for (int32_t k = 0; k < pairs; k++, codes += 2 * c->row)
            add(found, corner + 2 * k, step, codes, count, halves);
    SPQ_UNROLL(8)
    for (int32_t i = 0; i < count; i++) {
        const int32_t at = (i * c->tiles + tile) * SPQ_LANES;
        store(&found[i], wide, wide ? (void *)((int32_t *)sums + at) : (void *)((int16_t *)sums + at));
    }
}

SPQ_INLINE void tile_of(const spq_connection *c, const spq_frame *frame, const int16_t *corner, int32_t tile,
                        const int32_t halves, const int32_t wide, void *sums) {
    const int32_t step = c->step_width * c->channels, size = (wide ? 4 : 2) * c->tiles * SPQ_LANES;
    const int32_t last = c->out_width - AT_ONCE;
    uint8_t *to = (uint8_t *)sums;
    for (int32_t x = 0; last >= 0 && x < c->out_width; x += AT_ONCE) { /* the last of a row begin early enough */
        const int32_t first = x < last ? x : last;
        pixels_of(c, frame, corner + first * step, tile, AT_ONCE, halves, wide, to + first * size);
    }
    for (int32_t x = 0; last < 0 && x < c->out_width; x++)
        pixels_of(c, frame, corner + x * step, tile, 1, halves, wide, to + x * size);
}

SPQ_INLINE void row_of(const spq_connection *c, const spq_frame *frame, int32_t y, const int32_t wide, void *sums) {
    const int16_t *corner = frame->pixels + y * c->step_height * frame->pitch;
    for (int32_t tile = 0; tile < c->tiles; tile++) {
        if (c->outputs - tile * SPQ_LANES > SPQ_UNIT) tile_of(c, frame, corner, tile, 2, wide, sums);
        else tile_of(c, frame, corner, tile, 1, wide, sums);
    }
}

void spq_dense_row(const spq_connection *c, const spq_frame *frame, int32_t y, void *sums) {
    if (c->wide) row_of(c, frame, y, 1, sums);
    else row_of(c, frame, y, 0, sums);
}

#endif
