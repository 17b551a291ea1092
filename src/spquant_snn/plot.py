"""Pictures: what a network does with one input, and how a training went, as SVG or PNG, and in notebooks.

from spquant_snn import load, plot

program = load("model.spq")
plot.raster(program, image).save("raster.svg")
plot.membrane(program, image, layer="conv1")    # the last line of a cell shows it
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element

import numpy as np

from .data.scores import Metric
from .data.task import Task
from .dtypes import Array
from .errors import ConfigError, DataError, RunError
from .integer.graph import Graph, as_graph
from .integer.grids import describe
from .integer.inputs import as_batch, says_classes, task_of
from .integer.program import Program
from .integer.reference import State, potential, remainder
from .io import html
from .io.writing import path_text, replace_file
from .report.draw.looks import AROUND, PAPER, plain
from .report.draw.panels import Panel, PotentialTrace, answer_lines, panels, potential_line, spike_rows
from .report.draw.pixels import as_png
from .report.draw.svg import side_by_side, written
from .report.maps import thumbnail
from .report.raster import Raster, record

if TYPE_CHECKING:
    from .train.config import TrainConfig
    from .train.run import RunFolder

__all__ = ["Plot", "curves", "membrane", "raster"]

_ROWS = 96  # neurons of a layer that a raster shows, at most
_NAMED = 3  # answers that a raster names
_NEURONS = 4  # that are shown where none are chosen


@dataclass(frozen=True, eq=False)
class Plot:
    """A picture. In a notebook it shows itself, in the colours of the text around it.

    Args:
        title: what is shown.
        drawn: the picture, as elements of SVG.

    Example:
        >>> _ = plot.raster(load("model.spq"), numpy.zeros((1, 8, 8), numpy.uint8)).save("raster.svg")
    """

    title: str
    drawn: Element

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write it as .svg or as .png, which is twice as many pixels wide as the SVG has units; returns the path.

        Raises:
            ConfigError: the name ends otherwise.
            MissingDependencyError: a PNG is drawn by Pillow, which is not installed.
            RunError: the file cannot be written.
        """
        ending = Path(path_text(path)).suffix.lower()
        if ending not in (".svg", ".png"):
            raise ConfigError(f"a picture is saved as .svg or .png, not as {path_text(path)}: choose one of these")
        picture = plain(self.drawn, PAPER)
        replace_file(path, written(picture) + "\n" if ending == ".svg" else as_png(picture))
        return Path(path_text(path))

    def _repr_svg_(self) -> str:
        return written(plain(self.drawn, PAPER))

    def _repr_html_(self) -> str:
        picture = plain(self.drawn, AROUND)
        picture.set("style", f"max-width:100%;height:auto;width:{picture.get('width')}px")
        return written(picture)

    def __repr__(self) -> str:
        return f"Plot({self.title!r}): save it as .svg or .png"


def raster(program: Program | Graph, image: Any, classes: Sequence[str] = ()) -> Plot:
    """Every spike of one input, layer by layer over time, and how the answer grows, as the reference has them.

    Args:
        program: the network.
        image: one image, or one sequence, as ``Program.predict`` takes them.
        classes: names of the answers, where the network does not have them.

    Of a layer of more than 96 neurons so many are shown, at equal distances.

    Raises:
        DataError: it is more than one input, or not what the network takes.

    Example:
        >>> plot.raster(load("model.spq"), numpy.zeros((1, 8, 8), numpy.uint8)).title
        'Spikes of one input: class ...'
    """
    graph, given = as_graph(program), _one(program, image)
    (found,) = record(graph, given)
    rows = [_spikes(layer.name, layer.spikes) for layer in found.layers]
    if graph.readout.over_time != "all":
        rows.append(_answers(graph, found, classes))
    fired, steps = sum(int(layer.spikes.sum()) for layer in found.layers), len(found.logits) - 1
    neurons = sum(layer.spikes[0].size for layer in found.layers)
    says = f"{fired:,} spikes of {neurons:,} neurons in {steps} time step{'s' if steps > 1 else ''}"
    title = f"Spikes of one input{_answer(graph, found, classes)}"
    return Plot(title, panels(title, says, steps, rows, thumbnail(found)))


