"""Whether a network fits the memory of this machine, found out before any is taken."""

from __future__ import annotations

import os

from ..errors import ModelError
from .connection import Shape
from .graph import Graph


def installed_memory() -> int | None:
    """Bytes of memory of this machine; None where the system does not tell."""
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
    shapes: list[Shape] = [graph.input_shape, *graph.shapes]
    needs = [
        (8 * connection.looked_at(shape) + 4 * steps * connection.sums_of(shape), connection.name)
        for connection, shape in zip(graph.connections, shapes, strict=True)
    ]
    refuse_beyond_memory(*max(needs))
