/* Gradients of weights over spikes: of each weight the sum of the gradients of all outputs that it gave a spike to. Where
   few inputs spike, adding those takes less time than multiplying all.

   BLOCK outputs are taken at a time. Their gradients, of some images or of some rows of one, are copied into a grid with
   a border of zeros that fits the second cache; there a place of the kernel is a distance from where a spike lies,
   wherever the image ends. Spikes are listed for each input, those apart that a stride keeps apart: a place of the
   kernel meets one of such lists as a whole. */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 64          /* outputs: four vectors that sums stay in */
#define GROUP 32          /* inputs that are listed at a time, a word of bits */
#define ROOM (256u << 10) /* bytes of a grid */

enum { ROWS, COLUMNS };
enum { NO_MEMORY = 1 };

typedef float vector_t __attribute__((vector_size(64), aligned(4), may_alias));

/* ctypes of nn/weight_gradients.py mirror this; a linear layer is a convolution of one place. */
typedef struct {
    int32_t images, inputs, outputs;
    int32_t size[2], made[2]; /* rows and columns of the inputs and of the outputs */
    int32_t kernel[2], stride[2], padding[2], dilation[2];
} convolution_t;

/* Inputs along an axis as windows see them: place p, padding included, is number p % stride under window p / stride. */
typedef struct {
    int32_t first, last; /* windows of which inputs are the first place that they see alone */
    int32_t behind;      /* windows that see the same places */
} axis_t;

typedef struct {
    int32_t image, images;
    int32_t first, last; /* windows along the rows */
} part_t;

typedef struct {
    const convolution_t *c;
    axis_t axis[2];
    int32_t columns; /* of the grid */
    int32_t lists;   /* of an input */
    size_t room;     /* of a list */
    float *grid;
    uint32_t *spikes, *counts;
} work_t;

static axis_t axis_of(const convolution_t *c, int k) {
    axis_t axis;
    axis.first = c->padding[k] / c->stride[k];
    axis.last = (c->size[k] - 1 + c->padding[k]) / c->stride[k];
    axis.behind = (c->kernel[k] - 1) * c->dilation[k] / c->stride[k];
    return axis;
}

/* Rows of the grid that an image takes in a part. */
static int32_t rows_of(const work_t *w, const part_t *part) { return part->last - part->first + 1 + w->axis[ROWS].behind; }

static void fill_grid(const work_t *w, const part_t *part, const float *gradient, int32_t output, int32_t width) {
    const convolution_t *c = w->c;
    const int32_t rows = rows_of(w, part), left = w->axis[COLUMNS].first - w->axis[COLUMNS].behind;
    const int32_t begin = left < 0 ? 0 : left, over = left + w->columns;
    const int32_t end = over < c->made[COLUMNS] ? over : c->made[COLUMNS];
    float *to = w->grid;
    for (int32_t n = part->image; n < part->image + part->images; n++)
        for (int32_t r = 0; r < rows; r++, to += (size_t)w->columns * BLOCK) {
            const int32_t y = part->first - w->axis[ROWS].behind + r;
            if (y < 0 || y >= c->made[ROWS]) {
                memset(to, 0, (size_t)w->columns * BLOCK * sizeof *to);
                continue;
            }
            const float *row = gradient + ((size_t)n * c->made[ROWS] + y) * c->made[COLUMNS] * c->outputs + output;
            for (int32_t x = begin; x < end; x++)
                memcpy(to + (size_t)(x - left) * BLOCK, row + (size_t)x * c->outputs, (size_t)width * sizeof *to);
        }
}

/* Up to 32 inputs of a place. */
static inline uint32_t word_at(const uint8_t *bits, int32_t inputs) {
    uint32_t word = 0;
    if (inputs >= GROUP) {
        for (int k = 0; k < 4; k++) word |= (uint32_t)bits[k] << 8 * k;
        return word;
    }
    for (int32_t k = 0; k < inputs; k += 8) word |= (uint32_t)bits[k / 8] << k;
    return word;
}