def membrane(program: Program | Graph, image: Any, layer: int | str = 0, neurons: Sequence[int] | None = None) -> Plot:
    """Membrane potentials of some neurons on one input, against their thresholds, in the integers of the network: at
    each step from what the stored code left after the leak up to the potential; a disc where it fires.

    Args:
        program: the network.
        image: one image, or one sequence, as ``Program.predict`` takes them.
        layer: its name, or its place.
        neurons: their places in the layer, flattened; the four whose spikes change most by default.

    Raises:
        ConfigError: there is no such layer or neuron.
        DataError: it is more than one input, or not what the network takes.

    Example:
        >>> plot.membrane(load("model.spq"), numpy.zeros((1, 8, 8), numpy.uint8), layer="conv1").title
        'Membrane potentials of conv1'
    """
    graph, given = as_graph(program), _one(program, image)
    which = _layer(graph, layer)
    name, shape = graph.layers[which].name, graph.shapes[which]
    kept, reached, fired = _potentials(graph, given, which)
    chosen = _liveliest(fired) if neurons is None else _checked(neurons, fired.shape[1], name)
    channels = [int(np.unravel_index(i, shape)[0]) for i in chosen]
    fire, steps = graph.layers[which].neuron.fire, len(fired)
    rows: list[Panel] = []
    for place, channel in zip(chosen, channels, strict=True):
        trace = PotentialTrace(
            kept[:, place].tolist(), reached[:, place].tolist(), fired[:, place].tolist(), float(fire[channel])
        )
        where = ", ".join(map(str, np.unravel_index(place, shape)))
        count = int(fired[:, place].sum())
        notes = (f"{count} spike{'' if count == 1 else 's'}", f"fires at {int(fire[channel]):,}")
        rows.append(Panel(f"neuron {place}", (f"at {where}",), notes, 76, potential_line(trace, 76)))
    title = f"Membrane potentials of {name}"
    bits = f"{graph.layers[which].neuron.bits:g}"
    says = f"integers; dashed: the threshold; disc: a spike; between steps {bits} bits are kept"
    return Plot(title, panels(title, says, steps, rows))


def curves(run: str | os.PathLike[str]) -> Plot:
    """The learning curves of a run.

    Args:
        run: its folder.

    Raises:
        RunError: it is not there, or no epoch is done.
        FileFormatError: its record is damaged.

    Example:
        >>> plot.curves("runs/x").save("curves.png")
    """
    from .report.curves import read_epochs
    from .report.page_sections import learning_charts
    from .train.run import RunFolder

    folder = RunFolder(Path(path_text(run)))
    record, epochs = folder.read_record(), read_epochs(folder)
    if not epochs:
        raise RunError(f"{folder.path} has no epoch that is done: train it first")
    title = f"Training of {folder.path.resolve().name}"
    return Plot(title, side_by_side(title, list(learning_charts(epochs, record))))


def run_html(config: TrainConfig, data: str, run: RunFolder | None, metric: Metric) -> str:
    """What is trained, and how far it came, as a notebook shows it."""
    rows = [
        ("model", config.model),
        ("data", data),
        ("weights", describe(config.weight_bits)),
        ("state", describe(config.state_bits)),
        ("time steps", str(config.timesteps)),
        ("run", "not trained" if run is None else str(run.path)),
    ]
    shown = ""
    with suppress(RunError):  # nothing is trained, or the folder is gone
        found = None if run is None else run.read_record().get(f"test_{metric.key}")
        rows += [(f"test {metric.name}", metric.shown(found))] if isinstance(found, float) else []
        shown = "" if run is None else curves(run.place)._repr_html_()
    return html.table("", ("", ""), (), rows) + shown


