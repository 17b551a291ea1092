"""Log-mel features on an emulated microcontroller: the same bytes as in NumPy, and what a second of sound costs.

    python -m benchmarks front_end                          # on a Cortex-M4
    python -m benchmarks front_end --board cortex-m33

Flash is code and tables; instructions are those of ``log_mel_frame`` and what it calls, by QEMU's count, in the mean of
a second of noise, a tone that rises and silence.
"""

from __future__ import annotations

import argparse
import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.table import Table

from spquant_snn.data.log_mel import HOP, RATE, WINDOW, LogMel
from spquant_snn.dtypes import Int16
from spquant_snn.export.boards import board_of
from spquant_snn.export.qemu import run_in_qemu
from spquant_snn.export.toolchain import build
from spquant_snn.io.terminal import print_tables

BOARDS = ("cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33")  # which multiply 32 bits by 32 to 64
_HEADER = f"""#include <stddef.h>
#include "log_mel.h"
#define MODEL_INPUT_SIZE {2 * WINDOW}
#define MODEL_OUTPUTS LOG_MEL_BANDS
#define MODEL_ARENA_SIZE 4
typedef enum {{ MODEL_OK }} model_status;
typedef int model_context;
model_status model_init(model_context *context, void *arena, size_t size);
model_status model_run(model_context *context, const uint8_t *image, int32_t *outputs);
"""
_SOURCE = """#include "model.h"
model_status model_init(model_context *context, void *arena, size_t size) {
    (void)context, (void)arena, (void)size;
    return MODEL_OK;
}
model_status model_run(model_context *context, const uint8_t *image, int32_t *outputs) {
    uint8_t bands[LOG_MEL_BANDS];
    (void)context;
    log_mel_frame((const int16_t *)(const void *)image, bands);
    for (int i = 0; i < LOG_MEL_BANDS; ++i) outputs[i] = bands[i];
    return MODEL_OK;
}
"""


@dataclass(frozen=True)
class FrontEnd:
    """What features cost and whether they are right.

    Args:
        equal: whether all bytes are those of NumPy.
        instructions: of a frame, in the mean.
        flash, stack: bytes; of the stack all that the program takes.
    """

    equal: bool
    instructions: float
    flash: int
    stack: int


def measure(board_name: str, form: LogMel, samples: Int16, work: Path) -> FrontEnd:
    """Run the C of a form on the frames of sounds [N, samples]."""
    board = board_of(board_name)
    frames = np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(samples, WINDOW, axis=-1)[:, ::HOP])
    for name, text in {**form.c_files(), "model.h": _HEADER, "model.c": _SOURCE}.items():
        (work / name).write_text(text, encoding="utf-8")
    built = build(board, work, ["model.c", "log_mel.c"], "stream", work / "build")
    run = work / "run"
    run.mkdir()
    (run / "images.bin").write_bytes(frames.astype("<i2").tobytes())
    ended = run_in_qemu(board, built, run, counted=True)
    found = np.frombuffer((run / "logits.bin").read_bytes(), "<i4").reshape(-1, form.bands)
    (stack,) = struct.unpack("<I", (run / "stack.bin").read_bytes())
    expected = form(samples).reshape(-1, form.bands)
    flash = sum(len(data) for _, data in built.program.segments)
    return FrontEnd(np.array_equal(found, expected), (ended.instructions or 0) / len(expected), flash, stack)


def sounds() -> Int16:
    """A second of noise, of a tone that rises, and of silence: int16 [3, 16000]."""
    time = np.arange(RATE) / RATE
    noise = np.random.default_rng(0).normal(0, 3000, RATE)
    return np.stack([noise, 8000 * np.sin(2 * np.pi * (100 + 3000 * time) * time), 0 * time]).astype(np.int16)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--board", default="cortex-m4", choices=BOARDS)
    board = parser.parse_args().board
    table = Table(title=f"Log-mel features on an emulated {board}")
    for column in ("bands", "instructions a frame", "a second", "flash", "stack", "equal"):
        table.add_column(column, justify="right")
    right = True
    for bands in (10, 40):
        with tempfile.TemporaryDirectory() as work:
            found = measure(board, LogMel(bands), sounds(), Path(work))
        right = right and found.equal
        second = found.instructions * (1 + (RATE - WINDOW) // HOP)
        sizes = f"{found.flash:,} B", f"{found.stack:,} B"
        table.add_row(
            f"{bands}", f"{found.instructions:,.0f}", f"{second:,.0f}", *sizes, "yes" if found.equal else "NO"
        )
    print_tables([table])
    return 0 if right else 1
