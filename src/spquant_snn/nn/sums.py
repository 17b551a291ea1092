"""Sums of integer weight codes over spikes or pixels, exact in the forward pass and as fast as the processor allows.

Forward, a spike is a 0 or a 1, a pixel a byte and a code an integer of a few bits: their sums are whole numbers, which
int8 arithmetic gives exactly, and so does float32 while they stay below 2**24. On CPUs with int8 dot products the
kernels of oneDNN take them as bytes; elsewhere float32 does the same sums, slower. Both give the same floats, bit for
bit, since the one rounding left is that of the sum times its scale. A few kernels of oneDNN are wrong (3.12: of one
input channel, if only the columns are strided), so each shape is tried once and left to float32 where they are.

Backward is what it is for a convolution or a linear layer in float32, or in the type of autocast, which forward
does not see: products of spikes and codes need no more bits than they have. For that, spikes are kept as bits; where
few inputs fire, gradients of weights are sums over these (``weight_gradients``).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from .geometry import Geometry
from .input_gradients import few_places, input_gradients
from .spikes import as_bytes, dense, pack_spikes
from .weight_gradients import few_spikes, weight_gradients

_CODES = (-127, 127)


def sums(x: Tensor, codes: Tensor, scale: Tensor, geometry: Geometry) -> Tensor:
    """Convolution or linear layer of x [N, I, ...] with ``codes * scale``.

    Args:
        x: float32; whole numbers of 0 to 255 where it is to be fast, any others else.
        codes: [O, I, kh, kw], or [O, I] of a linear layer; integers, as float32.
        scale: [O] or [1], what a code of one is worth.

    Returns:
        [N, O, ...] float32; of whole numbers, the exact sums, each multiplied once by its scale.
    """
    total: Tensor = _Sums.apply(x, codes, scale.expand(len(codes)), geometry)  # type: ignore[no-untyped-call]
    return total


@cache
def no_int8() -> str | None:
    """Why sums are not computed in int8 on this CPU; None where they are."""
    try:
        x = torch.full((1, 16, 4, 4), 255, dtype=torch.uint8, device="cpu")
        codes = torch.full((16, 16, 3, 3), 127, dtype=torch.int8, device="cpu")
        codes[::2].neg_()
        found = _int8(x, codes, torch.ones(16, dtype=torch.float32, device="cpu"), Geometry(padding=(1, 1)))
        meant = F.conv2d(x.double(), codes.double(), padding=1)
    except (AttributeError, RuntimeError, NotImplementedError) as error:
        return f"this torch has no int8 convolution for it ({str(error).splitlines()[0]})"
    return None if torch.equal(found.double(), meant) else "this CPU has no int8 dot products, and others saturate"


class _Sums(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, codes: Tensor, scale: Tensor, geometry: Geometry) -> Tensor:
        device = x.device.type
        bytes_, largest = as_bytes(x) if device == "cpu" and x.dtype == torch.float32 else (None, 0)
        low = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
        ctx.geometry, ctx.dtype = geometry, torch.get_autocast_dtype(device) if low else x.dtype
        data, ctx.packing = pack_spikes(x.to(ctx.dtype) if bytes_ is None else x, bytes_, largest)
        ctx.save_for_backward(codes, scale, data)
        with torch.autocast(device, enabled=False) if low else nullcontext():
            if bytes_ is not None and _takes_int8(bytes_, codes, geometry):
                return _int8(bytes_, codes.to(torch.int8), scale, geometry)
            return products(x.to(codes.dtype), codes, geometry).mul_(_beside(scale, codes))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        codes, scale, data = ctx.saved_tensors
        dtype, geometry, packing = ctx.dtype, ctx.geometry, ctx.packing
        to_input, to_codes, to_scale, _ = ctx.needs_input_grad
        of_weight = to_codes or to_scale
        counted = of_weight and few_spikes(packing, gradient, geometry, dtype)
        of_x = found = None
        if to_input or (of_weight and not counted):
            x = packing.unpack(data, dtype) if of_weight and not counted else packing.unread(data, dtype)
            weight = (codes * _column(scale, codes)).to(dtype)
            asked = to_input, of_weight and not counted
            of_x, found = products_backward(gradient.to(dtype), x, weight, geometry, *asked)
        if counted:
            found = weight_gradients(gradient.float(), data, packing, codes.shape, geometry)
        if found is None:
            return of_x, None, None, None
        found = found.float()
        of_scale = (found * codes).flatten(1).sum(1) if to_scale else None
        return of_x, found * _column(scale, codes), of_scale, None


def _takes_int8(x: Tensor, codes: Tensor, geometry: Geometry) -> bool:
    """Linear layers are not worth the packing of their weights, which is done anew in each step."""
    if codes.dim() != 4 or geometry.groups != 1 or no_int8() is not None:
        return False
    low, high = torch.aminmax(codes)
    if not (low >= _CODES[0] and high <= _CODES[1]):  # or one is not a number
        return False
    return _right(x.shape, codes.shape, geometry, torch.get_num_threads())


@cache
def _right(x_shape: torch.Size, shape: torch.Size, geometry: Geometry, threads: int) -> bool:
    """Whether the kernel that oneDNN takes for these shapes, and so many threads, gives the sums of float32, on numbers
    so small that those are exact."""
    draw = torch.Generator("cpu").manual_seed(0)
    x = torch.randint(0, 4, x_shape, dtype=torch.uint8, generator=draw, device="cpu")
    codes = torch.randint(-7, 8, shape, dtype=torch.int8, generator=draw, device="cpu")
    try:
        found = _int8(x, codes, torch.ones(len(codes), dtype=torch.float32, device="cpu"), geometry)
    except RuntimeError:  # it has none
        return False
    return torch.equal(found, products(x.float(), codes.float(), geometry))


def _int8(x: Tensor, codes: Tensor, scale: Tensor, geometry: Geometry) -> Tensor:
    """[N, O, H, W] float32, channels last; of uint8 and int8."""
    stride, padding = list(geometry.stride), list(geometry.padding)
    # Of a kernel of one nothing is apart; oneDNN 3.12 crashes on some that say so, of one input channel.
    apart = [d if k > 1 else 1 for d, k in zip(geometry.dilation, codes.shape[2:], strict=True)]
    ops = torch.ops.onednn
    scale = scale.float().contiguous()  # one scale for all is an expanded one, of which the kernel would read on
    packed = ops.qconv_prepack(codes, scale, 1.0, 0, stride, padding, apart, geometry.groups, list(x.shape))
    zeros = torch.zeros(len(codes), dtype=torch.int32, device=codes.device)
    shape = (stride, padding, apart, geometry.groups)
    made: Tensor = ops.qconv_pointwise(
        x, 1.0, 0, packed, scale, zeros, None, *shape, 1.0, 0, torch.float32, "none", [], ""
    )
    return made


def products(x: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    """Convolution or linear layer, in the type of both."""
    if weight.dim() == 2:
        return F.linear(x, weight)
    return F.conv2d(x, weight, None, geometry.stride, geometry.padding, geometry.dilation, geometry.groups)


def products_backward(
    gradient: Tensor, x: Tensor, weight: Tensor, geometry: Geometry, to_x: bool, to_weight: bool
) -> tuple[Tensor | None, Tensor | None]:
    """Gradients of ``products``, in the type of all or in float32; to the input and to the weight, where they are
    wanted."""
    if weight.dim() == 2:
        return gradient @ weight if to_x else None, gradient.T @ x if to_weight else None
    by_place = input_gradients(gradient, weight, x.shape, geometry) if to_x and few_places(gradient, geometry) else None
    if by_place is not None and not to_weight:
        return by_place, None
    if gradient.is_contiguous(memory_format=torch.channels_last):
        x, weight = (part.contiguous(memory_format=torch.channels_last) for part in (x, weight))
    of_x, of_weight, _ = torch.ops.aten.convolution_backward(
        dense(gradient),
        x,
        weight,
        [0],
        geometry.stride,
        geometry.padding,
        geometry.dilation,
        False,
        (0, 0),
        geometry.groups,
        (to_x and by_place is None, to_weight, False),
    )
    return of_x if by_place is None else by_place, of_weight


def _column(scale: Tensor, codes: Tensor) -> Tensor:
    """[O, 1, ...] to multiply codes with."""
    return scale.view(-1, *[1] * (codes.dim() - 1))


def _beside(scale: Tensor, codes: Tensor) -> Tensor:
    """[O, 1, 1], or [O] of a linear layer, to multiply sums [N, O, ...] with."""
    return scale.view(-1, *[1] * (codes.dim() - 2))


@contextmanager
def convolutions_in(precision: Literal["ieee", "tf32"]) -> Iterator[None]:
    """Within it, float32 convolutions on GPUs use this precision; the user's own switches are restored after it."""
    cudnn = torch.backends.cudnn
    convolutions: Any = getattr(cudnn, "conv", None)
    if not hasattr(convolutions, "fp32_precision"):  # before torch 2.9
        given = {name: getattr(cudnn, name) for name in ("enabled", "benchmark", "deterministic")}
        with cudnn.flags(**given, allow_tf32=precision == "tf32"):
            yield
        return
    before = convolutions.fp32_precision
    convolutions.fp32_precision = precision
    try:
        yield
    finally:
        convolutions.fp32_precision = before
