/* spq: integer spiking networks, run by their spikes.
 *
 * A network is plain data (spq_network and what it points to, never written here) and one block of memory, the arena,
 * laid out beforehand by whoever made the data. Nothing else is touched: no heap, no library, no floating point, no
 * division, no recursion.
 *
 * Spikes are bitmaps [height][width][ceil(channels / 32)], channels last, channel c in bit c % 32 of word c / 32.
 * Sums and neurons are computed in tiles of 32 output channels, of which the last may be half a tile; every array per
 * channel is padded to whole tiles.
 * Stored codes are counted from the lowest. Up to 4 bits wide they lie as spikes do, one bitmap for each bit, the
 * lowest first; wider ones take a byte each.
 *
 * The files, each of which includes and calls those above it alone (`sums` stands for sums.h and sums.c):
 *
 *     spq_config, spq, compilers       what there is, what can be called, what compilers are told
 *     lanes_avx512, lanes_avx2, lanes_neon, lanes, lanes_plain     numbers of 16 bits side by side
 *     scaled                           a product of 64 bits
 *     events                           pools, lists of the inputs that are not zero, and which of them an output meets
 *     neuron_single, neuron, narrow    a time step of neurons, one by one, in lanes of 32 bits, in lanes of 16
 *     packed_mve, packed_words, packed_simd32, packed_plain, packed_lanes, packed     codes in fields of words
 *     sums                             codes of the inputs that spiked, added up
 *     shortcut                         what the spikes of an earlier layer add
 *     blocks                           neurons that need no sums
 *     dense                            pixels times codes
 *     windows, current                 pools of any rectangle, synaptic currents
 *     term_rows, terms                 sums of any terms
 *     sliced, columns, planes          codes and neurons in bit slices
 *     check_common, check_parts, check_terms, check     whether a network can be run
 *     turn, quads, sliced_layer, general      a layer at work, one of spikes as bytes, one in slices, one of terms
 *     run, until                       the layers of a network; images, each until it is decided
 *
 * An export has those that a device needs.
 */
#ifndef SPQ_H
#define SPQ_H

#include "spq_config.h"

/* Words are read and written in parts, the lowest first. */
#if (defined(__BYTE_ORDER__) && defined(__ORDER_LITTLE_ENDIAN__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__) || \
    defined(__BIG_ENDIAN__) || defined(__BIG_ENDIAN) || defined(__ARMEB__)
#error "spq runs on little-endian processors alone: on this one the logits would be wrong"
#endif

#define SPQ_LANES 32 /* of a tile */
#define SPQ_UNIT 16  /* outputs, by which rows of sums are padded */

enum { SPQ_OK = 0, SPQ_BAD_SHAPE, SPQ_BAD_ARENA, SPQ_BAD_STEPS, SPQ_BAD_BODY };

#if SPQ_HOST && !defined(SPQ_PORTABLE)
#define SPQ_VECTORS 1 /* of hosts; an export has none of the files that take them */
#else
#define SPQ_VECTORS 0
#endif

/* Which of the faster bodies this build has; the portable one is always there. */
enum { SPQ_PORTABLE_BODY = 0, SPQ_NEON, SPQ_AVX2, SPQ_AVX512, SPQ_AVX512_SLICED };

/* How a connection adds up its events, chosen beforehand by proven bounds. */
enum {
    SPQ_ADD8 = 0, /* int8 codes in int8 lanes, emptied into int16 after `limit` events; every sum fits int16 */
    SPQ_ADD16,    /* int16 codes in int16 lanes, emptied into int32 after `limit` events */
    SPQ_MULTIPLY, /* int16 codes times the input's value, in int32 lanes */
    SPQ_GROUPED,  /* the same, each input channel reaching the outputs of its group only */
    SPQ_DENSE,    /* pixels two by two times int16 codes two by two, zeros too */
    SPQ_SLICED,   /* bits of codes in counters that are bit planes too; in SPQ_AVX512_SLICED only */
    SPQ_PACKED,   /* codes in fields of words, for small devices */
    SPQ_MULTIPLY16, /* as SPQ_MULTIPLY, in int16 lanes, which every sum fits */
    SPQ_IDENTITY, /* each channel to the same one, place by place; of shortcuts and terms only */
    SPQ_TERMS_SUMMED, /* the sums are those of terms; of layers only */
    SPQ_PRODUCTS /* as SPQ_MULTIPLY, of codes at their bits: fields of words, the lowest first, outputs in order */
};

