/* scaled: (value * gain + offset) >> shift, which takes 64 bits. */
#ifndef SPQ_SCALED_H
#define SPQ_SCALED_H

#include "compilers.h"

#if defined(__ARM_ARCH_6M__)
#define SPQ_NO_INT64 /* a compiler would call a library for it */
#endif

/* The result, brought within least and most; a shift of 0 to 40. */
SPQ_INLINE int32_t spq_scaled(int32_t value, int32_t gain, int64_t offset, int32_t shift, int32_t least, int32_t most) {
#if !defined(SPQ_NO_INT64)
    const int64_t found = ((int64_t)value * gain + offset) >> shift;
    return (int32_t)(found < least ? least : found > most ? most : found);
#else
    const uint32_t a = (uint32_t)value, b = (uint32_t)gain;
    const uint32_t low = (a & 0xFFFFu) * (b & 0xFFFFu);
    const uint32_t one = (a & 0xFFFFu) * (b >> 16), other = (a >> 16) * (b & 0xFFFFu);
    const uint32_t middle = (low >> 16) + (one & 0xFFFFu) + (other & 0xFFFFu);
    const uint32_t product = middle << 16 | (low & 0xFFFFu), sum = product + (uint32_t)((uint64_t)offset & 0xFFFFFFFFu);
    uint32_t top = (a >> 16) * (b >> 16) + (one >> 16) + (other >> 16) + (middle >> 16);
    top -= (value < 0 ? b : 0) + (gain < 0 ? a : 0); /* what was multiplied had no signs */
    top += (uint32_t)((uint64_t)offset >> 32) + (sum < product);
    const int32_t high = (int32_t)top;
    if (shift >= 32) {
        const int32_t found = high >> (shift - 32);
        return found < least ? least : found > most ? most : found;
    }
    const int32_t found = (int32_t)(shift ? sum >> shift | top << (32 - shift) : sum);
    if (high >> shift != (found < 0 ? -1 : 0)) return high < 0 ? least : most; /* more than 32 bits */
    return found < least ? least : found > most ? most : found;
#endif
}

#endif
