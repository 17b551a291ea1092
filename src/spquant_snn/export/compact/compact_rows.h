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
/* Row `y` of spikes goes into row `to` of pools, of which `came` are complete; whether this one is now. */
SPQ_APART int pool_row(const spq_spiking *L, const uint16_t *from, uint16_t *to, uint32_t y, uint32_t came) {
    if (came == L->in_height) return 0;
    const uint32_t halves = L->pixel >> 1, row = y - product(L->max_down, came), right = product(halves, L->max_right);
    if (row >= L->max_rows) return 0; /* between two pools */
    for (uint32_t x = 0; x < L->in_width; x++, from += right, to += halves) {
        const uint16_t *pixel = from;
        for (uint32_t i = 0; i < halves && !row; i++) to[i] = 0;
        for (uint32_t c = 0; c < L->max_columns; c++)
            for (uint32_t i = 0; i < halves; i++) to[i] |= *pixel++;
    }
    return row + 1 == L->max_rows;
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

/* What the readout adds up over all steps. */
SPQ_BODY void read_out(const spq_spiking *L, const uint32_t *sums, const int32_t *bias, int32_t *outputs) {
    for (uint16_t o = 0; o < L->channels; o++) {
        const uint16_t place = SPQ_LOADS != 1u && L->load ? narrow_lane(o) : o;
        const spq_half *lane = (const spq_half *)(const void *)sums + place, *own = lane;
        int32_t total = 0;
        for (uint16_t t = 0; t < SPQ_STEPS; t++) own += L->lanes, total += sum_of(lane, own);
        outputs[o] = (int32_t)((uint32_t)total << L->fraction) + bias[o];
    }
}

#endif
