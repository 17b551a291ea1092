/* compact: a network computed depth first, for devices whose memory holds a few rows of it.
 *
 * All time steps of a pixel are computed at once, so that no neuron's state outlives it; of what a layer takes there are
 * the rows below its kernel, spikes as bits. No table is made in RAM; there is no division, no multiplication by what
 * is not a constant, and no call to a library.
 *
 * Spikes of a pixel lie in units of 16 channels, the first in the highest bit: [unit][step]. Sums lie in words of two
 * lanes of 16 bits, one behind the other as channels are, each LANE_ZERO too high, so that none borrows of another.
 *
 * To be defined before: SPQ_STEPS, time steps; SPQ_LIST, events that a list has room for; SPQ_FIELDS, bits 2, 4 and 8
 * for fields of as many bits, and SPQ_LOADS, bits 0 (words), 1 (bytes) and 2 (five codes a byte), that occur;
 * SPQ_ODD_WORDS, whether rows have an odd number of words; SPQ_POOLS, whether sums are pooled as they are listed;
 * SPQ_MAX_POOLS, 1 where spikes are pooled and 2 where a row of them may go into several rows of pools;
 * SPQ_SCALED, whether some neurons store codes of more than 4 bits;
 * SPQ_OVER_TIME, 0 where answers are sums over all steps, else 1, 2 or 3 for the last value of what is integrated with a
 * leak of SPQ_LEAK_SHIFT fractional bits, the largest, or the sum; SPQ_SIGNED, whether pixels are int8;
 * spq_tap and spq_level, types of what pixels have; spq_number, of constants of neurons; SPQ_LANES_OF_PIXELS, 1 or 2;
 * SPQ_SPECIALISED, bodies for each layer, or for each kind of them; SPQ_OF_..., fields of layers on planes;
 * SPQ_PLANES, 1 where some neurons decide on planes and 2 where all do that are
 * not on pixels; SPQ_EDGES, codes that one of those stores besides the lowest. */
#ifndef SPQ_COMPACT_H
#define SPQ_COMPACT_H

#include <stddef.h>
#include <stdint.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the tables are those of a little-endian processor"
#endif
#if defined(__GNUC__) && !defined(__clang__) && defined(__riscv)
#pragma GCC optimize("no-schedule-insns") /* what is loaded ahead has no register */
#endif

#if defined(__GNUC__)
#define SPQ_INSIDE static inline __attribute__((always_inline))
#define SPQ_APART static __attribute__((noinline))
typedef uint16_t __attribute__((may_alias)) spq_half;
#else
#define SPQ_INSIDE static inline
#define SPQ_APART static
typedef uint16_t spq_half;
#endif

#if SPQ_SPECIALISED
#define SPQ_BODY SPQ_INSIDE
#else
#define SPQ_BODY SPQ_APART
#endif

#if defined(SPQ_SEEN) && !defined(SPQ_ROW_DONE)
/* A build that is to be measured names a function that may change rows, and other constants are put into its tables. */
extern void SPQ_SEEN(uint32_t layer, uint16_t *row);
#define SPQ_ROW_DONE(layer, row) SPQ_SEEN(layer, row)
#define SPQ_TABLE __attribute__((weak))
#else
#define SPQ_TABLE
#endif
#ifndef SPQ_ROW_DONE
#define SPQ_ROW_DONE(layer, row) /* what layer `layer` has just made */
#endif

/* Whether what a layer sums up lies in planes. */
#define PLANES(L) (SPQ_PLANES && (L)->planes)

#define LANE_ZERO 0x8000u
#define LANES(x) ((uint32_t)(x) << 16 | (uint32_t)(x))

/* A layer on the pixels of an image that is still: what its neurons do follows from one sum, by levels that this
 * reaches. */
typedef struct {
    const spq_tap *taps;     /* for each channel, for each bit of its codes from the highest on: how many places it
                                takes off and which, how many it adds and which */
    const spq_level *levels; /* [channel][level]: what a sum begins with, and what it loses to the next level */
    const uint16_t *toggles; /* [level] the steps in which spikes change when it is reached */
    uint16_t channels, count, planes;
    uint16_t in_channels, in_width, in_height, out_width, out_height;
    uint16_t rows, pool_height, pool_width; /* of the kernel; of a sum of pixels before it */
    uint16_t apart;                   /* pixels of a sum, in both directions */
    uint16_t stride, step;            /* from a kernel to the next, across and down */
    int16_t left, top;                /* zeros */
    uint16_t half, length;            /* kernels in the lower lanes; places of a phase of the stride */
    uint16_t places, kernel;          /* of all phases of a row of a channel; of all rows of all channels */
    uint16_t line, phase, back;       /* places of a row as it is summed, of its phase, and from the last one to the next */
    uint16_t start, turn;             /* the first of them that sees a pixel, and its phase */
    int16_t nearest;                  /* its column */
    uint16_t pixel, chunk, further, out_row; /* halves of spikes: of a pixel, of SPQ_CHUNK, to the upper lane, of a row */
} spq_pixels;

