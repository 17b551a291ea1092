"""Writing a folder of an export: a new one whole; over an earlier one file by file, and nothing but what that wrote.

The files of an export are those that its manifest lists. They are written aside first, then the manifest lists both
the old and the new ones and says that it is not complete, then each new file is renamed into its place and old ones go,
then the manifest is complete. Ended anywhere in between, the folder can be replaced with ``force`` again. The folder
itself stays what it was: a shell in it, a link to it or a disk mounted there do no harm.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import FileFormatError, RunError, SpQuantError
from ..io.reading import Flaw, read_bytes
from ..io.texts import parse_object

MANIFEST = "firmware.json"
LONGEST_MANIFEST = 1 << 20  # bytes
ASIDE = ".spquant.part"  # in the folder: where new files wait
_INCOMPLETE = "incomplete"  # in a manifest; and the name of that one until it is in its place


def write_folder(out: Path, files: Mapping[str, bytes], force: bool, mark: str = MANIFEST) -> None:
    """Make the folder ``out`` of files, whose names may have folders before them.

    Args:
        files: by name; among them a manifest, a JSON object whose "files" has the names of all others.
        force: replace the files of an earlier export of the same kind.
        mark: the manifest's name.

    Raises:
        RunError: the folder holds something else, or cannot be written.
        FileFormatError: the manifest of the earlier export is damaged.
    """
    try:
        target = Path(os.path.realpath(out))
        if not os.path.lexists(target):
            _write_new(target, files)
        else:
            _write_over(target, files, mark, _replaceable(out, target, force, mark))
    except SpQuantError:
        raise
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise RunError(
            f"{out} cannot be written ({reason}): make room, or choose a folder that can be written"
        ) from error


def is_complete(manifest: Mapping[str, Any]) -> bool:
    """Whether an export came to its end."""
    return not manifest.get(_INCOMPLETE)


def _write_new(target: Path, files: Mapping[str, bytes]) -> None:
    beside = target.with_name(f".{secrets.token_hex(6)}.part")
    try:
        _write_all(beside, files)
        beside.rename(target)
    finally:
        shutil.rmtree(beside, ignore_errors=True)  # only there if something went wrong


def _write_over(target: Path, files: Mapping[str, bytes], mark: str, former: Collection[str]) -> None:
    aside = target / ASIDE
    try:
        if aside.exists():
            shutil.rmtree(aside)  # of an export that was killed
        listed = dict.fromkeys(sorted({*former, *files} - {mark}), "")
        about = json.loads(files[mark]) | {_INCOMPLETE: True, "files": listed}
        _write_all(aside, {**files, _INCOMPLETE: json.dumps(about, indent=2).encode()})
        (aside / _INCOMPLETE).replace(target / mark)
        for name in files:
            if name != mark:
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                (aside / name).replace(target / name)
        for name in former:
            if name not in files:
                (target / name).unlink(missing_ok=True)
                _remove_empty(target, name)
        (aside / mark).replace(target / mark)
    finally:
        with suppress(OSError):
            shutil.rmtree(aside)


def _write_all(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def _remove_empty(target: Path, name: str) -> None:
    """Remove the folders of a file that is gone, as far as they are empty."""
    for parent in PurePosixPath(name).parents:
        with suppress(OSError):
            if parent.parts:
                (target / parent).rmdir()


def _replaceable(out: Path, target: Path, force: bool, mark: str) -> Collection[str]:
    """The files of the earlier export in a folder that may be written over."""
    if not target.is_dir():
        raise RunError(f"{out} is no folder: choose another name")
    held = sorted(path.name for path in target.iterdir())
    if held in ([], [ASIDE]):
        return ()
    if not force:
        raise RunError(
            f"{out} is not empty, it holds {held[0]}: choose another folder, or replace it with --force (in Python "
            "force=True)"
        )
    if mark not in held:
        raise RunError(f"{out} holds no earlier export, and --force replaces nothing else: choose another folder")
    listed = _listed(out, target / mark)
    foreign = next(_foreign(target, {*listed, mark}), None)
    if foreign is not None:
        raise RunError(
            f"{out} holds {foreign}, which is not of the earlier export, and --force replaces nothing else: move it "
            "away (make clean removes what make built), or choose another folder"
        )
    return listed


def _listed(out: Path, manifest: Path) -> list[str]:
    """The names in a manifest, each of which is below its folder."""
    try:
        files = parse_object(read_bytes(manifest, LONGEST_MANIFEST)).get("files")
        names = list(files) if isinstance(files, dict) else None
    except (Flaw, OSError, ValueError):
        names = None
    if names is None:
        raise FileFormatError(
            f"{manifest} does not say which files are of the earlier export, and --force replaces nothing else: choose "
            f"another folder than {out}"
        )
    return [name for name in names if _is_below(name)]


def _is_below(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and "\\" not in name


def _foreign(target: Path, known: Iterable[str]) -> Iterator[str]:
    """What a folder holds beside known files and their folders, of which none is a link."""
    files = {PurePosixPath(name) for name in known}
    folders = {parent for name in files for parent in name.parents}
    for place, below, names in os.walk(target):
        inside = Path(place).relative_to(target)
        for name in sorted(below):
            path = inside / name
            if path == Path(ASIDE) and not os.path.islink(target / path):
                below.remove(name)
            elif PurePosixPath(path) not in folders or os.path.islink(target / path):
                below.remove(name)
                yield path.as_posix()
        for name in sorted(names):
            path = inside / name
            if PurePosixPath(path) not in files or not _is_plain(target / path):
                yield path.as_posix()


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()
