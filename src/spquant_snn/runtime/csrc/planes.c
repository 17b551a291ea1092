/* planes: what becomes of counted bits: neurons computed as they lie, 512 at a time, or plain sums. */
#include "sliced.h"
#include "lanes.h"

#if SPQ_HAS_SLICED

#define SUM(a, b, c) _mm512_ternarylogic_epi32(a, b, c, 0x96)
#define CARRY(a, b, c) _mm512_ternarylogic_epi32(a, b, c, 0xE8)
#define CHOOSE(a, b, c) _mm512_ternarylogic_epi32(a, b, c, 0xCA) /* a ? b : c */

/* Where the words of a part lie among those of the parts beside it. */
typedef struct {
    __m512i index[4];
} spq_parting;

static spq_parting parting(int32_t spread, int32_t tiles) {
    int32_t index[4][SPQ_WORDS] = {{0}};
    spq_parting found;
    for (int32_t q = 0; q < spread; q++)
        for (int32_t l = 0, t = 0, at = q * tiles; l < SPQ_WORDS; l++) {
            index[q][l] = (at + t) & 31;
            if (++t == tiles) t = 0, at += spread * tiles;
        }
    for (int32_t q = 0; q < 4; q++) found.index[q] = _mm512_loadu_si512(index[q]);
    return found;
}

/* Sixteen words of part q from word `first` of the row on. */
SPQ_INLINE __m512i part(const uint32_t *plane, const spq_parting *parts, const int32_t spread, int32_t q,
                        int32_t first) {
    const uint32_t *from = plane + first * spread;
    if (spread == 1) return _mm512_loadu_si512(from);
    const __m512i a = _mm512_loadu_si512(from), b = _mm512_loadu_si512(from + 16);
    const __m512i low = _mm512_permutex2var_epi32(a, parts->index[q], b);
    if (spread == 2) return low;
    const __m512i c = _mm512_loadu_si512(from + 32), d = _mm512_loadu_si512(from + 48);
    const __m512i high = _mm512_permutex2var_epi32(c, parts->index[q], d);
    return _mm512_inserti64x4(low, _mm512_castsi512_si256(high), 1);
}

typedef struct {
    const spq_neuron *neuron;
    const spq_counters *counters;
    int32_t tiles, words; /* of a pixel, of the row */
    int32_t bits;         /* that hold every potential of the row */
    int32_t weight;       /* shift of each next pass */
    const uint32_t *joined; /* spikes that an identity adds, of the same row; none without */
} spq_slicing;

/* What is added to the counted bits: without the lift of their codes, or, where silent inputs were counted, with it and
 * with what the flipped bits of each part need to count down. */
SPQ_INLINE __m512i raised_by(const spq_slicing *s, int32_t first, int32_t parts, const int32_t spread) {
    const __m128i fraction = _mm_cvtsi32_si128(s->neuron->fraction);
    const __m512i shifts = _mm512_loadu_si512(s->counters->shifts + first);
    if (!s->counters->silent) return _mm512_sll_epi32(_mm512_sub_epi32(_mm512_setzero_si512(), shifts), fraction);
    uint32_t ends = 0;
    for (int32_t k = 0, pass = 0; k < parts; k += spread, pass++)
        for (int32_t q = 0; q < spread; q++) ends += 1u << (pass * s->weight + q);
    return _mm512_sll_epi32(_mm512_add_epi32(shifts, _mm512_set1_epi32((int32_t)ends)), fraction);
}

