/* check: what this build can run, whether a network is that, and its arena as large as it needs. */
#include "check_common.h"
#include "compilers.h"
#include "packed.h"
#include "sliced.h"

static int32_t check_form(const spq_network *network, int32_t index) {
    const spq_connection *c = &network->layers[index].connection;
    const spq_scratch *s = &network->scratch;
    const uint32_t size = network->arena_size;
    if (c->form == SPQ_PRODUCTS && spq_check_products(c) != SPQ_OK) return SPQ_BAD_SHAPE;
    if (c->form < SPQ_ADD8 || (c->form >= SPQ_IDENTITY && c->form != SPQ_PRODUCTS)) return SPQ_BAD_SHAPE;
    if (c->quads) {
        const int32_t quads = index == 0 ? SPQ_BAD_SHAPE : spq_check_quads(&network->layers[index], s, size);
        if (quads != SPQ_OK) return quads;
    }
    if (c->form == SPQ_DENSE) return spq_check_dense(c, s, index == 0, size);
    if (c->form == SPQ_SLICED) return spq_check_sliced(&network->layers[index], s, size);
    if (c->form == SPQ_PACKED && spq_check_packed(c, network->layers[index].neuron) != SPQ_OK) return SPQ_BAD_SHAPE;
    return spq_check_events(c, s, network->layers[index].blocks != 0, size);
}

/* A shortcut starts at an earlier layer, and its sums are as many and as wide as those that it adds to. */
static int32_t check_shortcut(const spq_network *network, int32_t index) {
    const spq_shortcut *shortcut = network->layers[index].shortcut;
    const spq_connection *c = &shortcut->connection, *main = &network->layers[index].connection;
    const spq_scratch *s = &network->scratch;
    const uint32_t size = network->arena_size;
    if (shortcut->source < 0 || shortcut->source >= index || spq_decides(main)) return SPQ_BAD_SHAPE;
    if (spq_check_sizes(c) != SPQ_OK) return SPQ_BAD_SHAPE;
    const spq_connection *source = &network->layers[shortcut->source].connection;
    if (c->width != source->out_width || c->height != source->out_height || c->channels != source->outputs ||
        c->out_width != main->out_width || c->out_height != main->out_height || c->outputs != main->outputs ||
        c->units != main->units || c->tiles != main->tiles || c->wide != main->wide || c->pool_count)
        return SPQ_BAD_SHAPE;
    const spq_neuron *neuron = network->layers[index].neuron;
    const int32_t in_slices = main->form == SPQ_SLICED && neuron->planes;
    if (in_slices && (c->form != SPQ_IDENTITY || neuron->plane_rows != 10)) return SPQ_BAD_SHAPE;
    if (c->form == SPQ_IDENTITY)
        return c->channels == c->outputs && c->width == c->out_width && c->height == c->out_height && c->codes16
                   ? SPQ_OK
                   : SPQ_BAD_SHAPE;
    if (c->form == SPQ_PACKED && (spq_check_packed(c, 0) != SPQ_OK || c->packed->lanes)) return SPQ_BAD_SHAPE;
    if (c->form == SPQ_DENSE || c->form == SPQ_SLICED || c->form > SPQ_IDENTITY || c->row < 1) return SPQ_BAD_SHAPE;
    if (c->form == SPQ_GROUPED && !c->wide) return SPQ_BAD_SHAPE;
    const spq_scratch beside = {.starts = s->beside_starts, .events = s->beside_events, .values = s->beside_values,
                                .lines = s->lines, .runs = s->runs};
    if (!fits(s->beside_sums, row_of_sums(c), size)) return SPQ_BAD_ARENA;
    return spq_check_events(c, &beside, 0, size);
}

