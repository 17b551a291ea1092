"""Where data lie: the folder of data files, and the cache of what was made of them."""

from __future__ import annotations

import os
from pathlib import Path


def data_folder(data_dir: Path | None = None) -> Path:
    """The folder of data files: ``data_dir``, else SPQUANT_DATA, else ``cache_folder``."""
    if data_dir is not None:
        return Path(data_dir).expanduser()
    if named := os.environ.get("SPQUANT_DATA"):
        return Path(named).expanduser()
    return cache_folder()


def cache_folder() -> Path:
    """``spquant_snn`` in the user's cache: below XDG_CACHE_HOME, or ~/.cache."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "spquant_snn"
