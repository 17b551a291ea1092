"""A folder of firmware, built and run on an emulated board, beside the reference."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, FileFormatError, MissingDependencyError, RunError, UnequalError
from ..integer import reference
from ..integer.file import load_graph
from ..integer.inputs import check_classifies
from ..io.fields import Fields
from ..io.reading import Flaw, guarded, read_bytes
from ..io.texts import parse_object, short
from . import qemu, unicorn
from .boards import Board
from .c import VERSION
from .folder import LONGEST_MANIFEST, MANIFEST, is_complete
from .outcome import Outcome
from .qemu import Ended
from .toolchain import Built, Compiler, build

Emulator = Literal["auto", "qemu", "unicorn"]

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
        fields.integers("input_shape", (3,), 1, 65535)
        fields.integer("classes", 1, 1 << 31)
        fields.integer("answers", 1, 1 << 31)
        fields.flag("small")
        fields.integer("timesteps", 1, 1 << 31)
        if fields.has("dataset"):
            fields.text("dataset", 256)
        elif "dataset" not in fields.names():
            raise Flaw("it has no key 'dataset'")
        layers, sources = fields.texts("layers", 1025, 256), fields.texts("sources", 1024, 256)
        if not layers or not sources:
            raise Flaw("layers or sources are none")
        for name in sources:
            if re.fullmatch(r"(src/)?\w+\.c", name, re.ASCII) is None:
                raise Flaw(f"sources holds {short(name)}, which is no source of its folder")
    return held


def run_firmware(
    folder: Path,
    board: Board,
    images: NDArray[np.uint8],
    labels: NDArray[np.integer[Any]] | None = None,
    compiler: Compiler = "auto",
    emulator: Emulator = "auto",
    count: bool = True,
    say: Callable[[str], object] = lambda doing: None,
) -> Outcome:
    """Build the firmware in a folder, let it test itself, and run it on images.

    Args:
        images: uint8 [N, C, H, W].
        labels: [N] their classes; None where they are not known.
        count: instructions, loads and stores.
        say: told what is being done.

    Raises:
        ConfigError: the network takes something else than images, or says no classes.
        DataError: the images do not fit the network.
        MissingDependencyError: a compiler or an emulator is missing.
        ModelError: the network is too large for the board.
        UnequalError: the self-test fails.
        RunError: there is no firmware, or it does not compile or end.
    """
    manifest, graph = load_manifest(folder), load_graph(folder / "model.spq")
    check_classifies(graph, "a run on an emulated board")
    _check_images(manifest, images)
    runner, name = _runner(board, emulator)
    with TemporaryDirectory(prefix="spquant-firmware-") as temporary:
        work = Path(temporary)
        say(f"building for {board.name}")
        named = manifest["sources"]
        stream, test = (build(board, folder.resolve(), named, main, work, compiler) for main in ("stream", "selftest"))
        say(f"testing on {board.name}")
        _check_selftest(runner(board, test, work, False).code, manifest, board)
        (work / "images.bin").write_bytes(np.ascontiguousarray(images).tobytes())
        say(f"running {len(images):,} images on {board.name}")
        ended = runner(board, stream, work, count)
        logits = np.frombuffer((work / "logits.bin").read_bytes(), "<i4")
        if ended.code != 0 or logits.size != len(images) * manifest["answers"]:
            raise RunError(f"the firmware failed on {board.name} (code {ended.code}): export it again")
        depth = int(np.frombuffer((work / "stack.bin").read_bytes(), "<u4")[0])
    say("running the reference")
    found = logits.reshape(len(images), -1)[:, : manifest["classes"]]
    parts = [reference.run(graph, images[start : start + _PART]) for start in range(0, len(images), _PART)]
    expected = np.concatenate(parts).reshape(len(images), -1)
    program = stream.program
    each = [None if total is None else total / len(images) for total in (ended.instructions, ended.loads, ended.stores)]
    return Outcome(
        board=board.name,
        emulator=name,
        compiler=compiler_of(stream),
        images=len(images),
        correct=None if labels is None else int((found.argmax(1) == labels).sum()),
        equal=int((found == expected).all(1).sum()),
        instructions=each[0],
        loads=each[1],
        stores=each[2],
        flash=program.constant + program.data,
        ram=program.data + program.zeroed.get(".bss", 0) + depth,
        stack=depth,
        stack_bound=stream.bound,
    )


def compiler_of(built: Built) -> str:
    """Which of the two compilers built a program."""
    return "zig" if built.bound is None else "gcc"


def _runner(board: Board, emulator: Emulator) -> tuple[Callable[[Board, Built, Path, bool], Ended], str]:
    if emulator == "qemu" or (emulator == "auto" and (qemu.installed(board) or board.unicorn is None)):
        if not qemu.installed(board):
            raise MissingDependencyError(
                f"there is no {board.qemu} to emulate {board.name} with: install it by "
                f"'apt-get install {board.package}'"
            )
        return qemu.run_in_qemu, "qemu"
    return unicorn.run_in_unicorn, "unicorn"


def _check_images(manifest: dict[str, Any], images: NDArray[np.uint8]) -> None:
    shape = tuple(manifest["input_shape"])
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != shape or not len(images):
        wanted = "x".join(map(str, shape))
        raise DataError(
            f"this firmware takes images [N, {wanted}] of uint8, not {list(images.shape)} of {images.dtype}"
        )


def _check_selftest(code: int, manifest: dict[str, Any], board: Board) -> None:
    layers = manifest["layers"]
    if 1 <= code <= len(layers):
        raise UnequalError(
            f"the self-test fails on {board.name}: layer {layers[code - 1]!r} is not what was exported, export it again"
        )
    if code != 0:
        what = "a fault of the processor" if code == _FAULT else f"code {code}"
        raise RunError(f"the self-test did not end on {board.name} ({what}): export the firmware again")
