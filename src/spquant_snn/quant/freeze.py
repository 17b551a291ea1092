"""The frozen form: the integer model, computed by torch, with the gradients of the training form.

``freeze`` fixes batch normalisation. From then on a stage sums integer codes, takes the integer time step of ``fold``
and hands on exact spikes. For fine-tuning, the backward pass is the one of the training form at the potentials that
the integers stand for.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..integer.neuron import Current, Neuron, TableStore
from ..nn.recurrence import Dynamics, Skip, backpropagate
from .fold import Folded
from .stage import NeuronStage


class IntegerSteps:
    """The constants of a layer's neurons on the device of its sums, and the time step over them."""

    def __init__(self, neuron: Neuron, sums: Tensor, first_channel_axis: int) -> None:
        self.neuron, self.axis = neuron, first_channel_axis
        shape = [-1 if axis == first_channel_axis else 1 for axis in range(first_channel_axis, sums.dim())]
        self.fire, self.drop = (_beside(x, shape, sums) for x in (neuron.fire, neuron.drop))
        self.membrane = _StoreSteps(neuron, shape, sums)
        self.current = None if neuron.current is None else _StoreSteps(neuron.current, shape, sums)

    def initial(self, sums: Tensor) -> Tensor:
        """The codes before the first step, int32; those of neurons with a synaptic current have an axis of two, of
        potentials and of currents, before that of the channels."""
        codes = torch.zeros_like(sums)
        return codes if self.current is None else torch.stack([codes, codes], self.axis)

    def step(self, sums: Tensor, code: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Potential, spikes (bool) and codes to store."""
        drive = sums << self.neuron.fraction
        if self.current is None:
            return self._membrane_step(drive, code)
        drive = drive + self.current.remainder(code.select(self.axis, 1))
        potential, spikes, after = self._membrane_step(drive, code.select(self.axis, 0))
        return potential, spikes, torch.stack([after, self.current.stored(drive)], self.axis)

    def _membrane_step(self, drive: Tensor, code: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        potential = drive + self.membrane.remainder(code)
        spikes = potential >= self.fire
        if self.neuron.reset == "zero":
            return potential, spikes, self.membrane.stored(potential).masked_fill(spikes, 0)
        return potential, spikes, self.membrane.stored(potential - self.drop * spikes)


class _StoreSteps:
    """What is stored between steps, of potentials or of synaptic currents."""

    def __init__(self, part: Neuron | Current, shape: list[int], sums: Tensor) -> None:
        self.part, store = part, part.store
        if isinstance(store, TableStore):
            self.channels = store.decay.shape[1]
            self.edges = [_beside(edge, shape, sums) for edge in store.edges]
            self.decay = torch.from_numpy(store.decay).to(sums.device).flatten()
            self.channel = torch.arange(self.channels, device=sums.device).view(shape)
        else:
            self.decay = _beside(store.decay, shape, sums)
            self.gain, self.offset = (_beside(x.astype(np.int64), shape, sums) for x in (store.gain, store.offset))

    def remainder(self, code: Tensor) -> Tensor:
        """What the stored codes, int32, leave after the leak."""
        store = self.part.store
        if isinstance(store, TableStore):
            return self.decay[(code - self.part.low) * self.channels + self.channel]
        return (code * self.decay + ((1 << store.decay_shift) >> 1)) >> store.decay_shift

    def stored(self, potential: Tensor) -> Tensor:
        """The codes, int32, of potentials or of currents in their units."""
        part, store = self.part, self.part.store
        if isinstance(store, TableStore):
            code = torch.full_like(potential, part.low)
            for edge in self.edges:
                code += potential >= edge
            return code
        return ((potential.long() * self.gain + self.offset) >> store.shift).clamp(part.low, part.high).to(torch.int32)


def _beside(constant: NDArray[Any], shape: list[int], sums: Tensor) -> Tensor:
    return torch.from_numpy(constant).to(sums.device).view(shape)


def integer_unroll(
    neuron: Neuron, sums: Tensor, timesteps: int, static_input: bool, skip: Skip | None = None
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Potentials (int32) and spikes (bool), [T, N, C, ...] each, and stored codes (int32), the same or [T, N, 2, C,
    ...] with a synaptic current, of sums [T, N, C, ...], or [N, C, ...] if ``static_input``; and which neurons were
    computed (bool), where some may be skipped: those without such a current."""
    first = sums if static_input else sums[0]
    steps = IntegerSteps(neuron, first, 1)
    code = steps.initial(first)
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


def with_gradient(
    stage: NeuronStage,
    folded: Folded,
    current: Tensor,
    potentials: Tensor,
    spikes: Tensor,
    computed: Tensor | None,
    static_input: bool,
) -> Tensor:
    """Integer spikes [T, N, C, ...] as floats, with the gradient of the training form.

    That of neurons with a fused kernel is taken at the potentials of the integers. All others run in training form too:
    their gradient is the one at the potentials there, straight through to the integers' spikes.

    Args:
        current: of the training form, [T, N, C, ...], or [N, C, ...] if ``static_input``.
        potentials: [T, N, C, ...], of the integers.
        computed: which neurons were not skipped; None: all.
    """
    lif = stage.lif
    assert lif is not None
    if not lif.has_kernel:
        free = lif.forward_static(current, len(spikes)) if static_input else cast(Tensor, lif(current))
        if computed is not None:
            free = free * computed
        return spikes.to(current.dtype) + (free - free.detach())
    shape = (-1, *[1] * (spikes.dim() - 3))
    gain, offset = (
        torch.from_numpy(x).to(current.device, torch.float32).view(shape) for x in (folded.gain, folded.offset)
    )
    v = potentials * (gain * 2.0**-folded.layer.neuron.fraction) + offset
    fired: Tensor = IntegerRecurrence.apply(  # type: ignore[no-untyped-call]
        current, lif.threshold, v, spikes, computed, lif.dynamics, static_input
    )
    return fired


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
