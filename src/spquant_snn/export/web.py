"""An integer graph as a web page: the firmware's own C source as WebAssembly, and a page that shows what it does.

The page is one file that loads nothing: its module, its test images and its scripts are in it. What it looks like is in
``site/``; the scripts there are joined in the order of ``_SCRIPTS``.
"""

from __future__ import annotations

import json
import math
from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray

from ..data.items import first_of_each_class
from ..dtypes import Array
from ..errors import ModelError
from ..integer.connection import Connection, Shape
from ..integer.early_stop import decides
from ..integer.fanout import fanout
from ..integer.graph import Graph, Layer, Readout, Term
from ..integer.inputs import check_images, says_classes
from ..integer.pool import Pool, Upsample
from ..integer.term_names import term_names
from ..io.output import in_file
from ..io.texts import package_version
from ..runtime.plan import LANES
from .c import c_environment, firmware_files
from .folder import write_folder
from .interface import commentable, layer_names
from .naming import Names
from .page_answers import about_answers, check_right, check_shown, plain_label
from .wasm import compile_module

MARK = "web.json"  # the file by which such a folder is known
VERSION = 1  # of the folder
PAGE, MODULE = "index.html", "model.wasm"

EXPORTS = (
    "model_selftest", "page_image", "page_logits", "page_spikes", "page_codes", "page_watch", "page_reset",
    "page_frame", "page_repeat", "page_repeat_frame",
)  # fmt: skip
_SCRIPTS = (
    "network.js", "gates.js", "work.js", "digit.js", "pad.js", "maps.js", "portrait.js", "answers.js", "samples.js",
    "panel.js", "page.js",
)  # fmt: skip
_DRAWN = "mnist"  # the data set of digits written by hand, of 28x28 pixels
_VECTORS = 2  # images of the self-test
_SAMPLES = 20
_STACK, _STACK_STEP = 1 << 16, 1 << 14  # bytes of a module for local variables, and by how many it grows
_MOST_MEMORY = 1 << 29  # bytes that a page may take for what it shows
_LARGEST = 4 << 20  # bytes of the samples


@dataclass(frozen=True, eq=False)
class Samples:
    """Test items that a page holds.

    Args:
        images: [N, C, H, W], or sequences [N, T, C, H, W].
        labels: [N] their classes, [N, K] labels or numbers, or [N, H, W] classes of pixels.
        indices: [N] their places in the test set.
    """

    images: Array
    labels: Array
    indices: NDArray[np.integer[Any]]