/* What a window does, and what is said of what was integrated over time. */
enum { SPQ_SUM = 0, SPQ_LARGEST, SPQ_REPEAT };
enum { SPQ_LAST = 0, SPQ_GREATEST, SPQ_TOTAL };

/* Whether a connection has a form, which a network that does not use it need not ask. */
#define SPQ_IS(c, f) ((SPQ_FORMS >> (f) & 1u) && (c)->form == (f))

/* A part of the arena, in bytes from its start. */
typedef struct {
    uint32_t offset, size;
} spq_region;

/* Windows over the input; height and width are those of the result. */
typedef struct {
    int32_t largest; /* 1: the maximum of a window, 0: its sum */
    int32_t kernel, stride, height, width;
} spq_pool;

/* Codes in bit slices. The outputs of `slots` neighbouring pixels that an input reaches lie side by side in a register
 * of 16 words: [slot][part][block], where part p holds bit p of the raised codes (p + spread for the next register). */
typedef struct {
    int32_t slots, spread; /* outputs that an input column reaches, bits of a code in one register */
    int32_t vectors;       /* registers of an event, 1, 2 or 4; each next weighs 2^spread times the last */
    int32_t passes;        /* over the events; each next weighs 2^(spread * vectors) times the last */
    int32_t block, blocks; /* tiles at a time, and how many times */
    int32_t stride;        /* columns from one output to the next */
    int32_t lift;          /* what is added to every code so that none is below zero */
    int32_t largest;       /* code without its sign */
    int32_t planes;        /* most bits that a counter needs */
    /* [blocks][passes][kernel_height * stride * channels + 1][vectors][16]; the last row of each is zeros */
    const uint32_t *rows;
    const int32_t *totals; /* [tiles * 32] of all codes of an output */
} spq_slices;

/* Codes four by four, where spikes are bytes: another form of a connection of spikes, for steps in which many spike.
 * Its kernel is the one that a sum-pool was not folded into. */
typedef struct {
    int32_t least; /* spikes from which on it is taken */
    int32_t window, slide_height, slide_width; /* of the sum-pool; 1 where there is none */
    int32_t kernel_height, kernel_width;
    int32_t count; /* groups of four of a row under the kernel */
    int32_t limit; /* of them, whose products in pairs a sum of 16 bits holds */
    int32_t wide; /* sums are int32; else int16, in which sums beyond saturate */
    const int8_t *codes; /* [tiles][kernel_height][count][32][4] */
} spq_quads;

/* Codes in fields of words, outputs in units of 16, and neurons of up to four codes and a reset to zero. */
typedef struct {
    int32_t bits;  /* of a field: 2, 4 or 8 for spikes, 16 for values, by which codes are multiplied */
    int32_t units; /* of 16 outputs */
    int32_t grain; /* bytes in which the row of an input is counted: 4, or 1 where so few outputs have fields of 2 bits
                      that the next row starts within the word; what is added of that one, no readout looks at */
    int32_t lift;  /* what is added to every code so that none is below zero; 0 for fields of 16 bits */
    int32_t few;   /* events that lanes of 4 bits hold, for fields of 2 */
    int32_t many;  /* events that lanes of 8 bits hold, for fields of 2 and 4 */
    int32_t lanes; /* bits, 8 or 16, of lanes that decide as int32 does; 0: no neurons here, sums are int32 */
    int32_t levels, fraction;
    int32_t pitch;             /* words of a unit's constants */
    const uint32_t *words;     /* [kernel_height][kernel_width][channels][row], as the connection says */
    const uint32_t *constants; /* [units][2 * levels - 1][lanes / 2], as packed_lanes.h says */
} spq_packed;

