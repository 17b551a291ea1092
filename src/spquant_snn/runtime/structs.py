"""The structs of ``csrc/spq.h`` in ctypes, filled from a plan by the names that both share."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, c_int8, c_int16, c_int32, c_int64, c_uint32, c_void_p
from typing import Any

import numpy as np

from ..dtypes import UInt8
from .plan import ALIGNMENT, NetworkPlan


def aligned(size: int) -> UInt8:
    """Zeroed bytes that start at a line of cache: a vector of weights then lies in one."""
    block = np.zeros(size + ALIGNMENT, np.uint8)
    start = -block.ctypes.data % ALIGNMENT
    return block[start : start + size]


class CRegion(Structure):
    _fields_ = [("offset", c_uint32), ("size", c_uint32)]


class CPool(Structure):
    _fields_ = [(name, c_int32) for name in ("largest", "kernel", "stride", "height", "width")]


class CSlices(Structure):
    _fields_ = [
        *((name, c_int32) for name in ("slots", "spread", "vectors", "passes", "block", "blocks")),
        *((name, c_int32) for name in ("stride", "lift", "largest", "planes")),
        ("rows", POINTER(c_uint32)),
        ("totals", POINTER(c_int32)),
    ]


class CPacked(Structure):
    _fields_ = [
        *((name, c_int32) for name in ("bits", "units", "grain", "lift", "few", "many")),
        *((name, c_int32) for name in ("lanes", "levels", "fraction", "pitch")),
        ("words", POINTER(c_uint32)),
        ("constants", POINTER(c_uint32)),
    ]


class CConnection(Structure):
    _fields_ = [
        *((name, c_int32) for name in ("source_height", "source_width", "channels", "pool_count")),
        ("pools", POINTER(CPool)),
        *((name, c_int32) for name in ("height", "width", "kernel_height", "kernel_width", "pad_height", "pad_width")),
        *((name, c_int32) for name in ("step_height", "step_width", "window", "slide_height", "slide_width")),
        *((name, c_int32) for name in ("out_height", "out_width", "outputs", "tiles", "units", "form")),
        *((name, c_int32) for name in ("limit", "wide", "row")),
        ("codes8", POINTER(c_int8)),
        ("codes16", POINTER(c_int16)),
        ("group_start", POINTER(c_uint32)),
        ("slices", POINTER(CSlices)),
        ("packed", POINTER(CPacked)),
    ]


class CNeuron(Structure):
    _fields_ = [
        *((name, c_int32) for name in ("bits", "low", "high", "levels", "fraction", "subtract", "scaled")),
        *((name, POINTER(c_int32)) for name in ("fire", "drop", "decay", "edges", "gain")),
        ("offset", POINTER(c_int64)),
        ("decay_shift", c_int32),
        ("shift", c_int32),
        ("narrow", POINTER(c_int16)),
        ("planes", POINTER(c_uint32)),
        *((name, c_int32) for name in ("plane_count", "plane_rows", "plane_decay", "plane_edge")),
    ]


class CBlocks(Structure):
    _fields_ = [
        ("channels", c_int32),
        *((name, POINTER(c_int32)) for name in ("count", "code", "least", "silent")),
        ("rest", POINTER(c_uint32)),
    ]


class CShortcut(Structure):
    _fields_ = [("source", c_int32), ("shift", c_int32), ("connection", CConnection)]


class CLayer(Structure):
    _fields_ = [
        ("connection", CConnection),
        ("neuron", POINTER(CNeuron)),
        ("blocks", POINTER(CBlocks)),
        ("shortcut", POINTER(CShortcut)),
        ("state", CRegion),
        ("spikes", CRegion),
    ]


class CScratch(Structure):
    _fields_ = [
        ("pooled", CRegion * 2),
        *((name, CRegion) for name in ("starts", "events", "values", "lines", "runs", "sums")),
        *((name, CRegion) for name in ("frame", "columns", "heads", "shifts")),
        *((name, CRegion) for name in ("beside_starts", "beside_events", "beside_values", "beside_sums")),
        *((name, CRegion) for name in ("marks", "planes")),
    ]


class CNetwork(Structure):
    _fields_ = [
        ("layout", c_uint32),
        *((name, c_int32) for name in ("timesteps", "steps", "shared", "layer_count")),
        ("layers", POINTER(CLayer)),
        ("fraction", c_int32),
        ("bias", POINTER(c_int32)),
        ("logits", CRegion),
        ("scratch", CScratch),
        ("arena_size", c_uint32),
    ]


class CTrace(Structure):
    _fields_ = [
        ("spikes", POINTER(POINTER(c_uint32))),
        ("codes", POINTER(POINTER(c_int8))),
        ("seen", c_void_p),
        ("context", c_void_p),
    ]


class CPlan:
    """A plan as C sees it; what the pointers point to lives as long as this object.

    Args:
        arrays: those of another network, by their identity, with which this one shares what both have.
    """

    def __init__(self, plan: NetworkPlan, arrays: dict[int, tuple[Any, Any]] | None = None) -> None:
        self._kept: list[Any] = []
        self.arrays: dict[int, tuple[Any, Any]] = {} if arrays is None else arrays
        self.c = CNetwork()
        self._fill(self.c, plan)

    def _fill(self, struct: Structure, plan: object) -> None:
        for name, kind in ((field[0], field[1]) for field in struct._fields_):
            value = getattr(plan, name)
            target = getattr(struct, name)
            if isinstance(value, int):
                setattr(struct, name, value)
            elif isinstance(target, Structure):
                self._fill(target, value)
            elif isinstance(target, ctypes.Array):
                for part, item in zip(target, value, strict=True):
                    self._fill(part, item)
            elif value is not None:
                setattr(struct, name, self._pointer(kind, value))

    def _pointer(self, kind: Any, value: Any) -> Any:
        """To an array, to a struct, or to structs in a row."""
        if isinstance(value, np.ndarray):
            assert value.dtype.itemsize == ctypes.sizeof(kind._type_)
            if id(value) not in self.arrays:
                array = aligned(value.nbytes).view(value.dtype)
                array[:] = value.ravel()
                self.arrays[id(value)] = (value, array)  # the value is kept, so that its identity stays its own
            return self.arrays[id(value)][1].ctypes.data_as(kind)
        items = value if isinstance(value, tuple) else (value,)
        structs = (kind._type_ * len(items))()
        for struct, item in zip(structs, items, strict=True):
            self._fill(struct, item)
        self._kept.append(structs)
        return ctypes.cast(structs, kind)
