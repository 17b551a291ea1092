/* host: files of the machine that emulates the board, the marks between which it counts, and how deep the stack went. */
#ifndef HOST_H
#define HOST_H

#include "board.h"

#define PAINT 0xA5A5A5A5u

extern uint32_t link_stack_low, link_stack_top;

/* What lies between the two is counted by those who run a program. */
void mark_begin(void);
void mark_end(void);

__attribute__((noinline)) void mark_begin(void) {
    __asm__ volatile("" ::: "memory");
}

__attribute__((noinline)) void mark_end(void) {
    __asm__ volatile("" ::: "memory");
}

#if defined(PROFILED_LAYERS)
/* What layers call as they begin: four bytes for each, which return at once. */
#define TEXT_OF(number) #number
#define LAYER_MARKS(number) TEXT_OF(number)
#if defined(__riscv)
__asm__(".pushsection .text.layer_marks, \"ax\"\n.balign 4\n.global layer_marks\n.option push\n.option norvc\n"
        "layer_marks:\n.rept " LAYER_MARKS(PROFILED_LAYERS) "\nret\n.endr\n.option pop\n.popsection\n");
#else
__asm__(".pushsection .text.layer_marks, \"ax\"\n.balign 4\n.thumb\n.global layer_marks\n.thumb_func\n"
        "layer_marks:\n.rept " LAYER_MARKS(PROFILED_LAYERS) "\nbx lr\nnop\n.endr\n.popsection\n");
#endif
#endif

static int32_t open_file(const char *name, uint32_t length, uint32_t mode) {
    const uint32_t arguments[3] = {(uint32_t)(uintptr_t)name, mode, length};
    return board_call(BOARD_OPEN, arguments);
}

/* How many bytes were left over. */
static int32_t transfer(int32_t request, int32_t file, const void *data, uint32_t size) {
    const uint32_t arguments[3] = {(uint32_t)file, (uint32_t)(uintptr_t)data, size};
    return board_call(request, arguments);
}

/* Paint the stack from its lowest word to a little below here. */
static __attribute__((noinline)) void paint(void) {
    volatile uint32_t here;
    for (volatile uint32_t *word = &link_stack_low; word + 16 < &here; word++) *word = PAINT;
}

static __attribute__((noinline)) uint32_t deepest(void) {
    const volatile uint32_t *word = &link_stack_low;
    while (word < &link_stack_top && *word == PAINT) word++;
    return 4u * (uint32_t)(&link_stack_top - word);
}

#endif
