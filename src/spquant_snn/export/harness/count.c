/* count: a plugin for QEMU that counts instructions, loads and stores between two addresses of the guest: in all, and
 * the instructions of the shortest and of the longest of these stretches. Where layers say by the address that they
 * call that they begin, it counts the instructions of each too, in all and the most of a stretch; what comes before the
 * first is counted last. It declares what it takes of QEMU's plugin interface, of which version 1 is, itself: a
 * distribution has it without its header.
 *
 * A block of instructions runs from its first to its last, and a function starts one: counting whole blocks is exact. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t plugin_id;
typedef uint32_t access;
struct block;
struct instruction;

extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct block *));
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct block *, void (*)(unsigned, void *), int, void *);
extern void qemu_plugin_register_vcpu_mem_cb(struct instruction *, void (*)(unsigned, access, uint64_t, void *), int,
                                             int, void *);
extern void qemu_plugin_register_atexit_cb(plugin_id, void (*)(plugin_id, void *), void *);
extern size_t qemu_plugin_tb_n_insns(const struct block *);
extern uint64_t qemu_plugin_tb_vaddr(const struct block *);
extern struct instruction *qemu_plugin_tb_get_insn(const struct block *, size_t);
extern bool qemu_plugin_mem_is_store(access);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;
__attribute__((visibility("default"))) int qemu_plugin_install(plugin_id id, const void *info, int count, char **options);

enum { MOST_LAYERS = 1 << 12 };

typedef struct {
    uint64_t all, before, most;
} layer_count;

static uint64_t begin, end, instructions, loads, stores, before, stretches, least, most;
static uint64_t first_layer, count_of_layers; /* address of what the first one calls, and how many there are */
static layer_count layers[MOST_LAYERS + 1], *layer = layers;
static bool counting, quick; /* quick: no loads and stores */
static const char *path;

static void on_begin(unsigned cpu, void *data) {
    (void)cpu, (void)data;
    counting = true;
    before = instructions;
    for (uint64_t i = 0; i <= count_of_layers; i++) layers[i].before = layers[i].all;
    layer = &layers[count_of_layers];
}

static void on_end(unsigned cpu, void *data) {
    (void)cpu, (void)data;
    const uint64_t taken = instructions - before;
    if (counting) {
        if (!stretches++ || taken < least) least = taken;
        if (taken > most) most = taken;
        for (layer_count *each = layers; each <= layers + count_of_layers; each++)
            if (each->all - each->before > each->most) each->most = each->all - each->before;
    }
    counting = false;
}

static void on_layer(unsigned cpu, void *index) {
    (void)cpu;
    layer = &layers[(uintptr_t)index];
}

static void on_block(unsigned cpu, void *size) {
    (void)cpu;
    if (counting) instructions += (uintptr_t)size, layer->all += (uintptr_t)size;
}

static void on_access(unsigned cpu, access what, uint64_t address, void *data) {
    (void)cpu, (void)address, (void)data;
    if (!counting) return;
    if (qemu_plugin_mem_is_store(what)) stores++;
    else loads++;
}

static void on_translated(plugin_id id, struct block *block) {
    const uint64_t from = qemu_plugin_tb_vaddr(block);
    const size_t size = qemu_plugin_tb_n_insns(block);
    (void)id;
    if (from == begin || from == end) { /* neither of the two functions counts */
        qemu_plugin_register_vcpu_tb_exec_cb(block, from == begin ? on_begin : on_end, 0, NULL);
        return;
    }
    if (from >= first_layer && from < first_layer + 4 * count_of_layers) { /* nor do these */
        qemu_plugin_register_vcpu_tb_exec_cb(block, on_layer, 0, (void *)(uintptr_t)((from - first_layer) / 4));
        return;
    }
    qemu_plugin_register_vcpu_tb_exec_cb(block, on_block, 0, (void *)(uintptr_t)size);
    for (size_t i = 0; i < size && !quick; i++)
        qemu_plugin_register_vcpu_mem_cb(qemu_plugin_tb_get_insn(block, i), on_access, 0, 3, NULL);
}

static void on_exit_(plugin_id id, void *data) {
    (void)id, (void)data;
    FILE *file = path ? fopen(path, "w") : NULL;
    if (!file) return;
    fprintf(file, "%llu %llu %llu %llu %llu\n", (unsigned long long)instructions, (unsigned long long)loads,
            (unsigned long long)stores, (unsigned long long)least, (unsigned long long)most);
    for (uint64_t i = 0; count_of_layers && i <= count_of_layers; i++)
        fprintf(file, "%llu %llu\n", (unsigned long long)layers[i].all, (unsigned long long)layers[i].most);
    fclose(file);
}

int qemu_plugin_install(plugin_id id, const void *info, int count, char **options) {
    (void)info;
    for (int i = 0; i < count; i++) {
        if (!strncmp(options[i], "begin=", 6)) begin = strtoull(options[i] + 6, NULL, 0);
        else if (!strncmp(options[i], "end=", 4)) end = strtoull(options[i] + 4, NULL, 0);
        else if (!strncmp(options[i], "first=", 6)) first_layer = strtoull(options[i] + 6, NULL, 0);
        else if (!strncmp(options[i], "layers=", 7)) count_of_layers = strtoull(options[i] + 7, NULL, 0);
        else if (!strncmp(options[i], "quick=", 6)) quick = options[i][6] == '1';
        else if (!strncmp(options[i], "out=", 4)) path = strdup(options[i] + 4);
    }
    if (count_of_layers > MOST_LAYERS) return 1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translated);
    qemu_plugin_register_atexit_cb(id, on_exit_, NULL);
    return 0;
}
