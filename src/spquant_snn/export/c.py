"""An integer graph as C: the runtime's own source, constant tables and static memory, for devices without a library."""

from __future__ import annotations

import json
import math
import zlib
from dataclasses import dataclass, replace
from hashlib import sha256
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from ..data.items import Items
from ..dtypes import Array
from ..errors import DataError, ModelError
from ..integer.connection import image
from ..integer.file import to_bytes
from ..integer.graph import Graph
from ..integer.inputs import check_images, check_inputs, says_classes, takes_images, task_of
from ..io.output import in_file, visible
from ..io.texts import package_version
from ..runtime.layout import plan_connections, plan_network
from ..runtime.plan import DENSE, IDENTITY, SLICED, Body, NetworkPlan, Region
from .feature_flags import SOURCES, Used
from .folder import MANIFEST, write_folder
from .packaging import PLAIN, Packaging, amalgamated, as_library
from .render import ConstantTable, Model, identifiers
from .vectors import make_vectors

VERSION = 4  # of the folder
INTEGERS = "model.spq"  # in it

_HEADERS = (
    "spq.h", "blocks.h", "events.h", "sums.h", "shortcut.h", "packed.h", "packed_lanes.h", "packed_mve.h",
    "packed_words.h", "packed_simd32.h", "packed_plain.h", "neuron.h", "neuron_single.h", "lanes.h",
    "scaled.h", "dense.h", "sliced.h", "windows.h", "current.h", "term_rows.h",
    "terms.h", "turn.h", "general.h",
)  # fmt: skip
_INT32 = (1 << 31) - 1


@dataclass(frozen=True, eq=False)
class Plans:
    """A graph laid out for a device: for images, and for frames one by one."""

    images: NetworkPlan
    frames: NetworkPlan
    event: int

    @classmethod
    def of(cls, graph: Graph, small: bool = False) -> Plans:
        """Lay out a graph.

        Args:
            small: rather for little flash than for few instructions.

        Raises:
            ModelError: it is too large for the runtime.
        """
        layers = plan_connections(graph, Body.PACKED, small)
        listed = [c for part in layers for c in part.connections if c.form not in (DENSE, SLICED, IDENTITY)]
        plain = all(part.terms is None for part in layers)
        event = 2 if plain and all(c.width * c.channels * c.row < 1 << 16 for c in listed) else 4
        images = plan_network(graph, 0, Body.PACKED, layers, event=event)
        frames = plan_network(replace(graph, timesteps=1), 0, Body.PACKED, layers, streams=True, event=event)
        bias = None if images.bias is None else images.bias[: graph.classes]  # which C reads no further
        return cls(replace(images, bias=bias), replace(frames, bias=bias), event)


def export_c(
    graph: Graph,
    images: Array | tuple[Array, ...],
    out: Path,
    title: str,
    dataset: str | None = None,
    force: bool = False,
    small: bool = False,
    shape: Packaging = PLAIN,
    sample: Items | None = None,
) -> dict[str, Any]:
    """Write the folder of a graph's firmware.

    Args:
        images: [N, C, H, W], uint8 or int8 as the graph takes them, or a tuple of such for each of its inputs; for the
            self-test, where each takes its size in flash if that is linked.
        out: the folder, which may not hold anything.
        title: a line that says what it is.
        dataset: that it was trained on, to be run on by default.
        force: replace an earlier export.
        small: rather for little flash than for few instructions.
        shape: of the folder.
        sample: that the model.spq in the folder keeps.

    Returns:
        What ``firmware.json`` holds.

    Raises:
        DataError: the images do not fit the graph.
        ModelError: the graph is too large, or has no neurons.
        RunError: the folder is not empty, or cannot be written.
    """
    if isinstance(images, tuple):
        check_inputs(graph, images)
    else:
        check_images(graph, images)
    given = images if isinstance(images, tuple) else (images,)
    if any(x.ndim != 4 for x in given):
        raise DataError("a self-test takes still images [N, C, H, W], not sequences: give frames of them")
    files = firmware_files(graph, given, title, small, shape)
    files[INTEGERS] = to_bytes(graph, sample)
    manifest = {
        "version": VERSION,
        "title": title,
        "dataset": dataset,
        "input_shape": list(graph.input_shape),
        "classes": graph.classes,
        "answers": answers_of(graph),
        "timesteps": graph.timesteps,
        "small": small,
        "layers": layer_names(graph),
        "sources": _sources(files),
        "files": {name: sha256(data).hexdigest() for name, data in sorted(files.items())},
    }
    files[MANIFEST] = (json.dumps(manifest, indent=2) + "\n").encode()
    write_folder(out, files, force)
    return manifest


