"""Boards that can be emulated: a table."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..errors import ConfigError
from ..io.texts import did_you_mean

KIB = 1024


@dataclass(frozen=True)
class Board:
    """A processor with its memories, as an emulator has them.

    Args:
        name: as the command line has it.
        machine: of QEMU.
        qemu: the program that emulates it.
        package: of Debian and Ubuntu, that holds this program.
        gcc: flags of GCC for the processor.
        zig: flags of Zig's clang for the same.
        flash_origin, flash, ram_origin, ram: where its memories start, and their bytes.
        unicorn: its model in unicorn, where that has it.
        multiplies: whether it has an instruction for that.
    """

    name: str
    machine: str
    qemu: str
    package: str
    gcc: tuple[str, ...]
    zig: tuple[str, ...]
    flash_origin: int
    flash: int
    ram_origin: int
    ram: int
    unicorn: str | None = None
    multiplies: bool = True

    @property
    def riscv(self) -> bool:
        return self.unicorn is None and "riscv" in self.qemu

    @property
    def small(self) -> bool:
        """Whether its memories are what a network has to fit."""
        return self.ram <= 4 * KIB

    @property
    def compilers(self) -> tuple[str, str]:
        """The cross compiler, and the package of Debian and Ubuntu that holds it."""
        if self.riscv:
            return "riscv64-unknown-elf-gcc", "gcc-riscv64-unknown-elf"
        return "arm-none-eabi-gcc", "gcc-arm-none-eabi"


def _cortex(name: str, machine: str, flash: int, ram: int, unicorn: bool = True, at: tuple[int, int] = (0, 0x20000000),
            floats: str = "soft") -> Board:  # fmt: skip
    core = f"cortex-{name}"
    features = {"m33": "+nofp", "m55": "+nofp"}.get(name, "") if floats == "soft" else ""
    return Board(
        name=core,
        machine=machine,
        qemu="qemu-system-arm",
        package="qemu-system-arm",
        gcc=(f"-mcpu={core}{features}", "-mthumb", f"-mfloat-abi={floats}"),
        zig=("-target", "thumb-freestanding-eabi", f"-mcpu=cortex_{name}"),
        flash_origin=at[0],
        flash=flash,
        ram_origin=at[1],
        ram=ram,
        unicorn=f"UC_CPU_ARM_CORTEX_{name.upper()}" if unicorn else None,
    )


def _smallest(name: str, ram: int) -> Board:
    """A part of ten cents: 16 registers, no multiplier that a compiler uses, 16 KB of flash. QEMU has none like it; it
    runs the subset on a larger core, with memories of the part's sizes."""
    return Board(
        name=name,
        machine="virt",
        qemu="qemu-system-riscv32",
        package="qemu-system-misc",
        gcc=("-march=rv32ec_zicsr", "-mabi=ilp32e"),
        zig=("-target", "riscv32-freestanding-none", "-mcpu=generic_rv32+e+c+zicsr", "-mabi=ilp32e"),
        flash_origin=0x80000000,
        flash=16 * KIB,
        ram_origin=0x80400000,
        ram=ram * KIB,
        multiplies=False,
    )


_M0PLUS = ("-mcpu=cortex-m0plus", "-mthumb", "-mfloat-abi=soft")
_ZIG_M0PLUS = ("-target", "thumb-freestanding-eabi", "-mcpu=cortex_m0plus")

BOARDS: dict[str, Board] = {
    board.name: board
    for board in (
        _cortex("m0", "microbit", 256 * KIB, 16 * KIB),
        _cortex("m3", "mps2-an385", 4096 * KIB, 4096 * KIB),
        _cortex("m4", "mps2-an386", 4096 * KIB, 4096 * KIB),
        _cortex("m7", "mps2-an500", 4096 * KIB, 4096 * KIB),
        _cortex("m33", "mps2-an505", 4096 * KIB, 2048 * KIB, at=(0x10000000, 0x38000000)),
        _cortex("m55", "mps3-an547", 512 * KIB, 512 * KIB, False, (0x10000000, 0x30000000), "hard"),
        Board(
            name="rv32",
            machine="virt",
            qemu="qemu-system-riscv32",
            package="qemu-system-misc",
            gcc=("-march=rv32imac_zicsr", "-mabi=ilp32"),
            zig=("-target", "riscv32-freestanding-none", "-mcpu=generic_rv32+m+a+c"),
            flash_origin=0x80000000,
            flash=4096 * KIB,
            ram_origin=0x80400000,
            ram=4096 * KIB,
        ),
        replace(
            _cortex("m0", "microbit", 32 * KIB, 4 * KIB, False), name="cortex-m0plus", gcc=_M0PLUS, zig=_ZIG_M0PLUS
        ),
        _smallest("ch32v003", 2),
        _smallest("ch32v002", 4),
    )
}


def board_of(name: str) -> Board:
    """The board of a name.

    Raises:
        ConfigError: there is none.
    """
    if name not in BOARDS:
        raise ConfigError(f"there is no board {name!r}: choose one of {', '.join(BOARDS)}{did_you_mean(name, BOARDS)}")
    return BOARDS[name]
