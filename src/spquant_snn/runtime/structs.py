"""The structs of ``csrc/spq.h`` in ctypes, read off the plan's annotations; assertions of them in C; and plans in them.

The assertions are compiled with the runtime: where a field is added, dropped, renamed, moved or given another type in
one place only, here or in C, nothing is built, and the compiler names it.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, c_int8, c_int16, c_int32, c_int64, c_uint32, c_void_p
from dataclasses import dataclass, fields, is_dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import numpy as np

from ..dtypes import UInt8
from .plan import (
    ADD8,
    ADD16,
    ALIGNMENT,
    BEYOND,
    DENSE,
    GREATEST,
    GROUPED,
    IDENTITY,
    LANES,
    LARGEST,
    LAST,
    MOST_PARTS,
    MOST_PLANES,
    MULTIPLY,
    MULTIPLY16,
    PACKED,
    PRODUCTS,
    REPEAT,
    RUN_BYTES,
    SLICED,
    SUM,
    TERMS,
    TOGETHER,
    TOTAL,
    UNIT,
    WORDS,
    Body,
    NetworkPlan,
)

_NUMBERS = {"int8": c_int8, "int16": c_int16, "int32": c_int32, "int64": c_int64, "uint32": c_uint32}


@dataclass(frozen=True)
class CType:
    """The type of a field.

    Args:
        ctype: in ctypes.
        declared: in C, around the ``{}`` of a name.
        zero: in C, a value.
    """

    ctype: Any
    declared: str
    zero: str = "0"


@dataclass(frozen=True)
class CStruct:
    """A struct of ``spq.h``.

    Args:
        name: in C.
        types: of its fields, by their names and in their order.
        ctype: in ctypes, by the same name.
    """

    name: str
    types: dict[str, CType]
    ctype: Any

    @classmethod
    def of(cls, name: str, types: dict[str, CType]) -> CStruct:
        """The struct with these fields."""
        fields = [(field, kind.ctype) for field, kind in types.items()]
        return cls(name, types, type(name, (Structure,), {"_fields_": fields}))

    def assertions(self) -> list[str]:
        """Lines of C that are wrong wherever ``spq.h`` does not have this very struct."""
        lines = []
        for field, kind in self.types.items():
            offset, declared = getattr(self.ctype, field).offset, kind.declared.format("").strip()
            is_it = f"_Generic(&(({self.name} *)0)->{field}, {kind.declared.format('(*)')}: 1, default: 0)"
            lines += [
                _asserted(
                    f"offsetof({self.name}, {field}) == {offset}",
                    f"{self.name}.{field} of spq.h lies elsewhere in Python",
                ),
                _asserted(is_it, f"{self.name}.{field} of spq.h is {declared} in Python"),
            ]
        # A field that only padding has room for moves no other: an initialiser for all but this one tells.
        whole = f"sizeof(({self.name}){{{', '.join(kind.zero for kind in self.types.values())}}})"
        return [
            *lines,
            _asserted(f"{whole} == {ctypes.sizeof(self.ctype)}", f"{self.name} of spq.h has another size in Python"),
        ]


def _asserted(condition: str, otherwise: str) -> str:
    return f'_Static_assert({condition}, "{otherwise}");'


def _structs_of(plan: type, known: dict[type, CStruct]) -> dict[type, CStruct]:
    """The known structs, and those of a class of ``plan.py`` and of all that it needs, by their classes."""
    hints = get_type_hints(plan, include_extras=True)
    types = {field.name: _type_of(hints[field.name], known) for field in fields(plan)}
    known[plan] = CStruct.of("spq_" + plan.__name__.removesuffix("Plan").lower(), types)
    return known


def _type_of(hint: Any, known: dict[type, CStruct]) -> CType:
    """The type in C that an annotation of ``plan.py`` stands for; a struct that is not known yet is then."""
    origin, parts = get_origin(hint), get_args(hint)
    if hint is int:
        return _number(np.int32)
    if origin is Annotated:
        return _number(parts[1])
    if isinstance(hint, type) and is_dataclass(hint):
        struct = known[hint] if hint in known else _structs_of(hint, known)[hint]
        return CType(struct.ctype, f"{struct.name} {{}}", "{0}")
    if origin is np.ndarray:
        return _pointer(_number(get_args(parts[1])[0]))
    if not parts:
        raise TypeError(f"{hint} stands for no type of C")
    first = _type_of(parts[0], known)
    if origin is tuple and ... not in parts:
        return CType(first.ctype * len(parts), first.declared.format(f"{{}}[{len(parts)}]"), f"{{{first.zero}}}")
    return first if get_origin(parts[0]) is np.ndarray else _pointer(first)


def _number(kind: type[np.generic]) -> CType:
    return CType(_NUMBERS[kind.__name__], f"{kind.__name__}_t {{}}")


def _pointer(to: CType) -> CType:
    """To constants."""
    return CType(POINTER(to.ctype), "const " + to.declared.format("*{}"))


STRUCTS = _structs_of(NetworkPlan, {})
TRACE = CStruct.of(
    "spq_trace",
    {
        "spikes": CType(POINTER(POINTER(c_uint32)), "uint32_t *const *{}"),
        "codes": CType(POINTER(POINTER(c_int8)), "int8_t *const *{}"),
        "seen": CType(c_void_p, "void (*{})(void *, int32_t, int32_t)"),
        "context": CType(c_void_p, "void *{}"),
    },
)


def assertions() -> str:
    """C source that cannot be compiled with another ``spq.h``."""
    lines = [line for struct in (*STRUCTS.values(), TRACE) for line in struct.assertions()]
    lines += ['#include "sliced.h"', '#include "dense.h"']
    lines += [_asserted(f"{name} == {value:d}", f"{name} is {value:d} in Python") for name, value in _CONSTANTS.items()]
    return "\n".join([_HEAD, *lines, ""])


_CONSTANTS = {
    "SPQ_LANES": LANES,
    "SPQ_UNIT": UNIT,
    "SPQ_WORDS": WORDS,
    "SPQ_MOST_PLANES": MOST_PLANES,
    "SPQ_MOST_PARTS": MOST_PARTS,
    "SPQ_TOGETHER": TOGETHER,
    "SPQ_BEYOND": BEYOND,
    "sizeof(spq_run)": RUN_BYTES,
    "sizeof(spq_line)": RUN_BYTES,
    "SPQ_ADD8": ADD8,
    "SPQ_ADD16": ADD16,
    "SPQ_MULTIPLY": MULTIPLY,
    "SPQ_GROUPED": GROUPED,
    "SPQ_DENSE": DENSE,
    "SPQ_SLICED": SLICED,
    "SPQ_PACKED": PACKED,
    "SPQ_MULTIPLY16": MULTIPLY16,
    "SPQ_IDENTITY": IDENTITY,
    "SPQ_TERMS_SUMMED": TERMS,
    "SPQ_PRODUCTS": PRODUCTS,
    "SPQ_SUM": SUM,
    "SPQ_LARGEST": LARGEST,
    "SPQ_REPEAT": REPEAT,
    "SPQ_LAST": LAST,
    "SPQ_GREATEST": GREATEST,
    "SPQ_TOTAL": TOTAL,
    "SPQ_PORTABLE_BODY": Body.PORTABLE,
    "SPQ_NEON": Body.NEON,
    "SPQ_AVX2": Body.AVX2,
    "SPQ_AVX512": Body.AVX512,
    "SPQ_AVX512_SLICED": Body.AVX512_SLICED,
}
_HEAD = """\
#include <stddef.h>
#include "spq.h"
#undef _Static_assert /* which a C library may define for C99, without the text */
#pragma GCC diagnostic error "-Wmissing-field-initializers\""""


def aligned(size: int) -> UInt8:
    """Zeroed bytes that start at a line of cache: a vector of weights then lies in one."""
    block = np.zeros(size + ALIGNMENT, np.uint8)
    start = -block.ctypes.data % ALIGNMENT
    return block[start : start + size]


class CPlan:
    """A plan as C sees it; what the pointers point to lives as long as this object.

    Args:
        arrays: those of another network, by their identity, with which this one shares what both have.
    """

    def __init__(self, plan: NetworkPlan, arrays: dict[int, tuple[Any, Any]] | None = None) -> None:
        self._kept: list[Any] = []
        self.arrays: dict[int, tuple[Any, Any]] = {} if arrays is None else arrays
        self.c = STRUCTS[NetworkPlan].ctype()
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
            assert value.dtype == np.dtype(kind._type_)
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
