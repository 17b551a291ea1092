"""A compact plan as C."""

from __future__ import annotations

from importlib.resources import files as resources
from typing import Any

import numpy as np

from ..render import ConstantTable
from .compact_plan import CompactPlan
from .planned_rows import PlannedRows

_HEADERS = (
    "compact.h",
    "compact_pixels.h",
    "compact_sums.h",
    "compact_planes.h",
    "compact_neurons.h",
    "compact_rows.h",
)
# Fields of a layer that compact_planes.h knows by OF, and those of them that share_list looks at.
_SHARING = (
    "blank",
    "pitch",
    "fraction",
    "window",
    "right",
    "across",
    "pool_columns",
    "kernel_columns",
    "column_step",
    "full",
    "half",
    "planes",
)
_ON_PLANES = (
    *_SHARING,
    "subtracts",
    "resets",
    "edges",
    "zero",
    "made",
    "units",
    "step",
    "pixel",
    "kernel_rows",
    "pool_rows",
    "left",
    "columns",
    "rows",
    "live",
    "row_step",
    "table",
    "left_of",
    "last_of",
)


def compact_values(plan: CompactPlan, names: tuple[str, ...], prefix: str) -> dict[str, Any]:
    """What templates of the compact form take.

    Args:
        names: of the layers, as C has them.
        prefix: of tables.
    """
    spiking = [layer.fields for layer in plan.layers[1:]]
    pixels = plan.layers[0].fields
    constants = next((f["neurons"].dtype.itemsize for f in spiking if "neurons" in f), 2)
    tables = [
        ConstantTable(f"{name}_{field}", i, table)
        for i, (layer, name) in enumerate(zip(plan.layers, names, strict=True))
        for field, table in layer.tables.items()
    ]
    return {
        "plan": plan,
        "tables": tables,
        "structs": [_struct(layer, f"{prefix}_{name}") for layer, name in zip(plan.layers, names, strict=True)],
        "places": {name: at for name, at, _ in plan.regions},
        "macros": {
            "SPQ_STEPS": plan.steps,
            "SPQ_LIST": plan.list_size,
            "SPQ_FIELDS": f"{_union(f['bits'] for f in spiking)}u",
            "SPQ_LOADS": f"{_union(1 << f['load'] for f in spiking if f['bits'])}u",
            "SPQ_ODD_WORDS": int(any(f.get("words", 0) % 2 for f in spiking)),
            "SPQ_PLANES": _planes(spiking),
            "SPQ_EDGES": max((f["edges"] for f in spiking if f.get("planes")), default=0) or 1,
            "SPQ_POOLS": int(any(f["pool_rows"] * f["pool_columns"] > 1 for f in spiking)),
            "SPQ_MAX_POOLS": max(min(2, -(-f["max_rows"] // (f["max_down"] or 1))) for f in spiking),
            "SPQ_SCALED": int(any(f.get("scaled") for f in spiking)),
            "SPQ_OVER_TIME": plan.over_time,
            "SPQ_LEAK_SHIFT": plan.graph.readout.leak_shift,
            "SPQ_SIGNED": int(plan.graph.inputs[0].signed),
            "SPQ_LANES_OF_PIXELS": 2 if pixels["levels"].dtype == np.uint16 else 1,
            "SPQ_POOLED_PIXELS": pixels["pool_height"],
            "SPQ_CHUNK": plan.chunk,
            "SPQ_SPECIALISED": int(plan.form.bodies != "one"),
        }
        | _fields_on_planes(plan),
        "sharers": _sharers(plan),
        "types": {
            "spq_tap": f"{pixels['taps'].dtype.name}_t",
            "spq_level": f"{pixels['levels'].dtype.name}_t",
            "spq_number": f"int{8 * constants}_t",
        },
    }


def _fields_on_planes(plan: CompactPlan) -> dict[str, str]:
    """What fields of a layer on planes are in C: numbers where all of them have one body, and the same number."""
    layers = [layer.fields for layer in plan.layers[1:] if layer.fields.get("planes")]
    values = {field: {int(layer[field]) for layer in layers} for field in _ON_PLANES}
    alike = {field for field, found in values.items() if len(found) == 1 and plan.form.bodies == "planes"}
    return {
        f"SPQ_OF_{field}(L)": f"(uint16_t)((void)(L), {min(values[field])}u)" if field in alike else f"((L)->{field})"
        for field in _ON_PLANES
    }


def _sharers(plan: CompactPlan) -> dict[int, int]:
    """For each layer whose windows share lists, by their numbers, the first that counts these as it does."""
    found = dict[int, int]()
    first = dict[tuple[int, ...], int]()
    for number, layer in enumerate(plan.layers[1:], 1):
        if layer.shares:
            found[number] = first.setdefault(tuple(int(layer.fields[field]) for field in _SHARING), number)
    return found


def core() -> str:
    """The source that all networks share, as one text."""
    folder = resources(__package__)
    parts = [(folder / name).read_text("utf-8") for name in _HEADERS]
    return "\n".join(
        "\n".join(line for line in part.splitlines() if not line.startswith('#include "')) for part in parts
    )


def _planes(spiking: list[dict[str, Any]]) -> int:
    """Whether some, or all, of the layers with neurons decide on planes."""
    found = [bool(f.get("planes")) for f in spiking[:-1]]
    return 2 if found and all(found) else int(any(found))


def _union(bits: Any) -> int:
    found = 0
    for bit in bits:
        found |= bit
    return found


def _struct(layer: PlannedRows, name: str) -> str:
    """The initialiser of a layer's struct."""
    values = {k: f"{name}_{k}" if isinstance(v, np.ndarray) else str(v) for k, v in layer.fields.items()}
    return "{" + ", ".join(f".{key} = {value}" for key, value in values.items() if value != "0") + "}"
