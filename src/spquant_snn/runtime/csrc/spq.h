/* spq: integer spiking networks, run by their spikes.
 *
 * A network is plain data (spq_network and what it points to, never written here) and one block of memory, the arena,
 * laid out beforehand by whoever made the data. Nothing else is touched: no heap, no library, no floating point, no
 * division, no recursion.
 *
 * Spikes are bitmaps [height][width][ceil(channels / 32)], channels last, channel c in bit c % 32 of word c / 32.
 * Sums and neurons are computed in tiles of 32 output channels; every array per channel is padded to whole tiles.
 * Stored codes are counted from the lowest. Up to 4 bits wide they lie as spikes do, one word a tile for each bit, the
 * lowest first; wider ones take a byte each.
 */
#ifndef SPQ_H
#define SPQ_H

#include <stdint.h>

#define SPQ_LAYOUT 1u /* raised whenever a struct of this file changes */
#define SPQ_LANES 32

enum { SPQ_OK = 0, SPQ_BAD_LAYOUT, SPQ_BAD_SHAPE, SPQ_BAD_ARENA, SPQ_BAD_STEPS };

/* How a connection adds up its events, chosen beforehand by proven bounds. */
enum {
    SPQ_ADD8 = 0, /* int8 codes in int8 lanes, emptied into int16 after `limit` events; every sum fits int16 */
    SPQ_ADD16,    /* int16 codes in int16 lanes, emptied into int32 after `limit` events */
    SPQ_MULTIPLY, /* int16 codes times the input's value, in int32 lanes */
    SPQ_GROUPED   /* the same, each input channel reaching the outputs of its group only */
};

/* A part of the arena, in bytes from its start. */
typedef struct {
    uint32_t offset, size;
} spq_region;

/* Windows over the input; height and width are those of the result. */
typedef struct {
    int32_t largest; /* 1: the maximum of a window, 0: its sum */
    int32_t kernel, stride, height, width;
} spq_pool;

/* Synapses. A full connection is a convolution whose kernel covers its input. */
typedef struct {
    int32_t source_height, source_width, channels; /* what comes in */
    int32_t pool_count;
    const spq_pool *pools;
    int32_t height, width; /* behind the pools */
    int32_t kernel_height, kernel_width, pad_height, pad_width;
    int32_t step_height, step_width;           /* from one output to the next */
    int32_t window, slide_height, slide_width; /* a sum-pool of window x window sums, slide apart; 1 where folded */
    int32_t out_height, out_width, outputs, tiles;
    int32_t form, limit;
    int32_t row;                 /* codes of one input: 32 * tiles, or the outputs of a group */
    const int8_t *codes8;        /* [kernel_height][kernel_width][channels][row], for SPQ_ADD8 */
    const int16_t *codes16;      /* the same, for the other forms */
    const uint32_t *group_start; /* [channels] first output that a channel reaches, for SPQ_GROUPED */
} spq_connection;

/* Constants of quant/fold.py, channels padded to whole tiles; padding never fires. */
typedef struct {
    int32_t bits; /* of a stored code: 2, 3, 4 or 8 */
    int32_t low, high, levels;
    int32_t fraction, subtract, scaled;
    const int32_t *fire, *drop; /* [C] */
    const int32_t *decay;       /* [levels][C], or [C] where scaled */
    const int32_t *edges;       /* [levels - 1][C], not where scaled */
    const int32_t *gain;        /* [C], where scaled */
    const int64_t *offset;      /* [C], where scaled */
    int32_t decay_shift, shift;
} spq_neuron;

typedef struct {
    spq_connection connection;
    const spq_neuron *neuron; /* none for the readout */
    spq_region state;         /* stored codes [out_height][out_width][tiles][bits words] */
    spq_region spikes;        /* bitmaps of one step, of the first layer: of all steps of a still image */
} spq_layer;

/* Memory that every connection uses in turn. */
typedef struct {
    spq_region pooled[2]; /* input behind a pool, and behind the next */
    spq_region starts;    /* uint32 [rows][width + 1] where the events of a pixel start */
    spq_region events;    /* uint32 [rows][width * channels] */
    spq_region values;    /* int32, the same: what each event weighs, for SPQ_MULTIPLY and SPQ_GROUPED */
    spq_region lines;     /* spq_line [window * kernel_height] */
    spq_region runs;      /* spq_run [window * window * kernel_height] */
    spq_region sums;      /* int32 [outputs, padded] */
} spq_scratch;

typedef struct {
    uint32_t layout;
    int32_t timesteps; /* of a still image */
    int32_t layer_count;
    const spq_layer *layers; /* the readout is the last */
    int32_t fraction;        /* of the logits */
    const int32_t *bias;     /* [classes] */
    spq_region logits;       /* int32 [classes, padded] */
    spq_scratch scratch;
    uint32_t arena_size;
} spq_network;

/* Where every spike and code is written as it is computed: per layer of neurons, [step][pixel][tile]; either may be
 * absent. */
typedef struct {
    uint32_t *const *spikes; /* words */
    int8_t *const *codes;    /* 32 to a tile */
} spq_trace;

/* One of the codes above: whether the arena is as large, and its parts lie as, this network needs them. */
int32_t spq_check(const spq_network *network, uint32_t layout, uint32_t arena_size);

/* Forget what was seen: potentials and logits at zero. */
void spq_reset(const spq_network *network, void *arena);

/* One step with a frame of pixels [channels][height][width]. Logits so far, int32 [classes], lie in the arena; `step`
 * counts from zero and only says where a trace is written. */
const int32_t *spq_step(const spq_network *network, void *arena, const uint8_t *frame, const spq_trace *trace,
                        int64_t step);

/* All steps of a still image, from a fresh start; its first sums are computed once. */
const int32_t *spq_image(const spq_network *network, void *arena, const uint8_t *image, const spq_trace *trace);

/* Frame t of image n lies at images + t * frame_pitch + n * image_pitch; steps of 0: still images. Writes int32 logits
 * [count][classes] and traces as if image n followed on the steps of image n - 1. */
int32_t spq_batch(const spq_network *network, void *arena, uint32_t arena_size, const uint8_t *images, int64_t count,
                  int32_t steps, int64_t frame_pitch, int64_t image_pitch, int32_t *logits, const spq_trace *trace);

#endif
