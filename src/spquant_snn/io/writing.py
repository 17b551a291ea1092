"""Writing files so that no reader ever meets half of one: beside the target first, then renamed over it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ..errors import ConfigError, RunError

_NEAR = 4096  # bytes
_LONGEST_PATH = 1 << 14  # bytes


def path_text(path: object) -> str:
    """A path that a user gives, as text.

    Raises:
        ConfigError: it is no path.
    """
    if isinstance(path, bytes) and (len(path) > _LONGEST_PATH or b"\0" in path):
        raise ConfigError(f"a path must be text or a pathlib.Path, not the {len(path):,} bytes that a file holds")
    if isinstance(path, str | bytes | os.PathLike):
        return os.fsdecode(path)
    raise ConfigError(f"a path must be text or a pathlib.Path, not a {type(path).__name__}")


def folder_named(name: str, path: str | os.PathLike[str] | None) -> Path | None:
    """A path that a user gives as ``name``, if any; an empty one would be the current folder.

    Raises:
        ConfigError: it is empty, or no path.
    """
    if path is None:
        return None
    if not path_text(path):
        raise ConfigError(f"{name} is empty: give a folder, or leave it out")
    return Path(path_text(path))


def cache_folder() -> Path:
    """``spquant_snn`` in the user's cache: below $XDG_CACHE_HOME, if that is an absolute path, or ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path(os.path.expanduser("~")) / ".cache") / "spquant_snn"


def replace_file(path: str | os.PathLike[str], data: bytes | str, make_folders: bool = True) -> None:
    """Write ``data`` as the whole content of a file: text as UTF-8, in which surrogates, as names of files may hold
    them, are escaped.

    Args:
        make_folders: make the folders that are missing, instead of refusing.

    Raises:
        ConfigError: ``path`` is no path.
        RunError: the file cannot be written; what stood there before is untouched.
    """
    content = data.encode("utf-8", "backslashreplace") if isinstance(data, str) else data
    write_file(path, lambda beside: beside.write_bytes(content), make_folders)


def refuse_other(path: str | os.PathLike[str], mark: bytes, what: str) -> None:
    """Refuse to write over a file of another kind, which may be somebody's own; one that is empty holds nothing.

    Args:
        mark: bytes near the beginning by which the kind is known.
        what: its name.

    Raises:
        RunError: it is of another kind, or cannot be read.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(_NEAR)
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise RunError(f"{path_text(path)} cannot be written ({reason}): choose another name") from None
    if start and mark not in start:
        raise RunError(f"{path_text(path)} is there and is not {what}, so it is kept: choose another name")


def write_file(path: str | os.PathLike[str], write: Callable[[Path], object], make_folders: bool = True) -> None:
    """Let ``write`` make a file of another name in the same folder, then rename it to ``path``.

    Args:
        make_folders: as for ``replace_file``.

    Raises:
        ConfigError, RunError: as ``replace_file``.
    """
    beside, name = None, path_text(path)
    if not name:
        raise RunError("the name of the file to write is empty: give one")
    try:
        target = Path(os.path.realpath(name))  # through a link, not instead of it
        if target.exists() and not target.is_file():
            raise RunError(f"{name} cannot be written, it is not a file: choose another name")
        if make_folders:
            target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".{secrets.token_hex(6)}.part")
        write(beside)
        _sync(beside, os.O_RDWR)  # some systems sync only what could be written
        beside.replace(target)
        with suppress(OSError):  # not every system can open a folder
            _sync(target.parent, os.O_RDONLY)
    except RunError:
        raise
    except (OSError, ValueError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
        reason = (error.strerror if isinstance(error, OSError) else None) or (str(error) or "failed").splitlines()[0]
        raise RunError(
            f"{name} cannot be written ({reason}): make room, or choose a folder that can be written"
        ) from error
    finally:
        if beside is not None:
            with suppress(OSError):
                beside.unlink()  # only there if something went wrong


def _sync(path: Path, mode: int) -> None:
    """Have the system put a file or a folder's list of files on the disk, so that it lasts through a power cut."""
    handle = os.open(path, mode)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
