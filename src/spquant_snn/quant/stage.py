"""A stage in training form: all that lies between the spikes of one layer of neurons and those of the next.

spikes -> pools -> synapse (codes, sum-pool) -> batch normalisation -> LIF -> spikes
                                            + shortcut, of an earlier layer's spikes
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data.input_format import InputFormat
from ..integer.graph import BlockGate
from ..integer.pool import Pool
from ..nn.fused_layer import EXACT, LayerForm, layer, takes_layers
from ..nn.lif import LIF
from ..nn.recurrence import Skip
from ..nn.sequence_ends import SequenceEnds
from .sharded_batch import ShardedModule, batch_norm, dropout, magnitude
from .shortcut import TrainableShortcut
from .synapse import Synapse, apply_pool

Look = Callable[[int, int], Tensor]  # of a source, the inputs first, and a delay: [N, ...]

_HELD = 256  # bf16 holds all whole numbers up to this


class Norm(ShardedModule):
    """Batch normalisation taken over from torch, its weight kept positive so that a larger sum always means a larger
    potential."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, layer: nn.modules.batchnorm._BatchNorm) -> None:
        super().__init__()
        assert layer.running_mean is not None
        assert layer.running_var is not None
        assert layer.momentum is not None
        ones = torch.ones_like(layer.running_var)
        self.weight = nn.Parameter(
            (ones if layer.weight is None else layer.weight.detach()).abs(), requires_grad=layer.affine
        )
        self.bias = nn.Parameter(
            torch.zeros_like(ones) if layer.bias is None else layer.bias.detach().clone(), requires_grad=layer.affine
        )
        self.register_buffer("running_mean", layer.running_mean.clone())
        self.register_buffer("running_var", layer.running_var.clone())
        self.eps = layer.eps
        self.momentum: float = layer.momentum

    def forward(self, x: Tensor) -> Tensor:
        state = (self.running_mean, self.running_var, magnitude(self.weight), self.bias)
        if self.training and self.shard is not None:
            return batch_norm(x, *state, self.momentum, self.eps, self.shard)
        return F.batch_norm(x, *state, self.training, self.momentum, self.eps)


class Gate(ShardedModule, ABC):
    """What opens and closes the channels of a layer of neurons; see the folder ``sparsity``."""

    @abstractmethod
    def forward(self, spikes: Tensor) -> Tensor:
        """Spikes [T, N, C, ...] of the kept channels; those of pruned channels are zero."""

    @abstractmethod
    def opened(self) -> Tensor:
        """[C] bool, the channels that are open in evaluation, in the frozen form and in the integers."""


class Skipping(nn.Module, ABC):
    """What decides, step by step, which blocks of a layer's neurons are computed; see the folder ``sparsity``."""

    @abstractmethod
    def over(self, active: Tensor, opened: Tensor | None, ends: SequenceEnds | None = None) -> Skip | None:
        """The decisions over a sequence; None where all neurons are computed.

        Args:
            active: [T, N, 1, ...] the inputs that are not zero among those that the sums of one place look at.
            opened: [C] bool, the channels that are open; None: all. Blocks are made of these alone.
            ends: of sequences of several lengths, behind which nothing is learned.
        """

    @abstractmethod
    def rule(self, channels: int) -> BlockGate | None:
        """The integer rule for a layer of ``channels`` kept channels; None where no block is ever skipped."""


class NeuronStage(ShardedModule, ABC):
    """A layer of neurons and its input currents.

    Args:
        name: of the layer, for messages and files.
        lif: the neurons; None for a readout.

    Attributes:
        gate: prunes channels of the neurons; None leaves all open.
        skipping: skips blocks of the neurons in some steps; None computes all.
        narrow: whether sums may be computed in two bytes in training, on GPUs, until one passes what these hold.
        largest: [1] the largest of such sums so far, in absolute value.
    """

    largest: Tensor

    def __init__(self, name: str, lif: LIF | None) -> None:
        super().__init__()
        self.name = name
        self.lif = lif
        self.gate: Gate | None = None
        self.skipping: Skipping | None = None
        self.narrow = True
        self.register_buffer("largest", torch.zeros(1, dtype=torch.float32), persistent=False)

    @property
    @abstractmethod
    def sources(self) -> list[tuple[int, int]]:
        """The sources that it looks at, the inputs first, each with its delay."""

    @property
    @abstractmethod
    def channels(self) -> int:
        """Number of output channels."""

    @property
    def normalises(self) -> bool:
        """Whether it has batch normalisation."""
        return any(isinstance(module, Norm) for module in self.modules())

    @abstractmethod
    def current_of(self, look: Look) -> Tensor:
        """Input currents [N, ...], or the outputs of a readout; ``look`` gives each source."""


