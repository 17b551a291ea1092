/* stream: images from a file, their answers into another, and into a third how deep the stack went. */
#include "host.h"
#include "model.h"

static uint8_t image[MODEL_PIXELS];
static int32_t answers[MODEL_ANSWERS];

int main(void) {
    const int32_t in = open_file("images.bin", 10, 1), out = open_file("logits.bin", 10, 5); /* rb, wb */
    const int32_t report = open_file("stack.bin", 9, 5);
    if (in < 0 || out < 0 || report < 0) return 98;
    paint();
    while (transfer(BOARD_READ, in, image, sizeof image) == 0) {
        mark_begin();
        model_run(image, answers);
        mark_end();
        if (transfer(BOARD_WRITE, out, answers, sizeof answers) != 0) return 97;
    }
    const uint32_t depth = deepest();
    return transfer(BOARD_WRITE, report, &depth, sizeof depth) == 0 ? 0 : 97;
}
