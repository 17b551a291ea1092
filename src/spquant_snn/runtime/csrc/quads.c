/* quads: an instruction takes four bytes of an output's inputs, and four codes of each of its lanes. Several outputs
 * of a tile share what is loaded of the codes. */
#include "quads.h"
#include "events.h"
#include "lanes.h"

#if SPQ_HAS_QUADS

#define GROUP 4 /* outputs side by side in a row */
#define QUAD_BYTES (4 * SPQ_LANES)

/* ---- bytes ---- */

static int32_t is_busy(const spq_connection *c, const uint32_t *spikes) {
    const int32_t words = c->height * c->width * spq_words(c->channels);
    int32_t count = 0;
    for (int32_t i = 0; i < words; i++) count += __builtin_popcount(spikes[i]);
    return count >= c->quads->least;
}

/* Bytes of a row of the frame, with its padding. */
static inline uint32_t pitch_of(const spq_connection *c) {
    return (uint32_t)(c->width + 2 * c->pad_width) * (uint32_t)c->channels;
}

/* 32 bits as bytes of 0 and 1. */
SPQ_INLINE __m256i bytes_of(uint32_t word) {
#if defined(__AVX512BW__) && defined(__AVX512VL__)
    return _mm256_maskz_set1_epi8(word, 1);
#else
    const __m256i bit = _mm256_set1_epi64x((int64_t)UINT64_C(0x8040201008040201));
    const __m256i byte = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
    const __m256i each = _mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32((int32_t)word), byte), bit);
    return _mm256_and_si256(_mm256_cmpeq_epi8(each, bit), _mm256_set1_epi8(1));
#endif
}

static void spread(uint32_t word, int32_t count, uint8_t *to) {
    const __m256i bytes = bytes_of(word);
    if (count >= SPQ_LANES) {
        _mm256_storeu_si256((__m256i *)(void *)to, bytes);
        return;
    }
    uint8_t part[SPQ_LANES];
    _mm256_storeu_si256((__m256i *)(void *)part, bytes);
    for (int32_t i = 0; i < count; i++) to[i] = part[i];
}

/* to[i] += from[i], which lies behind it. */
static void add_bytes(uint8_t *to, const uint8_t *from, uint32_t count) {
    uint32_t i = 0;
    for (; i + 32 <= count; i += 32) {
        const __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)(to + i));
        const __m256i b = _mm256_loadu_si256((const __m256i *)(const void *)(from + i));
        _mm256_storeu_si256((__m256i *)(void *)(to + i), _mm256_add_epi8(a, b));
    }
    for (; i < count; i++) to[i] = (uint8_t)(to[i] + from[i]);
}

/* Each byte becomes the sum of itself and of `window` - 1 further ones, `step` bytes apart. */
static void add_window(uint8_t *bytes, uint32_t count, int32_t window, uint32_t step) {
    if (window == 2) {
        add_bytes(bytes, bytes + step, count - step);
        return;
    }
    const uint32_t reach = (uint32_t)(window - 1) * step;
    for (uint32_t i = 0; i + reach < count; i++) {
        uint32_t sum = 0;
        for (int32_t k = 0; k < window; k++) sum += bytes[i + (uint32_t)k * step];
        bytes[i] = (uint8_t)sum;
    }
}

/* Spikes as bytes, or as sums of so many as the pool's window has. */
static void fill_bytes(const spq_connection *c, const uint32_t *spikes, uint8_t *frame) {
    const spq_quads *q = c->quads;
    const uint32_t pitch = pitch_of(c), size = pitch * (uint32_t)(c->height + 2 * c->pad_height);
    const int32_t words = spq_words(c->channels);
    for (uint32_t i = 0; i < size + SPQ_BEYOND; i++) frame[i] = 0;
    for (int32_t y = 0; y < c->height; y++) {
        uint8_t *to = frame + (uint32_t)(y + c->pad_height) * pitch + (uint32_t)(c->pad_width * c->channels);
        for (int32_t x = 0; x < c->width; x++, to += c->channels)
            for (int32_t k = 0; k < words; k++) spread(*spikes++, c->channels - SPQ_LANES * k, to + SPQ_LANES * k);
    }
    if (q->window == 1) return;
    add_window(frame, size, q->window, (uint32_t)q->slide_height * pitch);
    add_window(frame, size, q->window, (uint32_t)(q->slide_width * c->channels));
}

/* ---- 32 outputs of a tile, 16 without AVX-512 ---- */

