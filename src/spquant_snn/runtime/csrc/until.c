/* until: images one after the other, each until it is decided. */
#include "run.h"

static int32_t first_answers(const spq_network *network) {
#if SPQ_TERMS
    const spq_general *general = network->general;
    if (general && general->readout_count) {
        const spq_connection *c = &general->readouts[0].connection;
        return c->out_height * c->out_width * c->outputs;
    }
#endif
    return network->layers[network->layer_count - 1].connection.outputs;
}

/* By how much the largest answer of the first readout leads the next. */
static uint32_t lead_of(const spq_network *network, void *arena) {
    const int32_t *answers = (const int32_t *)at(arena, network->logits), count = first_answers(network);
    int32_t first = 0, second = -1;
    for (int32_t i = 1; i < count; i++) {
        if (answers[i] > answers[first]) second = first, first = i;
        else if (second < 0 || answers[i] > answers[second]) second = i;
    }
    return second < 0 ? 0 : (uint32_t)answers[first] - (uint32_t)answers[second];
}

/* All layers take one step after the other, until the answer is decided. */
static int32_t run_until(const spq_network *network, void *arena, spq_frames *frames, int32_t steps, uint32_t margin,
                         const spq_trace *trace, int64_t step) {
    int32_t t = 0;
    while (t < steps) {
        spq_run_frames(network, arena, frames, 1, trace, step + t++);
        if (lead_of(network, arena) >= margin) break;
    }
    return t;
}

int32_t spq_until(const spq_network *network, void *arena, const uint8_t *image, int32_t steps, uint32_t margin) {
    spq_frames frames;
    spq_show(&frames, image, 1);
    spq_reset(network, arena);
    return run_until(network, arena, &frames, steps, margin, 0, 0);
}

#if SPQ_HOST
int32_t spq_batch(const spq_network *network, void *arena, uint32_t arena_size, const uint8_t *images, int64_t count,
                  int32_t steps, int64_t frame_pitch, int64_t image_pitch, int32_t *logits, int32_t *taken,
                  uint32_t margin, const spq_trace *trace) {
    const int32_t code = spq_check(network, arena_size);
    if (code != SPQ_OK) return code;
    if (steps < 0 || (network->shared && (taken || steps > network->steps))) return SPQ_BAD_STEPS;
    const spq_general *general = network->general && network->general->readout_count ? network->general : 0;
    const int32_t each = general && general->each_step && !taken;
    const int32_t classes =
        general ? general->answers : network->layers[network->layer_count - 1].connection.outputs;
    const int32_t *found = (const int32_t *)at(arena, network->logits);
    const int32_t length = steps ? steps : network->timesteps;
    for (int64_t n = 0; n < count; n++, images += image_pitch, logits += each ? length * classes : classes) {
        spq_frames frames = {images, frame_pitch, steps == 0, 0, each ? logits : 0}; /* hosts have all forms */
        spq_reset(network, arena);
        if (taken) taken[n] = run_until(network, arena, &frames, length, margin, trace, n * length);
        else spq_run_frames(network, arena, &frames, length, trace, n * length);
        for (int32_t i = 0; i < classes && !each; i++) logits[i] = found[i];
    }
    return SPQ_OK;
}
#endif
