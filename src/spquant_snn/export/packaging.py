"""The files of an export in other shapes: as one header and one source, and as a library of a build system."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ..errors import ConfigError
from .naming import DEFAULT, check_name

Target = Literal["spq", "c", "web", "onnx", "nir"]  # what a network is exported as
Prefer = Literal["speed", "flash"]  # of C: few instructions, or few bytes
Layout = Literal["plain", "cmake", "zephyr", "esp-idf", "platformio", "arduino", "cmsis-pack"]

LICENCE = "Apache-2.0"
_INCLUDE = re.compile(r'^#include "([^"]+)"\n', re.MULTILINE)
_SOURCES = (".c", ".h")
_UNUSED = """#if defined(__GNUC__) /* functions of headers, of which not every network uses all */
#pragma GCC diagnostic ignored "-Wunused-function"
#endif
"""
_COMMENTS = {
    ".c": "/* {} */\n",
    ".h": "/* {} */\n",
    ".ino": "// {}\n",
    ".txt": "# {}\n",
    ".yml": "# {}\n",
    ".md": "<!-- {} -->\n",
    "Makefile": "# {}\n",
    "Kconfig": "# {}\n",
}
# What each layout holds beside the sources, by the template that it is made of; {} is the name of the network.
_DESCRIPTIONS: dict[Layout, dict[str, str]] = {
    "plain": {"CMakeLists.txt": "cmake.txt", "Makefile": "Makefile"},
    "cmake": {"CMakeLists.txt": "cmake.txt"},
    "zephyr": {"zephyr/module.yml": "module.yml", "zephyr/CMakeLists.txt": "zephyr.txt", "zephyr/Kconfig": "Kconfig"},
    "esp-idf": {"CMakeLists.txt": "esp_idf.txt", "idf_component.yml": "idf_component.yml"},
    "platformio": {"library.json": "library.json", "examples/classify/classify.ino": "classify.ino"},
    "arduino": {"library.properties": "library.properties", "examples/classify/classify.ino": "classify.ino"},
    "cmsis-pack": {"spquant-snn.{}.pdsc": "pack.pdsc"},
}


@dataclass(frozen=True)
class Packaging:
    """How a folder is laid out.

    Args:
        amalgamate: all of the source in one header and one source.
        layout: plain, all files side by side; or what a build system takes, with the sources below src/.
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
        if self.layout not in ("plain", "cmake") and self.share_runtime:
            raise ConfigError(f"layout {self.layout} holds its own runtime: share it in layout plain or cmake")

    def check_plain(self) -> None:
        """Refuse what the compact form of firmware, one of those that limits choose from, cannot be.

        Raises:
            ConfigError: it is asked for.
        """
        if self.amalgamate or self.share_runtime:
            option = "amalgamate" if self.amalgamate else "share_runtime"
            raise ConfigError(
                f"{option} is not for firmware of a limited size, whose form may have no runtime: leave it out"
            )

    @property
    def folder(self) -> str:
        """Of the sources, with a slash behind it where there is one."""
        return "" if self.layout == "plain" else "src/"

    @property
    def descriptions(self) -> dict[str, str]:
        """Files beside the sources, and the templates that they are made of."""
        return {file.format(self.name): template for file, template in _DESCRIPTIONS[self.layout].items()}

    def laid_out(self, sources: Mapping[str, bytes]) -> dict[str, bytes]:
        """Sources and headers in their folder."""
        return {self.folder + name: data for name, data in sources.items()}


PLAIN = Packaging()


def amalgamated(files: Mapping[str, bytes], sources: Sequence[str], name: str) -> dict[str, bytes]:
    """The files with all sources in one, and of the headers alone that a program includes.

    Args:
        files: by name.
        sources: of them, in the order in which they stand in the one.
        name: of the two files that are left.
    """
    face = f"{name}.h"
    text = {file: data.decode() for file, data in files.items() if file.endswith(_SOURCES)}
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
    start = f'#include "{face}"\n\n{_UNUSED}'
    return {**others, face: files[face], f"{name}.c": "\n".join([start, *parts]).encode()}


def licensed(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files with a line that says under what licence each is, where its kind has comments."""
    line = f"SPDX-License-Identifier: {LICENCE}"
    found = {}
    for name, data in files.items():
        last = name.rpartition("/")[2]
        comment = _COMMENTS.get(last) or _COMMENTS.get("." + last.rpartition(".")[2])
        found[name] = data if comment is None else comment.format(line).encode() + data
    return found