/* Sixteen words of neurons: four codes, any of three thresholds between them. */
SPQ_INLINE void fire_words(const spq_slicing *s, const spq_parting *parts, const int32_t spread, const int32_t passes,
                           int32_t first, int32_t tile, const spq_neuron_row *neurons) {
    const spq_neuron *n = s->neuron;
    const spq_counters *counters = s->counters;
    const int32_t rest = s->words - first, pitch = s->tiles + SPQ_WORDS, silent = counters->silent;
    const __mmask16 kept = rest < SPQ_WORDS ? (__mmask16)((1u << rest) - 1u) : (__mmask16)0xFFFF;
    const __m512i ones = _mm512_set1_epi32(-1), zeros = _mm512_setzero_si512();
    const __m512i code0 = _mm512_maskz_loadu_epi32(kept, neurons->state + first);
    const __m512i code1 = _mm512_maskz_loadu_epi32(kept, neurons->state + neurons->pitch + first);
    const __m512i flip = silent ? ones : zeros;
    const __m512i raised = raised_by(s, first, passes * spread, spread);
    const __m512i joined = s->joined ? _mm512_maskz_loadu_epi32(kept, s->joined + first) : zeros;
    __m512i carry[SPQ_MOST_PARTS], carried = zeros, totalled = zeros, added = zeros;
    __m512i fire = ones, edge0 = ones, edge1 = ones, edge2 = ones, above = zeros;
    for (int32_t k = 0; k < passes * spread; k++) carry[k] = zeros;
    const uint32_t *constants = n->planes + tile;
    for (int32_t j = 0; j < s->bits; j++, constants += n->plane_rows * pitch) {
#define CONSTANT(i) _mm512_loadu_si512(constants + (i) * pitch)
        const __m512i low = CHOOSE(code0, CONSTANT(1), CONSTANT(0)), high = CHOOSE(code0, CONSTANT(3), CONSTANT(2));
        const __m512i decay = CHOOSE(code1, high, low);
        const __m512i lowered = _mm512_movm_epi32(_mm512_test_epi32_mask(raised, _mm512_set1_epi32(1 << j)));
        __m512i sum = SUM(decay, lowered, carried);
        carried = CARRY(decay, lowered, carried);
        if (silent) {
            const __m512i total = CONSTANT(8), both = SUM(sum, total, totalled);
            totalled = CARRY(sum, total, totalled);
            sum = both;
        }
        if (s->joined) {
            const __m512i code = _mm512_and_si512(CONSTANT(9), joined), both = SUM(sum, code, added);
            added = CARRY(sum, code, added);
            sum = both;
        }
        for (int32_t pass = 0, k = 0; pass < passes; pass++)
            for (int32_t q = 0; q < spread; q++, k++) {
                const int32_t p = j - n->fraction - pass * s->weight - q;
                const uint32_t *plane = counters->words + (pass * counters->plane_count + p) * counters->pitch;
                const int32_t counted = p >= 0 && p < counters->plane_count;
                const __m512i bit = counted ? _mm512_xor_si512(part(plane, parts, spread, q, first), flip)
                                            : (p < 0 ? zeros : flip);
                const __m512i both = SUM(sum, bit, carry[k]);
                carry[k] = CARRY(sum, bit, carry[k]);
                sum = both;
            }
        if (j + 1 < s->bits) {
            fire = CARRY(sum, CONSTANT(4), fire);
            edge0 = CARRY(sum, CONSTANT(5), edge0);
            edge1 = CARRY(sum, CONSTANT(6), edge1);
            edge2 = CARRY(sum, CONSTANT(7), edge2);
        } else { /* the sign */
            fire = _mm512_ternarylogic_epi32(sum, CONSTANT(4), fire, 0x2B);
            edge0 = _mm512_ternarylogic_epi32(sum, CONSTANT(5), edge0, 0x2B);
            edge1 = _mm512_ternarylogic_epi32(sum, CONSTANT(6), edge1, 0x2B);
            above = _mm512_ternarylogic_epi32(sum, CONSTANT(7), edge2, 0x2B);
        }
#undef CONSTANT
    }
    if (n->levels == 3) above = zeros;
    const __m512i zero0 = -n->low & 1 ? ones : zeros, zero1 = -n->low & 2 ? ones : zeros;
    const __m512i bit0 = CHOOSE(fire, zero0, SUM(edge0, edge1, above));
    const __m512i bit1 = CHOOSE(fire, zero1, CARRY(edge0, edge1, above));
    _mm512_mask_storeu_epi32(neurons->spikes + first, kept, fire);
    _mm512_mask_storeu_epi32(neurons->state + first, kept, bit0);
    _mm512_mask_storeu_epi32(neurons->state + neurons->pitch + first, kept, bit1);
}

SPQ_INLINE void fire_row(const spq_slicing *s, const int32_t spread, const int32_t passes,
                         const spq_neuron_row *neurons) {
    const spq_parting parts = parting(spread, s->tiles);
    int32_t tile = 0;
    for (int32_t first = 0; first < s->words; first += SPQ_WORDS) {
        fire_words(s, &parts, spread, passes, first, tile, neurons);
        tile += SPQ_WORDS;
        while (tile >= s->tiles) tile -= s->tiles;
    }
}

