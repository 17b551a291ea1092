"""From any module to layers of neurons and the drives that reach them.

The steps of a module are gone through in order, and each makes of signals and drives another one; a LIF layer makes a
layer of the drive that it takes, and gives spikes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..data.input_format import PIXELS, InputFormat
from ..errors import ModelError
from ..nn.integrator import LeakyIntegrator
from ..nn.lif import LIF
from .described import (
    Integrated,
    LayerDescription,
    NetworkDescription,
    Pixels,
    ReadoutDescription,
    Shape,
    Signal,
    Spikes,
    layers_of,
    weights_of,
    with_spikes,
)
from .traced import WEIGHTS, Dropout, Factor, Kind, Operation, TracedStep, steps_of
from .values import (
    SIGNALS,
    Value,
    added,
    as_drive,
    concatenated,
    dropped,
    image_shape,
    normalised,
    pooled,
    settled,
    upsampled,
    weighed,
)
from .windows import Enlargement, Window


def describe(
    model: nn.Module, input_shape: Shape | Sequence[Shape], input_format: Sequence[InputFormat] | InputFormat = PIXELS
) -> NetworkDescription:
    """What a module computes in one time step, as layers of neurons.

    Args:
        model: anything that can be traced. Lazy layers in it get their shapes.
        input_shape: (F,), (C, L) or (C, H, W) of the input, or a list with that of each.
        input_format: of all inputs, or of each.

    Raises:
        ModelError: something has no integer form; the message names its path, the reason and the nearest form that
            works.

    Example:
        >>> net = describe(nn.Sequential(nn.Linear(8, 4), LIF(), nn.Linear(4, 2)), (8,))
        >>> [layer.name for layer in net.layers], [readout.name for readout in net.readouts]
        (['0'], ['2'])
    """
    shapes = read_shapes(input_shape)
    one = isinstance(input_format, InputFormat)
    matcher = _Matcher(
        [cast(InputFormat, input_format)] * len(shapes) if one else cast(Sequence[InputFormat], input_format)
    )
    for step in steps_of(model, shapes):
        matcher.take(step)
    if not matcher.layers:
        raise ModelError(
            "the model has no LIF layer that its output depends on: put spquant_snn.LIF() where an activation function "
            "would stand"
        )
    return NetworkDescription(
        tuple(image_shape(shape) for shape in shapes),
        tuple(matcher.layers),
        tuple(matcher.readouts),
        tuple(matcher.notes),
    )


def read_shapes(given: Shape | Sequence[Shape]) -> list[Shape]:
    """The shape of each input, from that of the one input or a list of them.

    Raises:
        ModelError: it is neither.
    """
    listed = list(given) if isinstance(given, list | tuple) else [given]
    shapes = listed if listed and all(isinstance(shape, list | tuple) for shape in listed) else [given]
    for shape in shapes:
        if not isinstance(shape, list | tuple) or not 1 <= len(shape) <= 3 or not all(map(_is_size, shape)):
            raise ModelError(
                f"input_shape is (F,), (C, L) or (C, H, W) in positive whole numbers, or a list with the shape of each "
                f"input, not {shape!r}"
            )
    return [tuple(int(size) for size in cast(Shape, shape)) for shape in shapes]


def _is_size(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(value > 0)


class _Matcher:
    """Goes through the steps of a module.

    Attributes:
        layers, readouts, notes: what was found so far.
    """

    def __init__(self, formats: Sequence[InputFormat]) -> None:
        self.formats = formats
        self.layers: list[LayerDescription] = []
        self.readouts: list[ReadoutDescription] = []
        self.notes: list[str] = []
        self.values: dict[fx.Node, Value] = {}
        self.inputs = 0
        self.called: dict[nn.Module | nn.Parameter, str] = {}
        self.earlier: dict[fx.Node, int] = {}  # spikes that come back, by the node, and the number that stands for them

    def take(self, step: TracedStep) -> None:
        """Make the value of a step from those before it."""
        first, *rest = step.operations
        if first is Kind.OUTPUT:
            self._read_out(step)
            return
        if first is Kind.INPUT:
            value = Value(Pixels(self.inputs, image_shape(step.shape)), step.shape)
            self.inputs += 1
        else:
            self._refuse_unknown(step)
            value = self._made(step, first)
        for operation in rest:
            value = self._of_one(step, operation, value)
        self.values[step.node] = value

    def _refuse_unknown(self, step: TracedStep) -> None:
        for node in step.given:
            if node not in self.values:
                raise ModelError(
                    f"{step.where} takes {node.target!r}, which is no activation, and has no integer form: let a layer "
                    "take it (what is added: as its bias)"
                )

    def _made(self, step: TracedStep, operation: Operation) -> Value:
        given = [self.values[node] for node in step.given]
        if operation is Kind.ADD:
            return added(step, given)
        if operation is Kind.CONCATENATE:
            return concatenated(step, given)
        if operation is Kind.EARLIER:
            self.earlier[step.node] = -1 - len(self.earlier)
            return Value(Spikes(self.earlier[step.node], image_shape(step.shape), 1), step.shape)
        if operation is Kind.FED_BACK:
            return self._fed_back(step, given[0])
        return self._of_one(step, operation, given[0])

    def _of_one(self, step: TracedStep, operation: Operation, value: Value) -> Value:
        """What an operation makes of one value."""
        if operation is Kind.SAME:
            return value
        if operation is Kind.RESHAPE:
            return replace(value, shape=step.shape)
        if isinstance(value.what, Integrated):
            raise ModelError(
                f"{step.where} takes what the LeakyIntegrator {value.what.path!r} says, which is no spikes: let it "
                "be the last layer, or use LIF"
            )
        if isinstance(operation, LIF):
            return self._fired(step, operation, value)
        if isinstance(operation, LeakyIntegrator):
            drive = as_drive(value.what, step.path)
            return Value(Integrated(drive, operation, step.path, drive.shape), value.shape)
        if isinstance(operation, WEIGHTS):
            self._refuse_twice(step, operation)
            return weighed(step, operation, value)
        if isinstance(operation, _BatchNorm):
            self._refuse_twice(step, operation)
            return normalised(step, operation, value)
        if isinstance(operation, Window):
            return pooled(step, operation, value)
        if isinstance(operation, Enlargement):
            return upsampled(step, operation, value)
        if isinstance(operation, Dropout):
            return dropped(step, operation, value)
        return self._scaled(step, cast(Factor, operation), value)

    def _refuse_twice(self, step: TracedStep, module: nn.Module) -> None:
        key = module if step.node.op == "call_module" else cast(Any, module).weight
        if key in self.called:
            raise ModelError(
                f"layer {step.path!r} is called twice: shared weights cannot be lowered, use a layer for each place "
                "(and no loop over time: the forward method says what happens in one step)"
            )
        self.called[key] = step.path

    def _fired(self, step: TracedStep, neurons: LIF, value: Value) -> Value:
        channels = {len(constant) for constant in (*neurons.parameters(), *neurons.buffers()) if constant.dim()}
        drive = as_drive(settled(value, step) if channels else value.what, step.path)
        if channels - {drive.shape[0]}:
            raise ModelError(
                f"layer {step.path!r} has constants for {channels.pop()} channels, and takes {drive.shape[0]}: give "
                "one for each, or one for the layer"
            )
        number = len(self.layers)
        taken = {layer.name for layer in self.layers}
        names = [next(weights_of(drive), step.path), step.path]
        name = next((name for name in names if name not in taken), f"{step.path}.{number}")
        self.layers.append(LayerDescription(name, drive, neurons, step.path, drive.shape))
        return Value(Spikes(number, drive.shape), value.shape)

    def _fed_back(self, step: TracedStep, value: Value) -> Value:
        """Set what comes back, now that it is known, where it was taken."""
        if not isinstance(value.what, SIGNALS):
            raise ModelError(
                f"the body of the Feedback in {step.where} must end with a LIF layer, whose spikes come back"
            )
        spikes = delayed(settled(value, step), step)
        number = next(self.earlier[node] for node in step.node.all_input_nodes if node in self.earlier)
        self.layers = [with_earlier(layer, number, spikes) for layer in self.layers]
        self.values = {node: with_earlier(given, number, spikes) for node, given in self.values.items()}
        return value

    def _scaled(self, step: TracedStep, factor: Factor, value: Value) -> Value:
        if factor.by == 1:
            return value
        if not isinstance(value.what, Pixels):
            raise ModelError(
                f"{step.where} multiplies with {factor.by:g}, which has no integer form of its own: put it into the "
                "weights or the batch normalisation"
            )
        given = self.formats[value.what.input] if value.what.input < len(self.formats) else PIXELS
        if not given.counts:
            raise ModelError(
                f"{step.where} multiplies the input with {factor.by:g}, and it is in units of its data, a scale of "
                f"{given.scale:g} and nothing else: scale the data in its place"
            )
        if abs(factor.by * 255 - 1) > 1e-6:
            raise ModelError(
                f"{step.where} multiplies pixels with {factor.by:g}: pixels are scaled by 1 / 255 and nothing else, "
                "so that one of 255 stands for 1; batch normalisation takes up any other scale"
            )
        self.notes.append(f"{step.where} divides pixels by 255: this is done anyway, and is not done twice")
        return value

    def _read_out(self, step: TracedStep) -> None:
        for name, node in _outputs(step.node.args[0]):
            if node not in self.values:
                raise ModelError(f"the model returns {node.target!r}, which is no activation: return what layers give")
            value = self.values[node]
            drive = as_drive(value.what, str(node.target))
            found = [*weights_of(drive), *(self.layers[number].path for number in layers_of(drive)), "input"]
            self.readouts.append(ReadoutDescription(name or found[0], drive, value.shape))


def _outputs(returned: Any, name: str = "") -> Iterator[tuple[str, fx.Node]]:
    """What a module returns, with its places in tuples and its keys in dictionaries."""
    if isinstance(returned, fx.Node):
        yield name, returned
    elif isinstance(returned, tuple | list | dict):
        parts = returned.items() if isinstance(returned, dict) else enumerate(returned)
        for key, part in parts:
            yield from _outputs(part, f"{name}.{key}" if name else str(key))


def delayed(signal: Any, step: TracedStep) -> Any:
    """A signal of one step before."""

    def change(spikes: Spikes) -> Signal:
        if spikes.delay:
            raise ModelError(
                f"{step.where} gives what came back before: spikes come back after one step, not after two"
            )
        return replace(spikes, delay=1)

    return with_spikes(signal, change)


def with_earlier(what: Any, number: int, spikes: Signal) -> Any:
    """The same with ``spikes`` where a negative number stands for them."""
    return with_spikes(what, lambda found: spikes if found.layer == number else found)
