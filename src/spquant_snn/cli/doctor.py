"""``spquant doctor``: what this machine has for the package to work with, and how the layers of a network run; torch is
not needed to say so."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ..build import command as compiler
from ..errors import DataError, MissingDependencyError, SpQuantError
from ..io.terminal import print_tables
from ..io.texts import package_version
from ..runtime.forms import forms
from .options import DataDir, OptionalSource
from .source import open_source

_PACKAGES = (
    ("torch", "for training: pip install torch"),
    ("numpy", "for everything: pip install numpy"),
    ("safetensors", "for weights on disk: pip install safetensors"),
    ("scikit-learn", "for the bundled digits: pip install scikit-learn"),
    ("ziglang", "for web pages, and firmware without a cross compiler: pip install ziglang"),
)
_DOWNLOADED = "downloaded when first used; or name the folder that has them by SPQUANT_DATA"
_BROUGHT = "not downloaded: spquant train --dataset NAME says where the files come from, and where they go"


@dataclass(frozen=True)
class Finding:
    """What was looked for, what was found, and what to do where it is missed."""

    what: str
    found: str
    hint: str = ""


def command(source: OptionalSource = None, data_dir: DataDir = None) -> int:
    """Say what is installed, and which data; or how a network runs.

    Args:
        source: run folder or .spq file: say for each layer which form of the C source runs it, and why.
    """
    if source is not None:
        print_tables(forms_table(source))
        return 0
    print_tables(as_tables(list(examine(data_dir))))
    return 0


def forms_table(path: Path) -> Iterator[RenderableType]:
    """The layers of a network, the terms that each sums, and the forms that run them."""
    graph = open_source(path).graph()
    table = Table(title=f"{path}: {len(graph.layers)} layers, T = {graph.timesteps}")
    for title in ("layer", "terms", "runs as", "because"):
        table.add_column(title, overflow="fold", justify="right" if title == "terms" else "left")
    counts = [len(layer.terms) for layer in graph.layers] + [len(readout.terms) for readout in graph.readouts]
    for count, form in zip(counts, forms(graph), strict=True):
        table.add_row(Text(form.name), str(count), form.form, Text(form.reason))
    yield table
    yield ""
    yield Text("row: by the fast kernels, as the layer takes what comes just before it; general: by a slower path")


def examine(data_dir: Path | None = None) -> Iterator[Finding]:
    """Look at everything."""
    for package, hint in _PACKAGES:
        try:
            yield Finding(package, version(package))
        except PackageNotFoundError:
            yield Finding(package, "missing", hint)
    git = shutil.which("git")
    yield Finding(
        "git", git or "missing", "" if git else "optional: run.json then names the commit of the working folder"
    )
    yield _compiler()
    yield _runtime()
    yield from _training()
    yield from _data_sets(data_dir)


def as_tables(findings: Iterable[Finding]) -> Iterator[RenderableType]:
    """A table of what was found, and below it each hint once, behind all that it is for."""
    system = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    table = Table(title=f"spquant-snn {package_version()}, {system}")
    for title in ("what", "found"):
        table.add_column(title, overflow="fold")
    missed: dict[str, list[str]] = {}
    for finding in findings:
        table.add_row(Text(finding.what), Text(finding.found))
        if finding.hint:
            missed.setdefault(finding.hint, []).append(finding.what)
    yield table
    for hint, names in missed.items():
        yield ""
        yield Text(f"{', '.join(names)}: {hint}")


def _compiler() -> Finding:
    try:
        return Finding("C compiler", compiler()[0])
    except MissingDependencyError as error:
        return Finding("C compiler", "missing", str(error))


def _runtime() -> Finding:
    from ..runtime.library import library
    from ..runtime.native import body_of

    try:
        return Finding("native runtime", body_of(library()).description)
    except MissingDependencyError as error:
        return Finding("native runtime", "missing", str(error))


def _training() -> Iterator[Finding]:
    """In what form a training computes where; of what is missing, the plain form takes the place."""
    try:
        import torch
    except ImportError:
        yield Finding("GPU", "unknown without torch")
        return
    is_there = torch.cuda.is_available()
    yield Finding("GPU", torch.cuda.get_device_name() if is_there else "none")
    yield _neuron_on_cpu()
    yield _sums_on_cpu()
    if is_there:
        yield from _layers_on_cuda()


def _neuron_on_cpu() -> Finding:
    from ..nn.fused import NEURON

    try:
        NEURON.load()
        return Finding("neurons on CPU", "C")
    except MissingDependencyError as error:
        return Finding("neurons on CPU", "plain, slower", str(error))


def _sums_on_cpu() -> Finding:
    """In what the codes of a few bits are summed over spikes."""
    from ..nn.sums import no_int8

    reason = no_int8()
    return Finding("sums on CPU", "float32, slower" if reason else "int8, exact", reason or "")


def _layers_on_cuda() -> Iterator[Finding]:
    import torch

    from ..nn.fused import in_triton

    try:
        in_triton(torch.device("cuda"))
    except MissingDependencyError as error:
        yield Finding("neurons on CUDA", "plain, slower", str(error))
    else:
        yield Finding("neurons on CUDA", "Triton")
        yield Finding("sums on CUDA", "float16, exact")


def _data_sets(data_dir: Path | None) -> Iterator[Finding]:
    from ..data import NAMES, find_recordings, load, of_events
    from ..data.catalog import MOTIONS, data_folder, find_sounds, of_sounds, of_spikes
    from ..data.heidelberg import find_spikes
    from ..data.motion import MotionStudy

    for name in NAMES:
        try:
            if of_spikes(name):
                files = find_spikes(name, data_folder(data_dir), 1)
                yield Finding(name, " + ".join(f"{len(file):,}" for file in files if file is not None) + " recordings")
            elif of_events(name):
                train, test = map(len, find_recordings(name, data_folder(data_dir)))
                yield Finding(name, f"{train:,} + {test:,} recordings")
            elif of_sounds(name):
                train, validation, test = find_sounds(name, data_folder(data_dir)).counts
                yield Finding(name, f"{train:,} + {validation:,} + {test:,} sounds")
            elif name in MOTIONS:
                train, validation, test = MotionStudy().counts
                yield Finding(name, f"{train:,} + {validation:,} + {test:,} signals")
            else:
                splits = load(name, data_dir, download=False, progress=False)
                yield Finding(name, f"{len(splits.train):,} + {len(splits.test):,} images")
        except DataError:
            yield Finding(name, "not found", _BROUGHT if of_events(name) or of_sounds(name) else _DOWNLOADED)
        except MissingDependencyError as error:
            yield Finding(name, "not installed", str(error).partition(": ")[2])
        except SpQuantError as error:
            yield Finding(name, "cannot be read", str(error))
