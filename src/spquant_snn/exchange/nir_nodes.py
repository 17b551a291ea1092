"""Nodes of NIR without a memory, as layers of torch; and nested graphs as one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import ModelError
from ..nn.layers import OneToOne

Edges = list[tuple[str, str]]


def flattened(graph: Any, prefix: str = "") -> tuple[dict[str, Any], Edges]:
    """The nodes of a graph and of those in it, by their paths, and the edges between them.

    Raises:
        ModelError: an edge leads from or to a node that is not there, or past all nodes of a nested graph.
    """
    nodes: dict[str, Any] = {}
    edges: Edges = []
    ways_in: dict[str, list[str]] = {}
    ways_out: dict[str, list[str]] = {}
    for name, node in graph.nodes.items():
        path = prefix + str(name)
        if type(node).__name__ != "NIRGraph":
            nodes[path] = node
            continue
        inner, between = flattened(node, f"{path}.")
        own = {f"{path}.{one}" for one in node.nodes}
        ends = {one: type(part).__name__ for one, part in inner.items() if one in own}
        if any((ends.get(one), ends.get(other)) == ("Input", "Output") for one, other in between):
            raise ModelError(
                f"the graph {path!r} hands on what it takes as it is: leave it out, and join its neighbours"
            )
        ways_in[path] = [other for one, other in between if ends.get(one) == "Input"]
        ways_out[path] = [one for one, other in between if ends.get(other) == "Output"]
        nodes.update({one: part for one, part in inner.items() if ends.get(one) not in ("Input", "Output")})
        edges += [edge for edge in between if not {ends.get(edge[0]), ends.get(edge[1])} & {"Input", "Output"}]
    for one, other in graph.edges:
        sources = ways_out.get(prefix + str(one), [prefix + str(one)])
        targets = ways_in.get(prefix + str(other), [prefix + str(other)])
        edges += [(source, target) for source in sources for target in targets]
    missing = next((name for edge in edges for name in edge if name not in nodes), None)
    if missing is not None:
        raise ModelError(f"an edge of the NIR graph names the node {missing!r}, which is not there")
    return nodes, list(dict.fromkeys(edges))


def back_edges(edges: Edges, inputs: list[str]) -> set[tuple[str, str]]:
    """The edges that lead back: to a node on the way from the inputs to where they start."""
    following: dict[str, list[str]] = {}
    for one, other in edges:
        following.setdefault(one, []).append(other)
    seen: set[str] = set()
    found: set[tuple[str, str]] = set()
    for start in inputs:
        way = {start: iter(following.get(start, []))}  # in order
        seen.add(start)
        while way:
            name, rest = next(reversed(way.items()))
            for other in rest:
                if other in way:
                    found.add((name, other))
                elif other not in seen:
                    seen.add(other)
                    way[other] = iter(following.get(other, []))
                    break
            else:
                way.popitem()
    return found


def paths_of(names: list[str]) -> dict[str, str]:
    """Paths of modules for the names of nodes: none is an attribute that modules have, and none lies below another."""
    owned = dir(nn.Module())
    found: dict[str, str] = {}
    for name in sorted(names, key=len):  # those that lie below others come behind them
        path = ".".join(f"{part}_" if not part or part in owned else part for part in name.split("."))
        while path in found.values() or any(f"{path}.".startswith(f"{other}.") for other in found.values()):
            head, _, last = path.rpartition(".")
            path = f"{head}_{last}" if head else f"{path}_"
        found[name] = path
    return found


def layer_of(name: str, node: Any) -> nn.Module | None:
    """The layer that a node is; None where it changes nothing.

    Raises:
        ModelError: it has no form.
    """
    kind = type(node).__name__
    build = _LAYERS.get(kind)
    if build is not None:
        try:
            return build(node)
        except (ValueError, TypeError, RuntimeError) as error:  # numbers of another kind or shape than NIR says
            said = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ModelError(f"node {name!r} of the NIR graph, {kind}, makes no layer: {said}") from error
    if kind in ("Input", "Output"):
        return None
    if kind == "Delay":  # of nothing
        return None
    raise ModelError(
        f"node {name!r} of the NIR graph is {kind}, which has no form here: {', '.join(_LAYERS)}, IF, LIF, CubaLIF, LI "
        "and Threshold have"
    )


def _linear(node: Any) -> nn.Module:
    weight = tensor_of(node.weight)
    bias = getattr(node, "bias", None)
    if weight.dim() != 2 or not weight.numel():
        raise ValueError(f"weights of shape {'x'.join(map(str, weight.shape))} are no matrix")
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, dtype=weight.dtype)
    layer.weight = nn.Parameter(weight)
    if bias is not None:
        layer.bias = nn.Parameter(_bias(tensor_of(bias), weight))
    return layer


def _bias(bias: Tensor, weight: Tensor) -> Tensor:
    if tuple(bias.shape) != (len(weight),):
        raise ValueError(f"a bias of shape {'x'.join(map(str, bias.shape))} is none for {len(weight)} outputs")
    return bias.to(weight.dtype)


def _convolution(node: Any) -> nn.Module:
    weight = tensor_of(node.weight)
    made: Any = nn.Conv1d if weight.dim() == 3 else nn.Conv2d
    padding = node.padding if isinstance(node.padding, str) else _sizes(node.padding)
    layer: nn.Module = made(
        weight.shape[1] * node.groups,
        weight.shape[0],
        tuple(weight.shape[2:]),
        _sizes(node.stride),
        padding.decode() if isinstance(padding, bytes) else padding,
        _sizes(node.dilation),
        int(node.groups),
        dtype=weight.dtype,
    )
    layer.weight = nn.Parameter(weight)
    layer.bias = nn.Parameter(_bias(tensor_of(node.bias), weight))
    return layer


def _pool(node: Any) -> nn.Module:
    divisor = 1 if type(node).__name__ == "SumPool2d" else None
    sizes = (_sizes(node.kernel_size), _sizes(node.stride), _sizes(node.padding))
    return nn.AvgPool2d(*sizes, divisor_override=divisor)


def largest_of(node: Any) -> nn.Module:
    """The largest of the windows of a pool."""
    return nn.MaxPool2d(_sizes(node.kernel_size), _sizes(node.stride), _sizes(node.padding))


def _flatten(node: Any) -> nn.Module:
    return nn.Flatten()  # of a shape that the graph does not say


def _scale(node: Any) -> nn.Module:
    scale = tensor_of(node.scale)
    rows = scale.reshape(len(scale), -1) if scale.dim() else scale.reshape(1, 1)
    if not bool((rows == rows[:, :1]).all()):
        raise ValueError(
            f"a Scale of {'x'.join(map(str, scale.shape))} numbers differs within channels, which has no form"
        )
    layer = OneToOne(len(rows))
    layer.weight = nn.Parameter(rows[:, 0])
    return layer


def tensor_of(value: Any) -> Tensor:
    """Numbers of a node, which some packages write as tensors."""
    found = value.detach().clone() if isinstance(value, Tensor) else torch.from_numpy(np.array(value))
    return found if found.is_floating_point() else found.float()


def _sizes(value: Any) -> Any:
    """Sizes of NIR, one or one for each dimension."""
    found = np.array(value)
    return int(found) if found.ndim == 0 else tuple(int(size) for size in found)


_LAYERS: dict[str, Callable[[Any], nn.Module]] = {
    "Affine": _linear,
    "Linear": _linear,
    "Conv1d": _convolution,
    "Conv2d": _convolution,
    "AvgPool2d": _pool,
    "SumPool2d": _pool,
    "Flatten": _flatten,
    "Scale": _scale,
}
