"""``to_nir`` and ``graph_from_nir``: an integer graph as a NIR file, with its integer codes as weights, and back.

NIR computes in floating point: ``nir_graph`` says how. What nodes cannot say, above all the grid on which membranes are
stored, lies in the metadata of the file: the bytes of the .spq file, and their hash. A round trip gives the same graph.
"""

from __future__ import annotations

import base64
import hashlib
import os
from typing import Any

import numpy as np

from ..errors import FileFormatError, MissingDependencyError
from ..integer.file import from_bytes, to_bytes
from ..integer.graph import Graph, HasGraph, as_graph
from ..io.writing import path_text, write_file
from .nir_graph import DT, nodes_of

_KEY = "spquant_spq"
_HASH = "spquant_sha256"


def import_nir() -> Any:
    """The package nir.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import nir
    except ImportError:
        raise MissingDependencyError("NIR files need nir: pip install 'spquant-snn[nir]'") from None
    return nir


def to_nir(graph: Graph | HasGraph, path: str | os.PathLike[str]) -> None:
    """Write a graph as a NIR file that other packages read, and that ``graph_from_nir`` makes the same graph of.

    Neurons are LIF, IF or CubaLIF nodes of steps of 0.1 ms with the leaks that fit the stored codes best, outputs of
    membranes LI or I, inputs the integers that the graph takes. Spikes go back to their own layer by an edge, and by a
    Delay of a step to earlier ones. Other packages keep membranes in floating point, not on a grid of codes: their
    spikes are the same in the first step, and later where nothing is left of a potential between two steps.

    Raises:
        MissingDependencyError: nir is not installed.
        ModelError: NIR has no node for a part of the graph: largest values of what are no spikes, up-sampling,
            transposed convolutions, gates, and resets otherwise than to zero.
        RunError: the file cannot be written.

    Example:
        to_nir(load_graph("model.spq"), "model.nir")
    """
    nir = import_nir()
    made = _with_integers(nir, as_graph(graph))
    write_file(path, lambda beside: nir.write(beside, made))


def holds_integers(path: str | os.PathLike[str]) -> bool:
    """Whether a NIR file is one of ``to_nir``, or there is none, or an empty one.

    Raises:
        MissingDependencyError: nir, which brings h5py, is not installed.
    """
    import_nir()
    import h5py

    if not os.path.exists(path) or not os.path.getsize(path):
        return True
    try:
        with h5py.File(path, "r") as file:
            return f"node/metadata/{_HASH}" in file
    except (OSError, RuntimeError, KeyError):  # damaged: nothing says whose it was
        return False


def graph_from_nir(path: str | os.PathLike[str]) -> Graph:
    """The integer graph in a file of ``to_nir``; ``from_nir`` reads those of other packages as float networks.

    Raises:
        FileFormatError: the file cannot be read, holds no integers of this package, or its weights were changed.
        MissingDependencyError: nir is not installed.

    Example:
        graph = graph_from_nir("model.nir")
    """
    nir, name = import_nir(), path_text(path)
    try:
        found = nir.read(path)
    except Exception as error:  # of h5py and of nir, of many classes
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise FileFormatError(f"{name} is not a NIR file ({reason}): give the path of one") from None
    said = found.metadata
    if _KEY not in said or _HASH not in said:
        raise FileFormatError(f"{name} holds no integers of this package: read it with from_nir, as a float network")
    data = base64.b64decode(_text(said[_KEY]))
    if hashlib.sha256(data).hexdigest() != _text(said[_HASH]):
        raise FileFormatError(f"{name} is damaged, the hash of its integers does not hold: export it again")
    graph = from_bytes(data)
    expected = _with_integers(nir, graph)
    for key, node in expected.nodes.items():
        if key not in found.nodes or not _same(node, found.nodes[key]):
            raise FileFormatError(
                f"node {key!r} of {name} is not what its integers say: export it again, or read it with from_nir"
            )
    return graph


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _same(node: Any, found: Any) -> bool:
    """Whether two nodes hold the same numbers."""
    if type(node) is not type(found):
        return False
    mine, other = (
        {k: v for k, v in vars(x).items() if k not in ("metadata", "input_type", "output_type")} for x in (node, found)
    )
    return mine.keys() == other.keys() and all(np.array_equal(mine[k], other[k]) for k in mine)


def _with_integers(nir: Any, graph: Graph) -> Any:
    """The nodes of a graph, and its integers in their metadata."""
    data = to_bytes(graph)
    about = {_KEY: base64.b64encode(data).decode(), _HASH: hashlib.sha256(data).hexdigest(), "spquant_dt": DT}
    return nodes_of(nir, graph, about)
