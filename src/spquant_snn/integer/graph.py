"""The integer graph: a network as plain data, every number an integer but one.

A graph is checked when it is made: whoever holds one may run it without a further look. It needs NumPy only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..dtypes import Int32, Int64
from .connection import INT32, Connection, Shape, Shortcut, check, check_size
from .grids import STATE_GRIDS
from .neuron import Neuron, ScaledStore, TableStore

__all__ = [
    "BLOCK", "PIXEL", "BlockGate", "Connection", "Graph", "Layer", "Readout", "Shape", "Shortcut", "blocks_of",
]  # fmt: skip

PIXEL = 255
BLOCK = 32  # channels


@dataclass(frozen=True, eq=False)
class BlockGate:
    """The rule by which blocks of neurons are skipped: the deployed form of the gates that are trained in space.

    A block is up to 32 neighbouring channels at one place: channels 32 b .. 32 b + 31 are block b of B. Before a step
    it is computed only if

        count * n + code * m >= least

    where n is the number of inputs behind the pools that are not zero among all that the block's sums look at, and m is
    the sum of its stored codes: what fires next is told by what came before and by how much comes in. A block that is
    not computed does nothing in that step: it does not leak, integrate or fire, and what it stores stays.
    """

    count: Int32  # [B]
    code: Int32  # [B]
    least: Int32  # [B]


def blocks_of(channels: int) -> int:
    """Blocks at one place."""
    return -(-channels // BLOCK)


@dataclass(frozen=True, eq=False)
class Layer:
    """A connection and the neurons behind it, one kind of neuron per output channel.

    Args:
        gate: which blocks of neurons are computed in a step; None: all.
        shortcut: what the spikes of an earlier layer add to the sums; None: nothing. A gate does not count them.
    """

    connection: Connection
    neuron: Neuron
    gate: BlockGate | None = None
    shortcut: Shortcut | None = None

    def __post_init__(self) -> None:
        name, neuron, channels = self.connection.name, self.neuron, len(self.connection.codes)
        check(neuron.bits in STATE_GRIDS, name, f"a state of {neuron.bits!r} bits does not exist")
        check(
            0 <= neuron.fraction <= 6 and neuron.reset in ("zero", "subtract"),
            name,
            "the neuron's fraction or reset is out of range",
        )
        store, levels = neuron.store, neuron.high - neuron.low + 1
        wanted: dict[str, tuple[NDArray[np.signedinteger], tuple[int, ...], type]] = {
            "fire": (neuron.fire, (channels,), np.int32),
            "drop": (neuron.drop, (channels,), np.int32),
        }
        if isinstance(store, TableStore):
            check(levels <= 16, name, "a state of more than 4 bits is stored by a table")
            wanted |= {
                "decay": (store.decay, (levels, channels), np.int32),
                "edges": (store.edges, (levels - 1, channels), np.int32),
            }
        else:
            check(
                0 <= store.decay_shift <= 16 and 0 <= store.shift <= 40, name, "a shift of the neuron is out of range"
            )
            wanted |= {
                "decay": (store.decay, (channels,), np.int32),
                "gain": (store.gain, (channels,), np.int32),
                "offset": (store.offset, (channels,), np.int64),
            }
        for field, (array, shape, dtype) in wanted.items():
            check(
                array.dtype == dtype and array.shape == shape,
                name,
                f"the neuron's {field} is {array.dtype} {array.shape}, not {dtype.__name__} {shape}",
            )
        if self.gate is not None:
            self._check_gate(self.gate)
        if self.shortcut is not None:
            check(self.connection.convolves, name, "a shortcut joins a convolution")

    def reach(self, largest: int) -> Int64:
        """[O] the largest absolute value of a sum, the shortcut's part too, of inputs 0 .. ``largest``."""
        reach = self.connection.reach(largest)
        return reach if self.shortcut is None else reach + self.shortcut.reach()

    def _check_gate(self, gate: BlockGate) -> None:
        name, blocks = self.connection.name, blocks_of(len(self.connection.codes))
        check(self.connection.groups == 1, name, "blocks of a convolution in groups cannot be skipped")
        for field in ("count", "code", "least"):
            array = getattr(gate, field)
            check(
                array.dtype == np.int32 and array.shape == (blocks,),
                name,
                f"the gate's {field} is {array.dtype} {array.shape}, not int32 ({blocks},)",
            )

    def check_gate_bounds(self, shape: Shape) -> None:
        """Prove that what the gate adds up fits int32 for inputs of ``shape``."""
        if self.gate is None:
            return
        inputs = math.prod(self.connection.pooled_shape(shape))
        codes = BLOCK * max(-self.neuron.low, self.neuron.high)
        count, code = (np.abs(x.astype(np.int64)).max() for x in (self.gate.count, self.gate.code))
        check(int(count) * inputs + int(code) * codes <= INT32, self.connection.name, "the gate leaves 32 bits")

    def check_bounds(self, largest: int) -> None:
        """Prove that no potential leaves int32 (nor its fixed-point form int64) for inputs 0 .. ``largest``.

        Raises:
            ModelError: one could.
        """
        neuron, store, name = self.neuron, self.neuron.store, self.connection.name
        sums = int(self.reach(largest).max())
        if isinstance(store, TableStore):
            remainder = int(np.abs(store.decay.astype(np.int64)).max())
        else:
            product = max(-neuron.low, neuron.high) * int(np.abs(store.decay.astype(np.int64)).max()) + (
                (1 << store.decay_shift) >> 1
            )
            check(product <= INT32, name, "the decay of a stored code leaves 32 bits")
            remainder = product >> store.decay_shift
        potential = (sums << neuron.fraction) + remainder + 1
        check(
            sums <= INT32 and potential + int(np.abs(neuron.drop.astype(np.int64)).max()) <= INT32,
            name,
            "a potential leaves 32 bits",
        )
        if isinstance(store, ScaledStore):
            most = INT32 * int(np.abs(store.gain.astype(np.int64)).max()) + max(abs(int(x)) for x in store.offset)
            check(most < 1 << 63, name, "a scaled potential leaves 64 bits")


