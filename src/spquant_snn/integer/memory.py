"""Whether a network fits the memory of this machine, found out before any is taken."""

from __future__ import annotations

import math
import os

from ..errors import ModelError
from .connection import Connection, Shape, image, resampled
from .graph import Graph


def installed_memory() -> int | None:
    """Bytes of memory of this machine; None where the system does not report it."""
    try:
        found = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # AttributeError: of Windows
        return None
    return found if found > 0 else None


def refuse_beyond_memory(need: int, name: str) -> None:
    """Refuse a network that needs more bytes than this machine has; ``name`` is the layer that needs most of them.

    Raises:
        ModelError: it does.
    """
    memory = installed_memory()
    if memory is not None and need > memory:
        raise ModelError(
            f"layer {name!r} needs about {need / 1e9:,.1f} GB of memory, this machine has {memory / 1e9:,.1f} GB: "
            "use a machine with more, or a smaller network"
        )


def refuse_beyond_reference(graph: Graph, steps: int) -> None:
    """Refuse a network of which the reference cannot hold one image.

    Raises:
        ModelError: a layer needs more memory than this machine has.
    """
    neurons = steps * sum(math.prod(shape) for shape in graph.shapes)
    needs = [
        (_need(term.connection, graph.sources[term.source]) + 4 * neurons, term.connection.name) for term in graph.terms
    ]
    refuse_beyond_memory(*max(needs))


def _need(connection: Connection, shape: Shape) -> int:
    """Bytes of the windows and the sums of one image, and of the largest array that its pools and its padding make."""
    inner, held = shape, math.prod(shape)
    for step in connection.pools:
        inner = resampled(step, inner, connection.name)
        held = max(held, math.prod(inner))
    if connection.convolves:
        held = max(held, image(inner)[0] * math.prod(connection.padded_size(inner)))
    return 8 * connection.looked_at(shape) + 4 * connection.sums_of(shape) + 4 * held
