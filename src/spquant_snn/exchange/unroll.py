"""From the calls of a forward method, of every time step, to one step that is repeated.

Every value of the forward method is an expression of one step, at a time. The time is counted by neurons, whose calls
hand their state on, and by what is taken of a sequence; that all steps are one is seen from equal expressions.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, fx, nn

from ..errors import ModelError
from ..nn.instant import CONVERSIONS, value_of, where
from .forward_tracer import ForwardTracer
from .neuron_form import NeuronForm
from .same_steps import one_step
from .step_expressions import Expression, Expressions, Layout, Signal, Site, StateAt, Summary, flat, is_zero, whose
from .tensor_functions import (
    ADDS,
    DIVISIONS,
    EACH_ELEMENT,
    JOINS,
    MOVES,
    RANDOM,
    REDUCTIONS,
    REPEATS,
    RESHAPES,
    SCALES,
    WRITES,
    ZEROS,
)
from .time_axes import (
    LAYOUTS,
    SWAPS,
    Written,
    check_taken,
    element_behind,
    layout_behind,
    shown_again,
    steps_in,
    swapped,
)


@dataclass(frozen=True)
class RepeatedStep:
    """What a forward method does in each step.

    Args:
        returned: as the forward method returns it: tuples, lists and dictionaries of signals, what was made of them
            over time, and states.
        steps: of the loop; those of the input, where it goes over them.
        static_input: whether each step sees the same input.
    """

    returned: Any
    sites: list[Site]
    expressions: Expressions
    steps: int
    static_input: bool = False


def repeated_step(traced: fx.GraphModule, tracer: ForwardTracer, layout: Layout) -> RepeatedStep:
    """Read a traced forward method.

    Args:
        layout: of its inputs.

    Raises:
        ModelError: it does not repeat one step.
    """
    reader = _Reader(traced, tracer, layout)
    for node in traced.graph.nodes:
        reader.values[node] = reader.read(node)
    if not reader.sites:
        raise ModelError(f"the network calls no neurons of {tracer.package.name}")
    loop = one_step(reader.sites)
    steps = loop or reader.given_steps or next(iter(reader.shown), 1)
    return RepeatedStep(reader.returned, reader.sites, reader.expressions, steps, layout == "step" and steps > 1)


def _by_channel(node: fx.Node, site: Site) -> NeuronForm:
    try:
        return site.form.by_channel(site.shape)
    except ValueError as reason:
        raise ModelError(f"{where(node)} {reason}") from None


class _Reader:
    def __init__(self, traced: fx.GraphModule, tracer: ForwardTracer, layout: Layout) -> None:
        self.traced, self.tracer, self.layout = traced, tracer, layout
        self.values: dict[fx.Node, Any] = {}
        self.sites: list[Site] = []
        self.kept: dict[str, Site] = {}  # by the path of neurons that keep their state themselves
        self.written: dict[Any, Written] = {}  # into tensors, by nodes or by paths
        self.expressions = Expressions()
        self.inputs = 0
        self.returned: Any = None
        self.shown: list[int] = []  # numbers of steps that were put together, or for which an image is shown
        given = value_of(next(node for node in traced.graph.nodes if node.op == "placeholder"))
        self.batch = given.shape[1 if layout == "TN" else 0]
        self.given_steps = {"TN": given.shape[0], "NT": given.shape[1] if given.dim() > 1 else 0}.get(layout, 0)

    def read(self, node: fx.Node) -> Any:
        """The value of a node."""
        target: Any = node.target
        if node.op == "placeholder":
            self.inputs += 1
            return Signal(self.expressions.make("input", self.inputs - 1, node=node), self.layout)
        if node.op == "output":
            self.returned = self._given(node.args[0])
            check_taken(self.written, self.returned)
            return None
        if node.op == "get_attr":
            return self._attribute(node)
        if node.op == "call_module":
            if target in self.tracer.neurons:
                return self._fire(node)
            return self._call(node, self.traced.get_submodule(target))
        if target in WRITES:
            return self._write(node)
        if target in ZEROS:
            return Signal(self.expressions.make("zeros", None, node=node), "any")
        if target in RANDOM:
            raise ModelError(
                f"{where(node)} draws random numbers in the network: give it pixels, or a sequence of frames that were "
                "drawn before"
            )
        return self._function(node)

    def _given(self, value: Any) -> Any:
        """Arguments, with the values of nodes in them."""
        if isinstance(value, fx.Node):
            return self.values[value]
        if isinstance(value, dict):
            return {key: self._given(part) for key, part in value.items()}
        if isinstance(value, tuple | list) and not isinstance(value, torch.Size):
            return (
                type(value)(self._given(part) for part in value)
                if not hasattr(value, "_fields")
                else tuple(map(self._given, value))
            )
        return value

    def _write(self, node: fx.Node) -> None:
        """A loop writes what a step gives into a tensor of all steps."""
        container = cast(fx.Node, node.args[0])
        key = container.target if container.op == "get_attr" else container
        found = self.written.setdefault(key, Written(tuple(value_of(container).shape)))
        found.write(self._given(node.args[1]), self._given(node.args[2]))
        if container.op != "get_attr" and found.complete:
            self.values[container] = found.signal()
            self.shown.append(len(found.parts))

    def _attribute(self, node: fx.Node) -> Signal:
        if node.target in self.written and any(user.target not in WRITES for user in node.users):
            self.shown.append(len(self.written[node.target].parts))
            return self.written[node.target].signal()
        owner, _, name = str(node.target).rpartition(".")
        value = getattr(self.traced.get_submodule(owner), name)
        if isinstance(value, Tensor) and not isinstance(value, nn.Parameter) and not bool(value.any()):
            return Signal(self.expressions.make("zeros", None, node=node), "any")
        return Signal(self.expressions.make("attribute", str(node.target), node=node), "any")

    # ---- neurons ----

    def _fire(self, node: fx.Node) -> Any:
        path = str(node.target)
        call = self.tracer.neurons[path][1]
        args, kwargs = self._given(node.args), self._given(dict(node.kwargs))
        current, states = args[0], list(args[1:])
        states += [kwargs[name] for name in call.states if name in kwargs]
        if not isinstance(current, Signal):
            raise ModelError(f"{where(node)} takes what was made of several time steps: let neurons take one step")
        site = self._site(node, path, states)
        time = len(site.currents)
        if call.layout != "step":
            if time:
                raise ModelError(f"{where(node)} is called twice over all time steps: use neurons of their own")
            site.over_time, time = True, -1
            what = self._in_layout(node, current, call.layout)
        else:
            what = self._at(node, current, time)
        site.currents.append(what)
        sent = value_of(node)
        shape = tuple((sent[0] if isinstance(sent, tuple) else sent).shape)
        site.shape = shape[2 if call.layout in ("TN", "NT") and call.how is None else 1 :] or (1,)
        if len(site.currents) == 1:
            site.form = _by_channel(node, site)
        return self._sent(node, site, time, call.how)

    def _site(self, node: fx.Node, path: str, states: list[Any]) -> Site:
        """The site that goes on with states, or a new one."""
        handed = [state for state in flat(states) if state is not None]
        known = [found for state in handed if (found := whose(state)) is not None]
        if not known:
            strange = next((state for state in handed if not is_zero(state)), None)
            if strange is not None:
                raise ModelError(f"{where(node)} is handed a state that is neither zero nor its own of the step before")
            form, call = self.tracer.neurons[path]
            if not handed and path in self.kept and call.keeps:
                return self.kept[path]
            site = Site(path, self.traced.get_submodule(path), form, begins=bool(handed) or not call.keeps)
            self.sites.append(site)
            if not handed:
                self.kept[path] = site
            return site
        site = known[0][0]
        if len(known) < len(handed) or any(one is not site for one, _ in known) or site.path != path:
            raise ModelError(f"{where(node)} takes a state that is not its own of one step before")
        if any(at != len(site.currents) - 1 for _, at in known):
            raise ModelError(f"{where(node)} takes a state of another step than the one before")
        return site

    def _sent(self, node: fx.Node, site: Site, time: int, how: str | None) -> Any:
        _, call = self.tracer.neurons[site.path]

        def one(kind: str) -> Any:
            if kind == "state":
                return StateAt(site, time)
            what = self.expressions.make(cast(Any, kind), site, node=node)
            if how is not None:
                return Summary(what, cast(Any, how))
            return Signal(what, call.layout, time if call.layout == "step" else None)

        found = tuple(one(kind) for kind in call.outputs)
        return found[0] if len(found) == 1 else found

    def _at(self, node: fx.Node, signal: Signal, time: int) -> Expression:
        """What a signal is at a step."""
        if signal.layout not in ("step", "any", "T*N", "N*T"):
            raise ModelError(f"{where(node)} takes all time steps at once, {signal.layout}: let it take one step")
        if signal.time is None or signal.time == time:
            return signal.what
        if signal.time == time - 1:
            return self._earlier(node, signal.what)
        raise ModelError(
            f"{where(node)} takes in step {time} what was in step {signal.time}: steps know of one step before"
        )

    def _in_layout(self, node: fx.Node, signal: Signal, layout: Layout) -> Expression:
        if signal.layout not in (layout, "any"):
            raise ModelError(
                f"{where(node)} takes {LAYOUTS[layout]}, and is given {LAYOUTS[signal.layout]}: set its step "
                "mode, or give the network the shape that it takes"
            )
        return signal.what

    def _earlier(self, node: fx.Node, what: Expression) -> Expression:
        """An expression of one step before."""

        def change(part: Expression) -> Expression | None:
            if part.kind == "spikes":
                return self.expressions.make("earlier", part.target, node=node)
            if part.kind == "earlier":
                raise ModelError(f"{where(node)} takes what was two steps before: steps know of one step before")
            if part.kind == "potential" or (part.kind == "input" and self.layout != "step"):
                raise ModelError(
                    f"{where(node)} takes an input or a potential of one step before: only spikes come back"
                )
            return None

        return self.expressions.changed(what, change)

    # ---- layers and functions ----

    def _call(self, node: fx.Node, module: nn.Module) -> Any:
        path = str(node.target)
        if isinstance(module, nn.Flatten | nn.Unflatten):
            wrapped = self.tracer.package.layer(module)
            if wrapped is None or wrapped[1] == "step":
                return self._reshape(node)
        wrapped = self.tracer.package.layer(module)
        signal = self._given(node.args)[0]
        if isinstance(signal, Summary):
            return self._behind(node, module, signal)
        if wrapped is not None and wrapped[1] != "step":
            what = self._in_layout(node, signal, wrapped[1])
            if isinstance(module, nn.Flatten):
                return Signal(self._reshaped(node, what, wrapped[1]), wrapped[1])
            return Signal(self.expressions.make("module", path, (what,), node=node), signal.layout)
        alone = isinstance(module, nn.Linear | nn.Identity | nn.modules.dropout._DropoutNd)
        return self._apply(node, "module", path, alone)

    def _behind(self, node: fx.Node, module: nn.Module, given: Summary) -> Summary:
        """Weights behind a mean over time are weights in front of it."""
        if isinstance(module, nn.Identity | nn.modules.dropout._DropoutNd):
            return given
        average = given.how == "mean" and given.factor == 1.0
        if not isinstance(module, nn.Linear) or not (average or (given.how == "sum" and module.bias is None)):
            raise ModelError(
                f"{where(node)} takes what was made of all time steps: let the network return that, and every layer "
                "take one step"
            )
        return replace(given, what=self.expressions.make("module", str(node.target), (given.what,), node=node))

    def _function(self, node: fx.Node) -> Any:
        target: Any = node.target
        given = self._given(node.args)
        first = given[0] if given else None
        if isinstance(first, Summary) and (target, given[1:]) in ((operator.getitem, (0,)), (getattr, ("values",))):
            return first  # of the largest, and where it is
        if target is operator.getitem and not isinstance(first, Signal | Summary):
            return cast(Any, first)[given[1]]
        if isinstance(first, Summary) or any(isinstance(part, Summary) for part in given):
            return self._of_sums(node, given)
        if target in CONVERSIONS and isinstance(first, StateAt):
            return first
        if target in CONVERSIONS and isinstance(first, Signal):
            return first
        if target in JOINS:
            return self._join(node, given)
        if not isinstance(first, Signal):
            return self._sum_from_zero(node, given) if target in ADDS else self._apply(node, None, target, False)
        if target is operator.getitem:
            return self._item(node, first, given[1])
        if target in ("select", torch.select):
            dim, index = self._named(node, "dim", 1, 0), self._named(node, "index", 2, 0)
            return self._item(node, first, (*[slice(None)] * dim, index))
        if target in ("unbind", torch.unbind):
            dim = self._named(node, "dim", 1, 0)
            return tuple(self._item(node, first, (*[slice(None)] * dim, i)) for i in range(len(value_of(node))))
        if target in RESHAPES:
            return self._reshape(node)
        if target in MOVES and first.layout in SWAPS:
            return swapped(node, first, self._given(node.args)[1:])
        if target in REPEATS:
            shown = shown_again(node, first)
            if shown.layout in ("TN", "NT"):
                self.shown.append(value_of(node).shape[0 if shown.layout == "TN" else 1])
            return shown
        if target in REDUCTIONS:
            found = self._reduce(node, first)
            if found is not None:
                return found
        if target in ADDS and len(given) > 1:
            return self._add(node, first, given[1])
        return self._apply(node, None, target, target in EACH_ELEMENT)

    def _sum_from_zero(self, node: fx.Node, given: tuple[Any, ...]) -> Any:
        if given[0] == 0 and isinstance(given[1], Signal):
            return given[1]
        return self._apply(node, None, node.target, False)

    def _apply(self, node: fx.Node, kind: Any, target: Any, alone: bool) -> Signal:
        """Whatever is done in one step, to signals of that step."""
        args, kwargs = self._given(node.args), self._given(dict(node.kwargs))
        signals = [part for part in flat((args, list(kwargs.values()))) if isinstance(part, Signal)]
        strange = next(
            (part for part in flat((args, list(kwargs.values()))) if isinstance(part, Summary | StateAt)), None
        )
        if strange is not None:
            raise ModelError(
                f"{where(node)} takes what neurons keep, or what was made of all time steps, which has no form"
            )
        layouts = {signal.layout for signal in signals} - {"any"}
        if len(layouts) > 1:
            raise ModelError(
                f"{where(node)} takes {' and '.join(LAYOUTS[one] for one in sorted(layouts))}, which do not meet"
            )
        layout: Layout = layouts.pop() if layouts else "any"
        if layout not in ("step", "any", "T*N", "N*T") and not alone:
            raise ModelError(
                f"{where(node)} takes {LAYOUTS[layout]}: let it take one step, or flatten time and batch for it"
            )
        times = sorted({signal.time for signal in signals if signal.time is not None})
        if len(times) > 1 and (len(times) > 2 or times[1] - times[0] != 1):
            raise ModelError(
                f"{where(node)} takes values of steps {', '.join(map(str, times))}: steps know of one before"
            )
        time = times[-1] if times else None

        def of(value: Any) -> Any:
            if isinstance(value, Signal):
                late = value.time is not None and value.time != time
                return self._earlier(node, value.what) if late else value.what
            return type(value)(map(of, value)) if isinstance(value, tuple | list) else value

        if kind is None:
            kind = "method" if node.op == "call_method" else "function"
        made = self.expressions.make(kind, target, of(tuple(args)), {k: of(v) for k, v in kwargs.items()}, node)
        return Signal(made, layout, time)

    def _named(self, node: fx.Node, name: str, place: int, default: Any) -> Any:
        if name in node.kwargs:
            return node.kwargs[name]
        return node.args[place] if len(node.args) > place else default

    # ---- shapes ----

    def _reshape(self, node: fx.Node) -> Signal:
        signal = self._given(node.args)[0]
        if not isinstance(signal, Signal):
            raise ModelError(f"{where(node)} takes what was made of all time steps: let the network return that")
        if signal.layout == "any":
            return self._apply(node, None, node.target, True)
        count = steps_in(node, signal.layout) or self.given_steps or next(iter(self.shown), 0)
        layout = layout_behind(node, signal.layout, self.batch, count)
        return Signal(self._reshaped(node, signal.what, layout), layout, signal.time)

    def _reshaped(self, node: fx.Node, what: Expression, layout: Layout) -> Expression:
        """An expression in the shape that a node has, without time and batch."""
        shape = element_behind(node, layout, self.batch)
        return what if shape is None else self.expressions.make("reshape", shape, (what,), node=node)

    def _item(self, node: fx.Node, signal: Signal, index: Any) -> Signal:
        """One step of a sequence."""
        parts = list(index) if isinstance(index, tuple) else [index]
        if None in parts:  # another axis
            return self._reshape(node)
        axis = {"TN": 0, "NT": 1, "1N": 0, "N1": 1}.get(signal.layout)
        chosen = [i for i, part in enumerate(parts) if part not in (slice(None), Ellipsis)]
        if axis is None or chosen != [axis] or not isinstance(parts[axis], int):
            if signal.layout in ("step", "T*N", "N*T") and 0 not in chosen and parts[0] in (slice(None), Ellipsis):
                return self._apply(node, None, node.target, False)
            raise ModelError(f"{where(node)} takes a part of the batch, or of several steps: let every step take one")
        if signal.layout in ("1N", "N1"):
            return replace(signal, layout="step")
        at = parts[axis]
        source = signal.what.node if signal.what.kind == "input" else None
        count = value_of(source).shape[axis] if source is not None else self.given_steps or next(iter(self.shown), 0)
        return Signal(signal.what, "step", at if at >= 0 or not count else at + count)

    # ---- over time ----

    def _join(self, node: fx.Node, given: tuple[Any, ...]) -> Any:
        parts = given[0] if isinstance(given[0], tuple | list) else given
        dim = self._named(node, "dim", 1, 0)
        if not parts or not all(isinstance(part, Signal) for part in parts):
            raise ModelError(f"{where(node)} puts together what was made of several time steps, which has no form")
        stacks = node.target is torch.stack
        alike = len({id(part.what) for part in parts}) == 1
        times = [part.time for part in parts]
        in_order = times == list(range(len(parts))) or set(times) == {None}
        shape = parts[0].layout in (("step", "T*N", "N*T") if stacks else ("1N", "N1"))
        along = dim in (0, 1) if stacks else dim == (0 if parts[0].layout == "1N" else 1)
        if alike and in_order and shape and along:
            self.shown.append(len(parts))
            first = dim == 0
            return Signal(parts[0].what, "TN" if first else "NT")
        if not alike and len({time for time in times if time is not None}) > 1:
            raise ModelError(
                f"{where(node)} puts together values of several time steps that differ in more than the step"
            )
        return self._apply(node, None, node.target, False)

    def _reduce(self, node: fx.Node, signal: Signal) -> Summary | None:
        """What is made of all time steps; None of anything else."""
        dim = self._named(node, "dim", 1, self._named(node, "axis", 1, None))
        listed = list(dim) if isinstance(dim, tuple | list) else [dim]
        axis = {"TN": 0, "NT": 1}.get(signal.layout)
        if axis is None or listed != [axis]:
            return None
        return Summary(signal.what, cast(Any, REDUCTIONS[node.target]))

    def _add(self, node: fx.Node, one: Signal, other: Any) -> Any:
        if isinstance(other, int | float) and other == 0:
            return one
        if isinstance(other, Signal) and other.layout == "step" and one.layout in ("step", "any"):
            what = self._without_zeros(one.what)
            if what is other.what and other.time is not None and one.time is not None and other.time == one.time + 1:
                return (
                    Summary(what, "sum", other.time + 1)
                    if one.time == 0
                    else self._apply(node, None, node.target, True)
                )
        return self._apply(node, None, node.target, True)

    def _without_zeros(self, what: Expression) -> Expression:
        if what.kind in ("function", "method") and what.target in ADDS and len(what.args) == 2:
            kept = [part for part in what.args if not (isinstance(part, Expression) and part.kind == "zeros")]
            if len(kept) == 1 and isinstance(kept[0], Expression):
                return kept[0]
        return what

    def _of_sums(self, node: fx.Node, given: tuple[Any, ...]) -> Summary:
        """What is done to sums over time: the next step is added, or a number is divided by."""
        target: Any = node.target
        sums = next(part for part in given if isinstance(part, Summary))
        others = [part for part in given if part is not sums]
        if target in CONVERSIONS:
            return sums
        if target in ADDS and len(others) == 1 and sums.steps is not None:
            other = others[0]
            if isinstance(other, Signal) and other.what is sums.what and other.time == sums.steps:
                return replace(sums, steps=sums.steps + 1)
        if target in SCALES and len(others) == 1 and isinstance(others[0], int | float) and others[0] > 0:
            divides = target in DIVISIONS
            if not divides or given[0] is sums:
                return replace(sums, factor=sums.factor / others[0] if divides else sums.factor * others[0])
        raise ModelError(
            f"{where(node)} takes what was made of all time steps: let the network return that as it is (a loss may do "
            "the rest), and every layer take one step"
        )
