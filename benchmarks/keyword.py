"""From a second of 16-bit sound to a word on an emulated microcontroller: log-mel features and network in one program.

    python examples/keyword_spotting.py --firmware kws/     # trains a network, and writes its C
    python -m benchmarks keyword kws/                       # words by espeak-ng, else noise and tones
    python -m benchmarks keyword kws/ --board cortex-m7 --sounds go.wav stop.wav

The program takes samples as a microphone gives them, makes each frame of features by log_mel.c, which goes straight
into the network's input, and runs the network. Every byte of the features and every logit are compared with those of
Python. The second of sound (32,000 bytes) is counted in no RAM: a device computes a frame whenever 320 samples have
come, and keeps 480.
"""

from __future__ import annotations

import argparse
import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.table import Table

from spquant_snn import DataError, MissingDependencyError
from spquant_snn.data import LogMel, one_second, read_wav
from spquant_snn.data.log_mel import HOP, RATE, WINDOW
from spquant_snn.data.spoken_words import SpokenWords
from spquant_snn.dtypes import Int16
from spquant_snn.export.boards import board_of
from spquant_snn.export.firmware import load_manifest, run_firmware
from spquant_snn.export.qemu import run_in_qemu
from spquant_snn.export.toolchain import build
from spquant_snn.integer import reference
from spquant_snn.integer.file import load_graph
from spquant_snn.io.terminal import print_tables

from .front_end import BOARDS, sounds

_FRAMES = 1 + (RATE - WINDOW) // HOP
_PROGRAM = "sound"  # what the whole is called in C
_HEADER = """#include <stddef.h>
#include "log_mel.h"
#include "{name}.h"
#define SOUND_INPUT_SIZE {size}
#define SOUND_FEATURES {features}
#define SOUND_OUTPUTS (SOUND_FEATURES + {NAME}_OUTPUTS)
#define SOUND_ARENA_SIZE ({NAME}_ARENA_SIZE + (SOUND_FEATURES + 3) / 4 * 4)
typedef {name}_status sound_status;
typedef {name}_context sound_context;
#define SOUND_OK {NAME}_OK
sound_status sound_init(sound_context *context, void *arena, size_t size);
sound_status sound_run(sound_context *context, const uint8_t *samples, int32_t *outputs);
"""
_SOURCE = """#include "sound.h"

static uint8_t *features; /* behind what the network needs */

sound_status sound_init(sound_context *context, void *arena, size_t size) {{
    features = (uint8_t *)arena + {NAME}_ARENA_SIZE;
    return {name}_init(context, arena, size);
}}

sound_status sound_run(sound_context *context, const uint8_t *samples, int32_t *outputs) {{
    const int16_t *frame = (const int16_t *)(const void *)samples;
    for (int t = 0; t < {frames}; t++, frame += {hop}) {{
        uint8_t bands[LOG_MEL_BANDS];
        log_mel_frame(frame, bands);
        for (int b = 0; b < LOG_MEL_BANDS; b++) features[{place}] = bands[b];
    }}
    for (int i = 0; i < SOUND_FEATURES; i++) outputs[i] = features[i];
    return {name}_run(context, features, outputs + SOUND_FEATURES);
}}
"""


@dataclass(frozen=True)
class SoundCosts:
    """What the way from samples to a class costs, and whether it is right.

    Args:
        words: the class of each sound.
        features_equal, logits_equal: sounds of which every byte, and every logit, is that of Python.
        instructions: of a second of sound, and of them those of the network, in the mean.
        flash, ram: bytes of the whole program; without the samples, and with the stack.
    """

    words: tuple[int, ...]
    features_equal: int
    logits_equal: int
    instructions: float
    network: float
    flash: int
    ram: int


