/* lanes on AVX-512: a vector is one register, a mask is the word itself. */
#include <immintrin.h>

typedef __m512i spq_vector;
typedef __mmask32 spq_mask;

SPQ_INLINE spq_vector spq_load(const int16_t *from) {
    return _mm512_loadu_si512(from);
}
SPQ_INLINE void spq_put(int16_t *to, spq_vector a) {
    _mm512_storeu_si512(to, a);
}
SPQ_INLINE spq_vector spq_same(int16_t value) {
    return _mm512_set1_epi16(value);
}
SPQ_INLINE spq_vector spq_add(spq_vector a, spq_vector b) {
    return _mm512_adds_epi16(a, b);
}
SPQ_INLINE spq_vector spq_subtract(spq_vector a, spq_vector b) {
    return _mm512_subs_epi16(a, b);
}
SPQ_INLINE spq_vector spq_least(spq_vector a, spq_vector b) {
    return _mm512_min_epi16(a, b);
}
SPQ_INLINE spq_vector spq_largest(spq_vector a, spq_vector b) {
    return _mm512_max_epi16(a, b);
}
SPQ_INLINE spq_vector spq_shift(spq_vector a, int32_t by) {
    return _mm512_sll_epi16(a, _mm_cvtsi32_si128(by));
}
SPQ_INLINE spq_vector spq_choose(spq_mask mask, spq_vector yes, spq_vector no) {
    return _mm512_mask_blend_epi16(mask, no, yes);
}
SPQ_INLINE spq_mask spq_reaches(spq_vector a, spq_vector b) {
    return _mm512_cmpge_epi16_mask(a, b);
}
SPQ_INLINE spq_mask spq_mask_of(uint32_t word) {
    return (spq_mask)word;
}
SPQ_INLINE uint32_t spq_word_of(spq_mask mask) {
    return (uint32_t)mask;
}

/* Bit `b`, a constant, of 16 numbers. */
SPQ_INLINE uint32_t spq_gather(const int32_t *lanes, const int32_t b) {
    const __m512i bit = _mm512_set1_epi32(1 << b);
    return _mm512_test_epi32_mask(_mm512_loadu_si512(lanes), bit);
}
