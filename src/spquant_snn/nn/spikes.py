"""Spikes and pixels as bytes, for int8 arithmetic, and as bits, to be kept for the backward pass."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from .fused import kernels

_LARGEST = 255


@dataclass(frozen=True)
class Packing:
    """How a tensor was put into less memory by ``pack_spikes``.

    Args:
        like: a tensor without memory of its shape and layout; None if it was not packed.
        bits: whether there are eight numbers in a byte, else there is one.
        ones: how many of these bits are set.
    """

    like: Tensor | None = None
    bits: bool = False
    ones: int = 0

    def unpack(self, data: Tensor, dtype: torch.dtype) -> Tensor:
        """The tensor in floating point, in its shape and layout."""
        if self.like is None:
            return data.to(dtype)
        if not self.bits:
            bytes_ = torch.empty_like(self.like, device=data.device)
            in_memory(bytes_).copy_(data)
            return bytes_.to(dtype)
        low = dtype == torch.bfloat16
        numbers = torch.empty_like(self.like, device="cpu", dtype=dtype if low else torch.float32)
        library = _library()
        assert library is not None
        function = library.spikes_unpack_bf16 if low else library.spikes_unpack
        function(numbers.numel(), data.data_ptr(), numbers.data_ptr())
        return numbers.to(dtype)

    def unread(self, data: Tensor, dtype: torch.dtype) -> Tensor:
        """A tensor of that shape and layout, for those who want no more of it."""
        return data.to(dtype) if self.like is None else torch.empty_like(self.like, device=data.device, dtype=dtype)


def in_memory(x: Tensor) -> Tensor:
    """[numel] the elements of a dense tensor in the order in which they lie, contiguous or channels last."""
    return (x if x.is_contiguous() else x.permute(0, 2, 3, 1)).view(-1)


def dense(x: Tensor) -> Tensor:
    """The tensor itself if it is contiguous or channels last, else a contiguous copy."""
    if x.is_contiguous() or (x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last)):
        return x
    return x.contiguous()


def as_bytes(x: Tensor) -> tuple[Tensor | None, int]:
    """A tensor of whole numbers from 0 to 255 as uint8, in the same layout, and the largest of them; None and 0 if it
    holds other numbers."""
    x = dense(x.detach())
    library = _library() if x.device.type == "cpu" and x.dtype == torch.float32 else None
    if library is None:
        bytes_ = x.to(torch.uint8)
        if not torch.equal(bytes_.to(x.dtype), x):
            return None, 0
        return bytes_, int(bytes_.max()) if x.numel() else 0
    bytes_ = torch.empty_like(x, dtype=torch.uint8)
    largest = library.spikes_narrow(x.numel(), x.data_ptr(), bytes_.data_ptr())
    return (None, 0) if largest < 0 else (bytes_, largest)


def pack_spikes(x: Tensor, bytes_: Tensor | None, largest: int) -> tuple[Tensor, Packing]:
    """A tensor in less memory: one bit for each number if none is above 1, one byte if all are whole numbers up to 255,
    else unchanged."""
    if bytes_ is None:
        return x.detach(), Packing()
    flat, like = in_memory(bytes_), torch.empty_like(bytes_, device="meta")
    library = _library() if largest <= 1 and bytes_.device.type == "cpu" else None
    if library is None:
        return flat, Packing(like)
    packed = flat.new_empty(-(-flat.numel() // 8))
    ones = library.spikes_pack(flat.numel(), flat.data_ptr(), packed.data_ptr())
    return packed, Packing(like, bits=True, ones=ones)


@cache
def _library() -> ctypes.CDLL | None:
    library = kernels()
    if library is None:
        return None
    returns = {"narrow": ctypes.c_int32, "pack": ctypes.c_size_t, "unpack": None, "unpack_bf16": None}
    for name, returned in returns.items():
        function = getattr(library, f"spikes_{name}")
        function.argtypes = [ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p]
        function.restype = returned
    return library