def measure(folder: Path, board_name: str, samples: Int16, work: Path) -> SoundCosts:
    """Run the firmware in a folder behind the features that it takes, on sounds [N, 16000].

    Raises:
        DataError: the network takes no log-mel features of a second.
    """
    manifest, graph, board = load_manifest(folder), load_graph(folder / "model.spq"), board_of(board_name)
    signal = graph.input_shape[1:] == (1, _FRAMES)
    if not signal and graph.input_shape[:2] != (1, _FRAMES):
        raise DataError(
            f"this network takes {'x'.join(map(str, graph.input_shape))}, no log-mel features: it must take "
            f"1x{_FRAMES}xBANDS or BANDSx1x{_FRAMES}, as of spoken-words"
        )
    form = LogMel(graph.input_shape[0 if signal else 2])
    bands = form(samples)
    images = np.ascontiguousarray(bands.swapaxes(1, 2)[:, :, None] if signal else bands[:, None])
    values = {
        "name": manifest["name"], "NAME": manifest["name"].upper(), "size": 2 * RATE, "features": bands[0].size,
        "frames": _FRAMES, "hop": HOP, "place": f"b * {_FRAMES} + t" if signal else "t * LOG_MEL_BANDS + b",
    }  # fmt: skip
    program = {**form.c_files(), "sound.h": _HEADER.format(**values), "sound.c": _SOURCE.format(**values)}
    for name, text in program.items():
        (work / name).write_text(text, encoding="utf-8")
    sources = [str(work / name) for name in ("sound.c", "log_mel.c")]
    sources += [name for name in manifest["sources"] if not name.endswith("_selftest.c")]
    built = build(board, folder.resolve(), sources, "stream", work / "build", network=_PROGRAM)
    run = work / "run"
    run.mkdir()
    (run / "images.bin").write_bytes(samples.astype("<i2").tobytes())
    ended = run_in_qemu(board, built, run, counted=True)
    found = np.frombuffer((run / "logits.bin").read_bytes(), "<i4").reshape(len(samples), -1)
    (stack,) = struct.unpack("<I", (run / "stack.bin").read_bytes())
    logits = found[:, bands[0].size :]
    features = images.reshape(len(samples), -1) == found[:, : bands[0].size]
    alone = run_firmware(folder, board, images)
    return SoundCosts(
        words=tuple(logits.argmax(1).tolist()),
        features_equal=int(features.all(1).sum()),
        logits_equal=int((logits == reference.run(graph, images)).all(1).sum()),
        instructions=(ended.instructions or 0) / len(samples),
        network=alone.instructions or 0.0,
        flash=built.program.constant + built.program.data,
        ram=built.program.data + built.program.zeroed.get(".bss", 0) - 2 * RATE - 4 * bands[0].size + stack,
    )


def spoken() -> tuple[list[str], Int16]:
    """Words by espeak-ng where that is installed, else noise, a tone that rises and silence; what they are, and int16
    [N, 16000]."""
    settings = SpokenWords(test=1, voices=1)
    try:
        takes = list(settings.takes("test", settings.cast("test")[0]))
        return [take.word or "noise" for take in takes], np.stack([take.record() for take in takes])
    except MissingDependencyError:
        return ["noise", "a rising tone", "silence"], sounds()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("firmware", type=Path, help="folder of spquant export --target c")
    parser.add_argument("--board", default="cortex-m4", choices=BOARDS)
    parser.add_argument("--sounds", type=Path, nargs="+", default=[], help="files of .wav, 16 kHz, 16 bits, mono")
    args = parser.parse_args()
    if args.sounds:
        names, samples = [path.name for path in args.sounds], np.stack([one_second(read_wav(p)) for p in args.sounds])
    else:
        names, samples = spoken()
    with tempfile.TemporaryDirectory() as work:
        found = measure(args.firmware, args.board, samples, Path(work))
    table = Table(title=f"From sound to a word on an emulated {args.board}", caption=", ".join(
        f"{name}: {word}" for name, word in zip(names, found.words, strict=True)
    ))  # fmt: skip
    table.add_column("what")
    table.add_column("found", justify="right")
    rows = (
        ("features equal to NumPy's, every byte", f"{found.features_equal} of {len(samples)} sounds"),
        ("logits equal to the reference's", f"{found.logits_equal} of {len(samples)} sounds"),
        ("instructions of a second of sound", f"{found.instructions:,.0f}"),
        ("of them features", f"{found.instructions - found.network:,.0f}"),
        ("of them the network", f"{found.network:,.0f}"),
        ("flash, all of the program", f"{found.flash:,} bytes"),
        ("RAM, stack included, without the samples", f"{found.ram:,} bytes"),
    )
    for row in rows:
        table.add_row(*row)
    print_tables([table])
    return 0 if found.features_equal == found.logits_equal == len(samples) else 1
