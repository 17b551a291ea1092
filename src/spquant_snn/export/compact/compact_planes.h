/* compact_planes: ternary codes by bits, 32 channels at a time. A code and one is the sum of two bits, and the sums of many
 * channels are counted at once, in planes: plane j of a counter holds bit j of the counts of 32 channels. Neurons decide
 * on such planes too, so that no sum is ever taken apart.
 *
 * What a pixel does is listed once for all windows of a row that see it, which are at work at the same time. */
#ifndef SPQ_COMPACT_PLANES_H
#define SPQ_COMPACT_PLANES_H

#include "compact_sums.h"

/* The windows of a row that are at work: `oldest` is the one whose column number `column` comes next, with its codes at
 * `codes`, and so many of them see it. What each of them counts lies in a ring from `begin` to `end`. */
typedef struct {
    uint32_t *begin, *end, *oldest;
    const uint8_t *codes;
    int32_t column;
    uint32_t seen;
} spq_windows;

/* A field of a layer; a number where layers on planes have one body, and it is the same in all of them. */
#define OF(L, field) SPQ_OF_##field(L)

/* Add two bits to a third; what they carry is answered. */
SPQ_INSIDE uint32_t full_add(uint32_t *sum, uint32_t a, uint32_t b) {
    const uint32_t either = *sum ^ a, carry = (*sum & a) | (either & b);
    *sum = either ^ b;
    return carry;
}

/* Add the two bits of a code; `half`: of 16 channels. */
SPQ_INSIDE uint32_t count_event(uint32_t *ones, const uint8_t *row, const int half) {
    if (half) {
        const spq_half *codes = (const spq_half *)(const void *)row;
        return full_add(ones, codes[0], codes[1]);
    }
    const uint32_t *codes = (const uint32_t *)(const void *)row;
    return full_add(ones, codes[0], codes[1]);
}

/* Count rows of codes, four at a time, in the planes of a group of channels: those of a list, or `pairs` of them, with
 * those of the next column of the kernel. */
SPQ_INSIDE void count_rows(const uint16_t *list, const uint16_t *end, const uint8_t *codes, uint32_t *planes,
                           const int half, const int pairs, uint32_t column_step) {
    uint32_t ones = planes[0], twos = planes[1], fours = planes[2];
    do {
        const uint8_t *row = codes + list[0];
        uint32_t two = count_event(&ones, row, half);
        row = pairs ? row + column_step : codes + list[1];
        uint32_t four = full_add(&twos, two, count_event(&ones, row, half));
        row = codes + list[pairs ? 1 : 2];
        two = count_event(&ones, row, half);
        row = pairs ? row + column_step : codes + list[3];
        uint32_t carry = full_add(&twos, two, count_event(&ones, row, half));
        carry = full_add(&fours, four, carry);
        for (uint32_t *plane = planes + 3; carry; plane++) {
            const uint32_t held = *plane;
            *plane = held ^ carry;
            carry &= held;
        }
        list += pairs ? 2 : 4;
    } while (list < end);
    planes[0] = ones, planes[1] = twos, planes[2] = fours;
}

/* The same of all groups. */
SPQ_INSIDE void count_groups(const spq_spiking *L, const uint16_t *list, const uint16_t *end, const uint8_t *codes,
                             uint32_t *planes, const int pairs) {
    for (uint32_t g = 0; g < OF(L, full); g++, codes += 8, planes += OF(L, planes))
        count_rows(list, end, codes, planes, 0, pairs, OF(L, column_step));
    if (OF(L, half)) count_rows(list, end, codes, planes, 1, pairs, OF(L, column_step));
}

/* Count the rows of a list: how many there are, then their codes. */
SPQ_INSIDE void count_list(const spq_spiking *L, const spq_list *of, const uint8_t *codes) {
    uint16_t *const end = of->end;
    *of->sums += (uint32_t)(end - of->begin);
    end[0] = end[1] = end[2] = (uint16_t)((const uint8_t *)L->codes + OF(L, blank) - codes); /* a row without bits */
    count_groups(L, of->begin, end, codes, of->sums + 1 + OF(L, fraction), 0);
}

