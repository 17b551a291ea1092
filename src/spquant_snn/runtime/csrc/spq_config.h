/* What of the source a network uses. Here that is all of it, for hosts; an export writes its own, so that a device
 * holds nothing that it does not run. */
#ifndef SPQ_CONFIG_H
#define SPQ_CONFIG_H

#include <stdint.h>

#define SPQ_FORMS 0x7FFu     /* bit f: connections of form f */
#define SPQ_POOLS 3u         /* 1: pools on spikes, 2: pools on counts */
#define SPQ_FIELDS 0x10114u  /* bit b: packed codes in fields of b bits, in tiles of 32 outputs */
#define SPQ_HALF_FIELDS 0x10116u /* the same in tiles of 16; bit 1: fields of 2 bits in rows of bytes */
#define SPQ_DECIDES 0x10101u /* bit w: packed neurons in lanes of w bits; bit 0: neurons of 32 bits */
#define SPQ_FIRES 0xFu       /* bit k: packed neurons of 8 bits, 16 bits (+ 1), and of 4 levels instead of 3 (+ 2) */
#define SPQ_SETTLES 0xFFu    /* bit k: sums for lanes of 16 bits (+ 1), of fields of 8 bits and more (+ 2), with a
                                fraction (+ 4), in tiles of 32 outputs */
#define SPQ_HALF_SETTLES 0xFFu /* the same in tiles of 16 */
#define SPQ_CODES 0xFFFFFFu  /* neurons of 32 bits; bit n: n levels, 15 for 16; bit 16 + b % 8: scaled, b bits */
#define SPQ_SORTED 0         /* edges of all neurons of 32 bits rise */
#define SPQ_BLOCKS 1         /* blocks of neurons that need no sums */
#define SPQ_SHORTCUTS 1      /* sums to which spikes of an earlier layer add */
#define SPQ_TERMS 1          /* the general form: sums of any terms, inputs and readouts of any number and kind */
#define SPQ_TRACES 1         /* traces of spikes and codes */
#define SPQ_HOST 1           /* batches, loops for lanes, and what is fast on hosts alone */

typedef uint32_t spq_event;   /* where the codes of an input start in a row of the kernel */
typedef int32_t spq_constant; /* of a neuron, but for its threshold: 16 bits where flash is scarce and all of a
                                 network fit in them */

#endif
