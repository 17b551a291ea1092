/* shortcut: an identity adds the codes of the channels that spiked; any other connection is summed into a row of its
 * own, shifted and added. Sums fit their width by proven bounds; those of blocks that are skipped may hold anything
 * and wrap. */
#include "shortcut.h"
#include "lanes.h"
#include "sums.h"

void spq_add_identity(const spq_connection *c, int32_t shift, const uint32_t *spikes, int32_t row, void *sums) {
    const uint32_t *word = spikes + row * c->out_width * c->tiles;
    const int16_t *codes = c->codes16;
    int32_t *wide = (int32_t *)sums;
    int16_t *narrow = (int16_t *)sums;
    for (int32_t x = 0; x < c->out_width; x++, wide += c->units * SPQ_UNIT, narrow += c->units * SPQ_UNIT)
        for (int32_t base = 0; base < c->tiles * SPQ_LANES; base += SPQ_LANES) {
            uint32_t bits = *word++;
            for (int32_t channel = base; bits; bits >>= 1, channel++) {
                if (!(bits & 1u)) continue;
                const uint32_t code = (uint32_t)(int32_t)codes[channel] << shift;
                if (c->wide) wide[channel] = (int32_t)((uint32_t)wide[channel] + code);
                else narrow[channel] = (int16_t)((uint32_t)(int32_t)narrow[channel] + code);
            }
        }
}

#if SPQ_HAS_LANES
/* The same for narrow sums and codes that are shifted already: 32 channels at a time. */
static void add_identity_lanes(const spq_connection *c, const uint32_t *spikes, int32_t row, int16_t *sums) {
    const uint32_t *word = spikes + row * c->out_width * c->tiles;
    const spq_vector nothing = spq_same(0);
    for (int32_t x = 0; x < c->out_width; x++)
        for (int32_t tile = 0; tile < c->tiles; tile++, word++, sums += SPQ_LANES) {
            const spq_vector codes = spq_load(c->codes16 + tile * SPQ_LANES);
            spq_put(sums, spq_add(spq_load(sums), spq_choose(spq_mask_of(*word), codes, nothing)));
        }
}
#endif

static void add_row(const spq_connection *c, int32_t shift, const void *added, void *sums) {
    const int32_t count = c->out_width * c->units * SPQ_UNIT;
    if (c->wide) {
        const int32_t *from = (const int32_t *)added;
        int32_t *to = (int32_t *)sums;
        for (int32_t i = 0; i < count; i++) to[i] = (int32_t)((uint32_t)to[i] + ((uint32_t)from[i] << shift));
    } else {
        const int16_t *from = (const int16_t *)added;
        int16_t *to = (int16_t *)sums;
        for (int32_t i = 0; i < count; i++)
            to[i] = (int16_t)((uint32_t)(int32_t)to[i] + ((uint32_t)(int32_t)from[i] << shift));
    }
}

void spq_add_shortcut(const spq_shortcut *s, const spq_scratch *scratch, void *arena, const uint32_t *spikes,
                      int32_t row, void *sums) {
    const spq_connection *c = &s->connection;
    uint8_t *memory = (uint8_t *)arena;
#if SPQ_HAS_LANES
    if (SPQ_IS(c, SPQ_IDENTITY) && !c->wide && !s->shift) {
        add_identity_lanes(c, spikes, row, (int16_t *)sums);
        return;
    }
#endif
    if (SPQ_IS(c, SPQ_IDENTITY)) {
        spq_add_identity(c, s->shift, spikes, row, sums);
        return;
    }
    const spq_lists lists =
        spq_lists_of(c, (uint32_t *)(void *)(memory + scratch->beside_starts.offset),
                     (spq_event *)(void *)(memory + scratch->beside_events.offset),
                     (int32_t *)(void *)(memory + scratch->beside_values.offset));
    spq_view view = {0, (spq_line *)(void *)(memory + scratch->lines.offset),
                     (spq_run *)(void *)(memory + scratch->runs.offset)};
    const spq_source input = {0, spikes, 0};
    const int32_t top = row * c->step_height - c->pad_height, size = (c->wide ? 4 : 2) * c->units * SPQ_UNIT;
    uint8_t *added = memory + scratch->beside_sums.offset;
    for (int32_t i = 0; i < lists.rows; i++)
        if (top + i >= 0 && top + i < c->height) spq_list_row(&lists, &input, c->height, top + i, i);
    spq_look(c, &lists, top, 0, &view);
    for (int32_t column = 0, x = -c->pad_width; column < c->out_width; column++, x += c->step_width)
        spq_sum(c, &lists, &view, x, 0, added + column * size);
    add_row(c, s->shift, added, sums);
}
