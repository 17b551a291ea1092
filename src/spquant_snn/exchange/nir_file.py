"""``to_nir`` and ``graph_from_nir``: an integer graph as a NIR file, with its integer codes as weights, and back.

NIR computes in floating point. Weights of hidden layers are the codes times one scale for each channel, in units of
the threshold, which is one everywhere. What nodes cannot say, above all the grid on which membranes are stored, lies in
the metadata of the file: the bytes of the .spq file, and their hash. A round trip gives the same graph.
"""

from __future__ import annotations

import base64
import hashlib
import os
from typing import Any

import numpy as np

from ..dtypes import Float64
from ..errors import FileFormatError, MissingDependencyError, ModelError
from ..integer.connection import Connection, image
from ..integer.file import from_bytes, to_bytes
from ..integer.graph import Graph, HasGraph, Layer, Readout, Term, as_graph
from ..integer.grids import STATE_GRIDS
from ..integer.neuron import Neuron, TableStore
from ..integer.pool import Pool
from ..integer.term_names import source_names, term_names
from ..io.writing import path_text, write_file

DT = 1e-4  # seconds of a step, as other packages take where nothing is said
_KEY = "spquant_spq"
_HASH = "spquant_sha256"


def import_nir() -> Any:
    """The package nir.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import nir
    except ImportError:
        raise MissingDependencyError("NIR files need nir: pip install 'spquant-snn[nir]'") from None
    return nir


def to_nir(graph: Graph | HasGraph, path: str | os.PathLike[str]) -> None:
    """Write a graph as a NIR file that other packages read, and that ``graph_from_nir`` makes the same graph of.

    Neurons are LIF or IF nodes of steps of 0.1 ms with the leak that fits the stored codes best, inputs are the
    integers that the graph takes. Other packages keep membranes in floating point, not on a grid of codes: their spikes
    are the same in the first step, and later where nothing is left of a potential between two steps.

    Raises:
        MissingDependencyError: nir is not installed.
        ModelError: NIR has no node for a part of the graph: largest values, up-sampling, gates, synaptic currents, and
            terms that are delayed, weighed, or padded on one side more than on the other.
        RunError: the file cannot be written.

    Example:
        to_nir(load_graph("model.spq"), "model.nir")
    """
    nir = import_nir()
    made = _Nodes(nir, as_graph(graph)).made()
    write_file(path, lambda beside: nir.write(beside, made))


def holds_integers(path: str | os.PathLike[str]) -> bool:
    """Whether a NIR file is one of ``to_nir``, or there is none, or an empty one.

    Raises:
        MissingDependencyError: nir, which brings h5py, is not installed.
    """
    import_nir()
    import h5py

    if not os.path.exists(path) or not os.path.getsize(path):
        return True
    try:
        with h5py.File(path, "r") as file:
            return f"node/metadata/{_HASH}" in file
    except (OSError, RuntimeError, KeyError):  # damaged: nothing says whose it was
        return False


def graph_from_nir(path: str | os.PathLike[str]) -> Graph:
    """The integer graph in a file of ``to_nir``; ``from_nir`` reads those of other packages as float networks.

    Raises:
        FileFormatError: the file cannot be read, holds no integers of this package, or its weights were changed.
        MissingDependencyError: nir is not installed.

    Example:
        graph = graph_from_nir("model.nir")
    """
    nir, name = import_nir(), path_text(path)
    try:
        found = nir.read(path)
    except Exception as error:  # of h5py and of nir, of many classes
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise FileFormatError(f"{name} is not a NIR file ({reason}): give the path of one") from None
    said = found.metadata
    if _KEY not in said or _HASH not in said:
        raise FileFormatError(f"{name} holds no integers of this package: read it with from_nir, as a float network")
    data = base64.b64decode(_text(said[_KEY]))
    if hashlib.sha256(data).hexdigest() != _text(said[_HASH]):
        raise FileFormatError(f"{name} is damaged, the hash of its integers does not hold: export it again")
    graph = from_bytes(data)
    expected = _Nodes(nir, graph).made()
    for key, node in expected.nodes.items():
        if key not in found.nodes or not _same(node, found.nodes[key]):
            raise FileFormatError(
                f"node {key!r} of {name} is not what its integers say: export it again, or read it with from_nir"
            )
    return graph


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _same(node: Any, found: Any) -> bool:
    """Whether two nodes hold the same numbers."""
    if type(node) is not type(found):
        return False
    mine, other = (
        {k: v for k, v in vars(x).items() if k not in ("metadata", "input_type", "output_type")} for x in (node, found)
    )
    return mine.keys() == other.keys() and all(np.array_equal(mine[k], other[k]) for k in mine)


class _Nodes:
    """A graph on its way to nodes of NIR."""

    def __init__(self, nir: Any, graph: Graph) -> None:
        self.nir, self.graph = nir, graph
        self.nodes: dict[str, Any] = {}
        self.edges: list[tuple[str, str]] = []

    def made(self) -> Any:
        nir, graph = self.nir, self.graph
        names = [_named(name) for name in source_names(len(graph.inputs), [layer.name for layer in graph.layers])]
        for name, given in zip(names, graph.inputs, strict=False):
            self.nodes[name] = nir.Input({"input": np.array(given.shape)})
        terms = iter([_named(name) for name in term_names(graph)])
        parts: tuple[Layer | Readout, ...] = (*graph.layers, *graph.readouts)
        for part, shape in zip(parts, (*graph.shapes, *graph.outputs), strict=True):
            end = f"{_named(part.name)}.neuron" if isinstance(part, Layer) else f"{_named(part.name)}.output"
            for i, term in enumerate(part.terms):
                start = names[term.source]
                if term.source >= len(graph.inputs):
                    start = f"{start}.neuron"
                last = self._term(next(terms), part, term, start, with_bias=i == 0)
                self.edges.append((last, end))
            if isinstance(part, Layer):
                self.nodes[end] = self._neuron(part, shape)
            else:
                self.nodes[end] = nir.Output({"output": np.array(shape)})
        data = to_bytes(graph)
        about = {_KEY: base64.b64encode(data).decode(), _HASH: hashlib.sha256(data).hexdigest(), "spquant_dt": DT}
        try:
            return nir.NIRGraph(self.nodes, self.edges, metadata=about)
        except ValueError as error:  # of groups and of unlike paddings it computes other shapes than there are
            reason = str(error).splitlines()[0]
            raise ModelError(f"nir does not take this network ({reason}): export to ONNX or .spq") from None

    def _term(self, name: str, part: Layer | Readout, term: Term, start: str, with_bias: bool) -> str:
        """Nodes from a source to the sums of a term; the name of the last."""
        connection, graph = term.connection, self.graph
        _refuse(term.delay == 1, part.name, "a delayed term")
        _refuse(term.multiplier is not None or term.shift > 0, part.name, "a term with a multiplier")
        shape = image(graph.sources[term.source])
        for i, step in enumerate(connection.pools):
            start = self._pool(f"{name}.pool{i}", part, step, start)
            shape = (shape[0], *step.size(*shape[1:]))
        if isinstance(part, Readout):
            _refuse(not part.sums_all, part.name, "a membrane, or answers that are not summed over time")
            scale, bias = np.ones(len(part.bias)), part.bias / (1 << part.fraction)
        else:
            scale, bias = _affine(part.neuron)
        pool = connection.sum_pool
        if pool is not None:  # it adds up the bias too
            _refuse(any(pool.padding), part.name, f"{pool}")
            bias = bias / pool.area
        codes = connection.codes
        weight = (codes * scale.reshape(-1, *[1] * (codes.ndim - 1))).astype(np.float32)
        bias = (bias if with_bias else np.zeros(len(codes))).astype(np.float32)
        if not connection.convolves:
            if len(graph.sources[term.source]) > 1 or connection.pools:
                self.nodes[f"{name}.flat"] = self.nir.Flatten({"input": np.array(shape)}, 0, -1)
                self.edges.append((start, f"{name}.flat"))
                start = f"{name}.flat"
            self.nodes[name] = self.nir.Affine(weight, bias)
        else:
            self.nodes[name] = self._convolution(part, connection, shape, weight, bias)
        self.edges.append((start, name))
        return name if pool is None else self._pool(f"{name}.sums", part, pool, name)

    def _convolution(
        self, part: Layer | Readout, connection: Connection, shape: tuple[int, ...], weight: Any, bias: Any
    ) -> Any:
        top, bottom, left, right = connection.padding
        _refuse((top, left) != (bottom, right), part.name, "padding that differs from side to side")
        _refuse(connection.spread != (1, 1), part.name, "a transposed convolution")
        return self.nir.Conv2d(
            input_shape=tuple(shape[1:]),
            weight=weight,
            stride=connection.stride,
            padding=(top, left),
            dilation=connection.dilation,
            groups=connection.groups,
            bias=bias,
        )

    def _pool(self, name: str, part: Layer | Readout, step: Any, start: str) -> str:
        _refuse(not isinstance(step, Pool), part.name, "up-sampling")
        _refuse(step.kind == "max", part.name, "the largest value of a window")
        top, bottom, left, right = step.padding
        _refuse((top, left) != (bottom, right) or step.dilation != (1, 1), part.name, f"{step}")
        self.nodes[name] = self.nir.SumPool2d(*(np.array(x) for x in (step.kernel, step.stride, (top, left))))
        self.edges.append((start, name))
        return name

    def _neuron(self, layer: Layer, shape: tuple[int, ...]) -> Any:
        neuron = layer.neuron
        _refuse(layer.gate is not None, layer.name, "a gate")
        _refuse(neuron.current is not None, layer.name, "a synaptic current on a grid")
        _refuse(neuron.reset != "zero", layer.name, f"the reset {neuron.reset!r}")
        ones, leak = np.ones(shape, np.float32), leak_of(neuron)
        if leak >= 1:
            return self.nir.IF(r=ones / DT, v_threshold=ones, v_reset=np.zeros_like(ones))
        tau = DT / (1 - leak)
        nothing = np.zeros_like(ones)
        return self.nir.LIF(tau=ones * tau, r=ones * tau / DT, v_leak=nothing, v_threshold=ones, v_reset=nothing)


def _affine(neuron: Neuron) -> tuple[Float64, Float64]:
    """Weight [C] of a count of the sums and bias [C], in units of the threshold.

    A neuron in integers fires at its potential ``fire``, one of some packages above it: half a unit lower, both do.
    """
    threshold = _apart(neuron) / float(STATE_GRIDS[neuron.bits].step)  # in units of the integer potential
    return (1 << neuron.fraction) / threshold, 1 - (neuron.fire - 0.5) / threshold


def _apart(neuron: Neuron) -> Float64:
    """[C] from one stored code to the next, in units of the potential; one where a channel is dead."""
    store = neuron.store
    if isinstance(store, TableStore):
        found = np.diff(store.edges.astype(np.float64), axis=0).mean(0)
    else:
        found = 2.0**store.shift / np.maximum(store.gain, 1)
    return np.where(found > 0, found, 1.0)


def leak_of(neuron: Neuron) -> float:
    """The leak of a layer that fits best what its stored codes leave."""
    store = neuron.store
    if isinstance(store, TableStore):
        left = (store.decay[-1].astype(np.float64) - store.decay[0]) / (len(store.decay) - 1)
    else:
        left = store.decay / 2.0**store.decay_shift
    return min(max(round(float(np.median(left / _apart(neuron))), 3), 0.0), 1.0)


def _named(name: str) -> str:
    """A name that can be one of a file's groups."""
    return name.replace("/", "_").replace(".", "_")


def _refuse(found: bool, name: str, what: str) -> None:
    if found:
        raise ModelError(f"layer {name!r} has {what}, for which NIR has no node: export to ONNX or .spq")
