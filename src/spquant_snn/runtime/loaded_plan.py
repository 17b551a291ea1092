"""A plan in memory: its constants as C sees them, and the arenas made for it."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

from ..dtypes import Array, UInt8
from .plan import NetworkPlan
from .structs import CPlan, aligned


@dataclass(frozen=True, eq=False)
class ArenaBlock:
    """An arena and where it lies."""

    block: UInt8
    address: int

    @classmethod
    def of(cls, size: int) -> ArenaBlock:
        block = aligned(size)
        return cls(block, block.ctypes.data)


class LoadedPlan:
    """A plan with its arenas, each of which is one call's at a time. Safe to use from several threads.

    Args:
        arrays: see ``CPlan``.
    """

    def __init__(self, plan: NetworkPlan, arrays: dict[int, tuple[Any, Any]] | None = None) -> None:
        self.plan = plan
        self.network = CPlan(plan, arrays)
        self.at = ctypes.byref(self.network.c)
        self._free: list[ArenaBlock] = []  # its pop and append are atomic

    def borrowed(self) -> ArenaBlock:
        """An arena, to be given back."""
        try:
            return self._free.pop()
        except IndexError:
            return ArenaBlock.of(self.plan.arena_size)

    def give_back(self, arena: ArenaBlock) -> None:
        """Keep an arena for the next call."""
        self._free.append(arena)

    def clear(self) -> None:
        """Forget the arenas that no call has."""
        self._free.clear()


def address(array: Array) -> int:
    """Where a contiguous array lies; NumPy's own way takes as long as a small network's layer."""
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(array.data))
    except TypeError:  # it may not be written to
        return int(array.ctypes.data)