#if defined(__AVX512BW__)
typedef __m512i spq_quad;
#define AT_ONCE 2 /* groups */
#define VECTOR(operation) _mm512_##operation
#define ZERO _mm512_setzero_si512()
#define LOAD(from) _mm512_loadu_si512(from)
#else
typedef __m256i spq_quad;
#define AT_ONCE 1
#define VECTOR(operation) _mm256_##operation
#define ZERO _mm256_setzero_si256()
#define LOAD(from) _mm256_loadu_si256((const __m256i *)(const void *)(from))
#endif
#define WIDTH ((int32_t)sizeof(spq_quad) >> 2) /* outputs of a vector */

/* sum += four products, in 32 bits; or in two halves of 16, of `limit` of which none leaves its half. */
#if defined(__AVX512VNNI__)
#define ROOMY 1
#define TAKE(sum, bytes, codes) _mm512_dpbusd_epi32(sum, bytes, codes)
#elif !defined(__AVX512BW__) && defined(__AVXVNNI__)
#define ROOMY 1
#define TAKE(sum, bytes, codes) _mm256_dpbusd_avx_epi32(sum, bytes, codes)
#else
#define ROOMY 0
#define TAKE(sum, bytes, codes) VECTOR(add_epi16)(sum, VECTOR(maddubs_epi16)(bytes, codes))
#endif

