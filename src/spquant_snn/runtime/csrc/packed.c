/* packed: sums of packed codes and the neurons behind them, one output pixel after the other. */
#include "packed.h"
#include "packed_lanes.h"

#define PAIRS 0x33333333u
#define NIBBLES 0x0F0F0F0Fu
#define HALVES 0x00FF00FFu

/* Where the codes of an event numbered zero would start: what lies there is never read. */
SPQ_INLINE const uint32_t *base_of(const uint32_t *codes, const spq_run *run) {
    return (const uint32_t *)((uintptr_t)codes + (uintptr_t)(4 * (intptr_t)(int32_t)run->base));
}

/* The four bytes from any byte on, of the two words that hold them: no word is read where none starts. */
SPQ_INLINE uint32_t word_from(const uint32_t *codes, uint32_t byte) {
    const uint32_t *two = codes + (byte >> 2), shift = (byte & 3u) << 3;
    return two[0] >> shift | (two[1] << 1) << (31u - shift);
}

/* A loop that no compiler is to make a call of. */
SPQ_INLINE void clear(uint32_t *words, const int32_t count) {
    SPQ_UNROLL(16)
    for (int32_t i = 0; i < count; i++) words[i] = 0;
}

/* Fields of odd and even place are parted when all events have been added: with the even ones known, the words shifted
 * by a field hold the odd ones and the even ones of the next lanes. All is modulo 2^32. */

/* ---- fields of 2 bits ---- */

/* Lanes of 4 bits into lanes of 8. */
SPQ_INLINE void widen(uint32_t even, uint32_t shifted, uint32_t *lanes) {
    const uint32_t odd = shifted - (even >> 4 << 2);
    lanes[0] += even & NIBBLES, lanes[1] += odd & NIBBLES;
    lanes[2] += even >> 4 & NIBBLES, lanes[3] += odd >> 4 & NIBBLES;
}

/* Lanes of 8 bits into lanes of 16: a function of its own, for it is long and called seldom. */
SPQ_CALLED void spread(const uint32_t *lanes, const int32_t count, uint32_t *words) {
    for (const uint32_t *end = lanes + count; lanes < end; words += 2) {
        const uint32_t lane = *lanes++;
        words[0] += lane & HALVES, words[1] += lane >> 8 & HALVES;
    }
}

SPQ_INLINE void add_pairs(const spq_packed *p, const uint32_t *codes, const spq_lists *lists, const spq_run *run,
                          const spq_run *end, const int32_t units, const int32_t grain, const int32_t wide,
                          uint32_t *words) {
    uint32_t lanes[8], even0 = 0, even1 = 0, shifted0 = 0, shifted1 = 0;
    int32_t room = p->few, left = p->many;
    clear(lanes, 4 * units);
    for (; run < end; run++) {
        const spq_event *event = lists->events + run->first, *last = lists->events + run->last;
        const uint32_t *base = grain == 4 ? base_of(codes, run) : codes;
        do {
            const spq_event *stop = last - event > room ? event + room : last;
            room -= (int32_t)(stop - event);
            do {
                const uint32_t *row = base + (grain == 4 ? *event : 0);
                const uint32_t first = grain == 4 ? row[0] : word_from(codes, run->base + *event);
                event++;
                even0 += first & PAIRS, shifted0 += first >> 2;
                if (units > 1) even1 += row[1] & PAIRS, shifted1 += row[1] >> 2;
            } while (event < stop);
            if (room) break;
            widen(even0, shifted0, lanes);
            if (units > 1) widen(even1, shifted1, lanes + 4);
            even0 = even1 = shifted0 = shifted1 = 0, room = p->few;
            if (wide && (left -= p->few) < p->few) {
                spread(lanes, 4 * units, words);
                clear(lanes, 4 * units);
                left = p->many;
            }
        } while (event < last);
    }
    widen(even0, shifted0, lanes);
    if (units > 1) widen(even1, shifted1, lanes + 4);
    if (wide) {
        spread(lanes, 4 * units, words);
        return;
    }
    SPQ_UNROLL(8)
    for (int32_t i = 0; i < 4 * units; i++) words[i] = lanes[i];
}

/* ---- fields of 4 bits ---- */

/* The lanes of word i of the even fields and of the shifted words. */
SPQ_INLINE void part(const uint32_t *even, const uint32_t *shifted, const int32_t units, uint32_t *lanes) {
    SPQ_UNROLL(4)
    for (int32_t i = 0; i < 2 * units; i++)
        lanes[2 * i] = even[i], lanes[2 * i + 1] = shifted[i] - (even[i] >> 8 << 4);
}

