/* shortcut: what the spikes of an earlier layer add to the sums of a row. */
#ifndef SPQ_SHORTCUT_H
#define SPQ_SHORTCUT_H

#include "spq.h"

/* Add the codes of an identity, shifted to the left, of the channels that spiked in row `row`. */
void spq_add_identity(const spq_connection *connection, int32_t shift, const uint32_t *spikes, int32_t row,
                      void *sums);

/* Add to row `row` of the sums, int32 or int16 as the connection says.
 *
 * spikes: bitmaps of the layer that the shortcut starts at. */
void spq_add_shortcut(const spq_shortcut *shortcut, const spq_scratch *scratch, void *arena, const uint32_t *spikes,
                      int32_t row, void *sums);

#endif
