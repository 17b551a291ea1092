"""C sources, compiled once for this machine and kept in the user's cache folder.

The name of a built library holds a hash of its source, the flags, the compiler's version and the CPU, so that a change
of any of them builds anew. It is built beside its place and renamed into it: processes that build at once do not meet.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import warnings
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from .errors import MissingDependencyError, RunError
from .files import write_file

Command = tuple[str, ...]

_UNJAMMED = "-fno-loop-unroll-and-jam"  # of gcc, whose jammed loops over events lose their lanes; others know it not
_ROLLED = "--param=max-completely-peel-times=15"  # of gcc too, which else writes out 16 lanes before they are a vector
PORTABLE = ("-O3", _UNJAMMED, _ROLLED)
NATIVE = (*PORTABLE, "-march=native")
PLAIN = ("-O2",)

_ALWAYS = ("-std=c99", "-fPIC", "-shared")
_COMPILERS = ("cc", "gcc", "clang")
_ZIG = ("cc", "-fno-sanitize=undefined")  # zig checks what it builds without optimisation, unless told not to
_PATIENCE = 300  # seconds for a compiler


def compiler() -> str:
    """The path of the C compiler of this machine.

    Raises:
        MissingDependencyError: there is none.
    """
    for name in _COMPILERS:
        path = shutil.which(name)
        if path is not None:
            return path
    raise MissingDependencyError(
        "there is no C compiler (cc, gcc, clang or the package ziglang): install one, as with 'apt-get install gcc' or "
        "'pip install ziglang'"
    )


def command() -> Command:
    """What to call with a compiler's options: the compiler of this machine, or that of the package ziglang.

    Raises:
        MissingDependencyError: there is neither.
    """
    try:
        return (compiler(),)
    except MissingDependencyError:
        for folder in _ziglang():
            zig = shutil.which("zig", path=folder)  # with the ending that programs have here
            if zig is not None:
                return os.path.abspath(zig), *_ZIG
        raise


def _ziglang() -> list[str]:
    """The folder of the package ziglang, if it is installed; it is not imported."""
    spec = find_spec("ziglang")
    return [] if spec is None else list(spec.submodule_search_locations or [])


@dataclass(frozen=True)
class Library:
    """A C source to be built.

    Args:
        name: in messages.
        folder: of its files.
        instead: what a user may do who cannot build it, in messages.
        options, libraries: for the compiler, whatever it builds for.
    """

    name: str
    folder: Path
    instead: str
    options: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()

    def sources(self) -> tuple[Path, ...]:
        """Its files, headers too."""
        return tuple(sorted(path for path in self.folder.iterdir() if path.suffix in (".c", ".h")))

    def load(self, flags: tuple[str, ...] | None = None) -> ctypes.CDLL:
        """The library, built first where the cache does not hold it.

        Args:
            flags: for the compiler; by default those for this very CPU, or plainer ones where it does not know them.

        Raises:
            MissingDependencyError: there is no compiler, or it does not work.
        """
        try:
            return self._chosen(flags)
        except MissingDependencyError as error:
            raise MissingDependencyError(f"{error}, or use {self.instead}") from error

    def _chosen(self, flags: tuple[str, ...] | None) -> ctypes.CDLL:
        cc = command()
        if flags is not None:
            return self._loaded(cc, flags)
        for fast in _understood(cc, NATIVE, ("-O3", "-march=native")):
            with suppress(MissingDependencyError):
                return self._loaded(cc, fast)
        for slower in _understood(cc, PORTABLE, ("-O3",)):
            with suppress(MissingDependencyError):
                return self._slower(cc, slower)
        return self._slower(cc, PLAIN)

    def _slower(self, cc: Command, flags: tuple[str, ...]) -> ctypes.CDLL:
        built = self._loaded(cc, flags)
        warnings.warn(
            f"the C compiler {cc[0]} cannot build for this very CPU: the {self.name} is built for any, and is slower",
            RuntimeWarning,
            stacklevel=5,
        )
        return built

    def _loaded(self, cc: Command, flags: tuple[str, ...]) -> ctypes.CDLL:
        path = cache_folder() / f"spq-{self._key(cc, flags)}.so"
        with suppress(OSError):  # not there yet, or damaged
            return ctypes.CDLL(str(path))
        try:
            write_file(path, lambda beside: self._compile(cc, flags, beside))
            return ctypes.CDLL(str(path))
        except (RunError, OSError):  # no room in the cache folder, or nothing may be loaded from it
            with tempfile.TemporaryDirectory(prefix="spquant_snn-") as folder:
                once = Path(folder) / path.name
                self._compile(cc, flags, once)
                try:
                    return ctypes.CDLL(str(once))
                except OSError as error:
                    raise MissingDependencyError(
                        f"what {cc[0]} built for the {self.name} cannot be loaded ({error}): repair it"
                    ) from error

    def _compile(self, cc: Command, flags: tuple[str, ...], target: Path) -> None:
        sources = [str(path) for path in self.sources() if path.suffix == ".c"]
        ended = _run(cc, [*cc, *_ALWAYS, *self.options, *flags, "-o", str(target), *sources, *self.libraries])
        if ended.returncode != 0 or not target.is_file():
            lines = [line for line in ended.stderr.splitlines() if "error" in line] or ended.stderr.splitlines()
            said = (lines or ["it says nothing"])[0].strip()
            raise MissingDependencyError(f"the C compiler {cc[0]} failed to build the {self.name} ({said}): repair it")

    def _key(self, cc: Command, flags: tuple[str, ...]) -> str:
        digest = hashlib.sha256()
        parts = [path.read_bytes() for path in self.sources()]
        texts = (*self.options, *self.libraries, *flags, _version(cc), _cpu())
        for part in (*parts, *(text.encode() for text in texts)):
            digest.update(len(part).to_bytes(8, "little"))
            digest.update(part)
        return digest.hexdigest()[:24]


def _understood(cc: Command, *choices: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Without the flags that a clang refuses: it would be asked in vain at every start."""
    return [flags for flags in choices if _UNJAMMED not in flags or "clang" not in _version(cc)]


def cache_folder() -> Path:
    """Where built libraries are kept: below $XDG_CACHE_HOME, or ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path(os.path.expanduser("~")) / ".cache") / "spquant_snn"


def _version(cc: Command) -> str:
    ended = _run(cc, [*cc, "--version"])
    if ended.returncode != 0:
        raise MissingDependencyError(f"the C compiler {cc[0]} does not run: repair it")
    return ended.stdout


def _run(cc: Command, call: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            call, capture_output=True, text=True, errors="replace", check=False, timeout=_PATIENCE, env=_plain()
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingDependencyError(f"the C compiler {cc[0]} does not run ({error}): repair it") from error


def _plain() -> dict[str, str]:
    """The environment, with messages in English."""
    return {**os.environ, "LC_ALL": "C"}


def _cpu() -> str:
    """What the CPU is and can do, where the system tells."""
    known = [platform.system(), platform.machine(), platform.processor()]
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            known += sorted({line for line in file if line.startswith(("model name", "flags", "Features", "CPU part"))})
    except OSError:
        pass
    return "\n".join(known)
