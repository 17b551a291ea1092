"""What a program with a network takes of a board's memories: it is built, however large it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from .boards import KIB, Board
from .toolchain import build

_LARGE = 64 * 1024 * KIB


@dataclass(frozen=True)
class ProgramSize:
    """Bytes of a program.

    Args:
        flash: of code and constants.
        still: of memory that has its place.
        stack: that is kept free behind it.
        bound: of that, what the network's functions take at most; None where the compiler does not tell.
    """

    flash: int
    still: int
    stack: int
    bound: int | None


def program_size(
    board: Board, folder: Path, sources: list[str], main: str, work: Path, name: str, level: str | None = None
) -> ProgramSize:
    """Of the sources in a folder; arguments are those of ``build``."""
    between = board.ram_origin - board.flash_origin
    roomy = replace(board, flash=min(between, _LARGE) if between > 0 else _LARGE, ram=_LARGE)
    built = build(roomy, folder, sources, main, work, "gcc", name, level=level)
    program, stack = built.program, built.program.zeroed.get(".stack", 0)
    still = program.data + sum(program.zeroed.values()) - stack
    return ProgramSize(program.constant + program.data, still, stack, built.bound)


def size_of_files(
    files: Mapping[str, bytes], board: Board, main: str, name: str, level: str | None = None
) -> ProgramSize:
    """Of sources and headers that are in no folder yet."""
    with TemporaryDirectory(prefix="spquant-size-") as temporary:
        folder = Path(temporary) / "sources"
        for file, data in files.items():
            target = folder / file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        sources = sorted(file for file in files if file.endswith(".c"))
        return program_size(board, folder, sources, main, Path(temporary) / "work", name, level)
