/* packed_mve: sixteen neurons at a time in lanes of 8 bits, or eight of 16, and four words of codes, by the vectors of
 * Armv8.1-M (MVE). A bit of a word becomes a flag of its lane where a mask of one bit for each lane meets it; flags
 * become a word when the masks that they choose are added up. */
#ifndef SPQ_PACKED_MVE_H
#define SPQ_PACKED_MVE_H

#include <arm_mve.h>

/* ---- sums ---- */

typedef struct {
    uint32x4_t even, shifted;
} spq_nibbles;

SPQ_INLINE void spq_clear_nibbles(spq_nibbles *sums, const int32_t words) {
    (void)words;
    sums->even = sums->shifted = vdupq_n_u32(0);
}

SPQ_INLINE void spq_add_nibbles(spq_nibbles *sums, const uint32_t *row, const int32_t words, uint32_t mask) {
    const uint32x4_t codes = words == 4 ? vldrwq_u32(row) : vldrwq_z_u32(row, vctp32q((uint32_t)words));
    sums->even = vaddq_u32(sums->even, vandq_u32(codes, vdupq_n_u32(mask)));
    sums->shifted = vaddq_u32(sums->shifted, vshrq_n_u32(codes, 4));
}

SPQ_INLINE void spq_keep_nibbles(const spq_nibbles *sums, const int32_t words, uint32_t *even, uint32_t *shifted) {
    const mve_pred16_t there = vctp32q((uint32_t)words);
    vstrwq_p_u32(even, sums->even, there), vstrwq_p_u32(shifted, sums->shifted, there);
}

typedef struct {
    uint32x4_t words[2];
} spq_products;

SPQ_INLINE void spq_clear_products(spq_products *sums) {
    sums->words[0] = sums->words[1] = vdupq_n_u32(0);
}

SPQ_INLINE void spq_add_products(spq_products *sums, const uint32_t *row, uint32_t weight) {
    sums->words[0] = vmlaq_n_u32(sums->words[0], vldrwq_u32(row), weight);
    sums->words[1] = vmlaq_n_u32(sums->words[1], vldrwq_u32(row + 4), weight);
}

SPQ_INLINE void spq_keep_products(const spq_products *sums, uint32_t *words) {
    vstrwq_u32(words, sums->words[0]), vstrwq_u32(words + 4, sums->words[1]);
}

/* ---- what neurons take ---- */

/* Lanes of 16 bits that carry into each other, as lanes by themselves, less what they are too high by. */
SPQ_INLINE int16x8_t spq_settled(uint32x4_t words, uint32_t lifted, const int32_t carry, int32_t fraction) {
    if (!carry && !fraction)
        return vreinterpretq_s16_u16(vsubq_u16(vreinterpretq_u16_u32(words), vdupq_n_u16((uint16_t)lifted)));
    words = vshlq_r_u32(vsubq_n_u32(words, lifted * 0x10001u), fraction);
    words = vaddq_u32(words, vshlq_n_u32(vandq_u32(words, vdupq_n_u32(0x8000u)), 1));
    return vreinterpretq_s16_u32(words);
}

SPQ_INLINE void spq_settle_as(const int32_t units, const int32_t lanes, const int32_t carry, int32_t fraction,
                              spq_tally *tally) {
    for (int32_t i = 0; i < units; i++) { /* lanes of 16 bits take more room than narrow sums: the last unit first */
        const int32_t unit = lanes == 16 ? units - 1 - i : i;
        uint32_t *words = tally->words;
        uint32x4x2_t both;
        if (units > 1 && !carry && tally->narrow) {
            const uint8x16_t sums = vreinterpretq_u8_u32(vldrwq_u32(words + 4 * unit));
            const int8x16_t bytes = vreinterpretq_s8_u8(vsubq_n_u8(sums, (uint8_t)tally->lifted));
            if (lanes == 8) {
                vstrwq_u32(words + 4 * unit, vreinterpretq_u32_s8(bytes));
                continue;
            }
            both.val[0] = vreinterpretq_u32_s16(vshlq_r_s16(vmovlbq_s8(bytes), fraction));
            both.val[1] = vreinterpretq_u32_s16(vshlq_r_s16(vmovltq_s8(bytes), fraction));
            vst2q_u32(words + 8 * unit, both);
        } else if (lanes == 8) {
            both = vld2q_u32(words + 8 * unit);
            const int8x16_t even = vqmovnbq_s16(vdupq_n_s8(0), spq_settled(both.val[0], tally->lifted, carry, 0));
            const int8x16_t all = vqmovntq_s16(even, spq_settled(both.val[1], tally->lifted, carry, 0));
            vstrwq_u32(words + 4 * unit, vreinterpretq_u32_s8(all));
        } else {
            for (uint32_t *four = words + 8 * unit; four < words + 8 * unit + 8; four += 4)
                vstrwq_u32(four, vreinterpretq_u32_s16(spq_settled(vldrwq_u32(four), tally->lifted, carry, fraction)));
        }
    }
}

