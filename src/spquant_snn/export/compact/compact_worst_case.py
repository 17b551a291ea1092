"""An upper bound of the instructions of an inference in the compact form, for each layer, that no image exceeds.

The program itself is run, built once more so that a function sees every row of spikes that a layer has made: it puts
spikes in their place of which as many are events as can be, in all lists (event_lists.py), at every pixel. Of the first
layer only so many neurons fire at a pixel as can (most_spikes.py). Constants in the place of its own make the rest cost
most: every sum of pixels, none of which is zero, reaches every level; no neuron in fields fires, so that each looks for
a code to store.

What remains is added, from what an image decides in this code:

    carries     codes in planes are zeros in the run, so that no counter carries beyond eight. How often one does is
                bounded by what its channel counts if all that can come in does, and what all channels do together
    lists       the more of them are emptied before they are full, the dearer: how many can be at most, against those of
                the run, and what may be listed twice
    the rest    rows of pixels that are zeros at their ends, which take a look to be passed over; neurons that fire
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ...dtypes import Array, Int64
from ...errors import RunError
from ...integer.connection import image
from ...integer.graph import Graph
from ..elf import replace_constants
from ..most_spikes import most_firing
from ..qemu import Ended
from ..toolchain import Built
from ..worst_case import WorstCase
from .compact_plan import CompactPlan
from .event_lists import (
    Filled,
    Spiking,
    Stretch,
    counted_times,
    filled,
    filled_at_most,
    multiplicities,
    seen_columns,
    stretches,
)
from .pixel_rows import sums_between
from .planned_rows import UNIT, PlannedRows

_EIGHTS = 3  # planes that are counted in registers
_GROUP = 32  # channels
_SPARE = 3  # events that fill a list up

# ---- instructions, each more than any compiler here makes of them ----
_ROW = 32  # what a function that sees rows changes around it
_PASSED = 12  # places of a kernel that are looked at, to be passed over
_LOOKED = 4  # a channel of a unit that is looked at
_LISTED = 40  # a list that a unit has events for
_AGAIN = 32 * _LOOKED  # a unit that is listed once more
_EMPTIED = 80  # a list that is emptied, around all that sees it
_SEEN = 48  # a window that sees it
_PART = 48  # a group of channels that counts it
_FOURS = 100  # four events of it
_CARRY = 6  # a plane that a carry passes
_TIGHT_CARRY = 8  # where it is compiled for few bytes
_WORD = 100  # a word of fields that a list is added to, and what lies between it and a sum
_FIRED = 12  # a spike, and what it takes off
_CODED = 80  # a code of more than 4 bits that is not zero, and its sign
_LARGER = 4  # a choice between two values that a readout has integrated


def find_compact_worst_case(
    plan: CompactPlan,
    names: tuple[str, ...],
    prefix: str,
    compiled: Callable[[Mapping[str, Any]], Built],
    run: Callable[[Built], Ended],
    work: Path,
) -> WorstCase:
    """The bound of a program that takes rows.

    Args:
        names: of the layers, as C has them.
        prefix: of tables.
        compiled: builds the program that tells layers apart and sees rows, for a template of these values.
        run: what runs a program in ``work`` and counts its instructions.
        work: where programs find their files, which are written over.

    Raises:
        RunError: the program fails.
    """
    graph, spiking = plan.graph, _spiking(plan)
    width = [layer.fields["out_width"] for layer in plan.layers[:-1]]
    built = compiled({"rows": [(s.pixel.ravel().tolist(), w) for s, w in zip(spiking, width, strict=True)]})
    path = work / "worst.elf"
    constants = dict[int, bytes]()
    for layer, name in zip(plan.layers, names, strict=True):
        for field, table in _costly(graph, layer).items():
            constants[built.program.symbols[f"{prefix}_{name}_{field}"]] = np.ascontiguousarray(table).tobytes()
    replace_constants(built.path, path, constants)
    (work / "images.bin").write_bytes(bytes([graph.inputs[0].largest]) * int(np.prod(plan.shape)))
    ended = run(replace(built, path=path))
    if ended.code != 0 or len(ended.layers) != len(plan.layers) + 2:
        raise RunError(f"the firmware failed with all inputs active (code {ended.code}): export it again")
    *layers, _, around = (part.most for part in ended.layers)
    found = [layers[0] + _of_pixels(plan.layers[0])]
    for number, (took, layer, source) in enumerate(zip(layers[1:], plan.layers[1:], spiking, strict=True), 1):
        found.append(
            took + int(np.ceil(_of_lists(layer, source, plan) + _of_neurons(graph, number, layer, source, plan)))
        )
    return WorstCase(tuple(found), around + _ROW)


def _spiking(plan: CompactPlan) -> list[Spiking]:
    """What the next layer sees of a pixel of each layer with neurons."""
    whole = (1 << plan.steps) - 1
    any_spikes = set(range(whole + 1)) if plan.steps <= 2 else {whole, *(whole ^ 1 << t for t in range(plan.steps))}
    still = set(np.bitwise_xor.accumulate(plan.layers[0].fields["toggles"]).tolist())
    most, found = most_firing(plan.graph), list[Spiking]()
    for layer, above in pairwise(plan.layers):
        pooled, channels = above.fields["max_rows"] * above.fields["max_columns"], layer.fields["channels"]
        firing = channels if most is None or found else most * max(1, pooled)
        found.append(Spiking.of(channels, plan.steps, any_spikes if found or pooled else still, firing))
    return found


def _costly(graph: Graph, layer: PlannedRows) -> dict[str, Array]:
    """Tables in the place of those of a layer."""
    f = layer.fields
    if layer.kind == "spq_pixels":
        c = graph.layers[0].terms[0].connection
        codes = c.codes.reshape(len(c.codes), -1).astype(np.int64)
        low, _ = sums_between(graph.inputs[0], codes)
        levels = np.zeros_like(f["levels"])
        levels[:, 0] = (1 << 8 * levels.itemsize - 1) - low * (1 if c.sum_pool is None else c.sum_pool.area)
        return {"levels": levels}
    if f.get("planes"):
        return {"codes": np.zeros_like(f["codes"])}
    if "neurons" in f:
        neurons = f["neurons"].copy()
        neurons[:, 0] = np.iinfo(neurons.dtype).max
        return {"neurons": neurons}
    return {}


def _of_pixels(layer: PlannedRows) -> int:
    f = layer.fields
    chunks = -(-f["half"] * f["pixel"] // f["chunk"])
    return int(f["out_height"] * (_ROW + 2 * f["planes"] * f["channels"] * chunks * _PASSED))


def _of_lists(layer: PlannedRows, source: Spiking, plan: CompactPlan) -> float:
    """What other spikes than those of the run may make lists cost."""
    f = layer.fields
    listed = source.listed
    columns, seen, parts = seen_columns(f) if layer.shares else (1, 1, 1)
    passed = source.passed[:, source.lists]
    missing = int((UNIT - passed).sum()) * _LOOKED + int((passed == 0).sum()) * _LISTED
    found = 0.0
    for stretch, count in stretches(layer).items():
        run = filled(stretch, listed, _room(plan), layer.shares)
        more = _at_most(layer, stretch, source, plan).less(run)
        found += count * (
            columns * (more.emptied * _EMPTIED + more.again * _AGAIN)
            + _counted(layer, more, seen, parts)
            + columns * missing * (len(stretch.places) if layer.shares else sum(stretch.places))
        )
    return found


def _at_most(layer: PlannedRows, stretch: Stretch, source: Spiking, plan: CompactPlan) -> Filled:
    return filled_at_most(stretch, int(source.listed.sum()), len(source.lists), _room(plan), layer.shares)


def _room(plan: CompactPlan) -> int:
    """Events of a list."""
    return plan.list_size - (_SPARE if any(layer.fields.get("planes") for layer in plan.layers) else 0)


def _counted(layer: PlannedRows, more: Filled, seen: int, parts: int) -> float:
    """What windows make of lists."""
    f = layer.fields
    if not f.get("planes"):
        return more.emptied * int(f["words"]) * _WORD
    groups = int(f["full"] + f["half"])
    return more.emptied * (seen * _SEEN + parts * groups * _PART) + more.idle * parts * groups * _FOURS


def _of_neurons(graph: Graph, number: int, layer: PlannedRows, source: Spiking, plan: CompactPlan) -> float:
    """What carries cost, and spikes."""
    f = layer.fields
    if f.get("planes"):
        carry = _TIGHT_CARRY if plan.form.tight else _CARRY
        return float(_ROW * f["out_height"] + _carries(graph, number, layer, source, plan) * carry)
    if "neurons" not in f:
        return float(plan.steps * f["channels"] * _LARGER)
    each = _FIRED + (_CODED if f.get("scaled") else 0)
    return float(f["out_height"] * (_ROW + f["out_width"] * f["channels"] * plan.steps * each))


def _carries(graph: Graph, number: int, layer: PlannedRows, source: Spiking, plan: CompactPlan) -> int:
    """Planes that carries pass in counters beyond those of registers, at most: of a plane in each window no more than
    there are fours of events, and than its channels have counted so much, each for itself and all together."""
    f, events = layer.fields, int(source.listed.sum())
    codes = _counted_codes(graph, number)
    down, right = (_windows(f, axis) for axis in (True, False))
    emptied = max(_at_most(layer, stretch, source, plan).emptied for stretch in stretches(layer))
    emptied *= f["in_height"] if f["linear"] else sum(map(partial(counted_times, f), range(f["columns"])))
    fours = np.ceil(events / 4 * np.outer(down.sum(1), right.sum(1)) + emptied).astype(np.int64)
    found = 0
    for first in range(0, f["channels"], _GROUP):
        group = codes[first : first + _GROUP]
        each, together = (
            np.einsum("ya,xb,cab->yxc", down, right, _most(part, source)) for part in (group, group.sum(0)[None])
        )
        for plane in range(_EIGHTS, f["planes"] - f["fraction"]):
            crossed = np.minimum((each >> plane).sum(2), together[:, :, 0] >> plane)
            found += int(np.minimum(fours, crossed).sum())
    return found


def _windows(f: dict[str, Any], down: bool) -> Int64:
    """As ``multiplicities``; a linear layer has one window, which sees all."""
    if f["linear"]:
        return np.ones((1, f["in_height" if down else "in_width"]), np.int64)
    return multiplicities(f, down)


def _counted_codes(graph: Graph, number: int) -> Int64:
    """[channels, inputs, kernel rows, columns] what a channel counts of an event: of each code one more than it is."""
    connection = graph.connections[number]
    if connection.convolves:
        codes = connection.whole_codes.astype(np.int64)
    else:
        shape = image(connection.pooled_shape(graph.shapes[number - 1]))
        codes = connection.codes.reshape(len(connection.codes), *shape).astype(np.int64)
    return codes + 1


def _most(counted: Int64, source: Spiking) -> Int64:
    """[channels, kernel rows, columns] what is counted of a pixel at most."""
    found: Int64 = np.sort(counted, axis=1)[:, counted.shape[1] - source.firing :].sum(1) * source.each
    return found
