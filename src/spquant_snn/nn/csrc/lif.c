/* The recurrence of nn/recurrence.py in one pass over memory forward and one backward, for float32 currents, from a
   zero state. The potentials are not kept for the backward pass: it computes them again, a tile at a time.

   Memory decides how long it takes. Time steps lie far apart in it, and processors foresee no jumps: so a tile asks for
   the next one, a block at a time, while there is something to be computed. */

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

#define TILE 512 /* neurons: what all time steps of them take stays in the caches */
#define BLOCK 64 /* neurons of a tile, in loops of a length that the compiler knows */
#define ALIGNED __attribute__((aligned(64)))
#define INLINE static inline __attribute__((always_inline))

enum { TRIANGLE, RECTANGLE, ATAN, SIGMOID };
enum { NO_MEMORY = 1 };

/* ctypes of nn/fused.py mirror this. */
typedef struct {
    float threshold, leak;
    float step, delta; /* of the codes: step and step * threshold */
    int32_t low, high; /* codes; equal for a potential that is stored as it is */
    int32_t subtract;  /* the reset */
    int32_t surrogate; /* one of the enumeration */
    int32_t steps;
    int32_t still; /* whether the current is the same at every step, [M] instead of [T, M] */
} neuron_t;

/* What the loops make of them. */
typedef struct {
    float threshold, leak, step, delta, inverse, low, high;
    int exact;           /* whether delta is a power of two: a product with its inverse rounds as the quotient */
    float middle, reach; /* of the codes; beyond which distance a slope is next to nothing */
    float rate, tail;    /* -2 / (delta ln 2); e^(-2 (high - low)) */
} constants_t;

static constants_t constants(const neuron_t *c) {
    const float low = (float)c->low, high = (float)c->high;
    int exponent;
    constants_t k;
    k.threshold = c->threshold;
    k.leak = c->leak;
    k.step = c->step;
    k.delta = c->delta;
    k.inverse = 1.0f / c->delta;
    k.low = low;
    k.high = high;
    k.exact = frexpf(c->delta, &exponent) == 0.5f;
    k.middle = 0.5f * (low + high) * c->delta;
    k.reach = (c->high - c->low > 3 ? 20.0f : 40.0f) * c->delta;
    k.rate = -2.88539008f * k.inverse;
    k.tail = expf(2.0f * (low - high));
    return k;
}

/* As torch.add(a, b, alpha=...) rounds. */
INLINE float fused_add(float a, float b, float alpha) {
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
    return __builtin_fmaf(b, alpha, a);
#else
    return a + b * alpha;
#endif
}

INLINE float clamp(float x, float low, float high) {
    x = x < low ? low : x;
    return x > high ? high : x;
}

/* 2^(a b) for |a b| <= 120, to 2e-7 of its value: 2^n times a polynomial for 2^f, |f| <= 1/2. A sum with 1.5 * 2^23 is
   a whole number, in its lowest bits; 127 more is where exponents start. */
INLINE float power(float a, float b) {
    union {
        float value;
        uint32_t bits;
    } n, scale;
    n.value = fused_add(12583039.0f, a, b);
    const float f = fused_add(12583039.0f - n.value, a, b), square = f * f;
    const float high = fused_add(9.6715127e-3f, 1.3264671e-3f, f), middle = fused_add(2.4022242e-1f, 5.5507340e-2f, f);
    const float low = fused_add(1.0f, 6.9314698e-1f, f);
    scale.bits = n.bits << 23;
    return fused_add(low, fused_add(middle, high, square), square) * scale.value;
}

/* What is stored of a residual, in units of delta. */
INLINE float code(float scaled, constants_t k) {
    return clamp(floorf(scaled + 0.5f), k.low, k.high);
}

/* A block at one step: what is stored next into u, from what was; the spikes or the potentials into out. */
INLINE void integrate(constants_t k, int boundaries, int subtract, int first, int spikes, const float *restrict current,
                      float *restrict u, float *restrict out) {
    for (size_t i = 0; i < BLOCK; i++) {
        const float v = first ? current[i] : fused_add(current[i], u[i], k.leak);
        const int fired = v >= k.threshold;
        const float r = fired ? (subtract ? v - k.threshold : 0.0f) : v;
        u[i] = boundaries ? code(k.exact ? r * k.inverse : r / k.delta, k) * k.delta : r;
        out[i] = spikes ? (fired ? 1.0f : 0.0f) : v;
    }
}

