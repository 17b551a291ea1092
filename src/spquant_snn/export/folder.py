"""Writing a folder whole: beside its place first, then renamed into it."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from ..errors import RunError

MANIFEST = "firmware.json"


def write_folder(out: Path, files: Mapping[str, bytes], force: bool, mark: str = MANIFEST) -> None:
    """Make the folder ``out`` of files, whose names may have folders before them.

    Args:
        force: replace an earlier export of the same kind.
        mark: the file by which such an export is known.

    Raises:
        RunError: the folder holds something, or cannot be written.
    """
    target = Path(os.path.realpath(out))
    beside = target.with_name(f".{secrets.token_hex(6)}.part")
    try:
        _check_free(out, target, force, mark)
        beside.mkdir(parents=True)
        for name, data in files.items():
            (beside / name).parent.mkdir(parents=True, exist_ok=True)
            (beside / name).write_bytes(data)
        if target.exists():
            former = target.with_name(f".{secrets.token_hex(6)}.part")
            target.rename(former)
            beside.rename(target)
            shutil.rmtree(former)
        else:
            beside.rename(target)
    except OSError as error:
        raise RunError(
            f"{out} cannot be written ({error.strerror or error}): make room, or choose a folder that can be written"
        ) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)  # only there if something went wrong


def _check_free(out: Path, target: Path, force: bool, mark: str) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise RunError(f"{out} is no folder: choose another name")
    held = sorted(path.name for path in target.iterdir())
    if not held:
        return
    if not force:
        raise RunError(f"{out} is not empty, it holds {held[0]}: choose another folder, or replace it with --force")
    if mark not in held:
        raise RunError(f"{out} holds no earlier export, and --force replaces nothing else: choose another folder")
