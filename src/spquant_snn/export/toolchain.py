"""From a folder of firmware to a program for a board: a cross compiler of the system, or the package ziglang."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files as resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from jinja2 import Environment, StrictUndefined

from ..errors import MissingDependencyError, ModelError, RunError
from .boards import Board
from .elf import ElfImage, read_program
from .naming import DEFAULT
from .stack_depth import CallGraph

Compiler = Literal["auto", "gcc", "zig"]

_FLAGS = (
    "-std=c99", "-ffreestanding", "-ffunction-sections", "-fdata-sections", "-Wall", "-Wextra", "-Wundef",
)  # fmt: skip
_FAST, _SMALL = "-O2", "-Os"  # most instructions are those of packed.c, most of the code is elsewhere
_GCC = (
    "-fno-tree-loop-distribute-patterns", "-fno-jump-tables", "-fcallgraph-info=su", "-pedantic",
    "-Wno-overlength-strings",
)  # fmt: skip
_ZIG = ("-fno-sanitize=undefined", "-fno-jump-tables", "-fno-builtin")
LAYER_MARKS = "layer_marks"  # of a program that tells its layers apart: what they call as they begin
_MARKED = re.compile(r"\benter\(|\b\w*_core\.h\b|SPQ_PROFILE")  # in a source that calls them
_PATIENCE = 300  # seconds
_HARNESS_STACK = 256  # of what calls the network, and of an exception
_UNKNOWN_STACK = 4096  # kept free where the compiler says nothing of frames
_HELPS = {
    "flash": "export it with --prefer flash where it was not, or train a network with fewer bits of weights or a "
    "smaller last hidden layer",
    "RAM": "export it with --ram smallest where it was not, or train a network with fewer bits of state, neurons or "
    "time steps",
}
_OVERFLOW = re.compile(r"region [`']?(\w+)'?[: ]+(?:.*)overflowed by (\d+) bytes")


@dataclass(frozen=True)
class Built:
    """A linked program.

    Args:
        path: of the ELF file.
        program: what is in it.
        bound: bytes of stack that the network cannot exceed: the longest way through the functions that call each
            other; None where the compiler does not tell.
        layers: how many layers and readouts say when they begin; 0 where none does.
    """

    path: Path
    program: ElfImage
    bound: int | None
    layers: int = 0


def compiler_command(board: Board, wanted: Compiler) -> tuple[str, ...]:
    """What to call, with the processor's flags.

    Raises:
        MissingDependencyError: it is not installed.
    """
    name, package = board.compilers
    found = shutil.which(name)
    if wanted != "zig" and found is not None:
        return (found, *board.gcc, *_GCC)
    found = zig()
    if wanted != "gcc" and found is not None:
        return (found, "cc", *board.zig, *_ZIG)
    what = {"gcc": name, "zig": "the package ziglang", "auto": f"{name} or the package ziglang"}[wanted]
    line = {
        "gcc": f"'apt-get install {package}'",
        "zig": "'pip install \"spquant-snn[mcu]\"'",
        "auto": f"'apt-get install {package}' or 'pip install \"spquant-snn[mcu]\"'",
    }[wanted]
    raise MissingDependencyError(f"there is no compiler for {board.name}, {what}: install it by {line}")


def build(
    board: Board,
    folder: Path,
    named: Sequence[str],
    main: str,
    work: Path,
    compiler: Compiler = "auto",
    network: str = DEFAULT,
    layers: int = 0,
    level: str | None = None,
    given: Mapping[str, Any] | None = None,
    margin: int | None = None,
) -> Built:
    """Compile the firmware in ``folder``, whose sources are named, with the harness ``main``.c into ``work``, where the
    objects of an earlier program of the same firmware for the same board serve again.

    Args:
        network: what it is called in C.
        layers: how many layers and readouts are to say when they begin; 0: none does.
        level: of optimisation; None: each file's own.
        given: what else the harness's template takes; then it has a function ``seen_row``, which the compact form calls
            with every row of spikes that it has made.
        margin: at which images stop; None: they take all steps.

    Raises:
        MissingDependencyError: there is no compiler.
        ModelError: the network is too large for the board.
        RunError: the firmware does not compile.
    """
    call = compiler_command(board, compiler)
    work.mkdir(parents=True, exist_ok=True)
    harness = Path(str(resources(__package__) / "harness"))
    environment = Environment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)
    sources = [folder / name for name in named]
    if main != "selftest":
        sources = [source for source in sources if source.stem != f"{network}_selftest"]
    start = harness / ("start_riscv.c" if board.riscv else "start_arm.c")
    caller = work / f"{main}.c"
    text = environment.from_string((harness / f"{main}.c.j2").read_text("utf-8"))
    values = {"name": network, "NAME": network.upper(), "layers": layers, "margin": margin, **(given or {})}
    caller.write_text(text.render(values), encoding="utf-8")
    headers = [f"-I{place}" for place in dict.fromkeys([*((folder / name).parent for name in named), harness])]
    profiled = _profiled(network, layers)
    profiled += [f"-D{network.upper()}_SPQ_SEEN=seen_row"] if given else []
    suffix = "-seen" if given else "-layers"
    objects = []
    for source in (*sources, start, caller):
        own = "main-" if source == caller else ""
        marked = profiled if own or _MARKED.search(source.read_text("utf-8")) else []
        target = work / f"{own}{source.stem}{suffix if marked else ''}.o"
        objects.append(target)
        if target.is_file():
            continue
        call_compiler(
            [
                *call,
                *_FLAGS,
                *marked,
                level or _level(board, source, len(named)),
                *headers,
                "-c",
                str(source),
                "-o",
                str(target),
            ],
            f"{source.name} of the firmware",
        )
    bound = None if call[1:2] == ("cc",) else _stack([path.with_suffix(".ci") for path in objects])
    script = environment.from_string((harness / "link.ld.j2").read_text("utf-8"))
    stack = _UNKNOWN_STACK if bound is None else bound + _HARNESS_STACK
    target = work / f"{main}{suffix if layers else ''}.elf"
    placed = target.with_suffix(".ld")
    placed.write_text(script.render(board=board, stack=-(-stack // 8) * 8), encoding="utf-8")
    link = [*call, "-nostdlib", "-Wl,--gc-sections", "-T", str(placed), *map(str, objects), "-o", str(target)]
    call_compiler(link, "the program of the firmware", lambda said: _check_fits(said, board))
    return Built(target, read_program(target), bound, layers)


def _level(board: Board, source: Path, count: int) -> str:
    """How to optimise a file of so many; for RISC-V, GCC's -Os copies structs by a function that is not there."""
    return _FAST if source.stem.endswith("_packed") or count == 1 or board.riscv else _SMALL