/* Synapses. A linear layer is a convolution whose kernel covers its input. */
typedef struct {
    int32_t source_height, source_width, channels; /* what comes in */
    int32_t pool_count;
    const spq_pool *pools;
    int32_t height, width; /* behind the pools */
    int32_t kernel_height, kernel_width, pad_height, pad_width;
    int32_t step_height, step_width;           /* from one output to the next */
    int32_t window, slide_height, slide_width; /* a sum-pool of window x window sums, slide apart; 1 where folded */
    int32_t out_height, out_width, outputs, tiles;
    int32_t units;               /* of 16 outputs, that sums are padded to */
    int32_t form, limit;
    int32_t wide;                /* a row of sums is int32; else int16, in which sums beyond saturate */
    int32_t row; /* codes of one input: 16 * units, outputs of a group, or packed, what `grain` counts */
    const int8_t *codes8;        /* [kernel_height][kernel_width][channels][row], for SPQ_ADD8 */
    const int16_t *codes16;      /* the same for the other forms; for SPQ_DENSE [kernel_height][pairs][row][2], for
                                    SPQ_IDENTITY [tiles * 32] */
    const uint32_t *group_start; /* [channels] first output that a channel reaches, for SPQ_GROUPED */
    const spq_slices *slices;    /* for SPQ_SLICED */
    const spq_quads *quads;      /* beside SPQ_SLICED, SPQ_ADD8 and SPQ_ADD16; none: lists are always taken */
    const spq_packed *packed;    /* for SPQ_PACKED and SPQ_PRODUCTS */
} spq_connection;

/* Constants of integer/neuron.py, channels padded to whole tiles; padding never fires. */
typedef struct {
    int32_t bits; /* of a stored code: 2, 3, 4 or 8 */
    int32_t low, high, levels;
    int32_t fraction, subtract, scaled;
    const int32_t *fire;             /* [C] */
    const spq_constant *drop;        /* [C] */
    const spq_constant *decay;       /* [levels][C], or [C] where scaled */
    const spq_constant *edges;       /* [levels - 1][C], not where scaled */
    const int32_t *gain;             /* [C], where scaled */
    const int64_t *offset;           /* [C], where scaled */
    int32_t decay_shift, shift;
    const int16_t *narrow; /* [2 * levels + 1][C] fire, drop, decay, edges in order: where int16 lanes decide alike */
    const uint32_t *planes; /* [plane_count][plane_rows][tiles + 16] bits of decay 0..3, of ~fire, ~edges 0..2, of the
                               sum of all codes, and of what a shortcut's spike adds if it is an identity, each tile
                               again after the last: where neurons are computed in bit slices */
    int32_t plane_count, plane_rows; /* bits that hold any potential; 9, or 10 with a shortcut */
    int32_t plane_decay, plane_edge; /* the largest decay, with what a spike adds, and edge, without their signs */
} spq_neuron;

/* Blocks of neurons, the 32 channels of a tile at one pixel, whose sums are not needed in every step. */
typedef struct {
    int32_t channels;
    /* [tiles] a block is left as it is where count * active inputs + code * sum of its codes < least; none: never */
    const int32_t *count, *code, *least;
    const int32_t *silent; /* [tiles] inputs that are not zero up to which none of them matters; none: not looked at */
    const uint32_t *rest; /* [tiles][levels][bits + 1] bits of the next code, and spikes, of each code without input */
} spq_blocks;

/* What the spikes of an earlier layer add to the sums: its own, shifted to the left. */
typedef struct {
    int32_t source, shift;
    spq_connection connection; /* as wide as the one that it adds to, and without pools */
} spq_shortcut;

/* Windows of any rectangle over a map: their sums or largest values, or every value repeated `kernel` times. What lies
 * beside the map adds nothing and is never the largest. */
typedef struct {
    int32_t kind; /* SPQ_SUM, SPQ_LARGEST or SPQ_REPEAT */
    int32_t kernel_height, kernel_width, step_height, step_width, dilation_height, dilation_width;
    int32_t pad_height, pad_width; /* above, and to the left */
    int32_t height, width;         /* of the result */
} spq_window;

