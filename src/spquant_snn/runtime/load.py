"""Programs run by C where that can be, and by the reference where it cannot."""

from __future__ import annotations

import os
import warnings

from ..errors import MissingDependencyError, ModelError
from ..integer.file import load_graph
from ..integer.graph import Graph
from ..integer.program import Program
from .native import NativeProgram


def load(path: str | os.PathLike[str]) -> Program:
    """The program in a ``.spq`` file, run by the native runtime; where it cannot be built, by the reference, with a
    warning.

    Raises:
        FileFormatError: the file is missing, damaged, of another kind or of a newer version.

    Example:
        >>> program = load("model.spq")
        >>> program.predict(numpy.zeros((1, 1, 8, 8), numpy.uint8)).shape
        (1,)
    """
    return program(load_graph(path))


def program(graph: Graph) -> Program:
    """The same for a graph."""
    try:
        return Program(graph, NativeProgram(graph))
    except (MissingDependencyError, ModelError) as error:
        warnings.warn(f"the reference runs this network, slowly: {error}", RuntimeWarning, stacklevel=3)
        return Program(graph)
