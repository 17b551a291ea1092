"""The integer graph: layers that sum terms, as plain data. Only inputs and outputs have a scale that is no integer.

A term takes an input, or the spikes of a layer, at this step or the step before, and adds its weighted sums:

    sums[c] = sum over the terms of (term's sums[c] * multiplier[c]) >> shift

A graph is checked when it is made, so that every graph can be run. It needs NumPy only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np

from ..data.input_format import PIXEL, SIGNED, InputFormat
from ..dtypes import Int32, Int64
from ..errors import ModelError
from .connection import INT32, Connection, Shape, check, check_size, image
from .neuron import Neuron, check_bounds, check_neuron
from .readout import LONGEST, Readout, check_scale
from .term import Term

__all__ = [
    "BLOCK", "PIXEL", "BlockGate", "Connection", "Graph", "HasGraph", "Input", "Layer", "Readout", "Shape", "Term",
    "as_graph", "blocks_of", "largest_of",
]  # fmt: skip

BLOCK = 32  # channels


@dataclass(frozen=True)
class Input:
    """An input: 8-bit integers at each step.

    Args:
        shape: (C, H, W); of a signal (C, 1, L), of a vector (F, 1, 1).
        signed: int8 from -127 to 127; else uint8 from 0 to 255.
        scale: the value of an integer 1, in the units of training.

    Raises:
        ModelError: there is no such shape or scale.
    """

    shape: tuple[int, int, int]
    signed: bool = False
    scale: float = 1 / PIXEL

    def __post_init__(self) -> None:
        right = len(self.shape) == 3 and min(self.shape) >= 1
        check(right, "input", f"an image of shape {self.shape} does not exist")
        check_size(self.shape, "input")
        check_scale(self.scale, "input")

    @property
    def largest(self) -> int:
        """The largest absolute value of its integers."""
        return SIGNED if self.signed else PIXEL

    @property
    def format(self) -> InputFormat:
        """Range and scale, with ``quantize`` for values in the units of training."""
        return InputFormat(self.signed, self.scale)


def largest_of(inputs: Sequence[Input], source: int) -> tuple[int, bool]:
    """The largest absolute value that a source (an input or the spikes of a layer) sends, and whether it is signed."""
    given = inputs[source] if source < len(inputs) else None
    return (1, False) if given is None else (given.largest, given.signed)


@dataclass(frozen=True, eq=False)
class BlockGate:
    """The rule by which blocks of neurons are skipped in a step: the deployed form of trained block skipping.

    A block is up to 32 neighbouring channels at one place: channels 32 b .. 32 b + 31 are block b of B. It is computed
    in a step only if

        count * n + code * m >= least

    where n counts the non-zero values among all inputs, after the pools, of the sums of the layer's first term at that
    place, and m is the sum of the block's stored codes. A block that is skipped does nothing in that step: it does not
    leak, integrate or fire, and its stored codes stay.

    Args:
        count, code, least: [B] int32.
    """

    count: Int32  # [B]
    code: Int32  # [B]
    least: Int32  # [B]


def blocks_of(channels: int) -> int:
    """Blocks at one place."""
    return -(-channels // BLOCK)


@dataclass(frozen=True, eq=False)
class Layer:
    """Terms and the neurons that their sums reach, one kind of neuron per channel.

    Args:
        name: path of the layer in the model.
        terms: all of one shape; the first is the one whose inputs a gate counts.
        gate: which blocks of neurons are computed in a step; None: all.
    """

    name: str
    terms: tuple[Term, ...]
    neuron: Neuron
    gate: BlockGate | None = None

    def __post_init__(self) -> None:
        check(len(self.terms) > 0, self.name, "it has no term")
        check_neuron(self.neuron, self.name)
        if self.gate is not None:
            self._check_gate(self.gate)

    @property
    def channels(self) -> int:
        return len(self.neuron.fire)

    def _check_gate(self, gate: BlockGate) -> None:
        name, blocks, first = self.name, blocks_of(self.channels), self.terms[0]
        check(first.connection.groups == 1, name, "blocks of a convolution in groups cannot be skipped")
        check(first.delay == 0, name, "blocks of a layer whose first term is delayed cannot be skipped")
        check(self.neuron.current is None, name, "blocks of neurons with a synaptic current cannot be skipped")
        dense = first.connection.dilation == first.connection.spread == (1, 1)
        check(dense, name, "blocks of a dilated or a transposed convolution cannot be skipped")
        for part in ("count", "code", "least"):
            array = getattr(gate, part)
            check(
                array.dtype == np.int32 and array.shape == (blocks,),
                name,
                f"the gate's {part} is {array.dtype} {array.shape}, not int32 ({blocks},)",
            )

    def check_gate_bounds(self, shape: Shape) -> None:
        """Prove that what the gate adds up fits int32 where its first term has inputs of ``shape``."""
        if self.gate is None:
            return
        inputs = math.prod(self.terms[0].connection.pooled_shape(shape))
        codes = BLOCK * max(-self.neuron.low, self.neuron.high)
        count, code = (np.abs(x.astype(np.int64)).max() for x in (self.gate.count, self.gate.code))
        check(int(count) * inputs + int(code) * codes <= INT32, self.name, "the gate leaves 32 bits")


@dataclass(frozen=True, eq=False, repr=False)
class Graph:
    """An integer network: inputs, layers of neurons in the order in which they are computed, and readouts.

    Sources of terms are numbered, the inputs first, then the layers. A term without a delay takes an earlier source;
    one with a delay may take any, its own layer too.

    Args:
        inputs: one or more.
        timesteps: the number of steps for which a still image is shown.
        layers: of neurons; may be empty.
        readouts: one or more; the first predicts.

    Attributes:
        shapes: the shape of the neurons of each layer.
        outputs: the shape of the answers of each readout at a step.

    Raises:
        ModelError: the parts do not fit together, or an integer could leave its width.

    Example:
        >>> graph = load_graph("model.spq")
        >>> [layer.name for layer in graph.layers]
        ['conv1', 'conv2', 'fc3']
    """

    inputs: tuple[Input, ...]
    timesteps: int
    layers: tuple[Layer, ...]
    readouts: tuple[Readout, ...]
    shapes: tuple[Shape, ...] = field(init=False)
    outputs: tuple[Shape, ...] = field(init=False)

    def __post_init__(self) -> None:
        check(len(self.inputs) > 0, "graph", "there is no input")
        check(1 <= self.timesteps <= LONGEST, "input", f"{self.timesteps} time steps are out of range")
        check(len(self.readouts) > 0, "graph", "there is no readout")
        object.__setattr__(self, "shapes", self._find_shapes())
        for layer, shape in zip(self.layers, self.shapes, strict=True):
            self._check_terms(layer.name, layer.terms, shape)
            check(layer.channels == shape[0], layer.name, f"{layer.channels} neurons meet sums of shape {shape}")
            first = layer.terms[0]
            meets_pixels = first.source < len(self.inputs)
            check(layer.gate is None or not meets_pixels, layer.name, "a layer that meets pixels cannot have a gate")
            layer.check_gate_bounds(self.sources[first.source])
            check_bounds(layer.neuron, int(self.reach(layer.terms).max()), layer.name)
        found = tuple(self._shape_of(readout.name, readout.terms) for readout in self.readouts)
        object.__setattr__(self, "outputs", found)
        for readout, shape in zip(self.readouts, found, strict=True):
            self._check_terms(readout.name, readout.terms, shape)
            check(len(readout.bias) == shape[0], readout.name, f"{len(readout.bias)} biases meet sums of shape {shape}")
            longest = readout.longest(self.reach(readout.terms))
            check(
                self.timesteps <= longest,
                readout.name,
                f"the answers of {self.timesteps} time steps leave 32 bits, those of {longest} do not",
            )

    @property
    def sources(self) -> tuple[Shape, ...]:
        """The shape of each source: the inputs, then the layers."""
        return (*(given.shape for given in self.inputs), *self.shapes)

    def largest(self, source: int) -> tuple[int, bool]:
        """The largest absolute value that a source sends, and whether it is signed."""
        return largest_of(self.inputs, source)

    def reach(self, terms: tuple[Term, ...]) -> Int64:
        """[O] the largest absolute value of the sum of terms."""
        total: Int64 = np.sum([term.reach(*self.largest(term.source)) for term in terms], axis=0)
        return total

    def _find_shapes(self) -> tuple[Shape, ...]:
        first, known = len(self.inputs), dict(enumerate(given.shape for given in self.inputs))
        shapes: dict[int, Shape] = dict(known)
        for i, layer in enumerate(self.layers):
            for term in layer.terms:
                sources, limit = first + len(self.layers), first + i
                check(0 <= term.source < sources, layer.name, f"there is no source {term.source}")
                check(
                    term.delay == 1 or term.source < limit,
                    layer.name,
                    f"it takes, without a delay, what comes of {self._name(term.source)!r}, which is not computed yet: "
                    "a cycle needs a delay",
                )
            start = next((term for term in layer.terms if term.source in shapes), None)
            if start is None:
                check(False, layer.name, "all of its terms are delayed ones of later layers")
            else:
                shapes[first + i] = start.connection.output_shape(shapes[start.source])
        return tuple(shapes[first + i] for i in range(len(self.layers)))

    def _name(self, source: int) -> str:
        first = len(self.inputs)
        return f"input {source}" if source < first else self.layers[source - first].name

    def _shape_of(self, name: str, terms: tuple[Term, ...]) -> Shape:
        for term in terms:
            check(0 <= term.source < len(self.sources), name, f"there is no source {term.source}")
        return terms[0].connection.output_shape(self.sources[terms[0].source])

    def _check_terms(self, name: str, terms: tuple[Term, ...], shape: Shape) -> None:
        for term in terms:
            found = term.connection.output_shape(self.sources[term.source])
            check(
                image(found) == image(shape),
                name,
                f"{terms[0].connection.name!r} gives it sums of shape {shape}, {term.connection.name!r} of {found}",
            )

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the first input."""
        return self.inputs[0].shape

    @property
    def readout(self) -> Readout:
        """The first readout, which predicts."""
        return self.readouts[0]

    @cached_property
    def longest(self) -> int:
        """The most time steps whose answers are proven to fit int32."""
        return min(readout.longest(self.reach(readout.terms)) for readout in self.readouts)

    @property
    def terms(self) -> tuple[Term, ...]:
        """The terms of all layers, then of all readouts."""
        rows = [layer.terms for layer in self.layers] + [readout.terms for readout in self.readouts]
        return tuple(term for terms in rows for term in terms)

    @property
    def connections(self) -> tuple[Connection, ...]:
        """The connections of all terms, each once: terms may share one."""
        return tuple(dict.fromkeys(term.connection for term in self.terms))

    @property
    def classes(self) -> int:
        """Number of outputs of the first readout."""
        return math.prod(self.outputs[0])

    @property
    def weight_bytes(self) -> float:
        """Bytes of all weight codes at their width."""
        return sum(connection.codes.size * connection.bits for connection in self.connections) / 8

    @property
    def state_bytes(self) -> float:
        """Bytes of all stored codes of one image at their width."""
        return (
            sum(
                math.prod(shape) * layer.neuron.stored_bits
                for shape, layer in zip(self.shapes, self.layers, strict=True)
            )
            / 8
        )

    def __repr__(self) -> str:
        shape, layers = "x".join(map(str, self.input_shape)), len(self.layers) + len(self.readouts)
        weights = sum(connection.codes.size for connection in self.connections)
        return f"Graph({shape} -> {self.classes}, {layers} layers, {weights:,} weights, T = {self.timesteps})"


class HasGraph(Protocol):
    """A program: anything that runs a graph and holds it."""

    @property
    def graph(self) -> Graph: ...


def as_graph(value: Graph | HasGraph) -> Graph:
    """The graph that a user gives, by itself or in a program.

    Raises:
        ModelError: it is neither.
    """
    found = value if isinstance(value, Graph) else getattr(value, "graph", None)
    if isinstance(found, Graph):
        return found
    raise ModelError(
        f"a Graph or a Program is needed, not a {type(value).__name__}: lower(network) makes a graph of a frozen "
        "network, load_graph(path) reads one from a file"
    )