SPQ_INLINE void add_nibbles(const spq_packed *p, const uint32_t *codes, const spq_lists *lists, const spq_run *run,
                            const spq_run *end, const int32_t units, const int32_t wide, uint32_t *words) {
    uint32_t even[4], shifted[4], lanes[8];
    spq_nibbles sums;
    int32_t room = p->many;
    spq_clear_nibbles(&sums, 2 * units);
    for (; run < end; run++) {
        const spq_event *event = lists->events + run->first, *last = lists->events + run->last;
        const uint32_t *base = base_of(codes, run);
        do {
            const spq_event *stop = wide && last - event > room ? event + room : last;
            room -= (int32_t)(stop - event);
            do {
                spq_add_nibbles(&sums, base + *event++, 2 * units, NIBBLES);
            } while (event < stop);
            if (!wide || room) break;
            spq_keep_nibbles(&sums, 2 * units, even, shifted);
            part(even, shifted, units, lanes);
            spread(lanes, 4 * units, words);
            spq_clear_nibbles(&sums, 2 * units);
            room = p->many;
        } while (event < last);
    }
    spq_keep_nibbles(&sums, 2 * units, even, shifted);
    part(even, shifted, units, wide ? lanes : words);
    if (wide) spread(lanes, 4 * units, words);
}

/* ---- fields of 8 bits, and of 16 that are multiplied: as many at a time as have their sums in registers ---- */

SPQ_INLINE void add_bytes(const uint32_t *codes, const spq_lists *lists, const spq_run *runs, const spq_run *end,
                          const int32_t units, uint32_t *words) {
    for (int32_t i = 0; i < 4 * units; i += 4) {
        uint32_t even[4], odd[4];
        clear(even, 4), clear(odd, 4);
        for (const spq_run *run = runs; run < end; run++) {
            const spq_event *event = lists->events + run->first, *last = lists->events + run->last;
            const uint32_t *base = base_of(codes, run) + i;
            do {
                const uint32_t *row = base + *event++;
                SPQ_UNROLL(4)
                for (int32_t k = 0; k < 4; k++) even[k] += row[k] & HALVES, odd[k] += row[k] >> 8 & HALVES;
            } while (event < last);
        }
        SPQ_UNROLL(4)
        for (int32_t k = 0; k < 4; k++) words[2 * (i + k)] = even[k], words[2 * (i + k) + 1] = odd[k];
    }
}

SPQ_INLINE void add_products(const uint32_t *codes, const spq_lists *lists, const spq_run *runs, const spq_run *end,
                             const int32_t units, uint32_t *words) {
    for (int32_t i = 0; i < 8 * units; i += 8) {
        spq_products sums;
        spq_clear_products(&sums);
        for (const spq_run *run = runs; run < end; run++) {
            const spq_event *event = lists->events + run->first, *last = lists->events + run->last;
            const int32_t *value = lists->values + run->first;
            const uint32_t *base = base_of(codes, run) + i;
            do {
                spq_add_products(&sums, base + *event++, (uint32_t)*value++);
            } while (event < last);
        }
        spq_keep_products(&sums, words + i);
    }
}

/* ---- any of them ---- */

static int32_t events_of(const spq_run *run, const spq_run *end) {
    int32_t n = 0;
    for (; run < end; run++) n += (int32_t)(run->last - run->first);
    return n;
}

SPQ_INLINE void tally_units(const spq_packed *p, const uint32_t *codes, const spq_lists *lists, const spq_run *runs,
                            const spq_run *end, const int32_t units, spq_tally *tally) {
#define FIELD(b) (((units > 1 ? SPQ_FIELDS : SPQ_HALF_FIELDS) >> (b) & 1u) && p->bits == (b) && p->grain == 4)
    const int32_t n = events_of(runs, end);
    tally->narrow = units > 1 && (FIELD(2) || FIELD(4)) && n <= p->many; /* one unit: not worth its code */
    tally->lifted = (uint32_t)(n * p->lift);
    if (!tally->narrow) clear(tally->words, 8 * units);
    if (FIELD(2)) {
        if (units > 1 && tally->narrow) add_pairs(p, codes, lists, runs, end, units, 4, 0, tally->words);
        else add_pairs(p, codes, lists, runs, end, units, 4, 1, tally->words);
    } else if (units == 1 && (SPQ_HALF_FIELDS >> 1 & 1u) && p->bits == 2) {
        add_pairs(p, codes, lists, runs, end, 1, 1, 1, tally->words);
    } else if (FIELD(4)) {
        if (units > 1 && tally->narrow) add_nibbles(p, codes, lists, runs, end, units, 0, tally->words);
        else add_nibbles(p, codes, lists, runs, end, units, 1, tally->words);
    } else if (FIELD(8)) {
        add_bytes(codes, lists, runs, end, units, tally->words);
    } else if (FIELD(16)) {
        add_products(codes, lists, runs, end, units, tally->words);
        tally->lifted = 0;
    }
}

