/* compact_sums: what spikes make of the codes of a layer. They are listed, and lists added up when they are full. */
#ifndef SPQ_COMPACT_SUMS_H
#define SPQ_COMPACT_SUMS_H

#include "compact.h"

#define PAIRS 0x33333333u
#define NIBBLES 0x0F0F0F0Fu
#define BYTES 0x00FF00FFu
#define LISTS (SPQ_STEPS > 1 ? SPQ_STEPS + 1 : 1) /* of those of all steps, and of those of each that are not */
#define SPQ_SPARE (SPQ_PLANES ? 3 : 0) /* events behind a list that fill it up */

/* Lists of rows of codes, by their bytes from `codes` on, and the sums that they go to. */
typedef struct {
    uint16_t *begin, *end;
    uint32_t *sums;
} spq_list;

typedef struct {
    spq_list list[LISTS];
    const uint8_t *codes;
} spq_lists;

SPQ_INSIDE void begin_lists(const spq_spiking *L, spq_lists *lists, uint16_t *room, uint32_t *sums) {
    for (uint16_t k = 0; k < LISTS; k++, room += SPQ_LIST, sums += L->pitch) {
        lists->list[k].begin = lists->list[k].end = room;
        lists->list[k].sums = sums;
    }
    lists->codes = (const uint8_t *)L->codes;
}

SPQ_INSIDE void clear_sums(const spq_spiking *L, uint32_t *word) {
    for (uint16_t k = 0; k < LISTS; k++)
        for (const uint32_t *end = word + L->pitch; word < end; word++) *word = PLANES(L) ? 0 : LANES(LANE_ZERO);
}

/* A row of codes that does not fill whole words: of bytes, or of five codes in each of them, by their digits to the base
 * of three, the highest first. Its codes lie in their order, and their sums do not: see narrow_lane. */
SPQ_INSIDE uint32_t narrow_row(const spq_spiking *L, const uint8_t *row) {
#if SPQ_LOADS & 4u
    if (SPQ_LOADS == 4u || L->load == 2) {
        const uint8_t *end = row + L->step;
        uint32_t word = 0, shift = 0;
        do {
            uint32_t rest = *row++;
            for (uint16_t i = 0; i < 5; i++, shift += 2, rest &= 255u) {
                rest += rest << 1;
                word |= rest >> 8 << shift;
            }
        } while (row < end);
        return word;
    }
#endif
    uint32_t word = row[0];
    if (L->step > 1) word |= (uint32_t)row[1] << 8;
    if (L->step > 2) word |= (uint32_t)row[2] << 16;
    if (L->step > 3) word |= (uint32_t)row[3] << 24;
    return word;
}

/* The lane of the sum of a code of such a row: of field b3 b2 b1 b0 lane b1 b0 b2 b3. */
SPQ_INSIDE uint16_t narrow_lane(uint16_t code) {
    return (uint16_t)((code & 3u) << 2 | (code >> 1 & 2u) | code >> 3);
}

SPQ_INSIDE uint32_t code_word(const spq_spiking *L, const uint8_t *row, uint16_t k) {
    if (SPQ_LOADS == 1u || L->load == 0) return ((const uint32_t *)(const void *)row)[k];
    return narrow_row(L, row);
}

/* Lanes of 8 bits to sums. */
SPQ_INSIDE uint32_t *add_bytes(uint32_t *sums, uint32_t lanes, uint32_t lifted) {
    sums[0] += (lanes & BYTES) - lifted;
    sums[1] += (lanes >> 8 & BYTES) - lifted;
    return sums + 2;
}

/* Sums of one or two words of fields, of the even ones and of what is shifted by a field: that holds the odd ones, and
 * the even ones of the next lanes, which are taken off later. */
typedef struct {
    uint32_t even[2], shifted[2];
} spq_field_sums;

SPQ_INSIDE spq_field_sums sum_fields(const spq_spiking *L, const uint16_t *list, const uint16_t *stop,
                                     const uint8_t *codes, const uint16_t words, uint32_t mask, uint32_t bits) {
    spq_field_sums sums = {{0, 0}, {0, 0}};
    do {
        const uint8_t *row = codes + *list++;
        const uint32_t word = code_word(L, row, 0);
        sums.even[0] += word & mask, sums.shifted[0] += word >> bits;
        if (words > 1) {
            const uint32_t next = code_word(L, row, 1);
            sums.even[1] += next & mask, sums.shifted[1] += next >> bits;
        }
    } while (list < stop);
    return sums;
}

/* Fields of 2 bits of one or two words grow to lanes of 4 bits, and to lanes of 8, before they overflow. */
SPQ_INSIDE void add_pairs(const spq_spiking *L, const uint16_t *list, const uint16_t *end, const uint8_t *codes,
                          const uint16_t words, uint32_t lifted, uint32_t *sums) {
    uint32_t lanes[8];
    for (uint16_t i = 0; i < 4 * words; i++) lanes[i] = 0;
    do {
        const uint16_t *stop = end - list > L->few ? list + L->few : end;
        const spq_field_sums found = sum_fields(L, list, stop, codes, words, PAIRS, 2);
        list = stop;
        for (uint16_t w = 0; w < words; w++) {
            const uint32_t even = found.even[w], odd = found.shifted[w] - (even >> 4 << 2);
            lanes[4 * w] += even & NIBBLES, lanes[4 * w + 1] += odd & NIBBLES;
            lanes[4 * w + 2] += even >> 4 & NIBBLES, lanes[4 * w + 3] += odd >> 4 & NIBBLES;
        }
    } while (list < end);
    for (uint16_t i = 0; i < 4 * words; i++) sums = add_bytes(sums, lanes[i], lifted);
}

