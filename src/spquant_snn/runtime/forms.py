"""In which form each layer of a graph runs, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..integer.graph import Graph
from .row import row_layer, row_readout

Form = Literal["row", "general"]


@dataclass(frozen=True)
class RuntimeForm:
    """How a layer or a readout runs.

    Args:
        name: of the layer.
        form: "row", the fast forms of a layer that takes what comes just before it; or "general", for any sum of terms.
        reason: why it is general; nothing where it is not.
    """

    name: str
    form: Form
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.form}" + (f" ({self.reason})" if self.reason else "")


def forms(graph: Graph) -> tuple[RuntimeForm, ...]:
    """The form of each layer, then of each readout.

    Example:
        >>> for form in forms(load_graph("model.spq")):
        ...     print(form)
        conv1: row
        conv2: row
        fc3: row
        fc4: row
    """
    found = [_form(layer.name, row_layer(graph, i)) for i, layer in enumerate(graph.layers)]
    last = row_readout(graph)
    return (*found, *(_form(readout.name, last) for readout in graph.readouts))


def _form(name: str, found: object) -> RuntimeForm:
    return RuntimeForm(name, "general", found) if isinstance(found, str) else RuntimeForm(name, "row")