/* Whether a tile holds both its units, in a network whose tiles are of either kind or of one: bits 1 and 0. */
SPQ_INLINE int32_t full(const spq_packed *p, int32_t tile, const uint32_t kinds) {
    return (kinds & 2u) && (!(kinds & 1u) || 2 * tile + 1 < p->units);
}

#define KINDS ((SPQ_FIELDS ? 2u : 0u) | (SPQ_HALF_FIELDS ? 1u : 0u))
#define UNITS ((SPQ_SETTLES ? 2u : 0u) | (SPQ_HALF_SETTLES ? 1u : 0u))

static void tally_tile(const spq_connection *c, const spq_lists *lists, const spq_run *runs, const spq_run *end,
                       int32_t tile, spq_tally *tally) {
    const spq_packed *p = c->packed;
    const uint32_t *codes = p->words + tile * p->bits;
    if (full(p, tile, KINDS)) tally_units(p, codes, lists, runs, end, 2, tally);
    else if (KINDS & 1u) tally_units(p, codes, lists, runs, end, 1, tally);
}

void spq_packed_sums(const spq_connection *c, const spq_lists *lists, const spq_run *runs, int32_t count,
                     int32_t *sums) {
    for (int32_t tile = 0; tile < c->tiles; tile++, sums += SPQ_LANES) {
        const int32_t two = full(c->packed, tile, KINDS);
        spq_tally tally;
        tally_tile(c, lists, runs, runs + count, tile, &tally);
        for (int32_t i = 16; i < SPQ_LANES && !two; i++) sums[i] = 0;
        for (int32_t u = 0; u <= two; u++)
            for (int32_t m = 0; m < 4; m++)
                for (int32_t l = 0; l < 4; l++)
                    sums[two ? 8 * l + 4 * u + m : 4 * l + m] = spq_lane_of(&tally, u, m, l);
    }
}

/* Bits 8 l + m of a unit that is alone from bits 4 l + m, and back. */
static uint32_t apart(uint32_t bits) {
    bits = (bits | bits << 8) & HALVES;
    return (bits | bits << 4) & NIBBLES;
}

static uint32_t together(uint32_t bits) {
    bits = (bits | bits >> 4) & HALVES;
    return (bits | bits >> 8) & 0xFFFFu;
}

static void decide_tile(const spq_packed *p, int32_t tile, const spq_tally *tally, uint32_t *state, int32_t pitch,
                        uint32_t *spikes) {
    const uint32_t *constants = p->constants + tile * 2 * p->pitch;
    uint32_t word = 0, code[2] = {0, 0};
    if (full(p, tile, UNITS)) {
        for (int32_t u = 0; u < 2; u++, constants += p->pitch) {
            uint32_t nibbles[2] = {state[0] >> 4 * u & NIBBLES, state[pitch] >> 4 * u & NIBBLES};
            word |= spq_fire_unit(p, constants, tally, u, nibbles) << 4 * u;
            code[0] |= nibbles[0] << 4 * u, code[1] |= nibbles[1] << 4 * u;
        }
    } else if (UNITS & 1u) {
        uint32_t nibbles[2] = {apart(state[0] & 0xFFFFu), apart(state[pitch] & 0xFFFFu)};
        word = together(spq_fire_unit(p, constants, tally, 0, nibbles));
        code[0] = together(nibbles[0]), code[1] = together(nibbles[1]);
    }
    *spikes = word, state[0] = code[0], state[pitch] = code[1];
}

void spq_packed_row(const spq_connection *c, const spq_lists *lists, const spq_view *view,
                    const spq_neuron_row *neurons, int32_t steps, int32_t stride) {
    uint32_t *state = neurons->state, *spikes = neurons->spikes;
    for (int32_t column = 0, x = -c->pad_width; column < c->out_width; column++, x += c->step_width) {
        const spq_run *end = view->runs + spq_collect(c, lists, view, x);
        for (int32_t tile = 0; tile < c->tiles; tile++, state++, spikes++) {
            spq_tally tally;
            tally_tile(c, lists, view->runs, end, tile, &tally);
            if (full(c->packed, tile, UNITS)) spq_settle(c->packed, 2, &tally);
            else if (UNITS & 1u) spq_settle(c->packed, 1, &tally);
            for (int32_t t = 0; t < steps; t++)
                decide_tile(c->packed, tile, &tally, state, neurons->pitch, spikes + t * stride);
        }
    }
}
