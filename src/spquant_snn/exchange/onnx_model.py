"""``to_onnx``: an integer graph in standard operators of ONNX, integers all the way, equal to the reference.

Three forms of a network. "step" is one time step: what it stores goes in and comes out, all of it zeros before the
first step. "images" and "sequence" hold that step in a loop over time, with its sums of a still image before it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from ..dtypes import Array, Int32
from ..errors import ConfigError, MissingDependencyError, ModelError
from ..integer.connection import image
from ..integer.file import to_bytes
from ..integer.graph import Graph, HasGraph, Input, Readout, Term, as_graph
from ..integer.term_names import source_names
from ..io.texts import package_version
from ..io.writing import path_text, replace_file
from .onnx_neurons import Stored, write_active, write_layer, write_readout
from .onnx_terms import OnnxValue, write_term
from .onnx_writer import Constants, Writer, import_onnx

OnnxKind = Literal["images", "sequence", "step"]

OPSET = 25  # the first with codes of 2 bits
OPSETS = (21, OPSET)
_BELOW = 1 << 31  # what a largest value so far is stored above, so that it starts at zero
_LARGEST = (1 << 31) - 1  # bytes of a protobuf


def to_onnx(
    graph: Graph | HasGraph, path: str | os.PathLike[str], kind: OnnxKind = "images", opset: int = OPSET
) -> None:
    """Write a graph as an ONNX file of standard operators on integers, which gives the reference's integers.

    Inputs are uint8, or int8 of signed ones; answers are int32, one output for each readout, by its name.

    Args:
        path: the file.
        kind: "images": [N, C, H, W], shown for ``graph.timesteps`` steps; "sequence": frames [T, N, C, H, W]; "step":
            one frame [N, C, H, W] and what the network stores, inputs and outputs in the same order, zeros at first.
        opset: 25, which has weights of 2 and 4 bits, or 21, which stores those of 2 bits at 4.

    Raises:
        ConfigError: there is no such kind or opset, or the installed onnx does not have it.
        MissingDependencyError: onnx is not installed.
        ModelError: the file would be larger than ONNX can be.
        RunError: the file cannot be written.

    Example:
        to_onnx(load_graph("model.spq"), "model.onnx")
    """
    replace_file(path, onnx_bytes(graph, kind, opset))


def onnx_bytes(graph: Graph | HasGraph, kind: OnnxKind = "images", opset: int = OPSET) -> bytes:
    """The file that ``to_onnx`` writes."""
    if kind not in get_args(OnnxKind):
        raise ConfigError(f"kind must be one of {', '.join(get_args(OnnxKind))}, not {kind!r}")
    if opset not in OPSETS:
        raise ConfigError(f"opset must be {' or '.join(map(str, OPSETS))}, not {opset!r}")
    onnx = import_onnx()
    newest = onnx.defs.onnx_opset_version()
    if newest < opset:
        lower = f", or take opset={OPSETS[0]}" if newest >= OPSETS[0] else ""
        raise ConfigError(
            f"onnx {onnx.__version__} writes opsets up to {newest}, not {opset}: pip install -U onnx{lower}"
        )
    model = _Model(as_graph(graph), kind, Constants(onnx, opset)).build()
    if model.ByteSize() > _LARGEST:
        raise ModelError(f"the graph would take {model.ByteSize():,} bytes as ONNX, more than 2 GiB: export it as .spq")
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def run_onnx(path: str | os.PathLike[str], *given: Array) -> list[Int32]:
    """What a file of ``to_onnx`` says under ONNX Runtime, to check it: all of its outputs.

    Args:
        given: for each input of the file, in order; what a step network stores may be left out at its first step.

    Raises:
        ConfigError: the installed ONNX Runtime cannot run the file, or it does not take what is given.
        MissingDependencyError: onnxruntime is not installed.

    Example:
        (answers,) = run_onnx("model.onnx", images)
    """
    try:
        import onnxruntime
    except ImportError:
        raise MissingDependencyError("running ONNX needs onnxruntime: pip install onnxruntime") from None
    name, version = path_text(path), onnxruntime.__version__
    try:
        session = onnxruntime.InferenceSession(name, providers=["CPUExecutionProvider"])
    except Exception as error:  # of many classes, which the package does not name
        raise ConfigError(
            f"onnxruntime {version} cannot run {name} ({_first_line(error)}): pip install -U onnxruntime, or write the "
            f"file with opset={OPSETS[0]}"
        ) from None
    wanted = session.get_inputs()
    feeds = dict(zip((x.name for x in wanted), given, strict=False))
    for x in wanted[len(given) :]:
        kind = np.dtype(x.type.removeprefix("tensor(").removesuffix(")"))
        feeds[x.name] = np.zeros((given[0].shape[0], *x.shape[1:]), kind)
    try:
        found: list[Int32] = session.run(None, feeds)
    except Exception as error:
        raise ConfigError(f"{name} does not take what is given ({_first_line(error)}): give its inputs") from None
    return found


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


@dataclass(frozen=True)
class _State:
    """What is kept between two steps."""

    name: str
    shape: tuple[int, ...]
    dtype: Any


@dataclass(frozen=True)
class _Step:
    """What comes of a step: what each readout says, and what is stored, in the order of the states."""

    answers: list[str]
    stored: list[str]


class _Model:
    """A graph on its way to a model of a kind."""

    def __init__(self, graph: Graph, kind: OnnxKind, constants: Constants) -> None:
        self.graph, self.kind, self.constants, self.helper = graph, kind, constants, constants.onnx.helper
        names = source_names(len(graph.inputs), [layer.name for layer in graph.layers])
        self.names = [constants.name(name.replace("input ", "input")) for name in names[: len(graph.inputs)]]
        self.outputs = [constants.name(readout.name) for readout in graph.readouts]
        self.sources = [*self.names, *names[len(graph.inputs) :]]
        self.delayed = sorted({term.source for term in graph.terms if term.delay})
        self.states = self._states()

    def build(self) -> Any:
        helper, constants, graph = self.helper, self.constants, self.graph
        writer = Writer(constants)
        lead = {"images": ("N",), "sequence": ("T", "N"), "step": ("N",)}[self.kind]
        inputs = [
            self._info(name, _dtype(given), (*lead, *given.shape))
            for name, given in zip(self.names, graph.inputs, strict=True)
        ]
        outputs = [
            self._info(name, np.int32, (*(("T",) if self._all(readout) else ()), "N", *shape))
            for name, readout, shape in zip(self.outputs, graph.readouts, graph.outputs, strict=True)
        ]
        if self.kind == "step":
            following = [constants.name(f"{state.name}.next") for state in self.states]
            step = self._step(writer, self._frames(self.names), [state.name for state in self.states], {})
            for found, name in zip(step.stored, following, strict=True):
                writer.nodes.append(helper.make_node("Identity", [found], [name], name))
            inputs += [self._info(state.name, state.dtype, ("N", *state.shape)) for state in self.states]
            outputs += [
                self._info(name, state.dtype, ("N", *state.shape))
                for name, state in zip(following, self.states, strict=True)
            ]
            answers = step.answers
        else:
            answers = self._loop(writer)
        for found, name, readout, shape in zip(answers, self.outputs, graph.readouts, graph.outputs, strict=True):
            sizes = constants.add(np.array([*((0,) if self._all(readout) else ()), 0, *shape], np.int64), "shape")
            writer.nodes.append(helper.make_node("Reshape", [found, sizes], [name], name))
        body = helper.make_graph(
            [*constants.casts, *writer.nodes], "spquant", inputs, outputs, initializer=constants.tensors
        )
        opsets = [helper.make_opsetid("", constants.opset)]
        model = helper.make_model(body, opset_imports=opsets, producer_name="spquant-snn")
        model.ir_version = helper.find_min_ir_version_for(opsets)
        helper.set_model_props(model, self._properties())
        return model

    def _all(self, readout: Readout) -> bool:
        """Whether a readout has an axis of time."""
        return readout.over_time == "all" and self.kind != "step"

    def _states(self) -> list[_State]:
        graph, states = self.graph, []

        def state(name: str, shape: Sequence[int], dtype: Any) -> None:
            states.append(_State(self.constants.name(name), tuple(shape), dtype))

        for layer, shape in zip(graph.layers, graph.shapes, strict=True):
            state(f"{layer.name}.code", image(shape), np.int8)
            if layer.neuron.current is not None:
                state(f"{layer.name}.current", image(shape), np.int8)
        for source in self.delayed:
            given = graph.inputs[source] if source < len(graph.inputs) else None
            dtype = np.uint8 if given is None else _dtype(given)
            state(f"{self.sources[source]}.before", image(graph.sources[source]), dtype)
        for readout, shape in zip(graph.readouts, graph.outputs, strict=True):
            state(f"{readout.name}.sum", image(shape), np.int32)
            if readout.over_time in ("sum", "largest"):
                dtype = np.int32 if readout.over_time == "sum" else np.int64
                state(f"{readout.name}.{readout.over_time}", image(shape), dtype)
        return states

    def _frames(self, names: Sequence[str]) -> list[OnnxValue]:
        return [
            OnnxValue(name, given.shape, given.largest, given.signed, _dtype(given))
            for name, given in zip(names, self.graph.inputs, strict=True)
        ]

    def _step(self, writer: Writer, frames: list[OnnxValue], before: list[str], still: dict[Term, str]) -> _Step:
        """One time step.

        Args:
            before: what is stored, in the order of the states.
            still: what terms add, of those that are known.
        """
        graph, now, rest = self.graph, list(frames), iter(before)
        codes = [Stored(next(rest), next(rest) if layer.neuron.current is not None else None) for layer in graph.layers]
        held = {source: self._value(source, next(rest)) for source in self.delayed}
        answers: list[str] = []
        stored: list[str] = []

        def summed(terms: tuple[Term, ...]) -> str:
            parts = [
                still[term]
                if term in still
                else write_term(writer, term, held[term.source] if term.delay else now[term.source])
                for term in terms
            ]
            total = parts[0]
            for part in parts[1:]:
                total = writer.op("Add", total, part)
            return total

        for i, layer in enumerate(graph.layers):
            first = layer.terms[0]
            counted = None if layer.gate is None else write_active(writer, first.connection, now[first.source])
            spikes, after = write_layer(writer, layer, summed(layer.terms), codes[i], counted)
            now.append(self._value(len(graph.inputs) + i, spikes))
            stored += [after.potential, *([after.current] if after.current is not None else [])]
        stored += [now[source].name for source in self.delayed]
        for readout in graph.readouts:
            integrated = write_readout(writer, readout, summed(readout.terms), next(rest))
            stored.append(integrated)
            if readout.over_time in ("sum", "largest"):
                found = _so_far(writer, readout, integrated, next(rest))
                stored.append(found)
                integrated = found if readout.over_time == "sum" else _largest(writer, found)
            answers.append(integrated)
        return _Step(answers, stored)

    def _value(self, source: int, name: str) -> OnnxValue:
        """A source as it is at a step."""
        graph = self.graph
        if source < len(graph.inputs):
            return self._frames([name] * len(graph.inputs))[source]
        return OnnxValue(name, image(graph.sources[source]), 1, False, np.uint8)

    def _loop(self, writer: Writer) -> list[str]:
        """The answers of all steps, of a network in a loop."""
        graph, constants, helper = self.graph, self.constants, self.helper
        still: dict[Term, str] = {}
        frames = self._frames(self.names)
        if self.kind == "images":
            for term in graph.terms:
                if term.source < len(graph.inputs) and not term.delay:
                    still[term] = write_term(writer, term, frames[term.source])
        body = Writer(constants)
        step_number, going, goes_on = (constants.name(name) for name in ("step", "going", "goes_on"))
        body.nodes.append(helper.make_node("Identity", [going], [goes_on], goes_on))
        if self.kind == "sequence":
            frames = self._frames([body.op("Gather", name, step_number, axis=0) for name in self.names])
        before = [constants.name(f"{state.name}.before") for state in self.states]
        step = self._step(body, frames, before, still)
        listed = [
            (answer, shape)
            for answer, readout, shape in zip(step.answers, graph.readouts, graph.outputs, strict=True)
            if self._all(readout)
        ]
        following = [body.op("Identity", name, name="next") for name in step.stored]
        said = [body.op("Identity", name, name="said") for name, _ in listed]
        subgraph = helper.make_graph(
            body.nodes,
            "step",
            [
                self._info(step_number, np.int64, ()),
                self._info(going, np.bool_, ()),
                *(self._info(name, s.dtype, ("N", *s.shape)) for name, s in zip(before, self.states, strict=True)),
            ],
            [
                self._info(goes_on, np.bool_, ()),
                *(self._info(name, s.dtype, ("N", *s.shape)) for name, s in zip(following, self.states, strict=True)),
                *(
                    self._info(name, np.int32, ("N", *image(shape)))
                    for name, (_, shape) in zip(said, listed, strict=True)
                ),
            ],
        )
        ends = [constants.name(f"{state.name}.end") for state in self.states]
        scans = [constants.name("answers") for _ in listed]
        steps = self._steps(writer)
        starts = [self._zeros(writer, state) for state in self.states]
        writer.nodes.append(helper.make_node("Loop", [steps, "", *starts], [*ends, *scans], "loop", body=subgraph))
        return self._said(writer, ends, scans)

    def _said(self, writer: Writer, ends: list[str], scans: list[str]) -> list[str]:
        """The answers behind the loop, of what is stored at its end and what was said at every step."""
        of_readouts = sum(1 + (readout.over_time in ("sum", "largest")) for readout in self.graph.readouts)
        rest, listed, answers = iter(ends[-of_readouts:]), iter(scans), []
        for readout in self.graph.readouts:
            integrated = next(rest)
            if readout.over_time == "sum":
                integrated = next(rest)
            elif readout.over_time == "largest":
                integrated = _largest(writer, next(rest))
            answers.append(next(listed) if readout.over_time == "all" else integrated)
        return answers

    def _steps(self, writer: Writer) -> str:
        """How many there are, int64."""
        if self.kind == "images":
            return writer.constant(self.graph.timesteps, np.int64, "timesteps")
        size = writer.op("Shape", self.names[0], start=0, end=1)
        return writer.op("Squeeze", size)

    def _zeros(self, writer: Writer, state: _State) -> str:
        axis = 1 if self.kind == "sequence" else 0
        count = writer.op("Shape", self.names[0], start=axis, end=axis + 1)
        shape = writer.op("Concat", count, writer.constant(state.shape, np.int64), axis=0)
        zero = self.constants.onnx.numpy_helper.from_array(np.zeros(1, state.dtype))
        return writer.op("ConstantOfShape", shape, value=zero)

    def _info(self, name: str, dtype: Any, shape: tuple[int | str, ...]) -> Any:
        kind = self.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self.helper.make_tensor_value_info(name, kind, shape)

    def _properties(self) -> dict[str, str]:
        """What is said of the model beside its nodes."""
        graph = self.graph
        inputs = {name: {"scale": given.scale} for name, given in zip(self.names, graph.inputs, strict=True)}
        outputs = {
            name: {"scale": readout.scale, "over_time": readout.over_time}
            for name, readout in zip(self.outputs, graph.readouts, strict=True)
        }
        found: dict[str, object] = {
            "version": package_version(),
            "kind": self.kind,
            "timesteps": graph.timesteps,
            "longest": graph.longest,
            "inputs": inputs,
            "outputs": outputs,
            "states": [state.name for state in self.states] if self.kind == "step" else [],
            "sha256": hashlib.sha256(to_bytes(graph)).hexdigest(),
        }
        return {f"spquant.{k}": v if isinstance(v, str) else json.dumps(v) for k, v in found.items()}


def _dtype(given: Input) -> Any:
    return np.int8 if given.signed else np.uint8


def _so_far(writer: Writer, readout: Readout, integrated: str, before: str) -> str:
    """What is stored of the sum over the steps, or of their largest value, behind a step."""
    if readout.over_time == "sum":
        return writer.op("Add", before, integrated)
    raised = writer.op("Add", writer.cast(integrated, np.int64), writer.constant(_BELOW, np.int64))
    return writer.larger(before, raised)


def _largest(writer: Writer, stored: str) -> str:
    """The largest value so far, int32, of what is stored of it."""
    return writer.cast(writer.op("Sub", stored, writer.constant(_BELOW, np.int64)), np.int32)
