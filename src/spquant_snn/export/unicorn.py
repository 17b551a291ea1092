"""Programs for boards, run by the package unicorn, where there is no QEMU."""

from __future__ import annotations

import importlib
import struct
from pathlib import Path
from typing import Any

from ..errors import MissingDependencyError, RunError
from .boards import Board
from .qemu import Ended, Stretches
from .toolchain import LAYER_MARKS, Built

_OPEN, _CLOSE, _WRITE, _READ, _EXIT = 0x01, 0x02, 0x05, 0x06, 0x20
_MODES = {1: "rb", 5: "wb"}
_SYSTEM = (0xE0000000, 1 << 20)  # the processor's own registers


def run_in_unicorn(board: Board, built: Built, work: Path, counted: bool) -> Ended:
    """Run a program, whose files lie in the folder ``work``.

    Args:
        counted: instructions, loads and stores, by blocks; much slower.

    Raises:
        MissingDependencyError: the package unicorn is not there, or does not know the board.
        RunError: the program fails.
    """
    if board.unicorn is None:
        raise MissingDependencyError(
            f"the package unicorn does not emulate {board.name}: install QEMU by 'apt-get install {board.package}'"
        )
    try:
        uc = importlib.import_module("unicorn")
        arm = importlib.import_module("unicorn.arm_const")
    except ImportError as error:
        raise MissingDependencyError(
            f"there is neither {board.qemu} nor the package unicorn to emulate {board.name} with: install one, by "
            f"'apt-get install {board.package}' or 'pip install \"spquant-snn[mcu]\"'"
        ) from error
    machine = uc.Uc(uc.UC_ARCH_ARM, uc.UC_MODE_THUMB | uc.UC_MODE_MCLASS)
    machine.ctl_set_cpu_model(getattr(arm, board.unicorn))
    for at, size in ((board.flash_origin, board.flash), (board.ram_origin, board.ram), _SYSTEM):
        machine.mem_map(at, size)
    for at, data in built.program.segments:
        machine.mem_write(at, data)
    host = _Host(machine, uc, arm, work)
    counter = _Counter(machine, uc, built) if counted else None
    stack, start = struct.unpack("<II", machine.mem_read(board.flash_origin, 8))
    machine.reg_write(arm.UC_ARM_REG_SP, stack)
    try:
        machine.emu_start(start | 1, 0xFFFFFFFE)
    except uc.UcError as error:
        raise RunError(f"unicorn failed to run the firmware on {board.name} ({error}): use QEMU") from error
    finally:
        host.close()
    if host.code is None:
        raise RunError(f"the firmware did not end on {board.name}: export it again")
    return Ended(host.code, *(() if counter is None else counter.found))


class _Host:
    """What answers the program's requests."""

    def __init__(self, machine: Any, uc: Any, arm: Any, work: Path) -> None:
        self.code: int | None = None
        self._arm, self._work, self._files = arm, work, {}  # type: Any, Path, dict[int, Any]
        machine.hook_add(uc.UC_HOOK_INTR, self._interrupted)

    def close(self) -> None:
        for file in self._files.values():
            file.close()

    def _interrupted(self, machine: Any, number: int, data: object) -> None:
        arm = self._arm
        request, arguments = machine.reg_read(arm.UC_ARM_REG_R0), machine.reg_read(arm.UC_ARM_REG_R1)
        at = machine.reg_read(arm.UC_ARM_REG_PC)
        if request == _EXIT:
            self.code = struct.unpack("<Ii", machine.mem_read(arguments, 8))[1]
            machine.emu_stop()
            return
        words = struct.unpack("<III", machine.mem_read(arguments, 12))
        machine.reg_write(arm.UC_ARM_REG_R0, self._answer(machine, request, *words) & 0xFFFFFFFF)
        if bytes(machine.mem_read(at, 2)) == b"\xab\xbe":  # the request itself, to be stepped over
            machine.reg_write(arm.UC_ARM_REG_PC, (at + 2) | 1)

    def _answer(self, machine: Any, request: int, first: int, second: int, third: int) -> int:
        if request == _OPEN:
            name = bytes(machine.mem_read(first, third)).decode("ascii")
            handle = len(self._files) + 1
            self._files[handle] = (self._work / name).open(_MODES[second])
            return handle
        if request == _READ:
            data = self._files[first].read(third)
            machine.mem_write(second, data)
            return third - len(data)
        if request == _WRITE:
            self._files[first].write(machine.mem_read(second, third))
            return 0
        return -1


class _Counter:
    """Counts what lies between the marks: whole blocks, as the plugin of QEMU does."""

    def __init__(self, machine: Any, uc: Any, built: Built) -> None:
        self.instructions = self.loads = self.stores = self._before = 0
        self._stretches: list[int] = []
        self._counting = False
        self._begin, self._end = (built.program.symbols[name] & ~1 for name in ("mark_begin", "mark_end"))
        first = built.program.symbols.get(LAYER_MARKS, 0) & ~1
        self._marks = {first + 4 * i: i for i in range(built.layers)}
        self._layer, self._layers = built.layers, [0] * (built.layers + 1)
        self._layers_before, self._layers_most = self._layers[:], self._layers[:]
        self._sizes: dict[tuple[int, int], int] = {}
        machine.hook_add(uc.UC_HOOK_BLOCK, self._entered)
        machine.hook_add(uc.UC_HOOK_MEM_READ, self._loaded)
        machine.hook_add(uc.UC_HOOK_MEM_WRITE, self._stored)

    @property
    def found(self) -> tuple[int, int, int, int, int, tuple[Stretches, ...]]:
        """As ``Ended`` has them."""
        stretches = self._stretches or [0]
        layers = tuple(Stretches(*both) for both in zip(self._layers, self._layers_most, strict=True))
        each = layers if self._marks else ()
        return self.instructions, self.loads, self.stores, min(stretches), max(stretches), each

    def _entered(self, machine: Any, at: int, size: int, data: object) -> None:
        if at in (self._begin, self._end):
            if self._counting:
                self._stretches.append(self.instructions - self._before)
                taken = (now - before for now, before in zip(self._layers, self._layers_before, strict=True))
                self._layers_most = list(map(max, self._layers_most, taken))
            self._counting, self._before = at == self._begin, self.instructions
            self._layer, self._layers_before = len(self._marks), self._layers[:]
        elif at in self._marks:
            self._layer = self._marks[at]
        elif self._counting:
            key = at, size
            if key not in self._sizes:
                self._sizes[key] = _count(bytes(machine.mem_read(at, size)))
            self.instructions += self._sizes[key]
            self._layers[self._layer] += self._sizes[key]

    def _loaded(self, *what: object) -> None:
        self.loads += self._counting

    def _stored(self, *what: object) -> None:
        self.stores += self._counting


def _count(block: bytes) -> int:
    """Instructions of a block of Thumb code: those that begin with 0b11101, 0b11110 or 0b11111 take two half words."""
    count = at = 0
    while at < len(block):
        at += 4 if block[at + 1] >= 0xE8 else 2
        count += 1
    return count