/* List where in the grid the spikes of some inputs lie. */
static void list_spikes(const work_t *w, const part_t *part, const uint8_t *bits, int32_t input, int32_t inputs) {
    const convolution_t *c = w->c;
    const int32_t down = c->stride[ROWS], right = c->stride[COLUMNS], step = c->inputs / 8;
    const int32_t top = part->first * down - c->padding[ROWS], bottom = (part->last + 1) * down - c->padding[ROWS];
    const int32_t begin = top < 0 ? 0 : top, end = bottom < c->size[ROWS] ? bottom : c->size[ROWS];
    const size_t apart = (size_t)w->lists * w->room; /* of two inputs */
    memset(w->counts, 0, (size_t)GROUP * w->lists * sizeof *w->counts);
    for (int32_t n = 0; n < part->images; n++)
        for (int32_t y = begin; y < end; y++) {
            const int32_t row = (y + c->padding[ROWS]) / down - part->first + w->axis[ROWS].behind;
            const uint8_t *at = bits + ((size_t)(part->image + n) * c->size[ROWS] + y) * c->size[COLUMNS] * step + input / 8;
            int32_t list = (y + c->padding[ROWS]) % down * right + c->padding[COLUMNS] % right;
            int32_t over = c->padding[COLUMNS] % right;
            size_t where = ((size_t)n * rows_of(w, part) + row) * w->columns + w->axis[COLUMNS].behind;
            for (int32_t x = 0; x < c->size[COLUMNS]; x++, at += step) {
                for (uint32_t word = word_at(at, inputs); word; word &= word - 1) {
                    const int i = __builtin_ctz(word);
                    w->spikes[i * apart + list * w->room + w->counts[i * w->lists + list]++] = (uint32_t)where * BLOCK;
                }
                list++, over++;
                if (over == right) over = 0, list -= right, where++;
            }
        }
}

static inline void add_spikes(const uint32_t *spikes, uint32_t count, const float *grid, float *sums) {
    vector_t *const to = (vector_t *)sums;
    vector_t a = to[0], b = to[1], c = to[2], d = to[3];
    for (const uint32_t *end = spikes + count; spikes < end; spikes++) {
        const vector_t *const from = (const vector_t *)(grid + *spikes);
        a += from[0], b += from[1], c += from[2], d += from[3];
    }
    to[0] = a, to[1] = b, to[2] = c, to[3] = d;
}

/* Add what the spikes of some inputs that are listed meet, to [inputs, kernel, BLOCK]. */
static void add_listed(const work_t *w, int32_t inputs, float *sums) {
    const convolution_t *c = w->c;
    for (int32_t i = 0; i < inputs; i++)
        for (int32_t y = 0; y < c->kernel[ROWS]; y++)
            for (int32_t x = 0; x < c->kernel[COLUMNS]; x++, sums += BLOCK) {
                const int32_t down = y * c->dilation[ROWS], right = x * c->dilation[COLUMNS];
                const int32_t list = i * w->lists + down % c->stride[ROWS] * c->stride[COLUMNS] + right % c->stride[COLUMNS];
                const int32_t back = down / c->stride[ROWS] * w->columns + right / c->stride[COLUMNS];
                if (!w->counts[list]) continue;
                add_spikes(w->spikes + list * w->room, w->counts[list], w->grid - (ptrdiff_t)back * BLOCK, sums);
            }
}

