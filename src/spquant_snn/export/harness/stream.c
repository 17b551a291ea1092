/* stream: images from a file, their logits into another, and into a third how deep the stack went.
 *
 * What lies between mark_begin and mark_end is counted by those who run this program. */
#include "board.h"
#include "model.h"

#define PAINT 0xA5A5A5A5u

extern uint32_t link_stack_low, link_stack_top;

void mark_begin(void);
void mark_end(void);

__attribute__((noinline)) void mark_begin(void) {
    __asm__ volatile("" ::: "memory");
}

__attribute__((noinline)) void mark_end(void) {
    __asm__ volatile("" ::: "memory");
}

static uint8_t image[MODEL_PIXELS];
static int32_t logits[MODEL_ANSWERS];

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
static void paint(void) {
    volatile uint32_t here;
    for (volatile uint32_t *word = &link_stack_low; word + 16 < &here; word++) *word = PAINT;
}

static uint32_t deepest(void) {
    const volatile uint32_t *word = &link_stack_low;
    while (word < &link_stack_top && *word == PAINT) word++;
    return 4u * (uint32_t)(&link_stack_top - word);
}

int main(void) {
    const int32_t in = open_file("images.bin", 10, 1), out = open_file("logits.bin", 10, 5); /* rb, wb */
    const int32_t report = open_file("stack.bin", 9, 5);
    if (in < 0 || out < 0 || report < 0) return 98;
    paint();
    while (transfer(BOARD_READ, in, image, sizeof image) == 0) {
        mark_begin();
        model_run(image, logits);
        mark_end();
        if (transfer(BOARD_WRITE, out, logits, sizeof logits) != 0) return 97;
    }
    const uint32_t depth = deepest();
    return transfer(BOARD_WRITE, report, &depth, sizeof depth) == 0 ? 0 : 97;
}
