/* packed_simd32: four neurons at a time in lanes of 8 bits, or two of 16, by the DSP instructions of Armv7E-M and
 * Armv8-M. A comparison leaves a flag for each byte, by which the next instruction selects; a bit of a word becomes
 * such a flag when adding the highest bit of its byte carries. */
#ifndef SPQ_PACKED_SIMD32_H
#define SPQ_PACKED_SIMD32_H

#include <arm_acle.h>

#define SPQ_BYTES 0x01010101u
#define SPQ_BOTH 0x00010001u

/* Lanes that carry into each other as lanes by themselves. */
SPQ_INLINE uint32_t spq_apart(uint32_t word) {
    return word + ((word & 0x8000u) << 1);
}

/* ---- what neurons take: lanes by themselves, less what they are too high by ---- */

SPQ_INLINE uint32_t settled16(uint32_t word, uint32_t lifted, int32_t fraction) {
    return spq_apart((word - lifted) << fraction);
}

#if defined(__GNUC__) && !defined(__clang__) /* whose __ssat16 converts without saying so */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion"
#endif
/* Two lanes of 16 bits, each within -128 to 127. */
SPQ_INLINE uint32_t saturated(uint32_t pair) {
    return (uint32_t)__ssat16((int16x2_t)pair, 8);
}
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

/* Sums of a tile as lanes of 8 bits, which saturate: words 4 u + m. */
SPQ_INLINE void settle8(const int32_t units, const int32_t carry, spq_tally *tally) {
    const uint32_t few = tally->lifted * SPQ_BYTES, many = tally->lifted * SPQ_BOTH;
    if (units > 1 && !carry && tally->narrow) {
        SPQ_UNROLL(2)
        for (int32_t i = 0; i < 4 * units; i++) tally->words[i] = __usub8(tally->words[i], few);
        return;
    }
    SPQ_UNROLL(2)
    for (int32_t i = 0; i < 4 * units; i++) {
        uint32_t even = tally->words[2 * i], odd = tally->words[2 * i + 1];
        even = carry ? settled16(even, many, 0) : (uint32_t)__usub16(even, many);
        odd = carry ? settled16(odd, many, 0) : (uint32_t)__usub16(odd, many);
        even = saturated(even), odd = saturated(odd);
        tally->words[i] = (even & 0x00FF00FFu) | (odd & 0x00FF00FFu) << 8;
    }
}

/* Sums of a tile as lanes of 16 bits: words 8 u + 2 m + e. */
SPQ_INLINE void settle16(const int32_t units, const int32_t carry, const int32_t fraction, spq_tally *tally) {
    if (units > 1 && !carry && tally->narrow) {
        SPQ_UNROLL(2)
        for (int32_t i = 4 * units - 1; i >= 0; i--) {
            const uint32_t lanes = __usub8(tally->words[i], tally->lifted * SPQ_BYTES);
            const uint32_t even = (uint32_t)__sxtb16((int8x4_t)lanes), odd = (uint32_t)__sxtb16((int8x4_t)(lanes >> 8));
            tally->words[2 * i] = (even & 0xFFFF0000u) << fraction | (even << fraction & 0xFFFFu);
            tally->words[2 * i + 1] = (odd & 0xFFFF0000u) << fraction | (odd << fraction & 0xFFFFu);
        }
        return;
    }
    SPQ_UNROLL(2)
    for (int32_t i = 0; i < 8 * units; i++)
        tally->words[i] = settled16(tally->words[i], tally->lifted * SPQ_BOTH, fraction);
}

SPQ_INLINE void spq_settle(const spq_packed *p, const int32_t units, spq_tally *tally) {
    if (SPQ_SETTLES_AS(p, units, 0)) settle8(units, 0, tally); /* fields of less than 8 bits never carry */
    else if (SPQ_SETTLES_AS(p, units, 2)) settle8(units, 1, tally);
    else if (SPQ_SETTLES_AS(p, units, 1)) settle16(units, 0, 0, tally);
    else if (SPQ_SETTLES_AS(p, units, 3)) settle16(units, 1, 0, tally);
    else if (SPQ_SETTLES_AS(p, units, 5)) settle16(units, 0, p->fraction, tally);
    else if (SPQ_SETTLES_AS(p, units, 7)) settle16(units, 1, p->fraction, tally);
}

/* What the codes of four or two neurons leave, by the highest bit of each lane of `first` and `second`, which go on to
 * the next: a lane added to itself carries that bit into a flag. Constants lie `pitch` words apart. */
