"""The files of an export in other shapes: as one header and one source, and as a library of PlatformIO and the Arduino
IDE."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ..errors import ConfigError
from .naming import DEFAULT, check_name

Target = Literal["spq", "c", "web", "onnx", "nir"]  # what a network is exported as
Prefer = Literal["speed", "flash"]  # of C: few instructions, or few bytes
Layout = Literal["plain", "platformio"]

_INCLUDE = re.compile(r'^#include "([^"]+)"\n', re.MULTILINE)
_ROOT = ("README.md", "Makefile", "model.spq")  # beside the sources


@dataclass(frozen=True)
class Packaging:
    """How a folder is laid out.

    Args:
        amalgamate: all of the source in one header and one source.
        layout: plain, all files side by side; or platformio, with the sources below src/.
        name: of the network, with which every file and every name in C begins.
        share_runtime: the runtime has a folder and names of its own, and runs any network of its version.

    Raises:
        ConfigError: C does not take the name, or the runtime is to be shared and not to be a part of its own.
    """

    amalgamate: bool = False
    layout: Layout = "plain"
    name: str = DEFAULT
    share_runtime: bool = False

    def __post_init__(self) -> None:
        check_name(self.name)
        if self.amalgamate and self.share_runtime:
            raise ConfigError("one source holds its own runtime: take one of amalgamate and share_runtime")
        if self.layout != "plain" and self.share_runtime:
            raise ConfigError(f"a library of layout {self.layout} holds its own runtime: share it in layout plain")


PLAIN = Packaging()


def amalgamated(files: Mapping[str, bytes], sources: Sequence[str], name: str) -> dict[str, bytes]:
    """The files with all sources in one, and of the headers alone that a program includes.

    Args:
        files: by name.
        sources: of them, in the order in which they stand in the one.
        name: of the two files that are left.
    """
    face = f"{name}.h"
    text = {file: data.decode() for file, data in files.items() if file.endswith((".c", ".h"))}
    done: set[str] = set()

    def inlined(file: str) -> str:
        """A file with its headers in it, each where it comes first; those that are not there are of other machines."""

        def header(match: re.Match[str]) -> str:
            found = match[1]
            if found not in text or found == face:
                return match[0] if found != face else ""
            if found in done:
                return ""
            done.add(found)
            return f"/* ---- {found} ---- */\n{inlined(found)}"

        return _INCLUDE.sub(header, text[file])

    parts = [f"/* ---- {source} ---- */\n{inlined(source)}" for source in sources]
    others = {file: data for file, data in files.items() if file not in text}
    return {**others, face: files[face], f"{name}.c": "\n".join([f'#include "{face}"\n', *parts]).encode()}


def as_library(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files with sources and headers in src/, where the Arduino IDE looks for both, and without a Makefile."""
    return {name if name in _ROOT else f"src/{name}": data for name, data in files.items() if name != "Makefile"}
