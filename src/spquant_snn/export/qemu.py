"""Programs for boards, run by QEMU, with every instruction counted by a plugin."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from importlib.resources import files as resources
from pathlib import Path

from ..build import command
from ..errors import MissingDependencyError, RunError
from .boards import Board
from .toolchain import LAYER_MARKS, Built

_PATIENCE = 1800  # seconds


@dataclass(frozen=True)
class Stretches:
    """Instructions of one part of a program.

    Args:
        all: in all stretches that were counted.
        most: in the longest of them.
    """

    all: int
    most: int


@dataclass(frozen=True)
class Ended:
    """How a program ended.

    Args:
        code: its exit code.
        instructions, loads, stores: between its marks, for all images; None where nothing was counted.
        least, most: instructions from one mark to the next, as of one image or one frame.
        layers: of each layer and readout of a program that was built to tell them apart, and last of what comes before
            the first; loads and stores are then not counted.
    """

    code: int
    instructions: int | None = None
    loads: int | None = None
    stores: int | None = None
    least: int | None = None
    most: int | None = None
    layers: tuple[Stretches, ...] = ()


def installed(board: Board) -> bool:
    """Whether QEMU has been installed for this board."""
    return shutil.which(board.qemu) is not None


def run_in_qemu(board: Board, built: Built, work: Path, counted: bool) -> Ended:
    """Run a program, whose files lie in the folder ``work``.

    Raises:
        MissingDependencyError: QEMU is not there, or no compiler for its plugin.
        RunError: the program does not end.
    """
    path = shutil.which(board.qemu)
    if path is None:
        raise MissingDependencyError(
            f"there is no {board.qemu} to emulate {board.name} with: install it by 'apt-get install {board.package}'"
        )
    call = [path, "-M", board.machine, "-nographic", "-monitor", "none", "-serial", "none"]
    call += ["-bios", "none"] if board.riscv else []
    call += ["-semihosting-config", "enable=on,target=native", "-kernel", str(built.path)]
    counts = work / "counts.txt"
    if counted:
        marks = [built.program.symbols[name] & ~1 for name in ("mark_begin", "mark_end")]
        plugin = f"{_plugin(work)},begin={marks[0]:#x},end={marks[1]:#x},out={counts}"
        if built.layers:
            plugin += f",first={built.program.symbols[LAYER_MARKS] & ~1:#x},layers={built.layers},quick=1"
        call += ["-plugin", plugin]
    try:
        ended = subprocess.run(
            call, cwd=work, capture_output=True, text=True, errors="replace", check=False, timeout=_PATIENCE,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise RunError(f"the firmware did not end on {board.name} in {_PATIENCE} seconds: take fewer images") from error
    if ended.returncode < 0 or (counted and not counts.is_file()):
        said = (ended.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise RunError(f"{board.qemu} failed to run the firmware ({said}): update it")
    if not counted:
        return Ended(ended.returncode)
    found = [int(word) for word in counts.read_text("ascii").split()]
    layers = tuple(Stretches(*found[i : i + 2]) for i in range(5, len(found), 2))
    instructions, loads, stores, least, most = found[:5]
    return Ended(ended.returncode, instructions, loads, stores, least, most, layers)


def _plugin(work: Path) -> Path:
    """The plugin, built for this machine."""
    source, target = resources(__package__) / "harness" / "count.c", work / "libcount.so"
    if target.is_file():
        return target
    cc = command()
    call = [*cc, "-O2", "-shared", "-fPIC", "-o", str(target), str(source)]
    ended = subprocess.run(call, capture_output=True, text=True, errors="replace", check=False)
    if ended.returncode != 0:
        raise MissingDependencyError(
            f"the C compiler {cc[0]} failed to build what counts instructions: repair it, or leave that out: "
            "--no-instructions"
        )
    return target
