/* selftest: whether the network computes here what the reference does; the exit code is what model_selftest returns. */
#include "board.h"
#include "model.h"

int main(void) {
    return model_selftest();
}