@dataclass(frozen=True, eq=False)
class Readout:
    """The last layer: ``logits += (sums << fraction) + bias`` at every step; a logit of one stands for ``scale`` of
    the training form."""

    connection: Connection
    fraction: int
    bias: Int32  # [O]
    scale: float

    def __post_init__(self) -> None:
        name, bias, outputs = self.connection.name, self.bias, len(self.connection.codes)
        check(not self.connection.convolves, name, "the readout is a linear layer")
        check(
            bias.dtype == np.int32 and bias.shape == (outputs,),
            name,
            f"the bias is {bias.dtype} {bias.shape}, not int32 ({outputs},)",
        )
        check(0 <= self.fraction <= 8, name, f"a fraction of {self.fraction} bits is out of range")
        check(
            bool(np.isfinite(self.scale)) and self.scale > 0,
            name,
            f"the scale must be a positive number, not {self.scale!r}",
        )

    @cached_property
    def longest(self) -> int:
        """The most time steps whose logits are proven to fit int32."""
        most = (int(self.connection.reach(1).max()) << self.fraction) + int(np.abs(self.bias.astype(np.int64)).max())
        return INT32 // max(most, 1)


@dataclass(frozen=True, eq=False)
class Graph:
    """A network: layers of neurons in a row, shortcuts around some of them, then the readout.

    Args:
        input_shape: (C, H, W) of an image, pixels 0 .. 255.
        timesteps: how long a still image is shown.
        layers: with neurons, in the order in which they are computed.
        readout: whose sums are the logits.

    Raises:
        ModelError: the parts do not fit, or an integer could leave its width.

    Example:
        >>> graph = load_graph("model.spq")
        >>> [connection.name for connection in graph.connections]
        ['conv1', 'conv2', 'fc3', 'fc4']
    """

    input_shape: tuple[int, int, int]
    timesteps: int
    layers: tuple[Layer, ...]
    readout: Readout

    def __post_init__(self) -> None:
        check(
            len(self.input_shape) == 3 and min(self.input_shape) >= 1,
            "input",
            f"an image of shape {self.input_shape} does not exist",
        )
        check_size(self.input_shape, "input")
        check(1 <= self.timesteps <= 1024, "input", f"{self.timesteps} time steps are out of range")
        check(len(self.layers) > 0, "graph", "there is no layer of neurons")
        shape: Shape = self.input_shape
        check(self.layers[0].gate is None, "graph", "the first layer, which meets pixels, cannot have a gate")
        shapes: list[Shape] = []
        for i, layer in enumerate(self.layers):
            layer.check_gate_bounds(shape)
            shape = layer.connection.output_shape(shape)
            if layer.shortcut is not None:
                self._check_shortcut(layer.shortcut, shapes, shape)
            layer.check_bounds(PIXEL if i == 0 else 1)
            shapes.append(shape)
        self.readout.connection.output_shape(shape)
        check(
            self.timesteps <= self.readout.longest,
            self.readout.connection.name,
            f"the logits of {self.timesteps} time steps leave 32 bits",
        )

    @staticmethod
    def _check_shortcut(shortcut: Shortcut, before: list[Shape], shape: Shape) -> None:
        name, source = shortcut.connection.name, shortcut.source
        check(0 <= source < len(before), name, f"a shortcut cannot start at layer {source}")
        found = shortcut.connection.output_shape(before[source])
        check(found == shape, name, f"the shortcut has sums of shape {found}, not {shape}")

    @property
    def shortcuts(self) -> tuple[Shortcut, ...]:
        return tuple(layer.shortcut for layer in self.layers if layer.shortcut is not None)

    @property
    def all_connections(self) -> tuple[Connection, ...]:
        """Those of the layers and of the readout, then those of shortcuts."""
        return (*self.connections, *(shortcut.connection for shortcut in self.shortcuts))

    @property
    def connections(self) -> tuple[Connection, ...]:
        """Those of the layers and of the readout, without shortcuts."""
        return (*(layer.connection for layer in self.layers), self.readout.connection)

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """Shape of the neurons of each layer."""
        shapes: list[Shape] = []
        for layer in self.layers:
            shapes.append(layer.connection.output_shape(shapes[-1] if shapes else self.input_shape))
        return tuple(shapes)

    @property
    def classes(self) -> int:
        return len(self.readout.bias)

    @property
    def weight_bytes(self) -> float:
        """Bytes of all weight codes at their width."""
        return sum(connection.codes.size * connection.bits for connection in self.all_connections) / 8

    @property
    def state_bytes(self) -> float:
        """Bytes of all stored codes of one image at their width."""
        return (
            sum(math.prod(shape) * layer.neuron.bits for shape, layer in zip(self.shapes, self.layers, strict=True)) / 8
        )