SPQ_INSIDE void add_nibbles(const spq_spiking *L, const uint16_t *list, const uint16_t *end, const uint8_t *codes,
                            const uint16_t words, uint32_t *sums) {
    do {
        const uint16_t *stop = end - list > L->many ? list + L->many : end;
        const uint32_t lifted = LANES((uint32_t)(stop - list) << L->lift);
        const spq_field_sums found = sum_fields(L, list, stop, codes, words, NIBBLES, 4);
        list = stop;
        uint32_t *to = sums;
        for (uint16_t w = 0; w < words; w++) {
            to = add_bytes(to, found.even[w], lifted);
            to = add_bytes(to, found.shifted[w] - (found.even[w] >> 8 << 4), lifted);
        }
    } while (list < end);
}

SPQ_INSIDE void add_octets(const spq_spiking *L, const uint16_t *list, const uint16_t *end, const uint8_t *codes,
                           uint32_t lifted, uint32_t *sums) {
    uint32_t even = 0, odd = 0;
    do {
        const uint32_t word = code_word(L, codes + *list++, 0);
        even += word & BYTES, odd += word >> 8 & BYTES;
    } while (list < end);
    sums[0] += even - lifted, sums[1] += odd - lifted;
}

/* Whether fields are of a width, where not all are. */
#define FIELDS(b) ((SPQ_FIELDS & (b)) && (SPQ_FIELDS == (b) || L->bits == (b)))

/* Add the rows of a list to its sums. */
SPQ_INSIDE void add_list(const spq_spiking *L, const spq_list *of, const uint8_t *codes) {
    const uint16_t *list = of->begin, *end = of->end;
    uint32_t *sums = of->sums;
    const uint32_t lifted = LANES((uint32_t)(end - list) << L->lift);
    const uint16_t pairs = SPQ_ODD_WORDS ? L->words & 0xFFFEu : L->words;
    uint16_t word = 0;
    for (; word < pairs; word = (uint16_t)(word + 2), codes += 8) {
        if (FIELDS(2u)) {
            add_pairs(L, list, end, codes, 2, lifted, sums), sums += 16;
        } else if (FIELDS(4u)) {
            add_nibbles(L, list, end, codes, 2, sums), sums += 8;
        } else if (FIELDS(8u)) {
            add_octets(L, list, end, codes, lifted, sums);
            add_octets(L, list, end, codes + 4, lifted, sums + 2), sums += 4;
        }
    }
    if (SPQ_ODD_WORDS && word < L->words) {
        if (FIELDS(2u)) add_pairs(L, list, end, codes, 1, lifted, sums);
        else if (FIELDS(4u)) add_nibbles(L, list, end, codes, 1, sums);
        else if (FIELDS(8u)) add_octets(L, list, end, codes, lifted, sums);
    }
}

/* A function that adds the rows of a list, of a layer or of all. */
typedef void (*spq_adder)(const spq_spiking *L, const spq_list *of, const uint8_t *codes);

/* Add a list that is not empty, and empty it. */
SPQ_INSIDE void empty_list(const spq_spiking *L, spq_lists *lists, uint16_t k, spq_adder add) {
    spq_list *const list = lists->list + k;
    if (list->end > list->begin) add(L, list, lists->codes);
    list->end = list->begin;
}

/* List spikes of a unit, the first of which has its codes at `offset`. */
SPQ_INSIDE void list_unit(const spq_spiking *L, spq_list *list, uint32_t spikes, uint32_t offset) {
    uint16_t *end = list->end;
    spikes <<= 16;
    do {
        if (spikes >> 31) *end++ = (uint16_t)offset;
        offset += L->step;
        spikes <<= 1;
    } while (spikes);
    list->end = end;
}

/* List the spikes of a pixel, in each of its places of the kernel: from `offset` on, and where sums are pooled `rows` by
 * `columns` others before it. */
SPQ_INSIDE void list_pixel(const spq_spiking *L, spq_lists *lists, const uint16_t *unit, uint32_t offset, uint16_t rows,
                           uint16_t columns, spq_adder add) {
    for (uint16_t u = 0; u < L->units; u++) {
        uint32_t all = unit[0], any = unit[0];
        for (uint16_t t = 1; t < SPQ_STEPS; t++) all &= unit[t], any |= unit[t];
        if (any) {
            for (uint16_t k = 0; k < LISTS; k++) {
                const uint32_t spikes = k ? unit[k - 1] ^ all : all;
                if (!spikes) continue;
                spq_list *list = lists->list + k;
                uint32_t place = offset;
                uint16_t r = SPQ_POOLS ? rows : 1;
                do {
                    uint32_t at = place;
                    uint16_t c = SPQ_POOLS ? columns : 1;
                    do {
                        if (list->end > list->begin + (SPQ_LIST - SPQ_SPARE - 16)) empty_list(L, lists, k, add);
                        list_unit(L, list, spikes, at);
                        at -= L->column_step; /* of pools whose sums lie a place apart */
                    } while (--c);
                    place -= L->row_step;
                } while (--r);
            }
        }
        unit += SPQ_STEPS;
        offset += (uint32_t)L->step << 4;
    }
}

#endif
