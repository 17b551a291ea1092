"""What this machine has for the package to work with."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.table import Table

from ..build import command
from ..errors import DataError, MissingDependencyError, SpQuantError
from ..runtime.library import library
from ..runtime.native import body_of

_PACKAGES = (
    ("torch", "training", "pip install torch"),
    ("numpy", "the reference", "pip install numpy"),
    ("safetensors", "weights on disk", "pip install safetensors"),
    ("scikit-learn", "the bundled digits", "pip install scikit-learn"),
    ("ziglang", "web pages; firmware too", "pip install ziglang"),
)


def examine(data_dir: Path | None = None) -> Table:
    """A table of what is there and what is not."""
    table = Table(
        title=f"spquant-snn {_version()}, Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    )
    for title in ("what", "found", "for", "if missing"):
        table.add_column(title, overflow="fold")
    for package, purpose, line in _PACKAGES:
        try:
            table.add_row(package, version(package), purpose, "")
        except PackageNotFoundError:
            table.add_row(package, "missing", purpose, line)
    table.add_row("GPU", _gpu(), "faster training", "optional")
    table.add_row("native runtime", *_native())
    table.add_row("fused neuron", *_fused())
    table.add_row("training sums", *_sums())
    table.add_row("git", shutil.which("git") or "missing", "the commit in run.json", "optional")
    for row in _data_sets(data_dir):
        table.add_row(*row)
    return table


def _version() -> str:
    try:
        return version("spquant-snn")
    except PackageNotFoundError:  # run from its source
        return "not installed"


def _data_sets(data_dir: Path | None) -> Iterator[tuple[str, str, str, str]]:
    try:
        from ..data import NAMES, find_recordings, load, of_events
        from ..data.catalog import data_folder
    except ImportError:
        yield "data sets", "unknown without torch", "data", ""
        return
    for name in NAMES:
        try:
            if of_events(name):
                train, test = (len(part) for part in find_recordings(name, data_folder(data_dir)))
                yield name, f"{train:,} + {test:,} recordings", "data", ""
                continue
            splits = load(name, data_dir, download=False, progress=False)
            yield name, f"{len(splits.train):,} + {len(splits.test):,} images", "data", ""
        except DataError as error:
            remedy = str(error) if of_events(name) else "is downloaded when used; or set SPQUANT_DATA"
            yield name, "not found", "data", remedy
        except SpQuantError as error:
            yield name, "cannot be read", "data", str(error)


def _native() -> tuple[str, str, str]:
    try:
        body = body_of(library())
    except MissingDependencyError as error:
        return "missing", "fast inference", str(error)
    return f"{body.description}; built with {command()[0]}", "fast inference", ""


def _fused() -> tuple[str, str, str]:
    """Which form runs where: of what is missing, the plain form takes the place."""
    try:
        import torch

        from ..nn.fused import NEURON, in_triton
    except ImportError:
        return "unknown without torch", "faster training", ""
    found, missing = [], []
    try:
        NEURON.load()
        found.append(f"on the CPU: C, built with {command()[0]}")
    except MissingDependencyError as error:
        found.append("on the CPU: plain, slower")
        missing.append(str(error))
    if torch.cuda.is_available():
        try:
            in_triton(torch.device("cuda"))
            found.append("on CUDA: Triton")
        except MissingDependencyError as error:
            found.append("on CUDA: plain, slower")
            missing.append(str(error))
    else:
        found.append("on CUDA: no GPU here")
    return "; ".join(found), "faster training", "; ".join(missing)


def _sums() -> tuple[str, str, str]:
    """In what the codes of a few bits are summed over spikes."""
    try:
        from ..nn.sums import no_int8
    except ImportError:
        return "unknown without torch", "faster training", ""
    reason = no_int8()
    if reason is None:
        return "on the CPU: int8, exact; on CUDA, with Triton: float16", "faster training", ""
    return "float32, slower on the CPU; on CUDA, with Triton: float16", "faster training", reason


def _gpu() -> str:
    try:
        import torch
    except ImportError:
        return "unknown without torch"
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
