"""Spikes and pixels as bytes, which int8 arithmetic takes, and as bits, which are kept for the backward pass."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from .fused import kernels

_LARGEST = 255


@dataclass(frozen=True)
class Kept:
    """Whole numbers of 0 to 255 in little memory: a bit each if none is above 1, a byte each otherwise.

    Args:
        data: uint8, flat.
        like: a tensor without memory of their shape and layout.
        bits: whether there are eight numbers in a byte.
    """

    data: Tensor
    like: Tensor
    bits: bool

    def back(self, dtype: torch.dtype) -> Tensor:
        """The numbers as float32 or bfloat16, in their shape and layout."""
        if not self.bits:
            bytes_ = torch.empty_like(self.like, device="cpu")
            in_memory(bytes_).copy_(self.data)
            return bytes_.to(dtype)
        numbers = torch.empty_like(self.like, device="cpu", dtype=dtype)
        library = _library()
        assert library is not None
        unpack = library.spikes_unpack if dtype == torch.float32 else library.spikes_unpack_bf16
        unpack(numbers.numel(), self.data.data_ptr(), numbers.data_ptr())
        return numbers


def in_memory(x: Tensor) -> Tensor:
    """[numel] the elements of a dense tensor in the order in which they lie, contiguous or channels last."""
    return (x if x.is_contiguous() else x.permute(0, 2, 3, 1)).view(-1)


def dense(x: Tensor) -> Tensor:
    """The tensor itself if it is contiguous or channels last, else a contiguous copy."""
    if x.is_contiguous() or (x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last)):
        return x
    return x.contiguous()


def as_bytes(x: Tensor) -> tuple[Tensor | None, int]:
    """A float32 tensor on the CPU as uint8, in the same layout, and its largest element; None unless all are whole
    numbers of 0 to 255."""
    x = dense(x.detach())
    library = _library()
    if library is None:
        bytes_ = x.to(torch.uint8)
        return (bytes_, int(bytes_.max())) if torch.equal(bytes_.to(x.dtype), x) else (None, 0)
    bytes_ = torch.empty_like(x, dtype=torch.uint8)
    largest = library.spikes_narrow(x.numel(), x.data_ptr(), bytes_.data_ptr())
    return (None, 0) if largest < 0 else (bytes_, largest)


def keep(bytes_: Tensor, largest: int) -> Kept:
    """What ``as_bytes`` gave, to be had back later."""
    flat, like, library = in_memory(bytes_), torch.empty_like(bytes_, device="meta"), _library()
    if largest > 1 or library is None:
        return Kept(flat, like, bits=False)
    packed = torch.empty(-(-flat.numel() // 8), dtype=torch.uint8)
    library.spikes_pack(flat.numel(), flat.data_ptr(), packed.data_ptr())
    return Kept(packed, like, bits=True)


@cache
def _library() -> ctypes.CDLL | None:
    library = kernels()
    if library is None:
        return None
    for name in ("narrow", "pack", "unpack", "unpack_bf16"):
        function = getattr(library, f"spikes_{name}")
        function.argtypes = [ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p]
        function.restype = ctypes.c_int32 if name == "narrow" else None
    return library
