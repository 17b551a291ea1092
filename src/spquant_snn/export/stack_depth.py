"""How deep the stack of a program can go, by the call graphs that GCC writes (-fcallgraph-info=su)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import RunError

_NODE = re.compile(r'^node: \{ title: "([^"]+)" label: "[^"]*\\n(\d+) bytes \((\w+)', re.MULTILINE)
_EDGE = re.compile(r'^edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"', re.MULTILINE)
_INDIRECT = "__indirect_call"


@dataclass(frozen=True)
class CallGraph:
    """Who calls whom in a program, and what each takes.

    Args:
        frames: bytes of stack of each function that was compiled.
        calls: what each of them calls.
    """

    frames: dict[str, int]
    calls: dict[str, frozenset[str]]

    @classmethod
    def read(cls, files: Iterable[Path]) -> CallGraph:
        """Of the .ci files of a program's objects."""
        frames: dict[str, int] = {}
        calls: dict[str, set[str]] = {}
        for path in files:
            text = path.read_text("utf-8")
            frames |= {title: int(size) for title, size, _ in _NODE.findall(text)}
            for source, target in _EDGE.findall(text):
                calls.setdefault(source, set()).add(target)
        return cls(frames, {source: frozenset(targets) for source, targets in calls.items()})

    def deepest(self, name: str) -> int:
        """Bytes of stack from entering a function until it is left.

        A call by a pointer may go to any function of one file alone that nobody calls by its name: the compiler keeps
        such a one only where its address is taken. What is written in assembly takes nothing.

        Raises:
            RunError: functions call themselves.
        """
        return self._deepest(name, {}, ())

    def _deepest(self, name: str, known: dict[str, int], path: tuple[str, ...]) -> int:
        if name in path:
            raise RunError(f"{name} of the firmware calls itself, so that its stack has no bound: export it again")
        if name not in known:
            below = self.calls.get(name, frozenset())
            targets = below - {_INDIRECT} | (self._by_pointer() if _INDIRECT in below else frozenset())
            depths = (self._deepest(target, known, (*path, name)) for target in sorted(targets))
            known[name] = self.frames.get(name, 0) + max(depths, default=0)
        return known[name]

    def _by_pointer(self) -> frozenset[str]:
        called = frozenset().union(*self.calls.values())
        return frozenset(name for name in self.frames if ":" in name) - called