def choose_samples(images: Array, labels: Array) -> Samples:
    """The first test item of each class, then the second of each, and so on, whatever becomes of them, or of other
    tasks the first ones; 20, or as many as 4 MiB hold with their labels."""
    most = max(1, min(_SAMPLES, _LARGEST // max(1, images[0].nbytes + labels[0].nbytes)))
    order = first_of_each_class(labels.astype(np.int64)) if labels.ndim == 1 else np.arange(len(labels))
    chosen = order[:most]
    return Samples(np.ascontiguousarray(images[chosen]), labels[chosen], chosen)


def export_web(
    graph: Graph,
    images: Array,
    labels: Array,
    out: Path,
    title: str,
    dataset: str,
    force: bool = False,
) -> int:
    """Write the folder of a graph's page.

    Args:
        images: test images [N, C, H, W], or sequences [N, T, C, H, W], which the page takes frame by frame: the first
            for the self-test, some of all classes, or the first ones, to be shown.
        labels: [N] their classes, [N, K] which labels are true or the right numbers, [N, H, W] the classes of their
            pixels, -1 where none counts.
        out: the folder, which may not hold anything.
        title: a line that says what it is.
        dataset: that it was trained on. For "mnist" the page takes what is drawn, for others the samples alone.
        force: replace an earlier export.

    Returns:
        The bytes of the folder.

    Raises:
        ConfigError: the network takes several inputs, or answers at every step or with maps of other than classes.
        DataError: the images or the labels do not fit the graph.
        MissingDependencyError: ziglang is not installed.
        ModelError: the graph is too large.
        RunError: the folder is not empty, or cannot be written.
    """
    check_shown(graph)
    check_images(graph, images if images.ndim == 4 else np.ascontiguousarray(images[:1].swapaxes(0, 1)))
    check_right(graph, len(images), labels)
    first = images[:_VECTORS] if images.ndim == 4 else images[:_VECTORS, 0]
    module = make_module(graph, np.ascontiguousarray(first), title, images.shape[1] if images.ndim == 5 else 0)
    page = make_page(graph, module, choose_samples(images, labels), title, dataset).encode()
    written = {PAGE: page, MODULE: module}
    manifest = {
        "version": VERSION,
        "title": title,
        "dataset": dataset,
        "input_shape": list(graph.input_shape),
        "classes": graph.classes,
        "timesteps": graph.timesteps,
        "layers": layer_names(graph),
        "files": {name: sha256(data).hexdigest() for name, data in sorted(written.items())},
    }
    written[MARK] = (json.dumps(manifest, indent=2) + "\n").encode()
    write_folder(out, written, force, MARK)
    return sum(map(len, written.values()))


def make_module(graph: Graph, images: Array, title: str, frames: int = 0) -> bytes:
    """The WebAssembly of a graph, its self-test included.

    Args:
        images: [N, C, H, W], for the self-test.
        frames: of the sequences that the page shows; 0: it shows images.

    Raises:
        MissingDependencyError: ziglang is not installed.
        ModelError: the graph is too large.
    """
    answers = 4 * sum(map(math.prod, graph.outputs))  # bytes; the self-test keeps those of an image there
    stack = _STACK + answers // _STACK_STEP * _STACK_STEP
    exports = [*EXPORTS, "page_until"] if decides(graph) else EXPORTS
    return compile_module(module_files(graph, images, title, frames), exports, stack)


def module_files(graph: Graph, images: Array, title: str, frames: int = 0) -> dict[str, bytes]:
    """The C source of a module by name: that of the firmware, and ``page.c``; see ``make_module``."""
    words = [graph.timesteps * _places(shape) * -(-shape[0] // LANES) for shape in graph.shapes]
    stored = [1 if layer.neuron.current is None else 2 for layer in graph.layers]
    each = sum(count * (4 + LANES * codes) for count, codes in zip(words, stored, strict=True))
    memory = each * max(graph.timesteps, frames) // graph.timesteps
    if memory > _MOST_MEMORY:
        raise ModelError(
            f"a page would need {memory:,} bytes to show all spikes and codes, {_MOST_MEMORY:,} are "
            "the most: train a network with fewer neurons or time steps"
        )
    files = firmware_files(graph, (images,), title, traced=True)
    kept = {name: data for name, data in files.items() if name.endswith((".c", ".h"))}
    called = Names()
    shim = (
        c_environment()
        .get_template("page.c.j2")
        .render(
            title=commentable(title),
            layers=list(zip(words, stored, strict=True)),
            rt=called.runtime,
            decides=decides(graph),
            header=called.runtime_file("spq.h"),
        )
    )
    return {**kept, "page.c": shim.encode()}


def make_page(graph: Graph, module: bytes, samples: Samples, title: str, dataset: str) -> str:
    """The page, all in one."""
    folder = resources(__package__) / "site"
    style = (folder / "style.css").read_text("utf-8")
    script = "\n".join((folder / name).read_text("utf-8") for name in _SCRIPTS)
    environment = Environment(
        loader=PackageLoader("spquant_snn.export", "site"),
        autoescape=True,
        finalize=in_file,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    policy = (
        f"default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; style-src {csp_digest(style)}; "
        f"script-src {csp_digest(script)} 'wasm-unsafe-eval'"
    )
    about = page_network(graph, samples, dataset)
    return environment.get_template("index.html.j2").render(
        title=title,
        facts=_facts(graph, len(module)),
        about=about,
        data=json.dumps(about, separators=(",", ":")).replace("<", "\\u003c"),
        module=b64encode(module).decode(),
        style=style,
        script=script,
        policy=policy,
        version=package_version(),
    )


def page_network(graph: Graph, samples: Samples, dataset: str) -> dict[str, Any]:
    """What the scripts of the page know of a network."""
    frames = samples.images.shape[1] if samples.images.ndim == 5 else 0
    steps = frames or graph.timesteps
    names = iter(term_names(graph))
    first: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    parts: tuple[Layer | Readout, ...] = (*graph.layers, *graph.readouts)
    for part in parts:
        for i, term in enumerate(part.terms):
            gate = _gate(graph, part) if isinstance(part, Layer) and i == 0 else None
            (others if i else first).append(_reached(graph, term, next(names), steps, bool(frames)) | {"gate": gate})
    return {
        "shape": list(graph.input_shape),
        "signed": graph.inputs[0].signed,
        "what": _what(graph.input_shape, frames),
        "frames": frames,
        "steps": steps,
        "drawn": dataset == _DRAWN and graph.input_shape == (1, 28, 28) and not frames and says_classes(graph),
        "answers": about_answers(graph, dataset),
        "layers": [
            {
                "name": layer.name,
                "shape": _cube(shape),
                "low": layer.neuron.low,
                "high": layer.neuron.high,
                "stored": 1 if layer.neuron.current is None else 2,
            }
            for layer, shape in zip(graph.layers, graph.shapes, strict=True)
        ],
        "terms": first + others,
        "samples": [
            {"index": int(index), "label": plain_label(label), "pixels": b64encode(image.tobytes()).decode()}
            for image, label, index in zip(samples.images, samples.labels, samples.indices, strict=True)
        ],
    }


def _what(shape: tuple[int, int, int], frames: int) -> str:
    """What an item is called."""
    if frames:
        return "recording"
    return "vector" if shape[1] == shape[2] == 1 else "signal" if shape[1] == 1 else "image"


def _reached(graph: Graph, term: Term, name: str, steps: int, moves: bool) -> dict[str, Any]:
    """What a term does with the spikes of layer ``source``, counted from one, or with the image, 0, which ``moves``, or
    is the same in all ``steps``."""
    shape = graph.sources[term.source]
    pools, size = [], _cube(shape)
    for step in term.connection.pools:
        size = [size[0], *step.size(*size[1:])]
        pools.append({**_windows(step), "size": size[1:]})
    return {
        "name": name,
        "source": term.source,
        "delay": term.delay,
        "pools": pools,
        "passes": steps if term.source or term.delay or moves else 1,
        "fanout": _fanout(term.connection, shape),
    }


def _windows(step: Pool | Upsample) -> dict[str, Any]:
    """Where the windows of a pool lie; those of an up-sampling are the values themselves, ``factor`` times."""
    if isinstance(step, Upsample):
        return {"factor": list(step.factor)}
    return {
        "kernel": list(step.kernel),
        "stride": list(step.stride),
        "dilation": list(step.dilation),
        "padding": [step.padding[0], step.padding[2]],
    }


def _gate(graph: Graph, layer: Layer) -> dict[str, Any] | None:
    """A gate's integers by block, and the windows of inputs that it counts; a linear layer has one window."""
    gate, term = layer.gate, layer.terms[0]
    if gate is None:
        return None
    connection, shape = term.connection, graph.sources[term.source]
    inner = connection.pooled_shape(shape)
    _, height, width = _cube(inner)
    return {
        **{name: getattr(gate, name).tolist() for name in ("count", "code", "least")},
        "input": [height, width],
        "kernel": list(connection.codes.shape[2:]) if connection.convolves else [height, width],
        "stride": list(connection.stride),
        "padding": [connection.padding[0], connection.padding[2]],
        "pool": _windows(connection.sum_pool or Pool("sum", (1, 1), (1, 1))),
        "positions": list(connection.places(inner)) if connection.convolves else [1, 1],
    }


def _fanout(connection: Connection, shape: Shape) -> list[int]:
    """Synapses of an input behind the pools, by its place [H * W]: all channels have as many."""
    inner = _cube(connection.pooled_shape(shape))
    if not connection.convolves:
        return [len(connection.codes)] * (inner[1] * inner[2])
    return [int(number) for number in fanout(connection, shape).all.reshape(inner[0], -1)[0]]


def _cube(shape: Shape) -> list[int]:
    """[C, H, W], of neurons without a place too."""
    return [*map(int, shape), *[1] * (3 - len(shape))]


def _places(shape: Shape) -> int:
    return math.prod(shape[1:])


def _facts(graph: Graph, size: int) -> list[str]:
    """What the network is, in a few words each."""
    weights = sorted({f"{connection.bits:g}" for connection in graph.connections})
    states = sorted({f"{layer.neuron.bits:g}" for layer in graph.layers})
    said = graph.outputs[0] if graph.classes > graph.outputs[0][0] else (graph.classes,)
    shapes = " → ".join("×".join(map(str, shape)) for shape in (graph.input_shape, *graph.shapes, said))
    given = graph.inputs[0].format
    worth = [] if given.counts else [f"inputs of {given.dtype}, one for {given.scale:.3g} in the units of the data"]
    return [
        shapes,
        *worth,
        f"weights of {' and '.join(weights)} bits, {round(graph.weight_bytes):,} bytes",
        f"membranes of {' and '.join(states)} bits",
        f"{graph.timesteps} time step{'s' if graph.timesteps > 1 else ''}",
        f"module of {size:,} bytes",
    ]


def csp_digest(text: str) -> str:
    """The name of a script or a style that stands in the page."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
