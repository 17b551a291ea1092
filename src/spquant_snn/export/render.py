"""A plan as C source: constant tables, and the structs that point to them, field by field in their order, as C and C++
take them."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterable
from ctypes import Structure
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..runtime.plan import GeneralPlan, LayerPlan, NetworkPlan, Region
from ..runtime.structs import STRUCTS
from .naming import SHARED, Names

_ACROSS = {
    "int8": 24,
    "uint8": 26,
    "int16": 16,
    "uint16": 18,
    "int32": 10,
    "uint32": 9,
    "int64": 5,
}  # numbers of a line
_TABLES = ("fire", "drop", "decay", "edges", "narrow")  # of a neuron, not read where packed codes decide


@dataclass(frozen=True, eq=False)
class ConstantTable:
    """A constant array of the model."""

    name: str
    layer: int
    array: NDArray[Any]

    @property
    def kind(self) -> str:
        return f"{self.array.dtype.name}_t"

    @property
    def lines(self) -> list[str]:
        """Its numbers, as C has them."""
        flat, across = self.array.ravel().tolist(), _ACROSS[self.array.dtype.name]
        text = [_number(value, self.array.dtype) for value in flat]
        return [", ".join(text[i : i + across]) + "," for i in range(0, len(text), across)]


@dataclass
class Model:
    """The C form of one or several plans of a graph: tables shared by all, and text for what differs.

    Args:
        called: what names begin with.
    """

    called: Names
    tables: dict[int, ConstantTable] = field(default_factory=dict)  # by the identity of their arrays
    parts: list[str] = field(default_factory=list)  # structs that others point to
    places: dict[tuple[str, str], str] = field(default_factory=dict)  # their names, by what they are and hold
    taken: set[str] = field(default_factory=set)  # names of tables and of structs

    def network(self, plan: NetworkPlan, names: tuple[str, ...], prefix: str) -> str:
        """The initialiser of a ``spq_network``; what it points to is added to the model.

        Args:
            names: of its layers, then of its readouts.
            prefix: of what is this plan's alone.
        """
        place = f"{self.called.name}_{prefix}_layers"
        given = {"layers": self._array(place, map(_without_unused, plan.layers), 0, names, prefix)}
        if plan.general is not None:
            given["general"] = self._general(plan.general, len(plan.hidden), names, prefix)
        return self._struct(plan, len(names) - 1, (prefix, names[-1]), given)

    def _general(self, plan: GeneralPlan, hidden: int, names: tuple[str, ...], prefix: str) -> str:
        """The address of what a network has in the general form; its readouts are named as the layers are."""
        given, place = {}, f"{self.called.name}_{prefix}"
        if plan.readouts:
            given["readouts"] = self._array(f"{place}_readouts", plan.readouts, hidden, names, prefix)
        text = self._struct(plan, len(names) - 1, (prefix, names[-1]), given)
        self.parts.append(f"static const {self._kind(plan)} {place}_general = {text};")
        return f"&{place}_general"

    def _array(self, place: str, plans: Iterable[Any], first: int, names: tuple[str, ...], prefix: str) -> str:
        """The name of structs in a row, that of ``names[first]`` and those behind it."""
        kept = list(plans)
        structs = [self._struct(part, first + i, (prefix, names[first + i])) for i, part in enumerate(kept)]
        body = ",\n".join("    " + struct for struct in structs)
        self.parts.append(f"static const {self._kind(kept[0])} {place}[] = {{\n{body}\n}};")
        return place

    def _struct(self, plan: Any, layer: int, owner: tuple[str, str], given: dict[str, str] | None = None) -> str:
        parts = []
        for field_name, field_kind in ((f[0], f[1]) for f in STRUCTS[type(plan)].ctype._fields_):
            value = getattr(plan, field_name)
            text = (given or {}).get(field_name) or self._value(field_kind, value, layer, owner, field_name)
            parts.append(text if set(text) <= set("{0, }") else f"/* {field_name} */ {text}")
        return "{" + ", ".join(parts) + "}"

    def _kind(self, plan: Any) -> str:
        """The struct of a plan, in C."""
        return STRUCTS[type(plan)].name.replace(SHARED, self.called.runtime, 1)

    def _value(self, kind: Any, value: Any, layer: int, owner: tuple[str, str], name: str) -> str:
        if value is None:
            return _zero(kind)
        if isinstance(value, int):
            return str(value)
        if isinstance(value, np.ndarray):
            return self._table(value, layer, f"{owner[1]}_{name}")
        if isinstance(value, Region):
            return f"{{{value.offset}u, {value.size}u}}" if value.size else "{0, 0}"
        if issubclass(kind, ctypes.Array):
            return "{" + ", ".join(self._value(kind._type_, item, layer, owner, name) for item in value) + "}"
        if issubclass(kind, Structure):
            return self._struct(value, layer, owner)
        items = value if isinstance(value, tuple) else (value,)
        if not items:
            return "0"
        own = self._kind(items[0])
        # A shortcut has tables of the same names; layers are named in lower case, so that none is called like this.
        inner = (owner[0], f"{owner[1]}_Shortcut") if name == "shortcut" else owner
        structs = ",\n    ".join(self._struct(item, layer, inner) for item in items)
        place = f"{self.called.name}_{owner[0]}_{owner[1]}_{name}"
        if (own, structs) not in self.places:
            place = self.places[own, structs] = self._free(place)
            self.parts.append(f"static const {own} {place}[] = {{\n    {structs}\n}};")
        return self.places[own, structs]

    def _table(self, array: NDArray[Any], layer: int, name: str) -> str:
        if id(array) not in self.tables:
            self.tables[id(array)] = ConstantTable(self._free(f"{self.called.name}_{name}"), layer, array)
        return self.tables[id(array)].name

    def _free(self, name: str) -> str:
        """The name, or one like it that is not taken: terms of a layer have parts of the same names."""
        found, count = name, 1
        while found in self.taken:
            count += 1
            found = f"{name}_{count}"
        self.taken.add(found)
        return found


def identifiers(names: list[str]) -> tuple[str, ...]:
    """Names as C has them, each another."""
    found: list[str] = []
    for name in names:
        plain = re.sub(r"\W", "_", name, flags=re.ASCII).strip("_").lower() or "layer"
        plain = plain if not plain[0].isdigit() else f"layer_{plain}"
        found.append(plain if plain not in found else f"{plain}_{len(found)}")
    return tuple(found)


def _without_unused(layer: LayerPlan) -> Any:
    """Without the tables of neurons that have their constants beside their codes."""
    if layer.neuron is None or not layer.connection.decides:
        return layer
    dropped: Any = dict.fromkeys(_TABLES)
    return replace(layer, neuron=replace(layer.neuron, **dropped))


def _zero(kind: Any) -> str:
    """What stands for nothing: every field of a struct, for C++ wants them all."""
    if isinstance(kind, type) and issubclass(kind, Structure):
        return "{" + ", ".join(_zero(part[1]) for part in kind._fields_) + "}"
    return "0"


def _number(value: int, dtype: np.dtype[Any]) -> str:
    if dtype == np.uint32:
        return f"0x{value:08X}u"
    if dtype == np.int64:
        return f"INT64_C({value})"
    return str(value) if value != -(1 << 31) else f"({value + 1} - 1)"