class Stage(NeuronStage):
    """One layer of neurons with one row of synapses, and a shortcut at most; as a readout it has no neurons.

    Args:
        name: path of the synapse in the user's module, for messages and files.
        pools: pools on the incoming spikes.
        synapse, norm, lif: as in the module's docstring; ``lif`` is None for the readout.
        drop_spikes, drop_current: dropout before the synapse and before the neuron, in training only.
        given: the format of the input, where it is one; None of spikes.
        source: what the synapse looks at, the inputs first.
        shortcut: what an earlier layer adds to the sums.
        first: how many inputs the network has.

    Attributes:
        largest_input: the largest value that a synapse can meet: 255, 127, 1, or one of
            these times the area of a sum-pool.
    """

    def __init__(
        self,
        name: str,
        pools: tuple[Pool, ...],
        synapse: Synapse,
        norm: Norm | None,
        lif: LIF | None,
        drop_spikes: float,
        drop_current: float,
        given: InputFormat | None,
        source: int,
        shortcut: TrainableShortcut | None = None,
        first: int = 1,
    ) -> None:
        super().__init__(name, lif)
        self.pools = pools
        self.synapse = synapse
        self.norm = norm
        self.source, self.first = source, first
        self.shortcut = shortcut
        self.drop_spikes, self.drop_current = drop_spikes, drop_current
        self.given = given
        self.largest_input = 1 if given is None else given.largest
        for pool in pools:
            self.largest_input *= pool.area

    @property
    def sources(self) -> list[tuple[int, int]]:
        beside = [] if self.shortcut is None else [(self.first + self.shortcut.source, 0)]
        return [(self.source, 0), *beside]

    @property
    def channels(self) -> int:
        return len(self.synapse.weight)

    def current_of(self, look: Look) -> Tensor:
        beside = None if self.shortcut is None else look(self.first + self.shortcut.source, 0)
        return self.current(look(self.source, 0), beside)

    @property
    def divisor(self) -> float:
        """The number that sums are divided by: 255 for pixels, as a rule, and the area of each sum-pool, whose mean is
        meant."""
        divisor = 1.0 if self.given is None else self.given.divisor
        for pool in (*self.pools, *([self.synapse.pool] if self.synapse.pool else [])):
            divisor *= pool.area
        return divisor

    def pooled(self, x: Tensor) -> Tensor:
        if x.dtype in (torch.bfloat16, torch.float16) and self.largest_input > _HELD:
            x = x.float()
        for pool in self.pools:
            x = apply_pool(pool, x)
        return x

    def seen(self, look: Look) -> Tensor:
        """[N, ...] the input of the synapse, in evaluation."""
        return self.pooled(look(self.source, 0))

    def current(self, x: Tensor, source: Tensor | None = None) -> Tensor:
        """Input currents [N, ...] (logits, for the readout) of pixels or spikes [N, ...], and of the spikes [N, ...] at
        the source of the shortcut."""
        synapse = self.synapse
        if x.dim() == 4 and not synapse.plain:
            x = x.contiguous(memory_format=torch.channels_last)  # in which convolutions are faster; the rest follows
        x = dropout(self.pooled(x), self.drop_spikes, self.training, self.shard)
        factor = synapse.scale() / self.divisor
        y = synapse.sums(x, synapse.codes(), factor).float()
        if self.shortcut is not None:
            assert source is not None
            y = y + self.shortcut.sums(source, factor).float()
        if synapse.bias is not None:
            y = y + synapse.bias.view(-1, *[1] * (y.dim() - 2))
        if self.norm is not None:
            y = self.norm(y)
        return dropout(y, self.drop_current, self.training, self.shard)

    def fire(self, x: Tensor, steps: int, static_input: bool, whole: bool, low: bool) -> Tensor | None:
        """Spikes [T, N, ...] of pixels or spikes [T * N, ...], or [N, ...] that are static, computed as one
        operation; None where the layer or the device needs several.

        Args:
            whole: whether all inputs are whole numbers.
            low: whether spikes may take the type of autocast.
        """
        synapse, norm, lif = self.synapse, self.norm, self.lif
        if norm is None or lif is None or lif.plain or synapse.plain or not takes_layers(x.device, lif.dynamics, steps):
            return None
        scale = synapse.scale()
        several = (
            norm.shard is not None and norm.training,  # as when statistics are measured anew
            norm.training and len(x) == 1,
            self.training and (self.drop_spikes or self.drop_current),
            synapse.bias is not None,
            synapse.pool is not None and not synapse.folds,
            self.shortcut is not None,
            self.skipping is not None,
            scale.requires_grad,
            synapse.rounds and not whole,
        )
        if any(several):
            return None
        x = self.pooled(x)
        x = x.contiguous(memory_format=torch.channels_last) if synapse.convolves else x.flatten(1)
        kernel, geometry = synapse.kernel(synapse.codes())
        device = x.device.type
        form = LayerForm(
            geometry,
            self.largest_input * (2 if self.given is not None and self.given.signed else 1) if synapse.rounds else None,
            self.narrow,
            max(self.largest_input, synapse.largest_code) <= EXACT,
            lif.dynamics,
            steps,
            static_input,
            norm.training,
            norm.momentum,
            norm.eps,
            torch.get_autocast_dtype(device) if low and torch.is_autocast_enabled(device) else torch.float32,
        )
        factor = (scale.detach() / self.divisor).expand(len(kernel)).contiguous()
        statistics = (norm.running_mean, norm.running_var)
        return layer(x, kernel, factor, norm.weight, norm.bias, *statistics, self.largest, lif.threshold, form)

    def skip(self, h: Tensor, ends: SequenceEnds | None = None) -> Skip | None:
        """The decisions over inputs [T, N, ...], of sequences with these ``ends``; None where all neurons are
        computed."""
        if self.skipping is None:
            return None
        active = self.synapse.active(self.pooled(h.detach().flatten(0, 1)))
        opened = None if self.gate is None else self.gate.opened()
        return self.skipping.over(torch.unflatten(active, 0, h.shape[:2]), opened, ends)

    def affine(self) -> tuple[Tensor, Tensor]:
        """Gain and offset [O], float64: with fixed batch normalisation the current is ``gain * sum of codes + offset``.
        On the CPU, so that the integers made of them are the same whatever device they came from."""
        synapse = self.synapse
        outputs = synapse.weight.shape[0]
        gain = _exact(synapse.scale()).expand(outputs) / self.divisor
        bias = gain.new_zeros(outputs) if synapse.bias is None else _exact(synapse.bias)
        if self.norm is None:
            return gain, bias
        norm = self.norm
        slope = _exact(norm.weight).abs() / (_exact(norm.running_var) + norm.eps).sqrt()
        return gain * slope, _exact(norm.bias) + (bias - _exact(norm.running_mean)) * slope

    def flip(self, negative: Tensor) -> None:
        """Turn the sign of the channels in the mask [O]; with the sign of its normalisation's weight turned too,
        the function stays the same in floating point."""
        sign = torch.where(negative, -1.0, 1.0)
        with torch.no_grad():
            for part in (self.synapse, *([self.shortcut.synapse] if self.shortcut else [])):
                part.weight.mul_(sign.view(-1, *[1] * (part.weight.dim() - 1)))
            if self.synapse.bias is not None:
                self.synapse.bias.mul_(sign)
            if self.norm is not None:
                self.norm.running_mean.mul_(sign)

    def extra_repr(self) -> str:
        return f"{self.name!r}" + (f", pools={self.pools}" if self.pools else "")


def _exact(x: Tensor) -> Tensor:
    return x.detach().cpu().double()