/* A term: sums += (term's sums * multiplier) >> shift. Sources are numbered, the inputs first. */
typedef struct {
    int32_t source;
    spq_region past; /* where its source of the step before lies; empty: it is taken in this step */
    int32_t pool_count;
    const spq_window *pools;   /* on what comes in */
    spq_connection connection; /* of what is behind them; it has no pools of its own, and its sums are wide */
    int32_t dilation_height, dilation_width, spread_height, spread_width;
    int32_t rows;               /* of its input that are listed at once: all where dilation or spread is not 1 */
    const spq_window *sum_pool; /* none: the sums are not pooled */
    const int32_t *multiplier;  /* [units * 16]; none: 1 */
    int32_t shift;
} spq_term;

/* What a layer or a readout sums. All sums of a layer are added up before its neurons are computed. */
typedef struct {
    int32_t count;
    const spq_term *terms;
    spq_region still;           /* int32, as the map: sums of the terms that take inputs in their step; or empty */
    const spq_window *gate;     /* where the inputs lie that a gate counts, of the first term; none: no gate */
    const spq_neuron *current;  /* constants of synaptic currents, which never fire; none: there are none */
    spq_region current_state;   /* uint8 [out_height][out_width][tiles * 32] codes of the currents */
} spq_terms;

typedef struct {
    spq_connection connection;    /* of terms: what the sums are, and no more */
    const spq_neuron *neuron;     /* none for the readout */
    const spq_blocks *blocks;     /* none: all are computed */
    const spq_shortcut *shortcut; /* none: the sums are those of the connection */
    const spq_terms *terms;       /* for SPQ_TERMS_SUMMED */
    spq_region state;         /* stored codes: bitmaps [bits][out_height][out_width][tiles], or bytes */
    spq_region spikes;        /* bitmaps [steps][out_height][out_width][tiles] */
} spq_layer;

/* Memory that every connection uses in turn. */
typedef struct {
    spq_region pooled[2]; /* input behind a pool, and behind the next */
    spq_region starts;    /* uint32 [rows + 1][width + 1] where the events of a pixel start; last, their sums */
    spq_region events;    /* spq_event [rows][width * channels] */
    spq_region values;    /* int32, the same: what each event weighs, for SPQ_MULTIPLY, 16 and SPQ_GROUPED */
    spq_region lines;     /* spq_line [window * kernel_height] */
    spq_region runs;      /* spq_run [window * window * kernel_height] */
    spq_region sums;      /* int16 or int32 [out_width][16 * units]; of quads, [out_height] times that */
    spq_region frame;     /* int16 [padded height][padded width * channels, and more], for SPQ_DENSE; bytes for quads */
    spq_region columns;   /* uint16 [groups][padded height * stride * channels + 64], for SPQ_SLICED */
    spq_region heads;     /* uint32 [padded height + 1][groups] where the events of a row start there */
    spq_region shifts;    /* int32 [out_width][tiles], and 16 */
    spq_region beside_starts, beside_events, beside_values, beside_sums; /* the same, of a shortcut */
    spq_region marks;     /* uint8 [out_width][tiles] */
    spq_region planes;    /* [passes][planes][out_width][spread][tiles], and 64 words more each */
    spq_region open;      /* uint32 [6][rows at once * out_width * tiles + 16], for SPQ_SLICED behind a gate */
} spq_scratch;

/* What comes in, [channels][height][width] of bytes, at an offset in every frame. */
typedef struct {
    int32_t offset, signs; /* signs: int8, not uint8 */
    int32_t channels, height, width;
} spq_input;

/* A source, and where it is kept for the next step. */
typedef struct {
    int32_t source;
    spq_region region;
} spq_past;

/* z = (sums << fraction) + bias; m = ((m * leak + half) >> leak_shift) + z; the answer is m at the last step, its
 * largest value or its sum. */
