"""``spquant run-firmware``: exported C on an emulated board."""

from __future__ import annotations

from typing import Annotated, Literal

import tyro

from ..io.output import say_json, say_progress
from .options import AsJson, Folder
from .source import Source
from .test_set import TestSet

Compiler = Literal["auto", "gcc", "zig"]
Emulator = Literal["auto", "qemu", "unicorn"]
_FIRST = TestSet(count=100)


def command(
    firmware: Folder,
    test_set: tyro.conf.OmitArgPrefixes[TestSet] = _FIRST,
    board: Annotated[str, tyro.conf.arg(metavar="NAME")] = "cortex-m4",
    compiler: Compiler = "auto",
    emulator: Emulator = "auto",
    instructions: bool = True,
    as_json: AsJson = False,
) -> int:
    """Run exported C on an emulated board, beside the reference.

    Args:
        firmware: folder that spquant export --target c has written.
        test_set: what it is run on.
        board: cortex-m0, cortex-m3, cortex-m4, cortex-m7, cortex-m33, cortex-m55 or rv32.
        compiler: a cross GCC (gcc), the package ziglang (zig), or what is there.
        emulator: QEMU (qemu), the package unicorn (unicorn, Cortex-M without MVE), or what is there.
        instructions: count them, and loads and stores; unicorn is slow at it.
    """
    from ..export.boards import board_of
    from ..export.firmware import load_manifest, run_firmware
    from ..export.outcome import outcome_json as plain
    from ..export.outcome import outcome_table
    from ..integer.inputs import check_takes_one
    from ..integer.own_items import Interface
    from ..io.terminal import print_tables

    chosen = board_of(board)
    source = Source(firmware, firmware / "model.spq", dataset=load_manifest(firmware)["dataset"])
    test_set.name_for(source)
    graph = source.graph()
    check_takes_one(graph, "a run on an emulated board")
    test = test_set.items(source, Interface.of(graph))
    outcome = run_firmware(firmware, chosen, test.images, test.classes, compiler, emulator, instructions, say_progress)
    if instructions and not test.frames:
        from ..report.firmware_cost import with_prediction

        outcome = with_prediction(outcome, firmware, test.images)
    if as_json:
        say_json(plain(outcome))
    else:
        print_tables([outcome_table(outcome)])
    return 0 if outcome.equal == outcome.images else 1
