/* Log-mel spectrograms of sound in integers: one frame of LOG_MEL_BANDS bytes from LOG_MEL_WINDOW samples. */
#ifndef LOG_MEL_H
#define LOG_MEL_H

#include <stdint.h>

#define LOG_MEL_BANDS 10
#define LOG_MEL_WINDOW 480 /* samples of a frame, at 16 kHz */
#define LOG_MEL_HOP 320    /* samples from one frame to the next */

/* Needs 2 KiB of stack. */
void log_mel_frame(const int16_t samples[LOG_MEL_WINDOW], uint8_t bands[LOG_MEL_BANDS]);

#endif
