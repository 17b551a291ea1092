/* start: from reset to main, on a 32-bit RISC-V that starts in memory. */
#include "board.h"

extern uint32_t link_bss_start, link_bss_end;

void start_main(void);
void fault_handler(void);

__attribute__((section(".vectors"), naked, used)) void reset_handler(void) {
    __asm__ volatile("la sp, link_stack_top\n la t0, fault_handler\n csrw mtvec, t0\n j start_main");
}

__attribute__((aligned(4))) void fault_handler(void) {
    board_exit(99);
}

void start_main(void) {
    for (volatile uint32_t *to = &link_bss_start; to < &link_bss_end; to++) *to = 0;
    board_exit(main());
}
