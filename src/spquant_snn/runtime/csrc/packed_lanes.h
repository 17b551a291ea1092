/* packed_lanes: the neurons of a unit of 16 outputs, from its sums.
 *
 * Bit 8 l + m of a word stands for lane l of part m. Constants lie as sums do: for each of the decays but that of the
 * code of zero, which is zero, then for the threshold and for each edge, lane l of part m in byte 4 m + l, or where
 * lanes have 16 bits, in half word 4 m + 2 (l & 1) + l / 2. Every body gives the same. */
#ifndef SPQ_PACKED_LANES_H
#define SPQ_PACKED_LANES_H

#include "compilers.h"
#include "spq.h"

/* Sums of one or two units. Of unit u, lane l of part m is output 4 l + m of a unit that is alone, and output
 * 8 l + 4 u + m of two. Narrow: word 4 u + m holds four lanes of 8 bits; else words 8 u + 2 m and the next hold lanes 0
 * and 2, and 1 and 3, of 16 bits each, which carry into each other: a whole word less the same number for each lane is
 * exact wherever every lane fits. */
typedef struct {
    uint32_t words[16];
    uint32_t lifted; /* what every lane is too high by */
    int32_t narrow;
} spq_tally;

SPQ_INLINE int32_t spq_lane_of(const spq_tally *tally, int32_t unit, int32_t m, int32_t l) {
    if (tally->narrow) return (int32_t)(tally->words[4 * unit + m] >> 8 * l & 255u) - (int32_t)tally->lifted;
    const uint32_t word = tally->words[8 * unit + 2 * m + (l & 1)] - tally->lifted * 0x10001u;
    const int32_t low = (int16_t)(word & 0xFFFFu);
    return l < 2 ? low : (int16_t)((word - (uint32_t)low) >> 16);
}

/* Whether neurons have lanes of `width` bits and `count` levels, and whether sums are of a kind, as SPQ_FIRES and
 * SPQ_SETTLES number them: a network in which all are alike need not ask. */
#define SPQ_ONE_OF(kinds, kind, asked) ((kinds) >> (kind) & 1u && ((kinds) == 1u << (kind) || (asked)))
#define SPQ_FIRES_AS(p, width, count)                                                                                  \
    SPQ_ONE_OF(SPQ_FIRES, ((width) == 16) + 2 * ((count) == 4), (p)->lanes == (width) && (p)->levels == (count))
#define SPQ_SETTLES_AS(p, units, kind)                                                                                 \
    SPQ_ONE_OF((units) > 1 ? SPQ_SETTLES : SPQ_HALF_SETTLES, kind,                                                     \
               ((p)->lanes == 16) + 2 * ((p)->bits >= 8) + 4 * ((p)->fraction > 0) == (kind))

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

#if !defined(SPQ_PORTABLE) && defined(__ARM_FEATURE_MVE)
#include "packed_mve.h"
#else
#include "packed_words.h"
#if !defined(SPQ_PORTABLE) && defined(__ARM_FEATURE_SIMD32)
#include "packed_simd32.h"
#else
#include "packed_plain.h"
#endif
#endif

#endif