def firmware_files(
    graph: Graph,
    images: tuple[Array, ...],
    title: str,
    small: bool = False,
    shape: Packaging = PLAIN,
    traced: bool = False,
) -> dict[str, bytes]:
    """The content of each file of a firmware folder but its manifest, by name.

    Args:
        images: [N, C, H, W] for each input, for the self-test.
        small, shape: as for ``export_c``.
        traced: the source can show every spike and code of every step, as ``spq_trace`` says; devices cannot.

    Raises:
        ModelError: the graph is too large.
    """
    if not graph.layers:
        raise ModelError("a network without neurons has no firmware: give it a layer of them")
    plans, names = Plans.of(graph, small), layer_names(graph)
    if plans.images.arena_size > _INT32 >> 1:
        raise ModelError(f"the network needs {plans.images.arena_size:,} bytes of memory, no device has them")
    model = Model()
    networks = {
        kind: model.network(plan, identifiers(names), kind)
        for kind, plan in (("images", plans.images), ("frames", plans.frames))
    }
    tables = list(model.tables.values())
    values: dict[str, Any] = {
        "title": commentable(title),
        "version": package_version(),
        "shape": graph.input_shape,
        "inputs": graph.inputs,
        "pixels": sum(math.prod(given.shape) for given in graph.inputs),
        "classes": graph.classes,
        "answers": answers_of(graph),
        "readouts": _readouts(graph),
        "outputs": _Outputs.of(graph),
        "plain": len(graph.readouts) == 1 and says_classes(graph) and takes_images(graph),
        "currents": any(layer.neuron.current is not None for layer in graph.layers),
        "timesteps": graph.timesteps,
        "longest": graph.longest,
        "names": names,
        "used": Used.by(plans.images, plans.event),
        "traced": traced,
        "tables": tables,
        "parts": model.parts,
        **networks,
        "image_words": -(-plans.images.arena_size // 4),
        "frame_words": -(-plans.frames.arena_size // 4),
        "vectors": make_vectors(graph, plans.images, images),
        "crc": _crc,
        "regions": _regions(plans.images, names),
        "objects": ["model.o"]
        if shape.amalgamate
        else [name.replace(".c", ".o") for name in (*SOURCES, "model.c", "model_selftest.c")],
        "layout": shape.layout,
    }
    environment = c_environment()
    files = {
        name: environment.get_template(f"{name}.j2").render(values).encode()
        for name in (
            "spq_config.h", "model.h", "model.c", "model_tables.h", "model_selftest.c", "Makefile", "README.md",
        )
    }  # fmt: skip
    source = resources("spquant_snn.runtime") / "csrc"
    files |= {name: (source / name).read_bytes() for name in (*SOURCES, *_HEADERS)}
    if shape.amalgamate:
        files = amalgamated(files, _sources(files))
    return as_library(files) | _library_files(values) if shape.layout == "platformio" else files


def layer_names(graph: Graph) -> list[str]:
    """Those of the layers, then of the readouts."""
    return [*(layer.name for layer in graph.layers), *(readout.name for readout in graph.readouts)]


@dataclass(frozen=True)
class _Answers:
    """What a readout says, for ``model.h``: int32 [height][width][outputs] from ``start`` on."""

    name: str
    start: int
    shape: tuple[int, int, int]
    over_time: str


@dataclass(frozen=True)
class _Outputs:
    """What the first readout's answers stand for, for ``model.h``.

    Args:
        labels: names of the outputs; empty where they have none.
        numbers: whether they are numbers in a unit.
        unit: in words; empty where none is known.
        scales, offsets: of each output, as constants of C: of the answer to an image.
        summed: whether answers are sums over steps.
    """

    labels: tuple[str, ...]
    numbers: bool
    unit: str
    scales: tuple[str, ...]
    offsets: tuple[str, ...]
    summed: bool

    @classmethod
    def of(cls, graph: Graph) -> _Outputs:
        readout, task, count = graph.readout, task_of(graph), len(graph.readout.bias)
        steps = graph.timesteps
        zero = np.zeros((steps, 1, count) if readout.over_time == "all" else (1, count), np.int32)
        offsets, both = (readout.values(zero + x, steps).reshape(-1, count)[0] for x in (0, 1))
        said = [f"{x:.9e}f" for x in both - offsets], [f"{x:.9e}f" for x in offsets]
        summed = readout.sums_all or readout.over_time == "sum"
        unit = commentable(task.unit) if task.unit else ""
        return cls(task.names, task.kind == "regression", unit, tuple(said[0]), tuple(said[1]), summed)


def _readouts(graph: Graph) -> list[_Answers]:
    found, start = [], 0
    for readout, shape in zip(graph.readouts, graph.outputs, strict=True):
        outputs, height, width = image(shape)
        said = "the sum over all steps" if readout.sums_all else _OVER_TIME[readout.over_time]
        found.append(_Answers(commentable(readout.name), start, (height, width, outputs), said))
        start += math.prod(shape)
    return found


_OVER_TIME = {
    "last": "the last step's",
    "largest": "the largest of all steps",
    "sum": "the sum over all steps",
    "all": "each step's; the last where an image is run",
}


def answers_of(graph: Graph) -> int:
    """How many numbers all readouts say."""
    return sum(math.prod(shape) for shape in graph.outputs)


def _sources(files: dict[str, bytes]) -> list[str]:
    return sorted(name for name in files if name.endswith(".c"))


def _library_files(values: dict[str, Any]) -> dict[str, bytes]:
    """What makes a library of a folder: its descriptions, and a sketch."""
    names = {"classify.ino": "examples/classify/classify.ino"}
    return {
        names.get(name, name): c_environment().get_template(f"{name}.j2").render(values).encode()
        for name in ("library.json", "library.properties", "classify.ino")
    }


def c_environment() -> Environment:
    """What fills in the templates of C."""
    environment = Environment(
        loader=PackageLoader("spquant_snn.export"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
        finalize=in_file,
    )
    environment.filters["c_string"] = _c_string
    environment.filters["hexadecimal"] = lambda values: ", ".join(f"0x{value:08X}u" for value in values)
    return environment


def _c_string(text: str) -> str:
    """A string literal; what is not plain ASCII is written in octal."""
    return (
        '"'
        + "".join(chr(b) if 32 <= b < 127 and b not in b'"\\?' else f"\\{b:03o}" for b in visible(text).encode())
        + '"'
    )


def commentable(title: str) -> str:
    """A title that ends no comment and no line."""
    return visible(" ".join(title.split())).replace("*/", "* /").replace("/*", "/ *")


def _crc(table: ConstantTable) -> int:
    return zlib.crc32(np.ascontiguousarray(table.array).tobytes())


def _regions(plan: NetworkPlan, names: list[str]) -> list[tuple[str, Region]]:
    """Every part of an arena, with what it is for."""
    layers = [(name, layer) for name, layer in zip(names, plan.layers, strict=False) if layer.neuron is not None]
    parts = [(f"stored codes of {name}", layer.state) for name, layer in layers]
    parts += [(f"spikes of {name}", layer.spikes) for name, layer in layers]
    parts += [("logits", plan.logits)]
    for name, region in vars(plan.scratch).items():
        both = region if isinstance(region, tuple) else (region,)
        parts += [(f"scratch: {name}", part) for part in both]
    return [(name, region) for name, region in parts if region.size]
