"""The integer graph: a network as plain data, every number an integer but one.

A graph is checked when it is made: whoever holds one may run it without a further look. It needs NumPy only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..quant.fold import Int32, Neuron, Scaled, Table
from ..quant.grids import STATE_GRIDS, WEIGHT_GRIDS
from ..quant.pool import Pool

Int8 = NDArray[np.int8]
Shape = tuple[int, ...]

PIXEL = 255
_INT32 = (1 << 31) - 1


@dataclass(frozen=True, eq=False)
class Connection:
    """Synapses: pools on what comes in, a convolution or a full connection, a sum-pool on what goes out.

    Args:
        name: path of the layer in the model that it comes from.
        codes: int8 [O, I/groups, kh, kw], or [O, F] for a full connection over the flattened (C, H, W) input.
        bits: of the codes, 1.58 or 2 to 8.
        stride, padding: of a convolution, (height, width); padding is with zeros.
        groups: of a convolution's channels.
        pools: applied to the input, in order.
        sum_pool: applied to the sums.

    Raises:
        ModelError: a field contradicts another or the table of grids.
    """

    name: str
    codes: Int8
    bits: float
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    groups: int = 1
    pools: tuple[Pool, ...] = ()
    sum_pool: Pool | None = None

    def __post_init__(self) -> None:
        codes = self.codes
        _check(self.bits in WEIGHT_GRIDS, self.name, f"weights of {self.bits!r} bits do not exist")
        _check(
            codes.dtype == np.int8 and codes.ndim in (2, 4) and codes.size > 0,
            self.name,
            f"codes are {codes.dtype} {codes.shape}",
        )
        grid = WEIGHT_GRIDS[self.bits]
        low, high = int(codes.min()), int(codes.max())
        _check(grid.low <= low and high <= grid.high, self.name, f"codes {low}..{high} do not fit {self.bits:g} bits")
        _check(
            min(self.stride) >= 1 and min(self.padding) >= 0 and self.groups >= 1,
            self.name,
            "stride, padding or groups is out of range",
        )
        _check(
            self.convolves or (self.stride, self.padding, self.groups, self.sum_pool) == ((1, 1), (0, 0), 1, None),
            self.name,
            "a full connection has no stride, padding, groups or pool",
        )
        _check(
            codes.shape[0] % self.groups == 0,
            self.name,
            f"{codes.shape[0]} outputs do not divide into {self.groups} groups",
        )
        for pool in (*self.pools, *([self.sum_pool] if self.sum_pool else [])):
            _check(
                pool.kind in ("sum", "max") and pool.kernel >= 1 and pool.stride >= 1, self.name, f"there is no {pool}"
            )
        _check(self.sum_pool is None or self.sum_pool.kind == "sum", self.name, "sums can only be pooled by summing")

    @property
    def convolves(self) -> bool:
        return self.codes.ndim == 4

    def pooled_shape(self, shape: Shape) -> Shape:
        """Shape behind the pools on the input."""
        for pool in self.pools:
            _check(len(shape) == 3, self.name, f"a pool cannot work on an input of shape {shape}")
            shape = (shape[0], *pool.size(*shape[1:]))
            _check(min(shape) >= 1, self.name, f"nothing is left of its input behind {pool}")
        return shape

    def output_shape(self, shape: Shape) -> Shape:
        """Shape of the sums for an input of ``shape``, (C, H, W) or (F,).

        Raises:
            ModelError: the input does not fit.
        """
        shape = self.pooled_shape(shape)
        outputs, inputs = self.codes.shape[:2]
        if not self.convolves:
            _check(
                int(np.prod(shape)) == inputs, self.name, f"an input of shape {shape} does not have {inputs} elements"
            )
            return (outputs,)
        _check(
            len(shape) == 3 and shape[0] == inputs * self.groups,
            self.name,
            f"an input of shape {shape} does not have {inputs * self.groups} channels",
        )
        height, width = (
            (size + 2 * pad - kernel) // stride + 1
            for size, pad, kernel, stride in zip(
                shape[1:], self.padding, self.codes.shape[2:], self.stride, strict=True
            )
        )
        if self.sum_pool is not None:
            height, width = self.sum_pool.size(height, width)
        _check(height >= 1 and width >= 1, self.name, f"nothing is left of an input of shape {shape}")
        return (outputs, height, width)

    def largest_input(self, largest: int) -> int:
        """The largest value behind the pools, of inputs 0 .. ``largest``."""
        for pool in self.pools:
            largest *= pool.area
        return largest

    def reach(self, largest: int) -> NDArray[np.int64]:
        """[O] the largest absolute value of a pooled sum, of inputs 0 .. ``largest``."""
        area = (self.sum_pool.area if self.sum_pool else 1) * self.largest_input(largest)
        _check(area <= _INT32, self.name, f"pools of {area:,} leave 32 bits")
        rows = self.codes.reshape(len(self.codes), -1)
        up: NDArray[np.int64] = rows.sum(1, dtype=np.int64, where=rows > 0)
        down: NDArray[np.int64] = rows.sum(1, dtype=np.int64, where=rows < 0)
        return np.maximum(up, -down) * area


@dataclass(frozen=True, eq=False)
class Layer:
    """Synapses and the neurons behind them, one kind of neuron per output channel."""

    connection: Connection
    neuron: Neuron

    def __post_init__(self) -> None:
        name, neuron, channels = self.connection.name, self.neuron, len(self.connection.codes)
        _check(neuron.bits in STATE_GRIDS, name, f"a state of {neuron.bits!r} bits does not exist")
        _check(
            0 <= neuron.fraction <= 6 and neuron.reset in ("zero", "subtract"),
            name,
            "the neuron's fraction or reset is out of range",
        )
        store, levels = neuron.store, neuron.high - neuron.low + 1
        wanted: dict[str, tuple[NDArray[np.signedinteger], tuple[int, ...], type]] = {
            "fire": (neuron.fire, (channels,), np.int32),
            "drop": (neuron.drop, (channels,), np.int32),
        }
        if isinstance(store, Table):
            _check(levels <= 16, name, "a state of more than 4 bits is stored by a table")
            wanted |= {
                "decay": (store.decay, (levels, channels), np.int32),
                "edges": (store.edges, (levels - 1, channels), np.int32),
            }
        else:
            _check(
                0 <= store.decay_shift <= 16 and 0 <= store.shift <= 40, name, "a shift of the neuron is out of range"
            )
            wanted |= {
                "decay": (store.decay, (channels,), np.int32),
                "gain": (store.gain, (channels,), np.int32),
                "offset": (store.offset, (channels,), np.int64),
            }
        for field, (array, shape, dtype) in wanted.items():
            _check(
                array.dtype == dtype and array.shape == shape,
                name,
                f"the neuron's {field} is {array.dtype} {array.shape}, not {dtype.__name__} {shape}",
            )

    def check_bounds(self, largest: int) -> None:
        """Prove that no potential leaves int32 (nor its fixed-point form int64) for inputs 0 .. ``largest``.

        Raises:
            ModelError: one could.
        """
        neuron, store, name = self.neuron, self.neuron.store, self.connection.name
        sums = int(self.connection.reach(largest).max())
        if isinstance(store, Table):
            remainder = int(np.abs(store.decay.astype(np.int64)).max())
        else:
            product = max(-neuron.low, neuron.high) * int(np.abs(store.decay.astype(np.int64)).max()) + (
                (1 << store.decay_shift) >> 1
            )
            _check(product <= _INT32, name, "the decay of a stored code leaves 32 bits")
            remainder = product >> store.decay_shift
        potential = (sums << neuron.fraction) + remainder + 1
        _check(
            sums <= _INT32 and potential + int(np.abs(neuron.drop.astype(np.int64)).max()) <= _INT32,
            name,
            "a potential leaves 32 bits",
        )
        if isinstance(store, Scaled):
            most = _INT32 * int(np.abs(store.gain.astype(np.int64)).max()) + max(abs(int(x)) for x in store.offset)
            _check(most < 1 << 63, name, "a scaled potential leaves 64 bits")


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
        _check(not self.connection.convolves, name, "the readout is a full connection")
        _check(
            bias.dtype == np.int32 and bias.shape == (outputs,),
            name,
            f"the bias is {bias.dtype} {bias.shape}, not int32 ({outputs},)",
        )
        _check(0 <= self.fraction <= 8, name, f"a fraction of {self.fraction} bits is out of range")
        _check(
            bool(np.isfinite(self.scale)) and self.scale > 0,
            name,
            f"the scale must be a positive number, not {self.scale!r}",
        )

    def check_bounds(self, largest: int, timesteps: int) -> None:
        """Prove that the logits of ``timesteps`` steps fit int32."""
        most = (int(self.connection.reach(largest).max()) << self.fraction) + int(
            np.abs(self.bias.astype(np.int64)).max()
        )
        _check(most * timesteps <= _INT32, self.connection.name, f"the logits of {timesteps} time steps leave 32 bits")


@dataclass(frozen=True, eq=False)
class Graph:
    """A network: layers of neurons in a row, then the readout.

    Args:
        input_shape: (C, H, W) of an image, pixels 0 .. 255.
        timesteps: how long a still image is shown.

    Raises:
        ModelError: the parts do not fit, or an integer could leave its width.
    """

    input_shape: tuple[int, int, int]
    timesteps: int
    layers: tuple[Layer, ...]
    readout: Readout

    def __post_init__(self) -> None:
        _check(
            len(self.input_shape) == 3 and min(self.input_shape) >= 1,
            "input",
            f"an image of shape {self.input_shape} does not exist",
        )
        _check(1 <= self.timesteps <= 1024, "input", f"{self.timesteps} time steps are out of range")
        _check(len(self.layers) > 0, "graph", "there is no layer of neurons")
        shape: Shape = self.input_shape
        for i, layer in enumerate(self.layers):
            shape = layer.connection.output_shape(shape)
            layer.check_bounds(PIXEL if i == 0 else 1)
        self.readout.connection.output_shape(shape)
        self.readout.check_bounds(1, self.timesteps)

    @property
    def connections(self) -> tuple[Connection, ...]:
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
        return sum(connection.codes.size * connection.bits for connection in self.connections) / 8

    @property
    def state_bytes(self) -> float:
        """Bytes of all stored codes of one image at their width."""
        return (
            sum(
                float(np.prod(shape)) * layer.neuron.bits for shape, layer in zip(self.shapes, self.layers, strict=True)
            )
            / 8
        )


def _check(holds: bool, name: str, wrong: str) -> None:
    if not holds:
        raise ModelError(f"layer {name!r}: {wrong}; the graph cannot be run")
