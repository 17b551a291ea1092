"""The names in exported C: every file, guard, macro, type and function begins with that of its network, also those of
the runtime, so that several networks, and several versions of the runtime, link into one program."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files as resources

from ..errors import ConfigError
from ..io.texts import short

DEFAULT = "model"
LONGEST_NAME = 31
SHARED = "spq"  # what a runtime that several networks share is called, and its folder
_NAME = re.compile(r"[A-Za-z](?:_?[A-Za-z0-9])*", re.ASCII)
# Of the C library.
_HEADERS = frozenset(
    (
        "assert", "complex", "ctype", "errno", "fenv", "float", "inttypes", "iso646", "limits", "locale", "math",
        "setjmp", "signal", "stdalign", "stdarg", "stdatomic", "stdbit", "stdbool", "stdckdint", "stddef", "stdint",
        "stdio", "stdlib", "stdnoreturn", "string", "tgmath", "threads", "time", "uchar", "wchar", "wctype", "arduino",
    )
)  # fmt: skip
_TARGETS = frozenset(  # of make and CMake
    ("all", "clean", "depend", "edit_cache", "help", "install", "package", "package_source", "rebuild_cache", "test")
)
_FILE = re.compile(r"\b(\w+)\.([ch])\b", re.ASCII)


def check_name(name: str) -> None:
    """Refuse a name that C would not take as the start of its own.

    Raises:
        ConfigError: it is no identifier, too long, or one that is taken.
    """
    if _NAME.fullmatch(name) is None or len(name) > LONGEST_NAME:
        raise ConfigError(
            f"a network in C is named by up to {LONGEST_NAME} letters, digits and single underscores, a letter first, "
            f"not {short(name)}: take one like kws"
        )
    if name.lower() == SHARED or name.lower().endswith(f"_{SHARED}"):
        raise ConfigError(f"the name {name} is one of the runtime: take another, like kws")
    if name.lower() in _HEADERS:
        raise ConfigError(f"{name}.h is a header of the C library: take another name, like {name}_net")
    if name.lower() in _TARGETS:
        raise ConfigError(f"{name} is a target of every CMake project: take another name, like {name}_net")
    part = next((part for part in _parts() if name.lower().endswith(f"_{part}")), None)
    if part is not None:
        raise ConfigError(
            f"{name}.h would be a file of a network {name[: -len(part) - 1]} too, its {part}: take another name, like "
            f"{name}_net"
        )


def _parts() -> set[str]:
    """What stands behind the name of a network in the names of its files."""
    runtime = (resources("spquant_snn.runtime") / "csrc").iterdir()
    return {"tables", "selftest", *(path.name.rpartition(".")[0] for path in runtime)}


@dataclass(frozen=True)
class Names:
    """What the parts of an export are called.

    Args:
        name: of the network.
        shared: its runtime is one for several networks, and has a name of its own.

    Raises:
        ConfigError: C does not take the name.
    """

    name: str = DEFAULT
    shared: bool = False

    def __post_init__(self) -> None:
        check_name(self.name)

    @property
    def macro(self) -> str:
        """What its macros begin with."""
        return self.name.upper()

    @property
    def runtime(self) -> str:
        """What functions and types of the runtime begin with; macros the same in capitals."""
        return SHARED if self.shared else f"{self.name}_{SHARED}"

    def runtime_file(self, file: str) -> str:
        """What a file of the runtime is called in an export, in its folder."""
        if self.shared:
            return f"{SHARED}/{file}" if file.startswith(SHARED) else f"{SHARED}/{SHARED}_{file}"
        return f"{self.name}_{file}"

    def runtime_files(self, files: Mapping[str, str]) -> dict[str, str]:
        """Sources and headers of the runtime, under the names of an export."""
        named = {file: self.runtime_file(file).rpartition("/")[2] for file in files}
        return {self.runtime_file(file): self._renamed(text, named) for file, text in files.items()}

    def _renamed(self, text: str, files: Mapping[str, str]) -> str:
        text = _FILE.sub(lambda found: files.get(found[0], found[0]), text)
        if self.shared:
            return text
        text = re.sub(rf"\b{SHARED}_", f"{self.runtime}_", text, flags=re.ASCII)
        return re.sub(rf"\b{SHARED.upper()}_", f"{self.runtime.upper()}_", text, flags=re.ASCII)
