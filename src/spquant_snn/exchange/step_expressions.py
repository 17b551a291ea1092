"""What a network computes in one time step, as expressions, and what a forward method holds of them over time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor, fx, nn

from .neuron_form import NeuronForm

Kind = Literal[
    "input", "zeros", "attribute", "module", "function", "method", "reshape", "spikes", "potential", "earlier"
]
# Which axes come first: the batch alone, time and batch, both as one, one step and the batch; "any": it has no batch.
Layout = Literal["step", "TN", "NT", "T*N", "N*T", "1N", "N1", "any"]


@dataclass(frozen=True, eq=False)
class Expression:
    """A value of a step. Equal ones are one object, so that the steps of a loop give the same.

    Args:
        target: the number of an input, the path of a module or parameter, a function, the name of a method, the shape
            of one element of the batch, or the site of neurons.
        args, kwargs: expressions and plain values.
        node: where it was met first, for messages.
    """

    kind: Kind
    target: Any
    args: tuple[Any, ...]
    kwargs: tuple[tuple[str, Any], ...]
    node: fx.Node | None

    @property
    def parts(self) -> Iterator[Expression]:
        """The expressions that it takes."""
        yield from _expressions_in((self.args, [value for _, value in self.kwargs]))


def _expressions_in(value: Any) -> Iterator[Expression]:
    if isinstance(value, Expression):
        yield value
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _expressions_in(part)


@dataclass(eq=False)
class Site:
    """A place of a step at which neurons are called.

    Attributes:
        currents: what reaches them at each call.
        over_time: whether one call is all time steps.
        shape: of the spikes of one element of the batch; of their channels alone, where the rest is not known.
        begins: whether the forward method starts it from zero, each time that it is called.
    """

    path: str
    module: nn.Module
    form: NeuronForm
    currents: list[Expression] = field(default_factory=list)
    over_time: bool = False
    shape: tuple[int, ...] = (1,)
    begins: bool = False


class Expressions:
    """Makes expressions, each once."""

    def __init__(self) -> None:
        self._made: dict[Any, Expression] = {}

    def make(
        self,
        kind: Kind,
        target: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
        node: fx.Node | None = None,
    ) -> Expression:
        named = tuple(sorted((kwargs or {}).items()))
        key = (kind, _key(target), _key(args), _key(named))
        if key not in self._made:
            self._made[key] = Expression(kind, target, args, named, node)
        return self._made[key]

    def changed(self, what: Expression, change: Callable[[Expression], Expression | None]) -> Expression:
        """The same with other expressions in it: ``change`` gives what takes the place of one, or None."""
        found = change(what)
        if found is not None:
            return found

        def of(value: Any) -> Any:
            if isinstance(value, Expression):
                return self.changed(value, change)
            return type(value)(map(of, value)) if isinstance(value, tuple | list) else value

        args, kwargs = of(what.args), {name: of(value) for name, value in what.kwargs}
        return self.make(what.kind, what.target, args, kwargs, what.node)


def _key(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return (type(value), *map(_key, value))
    try:
        hash(value)
    except TypeError:  # slices before Python 3.12
        return repr(value)
    return (type(value), value)


@dataclass(frozen=True)
class Signal:
    """A tensor of a forward method: an expression at one time step, or at all.

    Args:
        time: of layout "step", the step; None: it is the same at all.
    """

    what: Expression
    layout: Layout = "step"
    time: int | None = None


@dataclass(frozen=True)
class Summary:
    """What was made of time steps of an expression: added up, averaged, the largest, the last.

    Args:
        steps: of how many; None: of all that there are.
        factor: on it.
    """

    what: Expression
    how: Literal["sum", "mean", "largest", "last"]
    steps: int | None = None
    factor: float = 1.0


@dataclass(frozen=True)
class StateAt:
    """What neurons keep after a step, as their package hands it over."""

    site: Site
    time: int


def flat(value: Any) -> list[Any]:
    """What stands in tuples and lists."""
    if isinstance(value, tuple | list):
        return [part for one in value for part in flat(one)]
    return [value]


def whose(state: Any) -> tuple[Site, int] | None:
    """The neurons that a state is of, and the step."""
    if isinstance(state, StateAt):
        return state.site, state.time
    if isinstance(state, Signal) and state.what.kind in ("spikes", "potential") and state.time is not None:
        return state.what.target, state.time
    return None


def is_zero(state: Any) -> bool:
    """Whether a state is that of the beginning."""
    if isinstance(state, Signal):
        return state.what.kind == "zeros"
    if isinstance(state, Tensor):
        return not bool(state.any())
    return isinstance(state, int | float) and state == 0