static int32_t check_layer(const spq_network *network, int32_t index) {
    const spq_layer *layer = &network->layers[index];
    const spq_connection *c = &layer->connection;
    const spq_scratch *s = &network->scratch;
    const uint32_t size = network->arena_size;
#if SPQ_TERMS
    if (c->form == SPQ_TERMS_SUMMED) return spq_check_terms(network, index);
#endif
    if (layer->terms) return SPQ_BAD_SHAPE;
    if (spq_check_sizes(c) != SPQ_OK || (SPQ_HAS_LANES && (c->units & 1))) return SPQ_BAD_SHAPE;
    const int32_t plain = c->form != SPQ_GROUPED && c->form != SPQ_PACKED && c->form != SPQ_PRODUCTS;
    if (plain && c->row != c->units * SPQ_UNIT) return SPQ_BAD_SHAPE;
    if (c->form == SPQ_PACKED && (c->units & 1)) return SPQ_BAD_SHAPE;
    const int32_t form = check_form(network, index);
    if (form != SPQ_OK) return form;
    if (!spq_decides(c) && !fits(s->sums, row_of_sums(c), size)) return SPQ_BAD_ARENA;
    const int32_t pools = spq_check_pools(c, s, index == 0, size);
    if (pools != SPQ_OK) return pools;
    if (!layer->neuron)
        return c->wide && c->out_height == 1 && c->out_width == 1 ? SPQ_OK
                                                                                                     : SPQ_BAD_SHAPE;
    if (layer->shortcut) {
        const int32_t beside = check_shortcut(network, index);
        if (beside != SPQ_OK) return beside;
    }
    const spq_blocks *blocks = layer->blocks;
    if (blocks) {
        if (c->form == SPQ_DENSE || blocks->channels != c->outputs || (blocks->silent && !blocks->rest))
            return SPQ_BAD_SHAPE;
        if (blocks->silent && (layer->neuron->scaled || layer->neuron->bits > 4)) return SPQ_BAD_SHAPE;
        if (blocks->count && (index == 0 || !blocks->code || !blocks->least)) return SPQ_BAD_SHAPE;
        if (!fits(s->marks, times(c->out_width, c->tiles), size)) return SPQ_BAD_ARENA;
    }
    return spq_check_neurons(network, layer);
}

int32_t spq_check(const spq_network *network, uint32_t arena_size) {
    if (network->general && !SPQ_TERMS) return SPQ_BAD_BODY;
    const int32_t general = network->general && network->general->readout_count; /* readouts */
    if (network->layer_count < (general ? 0 : network->general ? 1 : 2)) return SPQ_BAD_SHAPE;
    if (network->timesteps < 1 || network->steps < 1) return SPQ_BAD_SHAPE;
    if (network->shared && network->timesteps > network->steps) return SPQ_BAD_STEPS;
    if (arena_size < network->arena_size) return SPQ_BAD_ARENA;
#if SPQ_TERMS
    if (network->general && spq_check_inputs(network->general) != SPQ_OK) return SPQ_BAD_SHAPE;
#endif
    for (int32_t i = 0; i < network->layer_count; i++) {
        const int32_t hidden = general || i + 1 < network->layer_count;
        if ((network->layers[i].neuron != 0) != hidden) return SPQ_BAD_SHAPE;
        const int32_t code = check_layer(network, i);
        if (code != SPQ_OK) return code;
    }
#if SPQ_TERMS
    const int32_t readouts = network->general ? spq_check_readouts(network) : SPQ_OK;
    if (general || readouts != SPQ_OK) return readouts;
#endif
    const spq_connection *readout = &network->layers[network->layer_count - 1].connection;
    return fits(network->logits, 4u * (uint64_t)readout->outputs, network->arena_size) ? SPQ_OK : SPQ_BAD_ARENA;
}

int32_t spq_body(void) {
#if SPQ_HAS_SLICED
    return SPQ_AVX512_SLICED;
#elif SPQ_VECTORS && defined(__AVX512BW__)
    return SPQ_AVX512;
#elif SPQ_VECTORS && defined(__AVX2__)
    return SPQ_AVX2;
#elif SPQ_VECTORS && defined(__aarch64__) && defined(__ARM_NEON)
    return SPQ_NEON;
#else
    return SPQ_PORTABLE_BODY;
#endif
}
