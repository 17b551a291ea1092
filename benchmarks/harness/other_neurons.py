"""Spiking neurons as users of other packages train them: leak 1/2, threshold 1, reset to zero, in floating point.

The packages are imported when they are asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from spquant_snn.errors import MissingDependencyError
from spquant_snn.nn.topology import Neuron

MakeNeuron = Callable[[], Neuron]


class StatefulNeuron(nn.Module):
    """Neurons over [T, N, ...] that keep their potential from call to call."""

    def reset(self) -> None:
        """Forget the potential."""

    def instant(self, x: Tensor) -> Tensor:
        """As the package's own models say what they do in one step."""
        return x


class LoopNeuron(StatefulNeuron):
    """The loop over time that everyone writes first, left to autograd."""

    def __init__(self) -> None:
        super().__init__()
        self.potential: Tensor | None = None

    def reset(self) -> None:
        self.potential = None

    def forward(self, x: Tensor) -> Tensor:
        spikes = []
        for current in x.unbind(0):
            v = current if self.potential is None else 0.5 * self.potential + current
            s: Tensor = _Spike.apply(v - 1.0)
            self.potential = v * (1.0 - s)
            spikes.append(s)
        return torch.stack(spikes)


class _Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return (x >= 0).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        slope: Tensor = 1 / (1 + (math.pi * x).square())
        return gradient * slope


class _SpikingJelly(StatefulNeuron):
    def __init__(self) -> None:
        super().__init__()
        package = _imported("spikingjelly.activation_based.neuron")
        surrogates = _imported("spikingjelly.activation_based.surrogate")
        self.node = package.LIFNode(
            tau=2.0,
            decay_input=False,
            v_threshold=1.0,
            v_reset=0.0,
            surrogate_function=surrogates.ATan(),
            detach_reset=False,
            step_mode="m",
        )

    def reset(self) -> None:
        self.node.reset()

    def forward(self, x: Tensor) -> Tensor:
        spikes: Tensor = self.node(x)
        return spikes


class _SnnTorch(StatefulNeuron):
    def __init__(self) -> None:
        super().__init__()
        package, surrogates = _imported("snntorch"), _imported("snntorch.surrogate")
        self.leaky = package.Leaky(
            beta=0.5, threshold=1.0, spike_grad=surrogates.atan(), reset_mechanism="zero", reset_delay=False
        )
        self.potential: Tensor | None = None

    def reset(self) -> None:
        self.potential = None

    def forward(self, x: Tensor) -> Tensor:
        spikes, potential = [], torch.zeros_like(x[0]) if self.potential is None else self.potential
        for current in x.unbind(0):
            s, potential = self.leaky(current, potential)
            spikes.append(s)
        self.potential = potential
        return torch.stack(spikes)


def loop_neuron() -> Neuron:
    """Makes ``LoopNeuron``."""
    return LoopNeuron


def spikingjelly() -> Neuron:
    """Makes layers of SpikingJelly's LIFNode, all steps in a call.

    Raises:
        MissingDependencyError: the package is not installed.
    """
    _imported("spikingjelly.activation_based.neuron")
    return _SpikingJelly


def snntorch() -> Neuron:
    """Makes layers of snnTorch's Leaky.

    Raises:
        MissingDependencyError: the package is not installed.
    """
    _imported("snntorch")
    return _SnnTorch


def _imported(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise MissingDependencyError(f"{package} is not there ({error}): 'pip install {package}'") from None
