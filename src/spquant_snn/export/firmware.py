"""A folder of firmware, built and run on an emulated board, beside the reference."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..dtypes import Array, Bools, Int32
from ..errors import (
    ConfigError,
    DataError,
    FileFormatError,
    MissingDependencyError,
    ModelError,
    RunError,
    UnequalError,
)
from ..integer import reference
from ..integer.early_stop import check_stops, stop_early
from ..integer.file import load_graph
from ..integer.graph import Graph
from ..integer.inputs import check_takes_one, says_classes
from ..io.fields import Fields
from ..io.reading import Flaw, guarded, read_bytes
from ..io.terminal import progress_of_file
from ..io.texts import parse_object, short
from . import qemu, unicorn
from .board_sizes import smaller_flash
from .boards import Board
from .c import INTEGERS, VERSION
from .compact.compact_plan import plan_compact
from .compact.compact_worst_case import find_compact_worst_case
from .compact.planned_rows import CompactForm
from .folder import LONGEST_MANIFEST, MANIFEST, is_complete
from .layer_costs import LayerCost, layer_costs
from .naming import SHARED, Names, check_name
from .outcome import Outcome
from .qemu import Ended
from .render import identifiers
from .toolchain import Built, Compiler, build
from .vectors import in_row
from .worst_case import find_worst_case

FORMS = ("general", "compact")  # of firmware
Emulator = Literal["auto", "qemu", "unicorn"]
Runner = Callable[[Board, Built, Path, bool], Ended]

_FAULT = 99
_PART = 250  # images of the reference at a time


def load_manifest(folder: Path) -> dict[str, Any]:
    """What an export wrote down of itself.

    Raises:
        RunError: there is no export in the folder.
        FileFormatError: it is damaged, or of another version.
    """
    path = folder / MANIFEST
    if not os.path.isfile(path):
        raise RunError(f"{folder} holds no firmware: make it with spquant export RUN --target c --out {folder}")
    with guarded(path, "export the firmware again", unread=RunError):
        held = parse_object(read_bytes(path, LONGEST_MANIFEST))
        fields = Fields(held)
        version = fields.value("version")
        if version != VERSION:
            raise FileFormatError(f"{path} is of version {short(version)}, not {VERSION}: export the firmware again")
        if not is_complete(held):
            raise FileFormatError(f"{path} is of an export that was stopped: export the firmware again, with --force")
        try:
            check_name(fields.text("name", 256))
        except ConfigError as error:
            raise Flaw(f"its name is none: {error}") from error
        fields.integers("input_shape", (3,), 1, 65535)
        fields.integer("classes", 1, 1 << 31)
        fields.integer("answers", 1, 1 << 31)
        fields.flag("small")
        form = fields.text("form", 16)
        if form not in FORMS:
            raise Flaw(f"its form is {short(form)}, not one of {', '.join(FORMS)}")
        if form == "compact":
            CompactForm.read(fields.inner("layout"))
        fields.integer("timesteps", 1, 1 << 31)
        if fields.has("dataset"):
            fields.text("dataset", 256)
        elif "dataset" not in fields.names():
            raise Flaw("it has no key 'dataset'")
        layers, sources = fields.texts("layers", 1025, 256), fields.texts("sources", 1024, 256)
        if not layers or not sources:
            raise Flaw("layers or sources are none")
        for name in sources:
            if re.fullmatch(r"(?:\w+/){0,2}\w+\.c", name, re.ASCII) is None:
                raise Flaw(f"sources holds {short(name)}, which is no source of its folder")
    return held


def run_firmware(
    folder: Path,
    board: Board,
    images: Array,
    labels: NDArray[np.integer[Any]] | None = None,
    compiler: Compiler = "auto",
    emulator: Emulator = "auto",
    count: bool = True,
    layers: bool = False,
    margin: int | None = None,
    say: Callable[[str], object] = lambda doing: None,
) -> Outcome:
    """Build the firmware in a folder, let it test itself, and run it: on images, or on sequences frame by frame, of
    which the answers behind every frame are compared with the reference's.

    Args:
        images: uint8, or int8 of a network that takes signed numbers, [N, C, H, W]; sequences [N, T, C, H, W].
        labels: [N] their classes; None where they are not known.
        count: instructions, loads and stores.
        layers: where they are counted, also those of each layer, and those that no input exceeds.
        margin: at which images stop, in units of the logits; what is compared is also the step that each stops at, and
            nothing is said of what no input exceeds. None: all steps.
        say: told what is being done.

    Raises:
        ConfigError: the network takes several inputs, or it or what it is given cannot stop early.
        DataError: the images do not fit the network.
        MissingDependencyError: a compiler or an emulator is missing.
        ModelError: the network is too large for the board.
        UnequalError: the self-test fails.
        RunError: there is no firmware, or it does not compile or end.
    """
    manifest, graph = load_manifest(folder), load_graph(folder / INTEGERS)
    check_takes_one(graph, "a run on an emulated board")
    _check_images(graph, images)
    if manifest["form"] == "compact" and images.ndim == 5:
        raise DataError("the compact form of firmware takes still images, not sequences: export it without limits")
    if manifest["form"] == "general" and not board.multiplies:
        raise ModelError(
            f"this form of firmware multiplies, which {board.name} cannot: export it with --board {board.name}"
        )
    if margin is not None:
        margin = _check_margin(graph, margin, manifest, images)
    runner, name = _runner(board, emulator)
    steps = images.shape[1] if images.ndim == 5 else 1
    with TemporaryDirectory(prefix="spquant-firmware-") as temporary:
        work = Path(temporary)
        say(f"building for {board.name}")
        compact = manifest["form"] == "compact"
        main = "rows" if compact else "stream" if images.ndim == 4 else "steps"
        try:
            built = _build(board, folder, manifest, main, work, compiler, margin=margin)
            test = _build(_roomy(board), folder, manifest, "selftest", work, compiler)
        except ModelError as error:
            raise ModelError(f"{error}{'' if compact else _help(graph, manifest)}") from error
        say(f"testing on {board.name}")
        _check_selftest(runner(board, test, work, False).code, manifest, board)
        (work / "images.bin").write_bytes(np.ascontiguousarray(images.swapaxes(1, 2) if compact else images).tobytes())
        (work / "lengths.bin").write_bytes(np.full(len(images), steps, "<u4").tobytes())
        say(f"running {len(images):,} {'images' if images.ndim == 4 else 'recordings'} on {board.name}")
        each = 4 * (steps * manifest["answers"] + (margin is not None))
        with progress_of_file(work / "logits.bin", each, len(images), board.name):
            ended = runner(board, built, work, count)
        answers = np.frombuffer((work / "logits.bin").read_bytes(), "<i4")
        if ended.code != 0 or 4 * answers.size != len(images) * each:
            raise RunError(f"the firmware failed on {board.name} (code {ended.code}): export it again")
        depth = int(np.frombuffer((work / "stack.bin").read_bytes(), "<u4")[0])
        costs = (
            _layers(folder, manifest, graph, runner, board, built, work, compiler, ended, images, margin, say)
            if count and layers
            else ()
        )
    say("running the reference")
    found, taken = answers.reshape(len(images), -1), None
    if margin is None:
        equal = (found == _expected(graph, images).reshape(len(images), -1)).all(1)
    else:
        found, taken = found[:, :-1], found[:, -1]
        equal = _stops_alike(graph, images, margin, found[:, : graph.classes], taken)
    classes = found.reshape(len(images), steps, -1)[:, -1, : graph.classes].argmax(1)
    program = built.program
    each = [None if total is None else total / len(images) for total in (ended.instructions, ended.loads, ended.stores)]
    return Outcome(
        board=board.name,
        emulator=name,
        compiler=compiler_of(built),
        images=len(images),
        correct=None if labels is None or not says_classes(graph) else int((classes == labels).sum()),
        equal=int(equal.sum()),
        instructions=each[0],
        loads=each[1],
        stores=each[2],
        flash=program.constant + program.data,
        ram=program.data + program.zeroed.get(".bss", 0) + depth,
        stack=depth,
        stack_bound=built.bound,
        steps=None if images.ndim == 4 else steps,
        least=ended.least,
        most=ended.most,
        layers=costs,
        taken=None if taken is None else float(taken.mean()),
    )


def _check_margin(graph: Graph, margin: int, manifest: dict[str, Any], images: Array) -> int:
    """The margin, where it is one, and where something can stop at it."""
    if manifest["form"] == "compact":
        raise ConfigError(
            "the compact form of firmware computes all time steps of a row together and cannot stop early: export it "
            "without limits, or leave out the margin"
        )
    if images.ndim == 5:
        raise ConfigError("firmware stops early at images, not at recordings: leave out the margin")
    return check_stops(graph, margin)


def _stops_alike(graph: Graph, images: Array, margin: int, found: Int32, taken: Int32) -> Bools:
    """[N], whether each image has the logits and took the steps that the reference says."""
    alike = []
    for start in range(0, len(images), _PART):
        part = slice(start, start + _PART)
        stopped = stop_early(graph, images[part], margin)
        alike.append((found[part] == stopped.logits).all(1) & (taken[part] == stopped.steps))
    return np.concatenate(alike)


def _help(graph: Graph, manifest: dict[str, Any]) -> str:
    """What else helps where a network does not fit, as the end of a sentence."""
    saved = 0 if manifest["small"] else smaller_flash(graph, called_in(manifest))
    return f"; spquant export --prefer flash takes {saved:,} bytes of constants fewer" if saved > 0 else ""


def called_in(manifest: dict[str, Any]) -> Names:
    """What the parts of an export are called in C."""
    return Names(manifest["name"], any(source.startswith(f"{SHARED}/") for source in manifest["sources"]))


def _layers(
    folder: Path,
    manifest: dict[str, Any],
    graph: Graph,
    runner: Runner,
    board: Board,
    built: Built,
    work: Path,
    compiler: Compiler,
    ended: Ended,
    images: Array,
    margin: int | None,
    say: Callable[[str], object],
) -> tuple[LayerCost, ...]:
    """What each layer costs; nothing where a program that tells them apart does not fit the board. Layers of the
    compact form take turns by the row, so that what is between them counts to the one before. What may stop early is
    told no bound, for there is that of all steps."""
    names, streams, compact = manifest["layers"], images.ndim == 5, manifest["form"] == "compact"
    main, stretches = ("steps", images.shape[0] * images.shape[1]) if streams else ("stream", len(images))
    try:
        told = _build(
            _roomy(board) if compact else board,
            folder,
            manifest,
            "rows" if compact else main,
            work,
            compiler,
            len(names),
            margin=margin,
        )
    except ModelError:
        return ()
    say(f"telling layers apart on {board.name}")
    profile = runner(board, told, work, True)
    if margin is not None:
        return layer_costs(names, ended, profile, stretches, None)
    say(f"finding the worst case on {board.name}")

    def run(program: Built) -> Ended:
        return runner(board, program, work, True)

    if compact:
        plan = plan_compact(graph, CompactForm(**manifest["layout"]))

        def seen(given: Mapping[str, Any]) -> Built:
            return _build(_roomy(board), folder, manifest, "seen", work, compiler, len(names) + 1, given)

        called = identifiers(names), manifest["name"]
        return layer_costs(names, profile, profile, stretches, find_compact_worst_case(plan, *called, seen, run, work))
    worst = find_worst_case(graph, manifest["small"], called_in(manifest), told, work, run, streams)
    return layer_costs(names, ended, profile, stretches, worst)


def _expected(graph: Graph, images: Array) -> Int32:
    """[N, T, answers] what the reference says behind each frame of sequences; of images [N, 1, answers] in the end."""
    parts = []
    for start in range(0, len(images), _PART):
        part = images[start : start + _PART]
        if part.ndim == 4:
            pairs = zip(graph.readouts, reference.answers(graph, part), strict=True)
            parts.append(in_row([x[-1] if readout.over_time == "all" else x for readout, x in pairs])[:, None])
        else:
            said = reference.answers_by_step(graph, np.ascontiguousarray(part.swapaxes(0, 1)))
            parts.append(np.stack([in_row([x[t] for x in said]) for t in range(part.shape[1])], 1))
    return np.concatenate(parts)


def _build(
    board: Board,
    folder: Path,
    manifest: dict[str, Any],
    main: str,
    work: Path,
    compiler: Compiler,
    layers: int = 0,
    given: Mapping[str, Any] | None = None,
    margin: int | None = None,
) -> Built:
    level = None if manifest["form"] != "compact" else "-Os" if manifest["layout"]["tight"] else "-O2"
    called = manifest["name"]
    return build(
        board, folder.resolve(), manifest["sources"], main, work, compiler, called, layers, level, given, margin
    )


def _roomy(board: Board) -> Board:
    """The board with memory for what the self-test alone has, the network once more and its images, or for what tells
    layers apart."""
    return replace(board, flash=2 * board.flash, ram=2 * board.ram) if board.small and board.riscv else board


def compiler_of(built: Built) -> str:
    """Which of the two compilers built a program."""
    return "zig" if built.bound is None else "gcc"


def _runner(board: Board, emulator: Emulator) -> tuple[Runner, str]:
    if emulator == "qemu" or (emulator == "auto" and (qemu.installed(board) or board.unicorn is None)):
        if not qemu.installed(board):
            raise MissingDependencyError(
                f"there is no {board.qemu} to emulate {board.name} with: install it by "
                f"'apt-get install {board.package}'"
            )
        return qemu.run_in_qemu, "qemu"
    return unicorn.run_in_unicorn, "unicorn"


def _check_images(graph: Graph, images: Array) -> None:
    dtype, shape = "int8" if graph.inputs[0].signed else "uint8", graph.input_shape
    if images.dtype != dtype or images.ndim not in (4, 5) or images.shape[-3:] != shape or 0 in images.shape:
        wanted = "x".join(map(str, shape))
        raise DataError(
            f"this firmware takes images [N, {wanted}] of {dtype}, or sequences [N, T, {wanted}], not "
            f"{list(images.shape)} of {images.dtype}"
        )
    if images.ndim == 5 and images.shape[1] > graph.longest:
        raise DataError(f"this firmware takes sequences of up to {graph.longest} frames, not of {images.shape[1]}")


def _check_selftest(code: int, manifest: dict[str, Any], board: Board) -> None:
    layers = manifest["layers"]
    if 1 <= code <= len(layers):
        raise UnequalError(
            f"the self-test fails on {board.name}: layer {layers[code - 1]!r} is not what was exported, export it again"
        )
    if code != 0:
        what = "a fault of the processor" if code == _FAULT else f"code {code}"
        raise RunError(f"the self-test did not end on {board.name} ({what}): export the firmware again")
