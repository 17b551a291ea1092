"""The files of firmware in the compact form."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...dtypes import Array, UInt16
from ...integer.compare import reference_trace
from ...integer.connection import image
from ...integer.graph import Graph
from ..interface import readouts_of
from ..vectors import Vector
from .compact_plan import CompactPlan
from .compact_source import compact_values, core
from .planned_rows import UNIT

PARTS = {".h": "compact.h", ".c": "compact.c", "_core.h": "compact_core.h", "_selftest.c": "compact_selftest.c"}


def compact_files(
    graph: Graph, plan: CompactPlan, images: Array, names: tuple[str, ...], values: Mapping[str, Any], render: Any
) -> dict[str, bytes]:
    """The source of a network, by name.

    Args:
        images: [N, C, H, W] of the self-test.
        names: of the layers, as C has them.
        values: for the templates, what all exports have in common: name, NAME, title, version, hash, names, outputs and
            crc.
        render: of a template's name and its values.
    """
    name, macro = values["name"], values["NAME"]
    given = {
        **values,
        **compact_values(plan, names, name),
        "core": core(),
        "shape": plan.shape,
        "over_time": readouts_of(graph)[0].over_time,
        "signed": graph.inputs[0].signed,
        "scale": graph.inputs[0].scale,
        "answers": len(plan.bias),
        "timesteps": plan.steps,
        "vectors": compact_vectors(graph, images),
    }
    return {f"{name}{part}": _renamed(render(template, given), name, macro) for part, template in PARTS.items()}


def _renamed(text: str, name: str, macro: str) -> bytes:
    """What networks have in common, under names of this one, so that several may stand in one source."""
    text = re.sub(r"\bspq_", f"{name}_spq_", text, flags=re.ASCII)
    return re.sub(r"\bSPQ_", f"{macro}_SPQ_", text, flags=re.ASCII).encode()


def compact_vectors(graph: Graph, images: Array) -> tuple[Vector, ...]:
    """Test images, row by row, and what becomes of them: of spikes CRCs over the rows of each layer."""
    trace = reference_trace(graph, images)
    spikes = [_rows(spikes) for _, spikes, _ in trace.layers]
    answers = trace.answers[0][:, -1] if graph.readout.over_time == "all" else trace.answers[0]
    answers = answers.reshape(len(images), -1)
    return tuple(
        Vector(
            np.ascontiguousarray(images[n].swapaxes(0, 1)).view(np.uint8).ravel(),
            tuple(zlib.crc32(np.ascontiguousarray(rows[n]).tobytes()) for rows in spikes),
            (),
            answers[n].astype(np.int32),
        )
        for n in range(len(images))
    )


def _rows(spikes: Array) -> UInt16:
    """[T, N, C, ...] -> [N, H, W, units, T], the first channel of a unit in its highest bit."""
    steps, count, channels = spikes.shape[:3]
    _, height, width = image(spikes.shape[2:])
    bits = np.moveaxis(spikes.reshape(steps, count, channels, height, width) != 0, 2, -1)
    bits = np.pad(bits, [(0, 0)] * 4 + [(0, -channels % UNIT)])
    units = np.packbits(bits, axis=-1).view(">u2").astype("<u2")  # [T, N, H, W, units]
    return np.ascontiguousarray(np.moveaxis(units, 0, -1))
