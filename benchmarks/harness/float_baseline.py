"""What a user of another engine would run: the network of an integer graph in plain floating-point torch.

A float baseline has the graph's weights, pools, thresholds and leak, and keeps its state in floating point, which
costs other engines less than a grid would. Thresholds are scaled to 1, so that the codes times one scale per channel
are the weights; pixels go in as 0 to 1. The first drive, the same at every step of a still image, is computed once.

Pools stand behind their convolutions, where other engines leave them. Folded into the kernels, as the native runtime
does by itself, they make other engines faster too: ``folded`` does so for them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from spquant_snn.integer.graph import PIXEL, Connection, Graph
from spquant_snn.integer.grids import STATE_GRIDS
from spquant_snn.integer.neuron import Neuron, TableStore
from spquant_snn.integer.pool import Pool
from spquant_snn.nn.layers import pool_into_kernel
from spquant_snn.runtime.row import row_of

Floats = NDArray[np.floating[Any]]

_LEAK = 0.5


class FloatConnection(nn.Module):
    """A connection of the graph, its codes times a scale per output plus a bias: [N, ...] -> [N, ...]."""

    def __init__(self, connection: Connection, scale: Floats, bias: Floats, folded: bool) -> None:
        super().__init__()
        self.connection, self.stride, self.pool = connection, connection.stride, connection.sum_pool
        factor = scale.reshape(-1, *[1] * (connection.codes.ndim - 1))
        weight = torch.from_numpy(connection.codes * factor)
        if self.pool and folded and self.stride == (1, 1) and self.pool.kernel == self.pool.stride:
            weight = pool_into_kernel(weight, self.pool.kernel[0])
            self.stride, self.pool = self.pool.stride, None
        elif self.pool:
            weight = weight * self.pool.area  # torch's pools average
        self.weight = nn.Parameter(weight.float(), requires_grad=False)
        self.bias = nn.Parameter(torch.from_numpy(bias).float(), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        c = self.connection
        for pool in c.pools:
            assert isinstance(pool, Pool)  # of networks in a row
            window = F.max_pool2d if pool.kind == "max" else F.avg_pool2d
            x = window(x, pool.kernel, pool.stride) * (1 if pool.kind == "max" else pool.area)
        if not c.convolves:
            return F.linear(x.flatten(1), self.weight, self.bias)
        x = F.conv2d(x, self.weight, self.bias, self.stride, c.padding[::2], groups=c.groups)
        return F.avg_pool2d(x, self.pool.kernel, self.pool.stride) if self.pool else x


class SpikingBaseline(nn.Module):
    """The network itself: images [N, C, H, W] of 0 to 1 -> logits [N, classes], summed over time.

    Args:
        graph: the network, of layers in a row.
        timesteps_in_batch: run each connection once on all steps, as one batch; else all layers step by step.
        folded: put pools into kernels.
    """

    def __init__(self, graph: Graph, timesteps_in_batch: bool = False, folded: bool = False) -> None:
        super().__init__()
        self.timesteps, self.timesteps_in_batch = graph.timesteps, timesteps_in_batch
        self.connections = _connections(graph, folded)

    def forward(self, x: Tensor) -> Tensor:
        first, *hidden, readout = self.connections
        drives: tuple[Tensor, ...] = (first(x),) * self.timesteps
        if self.timesteps_in_batch:
            for connection in hidden:
                drives = connection(torch.cat(_spikes(drives))).chunk(self.timesteps)
            return torch.stack(readout(torch.cat(_spikes(drives))).chunk(self.timesteps)).sum(0)
        states: list[Tensor | None] = [None] * (len(hidden) + 1)
        logits = torch.zeros((), dtype=torch.float32)
        for drive in drives:
            spikes, states[0] = _step(drive, states[0])
            for i, connection in enumerate(hidden, 1):
                spikes, states[i] = _step(connection(spikes), states[i])
            logits = logits + readout(spikes)
        return logits


class AnnBaseline(nn.Module):
    """The conventional network of the same shape: rectifiers in place of neurons, and one step."""

    def __init__(self, graph: Graph, folded: bool = False) -> None:
        super().__init__()
        self.connections = _connections(graph, folded)

    def forward(self, x: Tensor) -> Tensor:
        *hidden, readout = self.connections
        for connection in hidden:
            x = F.relu(connection(x))
        logits: Tensor = readout(x)
        return logits


def _connections(graph: Graph, folded: bool) -> nn.ModuleList:
    connections, row = [], row_of(graph)
    for i, layer in enumerate(row.layers):
        unit, offset = _affine(layer.neuron)
        connections.append(FloatConnection(layer.connection, (PIXEL if i == 0 else 1) / unit, offset, folded))
    readout = graph.readout
    scale = np.full(len(readout.bias), readout.scale * 2**readout.fraction)
    return nn.ModuleList([*connections, FloatConnection(row.last, scale, readout.bias * readout.scale, folded)])


def _affine(neuron: Neuron) -> tuple[Floats, Floats]:
    """[C] accumulator counts per threshold, and the potential of no input in thresholds.

    The integer threshold is one rounded up, half a unit below it on average; taken there, no sum of integers meets it
    but for the rounding of floating point.
    """
    grid = STATE_GRIDS[neuron.bits]
    if isinstance(neuron.store, TableStore):
        lowest = float(grid.boundaries[0])
        threshold: Floats = (neuron.fire - neuron.store.edges[0].astype(np.float64)) / (1.0 - lowest)
    else:
        threshold = np.ldexp(1.0 / np.maximum(neuron.store.gain, 1), neuron.store.shift) / float(grid.step)
    threshold = np.where(threshold > 0, threshold, 1.0)  # of a channel that no input moves
    return threshold * 2.0**-neuron.fraction, 1.0 - (neuron.fire - 0.5) / threshold


def _spikes(drives: tuple[Tensor, ...]) -> list[Tensor]:
    found, state = [], None
    for drive in drives:
        spikes, state = _step(drive, state)
        found.append(spikes)
    return found


def _step(drive: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
    potential = drive if state is None else _LEAK * state + drive
    spikes = (potential >= 1.0).to(potential.dtype)
    return spikes, potential * (1.0 - spikes)