void spq_fire_slices(const spq_connection *c, const spq_neuron *neuron, const spq_counters *counters, int32_t bits,
                     const uint32_t *joined, const spq_neuron_row *neurons) {
    const int32_t spread = c->slices->spread, passes = c->slices->passes;
    const spq_slicing s = {neuron, counters, c->tiles, neurons->width * c->tiles, bits, spread * c->slices->vectors,
                           joined};
    if (passes == 1 && spread == 1) fire_row(&s, 1, 1, neurons);
    else if (passes == 1 && spread == 2) fire_row(&s, 2, 1, neurons);
    else if (passes == 1) fire_row(&s, 4, 1, neurons);
    else if (spread == 1) fire_row(&s, 1, passes, neurons);
    else fire_row(&s, spread, passes, neurons);
}

int32_t spq_potential_bits(const spq_connection *c, const spq_neuron *neuron, const spq_counters *counters) {
    if (counters->silent) return neuron->plane_count;
    const int32_t most = counters->most;
    const uint32_t sums = (uint32_t)(most * c->slices->largest) << neuron->fraction;
    const uint32_t potential = sums + (uint32_t)neuron->plane_decay, edge = (uint32_t)neuron->plane_edge;
    const int32_t bits = 33 - __builtin_clz((potential > edge ? potential : edge) | 1u);
    return bits < neuron->plane_count ? bits : neuron->plane_count;
}

/* ---- plain sums ---- */

SPQ_INLINE void unslice(const spq_connection *c, const spq_counters *counters, int32_t word, int32_t x, int32_t tile,
                        const int32_t wide, void *to) {
    const spq_slices *slices = c->slices;
    const int32_t *totals = slices->totals + tile * SPQ_LANES;
    __m512i low, high;
    if (counters->silent) { /* all that there is, less what did not come */
        low = _mm512_add_epi32(_mm512_loadu_si512(totals), _mm512_set1_epi32(counters->shifts[word]));
        high = _mm512_add_epi32(_mm512_loadu_si512(totals + 16), _mm512_set1_epi32(counters->shifts[word]));
    } else {
        low = high = _mm512_set1_epi32(-counters->shifts[word]);
    }
    if (!wide) {
        const __m512i half = _mm512_castsi256_si512(_mm512_cvtepi32_epi16(low));
        low = _mm512_inserti64x4(half, _mm512_cvtepi32_epi16(high), 1);
    }
    for (int32_t pass = 0; pass < slices->passes; pass++)
        for (int32_t q = 0; q < slices->spread; q++) {
            const uint32_t *plane = counters->words + pass * counters->plane_count * counters->pitch +
                                    (x * slices->spread + q) * c->tiles + tile;
            int32_t shift = pass * slices->spread * slices->vectors + q;
            for (int32_t p = 0; p < counters->plane_count; p++, plane += counters->pitch, shift++) {
                const uint32_t weight = counters->silent ? 0u - (1u << shift) : 1u << shift;
                if (wide) {
                    const __m512i value = _mm512_set1_epi32((int32_t)weight);
                    low = _mm512_mask_add_epi32(low, (__mmask16)*plane, low, value);
                    high = _mm512_mask_add_epi32(high, (__mmask16)(*plane >> 16), high, value);
                } else {
                    const __m512i value = _mm512_set1_epi16((int16_t)weight);
                    low = _mm512_mask_add_epi16(low, *plane, low, value);
                }
            }
        }
    if (wide) {
        _mm512_storeu_si512((int32_t *)to + word * SPQ_LANES, low);
        _mm512_storeu_si512((int32_t *)to + word * SPQ_LANES + 16, high);
    } else {
        _mm512_storeu_si512((int16_t *)to + word * SPQ_LANES, low);
    }
}

void spq_unslice_row(const spq_connection *c, const spq_counters *counters, void *sums) {
    int32_t word = 0;
    for (int32_t x = 0; x < c->out_width; x++)
        for (int32_t tile = 0; tile < c->tiles; tile++, word++) {
            if (c->wide) unslice(c, counters, word, x, tile, 1, sums);
            else unslice(c, counters, word, x, tile, 0, sums);
        }
}

#endif