INLINE float surrogate(int kind, float x) {
    if (kind == TRIANGLE) return fabsf(x) < 1.0f ? 1.0f - fabsf(x) : 0.0f;
    if (kind == RECTANGLE) return fabsf(x) < 0.5f ? 1.0f : 0.0f;
    if (kind == ATAN) {
        const float y = x * 3.14159265f;
        return 1.0f / (y * y + 1.0f);
    }
    const float q = power(clamp(fabsf(x), 0.0f, 20.0f), -5.77078016f), one = 1.0f + q; /* e^(-4 |x|) */
    return 4.0f * q / (one * one);
}

/* The stacked surrogate of nn/recurrence.py of a residual, by one power and one division.

   2 z (1 - z) = 1 / (1 + cosh 2 (x - e)). Two boundaries at m - d and m + d make 2 (1 + c C) / (c + C)^2 of
   c = cosh 2 (x - m) and C = cosh 2 d, in which 2 c = q + 1 / q for q = e^(-2 |x - m|). */
INLINE float stacked(float r, int boundaries, constants_t k) {
    if (boundaries > 3) { /* by how much it lies beyond the codes */
        const float below = k.low * k.delta - r, above = r - k.high * k.delta, beyond = below > above ? below : above;
        const float q = power(clamp(beyond, -k.reach, k.reach), -k.rate);
        return (1.0f - k.tail) * q / ((1.0f + q) * (k.tail + q));
    }
    const float far = fabsf(r - k.middle), q = power(far > k.reach ? k.reach : far, k.rate);
    const float twice = q + q, sum = fused_add(1.0f, q, q), one = sum + twice;
    if (boundaries == 1) return twice / one;
    const float apart = boundaries == 2 ? 1.54308063f : 3.76219569f; /* cosh of 1 and of 2 */
    const float two = fused_add(sum, twice, apart), square = two * two, pair = fused_add(twice, sum, apart);
    if (boundaries == 2) return (twice + twice) * pair / square;
    return twice * fused_add(square, pair, one + one) / (one * square);
}

/* Gradient of the current of a block at one step into g, from those of its spikes and of what it stored, gu; gu becomes
   that of what was stored before. Adds the threshold's to that of each neuron. */
INLINE void turn(constants_t k, int boundaries, int subtract, int kind, int last, int learned, const float *restrict v,
                 const float *restrict spikes, float *restrict gu, float *restrict g, float *restrict threshold) {
    for (size_t i = 0; i < BLOCK; i++) {
        const float x = v[i] - k.threshold;
        const int fired = v[i] >= k.threshold;
        float gs = spikes[i], through = 0.0f;
        if (!last) {
            float gr = gu[i];
            if (boundaries) {
                const float r = fired ? (subtract ? x : 0.0f) : v[i];
                const float slope = stacked(r, boundaries, k);
                if (learned) {
                    const float scaled = r / k.delta; /* codes are decided as forward */
                    threshold[i] += k.step * (gr * (code(scaled, k) - slope * scaled));
                }
                gr *= slope;
            }
            gs = fused_add(gs, -gr, subtract ? k.threshold : v[i]);
            through = subtract || !fired ? gr : 0.0f;
            if (learned && subtract) threshold[i] -= fired ? gr : 0.0f;
        }
        const float slope = surrogate(kind, x), gv = fused_add(through, gs, slope);
        if (learned) threshold[i] -= gs * slope;
        g[i] = gv;
        gu[i] = gv * k.leak;
    }
}

/* Asks for the memory of a block of a tile, if there is one. */
INLINE void fetch(const float *tile, size_t block) {
    if (tile == NULL) return;
    for (size_t i = 0; i < BLOCK; i += 16) __builtin_prefetch(tile + block + i, 0, 3);
}

/* Hands on a block; one that will have left the caches before it is read, on x86 straight to memory, which is not read
   first. Sixteen bytes at a time: whole lines at once hold up what is being read, unless much is computed in between. */
