"""A program: an integer graph as something to call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..data.input_format import InputFormat
from ..data.scores import decide
from ..data.task import Task
from ..dtypes import Array, Float64, Int32
from ..errors import ConfigError, RunError
from ..io import html
from . import reference
from .early_stop import Stopped, check_stops, stop_early
from .graph import Graph, Term, as_graph
from .inputs import as_array, as_batch, as_inputs, check_count, check_predicts, task_of
from .stepper import ReferenceStepper, Stepper
from .stream import Stream


class Engine(Protocol):
    """What runs a graph; one that is not the reference gives the same integers."""

    def answers(self, *given: Array, threads: int) -> list[Int32]:
        """The answers of each readout to arrays that were checked, one for each input."""

    def stop_early(self, given: Array, margin: int, threads: int) -> Stopped:
        """An array that was checked, of a network and a margin that were too."""

    def stepper(self) -> Stepper: ...


@dataclass(frozen=True, eq=False, repr=False)
class Program:
    """An integer network as it is deployed, to be called: ``load`` and ``from_pretrained`` give one.

    Images are uint8, 0 to 255, or int8, -127 to 127, of a network whose input is signed, in anything that
    ``numpy.asarray`` takes (arrays, lists of them, torch tensors on CPUs):

        [N, C, H, W]     images, each shown for ``timesteps`` steps
        [C, H, W]        one image; the answer has N = 1
        [N, H, W]        grey images, where C is 1; a single one may be seen as [C, H, W] too and gives the same
        [T, N, C, H, W]  sequences of T frames, one a step
        [N, F], [N, C, L], [T, N, F], [T, N, C, L]   vectors and signals, and sequences of them, where the network
                         takes images of one pixel (F, 1, 1) or of one row (C, 1, L)

    Args:
        graph: the network.
        engine: what runs it, such as the native runtime; None: the NumPy reference.

    Four dimensions are always images; sequences of grey frames are [T, N, 1, H, W]. Networks of several inputs, or of
    several readouts, are called by ``answers``.

    A program can be pickled and copied, for process pools and data loader workers; its engine is built again where it
    is unpickled. It may be called from several threads.

    Raises:
        ModelError: ``graph`` is no graph.
        ConfigError: ``engine`` runs no graphs.

    Example:
        >>> program = load("model.spq")
        >>> images = numpy.zeros((5, 1, 8, 8), numpy.uint8)
        >>> program.predict(images).shape, program.logits(images).dtype
        ((5,), dtype('int32'))
    """

    graph: Graph
    engine: Engine | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "graph", as_graph(self.graph))
        if self.engine is not None and not callable(getattr(self.engine, "answers", None)):
            raise ConfigError(
                f"the engine of a program must run graphs, not be {self.engine!r}: load(path) gives a program with the "
                "native one, and None is the NumPy reference"
            )

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image, or of the first input."""
        return self.graph.input_shape

    @property
    def input_format(self) -> InputFormat:
        """The range and the scale of the integers that the first input takes."""
        return self.graph.inputs[0].format

    def quantize(self, values: Any, index: int = 0) -> Array:
        """Values in the units of the training set as the integers that the network takes: divided by the scale of its
        input, rounded, and clipped to its range. An array of the input's own dtype is returned as it is.

        Args:
            values: of any shape, in anything that ``numpy.asarray`` takes.
            index: of the input, where there are several.

        Raises:
            ConfigError: there is no such input.
            DataError: the values are no real numbers, or not finite.

        Example:
            >>> program = load("model.spq")
            >>> program.quantize([0.0, 0.5, 1.0])
            array([  0, 128, 255], dtype=uint8)
        """
        if index not in range(len(self.graph.inputs)):
            raise ConfigError(f"this network has {len(self.graph.inputs)} inputs, no input {index!r}")
        return self.graph.inputs[index].format.quantize(as_array(values, "values"))[0]

    @property
    def classes(self) -> int:
        """Number of outputs of the first readout: the classes of a classifier."""
        return self.graph.classes

    @property
    def timesteps(self) -> int:
        """Steps for which a still image is shown."""
        return self.graph.timesteps

    @property
    def task(self) -> Task:
        """What the network was trained for; classification, where its file does not say."""
        return task_of(self.graph)

    def predict(self, images: Any, batch_size: int = 256, threads: int = 1) -> Array:
        """The predictions of the network, in the form of its task.

        Returns:
            The class of each image, int64 [N], the first of the largest logits; or, as the network was trained: numbers
            in the unit of their labels, float64 [N, K] or maps of them [N, K, H, W]; 1 for each label that is true,
            int64 [N, K]; the class of each pixel, int64 [N, H, W].

        Raises:
            DataError, ConfigError: as ``logits``.
            ConfigError: the network answers at every step, or with maps of what is no task.
        """
        check_predicts(self.graph)
        values = self.values(images, batch_size, threads)
        if self.graph.readout.output_format is None:
            values = values.reshape(len(values), -1)
        return decide(self.task, values)

    def values(self, images: Any, batch_size: int = 256, threads: int = 1) -> Float64:
        """The answers of the first readout in the units of training, float64 [N, ...]: logits averaged over time, or
        numbers in the unit of their labels; [T, N, ...] where it answers at every step.

        Raises:
            DataError, ConfigError, ModelError, RunError: as ``logits``.
        """
        given = as_batch(self.graph, images)
        steps = len(given) if given.ndim == 5 else self.timesteps
        return self.graph.readout.values(self._run((given,), batch_size, threads)[0], steps)

    def logits(self, images: Any, batch_size: int = 256, threads: int = 1) -> Int32:
        """The integer answers of the first readout, int32 [N, classes]: logits summed over time; maps [N, O, H, W]; [T,
        N, ...] where it answers at every step.

        Args:
            images: as the class says.
            batch_size: images or sequences in the reference's memory at a time; it changes nothing else.
            threads: that share the batch; the reference uses one.

        Raises:
            DataError: the images have another dtype or shape, or there are none.
            ConfigError: ``batch_size`` or ``threads`` is not a whole number above zero.
            ModelError, RunError: it takes more memory than there is.
        """
        return self.answers(images, batch_size=batch_size, threads=threads)[0]

    def answers(self, *images: Any, batch_size: int = 256, threads: int = 1) -> list[Int32]:
        """The integer answers of each readout, in the form that ``logits`` has for the first.

        Args:
            images: for each input of the network images or sequences; of one input as the class says, of several arrays
                [N, C, H, W] or [T, N, C, H, W], sequences of one length.

        Raises:
            DataError, ConfigError, ModelError, RunError: as ``logits``.
        """
        return self._run(as_inputs(self.graph, images), batch_size, threads)

    def stop_early(self, images: Any, margin: int, batch_size: int = 256, threads: int = 1) -> Stopped:
        """Answers that take no more steps than they need: each image stops at the first step at which its largest logit
        leads the next by a margin. What is stopped is not computed, so that it saves time in the native runtime; the
        reference computes all steps and gives the same.

        Args:
            images: as ``logits`` takes them.
            margin: in units of the integer logits; 0 stops all after one step. ``SpQuantTrainer.early_exit`` and
                ``spquant eval --early-exit`` find one on validation images.
            batch_size, threads: as of ``logits``.

        Raises:
            DataError, ModelError, RunError: as ``logits``.
            ConfigError: the same, or the network tells no classes apart, or the margin is none.

        Example:
            >>> program = load("model.spq")
            >>> stopped = program.stop_early(numpy.zeros((5, 1, 8, 8), numpy.uint8), margin=1000)
            >>> stopped.classes.shape, stopped.steps.max() <= program.timesteps
            ((5,), True)
        """
        batch_size, threads = check_count("batch_size", batch_size), check_count("threads", threads)
        given = as_batch(self.graph, images)
        margin = check_stops(self.graph, margin)
        try:
            if self.engine is not None:
                return self.engine.stop_early(given, margin, threads)
            starts = range(0, given.shape[-4], batch_size)
            parts = [stop_early(self.graph, given[..., i : i + batch_size, :, :, :], margin) for i in starts]
        except MemoryError as error:
            raise _too_many(given.shape[-4]) from error
        return Stopped(np.concatenate([part.logits for part in parts]), np.concatenate([part.steps for part in parts]))

    def stream(self, sensor: tuple[int, int] | None = None) -> Stream:
        """A stream that runs the network on frames or events as they come, with a state of its own.

        Args:
            sensor: (rows, columns) of the camera, where events will be pushed.

        Raises:
            ConfigError: the network takes no events, or none of such a sensor, or has several inputs.
        """
        return Stream(self.graph, self.engine.stepper() if self.engine else ReferenceStepper(self.graph), sensor)

    def _run(self, given: tuple[Array, ...], batch_size: int, threads: int) -> list[Int32]:
        """The answers to arrays that were checked."""
        batch_size, threads = check_count("batch_size", batch_size), check_count("threads", threads)
        starts = range(0, given[0].shape[-4], batch_size)
        try:
            if self.engine is not None:
                return self.engine.answers(*given, threads=threads)
            parts = [
                reference.answers(self.graph, *(x[..., start : start + batch_size, :, :, :] for x in given))
                for start in starts
            ]
        except MemoryError as error:
            raise _too_many(given[0].shape[-4]) from error
        axes = [1 if readout.over_time == "all" else 0 for readout in self.graph.readouts]
        return [np.concatenate([part[i] for part in parts], axis) for i, axis in enumerate(axes)]

    def _repr_html_(self) -> str:
        """Its layers, as a notebook shows it."""
        graph, task = self.graph, self.task
        sources = [*(f"input {i}" if i else "input" for i in range(len(graph.inputs))), *(x.name for x in graph.layers)]
        rows = [
            _row(layer.name, layer.terms, sources, shape, f"{layer.neuron.stored_bits:g}")
            for layer, shape in zip(graph.layers, graph.shapes, strict=True)
        ]
        rows += [
            _row(readout.name, readout.terms, sources, shape, "")
            for readout, shape in zip(graph.readouts, graph.outputs, strict=True)
        ]
        shown = html.table("", ("layer", "takes"), ("outputs", "weights", "bits", "state bits"), rows)
        sizes = f"weights {graph.weight_bytes:,.0f} bytes, state {graph.state_bytes:,.0f} bytes, packed"
        runs = "the NumPy reference" if self.engine is None else "the native runtime"
        return html.text(repr(self), "strong") + shown + html.text(f"{task.kind}; {sizes}; run by {runs}")

    def __repr__(self) -> str:
        return repr(self.graph).replace("Graph", "Program", 1)


def _too_many(count: int) -> RunError:
    return RunError(
        f"there is no memory to run {count:,} images at once: give fewer, a smaller batch_size or fewer threads"
    )


def _row(name: str, terms: tuple[Term, ...], sources: list[str], shape: tuple[int, ...], bits: str) -> tuple[str, ...]:
    """A layer or a readout in a table."""
    takes = [f"{sources[term.source]}{', a step ago' if term.delay else ''}" for term in terms]
    weights = sum(term.connection.codes.size for term in terms)
    widths = sorted({term.connection.bits for term in terms})
    return name, " + ".join(takes), "×".join(map(str, shape)), f"{weights:,}", ", ".join(f"{x:g}" for x in widths), bits
