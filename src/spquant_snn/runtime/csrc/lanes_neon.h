/* lanes on 64-bit Arm: four registers; a mask has all bits of a lane alike. */
#include <arm_neon.h>

typedef struct {
    int16x8_t part[4];
} spq_vector;
typedef struct {
    uint16x8_t part[4];
} spq_mask;

#define SPQ_EACH(type, expression)                                                                                     \
    type result;                                                                                                       \
    for (int32_t i = 0; i < 4; i++) result.part[i] = expression;                                                       \
    return result

SPQ_INLINE spq_vector spq_load(const int16_t *from) {
    SPQ_EACH(spq_vector, vld1q_s16(from + 8 * i));
}
SPQ_INLINE void spq_put(int16_t *to, spq_vector a) {
    for (int32_t i = 0; i < 4; i++) vst1q_s16(to + 8 * i, a.part[i]);
}
SPQ_INLINE spq_vector spq_same(int16_t value) {
    SPQ_EACH(spq_vector, vdupq_n_s16(value));
}
SPQ_INLINE spq_vector spq_add(spq_vector a, spq_vector b) {
    SPQ_EACH(spq_vector, vqaddq_s16(a.part[i], b.part[i]));
}
SPQ_INLINE spq_vector spq_subtract(spq_vector a, spq_vector b) {
    SPQ_EACH(spq_vector, vqsubq_s16(a.part[i], b.part[i]));
}
SPQ_INLINE spq_vector spq_least(spq_vector a, spq_vector b) {
    SPQ_EACH(spq_vector, vminq_s16(a.part[i], b.part[i]));
}
SPQ_INLINE spq_vector spq_largest(spq_vector a, spq_vector b) {
    SPQ_EACH(spq_vector, vmaxq_s16(a.part[i], b.part[i]));
}
SPQ_INLINE spq_vector spq_shift(spq_vector a, int32_t by) {
    const int16x8_t bits = vdupq_n_s16((int16_t)by);
    SPQ_EACH(spq_vector, vshlq_s16(a.part[i], bits));
}
SPQ_INLINE spq_vector spq_choose(spq_mask mask, spq_vector yes, spq_vector no) {
    SPQ_EACH(spq_vector, vbslq_s16(mask.part[i], yes.part[i], no.part[i]));
}
SPQ_INLINE spq_mask spq_reaches(spq_vector a, spq_vector b) {
    SPQ_EACH(spq_mask, vcgeq_s16(a.part[i], b.part[i]));
}
SPQ_INLINE uint16x8_t spq_bits(void) {
    static const uint16_t bits[8] = {1, 2, 4, 8, 16, 32, 64, 128};
    return vld1q_u16(bits);
}
SPQ_INLINE spq_mask spq_mask_of(uint32_t word) {
    SPQ_EACH(spq_mask, vtstq_u16(vdupq_n_u16((uint16_t)(word >> (8 * i) & 0xFFu)), spq_bits()));
}
SPQ_INLINE uint32_t spq_word_of(spq_mask mask) {
    uint32_t word = 0;
    for (int32_t i = 0; i < 4; i++) word |= (uint32_t)vaddvq_u16(vandq_u16(mask.part[i], spq_bits())) << (8 * i);
    return word;
}

/* Bit `b`, a constant, of 16 numbers. */
SPQ_INLINE uint32_t spq_gather(const int32_t *lanes, const int32_t b) {
    static const uint32_t bits[4] = {1, 2, 4, 8};
    uint32_t word = 0;
    for (int32_t i = 0; i < 4; i++) {
        const uint32x4_t set = vtstq_s32(vld1q_s32(lanes + 4 * i), vdupq_n_s32(1 << b));
        word |= vaddvq_u32(vandq_u32(set, vld1q_u32(bits))) << (4 * i);
    }
    return word;
}
