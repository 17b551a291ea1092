/* compact_rows: rows go through the network, each as deep as it comes. */
#ifndef SPQ_COMPACT_ROWS_H
#define SPQ_COMPACT_ROWS_H

#include "compact_neurons.h"
#include "compact_pixels.h"
#include "compact_planes.h"

/* Go on to the next row of windows. */
SPQ_INSIDE void next_window(spq_rows *rows, int16_t first, uint16_t down, uint16_t row, uint16_t ring) {
    for (; down; down--, first++)
        if (first >= 0) rows->read = next_slot(rows->read, row, ring);
    rows->next++;
}

#if SPQ_MAX_POOLS
/* Row `y` of spikes goes into all rows of pools that see it: `came` of them are complete, and the next lies `write` bytes
 * from the ring's begin on. How many are complete with it. */
SPQ_APART uint16_t pool_row(const spq_spiking *L, const uint16_t *from, uint8_t *ring, uint16_t write, int32_t y,
                            uint32_t came) {
    const uint32_t halves = L->pixel >> 1;
    int32_t first = (int32_t)product(L->max_down, came) - L->max_top;
    uint16_t complete = 0;
    for (; came < L->in_height && first <= y; came++, first += L->max_down) {
        const int begins = y == first || !y;
        uint16_t *to = (uint16_t *)(void *)(ring + write);
        const uint16_t *left = from; /* the first pixel of a pool */
        int16_t x = (int16_t)-L->max_left;
        for (uint32_t column = 0; column < L->in_width; column++, to += halves) {
            const uint16_t *pixel = left;
            for (uint32_t i = 0; i < halves && begins; i++) to[i] = 0;
            for (uint32_t c = inside(L->max_columns, x, L->max_width); c; c--)
                for (uint32_t i = 0; i < halves; i++) to[i] |= *pixel++;
            for (uint32_t i = 0; i < L->max_right; i++, x++)
                if (x >= 0) left += halves;
        }
        if (y + 1 == first + L->max_rows || y + 1 == L->max_height) complete++;
        write = next_slot(write, L->row, L->ring);
    }
    return complete;
}
#endif

/* The row of windows whose first row of pixels is `first`. */
SPQ_BODY void spiking_row(const spq_spiking *L, const uint8_t *ring, uint16_t read, int16_t first, spq_lists *lists,
                          uint16_t *out, spq_adder add) {
    const uint16_t above = first < 0 ? (uint16_t)-first : 0;
    uint16_t before = L->left;
    int16_t x = (int16_t)-L->left;
    const uint16_t rows = inside(L->rows, first, L->in_height);
    /* codes of the rows above and of the columns before the image */
    uint32_t down = product(L->row_step, above), skipped = product(L->column_step, before);
    const uint16_t *from = (const uint16_t *)(const void *)ring; /* the first column of the window */
    for (uint16_t place = 0; place < L->out_width; place++) {
        const uint16_t columns = inside(L->columns, x, L->in_width);
        clear_sums(L, lists->list[0].sums);
        uint16_t slot = read;
        uint32_t offset = down + skipped;
        for (uint16_t r = 0; r < rows; r++) {
            const uint16_t *pixel = (const uint16_t *)(const void *)((const uint8_t *)from + slot);
            uint32_t code = offset;
            uint16_t pooled = 1;
            if (SPQ_POOLS) {
                const uint16_t row = (uint16_t)(r + above);
                pooled = row < L->pool_rows ? (uint16_t)(row + 1) : L->pool_rows;
                uint16_t over = 0; /* places of the pool for which the row lies behind the kernel */
                if (row >= L->kernel_rows) over = (uint16_t)(row + 1 - L->kernel_rows);
                pooled = (uint16_t)(pooled - over);
                if (over) code -= product(L->row_step, over);
            }
            for (uint16_t c = 0; c < columns; c++) {
                uint32_t start = code;
                uint16_t beside = 1;
                if (SPQ_POOLS) {
                    const uint16_t column = (uint16_t)(c + before);
                    beside = column < L->pool_columns ? (uint16_t)(column + 1) : L->pool_columns;
                    uint16_t over = 0;
                    if (column >= L->kernel_columns) over = (uint16_t)(column + 1 - L->kernel_columns);
                    beside = (uint16_t)(beside - over);
                    if (over) start -= product(L->column_step, over);
                }
                list_pixel(L, lists, pixel, start, pooled, beside, add);
                pixel = (const uint16_t *)(const void *)((const uint8_t *)pixel + L->pixel);
                code += L->column_step;
            }
            offset += L->row_step;
            slot = next_slot(slot, L->row, L->ring);
        }
        for (uint16_t k = 0; k < LISTS; k++) empty_list(L, lists, k, add);
        fire_pixel(L, lists->list[0].sums, out);
        out += L->made;
        for (uint16_t i = 0; i < L->right; i++, x++) {
            if (x < 0) before--, skipped -= L->column_step;
            else from = (const uint16_t *)(const void *)((const uint8_t *)from + L->pixel);
        }
    }
}

/* What a row of pixels adds to the sums of a linear layer. */
SPQ_BODY void linear_row(const spq_spiking *L, const uint8_t *row, spq_lists *lists, spq_adder add) {
    const uint8_t *pixel = row;
    uint32_t code = 0;
    for (uint16_t c = 0; c < L->in_width; c++, pixel += L->pixel, code += L->column_step)
        list_pixel(L, lists, (const uint16_t *)(const void *)pixel, code, 1, 1, add);
    for (uint16_t k = 0; k < LISTS; k++) empty_list(L, lists, k, add);
}

#if SPQ_OVER_TIME
/* What a leak of so many 2^-SPQ_LEAK_SHIFT leaves of what is kept, halves rounding up: by halves, so that no product leaves
 * 32 bits. */
SPQ_INSIDE int32_t leaked(int32_t kept, uint32_t leak) {
    const uint32_t upper = (uint32_t)(int32_t)(int16_t)(uint16_t)((uint32_t)kept >> 16), lower = (uint32_t)kept & 0xFFFFu;
    const uint32_t half = (1u << SPQ_LEAK_SHIFT) >> 1;
    return (int32_t)((product(upper, leak) << (16 - SPQ_LEAK_SHIFT)) + ((product(lower, leak) + half) >> SPQ_LEAK_SHIFT));
}
#endif

/* What the readout answers: the sum over all steps; or of what it integrates with a leak the last value, the largest, or
 * the sum. */
SPQ_BODY void read_out(const spq_spiking *L, const uint32_t *sums, const int32_t *bias, const uint32_t *leak,
                       int32_t *outputs) {
    for (uint16_t o = 0; o < L->channels; o++) {
        const uint16_t place = SPQ_LOADS != 1u && L->load ? narrow_lane(o) : o;
        const spq_half *lane = (const spq_half *)(const void *)sums + place, *own = lane;
        int32_t answer = 0;
#if SPQ_OVER_TIME
        int32_t kept = 0;
        for (uint16_t t = 0; t < SPQ_STEPS; t++) {
            own += L->lanes;
            kept = leaked(kept, leak[o]) + (int32_t)((uint32_t)sum_of(lane, own) << L->fraction) + bias[o];
            if (SPQ_OVER_TIME == 3) answer += kept;
            else if (SPQ_OVER_TIME == 1 || !t || kept > answer) answer = kept;
        }
#else
        (void)leak;
        for (uint16_t t = 0; t < SPQ_STEPS; t++) own += L->lanes, answer += sum_of(lane, own);
        answer = (int32_t)((uint32_t)answer << L->fraction) + bias[o];
#endif
        outputs[o] = answer;
    }
}

#endif
