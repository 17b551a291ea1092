"""A module's calls in one time step, normalised: modules, functions and methods of torch that do the same are one step.

step                      stands for
a module                  LIF; convolutions and Linear; batch normalisation; also as functions of parameters
Window, Enlargement       pools of any kind, means and sums over places; zero padding; nearest up-sampling
Dropout                   dropout of any kind
Factor                    multiplication with and division by a number
Kind.SAME                 Identity, conversions
Kind.RESHAPE              views, flatten, squeeze ...: the same elements in the same order
Kind.ADD, CONCATENATE     sums; cat, stack
Kind.EARLIER, FED_BACK    what a Feedback gave one step before; what it gives
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.padding import _ConstantPadNd

from ..errors import ModelError
from ..integer.pool import Pair
from ..nn.instant import CONVERSIONS, InstantTracer, earlier_spikes, fed_back, value_of, where
from ..nn.integrator import LeakyIntegrator
from ..nn.layers import OneToOne
from ..nn.lif import LIF
from .described import Shape
from .functional_layers import PARAMETRIC
from .refusals import multiplies_activations, refuse_neurons, refused
from .windows import Enlargement, Window, adaptive, average, enlargement, largest, whole

BATCH = 3  # not one, whose dimension squeeze() takes away

WEIGHTS = (nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.Linear, OneToOne)


class Kind(Enum):
    """What a step without options does."""

    INPUT = auto()
    OUTPUT = auto()
    SAME = auto()
    RESHAPE = auto()
    ADD = auto()
    CONCATENATE = auto()
    EARLIER = auto()
    FED_BACK = auto()


@dataclass(frozen=True)
class Dropout:
    """Training drops elements, or whole channels, with probability ``p``."""

    p: float
    channels: bool


@dataclass(frozen=True)
class Factor:
    """Every value times ``by``."""

    by: float


Operation: TypeAlias = Kind | Dropout | Factor | Window | Enlargement | nn.Module


@dataclass(frozen=True)
class TracedStep:
    """A call.

    Args:
        operations: what it does, one after another.
        given: the nodes whose values it takes, in order.
        path: of the module that does it; else the name of the node.
        shape: of what it gives, without the batch; () where that is no tensor.
    """

    node: fx.Node
    operations: tuple[Operation, ...]
    given: tuple[fx.Node, ...]
    path: str
    shape: Shape

    @property
    def where(self) -> str:
        """The step, as messages name it."""
        return where(self.node)


def steps_of(model: nn.Module, input_shapes: Sequence[Shape]) -> list[TracedStep]:
    """The steps of a model that its output depends on, and its inputs, in the order in which they are made.

    Args:
        model: lazy layers in it get their shapes.
        input_shapes: of one element of the batch of each input, one to three numbers.

    Raises:
        ModelError: the forward method cannot be traced, shapes do not fit, or a call has no integer form.
    """
    traced = _Reader([torch.zeros(()).expand(BATCH, *shape) for shape in input_shapes]).read(model)
    needed: set[fx.Node] = set()
    for node in reversed(traced.graph.nodes):
        if node.op == "output" or node in needed or any(user in needed for user in node.users):
            needed.add(node)
    for node in traced.graph.nodes:
        if node in needed and multiplies_activations(node.target):  # before whatever stands around it
            raise refused(where(node), node.target)
    return list(_steps(traced, needed))


class _Reader(InstantTracer):
    """Knows neurons of other packages before it runs into their forward methods."""

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        if not self.evaluating:
            refuse_neurons(self.path_of_module(m), m)
        return super().call_module(m, forward, args, kwargs)


def _steps(traced: fx.GraphModule, needed: set[fx.Node]) -> Iterator[TracedStep]:
    for node in traced.graph.nodes:
        if node.op == "placeholder":
            yield TracedStep(node, (Kind.INPUT,), (), str(node.target), _shape(node))
        elif node in needed and node.op != "get_attr":
            module = traced.get_submodule(str(node.target)) if node.op == "call_module" else None
            operations, given, path = _Call(node, module, traced).read()
            yield TracedStep(node, operations, given, path, _shape(node))


def _shape(node: fx.Node) -> Shape:
    value = value_of(node)
    return tuple(value.shape[1:]) if isinstance(value, Tensor) else ()


Read = tuple[tuple[Operation, ...], tuple[fx.Node, ...], str]


class _Call:
    """A node of a traced graph, and the operations that it stands for."""

    def __init__(self, node: fx.Node, module: nn.Module | None, traced: fx.GraphModule) -> None:
        self.node, self.module, self.traced = node, module, traced
        self.args: tuple[Any, ...] = node.args
        self.kwargs: dict[str, Any] = dict(node.kwargs)

    def read(self) -> Read:
        node, target = self.node, self.node.target
        if node.op == "output":
            return (Kind.OUTPUT,), tuple(node.all_input_nodes), "output"
        if self.module is not None:
            return self._of_module(self.module), self._tensors(1), str(target)
        self._refuse_changed()
        if target is earlier_spikes:
            return (Kind.EARLIER,), (), node.name
        if target is fed_back:
            return (Kind.FED_BACK,), self._tensors(2), node.name
        if target in PARAMETRIC:
            module, path = self._built(PARAMETRIC[target])
            return self._of_module(module), self._tensors(1), path
        if target in _MODULES:
            made = _MODULES[target](*self.args[1:], **self.kwargs)
            return self._of_module(made), self._tensors(1), node.name
        return self._of_function(target)

    # ---- modules ----

    def _of_module(self, layer: nn.Module) -> tuple[Operation, ...]:
        """What a layer of torch, or one of the same options, does."""
        if isinstance(layer, (LIF, LeakyIntegrator, _BatchNorm, *WEIGHTS)):
            return (layer,)
        if isinstance(layer, nn.Identity):
            return (Kind.SAME,)
        if isinstance(layer, nn.Flatten | nn.Unflatten):
            return self._reshape()
        if isinstance(layer, _DropoutNd):
            whole_channels = not isinstance(layer, nn.Dropout | nn.AlphaDropout)
            return (Dropout(layer.p, whole_channels),)
        if isinstance(layer, nn.AvgPool1d | nn.AvgPool2d):
            return (average(layer, *self._sizes(), where(self.node)),)
        if isinstance(layer, nn.MaxPool1d | nn.MaxPool2d):
            return (largest(layer, *self._sizes()),)
        if isinstance(layer, nn.AdaptiveAvgPool1d | nn.AdaptiveAvgPool2d):
            return adaptive("avg", *self._sizes(), where(self.node)) or (Kind.SAME,)
        if isinstance(layer, nn.AdaptiveMaxPool1d | nn.AdaptiveMaxPool2d):
            return adaptive("max", *self._sizes(), where(self.node)) or (Kind.SAME,)
        if isinstance(layer, nn.Upsample):
            return (enlargement(layer.mode, *self._sizes(), where(self.node)),)
        if isinstance(layer, _ConstantPadNd) and layer.value == 0:
            return (self._padded(tuple(layer.padding)),)
        raise refused(where(self.node), layer)

    def _sizes(self) -> tuple[Pair, Pair]:
        """(height, width) of what comes in and goes out."""
        found = []
        for node in (self._tensors(1)[0], self.node):
            value = value_of(node)
            if not isinstance(value, Tensor) or value.dim() not in (3, 4):
                raise ModelError(f"{where(self.node)} has no image to pool: it takes (C, L) or (C, H, W)")
            found.append((1, *value.shape[2:])[-2:])
        before, after = found
        return before, after

    def _built(self, parts: tuple[Callable[..., nn.Module], int]) -> tuple[nn.Module, str]:
        """The layer that a function of parameters is, and the path of its owner."""
        build, first = parts
        given = [self._parameter(value) if isinstance(value, fx.Node) else value for value in self.args[first:]]
        named = {
            name: self._parameter(value) if isinstance(value, fx.Node) else value for name, value in self.kwargs.items()
        }
        owner = next((str(node.target) for node in self.node.all_input_nodes if node.op == "get_attr"), self.node.name)
        return build(*given, **named), owner.rpartition(".")[0] or owner

    def _parameter(self, node: fx.Node) -> Tensor:
        owner, _, name = str(node.target).rpartition(".")
        found = getattr(self.traced.get_submodule(owner), name, None) if node.op == "get_attr" else None
        if not isinstance(found, Tensor):
            raise ModelError(
                f"{where(self.node)} takes weights from {where(node)}: use a layer, whose weights are its own (those "
                "that are computed from others: with torch.nn.utils.parametrize)"
            )
        return found

    # ---- functions and methods ----

    def _of_function(self, target: Any) -> Read:
        node, name = self.node, self.node.name
        if target in CONVERSIONS:
            return (Kind.SAME,), self._tensors(1), name
        if target in _RESHAPES:
            return self._reshape(), self._tensors(1), name
        if target in _ADDS:
            return self._sum()
        if target in _CONCATENATIONS:
            return self._concatenation()
        if target in _SCALES:
            return self._scaled(target)
        if target in _MEANS:
            return self._mean(*_MEANS[target])
        if target is F.interpolate:
            mode = self.kwargs.get("mode", self.args[3] if len(self.args) > 3 else "nearest")
            return (enlargement(str(mode), *self._sizes(), where(node)),), self._tensors(1), name
        if target is F.pad:
            return (self._zero_padding(*self.args[1:], **self.kwargs),), self._tensors(1), name
        raise refused(where(node), target)

    def _tensors(self, count: int | None) -> tuple[fx.Node, ...]:
        """The values that a call takes: the first nodes of its arguments."""
        found: list[fx.Node] = []

        def find(node: fx.Node) -> fx.Node:
            found.append(node)
            return node

        fx.node.map_arg((self.args, self.kwargs), find)
        return tuple(node for node in found if isinstance(value_of(node), Tensor))[:count]

    def _reshape(self) -> tuple[Operation, ...]:
        before, after = value_of(self._tensors(1)[0]), value_of(self.node)
        kept = before.shape[0] == after.shape[0] and before.numel() == after.numel()
        if not kept or (self.node.target in _MOVES and self._moves(before)):
            raise ModelError(
                f"{where(self.node)} makes {_by(after)} of {_by(before)} by moving elements, leaving some out or "
                "mixing images, which has no integer form: keep the batch in front and the elements in their order (an "
                "input is given with its channels in front, and one time step at a time)"
            )
        return (Kind.RESHAPE,)

    def _moves(self, before: Tensor) -> bool:
        """Whether dimensions of more than one element change places: tried where each has a size of its own."""
        numbered = torch.zeros(()).expand([2 + i if size > 1 else 1 for i, size in enumerate(before.shape)])
        moved = getattr(numbered, str(getattr(self.node.target, "__name__", self.node.target)))
        found = moved(*self.args[1:], **self.kwargs).shape
        return [size for size in found if size > 1] != [size for size in numbered.shape if size > 1]

    def _sum(self) -> Read:
        given = [*self.args, *(value for name, value in self.kwargs.items() if name != "alpha")]
        factor = self.kwargs.get("alpha", 1)
        if factor != 1:
            raise ModelError(
                f"{where(self.node)} adds a branch alpha={factor} times, and a factor has no integer form: leave alpha "
                "out, for what the spikes of a shortcut are worth is trained"
            )
        numbers = [value for value in given if not isinstance(value, fx.Node)]
        if any(not isinstance(number, int | float) or number != 0 for number in numbers):
            raise ModelError(f"{where(self.node)} adds a number: give it to the bias of a layer")
        tensors = self._tensors(2)
        return ((Kind.SAME,) if numbers else (Kind.ADD,)), tensors, self.node.name

    def _refuse_changed(self) -> None:
        """Raise ModelError, if a value that the call changes in place is used after it."""
        first = self.args[0] if self.args else None
        if self.node.target not in _IN_PLACE or not isinstance(first, fx.Node):
            return
        order = {node: i for i, node in enumerate(self.node.graph.nodes)}
        later = [user for user in first.users if order[user] > order[self.node]]
        if later:
            raise ModelError(
                f"{where(self.node)} changes, in place, what {where(later[0])} takes afterwards: write x = x + y"
            )

    def _concatenation(self) -> Read:
        tensors = self._tensors(None)
        dim = self.kwargs.get("dim", self.kwargs.get("axis", self.args[1] if len(self.args) > 1 else 0))
        rank = value_of(self.node).dim()
        if not isinstance(dim, int) or dim % rank != 1:
            raise ModelError(
                f"{where(self.node)} puts tensors together along dimension {dim}, which has no integer form: do so "
                "along channels, dimension 1"
            )
        return (Kind.CONCATENATE,), tensors, self.node.name

    def _scaled(self, target: Any) -> Read:
        numbers = [value for value in self.args if isinstance(value, int | float)]
        if len(self.args) != 2 or len(numbers) != 1 or self.kwargs:
            raise refused(where(self.node), target)
        divides = target in _DIVISIONS
        if divides and not isinstance(self.args[0], fx.Node):
            raise refused(where(self.node), target)
        return (Factor(1 / numbers[0] if divides else numbers[0]),), self._tensors(1), self.node.name

    def _mean(self, kind: Any, divides: bool) -> Read:
        """Means over places become windows; over anything else there are none."""
        source = self._tensors(1)[0]
        before = value_of(source)
        dims = self.kwargs.get("dim", self.kwargs.get("axis", self.args[1] if len(self.args) > 1 else None))
        listed = dims if isinstance(dims, tuple | list) else [dims]
        if not all(isinstance(dim, int) for dim in listed) or before.dim() not in (3, 4):
            raise refused(where(self.node), self.node.target)
        axes = [dim % before.dim() for dim in listed if isinstance(dim, int)]
        if min(axes) < 2:
            raise ModelError(
                f"{where(self.node)} goes over channels or the batch, which has no integer form: only means over "
                "places, x.mean((2, 3)), have"
            )
        size = (1, *before.shape[2:])[-2:]
        window = whole(kind, size, [axis - before.dim() + 2 for axis in axes], divides)
        return (window, Kind.RESHAPE), (source,), self.node.name

    def _zero_padding(self, pad: Any, mode: str = "constant", value: float | None = None) -> Window:
        if mode != "constant" or value:
            raise ModelError(f"{where(self.node)} pads with other values than zeros, which has no integer form")
        return self._padded(tuple(pad))

    def _padded(self, pad: tuple[int, ...]) -> Window:
        """Zeros around an image: the sums of windows of one value."""
        left, right, top, bottom = (*pad, 0, 0, 0, 0)[:4]
        if any(pad[4:]) or min(pad) < 0:
            raise ModelError(f"{where(self.node)} pads other dimensions than those of an image, or cuts it off")
        return Window("avg", (1, 1), (1, 1), (top, bottom, left, right), (1, 1), 1)


def _by(x: Tensor) -> str:
    return "x".join(map(str, x.shape[1:])) or "a number"


def _dropped(kind: Callable[[float], nn.Module]) -> Callable[..., nn.Module]:
    return lambda p=0.5, training=True, inplace=False: kind(p)


# Functions that take the arguments of a module, and what they take.
_MODULES: dict[Any, Callable[..., nn.Module]] = {
    F.avg_pool1d: nn.AvgPool1d,
    F.avg_pool2d: nn.AvgPool2d,
    F.max_pool1d: nn.MaxPool1d,
    F.max_pool2d: nn.MaxPool2d,
    torch.max_pool1d: nn.MaxPool1d,
    torch.max_pool2d: nn.MaxPool2d,
    F.adaptive_avg_pool1d: nn.AdaptiveAvgPool1d,
    F.adaptive_avg_pool2d: nn.AdaptiveAvgPool2d,
    F.adaptive_max_pool1d: nn.AdaptiveMaxPool1d,
    F.adaptive_max_pool2d: nn.AdaptiveMaxPool2d,
    F.dropout: _dropped(nn.Dropout),
    F.dropout1d: _dropped(nn.Dropout1d),
    F.dropout2d: _dropped(nn.Dropout2d),
    F.alpha_dropout: _dropped(nn.AlphaDropout),
    F.feature_alpha_dropout: _dropped(nn.FeatureAlphaDropout),
}
_MOVES = frozenset(("permute", "transpose", "movedim", "swapaxes", torch.permute, torch.transpose, torch.movedim))
_RESHAPES = _MOVES | {
    "view", "reshape", "flatten", "unsqueeze", "squeeze", "unflatten", "view_as", "reshape_as", torch.reshape,
    torch.flatten, torch.unsqueeze, torch.squeeze, torch.unflatten, operator.getitem,
}  # fmt: skip
_IN_PLACE = frozenset((operator.iadd, operator.imul, operator.itruediv, "add_", "mul_", "div_"))
_ADDS = frozenset((operator.add, operator.iadd, torch.add, "add", "add_"))
_CONCATENATIONS = frozenset((torch.cat, torch.concat, torch.concatenate, torch.stack))
_DIVISIONS = frozenset((operator.truediv, operator.itruediv, torch.div, torch.true_divide, "div", "div_"))
_SCALES = _DIVISIONS | {operator.mul, operator.imul, torch.mul, torch.multiply, "mul", "mul_", "multiply"}
_MEANS: dict[Any, tuple[str, bool]] = {
    torch.mean: ("avg", True),
    "mean": ("avg", True),
    torch.sum: ("avg", False),
    "sum": ("avg", False),
    torch.amax: ("max", False),
    "amax": ("max", False),
}
