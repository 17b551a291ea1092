"""What an exported network takes of memory, and which boards hold it: by their compilers, else estimated."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ..dtypes import Array
from ..errors import ModelError, RunError
from ..integer.graph import Graph
from .boards import BOARDS, KIB, Board
from .c import Plans, firmware_files
from .interface import answers_of, layer_names
from .naming import Names
from .packaging import Packaging
from .program_size import ProgramSize, program_size, size_of_files
from .render import Model, identifiers

_USUAL = "cortex-m4"
_CODE, _STACK = 16 * KIB, KIB  # of a network and what calls it, at most; where no compiler tells


@dataclass(frozen=True)
class BoardSize:
    """Bytes of a program with a network in it: one image, its answers, and what reads and writes them.

    Args:
        flash, ram: of code and constants; of memory, the stack of the network's functions included.
        stack: of them; None where that is an estimate.
        board: that it was built for; None where nothing was built.
    """

    flash: int
    ram: int
    stack: int | None
    board: str | None

    def wording(self) -> str:
        """A line that says it."""
        if self.board is None:
            return (
                f"about {self.flash:,} bytes of flash and {self.ram:,} of RAM at most, estimated: there is no compiler "
                "for a board"
            )
        stack = "" if self.stack is None else f", {self.stack:,} of stack among them"
        return f"{self.flash:,} bytes of flash and {self.ram:,} of RAM{stack}, as built for {self.board}"


@dataclass(frozen=True, eq=False)
class ExportedSize:
    """What a folder of firmware takes.

    Args:
        size: on the board that is usual, as far as a compiler is there.
        holding: names of the boards that hold it.
        advice: what would make it fit where no board does; empty where one does.
        board: that was asked for, or the usual one.
    """

    size: BoardSize
    holding: tuple[str, ...]
    advice: str
    board: str

    def lines(self, folder: Path) -> list[str]:
        """What is said of an export."""
        if not self.holding:
            return [f"{folder}: {self.size.wording()}", f"no board that is emulated here holds it: {self.advice}"]
        board = self.board if self.board in self.holding else self.holding[0]
        return [
            f"{folder}: {self.size.wording()}; {', '.join(self.holding)} hold{'' if self.holding[1:] else 's'} it",
            f"spquant run-firmware {folder} --board {board} runs it",
        ]


def exported_size(
    graph: Graph,
    folder: Path,
    manifest: dict[str, Any],
    shape: Packaging,
    steps: bool = False,
    board: str | None = None,
) -> ExportedSize:
    """What firmware of the general form in a folder takes, and who holds it; no board is named that does not.

    Args:
        manifest: of the folder.
        shape: of the folder, too.
        steps: it is to take sequences, frame by frame.
        board: for which it is built first; the usual one by default.
    """
    usual = board or _USUAL
    main, small = "steps" if steps else "stream", bool(manifest["small"])
    called = Names(shape.name, shape.share_runtime)
    constants, memory = _least(graph, small, called, steps)
    with TemporaryDirectory(prefix="spquant-size-") as temporary:
        work = Path(temporary)
        sources = folder.resolve(), manifest["sources"], main
        first = _built(BOARDS[usual], *sources, work / usual, called.name)
        size = first or BoardSize(constants + _CODE, memory + _STACK, None, None)
        holding = []
        for each in BOARDS.values():
            if not each.multiplies or constants > each.flash or memory > each.ram:
                continue
            certain = size.flash + (size.flash - constants) <= each.flash and size.ram + KIB <= each.ram
            found = None if certain else _built(each, *sources, work / each.name, called.name)
            if certain or (found and found.flash <= each.flash and found.ram <= each.ram):
                holding.append(each.name)
        advice = "" if holding else _advice(graph, size, shape, main, small)
    return ExportedSize(size, tuple(holding), advice, usual)


def smaller_flash(graph: Graph, called: Names) -> int:
    """Bytes of constants that --prefer flash saves."""
    return _least(graph, False, called, False)[0] - _least(graph, True, called, False)[0]


def _least(graph: Graph, small: bool, called: Names, steps: bool) -> tuple[int, int]:
    """Bytes of constants, and of the memory that a program has at least."""
    plans, model = Plans.of(graph, small, called.shared), Model(called)
    names = identifiers(layer_names(graph))
    plan = plans.frames if steps else plans.images
    model.network(plan, names, "images")
    constants = sum(table.array.nbytes for table in model.tables.values())
    inputs = sum(int(np.prod(given.shape)) for given in graph.inputs)
    return constants, int(plan.arena_size) + inputs + 4 * answers_of(graph)


def _built(board: Board, folder: Path, sources: list[str], main: str, work: Path, name: str) -> BoardSize | None:
    """The size for a board, however small it is; None where nothing compiles for it."""
    return _measured(board, lambda: program_size(board, folder, sources, main, work, name))


def _measured(board: Board, measure: Callable[[], ProgramSize]) -> BoardSize | None:
    if shutil.which(board.compilers[0]) is None:
        return None
    try:
        found = measure()
    except (ModelError, RunError):
        return None
    return BoardSize(found.flash, found.still + (found.bound or 0), found.bound, board.name)


def _advice(graph: Graph, size: BoardSize, shape: Packaging, main: str, small: bool) -> str:
    """What would make it fit."""
    ram = max(board.ram for board in BOARDS.values())
    if size.ram > ram:
        return f"it needs {size.ram:,} bytes of RAM, and the most are {ram:,}: train a network with fewer neurons"
    if not small:
        other = _small_size(graph, shape, main)
        hold = [board.name for board in BOARDS.values() if other.flash <= board.flash and other.ram <= board.ram]
        if hold:
            return f"with --prefer flash it takes {other.flash:,} bytes of flash, which {', '.join(hold)} have"
    return "train it with fewer bits of weights, or with a smaller last hidden layer"


def _small_size(graph: Graph, shape: Packaging, main: str) -> BoardSize:
    """Of the same network, exported for little flash."""
    images = tuple(_blank(given.shape, given.signed) for given in graph.inputs)
    files, board = firmware_files(graph, images, "smaller", True, shape), BOARDS[_USUAL]
    found = _measured(board, lambda: size_of_files(files, board, main, shape.name))
    constants, memory = _least(graph, True, Names(shape.name, shape.share_runtime), main == "steps")
    return found or BoardSize(constants + _CODE, memory + _STACK, None, None)


def _blank(shape: tuple[int, ...], signed: bool) -> Array:
    return np.zeros((1, *shape), np.int8 if signed else np.uint8)
