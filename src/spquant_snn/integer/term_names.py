"""What the terms of a graph are called where each is shown by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from .graph import Graph, Layer, Readout


def term_names(graph: Graph) -> tuple[str, ...]:
    """A name for each term of a graph, in the order of ``graph.terms``: the first of a layer is called as the layer.

    Example:
        >>> term_names(load_graph("resnet.spq"))
        ('conv1', 'conv2', 'conv2 (from conv1)', 'fc3')
    """
    given = source_names(len(graph.inputs), [layer.name for layer in graph.layers])
    parts: tuple[Layer | Readout, ...] = (*graph.layers, *graph.readouts)
    taken = [[(given[term.source], term.delay) for term in part.terms] for part in parts]
    return tuple(name for part, sources in zip(parts, taken, strict=True) for name in names_of(part.name, sources))


def source_names(inputs: int, layers: Sequence[str]) -> list[str]:
    """What each input, then each layer is called."""
    return [*(["input"] if inputs == 1 else [f"input {i}" for i in range(inputs)]), *layers]


def names_of(layer: str, sources: Sequence[tuple[str, int]]) -> list[str]:
    """A distinct name for each term of a layer, given what it takes and its delay."""
    names, taken = [layer], Counter[str]()
    for source, delay in sources[1:]:
        name = f"{layer} (from {source}{', delayed' if delay else ''})"
        taken[name] += 1
        names.append(name if taken[name] == 1 else f"{name} {taken[name]}")
    return names
