/* Log-mel spectrograms of sound in integers; see log_mel.py for the definition. Right shifts of negative numbers are
   arithmetic, as every compiler for the machines in question has them. */
#include "log_mel.h"
#include "log_mel_tables.h"

#define HALF 256 /* complex values of the transform, which are 512 real ones */

typedef struct {
    int32_t re, im;
} Complex;

/* z times the twiddle exp(-2 pi i k / 512), rounded half up. */
static Complex turned(Complex z, int k) {
    const int64_t c = log_mel_cosines[k], s = log_mel_sines[k];
    const Complex out = {(int32_t)((z.re * c - z.im * s + 8192) >> 14), (int32_t)((z.re * s + z.im * c + 8192) >> 14)};
    return out;
}

static void transform(Complex z[HALF]) {
    for (int i = 0, j = 0; i < HALF; ++i) { /* j: the bits of i reversed */
        if (i < j) {
            const Complex other = z[i];
            z[i] = z[j];
            z[j] = other;
        }
        int bit = HALF >> 1;
        for (; j & bit; bit >>= 1) j ^= bit;
        j |= bit;
    }
    for (int span = 1; span < HALF; span *= 2) {
        for (int first = 0; first < HALF; first += 2 * span) {
            for (int i = 0; i < span; ++i) {
                Complex *a = z + first + i, *b = a + span;
                const Complex other = turned(*b, i * (HALF / span));
                b->re = a->re - other.re;
                b->im = a->im - other.im;
                a->re += other.re;
                a->im += other.im;
            }
        }
    }
}

/* Power of bin k, without fractional bits. */
static uint64_t power(const Complex z[HALF], int k) {
    const Complex a = z[k % HALF], b = z[(HALF - k) % HALF];
    const Complex odd = {a.im + b.im, b.re - a.re}, other = turned(odd, k);
    const int64_t re = (int64_t)a.re + b.re + other.re, im = (int64_t)a.im - b.im + other.im;
    return (uint64_t)(re * re + im * im) >> 12;
}

/* floor(8 log2 E); 0 for 0. */
static int eighths(uint64_t energy) {
    int octave = 0, step = 0;
    if (energy == 0) return 0;
    for (uint64_t left = energy; left > 1; left >>= 1) ++octave;
    const uint32_t mantissa = (uint32_t)(octave > 15 ? energy >> (octave - 15) : energy << (15 - octave));
    while (step < 7 && mantissa >= log_mel_octave[step]) ++step;
    return 8 * octave + step;
}

void log_mel_frame(const int16_t samples[LOG_MEL_WINDOW], uint8_t bands[LOG_MEL_BANDS]) {
    Complex z[HALF];
    const uint16_t *weight = log_mel_weights;
    for (int i = 0; i < HALF; ++i) {
        const int within = 2 * i < LOG_MEL_WINDOW;
        z[i].re = within ? (samples[2 * i] * (int32_t)log_mel_window[2 * i] + 256) >> 9 : 0;
        z[i].im = within ? (samples[2 * i + 1] * (int32_t)log_mel_window[2 * i + 1] + 256) >> 9 : 0;
    }
    transform(z);
    for (int band = 0; band < LOG_MEL_BANDS; ++band) {
        uint64_t energy = 0;
        for (int i = 0; i < log_mel_lengths[band]; ++i) energy += *weight++ * power(z, log_mel_starts[band] + i);
        const int level = eighths(energy) - LOG_MEL_FLOOR;
        bands[band] = (uint8_t)(level < 0 ? 0 : level > 255 ? 255 : level);
    }
}