def _profiled(network: str, layers: int) -> list[str]:
    """Flags by which layers say that they begin: the runtime is named after the network, or not."""
    marks = (f"-D{prefix}SPQ_PROFILE={LAYER_MARKS}" for prefix in ("", f"{network.upper()}_"))
    return [f"-DPROFILED_LAYERS={layers}", *marks] if layers else []


def zig() -> str | None:
    """The compiler of the package ziglang, which is not imported."""
    spec = find_spec("ziglang")
    folders = [] if spec is None else list(spec.submodule_search_locations or [])
    return next((found for folder in folders if (found := shutil.which("zig", path=folder))), None)


def call_compiler(call: list[str], what: str, on_failure: Callable[[str], None] = lambda said: None) -> None:
    """Compile or link ``what``.

    Args:
        on_failure: given what the compiler says, may raise a better error.

    Raises:
        MissingDependencyError: the compiler does not run.
        RunError: it refuses.
    """
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        ended = subprocess.run(
            call, capture_output=True, text=True, errors="replace", check=False, timeout=_PATIENCE, env=environment
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingDependencyError(f"the compiler {call[0]} does not run ({error}): install it anew") from error
    if ended.returncode != 0:
        on_failure(ended.stderr)
        lines = [line for line in ended.stderr.splitlines() if "error" in line] or ended.stderr.splitlines()
        reason = (lines or ["it says nothing"])[0].strip()
        raise RunError(f"{what} does not compile ({reason}): export it again")


def _check_fits(said: str, board: Board) -> None:
    """Raise ModelError if a linker says that a memory is too small."""
    for region, excess in _OVERFLOW.findall(said):
        size, name = (board.flash, "flash") if region == "FLASH" else (board.ram, "RAM")
        raise ModelError(
            f"the network is too large for {board.name}, it needs {size + int(excess):,} bytes of {name} and there are "
            f"{size:,}, {int(excess):,} fewer: choose a board with more, {_HELPS[name]}"
        )


def _stack(graphs: list[Path]) -> int:
    """What ``main`` calls, at its deepest."""
    graph = CallGraph.read(graphs)
    return graph.deepest("main") - graph.frames["main"]
