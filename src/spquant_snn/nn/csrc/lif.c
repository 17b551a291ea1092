/* The recurrence of nn/recurrence.py in one pass over memory forward and one backward, for float32 currents, from a
   zero state. The potentials are not kept for the backward pass: it computes them again, a tile at a time. */

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define TILE 512 /* neurons: what a time step of them takes stays in the first cache */
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

/* e^x for |x| <= 80, to 2e-7 of its value: 2^n times a polynomial for 2^f, |f| <= 1/2. */
INLINE float power(float x) {
    const float y = x * 1.44269504f, n = floorf(y + 0.5f), f = y - n;
    float p = 1.5403530e-4f;
    p = fused_add(1.3333558e-3f, p, f);
    p = fused_add(9.6181291e-3f, p, f);
    p = fused_add(5.5504109e-2f, p, f);
    p = fused_add(2.4022651e-1f, p, f);
    p = fused_add(6.9314718e-1f, p, f);
    p = fused_add(1.0f, p, f);
    union {
        int32_t bits;
        float value;
    } scale;
    scale.bits = ((n == n ? (int32_t)n : 0) + 127) * (1 << 23); /* what is not a number is none by p */
    return p * scale.value;
}

/* What is stored of a residual, in units of delta. */
INLINE float code(float scaled, const neuron_t *c) {
    return clamp(floorf(scaled + 0.5f), (float)c->low, (float)c->high);
}

/* Potentials of a tile at one step, from what was stored; then what is stored next. */
INLINE void integrate(const neuron_t *c, int boundaries, int subtract, int first, size_t count,
                      const float *restrict current, float *restrict v, float *restrict u) {
    const float inverse = 1.0f / c->delta;
    int exponent;
    const int exact = frexpf(c->delta, &exponent) == 0.5f; /* a power of two: a product rounds as the quotient */
    for (size_t i = 0; i < count; i++) {
        const float potential = first ? current[i] : fused_add(current[i], u[i], c->leak);
        const int fired = potential >= c->threshold;
        float r = fired ? (subtract ? potential - c->threshold : 0.0f) : potential;
        if (boundaries) r = code(exact ? r * inverse : r / c->delta, c) * c->delta;
        v[i] = potential;
        u[i] = r;
    }
}

INLINE float surrogate(int kind, float x) {
    if (kind == TRIANGLE) return fabsf(x) < 1.0f ? 1.0f - fabsf(x) : 0.0f;
    if (kind == RECTANGLE) return fabsf(x) < 0.5f ? 1.0f : 0.0f;
    if (kind == ATAN) {
        const float y = x * 3.14159265f;
        return 1.0f / (y * y + 1.0f);
    }
    const float e = power(clamp(-4.0f * x, -60.0f, 60.0f)), z = 1.0f / (1.0f + e);
    return 4.0f * (z * (1.0f - z));
}

/* The stacked surrogate of nn/recurrence.py, where q is e^(-2 (x - e)) for a boundary e. */
INLINE float stacked(float x, int boundaries, const neuron_t *c) {
    if (boundaries > 3) {
        const float p = power(clamp(-2.0f * (x - (float)c->low), -40.0f, 40.0f));
        const float q = power(clamp(-2.0f * (x - (float)c->high), -40.0f, 40.0f));
        return (q - p) / ((1.0f + p) * (1.0f + q));
    }
    /* 2 q / (1 + q)^2 at each boundary, by one division for all, which takes longest; no product overflows. */
    const float q = power(clamp(-2.0f * (x - (float)c->low), -30.0f, 17.0f)); /* for e = low */
    const float q1 = q * 2.71828183f, q2 = q * 20.0855369f, q3 = q * 148.413159f;
    const float a = 1.0f + q1, b = boundaries > 1 ? 1.0f + q2 : 1.0f, d = boundaries > 2 ? 1.0f + q3 : 1.0f;
    const float bd = b * d, one = 1.0f / (a * bd), first = bd * one;
    float sum = q1 * first * first;
    if (boundaries > 1) {
        const float second = a * d * one;
        sum = fused_add(sum, q2 * second, second);
    }
    if (boundaries > 2) {
        const float third = a * b * one;
        sum = fused_add(sum, q3 * third, third);
    }
    return 2.0f * sum;
}

/* Gradient of the current of a tile at one step into g, from those of its spikes and of what it stored, gu; gu becomes
   that of what was stored before. Returns the threshold's. */
