/* lanes: numbers of 16 bits, 32 of them where the machine has vectors for them, and a bit of each as a word. Every body
 * gives the same. */
#ifndef SPQ_LANES_H
#define SPQ_LANES_H

#include "compilers.h"

#if SPQ_VECTORS && defined(__AVX512BW__)
#include "lanes_avx512.h"
#elif SPQ_VECTORS && defined(__AVX2__)
#include "lanes_avx2.h"
#elif SPQ_VECTORS && defined(__aarch64__) && defined(__ARM_NEON)
#include "lanes_neon.h"
#else

/* Bit `b`, a constant, of 16 numbers. */
#if SPQ_VECTORS && defined(__SSE2__)
#include <immintrin.h>
SPQ_INLINE uint32_t spq_gather(const int32_t *lanes, const int32_t b) {
    uint32_t word = 0;
    for (int32_t i = 0; i < 4; i++) {
        const __m128i part = _mm_loadu_si128((const __m128i *)(const void *)(lanes + 4 * i));
        const __m128i sign = _mm_slli_epi32(part, 31 - b);
        word |= (uint32_t)_mm_movemask_ps(_mm_castsi128_ps(sign)) << (4 * i);
    }
    return word;
}
#else
SPQ_INLINE uint32_t spq_gather(const int32_t *lanes, const int32_t b) {
    uint32_t word = 0;
    for (int32_t l = 0; l < 16; l++) word |= ((uint32_t)lanes[l] >> b & 1u) << l;
    return word;
}
#endif
#endif

#endif
