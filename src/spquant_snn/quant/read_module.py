"""Reading a user's module: which layers it calls, one after another, and which spikes it adds to sums on the way.

The module's forward method is traced symbolically, as what it computes in one instant. Layers may be modules or the
usual functions of torch.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import fx, nn

from ..errors import ModelError
from ..nn.layers import knows_time
from ..nn.lif import LIF

_LEAVES = (
    nn.Conv2d,
    nn.Linear,
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.AvgPool2d,
    nn.MaxPool2d,
    nn.Flatten,
    nn.Dropout,
    nn.Identity,
    LIF,
)


@dataclass(frozen=True)
class Join:
    """A sum: what the spikes of an earlier layer add to the currents of the row.

    Args:
        source: place of the LIF layer in the row.
        layer: Conv2d between them; None where the spikes themselves are added.
    """

    source: int
    layer: nn.Conv2d | None


Layer = tuple[str, nn.Module | Join]


def read_layers(model: nn.Module) -> list[Layer]:
    """The layers that a model calls, in order, with their paths; sums with shortcuts stand where they are made.

    Raises:
        ModelError: the model does something else than calling layers in a row, with shortcuts around some.
    """
    if _is_leaf(model):
        return [(type(model).__name__.lower(), model)]
    graph = trace(model)
    modules = dict(model.named_modules())
    layers: list[Layer] = []
    sums = {node: _branches(node, modules) for node in graph.nodes if _terms(node)}
    aside = {node for _, shortcut in sums.values() for node in shortcut[1:]}
    places: dict[fx.Node, int] = {}
    previous: fx.Node | None = None
    for node in graph.nodes:
        if node in aside:
            continue
        places[node] = len(layers)
        if node.op == "output":
            if node.args[0] is not previous:
                raise ModelError(f"{type(model).__name__}.forward must return the output of its last layer alone")
            break
        if node.op == "placeholder":
            if previous is not None:
                raise ModelError(
                    f"{type(model).__name__}.forward must take one argument, the image, but also takes {node.name!r}"
                )
        elif _is_batch_size(node):
            continue
        elif node in sums:
            main, shortcut = sums[node]
            if main is not previous:
                raise _branched(node)
            layers.append(_join(node, shortcut, modules, places))
        else:
            layers.append(_layer_of(node, previous, modules))
        previous = node
    called: set[nn.Module] = set()
    for path, found in layers:
        for layer in modules_of(found):
            if layer in called and isinstance(layer, nn.Conv2d | nn.Linear | nn.BatchNorm1d | nn.BatchNorm2d):
                raise ModelError(
                    f"layer {path!r} is called twice: shared weights cannot be lowered, use a layer for each place"
                )
            called.add(layer)
    return layers


def modules_of(layer: nn.Module | Join) -> list[nn.Module]:
    """The module that a layer is; that of a shortcut, if it has one."""
    found = layer.layer if isinstance(layer, Join) else layer
    return [] if found is None else [found]


def trace(model: nn.Module) -> fx.Graph:
    """The calls that a model makes in one instant.

    Raises:
        ModelError: its forward method cannot be traced.
    """
    try:
        return _Tracer().trace(model)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(
            f"the forward method of {type(model).__name__} cannot be traced ({error}): "
            "let it call its layers one after another, without branches that depend on values and without a loop "
            "over time"
        ) from error


def _is_leaf(module: nn.Module) -> bool:
    """Whether a module is one of torch's layers, not one that inherits from them to compute something else."""
    return any(isinstance(module, leaf) and _computes_as(type(module), leaf) for leaf in _LEAVES)


def _computes_as(kind: type[nn.Module], leaf: type[nn.Module]) -> bool:
    return all(getattr(kind, name, None) is getattr(leaf, name, None) for name in ("forward", "_conv_forward"))


class _Tracer(fx.Tracer):
    """Reads nested rows and a row at the top alike."""

    def __init__(self) -> None:
        super().__init__(autowrap_modules=())  # type: ignore[arg-type]

    def trace(self, root: nn.Module | Callable[..., Any], concrete_args: dict[str, Any] | None = None) -> fx.Graph:
        if isinstance(root, nn.Module) and knows_time(root):
            self.traced_func_name = "instant"
        return super().trace(root, concrete_args)

    def is_leaf_module(self, m: nn.Module, qualified_name: str) -> bool:
        return _is_leaf(m) or (m.__module__.startswith("torch.nn") and not isinstance(m, nn.Sequential))

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        if knows_time(m):
            return m.instant(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)


# Functions that stand for a layer; the layer is built from the same arguments.
_FUNCTIONS: dict[Any, Callable[..., nn.Module]] = {
    F.avg_pool2d: nn.AvgPool2d,
    F.max_pool2d: nn.MaxPool2d,
    F.dropout: lambda p=0.5, training=True, inplace=False: nn.Dropout(p),
}


def _is_batch_size(node: fx.Node) -> bool:
    """Whether a node is ``x.size(0)`` or ``x.shape[0]``, or the ``x.shape`` or ``x.size()`` in it."""
    if node.op == "call_method" and node.target == "size":
        return (*node.args[1:], *node.kwargs.values()) in ((), (0,))
    if node.target is getattr:
        return bool(node.args[1] == "shape")
    source, index = (*node.args, None, None)[:2]
    of_shape = isinstance(source, fx.Node) and _is_batch_size(source)
    return node.target is operator.getitem and of_shape and index in (0,)


