"""What a module computes in one time step, as a graph of calls whose shapes are known.

The forward method is traced symbolically, with sizes that are plain numbers: it may ask for shapes, compute with them
and branch on them, not on the values of tensors. Shapes are found by running layers on zeros.
"""

from __future__ import annotations

import inspect
import operator
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch.nn.parameter import is_lazy

from ..errors import ModelError
from ..io.texts import counted
from .integrator import LeakyIntegrator
from .layers import OneToOne, knows_time
from .lif import LIF

# Calls that give the values that they were given: numbers are of one kind here, and on no device.
CONVERSIONS = frozenset(
    ("float", "double", "half", "bfloat16", "to", "type", "type_as", "cuda", "cpu", "contiguous", "clone", "detach")
)
VIEWS = frozenset(("view", "reshape", torch.reshape))


def value_of(node: fx.Node) -> Any:
    """The value of a node while it is traced: zeros of its shape for a tensor, else the value itself."""
    return node.meta["value"]


def where(node: fx.Node) -> str:
    """The name of a node in messages."""
    if node.op == "call_module":
        return f"layer {str(node.target)!r}"
    if node.op == "placeholder":
        return f"the input {str(node.target)!r}"
    within = f" of {node.meta['within']!r}" if node.meta["within"] else ""
    if node.op == "get_attr":
        return f"the use of {str(node.target)!r} in the forward method{within}"
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
    return f"the call of {name!r} in the forward method{within}"


class InstantProxy(fx.Proxy):
    """A tensor whose shape is known while a forward method is traced."""

    @property
    def value(self) -> Any:
        return value_of(self.node)

    @property
    def shape(self) -> torch.Size:
        return cast(torch.Size, self.value.shape)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def dtype(self) -> torch.dtype:
        return cast(torch.dtype, self.value.dtype)

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    def size(self, dim: int | None = None) -> Any:
        return self.shape if dim is None else self.shape[dim]

    def dim(self) -> int:
        return len(self.shape)

    def numel(self) -> int:
        return self.shape.numel()

    def __len__(self) -> int:
        return len(self.value)

    def __iadd__(self, other: Any) -> Any:
        return self.tracer.create_proxy("call_function", operator.iadd, (self, other), {})

    def __imul__(self, other: Any) -> Any:
        return self.tracer.create_proxy("call_function", operator.imul, (self, other), {})

    def __itruediv__(self, other: Any) -> Any:
        return self.tracer.create_proxy("call_function", operator.itruediv, (self, other), {})

    def __iter__(self) -> Iterator[Any]:
        if isinstance(self.value, Tensor):
            raise TypeError("a tensor is taken apart; LIF gives spikes and nothing else")
        return (self[i] for i in range(len(self.value)))  # type: ignore[index]