typedef struct {
    spq_terms terms;
    spq_connection connection; /* what the sums are */
    int32_t fraction;
    const int32_t *bias; /* [units * 16] */
    const int32_t *leak; /* [units * 16]; none: one */
    int32_t leak_shift, over_time;
    int32_t answer;        /* where its answers start among all */
    spq_region integrator; /* int32 [out_height][out_width][outputs] */
} spq_readout;

/* What a network has that is no row of layers, of one input and one readout that sums all steps. */
typedef struct {
    int32_t input_count;
    const spq_input *inputs;
    int32_t past_count;
    const spq_past *pasts; /* where there are some, a layer takes one step at a time */
    int32_t readout_count;
    const spq_readout *readouts;
    int32_t answers;      /* of all readouts, [height][width][outputs] each */
    int32_t each_step;    /* answers are wanted of every step */
    spq_region map;       /* int32 [out_height][out_width][units * 16] sums of a layer */
    spq_region part;      /* the same of a term before they are pooled */
    spq_region values[2]; /* input behind a window, and behind the next: bitmaps, or int32 [height][width][channels] */
    spq_region active;    /* int32 [out_height][out_width] inputs that a gate counts; [height][width] at each place */
} spq_general;

typedef struct {
    int32_t timesteps;   /* of a still image */
    int32_t steps;       /* that a layer takes before the next one does */
    int32_t shared;      /* all states lie in one place: `timesteps` do not exceed `steps` */
    int32_t layer_count;
    const spq_layer *layers; /* the readout is the last, unless there are general ones */
    int32_t fraction;        /* of the logits */
    const int32_t *bias;     /* [classes] */
    spq_region logits;       /* int32 [classes, padded], or the answers of general readouts */
    spq_scratch scratch;
    const spq_general *general; /* none: a row of layers */
    uint32_t arena_size;
} spq_network;

/* Where every spike and code is written as it is computed: per layer of neurons, [step][pixel][tile]; where neurons
 * have currents, codes [step][2][pixel][tile] of potentials and of currents. Either may be absent. `seen` may be too;
 * it is called when a layer has taken its steps, while its spikes and codes are there. */
typedef struct {
    uint32_t *const *spikes; /* words */
    int8_t *const *codes;    /* 32 to a tile */
    void (*seen)(void *context, int32_t layer, int32_t steps);
    void *context;
} spq_trace;

int32_t spq_body(void); /* the fastest of this build */

/* A code as above: whether the arena is as large, and its parts lie as, this network needs them. */
int32_t spq_check(const spq_network *network, uint32_t arena_size);

/* Forget what was seen: potentials and logits at zero. */
void spq_reset(const spq_network *network, void *arena);

/* One step with a frame of pixels [channels][height][width], of all inputs one behind the other, in a network whose
 * states are not shared. Logits so far, int32 [classes], or the answers of all readouts, lie in the arena; `step`
 * counts from zero and only says where a trace is written. */
const int32_t *spq_step(const spq_network *network, void *arena, const uint8_t *frame, const spq_trace *trace,
                        int64_t step);

/* All steps of a still image, from a fresh start; its first sums are computed once for `steps` of them. */
const int32_t *spq_image(const spq_network *network, void *arena, const uint8_t *image, const spq_trace *trace);

/* The same, where states are not shared, step by step until the largest answer of the first readout leads the next by
 * the margin, or for so many steps; returns those taken. The answers so far lie in the arena. */
int32_t spq_until(const spq_network *network, void *arena, const uint8_t *image, int32_t steps, uint32_t margin);

/* Frame t of image n lies at images + t * frame_pitch + n * image_pitch; steps of 0: still images. Writes int32 logits
 * [count][classes], or answers [count][answers], or those of each step [count][steps][answers]; and traces as if image
 * n followed on the steps of image n - 1. With `taken`, the states not being shared, each image stops as of spq_until,
 * after so many steps, and there are no answers of each. */
int32_t spq_batch(const spq_network *network, void *arena, uint32_t arena_size, const uint8_t *images, int64_t count,
                  int32_t steps, int64_t frame_pitch, int64_t image_pitch, int32_t *logits, int32_t *taken,
                  uint32_t margin, const spq_trace *trace);

#endif