/* Add the rows of a list to its sums, as these lie. */
SPQ_INSIDE void add_rows(const spq_spiking *L, const spq_list *of, const uint8_t *codes) {
    if (PLANES(L)) count_list(L, of, codes);
    else add_list(L, of, codes);
}

/* ---- neurons ---- */

/* Which numbers are at least a constant. */
SPQ_INSIDE uint32_t at_least(const uint32_t *plane, const uint32_t *constant, uint32_t planes) {
    uint32_t found = 0xFFFFFFFFu;
    for (const uint32_t *end = plane + planes; plane < end; plane++, constant++)
        found ^= (*plane ^ *constant) & (found ^ *plane);
    return found;
}

/* A constant of each channel that its stored code chooses: the first, and how each differs from the one before it. */
SPQ_INSIDE uint32_t chosen(const spq_spiking *L, const uint32_t *constant, const uint32_t *code) {
    uint32_t found = constant[0];
    if (OF(L, edges) > 0) found ^= code[0] & constant[1];
    if (OF(L, edges) > 1) found ^= code[1] & constant[2];
    for (uint32_t e = 2; e < OF(L, edges); e++) found ^= code[e] & constant[1 + e];
    return found;
}

/* One plane of what is counted in all steps and in one, and of a number that all channels have. */
SPQ_INSIDE uint32_t plane_of(const uint32_t *all, const uint32_t *own, uint32_t j, uint32_t number, uint32_t *carries) {
    uint32_t sum = own[j];
    if (SPQ_STEPS > 1) carries[0] = full_add(&sum, all[j], carries[0]);
    carries[1] = full_add(&sum, 0u - (number >> j & 1u), carries[1]);
    return sum;
}

/* Which neurons fire in the last step, after which nothing is stored. */
SPQ_INSIDE uint32_t fire_last(const spq_spiking *L, const uint32_t *all, const uint32_t *own, uint32_t number,
                              const uint32_t *threshold, const uint32_t *code) {
    uint32_t carries[2] = {0, 0}, found = 0xFFFFFFFFu;
    for (uint32_t j = 0; j < OF(L, planes); j++, threshold += 1 + OF(L, edges)) {
        const uint32_t sum = plane_of(all, own, j, number, carries);
        found ^= (sum ^ chosen(L, threshold, code)) & (found ^ sum);
    }
    return found;
}

/* Which neurons fire in another step, of which the potentials are left in the place of `own`. */
SPQ_INSIDE uint32_t fire_step(const spq_spiking *L, const uint32_t *all, uint32_t *own, uint32_t number,
                              const uint32_t *table, uint32_t *code, int first) {
    const uint32_t planes = OF(L, planes);
    uint32_t carries[2] = {0, 0}, carry = 0;
    for (uint32_t j = 0; j < planes; j++) own[j] = plane_of(all, own, j, number, carries);
    if (SPQ_STEPS > 2 && !first) {
        const uint32_t *left = table + OF(L, left_of);
        for (uint32_t j = 0; j < planes; j++, left += 1 + OF(L, edges))
            carry = full_add(own + j, chosen(L, left, code), carry);
    }
    const uint32_t fired = at_least(own, table, planes);
    table += planes;
    if (OF(L, subtracts)) {
        carry = 0xFFFFFFFFu;
        for (uint32_t j = 0; j < planes; j++) carry = full_add(own + j, ~(table[j] & fired), carry);
        table += planes;
    }
    for (uint32_t e = 0; e < OF(L, edges); e++, table += planes) {
        code[e] = at_least(own, table, planes);
        if (OF(L, resets)) code[e] = e < OF(L, zero) ? code[e] | fired : code[e] & ~fired;
    }
    return fired;
}

