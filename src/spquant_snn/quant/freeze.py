"""The frozen form: the integer model, computed by torch, with the gradients of the training form.

``freeze`` fixes batch normalisation. From then on a stage sums integer codes, takes the integer time step of ``fold``
and hands on exact spikes. For fine-tuning, the backward pass is the one of the training form at the potentials that
the integers stand for.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..errors import ModelError
from ..integer.graph import BlockGate
from ..integer.grids import Bits
from ..integer.neuron import Neuron, TableStore, fold_neuron, with_silent
from ..nn.recurrence import Dynamics, Skip, backpropagate
from ..nn.sums import convolutions_in
from .finite_check import check_finite
from .stage import Stage
from .synapse import Synapse
from .weight import integer_codes

_READOUT_LIMIT = 1 << 30
_P = ParamSpec("_P")
_T = TypeVar("_T")


def uncompiled(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """The function, run as it is where ``torch.compile`` meets it: it takes its constants out with NumPy, which a
    compiler cannot follow, and its results must be the same to the last bit. The compiler, whose import takes seconds,
    is not imported for this."""

    @functools.wraps(function)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        if "torch._dynamo" not in sys.modules:
            return function(*args, **kwargs)
        apart: Callable[_P, _T] = torch.compiler.disable(function)  # type: ignore[no-untyped-call]
        return apart(*args, **kwargs)

    return run


@dataclass(frozen=True)
class Folded:
    """The integers of a stage with neurons."""

    codes: Tensor  # int8 [O, ...]
    neuron: Neuron
    gate: BlockGate | None
    shortcut: Tensor | None  # int8 [O, ...]


@dataclass(frozen=True)
class FoldedReadout:
    """The integers of the last stage: at each step, logits += (sums << fraction) + bias; a logit of one is worth
    ``scale``."""

    codes: Tensor  # int8 [O, F]
    fraction: int
    bias: NDArray[np.int32]  # [O]
    scale: float


@uncompiled
def fold_stage(stage: Stage, bits: Bits, inputs: Tensor | None = None, sources: Tensor | None = None) -> Folded:
    """Integer weights and neuron constants of a stage, from its parameters as they are now.

    Pruned channels become silent ones: weights of zero before neurons that never fire. No constant of a kept channel
    depends on a closed one, so that without them the integers are the same.

    Args:
        inputs: [I] bool over the second axis of the weight, the inputs that can be other than zero; None: all.
        sources: [I] bool, the channels at the source of the shortcut that can; None: all.

    Raises:
        ModelError: the constants do not fit 32 bits, or are not finite.
    """
    check_finite(stage.name, stage)
    lif, synapse = stage.lif, stage.synapse
    assert lif is not None
    assert synapse.quantizer is not None
    codes = _live_codes(synapse, inputs)
    shortcut = None if stage.shortcut is None else _live_codes(stage.shortcut.synapse, sources)
    gain, offset = (x.numpy() for x in stage.affine())
    reach = stage.reach(codes, shortcut).cpu().numpy()
    live = np.ones(len(codes), np.bool_) if stage.gate is None else stage.gate.opened().cpu().numpy()
    try:
        neuron, dead = fold_neuron(
            float(bits),
            gain[live],
            offset[live],
            lif.threshold.detach().double().item(),
            lif.leak,
            lif.reset,
            reach[live],
        )
    except ModelError as error:
        raise ModelError(f"layer {stage.name!r}: {error}") from None
    unmoved = ~live
    unmoved[live] = dead
    if unmoved.any():
        codes, shortcut = _without(codes, unmoved), None if shortcut is None else _without(shortcut, unmoved)
    gate = None if stage.skipping is None else stage.skipping.rule(int(live.sum()))
    return Folded(codes, neuron if live.all() else with_silent(neuron, live), gate, shortcut)


@uncompiled
def fold_readout(stage: Stage, timesteps: int, inputs: Tensor | None = None) -> FoldedReadout:
    """Integer weights and bias of the readout, with as many fractional bits (at most 8) as ``timesteps`` sums leave
    room for; ``inputs`` as for ``fold_stage``.

    Raises:
        ModelError: a logit does not fit 32 bits, or a number is not finite.
    """
    check_finite(stage.name, stage)
    codes = _live_codes(stage.synapse, inputs)
    gain, offset = (x.numpy() for x in stage.affine())
    reach = int(stage.synapse.reach(codes, stage.largest_input).max())
    most = (reach + float(np.abs(offset / gain).max())) * max(timesteps, 64)
    room = _READOUT_LIMIT / max(most, 1.0)
    if room < 1:
        raise ModelError(
            f"layer {stage.name!r}: logits of up to {most:,.0f} do not fit 32 bits: "
            "use fewer inputs, bits or time steps"
        )
    fraction = min(8, int(np.floor(np.log2(room))))
    bias = np.floor(np.ldexp(offset / gain, fraction) + 0.5).astype(np.int32)
    return FoldedReadout(codes, fraction, bias, float(np.ldexp(gain[0], -fraction)))


def _live_codes(synapse: Synapse, inputs: Tensor | None) -> Tensor:
    """The weight codes, int8 [O, I, ...], zero where the input is always zero."""
    assert synapse.quantizer is not None
    codes = integer_codes(synapse.quantizer, synapse.weight)
    if inputs is None:
        return codes
    axis = (-1, 1) if synapse.groups > 1 else (1, -1)  # of an identity, each output has its own input
    return codes * inputs.to(torch.int8).view(*axis, *[1] * (codes.dim() - 2))


def _without(codes: Tensor, outputs: NDArray[np.bool_]) -> Tensor:
    """The codes [O, ...], zero for outputs [O] of a mask."""
    return codes.masked_fill(torch.from_numpy(outputs).to(codes.device).view(-1, *[1] * (codes.dim() - 1)), 0)


def stage_sums(stage: Stage, folded: Folded, x: Tensor, source: Tensor | None) -> Tensor:
    """The integers that reach the neurons of a stage, int32 [N, ...], of whole-number inputs [N, ...] and of the spikes
    [N, ...] at the source of its shortcut."""
    sums = main_sums(stage, folded.codes, x)
    if stage.shortcut is None or folded.shortcut is None or source is None:
        return sums
    return sums + (integer_sums(stage.shortcut.synapse, folded.shortcut, source, 1) << stage.shortcut.shift)


def main_sums(stage: Stage, codes: Tensor, x: Tensor) -> Tensor:
    """Sums of a stage without its shortcut, int32 [N, ...], of whole-number inputs [N, ...] before its pools."""
    exact = x if stage.largest_input < 1 << 24 else x.double()
    return integer_sums(stage.synapse, codes, stage.pooled(exact), stage.largest_input)


def integer_sums(synapse: Synapse, codes: Tensor, x: Tensor, largest: int) -> Tensor:
    """Sums of integer codes over whole-number inputs 0 .. ``largest``, exact, as int32.

    Floating point adds whole numbers exactly while they fit its significand: float32 where the largest sum does,
    float64 above. Products are rounded to whole numbers once more, since some convolutions of GPUs add fractions.
    """
    reach = int(synapse.reach(codes, largest).max())
    dtype = torch.float32 if reach < (1 << 20 if x.is_cuda else 1 << 24) else torch.float64
    exact = convolutions_in("ieee") if x.is_cuda else nullcontext()
    with torch.autocast(x.device.type, enabled=False), exact:
        return synapse.sums(x.to(dtype), codes.to(dtype)).round_().to(torch.int32)


class IntegerSteps:
    """The constants of a layer's neurons on the device of its sums, and the time step over them."""

    def __init__(self, neuron: Neuron, sums: Tensor, first_channel_axis: int) -> None:
        self.neuron = neuron
        self.shape = [-1 if axis == first_channel_axis else 1 for axis in range(first_channel_axis, sums.dim())]
        self.fire, self.drop = self._channels(neuron.fire, sums), self._channels(neuron.drop, sums)
        store = neuron.store
        if isinstance(store, TableStore):
            self.edges = [self._channels(edge, sums) for edge in store.edges]
            self.decay = torch.from_numpy(store.decay).to(sums.device).flatten()
            self.channel = torch.arange(neuron.fire.size, device=sums.device).view(self.shape)
        else:
            self.decay = self._channels(store.decay, sums)
            self.gain, self.offset = (self._channels(x.astype(np.int64), sums) for x in (store.gain, store.offset))

    def _channels(self, constant: NDArray[Any], sums: Tensor) -> Tensor:
        return torch.from_numpy(constant).to(sums.device).view(self.shape)

    def remainder(self, code: Tensor) -> Tensor:
        """What the stored codes, int32, leave after the leak."""
        store = self.neuron.store
        if isinstance(store, TableStore):
            return self.decay[(code - self.neuron.low) * self.neuron.fire.size + self.channel]
        return (code * self.decay + ((1 << store.decay_shift) >> 1)) >> store.decay_shift

    def stored(self, potential: Tensor) -> Tensor:
        """The codes, int32, of potentials."""
        neuron, store = self.neuron, self.neuron.store
        if isinstance(store, TableStore):
            code = torch.full_like(potential, neuron.low)
            for edge in self.edges:
                code += potential >= edge
            return code
        return (
            ((potential.long() * self.gain + self.offset) >> store.shift).clamp(neuron.low, neuron.high).to(torch.int32)
        )

    def step(self, sums: Tensor, code: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Potential, spikes (bool) and codes to store."""
        potential = (sums << self.neuron.fraction) + self.remainder(code)
        spikes = potential >= self.fire
        if self.neuron.reset == "zero":
            return potential, spikes, self.stored(potential).masked_fill(spikes, 0)
        return potential, spikes, self.stored(potential - self.drop * spikes)


def integer_unroll(
    neuron: Neuron, sums: Tensor, timesteps: int, static_input: bool, skip: Skip | None = None
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Potentials (int32), spikes (bool) and stored codes (int32), [T, N, C, ...] each, of sums [T, N, C, ...], or [N,
    C, ...] if ``static_input``; and which neurons were computed (bool), where some may be skipped."""
    first = sums if static_input else sums[0]
    steps = IntegerSteps(neuron, first, 1)
    code = torch.zeros_like(first)
    history, computed = [], []
    for t in range(timesteps):
        potential, spikes, after = steps.step(sums if static_input else sums[t], code)
        if skip is not None:
            computed.append(skip(t, code, spikes, after))
            spikes, after = spikes & computed[-1], torch.where(computed[-1], after, code)
        code = after
        history.append((potential, spikes, code))
    potentials, fired, codes = (torch.stack(x) for x in zip(*history, strict=True))
    return potentials, fired, codes, torch.stack(computed) if computed else None


class IntegerRecurrence(torch.autograd.Function):
    """``apply(current, threshold, potentials, spikes, computed or None, dynamics, static_input)``: the integers' spikes
    forward, the training form's gradient backward.

    ``potentials`` [T, N, ...] are the integer potentials in units of v.
    """

    @staticmethod
    def forward(
        ctx: Any,
        current: Tensor,
        threshold: Tensor,
        potentials: Tensor,
        spikes: Tensor,
        computed: Tensor | None,
        dynamics: Dynamics,
        static_input: bool,
    ) -> Tensor:
        ctx.save_for_backward(threshold, potentials, computed)
        ctx.dynamics, ctx.static_input = dynamics, static_input
        return spikes.to(current.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_spikes: Tensor) -> Any:
        threshold, potentials, computed = ctx.saved_tensors
        grads, _, grad_threshold = backpropagate(
            list(potentials.unbind(0)),
            threshold,
            ctx.dynamics,
            grad_spikes,
            None,
            ctx.needs_input_grad[1],
            None if computed is None else list(computed.unbind(0)),
        )
        grad_current = sum(grads[1:], grads[0]) if ctx.static_input else torch.stack(grads)
        return grad_current, grad_threshold, None, None, None, None, None
