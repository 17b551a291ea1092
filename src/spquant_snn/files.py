"""Writing files so that no reader ever meets half of one: beside the target first, then renamed over it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from .errors import RunError


def replace_file(path: Path, data: bytes | str) -> None:
    """Write ``data`` as the whole content of a file.

    Raises:
        RunError: the folder cannot be written, or the disk is full; what stood there before is untouched.
    """
    content = data.encode() if isinstance(data, str) else data
    write_file(path, lambda beside: beside.write_bytes(content))


def write_file(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a file of another name in the same folder, then rename it to ``path``.

    Raises:
        RunError: as ``replace_file``.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}; choose a folder that can be written") from None
    os.close(handle)
    beside = Path(name)
    try:
        write(beside)
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        beside.chmod(0o666 & ~umask)
        beside.replace(path)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error).splitlines()[0]
        raise RunError(f"cannot write {path}: {reason}; make room or choose another folder") from None
    finally:
        beside.unlink(missing_ok=True)
