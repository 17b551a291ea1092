"""C sources, compiled once for this machine and kept in the user's cache folder.

The name of a built library holds a hash of its source, the flags, the compiler's version and the CPU, so that a change
of any of them builds anew; and a hash of the library itself, so that one that is damaged is not loaded but built again.
It is written beside its place and renamed into it: processes that build at once do not meet.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from .errors import MissingDependencyError, RunError
from .io.output import say_progress
from .io.writing import cache_folder, replace_file

Command = tuple[str, ...]

_UNJAMMED = "-fno-loop-unroll-and-jam"  # of gcc, whose jammed loops over events lose their lanes; others know it not
_ROLLED = "--param=max-completely-peel-times=15"  # of gcc too, which else writes out 16 lanes before they are a vector
PORTABLE = ("-O3", _UNJAMMED, _ROLLED)
NATIVE = (*PORTABLE, "-march=native")
PLAIN = ("-O2",)

_ASSERTIONS = "assertions.c"
_ALWAYS = ("-std=c99", "-fPIC")
_COLD = ("-O1",)
_COMPILERS = ("cc", "gcc", "clang")
_ZIG = ("cc", "-fno-sanitize=undefined")  # zig checks what it builds without optimisation, unless told not to
_PATIENCE = 300  # seconds for a compiler
_NO_ROOM = tuple(os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS))


class _InVainError(MissingDependencyError):
    """A failure that other flags would meet too."""


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
        functions: that it has.
        options, libraries: for the compiler, whatever it builds for.
        cold: files that no time is spent in, so that none is spent on making them fast.
        assertions: gives C source that is compiled too, with ``folder`` to include from; where what it asserts of its
            headers does not hold, nothing is built.
    """

    name: str
    folder: Path
    instead: str
    functions: tuple[str, ...]
    options: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    cold: tuple[str, ...] = ()
    assertions: Callable[[], str] | None = None

    def sources(self) -> tuple[Path, ...]:
        """Its files, headers too."""
        return tuple(sorted(path for path in self.folder.iterdir() if path.suffix in (".c", ".h")))

    def load(self, flags: tuple[str, ...] | None = None) -> ctypes.CDLL:
        """The library, built first where the cache does not hold it.

        Args:
            flags: for the compiler; by default those for this very CPU, or plainer ones where it does not know them.

        Where the cache folder cannot be written, it is built for this process alone, with a warning.

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
            if (found := self._tried(cc, fast)) is not None:
                return found
        for slower in _understood(cc, PORTABLE, ("-O3",)):
            if (found := self._tried(cc, slower)) is not None:
                return self._slower(cc, found)
        return self._slower(cc, self._loaded(cc, PLAIN))

    def _tried(self, cc: Command, flags: tuple[str, ...]) -> ctypes.CDLL | None:
        """The library; None where other flags may do."""
        try:
            return self._loaded(cc, flags)
        except _InVainError:
            raise
        except MissingDependencyError:
            return None

    def _slower(self, cc: Command, built: ctypes.CDLL) -> ctypes.CDLL:
        _warn(f"the C compiler {cc[0]} cannot build for this very CPU: the {self.name} is built for any, and is slower")
        return built

    def _loaded(self, cc: Command, flags: tuple[str, ...]) -> ctypes.CDLL:
        key = self._key(cc, flags)
        for path in _kept(key):
            if _whole(path):
                with suppress(OSError, MissingDependencyError):  # of another machine, perhaps
                    return self._opened(cc, path)
            with suppress(OSError):
                path.unlink()
        try:
            with tempfile.TemporaryDirectory(prefix="spquant_snn-", ignore_cleanup_errors=True) as folder:
                once = Path(folder) / "spq.so"
                self._compile(cc, flags, once)
                return self._keep(cc, key, once)
        except OSError as error:  # of the temporary folder
            raise _InVainError(
                f"there is no folder to build the {self.name} in ({error.strerror or error}): set TMPDIR to one"
            ) from error

    def _keep(self, cc: Command, key: str, once: Path) -> ctypes.CDLL:
        """The library that was built as ``once``, from the cache if it could be put there."""
        data = once.read_bytes()
        path = cache_folder() / f"spq-{key}-{hashlib.sha256(data).hexdigest()}.so"
        try:
            replace_file(path, data)
            reason = ""
            with suppress(OSError):  # that nothing may be loaded from
                return self._opened(cc, path)
        except (RunError, OSError) as error:
            reason = str(error)
        except MissingDependencyError:
            path.unlink(missing_ok=True)
            raise
        try:
            found = self._opened(cc, once)
        except OSError as error:
            with suppress(OSError):
                path.unlink()
            raise MissingDependencyError(
                f"what {cc[0]} built for the {self.name} cannot be loaded ({error}): repair it"
            ) from error
        why = reason or f"nothing can be loaded from {path.parent}: set XDG_CACHE_HOME to another folder"
        _warn(f"the {self.name} is built again at every start, for it cannot be kept: {why}")
        return found

    def _opened(self, cc: Command, path: Path) -> ctypes.CDLL:
        library = ctypes.CDLL(str(path))
        missing = [name for name in self.functions if not hasattr(library, name)]
        if missing:
            raise MissingDependencyError(
                f"what {cc[0]} built for the {self.name} has no function {missing[0]}: repair it"
            )
        return library

    def _compile(self, cc: Command, flags: tuple[str, ...], target: Path) -> None:
        """Compile each source in a process of its own, as many at a time as there are cores, and link them."""
        sources = sorted((path for path in self.sources() if path.suffix == ".c"), key=_size, reverse=True)
        include: list[str] = []
        if self.assertions is not None:
            asserted = target.with_name(_ASSERTIONS)
            asserted.write_text(self.assertions(), encoding="utf-8")
            include, sources = ["-I", str(self.folder)], [asserted, *sources]  # which what is wrong shows in first
        say_progress(f"building the {self.name} for this machine, once: {len(sources)} files of C, by {cc[0]}")
        objects = [target.with_name(f"{path.name}.o") for path in sources]

        def build(path: Path, out: Path) -> None:
            slow = _COLD if path.name in self.cold else ()
            self._call(cc, [*_ALWAYS, *self.options, *flags, *slow, *include, "-c", "-o", str(out), str(path)], out)

        with ThreadPoolExecutor(_cores()) as pool:
            running = [pool.submit(build, *each) for each in zip(sources, objects, strict=True)]
            try:
                for each in running:
                    each.result()
            finally:
                pool.shutdown(cancel_futures=True)
        links = ["-shared", "-o", str(target), *map(str, objects), *self.libraries]
        self._call(cc, [*_ALWAYS, *self.options, *flags, *links], target)

    def _call(self, cc: Command, options: list[str], out: Path) -> None:
        """Let the compiler write a file.

        Raises:
            MissingDependencyError: it does not.
        """
        ended = _run(cc, [*cc, *options])
        if ended.returncode == 0 and out.is_file():
            return
        lines = [line for line in ended.stderr.splitlines() if "error" in line] or ended.stderr.splitlines()
        said = (lines or ["it says nothing"])[0].strip()
        if any(reason in ended.stderr for reason in _NO_ROOM):
            raise _InVainError(
                f"there is no room to build the {self.name} ({said}): make some, or set TMPDIR to a folder that has"
            )
        if _ASSERTIONS in said:
            raise _InVainError(f"the C source of the {self.name} is not the one that is needed ({said}): repair it")
        raise MissingDependencyError(f"the C compiler {cc[0]} failed to build the {self.name} ({said}): repair it")

    def _key(self, cc: Command, flags: tuple[str, ...]) -> str:
        digest = hashlib.sha256()
        parts = [path.read_bytes() for path in self.sources()]
        asserted = "" if self.assertions is None else self.assertions()
        texts = (asserted, *self.options, *self.libraries, *self.cold, *flags, _version(cc), _cpu())
        for part in (*parts, *(text.encode() for text in texts)):
            digest.update(len(part).to_bytes(8, "little"))
            digest.update(part)
        return digest.hexdigest()[:24]


def _size(path: Path) -> int:
    return path.stat().st_size


def _cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _understood(cc: Command, *choices: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Without the flags that a clang refuses: it would be asked in vain at every start."""
    return [flags for flags in choices if _UNJAMMED not in flags or "clang" not in _version(cc)]


def _kept(key: str) -> list[Path]:
    """What the cache has of this name; several, where a compiler does not write the same twice."""
    with suppress(OSError):
        return sorted(cache_folder().glob(f"spq-{key}-*.so"))
    return []


def _whole(path: Path) -> bool:
    """Whether a library is as it was when it was built."""
    with suppress(OSError):
        return path.stem.endswith(f"-{hashlib.sha256(path.read_bytes()).hexdigest()}")
    return False


def _warn(message: str) -> None:
    warnings.warn(message, RuntimeWarning, stacklevel=6)


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
        raise _InVainError(f"the C compiler {cc[0]} does not run ({error}): repair it") from error


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
