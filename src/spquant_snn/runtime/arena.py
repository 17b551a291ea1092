"""The arena: one block of memory whose parts have their places before anything runs."""

from __future__ import annotations

from dataclasses import dataclass

ALIGNMENT = 64  # a line of cache, and the widest vector


@dataclass(frozen=True)
class Region:
    """A part of an arena, in bytes from its start."""

    offset: int
    size: int


class Arena:
    """Places regions one behind the other.

    Args:
        guard: bytes at least that stay unused behind each.
    """

    def __init__(self, guard: int = 0) -> None:
        self.guard = guard
        self.size = 0

    def take(self, size: int) -> Region:
        region = Region(self.size, size)
        if size:
            self.size += -(-(size + self.guard) // ALIGNMENT) * ALIGNMENT
        return region