SPQ_INLINE void spq_settle(const spq_packed *p, const int32_t units, spq_tally *tally) {
    if (SPQ_SETTLES_AS(p, units, 0)) spq_settle_as(units, 8, 0, 0, tally); /* small fields never carry */
    else if (SPQ_SETTLES_AS(p, units, 2)) spq_settle_as(units, 8, 1, 0, tally);
    else if (SPQ_SETTLES_AS(p, units, 1)) spq_settle_as(units, 16, 0, 0, tally);
    else if (SPQ_SETTLES_AS(p, units, 3)) spq_settle_as(units, 16, 1, 0, tally);
    else if (SPQ_SETTLES_AS(p, units, 5)) spq_settle_as(units, 16, 0, p->fraction, tally);
    else if (SPQ_SETTLES_AS(p, units, 7)) spq_settle_as(units, 16, 1, p->fraction, tally);
}

/* ---- neurons ---- */

/* One vector of them: constants lie `pitch` words apart, and the mask says which bit of a word is whose. What fires and
 * what reaches each edge is added to the words. */
#define SPQ_FIRE_VECTOR(width, count)                                                                                  \
    SPQ_INLINE void fire##width(const int32_t levels, const uint32_t *sums, const uint32_t *constants,                 \
                                const int32_t pitch, uint32x4_t bits, const uint32_t *code, uint32_t *spikes,          \
                                uint32_t *reached) {                                                                   \
        const uint##width##x##count##_t mask = vreinterpretq_u##width##_u32(bits);                                     \
        const uint##width##x##count##_t first = vreinterpretq_u##width##_u32(vdupq_n_u32(code[0]));                    \
        const uint##width##x##count##_t second = vreinterpretq_u##width##_u32(vdupq_n_u32(code[1]));                   \
        const mve_pred16_t lower = vcmpneq_n_u##width(vandq_u##width(first, mask), 0);                                 \
        const mve_pred16_t upper = vcmpneq_n_u##width(vandq_u##width(second, mask), 0);                                \
        const int##width##x##count##_t none = vdupq_n_s##width(0);                                                     \
        int##width##x##count##_t low = SPQ_CONSTANT(width, 0), high = SPQ_CONSTANT(width, levels - 2);                 \
        low = vpselq_s##width(levels == 3 ? none : SPQ_CONSTANT(width, 1), low, lower);                                \
        if (levels == 4) high = vpselq_s##width(high, none, lower);                                                    \
        int##width##x##count##_t v = vreinterpretq_s##width##_u32(vldrwq_u32(sums));                                   \
        v = vqaddq_s##width(v, vpselq_s##width(high, low, upper));                                                     \
        *spikes += SPQ_WORD_OF(width, vcmpgeq_s##width(v, SPQ_CONSTANT(width, levels - 1)));                           \
        SPQ_UNROLL(3)                                                                                                  \
        for (int32_t j = 0; j < levels - 1; j++)                                                                       \
            reached[j] += SPQ_WORD_OF(width, vcmpgeq_s##width(v, SPQ_CONSTANT(width, levels + j)));                    \
    }
#define SPQ_CONSTANT(width, row) vreinterpretq_s##width##_u32(vldrwq_u32(constants + (row) * pitch))
#define SPQ_WORD_OF(width, flags)                                                                                      \
    vaddvq_u32(vreinterpretq_u32_u##width(vpselq_u##width(mask, vdupq_n_u##width(0), flags)))

SPQ_FIRE_VECTOR(8, 16)
SPQ_FIRE_VECTOR(16, 8)

/* Spikes of a unit, whose codes, bit by bit in `code`, go from the last step's to this one's. */
static uint32_t spq_fire_unit(const spq_packed *p, const uint32_t *constants, const spq_tally *tally, int32_t unit,
                              uint32_t *code) {
    static const uint32_t bits[3][4] = {{0x01010101u, 0x02020202u, 0x04040404u, 0x08080808u},
                                        {0x00010001u, 0x01000100u, 0x00020002u, 0x02000200u},
                                        {0x00040004u, 0x04000400u, 0x00080008u, 0x08000800u}};
    uint32_t spikes = 0, reached[3] = {0, 0, 0};
#define SPQ_FIRE(count)                                                                                                \
    if (SPQ_FIRES_AS(p, 8, count)) {                                                                                   \
        fire8(count, tally->words + 4 * unit, constants, 4, vldrwq_u32(bits[0]), code, &spikes, reached);              \
        spq_store(count, spikes, reached, code);                                                                       \
        return spikes;                                                                                                 \
    }                                                                                                                  \
    if (SPQ_FIRES_AS(p, 16, count)) {                                                                                  \
        const uint32_t *sums = tally->words + 8 * unit;                                                                \
        fire16(count, sums, constants, 8, vldrwq_u32(bits[1]), code, &spikes, reached);                                \
        fire16(count, sums + 4, constants + 4, 8, vldrwq_u32(bits[2]), code, &spikes, reached);                        \
        spq_store(count, spikes, reached, code);                                                                       \
        return spikes;                                                                                                 \
    }
    SPQ_FIRE(3)
    SPQ_FIRE(4)
    return 0;
}

#endif
