/* lanes on AVX2: two registers; a mask has all bits of a lane alike. */
#include <immintrin.h>

typedef struct {
    __m256i low, high;
} spq_vector;
typedef spq_vector spq_mask;

#define SPQ_BOTH(operation) (spq_vector){operation(a.low, b.low), operation(a.high, b.high)}

SPQ_INLINE spq_vector spq_load(const int16_t *from) {
    return (spq_vector){_mm256_loadu_si256((const __m256i *)(const void *)from),
                        _mm256_loadu_si256((const __m256i *)(const void *)(from + 16))};
}
SPQ_INLINE void spq_put(int16_t *to, spq_vector a) {
    _mm256_storeu_si256((__m256i *)(void *)to, a.low);
    _mm256_storeu_si256((__m256i *)(void *)(to + 16), a.high);
}
SPQ_INLINE spq_vector spq_same(int16_t value) {
    return (spq_vector){_mm256_set1_epi16(value), _mm256_set1_epi16(value)};
}
SPQ_INLINE spq_vector spq_add(spq_vector a, spq_vector b) {
    return SPQ_BOTH(_mm256_adds_epi16);
}
SPQ_INLINE spq_vector spq_subtract(spq_vector a, spq_vector b) {
    return SPQ_BOTH(_mm256_subs_epi16);
}
SPQ_INLINE spq_vector spq_least(spq_vector a, spq_vector b) {
    return SPQ_BOTH(_mm256_min_epi16);
}
SPQ_INLINE spq_vector spq_largest(spq_vector a, spq_vector b) {
    return SPQ_BOTH(_mm256_max_epi16);
}
SPQ_INLINE spq_vector spq_shift(spq_vector a, int32_t by) {
    const __m128i bits = _mm_cvtsi32_si128(by);
    return (spq_vector){_mm256_sll_epi16(a.low, bits), _mm256_sll_epi16(a.high, bits)};
}
SPQ_INLINE spq_vector spq_choose(spq_mask mask, spq_vector yes, spq_vector no) {
    return (spq_vector){_mm256_blendv_epi8(no.low, yes.low, mask.low),
                        _mm256_blendv_epi8(no.high, yes.high, mask.high)};
}
SPQ_INLINE spq_mask spq_reaches(spq_vector a, spq_vector b) {
    const spq_vector below = {_mm256_cmpgt_epi16(b.low, a.low), _mm256_cmpgt_epi16(b.high, a.high)};
    const __m256i ones = _mm256_set1_epi32(-1);
    return (spq_vector){_mm256_xor_si256(below.low, ones), _mm256_xor_si256(below.high, ones)};
}
SPQ_INLINE spq_mask spq_mask_of(uint32_t word) {
    const __m256i bits = _mm256_setr_epi16(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384,
                                           (int16_t)-32768);
    const __m256i low = _mm256_set1_epi16((int16_t)(word & 0xFFFFu)), high = _mm256_set1_epi16((int16_t)(word >> 16));
    return (spq_vector){_mm256_cmpeq_epi16(_mm256_and_si256(low, bits), bits),
                        _mm256_cmpeq_epi16(_mm256_and_si256(high, bits), bits)};
}
SPQ_INLINE uint32_t spq_word_of(spq_mask mask) {
    const __m256i bytes = _mm256_packs_epi16(mask.low, mask.high); /* by halves of the registers */
    return (uint32_t)_mm256_movemask_epi8(_mm256_permute4x64_epi64(bytes, 0xD8));
}

/* Bit `b`, a constant, of 16 numbers. */
SPQ_INLINE uint32_t spq_gather(const int32_t *lanes, const int32_t b) {
    uint32_t word = 0;
    for (int32_t i = 0; i < 2; i++) {
        const __m256i part = _mm256_loadu_si256((const __m256i *)(const void *)(lanes + 8 * i));
        const __m256i sign = _mm256_slli_epi32(part, 31 - b);
        word |= (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(sign)) << (8 * i);
    }
    return word;
}