def _one(program: Program | Graph, image: Any) -> Array:
    """One input, as the reference takes it."""
    given = as_batch(as_graph(program), image)
    if given.shape[-4] != 1:
        raise DataError(f"a picture is of one input, not of {given.shape[-4]}: give one, as images[:1]")
    return given


def _spikes(name: str, spikes: Array) -> Panel:
    steps, shape = len(spikes), spikes.shape[1:]
    flat = spikes.reshape(steps, -1)
    every = -(-flat.shape[1] // _ROWS)
    shown = flat[:, ::every]
    height = min(96.0, max(18.0, 4.0 * shown.shape[1]))
    below = ("×".join(map(str, shape)) + " neurons", *((f"1 in {every} is shown",) if every > 1 else ()))
    notes = (f"{100 * flat.mean():.1f} % fire", f"{int(flat.sum()):,} spikes")
    return Panel(name, below, notes, max(height, 44.0 if every > 1 else 32.0), spike_rows(shown, height))


def _answers(graph: Graph, found: Raster, classes: Sequence[str]) -> Panel:
    order = np.argsort(-found.logits[-1], kind="stable")[:_NAMED].tolist()
    names = [_name_of(task_of(graph), which, classes) for which in order]
    return Panel(graph.readout.name, ("answer so far",), (), 92, answer_lines(found.logits, names, 92))


def _name_of(task: Task, which: int, classes: Sequence[str]) -> str:
    names = classes or task.names
    return names[which] if which < len(names) else f"class {which}" if task.kind == "classification" else f"{which}"


def _answer(graph: Graph, found: Raster, classes: Sequence[str]) -> str:
    """What the network says, as the end of a title."""
    return f": {_name_of(task_of(graph), found.answer, classes)}" if says_classes(graph) else ""


def _layer(graph: Graph, layer: int | str) -> int:
    names = [each.name for each in graph.layers]
    if layer in names:
        return names.index(str(layer))
    if isinstance(layer, int) and -len(names) <= layer < len(names):
        return layer % len(names)
    raise ConfigError(f"there is no layer {layer!r} with neurons: choose one of {', '.join(names) or 'none'}")


def _potentials(graph: Graph, given: Array, which: int) -> tuple[Array, Array, Array]:
    """Of the neurons of a layer what is left of the stored code [T + 1, F], the potential, and whether it fires, [T, F]
    each."""
    neuron, state = graph.layers[which].neuron, State(graph, 1)
    kept: list[Array] = []
    reached: list[Array] = []
    fired: list[Array] = []

    def left(code: Array) -> Array:
        return remainder(neuron, code if neuron.current is None else code[:, 0])

    def watch(place: int, sums: Array, code: Array) -> None:
        if place == which:
            kept.append(left(code).reshape(-1))
            reached.append(potential(neuron, sums.reshape(left(code).shape), code).reshape(-1))

    steps = graph.timesteps if given.ndim == 4 else len(given)
    for t in range(steps):
        still = {0} if given.ndim == 4 and t else set[int]()
        spikes, _ = state.step([given if given.ndim == 4 else given[t]], still, watch)
        fired.append(spikes[which].reshape(-1) != 0)
    kept.append(left(state.codes[which]).reshape(-1))
    return np.stack(kept), np.stack(reached), np.stack(fired)


def _liveliest(fired: Array) -> list[int]:
    """Those whose spikes change most from step to step, then those that fire most."""
    changes = (fired[1:] != fired[:-1]).sum(0)
    order = np.lexsort((-fired.sum(0), -changes))
    return sorted(order[:_NEURONS].tolist())


def _checked(neurons: Sequence[int], count: int, name: str) -> list[int]:
    for which in neurons:
        if not 0 <= which < count:
            raise ConfigError(f"layer {name} has no neuron {which}: choose from 0 to {count - 1}")
    if not len(neurons):
        raise ConfigError("no neuron is named: name some, or leave neurons out")
    return [int(which) for which in neurons]
