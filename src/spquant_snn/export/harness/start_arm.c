/* start: from reset to main, on a Cortex-M. */
#include "board.h"

extern uint32_t link_data_start, link_data_end, link_data_from, link_bss_start, link_bss_end, link_stack_top;

void reset_handler(void);
void fault_handler(void);

void reset_handler(void) {
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20; /* coprocessors 10 and 11: floating point and MVE */
    __asm__ volatile("dsb\n isb");
#endif
    const uint32_t *from = &link_data_from;
    for (volatile uint32_t *to = &link_data_start; to < &link_data_end; to++) *to = *from++;
    for (volatile uint32_t *to = &link_bss_start; to < &link_bss_end; to++) *to = 0;
    board_exit(main());
}

void fault_handler(void) {
    board_exit(99);
}

typedef void (*handler)(void);

typedef struct {
    uint32_t *stack;
    handler handlers[15];
} vector_table;

__attribute__((section(".vectors"), used)) const vector_table vectors = {
    &link_stack_top,
    {reset_handler, fault_handler, fault_handler, fault_handler, fault_handler, fault_handler, fault_handler, 0, 0, 0,
     0, fault_handler, fault_handler, 0, fault_handler},
};