static void add_parts(const work_t *w, const uint8_t *bits, const float *gradient, int32_t output, int32_t width,
                      int32_t input, int32_t end, int32_t rows, float *sums) {
    const convolution_t *c = w->c;
    const axis_t *axis = &w->axis[ROWS];
    const int32_t taps = c->kernel[ROWS] * c->kernel[COLUMNS], whole = axis->last - axis->first + 1;
    const int32_t together = rows / whole > 1 ? rows / whole : 1, deep = rows < whole ? rows : whole;
    for (part_t part = {0, 0, 0, 0}; part.image < c->images; part.image += together) {
        part.images = c->images - part.image < together ? c->images - part.image : together;
        for (part.first = axis->first; part.first <= axis->last; part.first += deep) {
            part.last = part.first + deep - 1 < axis->last ? part.first + deep - 1 : axis->last;
            fill_grid(w, &part, gradient, output, width);
            for (int32_t i = input; i < end; i += GROUP) {
                const int32_t inputs = end - i < GROUP ? end - i : GROUP;
                list_spikes(w, &part, bits, i, inputs);
                add_listed(w, inputs, sums + (size_t)(i - input) * taps * BLOCK);
            }
        }
    }
}

/* From [many, BLOCK] to [width, ...], of which rows are `apart`. */
static void transpose(const float *sums, size_t many, int32_t width, float *to, size_t apart) {
    enum { TILE = 16 };
    for (size_t begin = 0; begin < many; begin += TILE) {
        const size_t end = begin + TILE < many ? begin + TILE : many;
        for (int32_t o = 0; o < width; o++)
            for (size_t j = begin; j < end; j++) to[o * apart + j] = sums[j * BLOCK + o];
    }
}

/* The gradients of the weights between the inputs from `input` to `end` and BLOCK outputs from `output` on: of [O, I, kernel].

   bits: [N, H, W, I], eight to a byte; inputs are a multiple of eight, `input` one of GROUP.
   gradient: [N, H', W', O] of the outputs. */
int weight_gradients(const convolution_t *c, const uint8_t *bits, const float *gradient, int32_t output, int32_t input,
                     int32_t end, float *weights) {
    work_t w;
    w.c = c;
    for (int k = 0; k < 2; k++) w.axis[k] = axis_of(c, k);
    const int32_t across = w.axis[COLUMNS].last - w.axis[COLUMNS].first + 1;
    w.columns = across + w.axis[COLUMNS].behind;
    w.lists = c->stride[ROWS] * c->stride[COLUMNS];

    /* rows of windows that the grid holds, each with those behind it where it stands alone: whole images, or a part of one */
    const int32_t whole = w.axis[ROWS].last - w.axis[ROWS].first + 1, behind = w.axis[ROWS].behind;
    const size_t row = (size_t)w.columns * BLOCK * sizeof *w.grid, image = (size_t)(whole + behind) * row;
    int32_t rows = 1, held = 1 + behind;
    if (image <= ROOM) {
        const size_t fit = ROOM / image, images = fit < (size_t)c->images ? fit : (size_t)c->images;
        rows = whole * (int32_t)images, held = (whole + behind) * (int32_t)images;
    } else if (ROOM / row > (size_t)held) {
        held = (int32_t)(ROOM / row), rows = held - behind;
    }
    w.room = (size_t)rows * across;

    const int32_t width = c->outputs - output < BLOCK ? c->outputs - output : BLOCK;
    const size_t taps = (size_t)c->kernel[ROWS] * c->kernel[COLUMNS], many = (size_t)(end - input) * taps;
    float *const sums = calloc(many * BLOCK, sizeof *sums);
    w.grid = calloc((size_t)held * w.columns * BLOCK, sizeof *w.grid);
    w.spikes = malloc((size_t)GROUP * w.lists * w.room * sizeof *w.spikes);
    w.counts = malloc((size_t)GROUP * w.lists * sizeof *w.counts);
    const int failed = !(sums && w.grid && w.spikes && w.counts);
    if (!failed) {
        add_parts(&w, bits, gradient, output, width, input, end, rows, sums);
        const size_t apart = (size_t)c->inputs * taps;
        transpose(sums, many, width, weights + output * apart + input * taps, apart);
    }
    free(sums), free(w.grid), free(w.spikes), free(w.counts);
    return failed ? NO_MEMORY : 0;
}