/* A layer on spikes: a convolution, or a linear layer, which is one whose kernel is the image. */
typedef struct {
    const void *codes;         /* [row][column][channel], of planes [column][row][channel], a row of codes, of `step` bytes, which are those of its outputs */
    const spq_number *neurons; /* [channel] fire, what a spike takes off, edges, what codes leave; of more than 4 bits in place
                                  of both see scaled_code; without: a readout */
    uint16_t in_width, in_height, out_width, out_height;
    uint16_t rows, columns;             /* of a window: of the kernel, and of the pool over its sums */
    uint16_t kernel_rows, kernel_columns;
    uint16_t down, right;               /* from a window to the next */
    uint16_t max_rows, max_columns, max_down, max_right; /* of the pool over spikes before it, and from one to the next */
    uint16_t max_top, max_left, max_height, max_width;   /* nothing above and before the spikes; their rows and columns */
    uint16_t top, left;                 /* zeros */
    uint16_t pool_rows, pool_columns, pool_down, pool_right; /* of sums, and places of a kernel from one to the next */
    uint16_t units, channels;           /* what comes in, in units of 16; what goes out */
    uint16_t pixel, row, ring;          /* bytes of a pixel, of a row, of all rows that come in and are kept */
    uint16_t step, column_step, row_step; /* bytes of codes */
    uint16_t words;                     /* of fields, in a row of codes */
    uint16_t pitch, lanes;              /* words of sums of a list, and lanes; of planes with how many events there are */
    uint8_t bits, load, lift;           /* of fields; how a row is read; codes are 1 << lift too high */
    uint8_t few, many;                  /* events that fields of 4 bits, and of 8, hold */
    uint8_t linear, subtracts, resets, fraction, edges, zero;
    uint8_t constants;                  /* numbers of a neuron */
    uint8_t scaled, shift, left_shift;  /* of codes of more than 4 bits: how many are below zero; of what they are, and leave */
    uint8_t made;                       /* halves of what goes out of a pixel */
    /* where codes and neurons are planes, see compact_planes.h */
    const uint32_t *thresholds; /* [group] fire, what a spike takes off, edges; from left_of on what codes leave, and
                                   from last_of on what fires behind each of them in the last step */
    const uint16_t *quiet;      /* what goes out of a pixel when nothing comes in */
    uint32_t bias;              /* of potentials, so that none is below zero */
    uint16_t table, left_of, last_of; /* words of a group, and to those two */
    uint16_t blank, across;     /* bytes of codes: to a row without bits, from a window to the next */
    uint16_t window;            /* words of what is counted */
    uint8_t planes, full, half; /* of a counter; groups of 32 channels, and of 16 */
    uint8_t live;               /* windows of a row that are at work at a time */
} spq_spiking;

/* Rows of what a layer takes. */
typedef struct {
    uint16_t came, next; /* rows that came in; the row that goes out next */
    uint16_t write;      /* where the next row goes, in bytes from the ring's begin on */
    uint16_t read;       /* where the first row of its window is; of a linear layer, where the codes of the next row are */
} spq_rows;

/* A product where there is no instruction for one, and no library; the first factor is the larger. */
SPQ_APART uint32_t product(uint32_t a, uint32_t b) {
    uint32_t sum = 0;
    for (; b; b >>= 1, a <<= 1)
        if (b & 1u) sum += a;
    return sum;
}

/* Row `first` + k of a window is row k of the ring from `read` on; before the image there is nothing. */
SPQ_INSIDE uint16_t next_slot(uint16_t slot, uint16_t row, uint16_t ring) {
    slot = (uint16_t)(slot + row);
    return slot == ring ? 0 : slot;
}

/* How much of a window of `size` lies in an image of `limit` places, from place `first` on. */
SPQ_INSIDE uint16_t inside(uint16_t size, int16_t first, uint16_t limit) {
    int16_t end = (int16_t)(first + size);
    if (end > limit) end = (int16_t)limit;
    if (first < 0) first = 0;
    return end > first ? (uint16_t)(end - first) : 0;
}

/* Where a layer goes on to work. A build that is to be measured names code, each four bytes of which return at once, and
 * calls that of the layer's number; any other does nothing. */
#if defined(SPQ_PROFILE)
extern const uint8_t SPQ_PROFILE[];
SPQ_INSIDE void enter(uint32_t index) {
    ((void (*)(void))((uintptr_t)SPQ_PROFILE + 4u * index))();
}
#else
SPQ_INSIDE void enter(uint32_t index) {
    (void)index;
}
#endif

#endif
