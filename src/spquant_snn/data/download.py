"""Download: one file from the first mirror that gives it whole, resumed where an earlier try ended, then checked."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from ..errors import DataError
from ..io.output import say_error
from ..io.terminal import Report
from ..io.terminal import progress as progress_bar

_CHUNK = 1 << 16


@dataclass(frozen=True)
class Remote:
    """A file to fetch: ``mirrors`` are addresses of folders, tried in order; ``size`` is in bytes."""

    name: str
    size: int
    md5: str
    mirrors: tuple[str, ...]


def fetch(remote: Remote, folder: Path, *, progress: bool = True, timeout: float = 20.0) -> Path:
    """Download a file into a folder, which is made where it is missing.

    The bytes go to ``NAME.part`` beside the target; what an interrupted run left there is resumed, from any mirror.

    Args:
        progress: say on standard error what is fetched, and draw a bar where that is a terminal.
        timeout: seconds without an answer after which a mirror is given up.

    Returns:
        The path of the complete, checked file.

    Raises:
        DataError: no mirror gave the right file, with the reason of each, or the folder cannot be written.
    """
    target = folder / remote.name
    part = folder / f"{remote.name}.part"
    problems: list[str] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if progress:
            say_error(f"downloading {remote.name}, {remote.size:,} bytes, into {folder}")
        with progress_bar(remote.size, remote.name, quiet=not progress, in_bytes=True) as report:
            for mirror in remote.mirrors:
                resumed = part.exists()
                problem = _transfer(remote, mirror, part, timeout, report) or _check(remote, part)
                if problem and resumed and not part.exists():
                    problem = _transfer(remote, mirror, part, timeout, report) or _check(remote, part)
                if problem is None:
                    os.replace(part, target)
                    return target
                problems.append(f"{mirror}: {problem}")
    except OSError as error:
        raise DataError(
            f"cannot write {part} ({error.strerror or error}): choose a folder that can be written"
        ) from error
    raise DataError(f"no mirror gave {remote.name} ({'; '.join(problems)})")


def _transfer(remote: Remote, mirror: str, part: Path, timeout: float, report: Report) -> str | None:
    """Append to ``part`` what a mirror has beyond it; returns what the mirror did wrong, if anything."""
    have = part.stat().st_size if part.exists() else 0
    if have >= remote.size:
        return None
    headers = {"User-Agent": "spquant-snn"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        request = urllib.request.Request(f"{mirror.rstrip('/')}/{remote.name}", headers=headers)
        response = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        return str(error)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return str(error) or type(error).__name__
    with response:
        resumed = response.status == 206 and _starts_at(response.headers.get("Content-Range"), have)
        have = have if resumed else 0
        with part.open("ab" if resumed else "wb") as file:
            while have <= remote.size:
                report(have)
                try:
                    chunk = response.read(min(_CHUNK, remote.size + 1 - have))
                except (OSError, http.client.HTTPException) as error:
                    return f"broke off after {have} of {remote.size} bytes ({error or type(error).__name__})"
                if not chunk:
                    break
                file.write(chunk)
                have += len(chunk)
    return None if have >= remote.size else f"ended after {have} of {remote.size} bytes"


def _check(remote: Remote, part: Path) -> str | None:
    """Compare size and checksum; a wrong file is deleted, as there is nothing to resume in it."""
    digest = hashlib.md5(usedforsecurity=False)
    if part.stat().st_size == remote.size:
        with part.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
        if digest.hexdigest() == remote.md5:
            return None
    part.unlink()
    return "gave a file of another size or checksum"


def _starts_at(content_range: str | None, offset: int) -> bool:
    found = re.match(r"bytes (\d+)-", content_range or "")
    return found is not None and int(found[1]) == offset