class InstantTracer(fx.Tracer):
    """Traces the ``forward`` of a module for one time step.

    Args:
        given: what comes in, [N, ...]; only the shapes are looked at.

    Attributes:
        advice: what the author of a forward method that cannot be traced should do.
    """

    advice = (
        "let it call its layers one after another, without branches that depend on values and without a loop over time"
    )

    def __init__(self, given: Sequence[Tensor]) -> None:
        super().__init__(autowrap_modules=())  # type: ignore[arg-type]
        self.given = [zeros(x) for x in given]
        self.within = [""]
        self.evaluating = False

    def read(self, module: nn.Module) -> fx.GraphModule:
        """Trace a module. Returns its calls; each node has a ``value_of``.

        Raises:
            ModelError: the forward method cannot be traced.
        """
        if self.is_leaf_module(module, "") and not knows_time(module):
            module = nn.Sequential(OrderedDict({type(module).__name__.lower(): module}))
        self.traced_func_name = "instant" if knows_time(module) else "forward"
        self.named = self._inputs(getattr(module, self.traced_func_name))
        taken = next((name for name, _ in module.named_children() if hasattr(fx.GraphModule, name)), None)
        if taken is not None:
            raise ModelError(f"layer {taken!r} has a name that torch.fx keeps for itself: call it otherwise")
        modes = {part: part.training for part in module.modules()}
        try:
            with torch.no_grad(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of what is run on zeros
                graph = self.trace(module.eval())
            return fx.GraphModule(module, graph)
        except ModelError:
            raise
        except Exception as error:  # whatever a user's forward method does
            raise ModelError(
                f"the forward method of {type(module).__name__} cannot be traced ({_first_line(error)}): {self.advice}"
            ) from error
        finally:
            for part, mode in modes.items():
                part.training = mode

    def _inputs(self, forward: Callable[..., Any]) -> dict[str, Tensor]:
        """What comes in, by the names of the arguments; others keep their defaults."""
        taken = [
            parameter
            for parameter in inspect.signature(forward).parameters.values()
            if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        ]
        names = [parameter.name for parameter in sorted(taken, key=lambda one: one.default is not one.empty)]
        needed = [parameter.name for parameter in taken if parameter.default is parameter.empty]
        if not len(needed) <= len(self.given) <= len(names):
            raise ModelError(
                f"the forward method takes {counted(len(needed), 'input')} ({', '.join(needed)}), and input_shape is "
                f"that of {len(self.given)}: give a list with the shape of each, and what is no input a default value"
            )
        return dict(zip(names, self.given, strict=False))

    def create_args_for_root(self, root_fn: Any, is_module: bool, concrete_args: Any = None) -> tuple[Any, list[Any]]:
        """As in ``fx.Tracer``, with inputs for what is given alone."""

        def call(root: Any, *given: Any) -> Any:
            return root_fn(root, **dict(zip(self.named, given, strict=True)))

        return call, [self.root, *(self.create_proxy("placeholder", name, (), {}) for name in self.named)]

    # ---- what is called as a whole ----

    def is_leaf_module(self, m: nn.Module, qualified_name: str) -> bool:
        """Whether a module's forward method is that of one of torch's layers or neurons, not one of its own."""
        for own in (LIF, LeakyIntegrator, OneToOne):
            if isinstance(m, own):
                return type(m).forward is own.forward
        parts = (getattr(type(m), name, None) for name in ("forward", "_conv_forward"))
        return not isinstance(m, nn.Sequential) and all(
            part is None or str(getattr(part, "__module__", "")).startswith("torch.nn.") for part in parts
        )

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        if self.evaluating:
            return forward(*args, **kwargs)
        self.within.append(self.path_of_module(m))
        try:
            if knows_time(m):
                return m.instant(*args, **kwargs)
            return super().call_module(m, forward, args, kwargs)
        finally:
            self.within.pop()

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, fx.Proxy]) -> Any:
        return attr_val if self.evaluating else super().getattr(attr, attr_val, parameter_proxy_cache)

    # ---- shapes ----

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return InstantProxy(node, self)

    def create_node(self, kind: str, target: Any, args: Any, kwargs: Any, *rest: Any, **named: Any) -> fx.Node:
        node = super().create_node(kind, target, args, kwargs, *rest, **named)
        node.meta["within"] = self.within[-2] if kind == "call_module" else self.within[-1]
        self.evaluating, before = True, self.evaluating
        try:
            node.meta["value"] = self.evaluate(node)
        except Exception as error:  # whatever torch says of shapes
            module = self.root.get_submodule(str(target)) if kind == "call_module" else None
            given = ", ".join(f"{_sizes(value_of(x))} of {where(x)}" for x in node.all_input_nodes)
            reason = _mismatch(module, node) or _first_line(error)
            raise ModelError(f"{where(node)} does not fit what comes in, {given}: {reason}") from error
        finally:
            self.evaluating = before
        return node

    def evaluate(self, node: fx.Node) -> Any:
        """What a node gives, of zeros."""
        args: Any = fx.node.map_arg(node.args, _memory_of)
        kwargs: Any = fx.node.map_arg(node.kwargs, _memory_of)
        target: Any = node.target
        if node.op == "placeholder":
            return self.named[target]
        if node.op == "get_attr":
            return zeros(_attribute(self.root, target))
        if node.op == "output" or target in CONVERSIONS:
            return args[0]
        if node.op == "call_module":
            return fx.node.map_aggregate(_called(self.root.get_submodule(target), args, kwargs), zeros)
        if target in VIEWS:
            args = (args[0], _of_this_batch(args[0], args[1:]))
        found = getattr(args[0], target)(*args[1:], **kwargs) if node.op == "call_method" else target(*args, **kwargs)
        return fx.node.map_aggregate(found, zeros)

    def earlier(self, body: nn.Module, x: InstantProxy) -> fx.Proxy:
        """What ``body``, called on ``x``, gave one step before."""
        graph = InstantTracer([x.value]).read(nn.Sequential(body)).graph
        node = self.create_node("call_function", earlier_spikes, (x.node,), {"like": None})
        node.meta["value"] = next(value_of(node) for node in graph.nodes if node.op == "output")
        return self.proxy(node)


