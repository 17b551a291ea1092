/* sliced: sums in bit slices. A register holds one bit of 512 counters, and a full adder of two instructions adds an
 * event to all of them; AVX-512 only, and never needed. */
#ifndef SPQ_SLICED_H
#define SPQ_SLICED_H

#include "events.h"
#include "neuron.h"

#if SPQ_VECTORS && defined(__AVX512BW__) && defined(__AVX512VBMI2__)
#define SPQ_HAS_SLICED 1
#else
#define SPQ_HAS_SLICED 0
#endif

#define SPQ_WORDS 16       /* of a register */
#define SPQ_MOST_PLANES 16 /* of a counter */
#define SPQ_TOGETHER 128   /* words behind a gate */
#define SPQ_MOST_PARTS 24  /* of a code */

/* How many are counted where so many are needed: an even number, six at least. */
static inline int32_t spq_plane_count(int32_t planes) {
    return planes <= 6 ? 6 : (planes + 1) & ~1;
}

/* Events of a frame by groups of as many columns as lie between two outputs, so that those under one group of the
 * kernel's columns are one run. An event is (y * stride + column in the group) * channels + channel. */
typedef struct {
    int32_t height, width, channels;
    int32_t stride, pad, groups; /* the first group starts `pad` columns outside */
    int32_t above;               /* rows above and below the image that are listed too */
    int32_t silent;              /* what did not spike is listed, where that is less; padding too, for it never does */
    uint32_t pitch;              /* from one group to the next */
    uint16_t *events;            /* [groups][pitch], each group ended by 0xFFFF */
    uint32_t *heads;             /* [rows + 1][groups] where the events of a row start in their group */
} spq_columns;

/* Rows that are listed. */
static inline int32_t spq_listed(const spq_columns *c) {
    return c->height + 2 * c->above;
}

/* Inputs under a group of the kernel's columns. */
static inline int32_t spq_slice_rows(const spq_connection *c) {
    return c->kernel_height * c->slices->stride * c->channels;
}

static inline int32_t spq_groups(const spq_connection *c) {
    return c->out_width + c->slices->slots - 1;
}

/* Rows of which the neurons behind a gate are computed together: as many as have SPQ_TOGETHER words, SPQ_WORDS rows at
 * most. */
static inline int32_t spq_rows_at_once(const spq_connection *c) {
    const int32_t words = c->out_width * c->tiles;
    int32_t rows = 1;
    if (words >= SPQ_TOGETHER) return rows;
    while (rows < SPQ_WORDS && rows < c->out_height && (rows + 1) * words <= SPQ_TOGETHER) rows++;
    return rows;
}

/* Counters of outputs, bit by bit: plane p of part k is [outputs][spread][tiles] words at
 * words + (k * plane_count + p) * pitch. */
typedef struct {
    int32_t plane_count, pitch;
    uint32_t *words;
    int32_t *shifts; /* [outputs][tiles] what raised codes put on top of the sum, for each word */
    int32_t most;    /* events of any output */
    int32_t silent;  /* of inputs that did not spike */
} spq_counters;

/* A row of outputs and what lies under it. */
typedef struct {
    const spq_connection *connection;
    const spq_columns *columns;
    int32_t top;         /* first row under the kernel, which may be outside */
    int32_t from, to;    /* of those, the rows inside */
    int32_t count;       /* of outputs that are wanted */
    const int32_t *open; /* their columns, rising; none: all */
} spq_sweep;

/* Events under an output of a row, and then under the next. */
typedef struct {
    const uint32_t *from, *to; /* heads of the groups under the first output that is still to come */
    int32_t slots, events;     /* of the groups before the last one under it */
} spq_below;

static inline spq_below spq_below_of(const spq_sweep *w) {
    const uint32_t *from = w->columns->heads + w->from * w->columns->groups;
    spq_below below = {from, w->columns->heads + w->to * w->columns->groups, w->connection->slices->slots, 0};
    for (int32_t group = 0; group < below.slots - 1; group++)
        below.events += (int32_t)(below.to[group] - below.from[group]);
    return below;
}

static inline int32_t spq_next_events(spq_below *below) {
    const int32_t last = below->slots - 1;
    const int32_t events = below->events + (int32_t)(below->to[last] - below->from[last]);
    below->events = events - (int32_t)(*below->to++ - *below->from++);
    return events;
}

/* So many events as inputs that spiked, of an output all of whose columns lie under the kernel. */
static inline int32_t spq_spiked(const spq_sweep *w, int32_t events) {
    const spq_connection *c = w->connection;
    return w->columns->silent ? c->kernel_height * c->kernel_width * c->channels - events : events;
}

#if SPQ_HAS_SLICED
/* Lists of a layer in `events` and `heads`, of its spikes or of what is silent. */
spq_columns spq_list_columns(const spq_connection *connection, const uint32_t *spikes, uint16_t *events,
                             uint32_t *heads);

/* The rows of the input under row `y` of the outputs. */
spq_sweep spq_sweep_of(const spq_connection *connection, const spq_columns *columns, int32_t y);

/* Write how many events lie under each output, times the lift, for each of its words; returns the most. */
int32_t spq_count_events(const spq_sweep *sweep, int32_t *shifts);

/* Bits that hold every potential of outputs whose events are counted. */
int32_t spq_potential_bits(const spq_connection *connection, const spq_neuron *neuron, const spq_counters *counters);

/* Room for so many outputs, of no more planes than `bits`. */
void spq_lay_planes(const spq_connection *connection, int32_t bits, int32_t outputs, spq_counters *counters);

/* Count the wanted outputs of a row, which are those from `output` on of the counters. */
void spq_count_row(const spq_sweep *sweep, int32_t output, const spq_counters *counters);

/* Neurons of a row, in bit slices; to their sums the spikes of an identity add, if there are any. */
void spq_fire_slices(const spq_connection *connection, const spq_neuron *neuron, const spq_counters *counters,
                     int32_t bits, const uint32_t *joined, const spq_neuron_row *neurons);

/* The counters as plain sums, int16 or int32 as the connection says. */
void spq_unslice_row(const spq_connection *connection, const spq_counters *counters, void *sums);
#endif

#endif
