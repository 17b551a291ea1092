/* The recurrence of nn/recurrence.py in one pass over memory forward and one backward, for float32 currents, from a
   zero state. The potentials are not kept for the backward pass: it computes them again, a tile at a time. */

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

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
    p = p * f + 1.3333558e-3f;
    p = p * f + 9.6181291e-3f;
    p = p * f + 5.5504109e-2f;
    p = p * f + 2.4022651e-1f;
    p = p * f + 6.9314718e-1f;
    p = p * f + 1.0f;
    union {
        int32_t bits;
        float value;
    } scale;
    scale.bits = ((int32_t)n + 127) * (1 << 23);
    return p * scale.value;
}

/* What is stored of a residual, in units of delta. */
INLINE float code(float scaled, const neuron_t *c) {
    return clamp(floorf(scaled + 0.5f), (float)c->low, (float)c->high);
}

/* Potentials of a tile at one step, from what was stored; then what is stored next. */
INLINE void integrate(const neuron_t *c, int boundaries, int subtract, int first, size_t count,
                      const float *restrict current, float *restrict v, float *restrict u) {
    for (size_t i = 0; i < count; i++) {
        const float potential = first ? current[i] : fused_add(current[i], u[i], c->leak);
        const int fired = potential >= c->threshold;
        float r = fired ? (subtract ? potential - c->threshold : 0.0f) : potential;
        if (boundaries) r = code(r / c->delta, c) * c->delta;
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

INLINE float bump(float q) { /* 2 z (1 - z) for z = 1 / (1 + q) */
    const float one = 1.0f / (1.0f + q);
    return 2.0f * q * one * one;
}

/* The stacked surrogate of nn/recurrence.py; q is e^(-2 (x - e)) for a boundary e. */
INLINE float stacked(float x, int boundaries, const neuron_t *c) {
    if (boundaries > 3)
        return 1.0f / (1.0f + power(clamp(-2.0f * (x - (float)c->low), -60.0f, 60.0f))) -
               1.0f / (1.0f + power(clamp(-2.0f * (x - (float)c->high), -60.0f, 60.0f)));
    const float q = power(clamp(-2.0f * (x - (float)c->low), -30.0f, 30.0f)); /* for e = low */
    float slope = bump(q * 2.71828183f);
    if (boundaries > 1) slope += bump(q * 20.0855369f);
    if (boundaries > 2) slope += bump(q * 148.413159f);
    return slope;
}

/* Gradient of the current of a tile at one step into g, from those of its spikes and of what it stored, gu; gu becomes
   that of what was stored before. Returns the threshold's. */
INLINE float turn(const neuron_t *c, int boundaries, int subtract, int kind, int last, int learned,
                  size_t count, const float *restrict v, const float *restrict spikes, float *restrict gu,
                  float *restrict g) {
    float threshold = 0.0f;
    for (size_t i = 0; i < count; i++) {
        const float x = v[i] - c->threshold;
        const int fired = v[i] >= c->threshold;
        float gs = spikes[i], through = 0.0f;
        if (!last) {
            float gr = gu[i];
            if (boundaries) {
                const float scaled = (fired ? (subtract ? x : 0.0f) : v[i]) / c->delta;
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
    float v[TILE], u[TILE];
    for (size_t at = begin; at < end; at += TILE) {
        const size_t count = end - at < TILE ? end - at : TILE;
        for (int32_t t = 0; t < c->steps; t++) {
            float *out = spikes + (size_t)t * neurons + at;
            step(c, t, count, current + (c->still ? 0 : (size_t)t * neurons) + at, v, u);
            for (size_t i = 0; i < count; i++) out[i] = v[i] >= c->threshold ? 1.0f : 0.0f;
        }
    }
}

/* Gradients of the currents, from those of the spikes [T, M]; adds up that of the threshold where it is not null. */
int neuron_backward(const neuron_t *c, size_t neurons, size_t begin, size_t end, const float *current,
                    const float *spikes, float *gradient, double *threshold) {
    float *v = malloc(sizeof(float) * TILE * (size_t)c->steps);
    float u[TILE], gu[TILE], g[TILE];
    if (v == NULL) return NO_MEMORY;
    for (size_t at = begin; at < end; at += TILE) {
        const size_t count = end - at < TILE ? end - at : TILE;
        for (int32_t t = 0; t < c->steps; t++)
            step(c, t, count, current + (c->still ? 0 : (size_t)t * neurons) + at, v + (size_t)t * TILE, u);
        for (int32_t t = c->steps; t-- > 0;) {
            const int last = t + 1 == c->steps;
            float *out = gradient + (c->still ? 0 : (size_t)t * neurons) + at;
            const float found = back(c, last, threshold != NULL, count, v + (size_t)t * TILE,
                                     spikes + (size_t)t * neurons + at, gu, c->still && !last ? g : out);
            if (threshold != NULL) *threshold += found;
            if (c->still && !last)
                for (size_t i = 0; i < count; i++) out[i] += g[i];
        }
    }
    free(v);
    return 0;
}
