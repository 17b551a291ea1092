"""Nodes and constants of an ONNX graph as they are written, and the arithmetic on integers that ONNX has no operator
for. The package onnx is imported where it is used."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import MissingDependencyError

_PACKED = {2: ("INT2", 25), 4: ("INT4", 21)}  # bits: the type, and the first opset that has it
_INT8 = 3  # TensorProto.INT8


def import_onnx() -> Any:
    """The package onnx.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import onnx
    except ImportError:
        raise MissingDependencyError("writing ONNX needs onnx: pip install 'spquant-snn[onnx]'") from None
    return onnx


@dataclass
class Constants:
    """The constants and the names of a whole model, which the body of a loop shares with what is around it."""

    onnx: Any
    opset: int
    tensors: list[Any] = field(default_factory=list)
    casts: list[Any] = field(default_factory=list)  # nodes, ahead of all others, of what is packed
    _known: dict[tuple[str, tuple[int, ...], bytes], str] = field(default_factory=dict)
    _names: set[str] = field(default_factory=set)

    def name(self, wanted: str) -> str:
        """A name that nothing else has, the wanted one if it is free."""
        name, count = wanted, 1
        while name in self._names:
            count += 1
            name = f"{wanted}.{count}"
        self._names.add(name)
        return name

    def add(self, array: NDArray[Any], wanted: str) -> str:
        """The name of a constant; equal ones are one."""
        key = (array.dtype.name, array.shape, array.tobytes())
        if key not in self._known:
            self._known[key] = self.name(wanted)
            self.tensors.append(self.onnx.numpy_helper.from_array(np.ascontiguousarray(array), self._known[key]))
        return self._known[key]

    def add_codes(self, codes: NDArray[np.int8], bits: float, wanted: str) -> str:
        """The name of codes as int8, stored at 2, 4 or 8 bits: in the narrowest type of the opset that holds them."""
        sizes = (size for size, (_, opset) in _PACKED.items() if bits <= size and self.opset >= opset)
        size = next(sizes, 8)
        codes = np.ascontiguousarray(codes)
        if size == 8:
            return self.add(codes, wanted)
        key = (f"int{size}", codes.shape, codes.tobytes())
        if key not in self._known:
            packed = self._packed(codes, size, wanted)
            self._known[key] = self.name(f"{wanted}.int8")
            cast = self.onnx.helper.make_node("Cast", [packed], [self._known[key]], self._known[key], to=_INT8)
            self.casts.append(cast)
        return self._known[key]

    def _packed(self, codes: NDArray[np.int8], bits: int, wanted: str) -> str:
        kind, _ = _PACKED[bits]
        name, count = self.name(wanted), 8 // bits
        fields = np.zeros(-(-codes.size // count) * count, np.uint8)
        fields[: codes.size] = codes.reshape(-1).view(np.uint8) & ((1 << bits) - 1)
        shifted = fields.reshape(-1, count) << (bits * np.arange(count, dtype=np.uint8))  # the first is the lowest
        tensor = self.onnx.TensorProto(name=name, data_type=getattr(self.onnx.TensorProto, kind), dims=codes.shape)
        tensor.raw_data = np.bitwise_or.reduce(shifted, 1).astype(np.uint8).tobytes()
        self.tensors.append(tensor)
        return name


class Writer:
    """Writes the nodes of one graph, or of the body of a loop; every method returns the name of a tensor."""

    def __init__(self, constants: Constants) -> None:
        self.constants = constants
        self.nodes: list[Any] = []

    def op(self, kind: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """A node of one output."""
        name = self.constants.name(name or kind.lower())
        self.nodes.append(self.constants.onnx.helper.make_node(kind, inputs, [name], name, **attributes))
        return name

    def constant(self, values: Any, dtype: Any, name: str = "constant") -> str:
        """A constant of a type."""
        return self.constants.add(np.asarray(values, dtype), name)

    def per_channel(self, values: NDArray[Any], name: str) -> str:
        """Constants [C], or [..., C], beside values [N, C, H, W]."""
        return self.constants.add(values.reshape(*values.shape, 1, 1), name)

    def cast(self, x: str, dtype: Any) -> str:
        """The same numbers in another type."""
        kind = self.constants.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self.op("Cast", x, to=kind)

    def reshape(self, x: str, *shape: int) -> str:
        """Values [N, ...] as [N, *shape]."""
        return self.op("Reshape", x, self.constant((0, *shape), np.int64))

    def shifted_left(self, x: str, bits: int) -> str:
        """int32, ``x << bits``, which is known to fit."""
        return x if bits == 0 else self.op("Mul", x, self.constant(1 << bits, np.int32))

    def shifted_right(self, x: str, bits: int, dtype: Any) -> str:
        """``x >> bits``, rounded down, as no division of ONNX rounds: what is left over is taken off before it."""
        if bits == 0:
            return x
        if np.dtype(dtype) == np.int32 and bits == 31:  # there is no such divisor
            return self.cast(self.shifted_right(self.cast(x, np.int64), bits, np.int64), np.int32)
        divisor = self.constant(1 << bits, dtype)
        return self.op("Div", self.op("Sub", x, self.op("Mod", x, divisor)), divisor)

    def scaled(
        self,
        x: str,
        factor: NDArray[Any] | None,
        offset: NDArray[Any] | int,
        shift: int,
        wide: bool = False,
        within: tuple[int, int] | None = None,
    ) -> str:
        """int32, ``(x * factor + offset) >> shift`` of int32, per channel.

        Args:
            wide: whether numbers in between take 64 bits.
            within: the least and the largest that is left of the result.
        """
        dtype = np.int64 if wide else np.int32
        found = self.cast(x, dtype) if wide else x
        if factor is not None:
            found = self.op("Mul", found, self.per_channel(factor.astype(dtype), "factor"))
        if np.any(offset):
            found = self.op("Add", found, self.per_channel(np.atleast_1d(np.asarray(offset, dtype)), "offset"))
        found = self.shifted_right(found, shift, dtype)
        if within is not None:
            low, high = (self.constant(end, dtype) for end in within)
            found = self.larger(low, self.op("Where", self.op("GreaterOrEqual", found, high), high, found))
        return self.cast(found, np.int32) if wide else found

    def larger(self, x: str, y: str) -> str:
        """The larger of two numbers. Of int64, ONNX Runtime's Max, Min and Clip are wrong where the upper halves of
        both are alike and the lower ones differ in their highest bit (1.31); its comparisons are right."""
        return self.op("Where", self.op("GreaterOrEqual", x, y), x, y)
