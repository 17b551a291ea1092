"""Gradients of weights over spikes: sums of the outputs' gradients wherever an input has fired, in C.

What is multiplied with 0 or 1 needs no multiplication, and where few inputs fire most products of a convolution are
with zeros. The sums are those of float32, whatever the other gradients are rounded to.
"""

from __future__ import annotations

import ctypes
from functools import partial

import torch
from torch import Tensor

from .fused import kernels
from .geometry import Geometry
from .input_gradients import weights_prevail
from .spikes import Packing
from .threads import on_threads

_DENSEST = {torch.float32: 0.4, torch.bfloat16: 0.15}  # share of spikes below which products take longer
_OUTPUTS, _INPUTS = 64, 32  # that the C source takes at a time
_BYTE = 8  # inputs whose spikes lie together

_Pair = ctypes.c_int32 * 2


class _Convolution(ctypes.Structure):
    """``convolution_t`` of csrc/weight_gradients.c."""

    _fields_ = (
        ("images", ctypes.c_int32),
        ("inputs", ctypes.c_int32),
        ("outputs", ctypes.c_int32),
        ("size", _Pair),
        ("made", _Pair),
        ("kernel", _Pair),
        ("stride", _Pair),
        ("padding", _Pair),
        ("dilation", _Pair),
    )


def few_spikes(packing: Packing, gradient: Tensor, geometry: Geometry, dtype: torch.dtype) -> bool:
    """Whether so few inputs fire that ``weight_gradients`` is faster than products in this type, and they lie as it
    takes them.

    Args:
        gradient: of the outputs, [N, O, ...].
    """
    x = packing.like
    if x is None or not packing.bits or geometry.groups != 1 or x.shape[1] % _BYTE or not x.numel():
        return False
    if x.dim() == 4 and not x.is_contiguous(memory_format=torch.channels_last):
        return False
    if dtype == torch.bfloat16 and weights_prevail(gradient):
        dtype = torch.float32  # fast products are no help then
    return packing.ones <= _DENSEST.get(dtype, 0.0) * x.numel()


def weight_gradients(
    gradient: Tensor, spikes: Tensor, packing: Packing, shape: torch.Size, geometry: Geometry
) -> Tensor:
    """The gradient of the weights of a convolution or a linear layer, float32.

    Args:
        gradient: float32 of the outputs, [N, O, H, W] or [N, O].
        spikes: of the inputs, packed as ``few_spikes`` wants them.
        shape: of the weights, [O, I, kh, kw] or [O, I].
    """
    assert packing.like is not None
    convolves = len(shape) == 4
    gradient = gradient.contiguous(memory_format=torch.channels_last if convolves else torch.contiguous_format)
    found = gradient.new_empty(shape)
    outputs, inputs = shape[:2]
    size, made, kernel = (_places(part) for part in (packing.like.shape, gradient.shape, shape))
    g = geometry if convolves else Geometry()
    c = _Convolution(len(gradient), inputs, outputs, size, made, kernel, g.stride, g.padding, g.dilation)
    library = kernels()
    assert library is not None

    def compute(output: int, first: int, last: int) -> None:
        pointers = spikes.data_ptr(), gradient.data_ptr()
        if library.weight_gradients(ctypes.byref(c), *pointers, output, first, last, found.data_ptr()):
            raise MemoryError

    blocks = range(0, outputs, _OUTPUTS)
    each = _share(inputs, -(-torch.get_num_threads() // len(blocks)))
    on_threads(
        [partial(compute, o, first, min(first + each, inputs)) for o in blocks for first in range(0, inputs, each)]
    )
    return found


def _places(shape: torch.Size) -> tuple[int, int]:
    """Rows and columns."""
    return (1, 1) if len(shape) == 2 else (shape[2], shape[3])


def _share(inputs: int, parts: int) -> int:
    """Inputs of a part, a multiple of those that are listed at a time."""
    return -(-inputs // parts // _INPUTS) * _INPUTS