INLINE void hand_on(float *restrict to, const float *restrict x, int past_caches, int lines) {
#if defined(__AVX512F__)
    if (past_caches && lines) {
        for (size_t i = 0; i < BLOCK; i += 16) _mm512_stream_ps(to + i, _mm512_load_ps(x + i));
        return;
    }
#endif
#if defined(__SSE2__)
    if (past_caches) {
        for (size_t i = 0; i < BLOCK; i += 4) _mm_stream_ps(to + i, _mm_load_ps(x + i));
        return;
    }
#endif
    (void)past_caches, (void)lines;
    memcpy(to, x, BLOCK * sizeof *to);
}

/* Before other threads read it. */
static void handed_on(void) {
#if defined(__SSE2__)
    _mm_sfence();
#endif
}

INLINE int leaves_caches(const float *to, size_t steps, size_t neurons) {
    return steps * neurons > (8u << 20) / sizeof(float) && ((uintptr_t)to | neurons * sizeof *to) % 64 == 0;
}

/* The same functions with their choices known to the compiler. */
#define CHOOSE_RESET(call, boundaries) \
    do { \
        if (c->subtract) \
            call(boundaries, 1); \
        else \
            call(boundaries, 0); \
    } while (0)
#define CHOOSE(call) \
    do { \
        const int32_t between = c->high - c->low; \
        if (between == 0) CHOOSE_RESET(call, 0); \
        else if (between == 1) CHOOSE_RESET(call, 1); \
        else if (between == 2) CHOOSE_RESET(call, 2); \
        else if (between == 3) CHOOSE_RESET(call, 3); \
        else CHOOSE_RESET(call, 4); \
    } while (0)

/* A tile at one step. */
typedef struct {
    const float *in;
    float *out;
    size_t count;
    int past_caches;      /* whether out is memory that will have left them before it is read */
    const float *next[2]; /* what is asked for meanwhile, or null */
} tile_t;

/* What a tile reads, in whole blocks: where it lies, or a copy with zeros behind. */
static const float *whole(const float *in, size_t count, float *copy) {
    if (count % BLOCK == 0) return in;
    memcpy(copy, in, count * sizeof *in);
    memset(copy + count, 0, (TILE - count) * sizeof *in);
    return copy;
}

INLINE void integrate_tile(constants_t k, int boundaries, int subtract, int first, int spikes, tile_t tile, float *u) {
    float s[BLOCK] ALIGNED;
    for (size_t b = 0; b < tile.count; b += BLOCK) {
        fetch(tile.next[0], b);
        integrate(k, boundaries, subtract, first, spikes, tile.in + b, u + b, spikes ? s : tile.out + b);
        if (spikes) hand_on(tile.out + b, s, tile.past_caches, 0);
    }
}

static void step(const neuron_t *c, const constants_t *k, int first, int spikes, tile_t tile, float *u) {
#define INTEGRATE(boundaries, subtract) \
    do { \
        if (spikes && first) integrate_tile(*k, boundaries, subtract, 1, 1, tile, u); \
        else if (spikes) integrate_tile(*k, boundaries, subtract, 0, 1, tile, u); \
        else if (first) integrate_tile(*k, boundaries, subtract, 1, 0, tile, u); \
        else integrate_tile(*k, boundaries, subtract, 0, 0, tile, u); \
    } while (0)
    CHOOSE(INTEGRATE);
}

INLINE void turn_tile(constants_t k, int boundaries, int subtract, int kind, int last, int learned, tile_t tile,
                      const float *v, float *gu, float *threshold) {
    float g[BLOCK] ALIGNED;
    for (size_t b = 0; b < tile.count; b += BLOCK) {
        for (int i = 0; i < 2; i++) fetch(tile.next[i], b);
        turn(k, boundaries, subtract, kind, last, learned, v + b, tile.in + b, gu + b, g, threshold);
        hand_on(tile.out + b, g, tile.past_caches, boundaries != 0 && !last);
    }
}