INLINE float turn(const neuron_t *c, int boundaries, int subtract, int kind, int last, int learned,
                  size_t count, const float *restrict v, const float *restrict spikes, float *restrict gu,
                  float *restrict g) {
    const float inverse = 1.0f / c->delta;
    float threshold = 0.0f;
    for (size_t i = 0; i < count; i++) {
        const float x = v[i] - c->threshold;
        const int fired = v[i] >= c->threshold;
        float gs = spikes[i], through = 0.0f;
        if (!last) {
            float gr = gu[i];
            if (boundaries) {
                const float r = fired ? (subtract ? x : 0.0f) : v[i];
                const float scaled = learned ? r / c->delta : r * inverse; /* codes are decided as forward */
                const float slope = stacked(scaled, boundaries, c);
                if (learned) threshold += c->step * (gr * (code(scaled, c) - slope * scaled));
                gr *= slope;
            }
            gs -= gr * (subtract ? c->threshold : v[i]);
            through = subtract || !fired ? gr : 0.0f;
            if (learned && subtract && fired) threshold -= gr;
        }
        const float gv = gs * surrogate(kind, x);
        if (learned) threshold -= gv;
        g[i] = gv + through;
        gu[i] = (gv + through) * c->leak;
    }
    return threshold;
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

/* Asks for the memory of the tile that comes next in a time step: steps lie far apart in memory, and processors foresee
   no jumps. */
INLINE void fetch(const float *tile, size_t left) {
    if (left < 2 * TILE) return;
    for (size_t i = TILE; i < 2 * TILE; i += 16) __builtin_prefetch(tile + i, 0, 3);
}

/* Hands on what will have left the caches before it is read: on x86 straight to memory, which is not read first. */
static void hand_on(float *restrict to, const float *restrict x, size_t count, int past_caches) {
#if defined(__SSE2__)
    if (past_caches && ((uintptr_t)to & 15) == 0) {
        size_t i = 0;
        for (; i + 4 <= count; i += 4) _mm_stream_ps(to + i, _mm_loadu_ps(x + i));
        for (; i < count; i++) to[i] = x[i];
        return;
    }
#endif
    (void)past_caches;
    memcpy(to, x, count * sizeof *to);
}

/* Before other threads read it. */
static void handed_on(void) {
#if defined(__SSE2__)
    _mm_sfence();
#endif
}

INLINE int leaves_caches(size_t steps, size_t neurons) {
    return steps * neurons > (8u << 20) / sizeof(float);
}

static void step(const neuron_t *c, int t, size_t count, const float *current, float *v, float *u) {
#define INTEGRATE(boundaries, subtract) \
    (t ? integrate(c, boundaries, subtract, 0, count, current, v, u) \
       : integrate(c, boundaries, subtract, 1, count, current, v, u))
    CHOOSE(INTEGRATE);
}

static float back(const neuron_t *c, int last, int learned, size_t count, const float *v, const float *spikes,
                  float *gu, float *g) {
#define TURN_LAST(boundaries, subtract, kind, learned) \
    (last ? turn(c, boundaries, subtract, kind, 1, learned, count, v, spikes, gu, g) \
          : turn(c, boundaries, subtract, kind, 0, learned, count, v, spikes, gu, g))
#define TURN(boundaries, subtract) \
    do { \
        if (learned) return TURN_LAST(boundaries, subtract, c->surrogate, 1); \
        if (c->surrogate == TRIANGLE) return TURN_LAST(boundaries, subtract, TRIANGLE, 0); \
        if (c->surrogate == RECTANGLE) return TURN_LAST(boundaries, subtract, RECTANGLE, 0); \
        if (c->surrogate == ATAN) return TURN_LAST(boundaries, subtract, ATAN, 0); \
        return TURN_LAST(boundaries, subtract, SIGMOID, 0); \
    } while (0)
    CHOOSE(TURN);
    return 0.0f;
}

/* Spikes [T, M] of neurons begin .. end, of currents [T, M] or [M]. */
void neuron_forward(const neuron_t *c, size_t neurons, size_t begin, size_t end, const float *current, float *spikes) {
    const int past_caches = leaves_caches((size_t)c->steps, neurons);
    float v[TILE], u[TILE], s[TILE];
    for (size_t at = begin; at < end; at += TILE) {
        const size_t count = end - at < TILE ? end - at : TILE;
        for (int32_t t = 0; t < c->steps; t++) {
            const float *in = current + (c->still ? 0 : (size_t)t * neurons) + at;
            fetch(in, end - at);
            step(c, t, count, in, v, u);
            for (size_t i = 0; i < count; i++) s[i] = v[i] >= c->threshold ? 1.0f : 0.0f;
            hand_on(spikes + (size_t)t * neurons + at, s, count, past_caches);
        }
    }
    handed_on();
}

/* Gradients of the currents, from those of the spikes [T, M]; adds up that of the threshold where it is not null. */
int neuron_backward(const neuron_t *c, size_t neurons, size_t begin, size_t end, const float *current,
                    const float *spikes, float *gradient, double *threshold) {
    const int past_caches = leaves_caches(c->still ? 1 : (size_t)c->steps, neurons);
    float *v = malloc(sizeof(float) * TILE * (size_t)c->steps);
    float u[TILE], gu[TILE], g[TILE], sum[TILE];
    if (v == NULL) return NO_MEMORY;
    for (size_t at = begin; at < end; at += TILE) {
        const size_t count = end - at < TILE ? end - at : TILE;
        for (int32_t t = 0; t < c->steps; t++) {
            const float *in = current + (c->still ? 0 : (size_t)t * neurons) + at;
            fetch(in, end - at);
            step(c, t, count, in, v + (size_t)t * TILE, u);
        }
        for (int32_t t = c->steps; t-- > 0;) {
            const int last = t + 1 == c->steps;
            const float *pull = spikes + (size_t)t * neurons + at;
            fetch(pull, end - at);
            const float found = back(c, last, threshold != NULL, count, v + (size_t)t * TILE, pull, gu, g);
            if (threshold != NULL) *threshold += found;
            if (!c->still) hand_on(gradient + (size_t)t * neurons + at, g, count, past_caches);
            else
                for (size_t i = 0; i < count; i++) sum[i] = last ? g[i] : sum[i] + g[i];
        }
        if (c->still) hand_on(gradient + at, sum, count, past_caches);
    }
    handed_on();
    free(v);
    return 0;
}