/* Four bytes, as they lie in memory. */
SPQ_INLINE int32_t four(const uint8_t *bytes) {
    const uint32_t low = (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8;
    return (int32_t)(low | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24);
}

/* Where a group of outputs looks, and where their sums lie. */
typedef struct {
    const uint8_t *from;
    uint8_t *to;
} spq_group;

SPQ_INLINE void keep(int32_t wide, spq_quad sum, void *to) {
#if defined(__AVX512BW__)
    if (wide) _mm512_storeu_si512(to, sum);
    else _mm256_storeu_si256((__m256i *)to, _mm512_cvtsepi32_epi16(sum));
#else
    if (wide) {
        _mm256_storeu_si256((__m256i *)to, sum);
    } else {
        const __m256i both = _mm256_permute4x64_epi64(_mm256_packs_epi32(sum, sum), 0xD8);
        _mm_storeu_si128((__m128i *)to, _mm256_castsi256_si128(both));
    }
#endif
}

/* Two vectors of outputs, from `lane` on, of `groups` times `each` pixels. */
SPQ_INLINE void multiply(const spq_connection *c, const int8_t *codes, const spq_group *group, const int32_t groups,
                         const int32_t each) {
    const spq_quads *q = c->quads;
    const uint32_t pitch = pitch_of(c);
    const int64_t step = (int64_t)c->step_width * c->channels;
    const int32_t limit = ROOMY ? q->count : q->limit;
    spq_quad sums[AT_ONCE * GROUP][2];
    const uint8_t *from[AT_ONCE];
    for (int32_t g = 0; g < groups; g++) from[g] = group[g].from + (each > 1 ? step : 0); /* the second of a group */
    SPQ_UNROLL(8)
    for (int32_t i = 0; i < groups * each; i++) sums[i][0] = sums[i][1] = ZERO;
    for (int32_t ky = 0; ky < q->kernel_height; ky++) {
        for (int32_t k = 0; k < q->count;) {
            const int32_t end = q->count - k > limit ? k + limit : q->count;
#if !ROOMY
            spq_quad wider[AT_ONCE * GROUP][2];
            SPQ_UNROLL(8)
            for (int32_t i = 0; i < groups * each; i++) {
                wider[i][0] = sums[i][0], wider[i][1] = sums[i][1];
                sums[i][0] = sums[i][1] = ZERO;
            }
#endif
            for (; k < end; k++, codes += QUAD_BYTES) {
                const spq_quad low = LOAD(codes), high = LOAD(codes + sizeof(spq_quad));
                SPQ_UNROLL(8)
                for (int32_t i = 0; i < groups * each; i++) {
                    const uint8_t *pixel = from[each > 1 ? i >> 2 : i] + (each > 1 ? ((i & 3) - 1) * step : 0);
                    const spq_quad bytes = VECTOR(set1_epi32)(four(pixel + 4 * k));
                    sums[i][0] = TAKE(sums[i][0], bytes, low);
                    sums[i][1] = TAKE(sums[i][1], bytes, high);
                }
            }
#if !ROOMY
            const spq_quad ones = VECTOR(set1_epi16)(1);
            SPQ_UNROLL(8)
            for (int32_t i = 0; i < groups * each; i++) {
                sums[i][0] = VECTOR(add_epi32)(wider[i][0], VECTOR(madd_epi16)(sums[i][0], ones));
                sums[i][1] = VECTOR(add_epi32)(wider[i][1], VECTOR(madd_epi16)(sums[i][1], ones));
            }
#endif
        }
        for (int32_t g = 0; g < groups; g++) from[g] += pitch;
    }
    const int32_t size = q->wide ? 4 : 2, pixel = size * c->units * SPQ_UNIT;
    SPQ_UNROLL(8)
    for (int32_t i = 0; i < groups * each; i++) {
        uint8_t *to = group[each > 1 ? i >> 2 : i].to + (each > 1 ? i & 3 : 0) * pixel;
        keep(q->wide, sums[i][0], to);
        keep(q->wide, sums[i][1], to + size * WIDTH);
    }
}

/* Each a function of its own, whose sums stay in registers. */
SPQ_CALLED void several(const spq_connection *c, const int8_t *codes, const spq_group *group) {
    multiply(c, codes, group, AT_ONCE, GROUP);
}
SPQ_CALLED void one_group(const spq_connection *c, const int8_t *codes, const spq_group *group) {
    multiply(c, codes, group, 1, GROUP);
}
SPQ_CALLED void several_apart(const spq_connection *c, const int8_t *codes, const spq_group *group) {
    multiply(c, codes, group, AT_ONCE, 1);
}
SPQ_CALLED void one_apart(const spq_connection *c, const int8_t *codes, const spq_group *group) {
    multiply(c, codes, group, 1, 1);
}

/* Two vectors of outputs, from `lane` of a tile on, at all places of a layer. */
static void multiply_all(const spq_connection *c, const uint8_t *frame, const int8_t *codes, uint8_t *sums) {
    const int32_t each = c->out_width < GROUP ? 1 : GROUP, last = c->out_width - each;
    const uint32_t row = (uint32_t)c->step_height * pitch_of(c), step = (uint32_t)(c->step_width * c->channels);
    const int64_t pixel = (c->quads->wide ? 4 : 2) * c->units * SPQ_UNIT;
    spq_group group[AT_ONCE];
    int32_t n = 0;
    for (int32_t y = 0; y < c->out_height; y++, frame += row, sums += c->out_width * pixel)
        for (int32_t x = 0; x < c->out_width; x += each) {
            const int32_t first = x < last ? x : last; /* the last group of a row begins early enough */
            group[n].from = frame + (uint32_t)first * step;
            group[n].to = sums + first * pixel;
            if (++n < AT_ONCE) continue;
            if (each == 1) several_apart(c, codes, group);
            else several(c, codes, group);
            n = 0;
        }
    if (n && each == 1) one_apart(c, codes, group);
    else if (n) one_group(c, codes, group);
}

/* All sums of a layer, int16 or int32, [out_height][out_width][16 * units]. */
static void take_sums(const spq_connection *c, const uint8_t *frame, uint8_t *sums) {
    const spq_quads *q = c->quads;
    const int64_t tile_bytes = (int64_t)q->kernel_height * q->count * QUAD_BYTES;
    for (int32_t tile = 0; tile < c->tiles; tile++)
        for (int32_t lane = 0; lane < SPQ_LANES; lane += 2 * WIDTH) {
            uint8_t *to = sums + (int64_t)(q->wide ? 4 : 2) * (tile * SPQ_LANES + lane);
            multiply_all(c, frame, q->codes + tile * tile_bytes + 4 * lane, to);
        }
}

int32_t spq_run_quads(const spq_turn *turn, const spq_connection *c, const uint32_t *spikes) {
    if (!c->quads || !is_busy(c, spikes)) return 0;
    const spq_scratch *scratch = &turn->network->scratch;
    const spq_neuron *neuron = turn->network->layers[turn->index].neuron;
    uint8_t *frame = (uint8_t *)at(turn->arena, scratch->frame), *sums = (uint8_t *)at(turn->arena, scratch->sums);
    fill_bytes(c, spikes, frame);
    take_sums(c, frame, sums);
    for (int32_t row = 0; row < c->out_height; row++) {
        spq_neuron_row neurons = neurons_of(turn, turn->first, row);
        neurons.marks = 0; /* all sums are there */
        if (c->quads->wide) spq_fire_wide(neuron, (const int32_t *)(const void *)sums, &neurons);
        else spq_fire_narrow(neuron, (const int16_t *)(const void *)sums, &neurons);
        if (turn->trace) trace_row(turn, turn->first, row, &neurons);
        sums += (c->quads->wide ? 4 : 2) * c->out_width * c->units * SPQ_UNIT;
    }
    return 1;
}

#endif
