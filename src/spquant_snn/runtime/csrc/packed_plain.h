/* packed_plain: the neurons of a unit one by one, for any CPU. */
#ifndef SPQ_PACKED_PLAIN_H
#define SPQ_PACKED_PLAIN_H

/* Half a word; a word may be read and written as two of them. */
#if defined(__GNUC__)
typedef int16_t __attribute__((may_alias)) spq_lane;
#else
typedef int16_t spq_lane;
#endif

/* Sums of a tile as numbers of 16 bits, in the order of their lanes in words 8 u + 2 m + e. */
SPQ_INLINE void spq_settle(const spq_packed *p, const int32_t units, spq_tally *tally) {
    const int32_t scale = 1 << p->fraction, lifted = (int32_t)tally->lifted;
    spq_lane *lane = (spq_lane *)(void *)tally->words;
    if (units > 1 && tally->narrow) {
        for (int32_t i = 4 * units - 1; i >= 0; i--) {
            const uint32_t word = tally->words[i];
            lane[4 * i] = (int16_t)(((int32_t)(word & 255u) - lifted) * scale);
            lane[4 * i + 1] = (int16_t)(((int32_t)(word >> 16 & 255u) - lifted) * scale);
            lane[4 * i + 2] = (int16_t)(((int32_t)(word >> 8 & 255u) - lifted) * scale);
            lane[4 * i + 3] = (int16_t)(((int32_t)(word >> 24) - lifted) * scale);
        }
        return;
    }
    for (int32_t i = 0; i < 8 * units; i++) {
        const uint32_t word = (tally->words[i] - tally->lifted * 0x10001u) * (uint32_t)scale;
        lane[2 * i] = (int16_t)(word & 0xFFFFu); /* and what the lower lane took from the upper one goes back */
        lane[2 * i + 1] = (int16_t)((word + ((word & 0x8000u) << 1)) >> 16);
    }
}

SPQ_INLINE int32_t constant_of(const uint32_t *constants, const int32_t lanes, int32_t k, int32_t m, int32_t q) {
    const int8_t *bytes = (const int8_t *)constants + 16 * k + 4 * m;
    const spq_lane *halves = (const spq_lane *)(const void *)constants + 16 * k + 4 * m;
    return lanes == 8 ? bytes[q >> 1 | (q & 1) << 1] : halves[q];
}

SPQ_INLINE uint32_t fire_unit(const int32_t lanes, const int32_t levels, const uint32_t *constants,
                              const spq_lane *sums, uint32_t *code) {
    const uint32_t zero = levels == 3 ? 1 : 2;
    uint32_t spikes = 0, low = 0, high = 0;
    for (int32_t m = 0; m < 4; m++, sums += 4) {
        const uint32_t first = code[0] >> m, second = code[1] >> m;
        uint32_t fired = 0, kept0 = 0, kept1 = 0;
        SPQ_UNROLL(4)
        for (int32_t q = 0; q < 4; q++) { /* lanes 0, 2, 1 and 3 */
            const int32_t bit = (q >> 1) * 8 + (q & 1) * 16;
            const uint32_t old = (first >> bit & 1u) | (second >> bit & 1u) << 1;
            int32_t v = sums[q];
            uint32_t stored = zero;
            if (old != zero)
                v += constant_of(constants, lanes, old < zero ? (int32_t)old : (int32_t)old - 1, m, q);
            if (v >= constant_of(constants, lanes, levels - 1, m, q)) {
                fired |= 1u << bit;
            } else {
                stored = v >= constant_of(constants, lanes, levels, m, q);
                stored += v >= constant_of(constants, lanes, levels + 1, m, q);
                if (levels > 3) stored += v >= constant_of(constants, lanes, levels + 2, m, q);
            }
            kept0 |= (stored & 1u) << bit, kept1 |= (stored >> 1) << bit;
        }
        spikes |= fired << m, low |= kept0 << m, high |= kept1 << m;
    }
    code[0] = low, code[1] = high;
    return spikes;
}

/* Spikes of a unit, whose codes, bit by bit in `code`, go from the last step's to this one's. */
static uint32_t spq_fire_unit(const spq_packed *p, const uint32_t *constants, const spq_tally *tally, int32_t unit,
                              uint32_t *code) {
    const spq_lane *sums = (const spq_lane *)(const void *)(tally->words + 8 * unit);
#define SPQ_FIRE(width, count)                                                                                         \
    if (SPQ_FIRES_AS(p, width, count)) return fire_unit(width, count, constants, sums, code)
    SPQ_FIRE(8, 3);
    SPQ_FIRE(8, 4);
    SPQ_FIRE(16, 3);
    SPQ_FIRE(16, 4);
    return 0;
}

#endif
