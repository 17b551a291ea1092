/* sliced: events counted in bit planes.
 *
 * The counters of all outputs that a column of inputs reaches stay in registers while the column moves on over a row:
 * after each output's last column its words are stored and the rest shift down by one slot. Sixteen events at a time
 * go through a tree of full adders, so that each counter bit is touched half, a quarter, an eighth as often. */
#include "sliced.h"
#include "lanes.h"

#if SPQ_HAS_SLICED

/* ---- adders ---- */

/* A full adder in two instructions that each overwrite what is no longer needed: the carry is found from the sum. */
#define SUM(a, b, c) _mm512_ternarylogic_epi32(a, b, c, 0x96)
#define CARRY_OF_SUM(a, b, sum) _mm512_ternarylogic_epi32(a, b, sum, 0xD4)

/* a + b + c: the sum replaces c, the carry is returned. */
SPQ_INLINE __m512i full(__m512i a, __m512i b, __m512i *c) {
    *c = SUM(*c, a, b);
    return CARRY_OF_SUM(a, b, *c);
}

/* Add four bits to two planes; returns the carry beyond them. Bits are added to one another first, and to a plane as
 * seldom as can be: its own sum is what the next ones wait for. */
SPQ_INLINE __m512i quad(__m512i *planes, __m512i a, __m512i b, __m512i c, __m512i d) {
    const __m512i first = full(a, b, &c), second = full(c, d, &planes[0]);
    return full(first, second, &planes[1]);
}

/* Add n bits to one plane; returns how many carries take their place. */
SPQ_INLINE int32_t level(__m512i *plane, __m512i *in, int32_t n) {
    int32_t i = 0, out = 0;
#pragma GCC unroll 2
    for (int32_t k = 0; k < 2; k++) {
        if (i + 4 > n) continue;
        __m512i third = in[i + 2];
        const __m512i first = full(in[i], in[i + 1], &third), second = full(third, in[i + 3], plane);
        in[out] = first, in[out + 1] = second;
        i += 4, out += 2;
    }
    if (i + 2 <= n) {
        in[out] = full(in[i], in[i + 1], plane);
        i += 2, out += 1;
    }
    if (i < n) {
        const __m512i carry = _mm512_and_si512(*plane, in[i]);
        *plane = _mm512_xor_si512(*plane, in[i]);
        in[out] = carry;
        out += 1;
    }
    return out;
}

/* A row of codes, read once: compilers would rather read it again than keep it. */
SPQ_INLINE __m512i once(const uint32_t *row) {
    __m512i found = _mm512_loadu_si512(row);
    __asm__("" : "+v"(found));
    return found;
}

/* Add `count` events, a constant, to `planes` planes, an even number. */
SPQ_INLINE void add_events(__m512i *counter, const uint16_t *events, const uint32_t *rows, const int32_t vectors,
                           const int32_t spread, int32_t planes, const int32_t count) {
    __m512i carried[4][4], in[8];
    int32_t n = 0;
#define ROW(i) once(rows + (uint64_t)events[4 * b + i] * (uint64_t)(vectors * SPQ_WORDS) + SPQ_WORDS * v)
#pragma GCC unroll 4
    for (int32_t b = 0; b < count >> 2; b++) {
#pragma GCC unroll 4
        for (int32_t v = 0; v < vectors; v++)
            carried[v][b] = quad(counter + v * spread, ROW(0), ROW(1), ROW(2), ROW(3));
    }
#undef ROW
#define LEVEL(p)                                                                                                       \
    {                                                                                                                  \
        _Pragma("GCC unroll 4") for (int32_t v = 0; v < vectors; v++) {                                                \
            if (p != v * spread + 2) continue;                                                                         \
            _Pragma("GCC unroll 4") for (int32_t b = 0; b < count >> 2; b++) in[n++] = carried[v][b];                  \
        }                                                                                                              \
        n = level(&counter[p], in, n);                                                                                 \
    }
    LEVEL(2) LEVEL(3) LEVEL(4) LEVEL(5)
    if (planes == 6) return;
    LEVEL(6) LEVEL(7)
    if (planes == 8) return;
    LEVEL(8) LEVEL(9)
    if (planes == 10) return;
    LEVEL(10) LEVEL(11)
    if (planes == 12) return;
    LEVEL(12) LEVEL(13)
    if (planes == 14) return;
    LEVEL(14) LEVEL(15)
#undef LEVEL
}

