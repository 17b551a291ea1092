"""What a linked program for a device says of itself: an ELF file of 32 bits, little-endian."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_ALLOCATED, _WRITABLE, _NO_BITS, _SYMBOLS, _LOADED = 2, 1, 8, 2, 1


@dataclass(frozen=True)
class ElfImage:
    """Sizes of its sections, addresses of its symbols, and what is loaded where.

    Args:
        constant: bytes that lie in flash and stay there.
        data: bytes that lie in flash and are copied to RAM.
        zeroed: bytes of RAM without a content, by section.
        symbols: addresses by name.
        segments: addresses in flash, and the bytes there.
    """

    constant: int
    data: int
    zeroed: dict[str, int]
    symbols: dict[str, int]
    segments: tuple[tuple[int, bytes], ...]


def replace_constants(source: Path, target: Path, constants: Mapping[int, bytes]) -> None:
    """Write a program in which other constants lie at some addresses, and nothing else differs."""
    data = bytearray(source.read_bytes())
    section_at, section_count = struct.unpack_from("<I", data, 32)[0], struct.unpack_from("<H", data, 48)[0]
    sections = [struct.unpack_from("<10I", data, section_at + 40 * i) for i in range(section_count)]
    for address, content in constants.items():
        offset = next(
            offset + address - at
            for _, kind, flags, at, offset, size, *_ in sections
            if flags & _ALLOCATED and kind != _NO_BITS and at <= address and address + len(content) <= at + size
        )
        data[offset : offset + len(content)] = content
    target.write_bytes(data)


def read_program(path: Path) -> ElfImage:
    """Read a file that a linker has just written."""
    data = path.read_bytes()
    program_at, section_at = struct.unpack_from("<II", data, 28)
    program_count, section_count, names = (*struct.unpack_from("<H", data, 44), *struct.unpack_from("<HH", data, 48))
    sections = [struct.unpack_from("<10I", data, section_at + 40 * i) for i in range(section_count)]
    constant = initialised = 0
    zeroed: dict[str, int] = {}
    symbols: dict[str, int] = {}
    for name, kind, flags, _, offset, size, link, *_ in sections:
        if kind == _SYMBOLS:
            symbols |= _symbols(data, offset, size, sections[link][4])
        elif flags & _ALLOCATED and kind == _NO_BITS:
            zeroed[_text(data, sections[names][4] + name)] = size
        elif flags & _ALLOCATED and flags & _WRITABLE:
            initialised += size
        elif flags & _ALLOCATED:
            constant += size
    segments = []
    for i in range(program_count):
        kind, offset, _, physical, size, *_ = struct.unpack_from("<8I", data, program_at + 32 * i)
        if kind == _LOADED and size:
            segments.append((physical, data[offset : offset + size]))
    return ElfImage(constant, initialised, zeroed, symbols, tuple(segments))


def _symbols(data: bytes, offset: int, size: int, names: int) -> dict[str, int]:
    entries = (struct.unpack_from("<II", data, offset + at) for at in range(0, size, 16))
    return {_text(data, names + name): value for name, value in entries}


def _text(data: bytes, at: int) -> str:
    return data[at : data.index(b"\0", at)].decode("ascii", "replace")