def _layer_of(node: fx.Node, previous: fx.Node | None, modules: dict[str, nn.Module]) -> Layer:
    if [source for source in node.all_input_nodes if not _is_batch_size(source)] != [previous]:
        raise _branched(node)
    if node.op == "call_module":
        return str(node.target), modules[str(node.target)]
    if _flattens(node):
        return node.name, nn.Flatten()
    if node.target in _FUNCTIONS:
        return node.name, _FUNCTIONS[node.target](*node.args[1:], **node.kwargs)
    raise ModelError(
        f"{_where(node)} has no integer form: use Conv2d, Linear, BatchNorm1d/2d, AvgPool2d, MaxPool2d on spikes, "
        "Flatten (or flatten(1)), Dropout and LIF layers"
    )


def _branched(node: fx.Node) -> ModelError:
    return ModelError(
        f"{_where(node)} does not take the output of the layer before it and nothing else: the only branch that has an "
        "integer form is a shortcut, bn(conv(y) + shortcut(x)) with spikes x and a LIF layer behind it"
    )


# ---- shortcuts ----


def _terms(node: fx.Node) -> list[fx.Node]:
    """The two tensors that a call adds; none where it does something else."""
    if node.target not in (operator.add, operator.iadd, torch.add, "add", "add_"):
        return []
    given = [*node.args, *(value for name, value in node.kwargs.items() if name != "alpha")]
    tensors = [value for value in given if isinstance(value, fx.Node) and not _is_batch_size(value)]
    return tensors if len(tensors) == len(given) == 2 else []


def _branches(node: fx.Node, modules: dict[str, nn.Module]) -> tuple[fx.Node, list[fx.Node]]:
    """The main input of a sum, and the other branch from its root, spikes as a rule, to its last layer."""
    factor = node.kwargs.get("alpha", 1)
    if factor != 1:
        raise ModelError(
            f"{_where(node)} adds a branch alpha={factor} times, and a factor has no integer form: leave alpha out, "
            "for what the spikes of a shortcut are worth is trained"
        )
    order = {other: i for i, other in enumerate(node.graph.nodes)}
    one, two = (_path(term, modules) for term in _terms(node))
    while len(one) > 1 and len(two) > 1 and one[1] is two[1]:  # they part later
        one, two = one[1:], two[1:]
    first = (order[one[0]], _weighs(one, modules)) >= (order[two[0]], _weighs(two, modules))
    main, shortcut = (one, two) if first else (two, one)
    return main[-1], shortcut


def _weighs(path: list[fx.Node], modules: dict[str, nn.Module]) -> bool:
    """Whether there are weights behind the root of a branch."""
    return any(isinstance(modules.get(str(node.target)), nn.Conv2d | nn.Linear) for node in path[1:])


def _path(node: fx.Node, modules: dict[str, nn.Module]) -> list[fx.Node]:
    """The nodes from the nearest spikes, sum or input before a node up to it."""
    path = [node]
    while not (_is_lif(node, modules) or _terms(node) or node.op == "placeholder"):
        inputs = [source for source in node.all_input_nodes if not _is_batch_size(source)]
        if len(inputs) != 1:
            break
        node = inputs[0]
        path.append(node)
    return path[::-1]


def _is_lif(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    return node.op == "call_module" and isinstance(modules[str(node.target)], LIF)


def _join(node: fx.Node, shortcut: list[fx.Node], modules: dict[str, nn.Module], places: dict[fx.Node, int]) -> Layer:
    root, *rest = shortcut
    for part in shortcut:
        if part.target is F.dropout or isinstance(modules.get(str(part.target)), nn.Dropout):
            raise ModelError(
                f"{_where(part)}: training drops inputs of a sum's main branch or the sum itself, never what a "
                "shortcut adds: move dropout into the main branch, conv(dropout(y)), or behind the sum, "
                "dropout(bn(conv(y) + shortcut(x)))"
            )
    if not _is_lif(root, modules):
        raise ModelError(
            f"a shortcut must start at the spikes of a LIF layer, but {_where(node)} adds what comes from "
            f"{_where(root)}: put a LIF layer there"
        )
    found = [(part, modules.get(str(part.target))) for part in rest]
    layers = [(part, layer) for part, layer in found if not isinstance(layer, nn.Identity)]
    for part, layer in layers:
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            raise ModelError(
                f"{_where(part)}: batch normalisation in a shortcut has no integer form; normalise the sum, "
                "bn(conv(y) + shortcut(x))"
            )
    for part, layer in layers:
        if not isinstance(layer, nn.Conv2d) or len(layers) > 1:
            raise ModelError(
                f"{_where(part)} has no integer form in a shortcut: it is the spikes themselves or one Conv2d on them"
            )
    if not layers:
        named = [str(part.target) for part, layer in found if layer is not None]
        return (named or [node.name])[-1], Join(places[root], None)
    return str(layers[0][0].target), Join(places[root], cast(nn.Conv2d, layers[0][1]))


def _flattens(node: fx.Node) -> bool:
    """Whether a call is ``flatten(1)``, or ``view`` or ``reshape`` to (batch size, -1) or (-1, features)."""
    rest = node.args[1:]
    if node.target in (torch.flatten, "flatten"):
        return (rest, node.kwargs) in (((1,), {}), ((), {"start_dim": 1}))
    if node.target not in ("view", "reshape", torch.reshape) or node.kwargs:
        return False
    shape = rest[0] if len(rest) == 1 and isinstance(rest[0], tuple | list) else rest
    rows, features = (*shape, None, None)[:2]
    if len(shape) != 2 or not isinstance(features, int):
        return False
    return rows == -1 if not isinstance(rows, fx.Node) else features == -1 and _is_batch_size(rows)


def _where(node: fx.Node) -> str:
    if node.op == "call_module":
        return f"layer {node.target!r}"
    if node.op == "placeholder":
        return f"the input {node.target!r}"
    target = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
    return f"the {'use' if node.op == 'get_attr' else 'call'} of {target!r} in the forward method"
