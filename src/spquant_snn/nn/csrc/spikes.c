/* Spikes and pixels as bytes and as bits: whole numbers of 0 to 255 that torch holds as float32. */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Bytes of whole numbers; returns the largest, or -1 if one is not a whole number of 0 to 255. */
int32_t spikes_narrow(size_t count, const float *restrict x, uint8_t *restrict bytes) {
    int32_t largest = 0, other = 0;
    for (size_t i = 0; i < count; i++) {
        const int32_t whole = (int32_t)(x[i] >= 0.0f && x[i] <= 255.0f ? x[i] : 0.0f);
        other |= (float)whole != x[i];
        largest = whole > largest ? whole : largest;
        bytes[i] = (uint8_t)whole;
    }
    return other ? -1 : largest;
}

/* Bits of bytes of 0 and 1, eight to a byte, the first the lowest; returns how many are 1. */
size_t spikes_pack(size_t count, const uint8_t *restrict bytes, uint8_t *restrict bits) {
    size_t ones = 0;
    for (size_t i = 0; i < count; i++) ones += bytes[i];
    for (size_t i = 0; i + 8 <= count; i += 8) {
        unsigned byte = 0;
        for (int k = 0; k < 8; k++) byte |= (unsigned)bytes[i + (size_t)k] << k;
        bits[i / 8] = (uint8_t)byte;
    }
    if (count % 8) {
        unsigned byte = 0;
        for (size_t i = count - count % 8; i < count; i++) byte |= (unsigned)bytes[i] << i % 8;
        bits[count / 8] = (uint8_t)byte;
    }
    return ones;
}

/* The numbers that the bits stand for, as float32. */
void spikes_unpack(size_t count, const uint8_t *restrict bits, float *restrict x) {
    for (size_t i = 0; i + 8 <= count; i += 8)
        for (int k = 0; k < 8; k++) x[i + (size_t)k] = (float)(bits[i / 8] >> k & 1);
    for (size_t i = count - count % 8; i < count; i++) x[i] = (float)(bits[i / 8] >> i % 8 & 1);
}

/* The same as bfloat16, of which 0x3f80 is one. */
void spikes_unpack_bf16(size_t count, const uint8_t *restrict bits, uint16_t *restrict x) {
    for (size_t i = 0; i + 8 <= count; i += 8)
        for (int k = 0; k < 8; k++) x[i + (size_t)k] = (uint16_t)(0x3f80 * (bits[i / 8] >> k & 1));
    for (size_t i = count - count % 8; i < count; i++) x[i] = (uint16_t)(0x3f80 * (bits[i / 8] >> i % 8 & 1));
}
