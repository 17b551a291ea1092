/* lanes: a bit of each of 32 lanes, as a word. What compilers do not find by themselves; every body gives the same. */
#ifndef SPQ_LANES_H
#define SPQ_LANES_H

#include <stdint.h>

#if defined(__GNUC__)
#define SPQ_INLINE static inline __attribute__((always_inline))
#else
#define SPQ_INLINE static inline
#endif

#if defined(__SSE2__) && !defined(SPQ_PORTABLE)
#include <immintrin.h>
#endif

/* Bit `b`, a constant, of lane l becomes bit l of the word. */
#if defined(__AVX512F__) && !defined(SPQ_PORTABLE)
SPQ_INLINE uint32_t spq_gather(const int32_t *lanes, const int32_t b) {
    const __m512i bit = _mm512_set1_epi32(1 << b);
    const uint32_t low = _mm512_test_epi32_mask(_mm512_loadu_si512(lanes), bit);
    const uint32_t high = _mm512_test_epi32_mask(_mm512_loadu_si512(lanes + 16), bit);
    return low | high << 16;
}
#elif defined(__AVX2__) && !defined(SPQ_PORTABLE)
SPQ_INLINE uint32_t spq_gather(const int32_t *lanes, const int32_t b) {
    uint32_t word = 0;
    for (int32_t i = 0; i < 4; i++) {
        const __m256i part = _mm256_loadu_si256((const __m256i *)(const void *)(lanes + 8 * i));
        const __m256i sign = _mm256_slli_epi32(part, 31 - b);
        word |= (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(sign)) << (8 * i);
    }
    return word;
}
#elif defined(__SSE2__) && !defined(SPQ_PORTABLE)
SPQ_INLINE uint32_t spq_gather(const int32_t *lanes, const int32_t b) {
    uint32_t word = 0;
    for (int32_t i = 0; i < 8; i++) {
        const __m128i part = _mm_loadu_si128((const __m128i *)(const void *)(lanes + 4 * i));
        const __m128i sign = _mm_slli_epi32(part, 31 - b);
        word |= (uint32_t)_mm_movemask_ps(_mm_castsi128_ps(sign)) << (4 * i);
    }
    return word;
}
#else
SPQ_INLINE uint32_t spq_gather(const int32_t *lanes, const int32_t b) {
    uint32_t word = 0;
    for (int32_t l = 0; l < 32; l++) word |= ((uint32_t)lanes[l] >> b & 1u) << l;
    return word;
}
#endif

#endif
