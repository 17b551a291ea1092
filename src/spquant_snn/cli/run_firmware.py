"""``spquant run-firmware``: exported C on an emulated board."""

from __future__ import annotations

from typing import Annotated, Literal

import tyro

from ..io.output import say_json, say_progress
from .options import AsJson, Folder, unset
from .source import Source
from .test_set import TestSet, noise

Compiler = Literal["auto", "gcc", "zig"]
Emulator = Literal["auto", "qemu", "unicorn"]
_FIRST = TestSet(count=100)
_NOISE = 10  # inputs, where no data are known


def command(
    firmware: Folder,
    test_set: tyro.conf.OmitArgPrefixes[TestSet] = _FIRST,
    board: Annotated[str, tyro.conf.arg(metavar="NAME")] = "cortex-m4",
    compiler: Compiler = "auto",
    emulator: Emulator = "auto",
    instructions: bool = True,
    layers: bool = True,
    margin: Annotated[int | None, unset(metavar="N")] = None,
    clock: Annotated[str | None, unset(metavar="RATE")] = None,
    cycles_per_instruction: Annotated[tuple[float, ...] | None, unset(metavar="LEAST MOST")] = None,
    as_json: AsJson = False,
) -> int:
    """Run exported C on an emulated board, beside the reference.

    Args:
        firmware: folder that spquant export --target c has written.
        test_set: what it is run on.
        board: cortex-m0, cortex-m3, cortex-m4, cortex-m7, cortex-m33, cortex-m55, rv32, or one of the smallest,
            cortex-m0plus, ch32v003 and ch32v002.
        compiler: a cross GCC (gcc), the package ziglang (zig), or what is there.
        emulator: QEMU (qemu), the package unicorn (unicorn, Cortex-M without MVE), or what is there.
        instructions: count them, and loads and stores; unicorn is slow at it.
        layers: where they are counted, also those of each layer, and those that no input exceeds; runs all once more.
        margin: of logits, at which an image takes no more time steps; spquant eval --early-exit finds one.
        clock: of the processor, as 48MHz, for times.
        cycles_per_instruction: in the mean, the least and the most, as 1.0 1.8: an emulator counts no cycles.
    """
    from ..export.boards import board_of
    from ..export.firmware import load_manifest, run_firmware
    from ..export.outcome import ClockRate, layers_table, outcome_table
    from ..export.outcome import outcome_json as plain
    from ..integer.inputs import check_takes_one
    from ..integer.own_items import Interface
    from ..io.terminal import print_tables

    chosen, rate = board_of(board), ClockRate.of(clock, cycles_per_instruction)
    source = Source(firmware, firmware / "model.spq", dataset=load_manifest(firmware)["dataset"])
    unknown = test_set.unknown(source)
    if not unknown:
        test_set.name_for(source)
    graph = source.graph()
    check_takes_one(graph, "a run on an emulated board")
    test = (
        noise(graph, min(test_set.count or _NOISE, _NOISE)) if unknown else test_set.items(source, Interface.of(graph))
    )
    outcome = run_firmware(
        firmware, chosen, test.images, test.classes, compiler, emulator, instructions, layers, margin, say_progress
    )
    if instructions and not test.frames and margin is None:
        from ..report.firmware_cost import with_prediction

        outcome = with_prediction(outcome, firmware, test.images)
    if as_json:
        say_json(plain(outcome, rate))
    else:
        print_tables([outcome_table(outcome, rate), *([layers_table(outcome)] if outcome.layers else [])])
    return 0 if outcome.equal == outcome.images else 1
