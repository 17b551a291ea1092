/* compilers: what they are told of functions and loops, and whether they have lanes. */
#ifndef SPQ_COMPILERS_H
#define SPQ_COMPILERS_H

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

/* Whether there are vectors for 32 numbers of 16 bits; see lanes.h. */
#if SPQ_VECTORS && (defined(__AVX512BW__) || defined(__AVX2__) || (defined(__aarch64__) && defined(__ARM_NEON)))
#define SPQ_HAS_LANES 1
#else
#define SPQ_HAS_LANES 0
#endif

#endif
