/* packed_simd32: four neurons at a time in lanes of 8 bits, or two of 16, by the DSP instructions of Armv7E-M and
 * Armv8-M. A comparison leaves a flag for each byte, by which the next instruction selects; a bit of a word becomes
 * such a flag when adding the highest bit of its byte carries. */
#ifndef SPQ_PACKED_SIMD32_H
#define SPQ_PACKED_SIMD32_H

#include <arm_acle.h>

#define SPQ_TOPS 0x80808080u
#define SPQ_BYTES 0x01010101u
#define SPQ_BOTH 0x00010001u

/* Lanes that carry into each other as lanes by themselves. */
SPQ_INLINE uint32_t spq_apart(uint32_t word) {
    return word + ((word & 0x8000u) << 1);
}

/* What is stored, in bits where it reaches threshold and edges: each new code, and for what fired that of zero. */
SPQ_INLINE void spq_store(const int32_t levels, uint32_t spikes, const uint32_t *reached, uint32_t *code) {
    if (levels == 3) {
        code[0] = (reached[0] & ~reached[1]) | spikes;
        code[1] = reached[1] & ~spikes;
    } else {
        code[0] = (reached[0] ^ reached[1] ^ reached[2]) & ~spikes;
        code[1] = reached[1] | spikes;
    }
}

/* ---- lanes of 8 bits, which saturate ---- */

/* Sums of part m. */
SPQ_INLINE uint32_t spq_sums8(const spq_tally *tally, int32_t unit, int32_t m) {
    if (tally->narrow) return __usub8(tally->words[4 * unit + m], tally->lifted * SPQ_BYTES);
    const uint32_t *word = tally->words + 8 * unit + 2 * m, lifted = tally->lifted * SPQ_BOTH;
    const uint32_t even = (uint32_t)__ssat16((int16x2_t)spq_apart(word[0] - lifted), 8);
    const uint32_t odd = (uint32_t)__ssat16((int16x2_t)spq_apart(word[1] - lifted), 8);
    return (even & 0x00FF00FFu) | (odd & 0x00FF00FFu) << 8;
}

SPQ_INLINE uint32_t spq_fire8(const uint32_t *constants, const int32_t levels, const spq_tally *tally, int32_t unit,
                              uint32_t *code) {
    const uint32_t least = ~(code[0] | code[1]), first = code[0], second = code[1];
    uint32_t spikes = 0, reached[3] = {0, 0, 0};
#pragma GCC unroll 4
    for (int32_t m = 0; m < 4; m++) {
        const uint32_t *k = constants + m;
        uint32_t decay;
        if (levels == 3) {
            (void)__uadd8(least << (7 - m), SPQ_TOPS);
            decay = __sel(k[0], 0);
            (void)__uadd8(second << (7 - m), SPQ_TOPS);
            decay = __sel(k[4], decay);
        } else {
            (void)__uadd8(first << (7 - m), SPQ_TOPS);
            const uint32_t low = __sel(k[4], k[0]), high = __sel(k[8], 0);
            (void)__uadd8(second << (7 - m), SPQ_TOPS);
            decay = __sel(high, low);
        }
        const int8x4_t v = __qadd8((int8x4_t)spq_sums8(tally, unit, m), (int8x4_t)decay);
        (void)__ssub8(v, (int8x4_t)k[4 * (levels - 1)]);
        spikes |= __sel(SPQ_BYTES, 0) << m;
#pragma GCC unroll 3
        for (int32_t j = 0; j < levels - 1; j++) {
            (void)__ssub8(v, (int8x4_t)k[4 * (levels + j)]);
            reached[j] |= __sel(SPQ_BYTES, 0) << m;
        }
    }
    spq_store(levels, spikes, reached, code);
    return spikes;
}

/* ---- lanes of 16 bits ---- */

/* Sums of lanes `e` and `e + 2` of part m. */
SPQ_INLINE uint32_t spq_sums16(const spq_tally *tally, int32_t fraction, int32_t unit, int32_t m, int32_t e) {
    if (tally->narrow) {
        const uint32_t lanes = __usub8(tally->words[4 * unit + m], tally->lifted * SPQ_BYTES);
        const uint32_t word = (uint32_t)__sxtb16((int8x4_t)(e ? lanes >> 8 : lanes));
        return fraction ? spq_apart((word - ((word & 0x8000u) << 1)) << fraction) : word;
    }
    return spq_apart((tally->words[8 * unit + 2 * m + e] - tally->lifted * SPQ_BOTH) << fraction);
}

SPQ_INLINE uint32_t spq_fire16(const uint32_t *constants, const int32_t levels, int32_t fraction,
                               const spq_tally *tally, int32_t unit, uint32_t *code) {
    const uint32_t least = ~(code[0] | code[1]), first = code[0], second = code[1];
    uint32_t spikes = 0, reached[3] = {0, 0, 0};
#pragma GCC unroll 8
    for (int32_t i = 0; i < 8; i++) {
        const int32_t m = i >> 1, e = i & 1, at = 8 * e + m;
        const uint32_t *k = constants + i;
        uint32_t decay;
        if (levels == 3) {
            (void)__uadd16(least << (15 - at), 0x80008000u);
            decay = __sel(k[0], 0);
            (void)__uadd16(second << (15 - at), 0x80008000u);
            decay = __sel(k[8], decay);
        } else {
            (void)__uadd16(first << (15 - at), 0x80008000u);
            const uint32_t low = __sel(k[8], k[0]), high = __sel(k[16], 0);
            (void)__uadd16(second << (15 - at), 0x80008000u);
            decay = __sel(high, low);
        }
        const int16x2_t v = __qadd16((int16x2_t)spq_sums16(tally, fraction, unit, m, e), (int16x2_t)decay);
        (void)__ssub16(v, (int16x2_t)k[8 * (levels - 1)]);
        spikes |= __sel(SPQ_BOTH, 0) << at;
#pragma GCC unroll 3
        for (int32_t j = 0; j < levels - 1; j++) {
            (void)__ssub16(v, (int16x2_t)k[8 * (levels + j)]);
            reached[j] |= __sel(SPQ_BOTH, 0) << at;
        }
    }
    spq_store(levels, spikes, reached, code);
    return spikes;
}

/* Spikes of a unit, whose codes, bit by bit in `code`, go from the last step's to this one's. */
static uint32_t spq_fire_unit(const spq_packed *p, const uint32_t *constants, const spq_tally *tally, int32_t unit,
                              uint32_t *code) {
#define SPQ_FIRE(width, count) ((SPQ_LEVELS >> (count) & 1u) && (SPQ_DECIDES >> (width) & 1u) && \
                                p->levels == (count) && p->lanes == (width))
    if (SPQ_FIRE(8, 3)) return spq_fire8(constants, 3, tally, unit, code);
    if (SPQ_FIRE(8, 4)) return spq_fire8(constants, 4, tally, unit, code);
    if (SPQ_FIRE(16, 3)) return spq_fire16(constants, 3, p->fraction, tally, unit, code);
    if (SPQ_FIRE(16, 4)) return spq_fire16(constants, 4, p->fraction, tally, unit, code);
    return 0;
}

#endif
