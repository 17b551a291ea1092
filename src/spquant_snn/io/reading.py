"""Reading of files that users give: each is opened, bounded in size and guarded here.

A file may be missing, no file at all, damaged, or made to do harm. So a reader stands within ``guarded``, which turns
whatever a parser raises into one sentence with the file, the reason and what to do; takes bytes by ``open_file`` or
``read_bytes``, which bound them before anything is parsed; and says what is wrong with them by raising ``Flaw``.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Protocol

from ..errors import FileFormatError, RunError, SpQuantError
from .writing import path_text

CHUNK = 1 << 20
_LONGEST_REASON = 120


class Flaw(FileFormatError):
    """What is wrong with the content of a file, in words that do not name the file: ``guarded`` does that."""


class Readable(Protocol):
    """An open file, or a stream that unpacks one."""

    def read(self, size: int, /) -> bytes: ...


@contextmanager
def guarded(
    path: str | os.PathLike[str],
    remedy: str,
    *,
    wrong: str = "is damaged",
    unread: type[SpQuantError] = FileFormatError,
    damaged: type[SpQuantError] = FileFormatError,
) -> Iterator[None]:
    """Within it a file is read: whatever goes wrong, of any type, becomes one sentence. Errors of the package that name
    the file themselves pass unchanged.

    Args:
        remedy: what the user can do.
        wrong: what is said of content that cannot be right.

    Raises:
        ConfigError: ``path`` is no path.
        unread: the file is not there, is no file, or cannot be read.
        damaged: its content is not what the reader takes.
    """
    name = path_text(path)
    try:
        yield
    except Flaw as error:
        raise damaged(f"{name} {wrong} ({error}): {remedy}") from error
    except SpQuantError:
        raise
    except MemoryError as error:
        raise _too_large(name) from error
    except Exception as error:  # parsers raise whatever damage leads them to
        if type(error).__name__ == "OutOfMemoryError":  # of torch, which is not needed here
            raise _too_large(name) from error
        if isinstance(error, OSError) and error.errno is not None:
            raise unread(f"{name} cannot be read ({reason(error)}): {remedy}") from error
        raise damaged(f"{name} {wrong} ({reason(error)}): {remedy}") from error


def _too_large(name: str) -> RunError:
    return RunError(f"there is not enough memory to read {name}: free some, or use another device")


def open_file(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a regular file; one may wait for ever for what another program writes into a pipe.

    Raises:
        OSError: there is none, or it cannot be opened.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise OSError(errno.EINVAL, "it is not a file")
        return open(path, "rb")
    except ValueError as error:  # a character that no name can have
        raise OSError(errno.EINVAL, str(error)) from error


def read_bytes(path: str | os.PathLike[str], most: int) -> bytes:
    """The content of a file of at most ``most`` bytes.

    Raises:
        OSError: as ``open_file``.
        Flaw: it has more.
    """
    with open_file(path) as file:
        content = read_up_to(file, most + 1)
    if len(content) > most:
        raise Flaw(f"it has more than {most:,} bytes")
    return bytes(content)


def read_up_to(stream: Readable, most: int) -> bytearray:
    """The next ``most`` bytes, or all that are left where those are fewer; takes no more memory than there is content,
    whatever a header says."""
    content = bytearray()
    while len(content) < most and (chunk := stream.read(min(most - len(content), CHUNK))):
        content += chunk
    return content


def reason(error: Exception) -> str:
    """What an error of another library says, as a part of a line that can be printed."""
    said = (error.strerror if isinstance(error, OSError) else None) or str(error).strip()
    line = said.splitlines()[0] if said else type(error).__name__
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line[:_LONGEST_REASON])
    return shown if len(line) <= _LONGEST_REASON else shown + "..."
