"""Reads a forward method as it stands, loops over time included: every call of every step, neurons as a whole."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor, fx, nn

from ..errors import ModelError
from ..nn.instant import InstantProxy, InstantTracer, value_of, zeros
from .foreign_package import Call, ForeignPackage, NoForm
from .neuron_form import NeuronForm

Neuron = tuple[NeuronForm, Call]


class _Given(InstantProxy):
    """A tensor that may be taken apart: a loop may go over its first axis, and write into it."""

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self.value)))  # type: ignore[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        self.tracer.create_proxy("call_function", operator.setitem, (self, index, value), {})


class ForwardTracer(InstantTracer):
    """Traces a module of another package, with its neurons and layers as leaves.

    Args:
        given: inputs as the forward method takes them; only the shapes are looked at.

    Attributes:
        neurons: by path.
    """

    advice = "call its layers one after another, and let no branch depend on values"

    def __init__(self, given: Sequence[Tensor], package: ForeignPackage) -> None:
        super().__init__(given)
        self.package = package
        self.neurons: dict[str, Neuron] = {}
        self.reasons: dict[str, str] = {}  # why others have no form, which matters where they are called

    def read(self, module: nn.Module) -> fx.GraphModule:
        """As in ``InstantTracer``; neurons are looked at before, for in a trace parameters are no numbers."""
        whole = (
            nn.Sequential(OrderedDict({type(module).__name__.lower(): module})) if self._is_layer(module) else module
        )
        for path, part in whole.named_modules():
            try:
                found = self.package.neuron(part)
            except NoForm as reason:
                self.reasons[path] = str(reason)
                continue
            if found is not None:
                self.neurons[path] = found
        return super().read(whole)

    def _is_layer(self, module: nn.Module) -> bool:
        try:
            return self.package.neuron(module) is not None or self.package.layer(module) is not None
        except NoForm:
            return True

    def is_leaf_module(self, m: nn.Module, qualified_name: str) -> bool:
        path = self.path_of_module(m) if qualified_name else ""
        if path in self.reasons:
            raise ModelError(f"layer {path!r}, {type(m).__name__} of {self.package.name}, {self.reasons[path]}")
        if path in self.neurons:
            return True
        if self.package.owns(m):
            return self.package.layer(m) is not None
        return bool(path) and super().is_leaf_module(m, qualified_name)

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Given(node, self)

    def evaluate(self, node: fx.Node) -> Any:
        target: Any = node.target
        if node.op == "call_module":
            neuron = self.neurons.get(target)
            if neuron is not None:
                return _returned(neuron, value_of(node.all_input_nodes[0]))
        if target is operator.setitem:
            return None
        if target is getattr and node.args[1] == "values":  # of torch.max, which gives a tuple here
            return value_of(cast(fx.Node, node.args[0]))[0]
        if target is operator.getitem and isinstance(node.args[0], fx.Node):
            index: Any = node.args[1]
            value = value_of(node.args[0])
            if isinstance(value, Tensor) and isinstance(index, int) and node.args[0].op == "placeholder":
                return zeros(value[index % len(value)])  # a loop of as many steps as the author has in mind
            if isinstance(value, Tensor) and isinstance(index, tuple) and node.args[0].op == "placeholder":
                return zeros(value[tuple(_inside(i, size) for i, size in zip(index, value.shape, strict=False))])
        return super().evaluate(node)


def _inside(index: Any, size: int) -> Any:
    return index % size if isinstance(index, int) and not isinstance(index, bool) else index


def _returned(neuron: Neuron, current: Tensor) -> Any:
    """What neurons return for currents, as zeros."""
    form, call = neuron
    out = zeros(current)
    if isinstance(form.weights, nn.Linear):
        out = torch.zeros(()).expand(*current.shape[:-1], form.weights.out_features)
    if call.how is not None:
        out = zeros(out[0])
    if len(call.outputs) == 1:
        return out
    return tuple(out for _ in call.outputs)