static void back(const neuron_t *c, const constants_t *k, int last, int learned, tile_t tile, const float *v, float *gu,
                 float *threshold) {
#define TURN_KIND(boundaries, subtract, kind) \
    do { \
        if (learned && last) turn_tile(*k, boundaries, subtract, kind, 1, 1, tile, v, gu, threshold); \
        else if (learned) turn_tile(*k, boundaries, subtract, kind, 0, 1, tile, v, gu, threshold); \
        else if (last) turn_tile(*k, boundaries, subtract, kind, 1, 0, tile, v, gu, threshold); \
        else turn_tile(*k, boundaries, subtract, kind, 0, 0, tile, v, gu, threshold); \
    } while (0)
#define TURN(boundaries, subtract) \
    do { \
        if (c->surrogate == TRIANGLE) TURN_KIND(boundaries, subtract, TRIANGLE); \
        else if (c->surrogate == RECTANGLE) TURN_KIND(boundaries, subtract, RECTANGLE); \
        else if (c->surrogate == ATAN) TURN_KIND(boundaries, subtract, ATAN); \
        else TURN_KIND(boundaries, subtract, SIGMOID); \
    } while (0)
    CHOOSE(TURN);
}

/* Spikes [T, M] of neurons begin .. end, of currents [T, M] or [M]. */
void neuron_forward(const neuron_t *c, size_t neurons, size_t begin, size_t end, const float *current, float *spikes) {
    const constants_t k = constants(c);
    const int past_caches = leaves_caches(spikes + begin, (size_t)c->steps, neurons);
    float u[TILE] ALIGNED, padded[TILE] ALIGNED, spare[TILE] ALIGNED;
    for (size_t at = begin; at < end; at += TILE) {
        const size_t count = end - at < TILE ? end - at : TILE;
        const int ragged = count % BLOCK != 0, followed = end - at >= 2 * TILE;
        for (int32_t t = 0; t < c->steps; t++) {
            const float *in = current + (c->still ? 0 : (size_t)t * neurons) + at;
            float *out = spikes + (size_t)t * neurons + at;
            const tile_t tile = {whole(in, count, padded), ragged ? spare : out, count, past_caches,
                                 {followed ? in + TILE : NULL, NULL}};
            step(c, &k, t == 0, 1, tile, u);
            if (ragged) memcpy(out, spare, count * sizeof *out);
        }
    }
    handed_on();
}

/* Gradients of the currents, from those of the spikes [T, M]; adds up that of the threshold where it is not null. */
int neuron_backward(const neuron_t *c, size_t neurons, size_t begin, size_t end, const float *current,
                    const float *spikes, float *gradient, double *threshold) {
    const constants_t k = constants(c);
    const int past_caches = !c->still && leaves_caches(gradient + begin, (size_t)c->steps, neurons);
    float *memory = malloc(sizeof(float) * TILE * (size_t)c->steps + 64);
    float u[TILE] ALIGNED, gu[TILE] ALIGNED, padded[TILE] ALIGNED, g[TILE] ALIGNED, sum[TILE];
    if (memory == NULL) return NO_MEMORY;
    float *v = (float *)(((uintptr_t)memory + 63) / 64 * 64);
    for (size_t at = begin; at < end; at += TILE) {
        const size_t count = end - at < TILE ? end - at : TILE;
        const int aside = c->still || count % BLOCK != 0, followed = end - at >= 2 * TILE;
        float found[BLOCK] ALIGNED = {0};
        for (int32_t t = 0; t < c->steps; t++) {
            const float *in = current + (c->still ? 0 : (size_t)t * neurons) + at;
            const tile_t tile = {whole(in, count, padded), v + (size_t)t * TILE, count, 0, {NULL, NULL}};
            step(c, &k, t == 0, 0, tile, u);
        }
        for (int32_t t = c->steps; t-- > 0;) { /* where most is computed, both are asked for */
            const int last = t + 1 == c->steps;
            const float *in = spikes + (size_t)t * neurons + at;
            const float *again = current + (c->still ? 0 : (size_t)(c->steps - 1 - t) * neurons) + at;
            float *out = gradient + (size_t)t * neurons + at;
            const tile_t tile = {whole(in, count, padded), aside ? g : out, count, past_caches,
                                 {followed ? in + TILE : NULL, followed ? again + TILE : NULL}};
            back(c, &k, last, threshold != NULL, tile, v + (size_t)t * TILE, gu, found);
            if (c->still)
                for (size_t i = 0; i < count; i++) sum[i] = last ? g[i] : sum[i] + g[i];
            else if (aside) memcpy(out, g, count * sizeof *out);
        }
        if (c->still) memcpy(gradient + at, sum, count * sizeof *gradient);
        if (threshold != NULL)
            for (size_t i = 0; i < BLOCK; i++) *threshold += (double)found[i];
    }
    handed_on();
    free(memory);
    return 0;
}
