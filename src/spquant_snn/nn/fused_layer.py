"""A whole layer on a GPU as one operation: sums of codes, batch normalisation, neurons.

Spikes travel in two bytes. Sums of integer codes over them are whole numbers, which float16 holds exactly below 2048;
kernels add them up in float32 and round once, so a sum that comes out below that is exact. In training the pass that
takes the statistics looks at every sum anyway, and notes the largest: sums are computed in float16 until one reaches
the limit, and from then on in TF32, which holds codes, spikes and pixels, and adds up and hands on in float32 (full
connections in float32). Where statistics are not taken, float16 is used if no spikes whatever could reach the limit. So
the forward pass sees the sums that integers give, but for the one or two steps in which the limit is met. Backward is
in the type of autocast.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .fused import triton_on
from .geometry import Geometry
from .recurrence import Dynamics
from .sums import convolutions_in, products, products_backward
from .surrogate import name_of

EXACT = 2048  # float16 holds all whole numbers up to this
_LOW = (torch.bfloat16, torch.float16)
_TRIED = 256  # images, at most
_IN_FLOAT16 = ("allow_fp16_reduced_precision_reduction", "allow_fp16_accumulation")


@dataclass(frozen=True)
class LayerForm:
    """What a layer computes, beside its parameters.

    Args:
        geometry: of the convolution.
        whole: the largest input, where the weights are integer codes and all inputs whole numbers from 0, or twice the
            largest absolute value where some are below; else None.
        narrow: whether sums may be tried in float16.
        short: whether inputs and weights, where they are whole, have at most eleven bits, as TF32 and float16 hold.
        steps: time steps.
        static_input: whether the inputs are the same at every step and come once.
        training: whether normalisation takes the statistics of the batch.
        momentum, eps: of batch normalisation.
        spikes: type of the spikes.
    """

    geometry: Geometry
    whole: int | None
    narrow: bool
    short: bool
    dynamics: Dynamics
    steps: int
    static_input: bool
    training: bool
    momentum: float
    eps: float
    spikes: torch.dtype


def takes_layers(device: torch.device, dynamics: Dynamics, steps: int) -> bool:
    """Whether layers are computed as one operation there."""
    return (
        name_of(dynamics.surrogate) is not None and triton_on(device) and steps <= cast(int, _kernels()[0].MOST_STEPS)
    )


def layer(
    x: Tensor,
    kernel: Tensor,
    scale: Tensor,
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_variance: Tensor,
    largest: Tensor,
    threshold: Tensor,
    form: LayerForm,
) -> Tensor:
    """Spikes [T, N, O, ...] of a layer.

    Args:
        x: [T * N, I, ...], or [N, I, ...] of still inputs.
        kernel: [O, I, kh, kw] or [O, I].
        scale: [O], by which the sums are to be multiplied before they are normalised; takes no gradient.
        weight, bias, running_mean, running_variance: [O], of batch normalisation; the weight in absolute value. The
            statistics move in training.
        largest: [1], becomes the largest sum in float16 that was not proven to be exact, in absolute value.
        threshold: scalar.
    """
    statistics = (running_mean, running_variance, largest)
    spikes: Tensor = _Layer.apply(x, kernel, weight, bias, threshold, scale, statistics, form)  # type: ignore[no-untyped-call]
    return spikes


class _Layer(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        kernel: Tensor,
        weight: Tensor,
        bias: Tensor,
        threshold: Tensor,
        scale: Tensor,
        statistics: tuple[Tensor, Tensor, Tensor],
        form: LayerForm,
    ) -> Tensor:
        (kernels, norms), device = _kernels(), x.device.type
        low = torch.is_autocast_enabled(device)
        ctx.form, ctx.dtype = form, torch.get_autocast_dtype(device) if low else torch.float32
        with torch.autocast(device, enabled=False):
            y = _sums(x, kernel, form, ctx.dtype)
        channels = len(kernel)
        norm = norms.Normalisation(scale, weight, bias, *statistics[:2], form.momentum, form.eps, form.training)
        unproven = form.whole is not None and y.dtype == torch.float16
        line = norms.line_of(y, channels, norm, statistics[2] if unproven else None)
        step = y if form.static_input else y[: len(y) // form.steps]
        spikes = torch.empty_strided(
            (form.steps, *step.shape), (step.numel(), *step.stride()), dtype=form.spikes, device=y.device
        )
        kernels.fire(y, line, threshold, form.dynamics, spikes, form.static_input)
        ctx.strides = spikes.stride()
        ctx.save_for_backward(x, kernel, weight, threshold, y, line)
        return spikes

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_spikes: Tensor) -> tuple[Tensor | None, ...]:
        x, kernel, weight, threshold, y, line = ctx.saved_tensors
        form, wanted = ctx.form, ctx.needs_input_grad
        if grad_spikes.stride() != ctx.strides:
            grad_spikes = grad_spikes.new_empty_strided(grad_spikes.shape, ctx.strides).copy_(grad_spikes)
        gradient = torch.empty_like(y, dtype=ctx.dtype)
        grads, of_threshold = _kernels()[0].backward(
            y,
            line,
            weight,
            threshold,
            form.dynamics,
            grad_spikes,
            gradient,
            form.static_input,
            form.training,
            wanted[4],
        )
        of_x, of_kernel = products_backward(
            gradient, x.to(ctx.dtype), kernel.to(ctx.dtype), form.geometry, wanted[0], wanted[1]
        )
        return (
            of_x,
            None if of_kernel is None else of_kernel.float(),
            grads[0] if wanted[2] else None,
            grads[1] if wanted[3] else None,
            of_threshold,
            None,
            None,
            None,
        )


def _sums(x: Tensor, kernel: Tensor, form: LayerForm, dtype: torch.dtype) -> Tensor:
    """[.., O, ...] sums, contiguous or channels last; whole numbers in whatever holds them."""
    kernel = kernel.detach()
    if form.whole is None:
        return _rows(products(x.to(dtype), kernel.to(dtype), form.geometry))
    if x.dtype in _LOW and _fits(kernel, form) and _right(x.shape, kernel.shape, form.geometry, x.device):
        return _rows(_in_float16(x.half(), kernel.half(), form.geometry))
    with convolutions_in("tf32" if form.short else "ieee"):
        return _rows(products(x.float(), kernel, form.geometry))


def _fits(kernel: Tensor, form: LayerForm) -> bool:
    """Whether sums are computed in float16: in training until one was too large, else if none can be."""
    if not form.short:
        return False
    if form.training:
        return form.narrow
    if kernel.is_cuda and torch.cuda.is_current_stream_capturing():  # when nothing can be asked
        return False
    return float(_kernels()[1].reach_of(kernel)) * cast(int, form.whole) <= EXACT


def _in_float16(x: Tensor, kernel: Tensor, geometry: Geometry) -> Tensor:
    """Products that are added up in float32; a linear layer might else add up in float16, in parts or wholly."""
    flags = torch.backends.cuda.matmul
    names = [name for name in _IN_FLOAT16 if hasattr(flags, name)]
    before = {name: getattr(flags, name) for name in names}
    try:
        for name in names:
            setattr(flags, name, False)
        return products(x, kernel, geometry)
    finally:
        for name, value in before.items():
            setattr(flags, name, value)


def _rows(y: Tensor) -> Tensor:
    """The sums with their channels side by side."""
    return y.contiguous() if y.dim() == 2 else y.contiguous(memory_format=torch.channels_last)


@cache
def _right(x_shape: torch.Size, shape: torch.Size, geometry: Geometry, device: torch.device) -> bool:
    """Whether sums in float16 of these shapes are exact, tried on small numbers, and on numbers whose sums are small
    but not those of their parts: some ways to compute a convolution are not, and some add up in float16."""
    draw = torch.Generator(device).manual_seed(0)
    rows, half = (min(x_shape[0], _TRIED), *x_shape[1:]), shape[1] // 2
    steep = torch.full(shape, 7.0, dtype=torch.float32, device=device)
    steep[:, half:] = -7
    steep[:, half::8] = -6
    tries = (
        (
            torch.randint(0, 2, rows, generator=draw, device=device),
            torch.randint(-1, 2, shape, generator=draw, device=device),
        ),
        (torch.ones(rows, dtype=torch.float32, device=device), steep),
    )
    for x, kernel in tries:
        if x.dim() == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        meant = products(x.double(), kernel.double(), geometry)
        if not torch.equal(_in_float16(x.half(), kernel.half(), geometry).double(), meant):
            return False
    return True


@cache
def _kernels() -> tuple[Any, Any]:
    """Of neurons and of normalisation; imported where they are needed, since they import Triton."""
    from . import triton_layer, triton_norm

    return triton_layer, triton_norm