/* The spikes of a group of channels at all steps; `all` are its planes of what is counted in all of them. */
SPQ_INSIDE void fire_group(const spq_spiking *L, const uint32_t *window, uint32_t *all, const uint32_t *table,
                           const int half, uint16_t *out) {
    uint32_t code[SPQ_EDGES]; /* which channels have stored at least the code after number e */
    for (uint32_t e = 0; e < OF(L, edges); e++) code[e] = e < OF(L, zero) ? 0xFFFFFFFFu : 0;
    const uint32_t events = window[0];
    uint32_t *own = all;
    for (uint32_t t = 0; t < SPQ_STEPS; t++, out++) {
        uint32_t number = events, fired;
        if (SPQ_STEPS > 1) {
            own += OF(L, pitch), window += OF(L, pitch);
            number += window[0];
        }
        number = L->bias - (number << OF(L, fraction));
        if (t + 1 < SPQ_STEPS) fired = fire_step(L, all, own, number, table, code, t == 0);
        else fired = fire_last(L, all, own, number, table + OF(L, last_of), code);
        if (half) {
            out[0] = (uint16_t)fired;
        } else {
            out[0] = (uint16_t)(fired >> 16);
            out[SPQ_STEPS] = (uint16_t)fired;
        }
    }
}

/* The spikes of all channels, to `out`; the window is as new then. */
SPQ_INSIDE void fire_window(const spq_spiking *L, uint32_t *window, uint16_t *out) {
    uint32_t events = 0;
    const uint32_t *count = window;
    for (uint32_t k = 0; k < LISTS; k++, count += OF(L, pitch)) events |= *count;
    if (!events) {
        for (uint32_t i = 0; i < OF(L, made); i++) out[i] = L->quiet[i];
        return;
    }
    const uint32_t *table = L->thresholds;
    uint32_t *all = window + 1;
    for (uint32_t g = 0; g < OF(L, full); g++, out += 2 * SPQ_STEPS, all += OF(L, planes), table += OF(L, table))
        fire_group(L, window, all, table, 0, out);
    if (OF(L, half)) fire_group(L, window, all, table, 1, out);
    for (const uint32_t *end = window + OF(L, window); window < end; window++) *window = 0;
}

/* ---- rows ---- */

/* Count what is listed of a column in all windows that see it, in their sums number `k`, and empty the list. */
SPQ_INSIDE void share_list(const spq_spiking *L, spq_lists *lists, uint32_t k, const spq_windows *at) {
    spq_list *const list = lists->list + k;
    uint16_t *const end = list->end;
    list->end = list->begin;
    const uint32_t events = (uint32_t)(end - list->begin);
    end[0] = end[1] = end[2] = OF(L, blank);
    const uint32_t behind = product(OF(L, pitch), k); /* from the sums of a window */
    uint32_t *window = at->oldest;
    const uint8_t *codes = at->codes;
    int32_t column = at->column;
    for (uint32_t seen = at->seen; seen; seen--, column -= OF(L, right), codes -= OF(L, across)) {
        uint32_t places = 1, *const count = window + behind, *const planes = count + 1 + OF(L, fraction);
        const uint8_t *last = codes; /* of the columns of the kernel that it is counted with */
        if (OF(L, pool_columns) > 1) {
            places = column < OF(L, pool_columns) ? (uint32_t)column + 1 : OF(L, pool_columns);
            if (column >= OF(L, kernel_columns)) {
                const uint32_t over = (uint32_t)column + 1 - OF(L, kernel_columns);
                places -= over, last -= product(OF(L, column_step), over);
            }
        }
        for (; OF(L, pool_columns) > 1 && places > 1; places -= 2, last -= 2 * (uint32_t)OF(L, column_step)) {
            *count += 2 * events;
            count_groups(L, list->begin, end, last - OF(L, column_step), planes, 1);
        }
        if (places) {
            *count += events;
            count_groups(L, list->begin, end, last, planes, 0);
        }
        window += OF(L, window);
        if (window == at->end) window = at->begin;
    }
}

/* The same as a function. */
typedef void (*spq_sharer)(const spq_spiking *L, spq_lists *lists, uint32_t k, const spq_windows *at);

