/* steps: sequences from a file, frame by frame, the answers behind each frame into another, and into a third how deep
 * the stack went. A fourth holds how many frames each sequence has. */
#include "host.h"
#include "model.h"

static uint8_t frame[MODEL_PIXELS];

int main(void) {
    const int32_t in = open_file("images.bin", 10, 1), out = open_file("logits.bin", 10, 5); /* rb, wb */
    const int32_t lengths = open_file("lengths.bin", 11, 1), report = open_file("stack.bin", 9, 5);
    uint32_t left;
    if (in < 0 || out < 0 || lengths < 0 || report < 0) return 98;
    paint();
    while (transfer(BOARD_READ, lengths, &left, sizeof left) == 0) {
        model_reset();
        for (; left; left--) {
            if (transfer(BOARD_READ, in, frame, sizeof frame) != 0) return 96;
            mark_begin();
            const int32_t *answers = model_step(frame);
            mark_end();
            if (!answers) return 95;
            if (transfer(BOARD_WRITE, out, answers, MODEL_ANSWERS * sizeof *answers) != 0) return 97;
        }
    }
    const uint32_t depth = deepest();
    return transfer(BOARD_WRITE, report, &depth, sizeof depth) == 0 ? 0 : 97;
}
