/* sums: the weight codes of the inputs that spiked, added up for one output pixel. */
#ifndef SPQ_SUMS_H
#define SPQ_SUMS_H

#include "events.h"

/* Write the sums [units * 16] of the output that looks at columns from x on, int32 or int16 as the connection says;
 * tiles whose mark is not 0 are skipped, where there are marks. */
void spq_sum(const spq_connection *connection, const spq_lists *lists, const spq_view *view, int32_t x,
             const uint8_t *marks, void *sums);

#endif
