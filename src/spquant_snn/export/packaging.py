"""The files of an export in other shapes: as one header and one source, and as a library of PlatformIO and the Arduino
IDE."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Target = Literal["spq", "c", "web", "onnx", "nir"]  # what a network is exported as
Prefer = Literal["speed", "flash"]  # of C: few instructions, or few bytes
Layout = Literal["plain", "platformio"]

_INCLUDE = re.compile(r'^#include "([^"]+)"\n', re.MULTILINE)
_FACE = "model.h"  # what a program includes
_ROOT = ("README.md", "Makefile", "model.spq")  # beside the sources


@dataclass(frozen=True)
class Packaging:
    """How a folder is laid out.

    Args:
        amalgamate: all of the source in model.h and model.c.
        layout: plain, all files side by side; or platformio, with the sources below src/.
    """

    amalgamate: bool = False
    layout: Layout = "plain"


PLAIN = Packaging()


def amalgamated(files: Mapping[str, bytes], sources: Sequence[str]) -> dict[str, bytes]:
    """The files with all sources in model.c, and of the headers model.h alone.

    Args:
        files: by name.
        sources: of them, in the order in which they stand in model.c.
    """
    text = {name: data.decode() for name, data in files.items() if name.endswith((".c", ".h"))}
    done: set[str] = set()

    def inlined(name: str) -> str:
        """A file with its headers in it, each where it comes first; those that are not there are of other machines."""

        def header(match: re.Match[str]) -> str:
            found = match[1]
            if found not in text or found == _FACE:
                return match[0] if found != _FACE else ""
            if found in done:
                return ""
            done.add(found)
            return f"/* ---- {found} ---- */\n{inlined(found)}"

        return _INCLUDE.sub(header, text[name])

    parts = [f"/* ---- {name} ---- */\n{inlined(name)}" for name in sources]
    others = {name: data for name, data in files.items() if name not in text}
    return {**others, _FACE: files[_FACE], "model.c": "\n".join([f'#include "{_FACE}"\n', *parts]).encode()}


def as_library(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files with sources and headers in src/, where the Arduino IDE looks for both, and without a Makefile."""
    return {name if name in _ROOT else f"src/{name}": data for name, data in files.items() if name != "Makefile"}
