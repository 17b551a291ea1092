"""Writing files so that no reader ever meets half of one: beside the target first, then renamed over it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from .errors import RunError


def replace_file(path: str | os.PathLike[str], data: bytes | str, make_folders: bool = True) -> None:
    """Write ``data`` as the whole content of a file: text as UTF-8, in which surrogates, as names of files may hold
    them, are escaped.

    Args:
        make_folders: make the folders that are missing, instead of refusing.

    Raises:
        RunError: the file cannot be written; what stood there before is untouched.
    """
    content = data.encode("utf-8", "backslashreplace") if isinstance(data, str) else data
    write_file(path, lambda beside: beside.write_bytes(content), make_folders)


def write_file(path: str | os.PathLike[str], write: Callable[[Path], object], make_folders: bool = True) -> None:
    """Let ``write`` make a file of another name in the same folder, then rename it to ``path``.

    Args:
        make_folders: as for ``replace_file``.

    Raises:
        RunError: as ``replace_file``.
    """
    beside = None
    try:
        target = Path(os.path.realpath(path))  # through a link, not instead of it
        if target.exists() and not target.is_file():
            raise RunError(f"{os.fspath(path)} cannot be written, it is not a file: choose another name")
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
            f"{os.fspath(path)} cannot be written ({reason}): make room, or choose a folder that can be written"
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
