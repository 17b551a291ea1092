"""Layers computed a second time in the backward pass, so that of each only its input is kept in between, as bits.

What is then held at once grows with the time steps by an eighth of a byte for each spike, and one layer's currents,
instead of nine bytes for each neuron and step.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ..nn.spikes import Packing, as_bytes, pack_spikes

Run = Callable[[Tensor, Tensor | None], Tensor]


def recomputed(run: Run, module: nn.Module, x: Tensor, source: Tensor | None) -> Tensor:
    """``run(x, source)``, of which the backward pass begins by computing it again.

    Random numbers are drawn as the first time, and buffers of the ``module``, such as running statistics, move once.
    Gradients of its parameters are added to their ``grad``; ``torch.autograd.grad`` does not see them.
    """
    trained = x.requires_grad or any(parameter.requires_grad for parameter in module.parameters())
    if not torch.is_grad_enabled() or not trained:
        return run(x, source)
    anchor = x.new_zeros((), requires_grad=True)  # the module's own would be told of two gradients, one of them None
    spikes: Tensor = _Recomputed.apply(x, source, anchor, run, module)  # type: ignore[no-untyped-call]
    return spikes


class _Recomputed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, source: Tensor | None, anchor: Tensor, run: Run, module: nn.Module) -> Tensor:
        device = x.device.type
        ctx.run, ctx.module = run, module
        ctx.autocast = (device, torch.get_autocast_dtype(device), torch.is_autocast_enabled(device))
        ctx.random = _random(x.device)
        ctx.dtype = x.dtype
        packed = [pack_spikes(part, *as_bytes(part)) for part in (x, source) if part is not None]
        ctx.packings = [packing for _, packing in packed]
        ctx.shapes = [part.shape for part in (x, source) if part is not None]
        ctx.save_for_backward(*(data for data, _ in packed))
        return run(x, source)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        leaves = [
            data.new_zeros((), dtype=ctx.dtype).expand(shape).requires_grad_(wanted)
            for data, shape, wanted in zip(ctx.saved_tensors, ctx.shapes, ctx.needs_input_grad, strict=False)
        ]
        gradients: dict[int, Tensor] = {}
        buffers = [(buffer, buffer.clone()) for buffer in ctx.module.buffers()]
        try:
            root = _again(ctx, leaves, gradients, gradient.device)
            if root.requires_grad:  # else nothing trained has a part in it
                torch.autograd.backward(root, gradient)
        finally:
            with torch.no_grad():
                for buffer, before in buffers:
                    buffer.copy_(before)
        return gradients.get(0), gradients.get(1), None, None, None


def _again(ctx: Any, leaves: list[Tensor], gradients: dict[int, Tensor], on: torch.device) -> Tensor:
    """What the layer gives, computed from what was packed; the gradients of that go to ``gradients`` by its number."""
    device, dtype, enabled = ctx.autocast
    cuda = [on] if device == "cuda" else []
    with torch.random.fork_rng(cuda), torch.enable_grad(), torch.autocast(device, dtype, enabled):
        _set_random(ctx.random, cuda)
        given: list[Tensor] = [
            _Unpacked.apply(leaf, data, packing, partial(gradients.__setitem__, i))  # type: ignore[no-untyped-call]
            for i, (leaf, data, packing) in enumerate(zip(leaves, ctx.saved_tensors, ctx.packings, strict=True))
        ]
        spikes = ctx.run(given.pop(0), given.pop() if given else None)
        root: Tensor = _Forgotten.apply(spikes)  # type: ignore[no-untyped-call]
        return root


class _Unpacked(torch.autograd.Function):
    """What was packed, in place of a leaf that takes no memory: it is freed once the layer has no more use for it."""

    @staticmethod
    def forward(ctx: Any, leaf: Tensor, data: Tensor, packing: Packing, take: Callable[[Tensor], None]) -> Tensor:
        ctx.take = take
        return packing.unpack(data, leaf.dtype).detach()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, None, None, None]:
        ctx.take(gradient)  # as it lies in memory; a leaf would have it copied
        return None, None, None, None


class _Forgotten(torch.autograd.Function):
    """Passes a gradient on to what is not needed for its values; takes no memory."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.new_zeros(()).expand_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


def _random(device: torch.device) -> tuple[Tensor, Tensor | None]:
    return torch.get_rng_state(), torch.cuda.get_rng_state(device) if device.type == "cuda" else None


def _set_random(state: tuple[Tensor, Tensor | None], cuda: list[torch.device]) -> None:
    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.cuda.set_rng_state(state[1], cuda[0])
