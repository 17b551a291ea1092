"""A row of layers planned for the compact form: its structs, tables and memory, to the byte."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...dtypes import Int32
from ...integer.graph import Graph
from .pixel_rows import pixel_rows
from .plain_row import plain_row
from .planned_rows import BYTE, UNIT, CompactForm, PlannedRows, Unsuited
from .spiking_rows import SpikingDraft, draft_spiking

_STATE = 8  # bytes of a layer's counters


@dataclass(frozen=True, eq=False)
class CompactPlan:
    """A network in the compact form.

    Args:
        graph: the network as it is laid out, see plain_row.
        layers: the one on pixels, those on spikes, the readout.
        bias: [O] of the answers, of all steps, or of each where they are not sums.
        list_size: events of a list.
    """

    graph: Graph
    form: CompactForm
    layers: tuple[PlannedRows, ...]
    bias: Int32
    list_size: int

    @property
    def steps(self) -> int:
        return self.graph.timesteps

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.graph.input_shape

    @property
    def over_time(self) -> int:
        """As SPQ_OVER_TIME has it."""
        readout = self.graph.readout
        return 0 if readout.sums_all else {"last": 1, "all": 1, "largest": 2, "sum": 3}[readout.over_time]

    @property
    def leak(self) -> Int32:
        """[O] of what is integrated, as numbers with ``leak_shift`` fractional bits."""
        readout = self.graph.readout
        return np.full_like(self.bias, 1 << readout.leak_shift) if readout.leak is None else readout.leak

    @property
    def chunk(self) -> int:
        """Kernels on pixels whose sums are in registers at a time."""
        fields = self.layers[0].fields
        return int(fields["chunk"] // fields["pixel"])

    @property
    def lists(self) -> int:
        return self.steps + 1 if self.steps > 1 else 1

    @property
    def regions(self) -> list[tuple[str, int, int]]:
        """What lies where in the arena: a name, the first byte and the size. The rows of pixels lie last: images that
        lie in memory as wholes need none."""
        found, at = [("counters", 0, _STATE * len(self.layers))], _STATE * len(self.layers)
        parts = [(f"rows for {layer.name}", layer.ring) for layer in self.layers[1:]]
        parts += [(f"sums of {layer.name}", layer.kept) for layer in self.layers if layer.kept]
        unpooled = max(layer.unpooled for layer in self.layers)
        parts += [("row before its pool", unpooled)] if unpooled else []
        parts += [("scratch", max(layer.scratch for layer in self.layers)), ("rows of pixels", self.layers[0].ring)]
        for name, size in parts:
            found.append((name, at, size))
            at += -(-size // 4) * 4
        return found

    def place(self, name: str) -> int:
        return next(at for found, at, _ in self.regions if found == name)

    @property
    def image_arena(self) -> int:
        """Bytes for images that lie in memory."""
        return self.place("rows of pixels")

    @property
    def rows_arena(self) -> int:
        """Bytes for images that come row by row."""
        _, at, size = self.regions[-1]
        return at + -(-size // 4) * 4

    @property
    def constants(self) -> int:
        """Bytes of all tables."""
        return self.bias.nbytes + sum(table.nbytes for layer in self.layers for table in layer.tables.values())


def plan_compact(graph: Graph, form: CompactForm) -> CompactPlan:
    """Lay out a graph.

    Raises:
        Unsuited: it is of another kind.
    """
    graph = plain_row(graph)
    steps = graph.timesteps
    found = [pixel_rows(graph.layers[0], graph.shapes[0], graph.inputs[0], steps)]
    sources = graph.shapes
    drafts = [
        draft_spiking(layer.name, layer.terms[0].connection, layer.neuron, source, steps, form)
        for layer, source in zip(graph.layers[1:], sources, strict=False)
    ]
    readout = graph.readout
    drafts.append(draft_spiking(readout.name, readout.terms[0].connection, None, sources[-1], steps, form))
    _widen(drafts)
    lists = steps + 1 if steps > 1 else 1
    size = _list_size(drafts, lists, found[0].scratch, form)
    found += [draft.made(lists, size) for draft in drafts]
    found[-1].fields["fraction"] = readout.fraction
    bias = readout.bias.astype(np.int64) * (steps if readout.sums_all else 1)
    return CompactPlan(graph, form, tuple(found), bias.astype(np.int32), size)


def _widen(drafts: list[SpikingDraft]) -> None:
    """Give all constants of neurons the width of the widest."""
    own = [draft.fields for draft in drafts if "neurons" in draft.fields]
    kind = max((fields["neurons"].dtype for fields in own), key=lambda dtype: dtype.itemsize, default=None)
    for fields in own:
        fields["neurons"] = fields["neurons"].astype(kind)


def _list_size(drafts: list[SpikingDraft], lists: int, scratch: int, form: CompactForm) -> int:
    """Events of a list: those that it must hold, some more, and what fits the memory that the first layer needs anyway.

    Args:
        scratch: bytes of that.
    """
    least = max(draft.least for draft in drafts)
    most = min((BYTE // draft.most for draft in drafts if draft.fields["bits"] == 2), default=BYTE)
    if least > most:
        raise Unsuited("a pool has more rows than lists hold")
    size = min(max(least, UNIT + form.room), most)
    whole = max(scratch, *(draft.scratch(lists, size) for draft in drafts))
    while size < most and all(draft.scratch(lists, size + 1) <= whole for draft in drafts):
        size += 1
    return size
