"""An integer graph as nodes and edges of NIR, in floating point: weight codes times a scale, thresholds of one.

What NIR, or the package nir, says in one way alone is written in that way, if it computes the same: sums of windows as
averages, of weights that are that much larger; channels in groups, kernels that are no squares and padding that differs
from side to side by zeros among the weights; the largest of a window of spikes by a threshold on their average.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..dtypes import Float64
from ..errors import ModelError
from ..integer.connection import Connection, Shape, image
from ..integer.graph import Graph, Layer, Readout, Term
from ..integer.grids import STATE_GRIDS
from ..integer.neuron import Current, Neuron, ScaledStore, TableStore
from ..integer.pool import NO_SIDES, Pair, Pool, Sides, Upsample, places
from ..integer.term_names import source_names, term_names

DT = 1e-4  # seconds of a step, as other packages take where nothing is said

_MOST_LEAK = 1 - 1e-6  # a leak of one has no time constant
_FINEST = 6  # bits behind the point of a sum that floats of 32 bits still tell apart at a threshold


def nodes_of(nir: Any, graph: Graph, metadata: dict[str, Any]) -> Any:
    """A graph as a ``nir.NIRGraph``.

    Raises:
        ModelError: NIR has no node for a part of it; the message names the layer.
    """
    return _Nodes(nir, graph).made(metadata)


class _Nodes:
    """A graph on its way to nodes of NIR."""

    def __init__(self, nir: Any, graph: Graph) -> None:
        self.nir, self.graph = nir, graph
        self.nodes: dict[str, Any] = {}
        self.edges: list[tuple[str, str]] = []
        named = source_names(len(graph.inputs), [layer.name for layer in graph.layers])
        first = len(graph.inputs)
        self.sources = [_named(name) + (".neuron" if i >= first else "") for i, name in enumerate(named)]

    def made(self, metadata: dict[str, Any]) -> Any:
        graph, first = self.graph, len(self.graph.inputs)
        for name, given in zip(self.sources, graph.inputs, strict=False):
            self.nodes[name] = self.nir.Input({"input": np.array(given.shape)})
        names = iter([_named(name) for name in term_names(graph)])
        for i, (layer, shape) in enumerate(zip(graph.layers, graph.shapes, strict=True), first):
            self.nodes[self.sources[i]] = self._neuron(layer, shape)
            self._sums(names, layer, shape, i, self.sources[i])
        for readout, shape in zip(graph.readouts, graph.outputs, strict=True):
            end, integrator = f"{_named(readout.name)}.output", self._integrator(readout, shape)
            self.nodes[end] = self.nir.Output({"output": np.array(shape)})
            if integrator is not None:
                self.nodes[f"{_named(readout.name)}.neuron"] = integrator
                self.edges.append((f"{_named(readout.name)}.neuron", end))
                end = f"{_named(readout.name)}.neuron"
            self._sums(names, readout, shape, None, end)
        try:
            return self.nir.NIRGraph(self.nodes, self.edges, metadata=metadata)
        except ValueError as error:  # of shapes that it does not follow
            reason = str(error).splitlines()[0]
            raise ModelError(f"nir does not take this network ({reason}): export to ONNX or .spq") from None

    def _after(self, start: str, name: str, node: Any) -> str:
        self.nodes[name] = node
        self.edges.append((start, name))
        return name

    # ---- terms ----

    def _sums(self, names: Iterator[str], part: Layer | Readout, shape: Shape, own: int | None, end: str) -> None:
        """The nodes of all terms of a part, up to the node at which they are added.

        Args:
            own: the number of the layer among the sources.
        """
        bias: Float64
        if isinstance(part, Layer):
            scale, bias = _affine(part)
        else:
            scale, bias = np.ones(len(part.bias)), part.bias / (1 << part.fraction)
        for term in part.terms:
            name, start = next(names), self.sources[term.source]
            if term.delay and term.source != own:  # what goes back to its own layer is a step late in every simulator
                delay = self.nir.Delay(np.full(self.graph.sources[term.source], DT))
                start = self._after(start, f"{name}.delay", delay)
            self.edges.append((self._term(name, part.name, term, start, shape, scale, bias), end))
            bias = np.zeros_like(bias)  # that of the first is enough

    def _term(self, name: str, layer: str, term: Term, start: str, shape: Shape, scale: Float64, bias: Float64) -> str:
        """Nodes from a source to the sums of a term, of ``shape``; the name of the last."""
        connection, given = term.connection, self.graph.sources[term.source]
        if term.multiplier is not None:
            scale = scale * term.multiplier
        scale = scale / (1 << term.shift)
        spikes = term.source >= len(self.graph.inputs)
        for i, step in enumerate(connection.pools):
            if isinstance(step, Upsample):
                raise _refused(layer, "up-sampling")
            if step.kind == "max" and not spikes:
                raise _refused(layer, "the largest value of windows of what are no spikes")
            start = self._average(f"{name}.pool{i}", layer, step, image(given), start, None)
            given = (image(given)[0], *step.size(*image(given)[1:]))
            if step.kind == "max":
                least = np.full(given, 0.5 / (step.kernel[0] * step.kernel[1]), np.float32)
                start = self._after(start, f"{name}.any{i}", self.nir.Threshold(least))
            scale, spikes = scale * step.area, spikes and step.kind == "max"
        if connection.convolves and len(given) > 1:
            last = self._convolved(name, layer, connection, given, start, scale, bias)
            if len(shape) > 1:
                return last
            return self._after(last, f"{name}.flat", self.nir.Flatten({"input": np.array((*shape, 1, 1))}, 0, -1))
        weight = connection.whole_codes.astype(np.float64)
        if connection.convolves:  # of a vector
            if weight[0, 0].size > 1:
                raise _refused(layer, "a convolution of a vector")
            weight = weight[:, :, 0, 0]
        weight = weight * scale[:, None]
        if len(given) > 1 and len(shape) > 1:  # beside sums of convolutions
            window = weight.reshape(len(weight), *image(given))
            return self._convolution(name, layer, window, image(given), start, bias)
        if len(given) > 1:
            start = self._after(start, f"{name}.flat", self.nir.Flatten({"input": np.array(given)}, 0, -1))
        return self._after(start, name, self.nir.Affine(weight.astype(np.float32), bias.astype(np.float32)))

    def _convolved(
        self, name: str, layer: str, connection: Connection, given: Shape, start: str, scale: Float64, bias: Float64
    ) -> str:
        """A convolution, and the pool over its sums."""
        if connection.spread != (1, 1):
            raise _refused(layer, "a transposed convolution")
        pool, weight = connection.sum_pool, connection.whole_codes * scale.reshape(-1, 1, 1, 1)
        form = (connection.stride, connection.padding, connection.dilation)
        if pool is None:
            return self._convolution(name, layer, weight, given, start, bias, *form)
        if pool.kind == "max":
            raise _refused(layer, "the largest of its sums in a window")
        weight, within = weight * pool.area, pool.padding == NO_SIDES and pool.dilation == (1, 1)
        last = self._convolution(name, layer, weight, given, start, bias if within else np.zeros_like(bias), *form)
        sums = (len(weight), *connection.places(given))
        return self._average(f"{name}.sums", layer, pool, sums, last, None if within else bias)

    def _convolution(
        self,
        name: str,
        layer: str,
        weight: Float64,
        given: Shape,
        start: str,
        bias: Float64,
        stride: Pair = (1, 1),
        padding: Sides = NO_SIDES,
        dilation: Pair = (1, 1),
    ) -> str:
        """Of a square kernel with as much padding before as behind: others are written by zeros about the kernel."""
        weight, stride, around = _squared(layer, weight, given[1:], stride, padding, dilation)
        node = self.nir.Conv2d(
            input_shape=tuple(given[1:]),
            weight=weight.astype(np.float32),
            stride=stride,
            padding=around,
            dilation=dilation,
            groups=1,
            bias=bias.astype(np.float32),
        )
        return self._after(start, name, node)

    def _average(self, name: str, layer: str, pool: Pool, given: Shape, start: str, bias: Float64 | None) -> str:
        """The mean of windows, of padding too, and a bias on it."""
        top, bottom, left, right = pool.padding
        if bias is None and (top, left) == (bottom, right) and pool.dilation == (1, 1):
            sizes = (np.array(x) for x in (pool.kernel, pool.stride, (top, left)))
            return self._after(start, name, self.nir.AvgPool2d(*sizes))
        channels, area = given[0], pool.kernel[0] * pool.kernel[1]
        window = np.broadcast_to(np.eye(channels)[:, :, None, None], (channels, channels, *pool.kernel)) / area
        bias = np.zeros(channels) if bias is None else bias
        return self._convolution(name, layer, window, given, start, bias, pool.stride, pool.padding, pool.dilation)

    # ---- neurons ----

    def _neuron(self, layer: Layer, shape: Shape) -> Any:
        neuron, ones = layer.neuron, np.ones(shape)
        if layer.gate is not None:
            raise _refused(layer.name, "a gate")
        if neuron.reset != "zero":
            raise _refused(layer.name, f"the reset {neuron.reset!r}")
        nothing, leak = np.zeros_like(ones), leak_of(neuron)
        if neuron.current is not None:
            tau, slow = (_along(DT / (1 - np.minimum(x, _MOST_LEAK)), ones) for x in (leak, leak_of(neuron.current)))
            return self.nir.CubaLIF(
                tau_syn=slow, tau_mem=tau, r=tau / DT, v_leak=nothing, v_threshold=ones, v_reset=nothing, w_in=slow / DT
            )
        if bool((leak >= 1).all()):
            return self.nir.IF(r=ones / DT, v_threshold=ones, v_reset=nothing)
        tau = _along(DT / (1 - np.minimum(leak, _MOST_LEAK)), ones)
        return self.nir.LIF(tau=tau, r=tau / DT, v_leak=nothing, v_threshold=ones, v_reset=nothing)

    def _integrator(self, readout: Readout, shape: Shape) -> Any:
        """The membrane of an output; None where it is what comes in at each step, or the sum of that."""
        if readout.sums_all:
            return None
        ones = np.ones(shape)
        if readout.leak is None:
            return self.nir.I(r=ones / DT)
        leak = readout.leak / 2.0**readout.leak_shift
        if not leak.any() and readout.over_time == "all":
            return None
        tau = _along(DT / (1 - np.minimum(leak, _MOST_LEAK)), ones)
        return self.nir.LI(tau=tau, r=tau / DT, v_leak=np.zeros_like(ones))


def _squared(
    layer: str, weight: Float64, size: Shape, stride: Pair, padding: Sides, dilation: Pair
) -> tuple[Float64, Pair, Pair]:
    """The kernel, stride and padding of the same convolution of an image of a size (height, width), by a square kernel
    that is padded as much before as behind."""
    kernel: Pair = (weight.shape[2], weight.shape[3])
    for wide in range(max(kernel), max(kernel) + max(padding) + 3):
        rows = _widened(wide, kernel[0], size[0], stride[0], padding[0], padding[1], dilation[0])
        columns = _widened(wide, kernel[1], size[1], stride[1], padding[2], padding[3], dilation[1])
        if rows and columns:
            zeros = [(front, wide - own - front) for (front, _, _), own in zip((rows, columns), kernel, strict=True)]
            return np.pad(weight, [(0, 0), (0, 0), *zeros]), (rows[1], columns[1]), (rows[2], columns[2])
    raise ModelError(
        f"layer {layer!r} has a kernel of {kernel[0]} x {kernel[1]}, which the package nir takes for a square, and no "
        "square with zeros computes the same: export to ONNX or .spq"
    )


def _widened(
    wide: int, kernel: int, size: int, stride: int, before: int, behind: int, dilation: int
) -> tuple[int, int, int] | None:
    """How many zeros stand before a kernel that becomes ``wide``, and the stride and the padding, the same before and
    behind, by which windows along an axis of ``size`` values see the same as without; None where there are none."""
    count = places(size, kernel, stride, before, behind, dilation)
    for front in range(wide - kernel + 1):
        around = before + front * dilation
        for step in (stride, size + 2 * around)[: 2 if count == 1 else 1]:
            if places(size, wide, step, around, around, dilation) == count:
                return front, step, around
    return None


def _affine(layer: Layer) -> tuple[Float64, Float64]:
    """Weight [C] of a count of the sums and bias [C], in units of the threshold.

    A neuron in integers fires at its potential ``fire``, one of some packages above it: half a unit lower, both do. A
    term that is shifted to the right loses what stands behind its point, so that whole sums are compared.
    """
    neuron = layer.neuron
    threshold = _apart(neuron.store) / float(STATE_GRIDS[neuron.bits].step)  # in units of the integer potential
    shifts = [term.shift for term in layer.terms if term.shift]
    fire, unit = neuron.fire.astype(np.float64), 1 << neuron.fraction
    if shifts:
        lost = (len(shifts) - 1) / 2  # on the mean, of those beyond the first
        fire = (np.ceil(fire / unit) + lost - 0.5 ** (min(*shifts, _FINEST) + 1)) * unit
    else:
        fire = fire - 0.5
    return unit / threshold, 1 - fire / threshold


def _apart(store: TableStore | ScaledStore) -> Float64:
    """[C] from one stored code to the next, in units of the potential; one where a channel is dead."""
    if isinstance(store, TableStore):
        found = np.diff(store.edges.astype(np.float64), axis=0).mean(0)
    else:
        found = 2.0**store.shift / np.maximum(store.gain, 1)
    return np.where(found > 0, found, 1.0)


def leak_of(part: Neuron | Current) -> Float64:
    """The leak that fits best what stored codes leave: one number where rounding explains what differs, else [C]."""
    store, levels = part.store, part.high - part.low
    apart = _apart(store)
    if isinstance(store, TableStore):
        left, rounding = (store.decay[-1].astype(np.float64) - store.decay[0]) / levels, 2.0 / (apart * (levels - 1))
    else:
        left, rounding = store.decay / 2.0**store.decay_shift, np.zeros_like(apart)
    each = np.clip(left / apart, 0.0, 1.0)
    one = np.round(np.median(each), 3)
    return np.asarray(one if bool((np.abs(each - one) <= rounding + 1e-3).all()) else np.round(each, 3))


def _along(values: Float64, ones: Float64) -> Float64:
    """A constant, or one for each channel, of every neuron."""
    return ones * np.reshape(values, (-1, *[1] * (ones.ndim - 1)))


def _named(name: str) -> str:
    """A name that can be one of a file's groups."""
    return name.replace("/", "_").replace(".", "_")


def _refused(layer: str, what: str) -> ModelError:
    return ModelError(f"layer {layer!r} has {what}, for which NIR has no node: export to ONNX or .spq")
