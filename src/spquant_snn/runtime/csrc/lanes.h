/* lanes: numbers of 16 bits, 32 of them where the machine has vectors for them, and a bit of each as a word. Every body
 * gives the same. */
#ifndef SPQ_LANES_H
#define SPQ_LANES_H

#include "spq.h"

#if defined(__GNUC__)
#define SPQ_INLINE static inline __attribute__((always_inline))
#define SPQ_CALLED static __attribute__((noinline))
#else
#define SPQ_INLINE static inline
#define SPQ_CALLED static
#endif

/* Before a loop of a constant count: arrays that it indexes become registers. Clang does that unasked. */
#if defined(__GNUC__) && !defined(__clang__)
#define SPQ_TEXT(text) _Pragma(#text)
#define SPQ_UNROLL(count) SPQ_TEXT(GCC unroll count)
#else
#define SPQ_UNROLL(count)
#endif

/* The same on devices only. */
#if SPQ_HOST
#define SPQ_UNROLL_ON_DEVICES(count)
#else
#define SPQ_UNROLL_ON_DEVICES(count) SPQ_UNROLL(count)
#endif

#define SPQ_HAS_LANES 1
#if SPQ_VECTORS && defined(__AVX512BW__)
#include "lanes_avx512.h"
#elif SPQ_VECTORS && defined(__AVX2__)
#include "lanes_avx2.h"
#elif SPQ_VECTORS && defined(__aarch64__) && defined(__ARM_NEON)
#include "lanes_neon.h"
#else
#undef SPQ_HAS_LANES
#define SPQ_HAS_LANES 0

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