/* ---- a row of outputs ---- */

/* One block of the outputs, and one pass. */
typedef struct {
    const spq_sweep *sweep;
    const uint32_t *rows;
    uint32_t *planes;
    int32_t count;  /* of planes */
    int32_t pitch;  /* words from one plane to the next */
    int32_t stored; /* words of a slot that are kept */
} spq_pass;

/* What was stored is read again from memory: taking vectors apart costs more. */
#define FORGET(memory) __asm__ volatile("" : : "r"(memory) : "memory")

/* The planes of the counters that are there; an even number, and six at least. */
#define EACH_PLANE(DO)                                                                                                 \
    do {                                                                                                               \
        DO(0) DO(1) DO(2) DO(3) DO(4) DO(5)                                                                            \
        if (planes == 6) break;                                                                                        \
        DO(6) DO(7)                                                                                                    \
        if (planes == 8) break;                                                                                        \
        DO(8) DO(9)                                                                                                    \
        if (planes == 10) break;                                                                                       \
        DO(10) DO(11)                                                                                                  \
        if (planes == 12) break;                                                                                       \
        DO(12) DO(13)                                                                                                  \
        if (planes == 14) break;                                                                                       \
        DO(14) DO(15)                                                                                                  \
    } while (0)
#define KEEP(p) _mm512_mask_storeu_epi32(out + p * pitch, kept, counter[p]);
#define MOVE(p) counter[p] = _mm512_maskz_permutexvar_epi32(stay, down, counter[p]);

SPQ_INLINE void count(const spq_pass *pass, const int32_t vectors, const int32_t spread) {
    const spq_sweep *w = pass->sweep;
    const spq_connection *c = w->connection;
    const spq_columns *columns = w->columns;
    const int32_t slots = c->slices->slots, groups = columns->groups, pitch = pass->pitch;
    const int32_t planes = pass->count;
    const int32_t at_once = vectors == 4 ? 8 : 16; /* so that all carries stay in registers */
    const int32_t slot = c->slices->spread * c->slices->block, pixel = c->slices->spread * c->tiles;
    const int32_t above = w->top * columns->stride * c->channels, under = spq_slice_rows(c);
    const uint32_t *rows = pass->rows - (int64_t)above * vectors * SPQ_WORDS;
    const uint32_t *from = columns->heads + w->from * groups, *to = columns->heads + w->to * groups;
    const __m256i end = _mm256_set1_epi16((int16_t)(above + under));
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i down = _mm512_add_epi32(lane, _mm512_set1_epi32(slot));
    const __mmask16 stay = (__mmask16)(0xFFFFu >> slot), kept = (__mmask16)((1u << pass->stored) - 1u);
    __m512i counter[SPQ_MOST_PLANES];
#pragma GCC unroll 16
    for (int32_t p = 0; p < SPQ_MOST_PLANES; p++) counter[p] = _mm512_setzero_si512();
    const int32_t *open = w->open;
    uint32_t *out = pass->planes;
    for (int32_t group = open ? *open : 0, wanted = group, done = 0; done < w->count; group++) {
        const uint16_t *event = columns->events + (uint32_t)group * columns->pitch + from[group];
        int32_t left = group < wanted ? 0 : (int32_t)(to[group] - from[group]); /* they reach none that is wanted */
        for (; left > 0; left -= at_once, event += at_once) { /* one body for whole runs and for what is left */
            uint16_t tail[16];
            const uint16_t *run = event;
            if (left < at_once) { /* behind the last event there is a row of zeros */
                const __m256i next = _mm256_loadu_si256((const __m256i *)(const void *)event);
                _mm256_storeu_si256((__m256i *)(void *)tail, _mm256_min_epu16(next, end));
                FORGET(tail);
                run = tail;
                if (at_once > 8 && left <= 8) {
                    add_events(counter, run, rows, vectors, spread, planes, 8);
                    break;
                }
            }
            add_events(counter, run, rows, vectors, spread, planes, at_once);
        }
        if (group - slots + 1 == wanted) {
            EACH_PLANE(KEEP);
            out += pixel;
            wanted = ++done < w->count && open ? *++open : wanted + 1;
        }
        EACH_PLANE(MOVE);
    }
}