def earlier_spikes(x: Any, like: Any) -> Any:
    """While tracing: the output of a module at the step before, zeros before the first."""
    if like is None:
        return x  # its shape is set by whoever makes the node
    if not isinstance(x, InstantProxy):
        raise ModelError("what was one step before is known in a graph of one time step only")
    return cast(InstantTracer, x.tracer).earlier(like, x)


def fed_back(spikes: Any, earlier: Any) -> Any:
    """While tracing: mark ``spikes`` as those that come back as ``earlier`` one step later."""
    if isinstance(spikes, InstantProxy):
        return spikes.tracer.create_proxy("call_function", fed_back, (spikes, earlier), {})
    return spikes


def each_step(module: nn.Module, *inputs: Tensor) -> Iterator[Any]:
    """Run a module over time, from zero state, and yield its output at each step: neurons and recurrent connections
    keep their state from step to step.

    Args:
        module: of one time step, with LIF layers anywhere in it.
        inputs: [T, N, ...] each.

    Raises:
        ModelError: its forward method cannot be traced.
    """
    graph = InstantTracer([x[0] for x in inputs]).read(module)
    state: dict[str, Tensor] = {}
    for given in zip(*inputs, strict=True):
        stepper = _Stepper(graph, state)
        yield stepper.run(*given)
        state = stepper.after


class _Stepper(fx.Interpreter):
    """One time step of a graph.

    Args:
        before: by the names of nodes, potentials that were stored and spikes that come back.

    Attributes:
        after: the same behind the step.
    """

    def __init__(self, graph: fx.GraphModule, before: dict[str, Tensor]) -> None:
        super().__init__(graph)
        self.before = before
        self.after: dict[str, Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        if n.target is earlier_spikes:
            x = self.env[n.all_input_nodes[0]]
            return self.before.get(n.name, x.new_zeros(value_of(n).shape))
        if n.target is fed_back:
            given, earlier = n.all_input_nodes
            self.after[earlier.name] = self.env[given]
            return self.env[given]
        module = self.fetch_attr(str(n.target)) if n.op == "call_module" else None
        if isinstance(module, LeakyIntegrator):
            current = self.env[n.all_input_nodes[0]]
            self.after[n.name] = module.leak * self.before.get(n.name, torch.zeros_like(current)) + current
            return self.after[n.name]
        if not isinstance(module, LIF):
            return super().run_node(n)
        current = self.env[n.all_input_nodes[0]]
        state = self.before[n.name] if n.name in self.before else module.initial_state(current)
        spikes, self.after[n.name] = module.step(current, state)
        return spikes


def zeros(value: Any) -> Any:
    """Zeros of a tensor's shape that take no memory; any other value unchanged."""
    return torch.zeros(()).expand(value.shape) if isinstance(value, Tensor) else value


def _memory_of(node: fx.Node) -> Any:
    """What a node gives, to be computed with: functions may change it in place."""
    value = value_of(node)
    return value.clone() if isinstance(value, Tensor) else value


def _called(module: nn.Module, args: Any, kwargs: Any) -> Any:
    if isinstance(module, LIF):
        return args[0]
    own = next((tensor for tensor in module.parameters() if not is_lazy(tensor)), torch.zeros(()))
    return module(*(arg.to(own) if isinstance(arg, Tensor) else arg for arg in args), **kwargs)


def _of_this_batch(x: Tensor, sizes: tuple[Any, ...]) -> tuple[Any, ...]:
    """Sizes of a view, where the first is that of the batch that its author had in mind."""
    listed = tuple(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], tuple | list) else sizes
    return listed if not listed or listed[0] == -1 else (len(x), *listed[1:])


def _mismatch(module: nn.Module | None, node: fx.Node) -> str | None:
    """What a layer takes, where it takes something else than it is given."""
    shape = value_of(node.all_input_nodes[0]).shape[1:] if node.all_input_nodes else ()
    if isinstance(module, nn.Linear) and shape[-1:] != (module.in_features,):
        return f"it takes {module.in_features} features"
    if type(module).__name__.endswith("2d") and len(shape) != 3:
        return "it takes images (C, H, W)"
    for name in ("in_channels", "num_features"):
        taken = getattr(module, name, None)
        if taken and shape[:1] != (taken,):
            return f"it takes {taken} channels"
    return None


def _attribute(root: nn.Module, path: str) -> Any:
    owner, _, name = path.rpartition(".")
    return getattr(root.get_submodule(owner), name)


def _sizes(value: Any) -> str:
    return "x".join(map(str, value.shape[1:])) if isinstance(value, Tensor) else type(value).__name__


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
