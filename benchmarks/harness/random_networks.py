"""Networks to measure: the shape of a model, random codes, and a wanted share of spikes in every hidden layer.

Nothing is trained. What a network costs depends on its shape, its widths and its spikes, and these are chosen here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from torch import nn

from spquant_snn.dtypes import Bools, Float64, Int32, UInt8
from spquant_snn.errors import ConfigError, ModelError
from spquant_snn.integer.graph import PIXEL, Connection, Graph, Input, Layer, Readout, Term
from spquant_snn.integer.grids import WEIGHT_GRIDS
from spquant_snn.integer.neuron import Neuron, fold_neuron
from spquant_snn.integer.pool import Pool
from spquant_snn.integer.reference import connect, step
from spquant_snn.nn.layers import SpikingSequential

_THRESHOLD, _LEAK = 1.0, 0.5
_HALVINGS = 24
_FURTHEST = 16.0  # shift of a potential, in standard deviations of its drive
_CLOSE, _FAR = 0.02, 0.1  # from a rate, relative: good enough, and too far


@dataclass(frozen=True)
class NetworkSpec:
    """What a network is made of beside its shape.

    Args:
        rate: share of spikes in every hidden layer, over all steps; in (0, 1).
        weight_bits, state_bits: widths, 1.58 or 2 to 8.
        timesteps: how long an image is shown.
        seed: of the codes.
    """

    rate: float
    weight_bits: float = 1.58
    state_bits: float = 2
    timesteps: int = 4
    seed: int = 0


def noise(shape: tuple[int, int, int], count: int, seed: int = 0) -> UInt8:
    """Images [count, C, H, W] of evenly distributed pixels."""
    return np.random.default_rng(seed).integers(0, PIXEL + 1, (count, *shape), np.uint8)


def random_network(model: SpikingSequential, images: UInt8, plan: NetworkSpec) -> Graph:
    """A graph of the model's shape with random codes, whose rates hold on the images given, and on no others for sure.

    Codes are normally distributed on the grid of their width. Drives are centred and scaled per channel, as batch
    normalisation does, by what mean and spread of the inputs make of the channel's codes; one shift for all channels
    of a layer then brings its rate to the wanted one.

    Args:
        model: convolutions, average pools and linear layers in a row; its weights do not matter.
        images: uint8 [N, C, H, W], at least as many as it takes to measure a rate.

    Raises:
        ConfigError: the rate does not lie in (0, 1).
        ModelError: a layer is none of these, or cannot be brought to the rate.
    """
    if not 0 < plan.rate < 1:
        raise ConfigError(f"a rate of spikes lies above 0 and below 1, not at {plan.rate!r}")
    rng = np.random.default_rng(plan.seed)
    *hidden, last = [_connection(rng, *found, plan.weight_bits) for found in _synapses(model)]
    x: Int32 = images.astype(np.int32)
    layers = []
    for i, connection in enumerate(hidden):
        largest = PIXEL if i == 0 else 1
        gain, centre = _normalisation(connection, x)
        sums = connect(connection, x, largest)  # of all steps at once
        drives = [sums] * plan.timesteps if i == 0 else np.split(sums, plan.timesteps)
        try:
            neuron = _neuron_of_rate(drives, gain, centre, connection.reach(largest), plan)
        except ModelError as error:
            raise ModelError(f"layer {connection.name!r}: {error}") from None
        layers.append(Layer(connection.name, (Term(connection, i),), neuron))
        spikes = _spikes(neuron, drives)
        x = spikes.reshape(-1, *spikes.shape[2:]).astype(np.int32)  # [T * N, ...]
    channels, height, width = images.shape[1:]
    bias = np.zeros(len(last.codes), np.int32)
    readout = Readout(last.name, (Term(last, len(layers)),), 0, bias, 1.0)
    return Graph((Input((channels, height, width)),), plan.timesteps, tuple(layers), (readout,))


def _synapses(model: SpikingSequential) -> list[tuple[str, nn.Conv2d | nn.Linear, Pool | None]]:
    """The layers with weights, each with the pool behind it."""
    found: list[tuple[str, nn.Conv2d | nn.Linear, Pool | None]] = []
    for name, module in model.named_children():
        if isinstance(module, nn.Conv2d | nn.Linear):
            found.append((name, module, None))
        elif isinstance(module, nn.AvgPool2d):
            kernel, stride = cast(int, module.kernel_size), cast(int, module.stride)
            found[-1] = (*found[-1][:2], Pool("sum", (kernel, kernel), (stride, stride)))
    return found


def _connection(
    rng: np.random.Generator, name: str, module: nn.Conv2d | nn.Linear, pool: Pool | None, bits: float
) -> Connection:
    grid = WEIGHT_GRIDS[bits]
    values = np.rint(rng.standard_normal(tuple(module.weight.shape)) / float(grid.step))
    codes = values.clip(grid.low, grid.high).astype(np.int8)
    if isinstance(module, nn.Linear):
        return Connection(name, codes, bits)
    stride, (above, before) = (module.stride[0], module.stride[1]), map(int, module.padding)
    return Connection(name, codes, bits, stride, (above, above, before, before), module.groups, sum_pool=pool)


def _normalisation(connection: Connection, x: Int32) -> tuple[Float64, Float64]:
    """[C] gain and offset that give the sums of independent inputs with the mean and spread of x mean 0, spread 1."""
    codes = connection.codes.reshape(len(connection.codes), -1).astype(np.float64)
    area = connection.sum_pool.area if connection.sum_pool else 1
    gain = 1.0 / np.maximum(np.sqrt(area * np.square(codes).sum(1)) * x.std(), 1.0)
    return gain, -gain * area * codes.sum(1) * x.mean()


def _neuron_of_rate(
    drives: Sequence[Int32], gain: Float64, centre: Float64, reach: NDArray[np.int64], plan: NetworkSpec
) -> Neuron:
    """The neuron whose shift, found by bisection, makes the drives [N, C, ...] of T steps spike at the rate."""
    low, high, nearest = -_FURTHEST, _FURTHEST, np.inf
    for _ in range(_HALVINGS):
        shift = (low + high) / 2
        neuron, _ = fold_neuron(plan.state_bits, gain, centre + shift, _THRESHOLD, _LEAK, "zero", reach)
        rate = float(_spikes(neuron, drives).mean())
        if abs(rate - plan.rate) < abs(nearest - plan.rate):
            nearest, best = rate, neuron
        if abs(rate / plan.rate - 1) < _CLOSE:
            break
        low, high = (shift, high) if rate < plan.rate else (low, shift)
    if abs(nearest / plan.rate - 1) > _FAR:
        raise ModelError(f"{plan.rate:.1%} spikes cannot be had, {nearest:.1%} are nearest: give it more neurons")
    return best


def _spikes(neuron: Neuron, drives: Sequence[Int32]) -> Bools:
    """[T, N, C, ...] spikes of sums [N, C, ...] of T steps."""
    code, found = np.zeros_like(drives[0]), []
    for sums in drives:
        spikes, code = step(neuron, sums, code)
        found.append(spikes)
    return np.stack(found)