/* A body for each shape. */
#define COUNT(v, s) static void count_##v##_##s(const spq_pass *pass) { count(pass, v, s); }
COUNT(1, 1) COUNT(2, 1) COUNT(2, 2) COUNT(2, 4) COUNT(4, 1) COUNT(4, 2)

static void (*const bodies[6])(const spq_pass *) = {count_1_1, count_2_1, count_2_2, count_2_4, count_4_1, count_4_2};

spq_sweep spq_sweep_of(const spq_connection *c, const spq_columns *columns, int32_t y) {
    spq_sweep w = {c, columns, y * c->step_height - c->pad_height + columns->above, 0, 0, c->out_width, 0};
    const int32_t below = w.top + c->kernel_height, rows = spq_listed(columns);
    if (w.top < rows && below > 0) {
        w.from = w.top < 0 ? 0 : w.top;
        w.to = below < rows ? below : rows;
    }
    return w;
}

int32_t spq_count_events(const spq_sweep *w, int32_t *shifts) {
    const spq_connection *c = w->connection;
    const int32_t tiles = c->tiles, lift = c->slices->lift;
    spq_below below = spq_below_of(w);
    int32_t most = 0;
    for (int32_t x = 0; x < c->out_width; x++, shifts += tiles) {
        const int32_t n = spq_next_events(&below);
        most = n > most ? n : most;
        const __m512i shift = _mm512_set1_epi32(n * lift);
        for (int32_t t = 0; t < tiles; t += SPQ_WORDS) _mm512_storeu_si512(shifts + t, shift);
    }
    return most;
}

void spq_lay_planes(const spq_connection *c, int32_t bits, int32_t outputs, spq_counters *counters) {
    const spq_slices *slices = c->slices;
    int32_t heaviest = 0;
    for (int32_t v = 0; v < slices->vectors; v++) heaviest += 1 << (v * slices->spread);
    const int32_t planes = 32 - __builtin_clz((uint32_t)(counters->most * heaviest) | 1u);
    counters->plane_count = spq_plane_count(planes < bits ? planes : bits);
    counters->pitch = outputs * slices->spread * c->tiles;
}

void spq_count_row(const spq_sweep *w, int32_t output, const spq_counters *counters) {
    const spq_connection *c = w->connection;
    const spq_slices *slices = c->slices;
    const int32_t kind = slices->vectors == 1 ? 0 : (slices->vectors == 4 ? 4 : 1) + (slices->spread >> 1);
    const int32_t pass_rows = (spq_slice_rows(c) + 1) * slices->vectors * SPQ_WORDS;
    uint32_t *first = counters->words + output * slices->spread * c->tiles;
    spq_pass pass = {w, slices->rows, 0, counters->plane_count, counters->pitch, 0};
    for (int32_t b = 0; b < slices->blocks; b++) {
        const int32_t left = c->tiles - b * slices->block;
        pass.stored = slices->spread * (left < slices->block ? left : slices->block);
        for (int32_t k = 0; k < slices->passes; k++, pass.rows += pass_rows) {
            pass.planes = first + k * counters->plane_count * counters->pitch + b * slices->block;
            bodies[kind](&pass);
        }
    }
}

#endif
