/* sums: the weight codes of the inputs that spiked, added up for one output pixel. */
#ifndef SPQ_SUMS_H
#define SPQ_SUMS_H

#include "events.h"

/* Write the sums [units * 16] of the output that looks at columns from x on, int32 or int16 as the connection says;
 * tiles whose mark is not 0 are skipped, where there are marks. */
void spq_sum(const spq_connection *connection, const spq_lists *lists, const spq_view *view, int32_t x,
             const uint8_t *marks, void *sums);

/* Write the wide sums of an output whose runs are known, of any form but SPQ_GROUPED. */
void spq_sum_runs(const spq_connection *connection, const spq_lists *lists, const spq_run *runs, int32_t count,
                  int32_t *sums);

/* Of SPQ_GROUPED: add to the sums what the events in column x of a line make with the codes of column kx. */
void spq_sum_tap(const spq_connection *connection, const spq_lists *lists, const spq_line *line, int32_t x, int32_t kx,
                 int32_t *sums);

#endif