#define SPQ_DECAY(width)                                                                                               \
    SPQ_INLINE uint32_t decay##width(const int32_t levels, const uint32_t *k, uint32_t *first, uint32_t *second) {     \
        const int32_t pitch = (width) >> 1;                                                                            \
        *first = __uadd##width(*first, *first);                                                                        \
        const uint32_t low = levels == 3 ? __sel(k[0], 0) : __sel(k[pitch], k[0]);                                     \
        const uint32_t high = levels == 3 ? k[pitch] : __sel(k[2 * pitch], 0);                                         \
        *second = __uadd##width(*second, *second);                                                                     \
        return __sel(high, low);                                                                                       \
    }

SPQ_DECAY(8)
SPQ_DECAY(16)

/* The bits by which decays are chosen: of three codes the least, of four the lower bit; then the upper bit. */
SPQ_INLINE uint32_t chooser(const int32_t levels, const uint32_t *code) {
    return (levels == 3 ? ~(code[0] | code[1]) : code[0]) << 4;
}

/* ---- lanes of 8 bits, which saturate; the last part comes first. The loop has to be unrolled: where it stays one, GCC
 * 12 loses the first value of what is added to itself ---- */

SPQ_INLINE uint32_t spq_fire8(const uint32_t *constants, const int32_t levels, const int32_t still,
                              const spq_tally *tally, int32_t unit, uint32_t *code) {
    const uint32_t *sums = tally->words + 4 * unit;
    uint32_t first = chooser(levels, code), second = code[1] << 4, spikes = 0, reached[3] = {0, 0, 0};
    SPQ_UNROLL(4)
    for (int32_t m = 3; m >= 0; m--) {
        const uint32_t *k = constants + m;
        int8x4_t v = (int8x4_t)sums[m];
        if (!still) v = __qadd8(v, (int8x4_t)decay8(levels, k, &first, &second));
        (void)__ssub8(v, (int8x4_t)k[4 * (levels - 1)]);
        spikes = spikes << 1 | __sel(SPQ_BYTES, 0);
        SPQ_UNROLL(3)
        for (int32_t j = 0; j < levels - 1; j++) {
            (void)__ssub8(v, (int8x4_t)k[4 * (levels + j)]);
            reached[j] = reached[j] << 1 | __sel(SPQ_BYTES, 0);
        }
    }
    spq_store(levels, spikes, reached, code);
    return spikes;
}

/* ---- lanes of 16 bits: lanes 1 and 3 of all parts, then lanes 0 and 2 ---- */

SPQ_INLINE uint32_t spq_fire16(const uint32_t *constants, const int32_t levels, const int32_t still,
                               const spq_tally *tally, int32_t unit, uint32_t *code) {
    const uint32_t *sums = tally->words + 8 * unit;
    uint32_t first = chooser(levels, code), second = code[1] << 4, spikes = 0, reached[3] = {0, 0, 0};
    SPQ_UNROLL(2)
    for (int32_t e = 1; e >= 0; e--) {
        SPQ_UNROLL(4)
        for (int32_t m = 3; m >= 0; m--) {
            const uint32_t *k = constants + 2 * m + e;
            int16x2_t v = (int16x2_t)sums[2 * m + e];
            if (!still) v = __qadd16(v, (int16x2_t)decay16(levels, k, &first, &second));
            (void)__ssub16(v, (int16x2_t)k[8 * (levels - 1)]);
            spikes = spikes << 1 | __sel(SPQ_BOTH, 0);
            SPQ_UNROLL(3)
            for (int32_t j = 0; j < levels - 1; j++) {
                (void)__ssub16(v, (int16x2_t)k[8 * (levels + j)]);
                reached[j] = reached[j] << 1 | __sel(SPQ_BOTH, 0);
            }
        }
        if (e == 0) break;
        spikes <<= 4, first <<= 4, second <<= 4;
        SPQ_UNROLL(3)
        for (int32_t j = 0; j < levels - 1; j++) reached[j] <<= 4;
    }
    spq_store(levels, spikes, reached, code);
    return spikes;
}

/* Spikes of a unit, whose codes, bit by bit in `code`, go from the last step's to this one's. */
static uint32_t spq_fire_unit(const spq_packed *p, const uint32_t *constants, const spq_tally *tally, int32_t unit,
                              uint32_t *code) {
#define SPQ_FIRE(width, count)                                                                                         \
    if (SPQ_FIRES_AS(p, width, count))                                                                                 \
    return still ? spq_fire##width(constants, count, 1, tally, unit, code)                                             \
                 : spq_fire##width(constants, count, 0, tally, unit, code)
    const int32_t still = p->levels == 3 ? code[0] == 0x0F0F0F0Fu : !code[0] && code[1] == 0x0F0F0F0Fu;
    SPQ_FIRE(8, 3);
    SPQ_FIRE(8, 4);
    SPQ_FIRE(16, 3);
    SPQ_FIRE(16, 4);
    return 0;
}

#endif