/* List the spikes of a pixel, in `places` rows of the kernel, of which the lowest has its codes at `offset`. */
SPQ_INSIDE void list_place(const spq_spiking *L, spq_lists *lists, const uint16_t *unit, uint32_t offset,
                           uint32_t places, const spq_windows *at, spq_sharer share) {
    for (uint32_t u = 0; u < OF(L, units); u++, unit += SPQ_STEPS, offset += (uint32_t)OF(L, step) << 4) {
        uint32_t all = unit[0], any = unit[0];
        for (uint32_t t = 1; t < SPQ_STEPS; t++) all &= unit[t], any |= unit[t];
        if (!any) continue;
        spq_list *list = lists->list;
        for (uint32_t k = 0; k < LISTS; k++, list++) {
            const uint32_t spikes = k ? unit[k - 1] ^ all : all;
            if (!spikes) continue;
            const uint16_t *const limit = list->begin + (SPQ_LIST - SPQ_SPARE);
            if (list->end > limit - 16) share(L, lists, k, at);
            const uint16_t *from = list->end;
            list_unit(L, list, spikes, offset);
            if (places == 1) continue;
            if ((uint32_t)(limit - list->end) < product((uint32_t)(list->end - from), places - 1)) {
                /* once more, in an empty list */
                list->end -= list->end - from;
                share(L, lists, k, at);
                from = list->end;
                list_unit(L, list, spikes, offset);
            }
            uint16_t *to = list->end;
            for (uint32_t place = 1; place < places; place++)
                for (const uint16_t *end = to; from < end;) *to++ = (uint16_t)(*from++ - OF(L, row_step));
            list->end = to;
        }
    }
}

/* The row of windows whose first row of pixels is `first`. */
SPQ_INSIDE void counted_row(const spq_spiking *L, const uint8_t *ring, uint32_t read, int32_t first, spq_lists *lists,
                          uint32_t *counters, uint16_t *out, spq_sharer share) {
    spq_windows at = {counters, counters, counters, (const uint8_t *)L->codes, OF(L, left), 0};
    at.end += product(OF(L, window), OF(L, live));
    for (uint32_t *word = at.begin; word < at.end; word++) *word = 0;
    at.codes += product(OF(L, column_step), OF(L, left));
    const uint32_t above = first < 0 ? (uint32_t)-first : 0;
    const uint32_t below = above + inside(OF(L, rows), (int16_t)first, L->in_height);
    /* codes of the row of the kernel that the first row of pixels meets */
    const uint32_t highest = product(OF(L, row_step), above);
    const uint8_t *from = ring;
    uint32_t x = 0, left = L->out_width;
    while (left) {
        if (x < L->in_width && at.column < OF(L, columns)) { /* a column, and whoever sees it */
            if (at.column >= 0) {
                at.seen = 0;
                for (int32_t c = at.column; c >= 0 && at.seen < left; c -= OF(L, right)) at.seen++;
                uint16_t slot = (uint16_t)read;
                uint32_t offset = highest;
                for (uint32_t r = above; r < below; r++, offset += OF(L, row_step)) {
                    const uint16_t *pixel = (const uint16_t *)(const void *)(from + slot);
                    uint32_t places = 1, lowest = offset;
                    if (SPQ_POOLS) {
                        places = r < OF(L, pool_rows) ? r + 1 : OF(L, pool_rows);
                        if (r >= OF(L, kernel_rows)) {
                            const uint32_t over = r + 1 - OF(L, kernel_rows);
                            places -= over, lowest -= product(OF(L, row_step), over);
                        }
                    }
                    list_place(L, lists, pixel, lowest, places, &at, share);
                    slot = next_slot(slot, L->row, L->ring);
                }
                for (uint32_t k = 0; k < LISTS; k++)
                    if (lists->list[k].end > lists->list[k].begin) share(L, lists, k, &at);
            }
            from += OF(L, pixel);
            x++, at.column++, at.codes += OF(L, column_step);
        }
        if (x == L->in_width || at.column >= OF(L, columns)) { /* the oldest has seen all */
            fire_window(L, at.oldest, out);
            out += OF(L, made);
            at.oldest += OF(L, window);
            if (at.oldest == at.end) at.oldest = at.begin;
            left--;
            at.column -= OF(L, right), at.codes -= OF(L, across);
        }
    }
}

#endif
