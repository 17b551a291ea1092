"""From a repeated step in expressions to a network of this package."""

from __future__ import annotations

import copy
import math
import operator
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..errors import ModelError
from ..nn.feedback import Feedback
from ..nn.imported import ImportedSNN, free_path
from ..nn.instant import where
from ..nn.integrator import Answer
from ..nn.layers import OneToOne
from .foreign_package import ForeignPackage
from .loop_ends import EarlierSpikes, FedBackSpikes, terms, within
from .neuron_form import NeuronForm, integrator_of, lif_of
from .step_expressions import Expression, Expressions, Signal, Site, Summary
from .tensor_functions import ADDS
from .unroll import RepeatedStep

_WEIGHTS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d, nn.ConvTranspose2d)
_POOLS = (nn.AvgPool1d, nn.AvgPool2d, nn.MaxPool1d, nn.MaxPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)


def network_of(
    step: RepeatedStep,
    module: nn.Module,
    package: ForeignPackage,
    timesteps: int | None,
    dtype: torch.dtype,
    input_shapes: Sequence[tuple[int, ...]],
) -> ImportedSNN:
    """The network that computes a step.

    Args:
        module: whose layers are taken, a copy of the user's.
        timesteps: of the loop; None: the input brings its own.
        input_shapes: of one element of the batch at one step; none where they are not known.

    Raises:
        ModelError: what it returns, or how layers stand to one another, has no form.
    """
    outputs = list(_outputs(step, module))
    if not outputs:
        raise ModelError(
            "the network returns nothing that an integer network says: let it return the spikes of its last layer, or "
            "the potential of neurons without a reset"
        )
    network = _Emitter(step, module, package, dtype).emit(outputs, timesteps)
    network.input_shapes = tuple(input_shapes)
    return network


def _outputs(step: RepeatedStep, module: nn.Module) -> Iterator[tuple[Expression, str]]:
    """What is returned, and what is made of its steps: spikes, and potentials that no spikes of a site stand beside."""
    found: list[tuple[Expression, str]] = []
    for value in _leaves(step.returned, step.steps):
        if isinstance(value, Signal) and value.what.kind != "zeros":
            last = value.layout in ("step", "any") and step.steps > 1
            if last and value.time != step.steps - 1:
                raise ModelError(
                    "the network returns a value of a step before the last: return that of the last, or all"
                )
            found.append((value.what, "last" if last else "all"))
        elif isinstance(value, Summary):
            if value.steps not in (None, step.steps):
                raise ModelError(f"the network adds up {value.steps} of its {step.steps} steps: add up all")
            factor = value.factor * (step.steps if value.how == "sum" else 1)
            mean = value.how == "sum" and math.isclose(factor, 1.0)
            if not mean and value.factor != 1.0:
                raise ModelError("the network multiplies what it adds up over time: leave it to the loss")
            found.append((value.what, "mean" if mean else value.how))
    sending = {what.target for what, _ in found if what.kind == "spikes"}
    for what, how in found:
        if what.kind != "potential":
            if how in ("last", "largest"):
                raise ModelError(
                    f"the network returns the {how} of what it computes in each step, and spikes and sums are added up "
                    "over time here: return all steps, or the potential of neurons that never fire"
                )
            yield what, how
        elif what.target.form.reset == "none" and what.target not in sending:
            yield what, how
        elif sending:
            warnings.warn(
                f"the network returns spikes, which are taken, and the potential of {what.target.path!r}, which is "
                "left out: it is no output of an integer network",
                stacklevel=5,
            )
        else:
            raise ModelError(
                f"the network returns the potential of {what.target.path!r}, which is reset by spikes: return the "
                "spikes, or let the last layer have no reset"
            )


def _leaves(value: Any, steps: int) -> Iterator[Any]:
    """What stands in tuples, lists and dictionaries; a list of what is said at each step is one."""
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, tuple | list):
        yield value
        return
    signals = [part for part in value if isinstance(part, Signal)]
    in_order = [part.time for part in signals] == list(range(steps))
    if len(signals) == len(value) > 1 and in_order and len({part.what for part in signals}) == 1:
        yield Signal(signals[0].what, "TN")
        return
    for part in value:
        yield from _leaves(part, steps)


class _Emitter:
    def __init__(self, step: RepeatedStep, module: nn.Module, package: ForeignPackage, dtype: torch.dtype) -> None:
        self.expressions: Expressions = step.expressions
        self.module, self.package, self.dtype = module, package, dtype
        self.static_input = step.static_input
        self.graph = fx.Graph()
        self.layers: dict[str, nn.Module | nn.Parameter] = {}
        self.made: dict[Expression, fx.Node] = {}
        self.factors: dict[Expression, Tensor] = {}
        self.uses: Counter[Expression] = Counter()
        self.answers: dict[Site, Answer] = {}
        self.names: dict[tuple[Site, str], str] = {}
        self.inputs: dict[int, fx.Node] = {}
        self.delayed: set[Site] = set()  # whose spikes come back otherwise than to themselves in a sum
        self.earlier: dict[Site, fx.Node] = {}

    def emit(self, outputs: list[tuple[Expression, str]], timesteps: int | None) -> ImportedSNN:
        for what, how in outputs:
            if what.kind == "potential":
                self.answers[what.target] = cast(
                    Answer, {"mean": "mean", "sum": "mean", "largest": "largest"}.get(how, "last")
                )
        listed = list(self._reached([what for what, _ in outputs]))
        count = max((part.target for part in listed if part.kind == "input"), default=-1) + 1
        if not count:
            raise ModelError("what the network returns does not depend on its input")
        self.inputs = {i: self.graph.placeholder(f"x{i}" if count > 1 else "x") for i in range(count)}
        planned = [(what.target, what.kind) for what in listed if what.kind in ("spikes", "potential")]
        for site, kind in planned:
            self._plan(site, kind)
        self._find_delayed([site for site, _ in planned], [what for what, _ in outputs])
        found = tuple(self._node(what) for what, _ in outputs)
        self.graph.output(found[0] if len(found) == 1 else found)
        places = {path: i for i, (path, _) in enumerate(self.module.named_modules())}
        listed_layers = sorted(self.layers.items(), key=lambda each: places.get(each[0], len(places)))
        layers = {free_path(path): layer for path, layer in listed_layers}
        for node in self.graph.nodes:
            if node.op in ("call_module", "get_attr"):
                node.target = free_path(str(node.target))
        lost = next((site for site in self.delayed if self.expressions.make("spikes", site) not in self.made), None)
        if lost is not None:
            raise ModelError(
                f"spikes of {lost.path!r} come back one step later, and go nowhere else: let the output depend on "
                "them in their own step too"
            )
        network = ImportedSNN(layers, self.graph, timesteps, self.static_input, tuple(how for _, how in outputs))
        return network.to(self.dtype)

    def _reached(self, roots: list[Expression]) -> Iterator[Expression]:
        """All expressions of the step, once each; what they are used for is counted."""
        seen: set[Expression] = set()
        waiting = list(roots)
        self.uses.update(roots)
        while waiting:
            what = waiting.pop()
            if what in seen:
                continue
            seen.add(what)
            yield what
            parts = list(what.parts)
            if what.kind in ("spikes", "potential"):
                parts = [what.target.currents[0]]
            elif what.kind == "earlier":
                parts = [self.expressions.make("spikes", what.target)]
                self.uses[parts[0]] -= 1
            self.uses.update(parts)
            waiting += parts

    def _find_delayed(self, sites: list[Site], outputs: list[Expression]) -> None:
        for site in sites:
            come_back = {part.target for part in within(site.currents[0]) if part.kind == "earlier"}
            own = self._apart(site)[1] is not None
            self.delayed |= come_back - ({site} if own and len(come_back) == 1 else set())
        self.delayed |= {part.target for what in outputs for part in within(what) if part.kind == "earlier"}

    # ---- neurons ----

    def _plan(self, site: Site, kind: str) -> None:
        """Make the layer of a site, and note by what its currents are multiplied."""
        taken = self.names.values()
        path = next(p for p in (site.path, *(f"{site.path}_{i}" for i in range(2, 10_000))) if p not in taken)
        self.names[site, kind] = path
        form, gain = self._form(site, kind)
        if gain is not None:
            self._multiply(site.currents[0], gain, site)
        if kind == "potential":
            self.layers[path] = integrator_of(form, self.answers.get(site, "last"), path)
            return
        layer: nn.Module = lif_of(form, self.dtype, path)
        back = form.recurrent
        if back is not None:
            own = _one_to_one(site, back) if isinstance(back, Tensor) else copy.deepcopy(back)
            if gain is not None:
                multiply(own, gain, path)
            layer = Feedback(layer, own)
        self.layers[path] = layer

    @staticmethod
    def _form(site: Site, kind: str) -> tuple[NeuronForm, Tensor | None]:
        """The form of a site without its gain, and that gain."""
        form = site.form
        if kind == "potential":
            return replace(form, gain=None), form.gain
        form = form.without_gain().with_usual_threshold()
        return replace(form, gain=None), form.gain

    def _multiply(self, what: Expression, gain: Tensor, site: Site) -> None:
        """Let the weights that make a current give it multiplied, as a scalar or by channel."""
        if site.form.weights is not None:
            return None  # they are multiplied where they are made
        if self.uses[what] > 1:
            raise ModelError(
                f"layer {site.path!r} takes currents that others take too, and multiplies them with "
                f"{float(gain.mean()):g}: give it weights of its own"
            )
        if what.kind == "reshape" and gain.dim() == 0:
            return self._multiply(what.args[0], gain, site)
        if what.kind in ("function", "method") and what.target in ADDS:
            for part in what.parts:
                self._multiply(part, gain, site)
            return None
        module = self.module.get_submodule(what.target) if what.kind == "module" else None
        if isinstance(module, (*_POOLS, nn.Identity, nn.modules.dropout._DropoutNd)):
            return self._multiply(what.args[0], gain, site)
        if isinstance(module, (*_WEIGHTS, _BatchNorm)):
            self.factors[what] = gain
            return None
        raise ModelError(
            f"layer {site.path!r} multiplies what comes in with {float(gain.mean()):g}, and no weights are in front of "
            "it that could take that up: put a Linear or a convolution there"
        )

    # ---- nodes ----

    def _node(self, what: Expression) -> fx.Node:
        if what not in self.made:
            self.made[what] = self._make(what)
        return self.made[what]

    def _make(self, what: Expression) -> fx.Node:
        if what.kind == "input":
            return self.inputs[what.target]
        if what.kind in ("spikes", "potential"):
            return self._neurons(what.target, what.kind)
        if what.kind == "earlier":
            return self._of_step_before(what.target)
        if what.kind == "zeros":
            node = what.node
            raise ModelError(
                f"{where(node) if node else 'the network'} takes zeros as an activation, which has no form"
            )
        args = [self._node(part) if isinstance(part, Expression) else part for part in what.args]
        if what.kind == "attribute":
            own = _attribute(self.module, what.target)
            self.layers[what.target] = nn.Parameter(own.detach().clone(), own.requires_grad)
            return self.graph.get_attr(what.target)
        if what.kind == "reshape":
            return self.graph.call_method("reshape", (args[0], (-1, *what.target)))
        if what.kind == "module":
            return self._layer(what, args[0])
        given = tuple(self._inside(part) for part in what.args)
        named = {name: self._inside(part) for name, part in what.kwargs}
        if what.kind == "method":
            return self.graph.call_method(what.target, given, named)
        return self.graph.call_function(what.target, given, named)

    def _inside(self, value: Any) -> Any:
        if isinstance(value, Expression):
            return self._node(value)
        return type(value)(map(self._inside, value)) if isinstance(value, tuple | list) else value

    def _layer(self, what: Expression, given: fx.Node) -> fx.Node:
        path, factor = what.target, self.factors.get(what)
        if path not in self.layers:
            found = self.module.get_submodule(path)
            wrapped = self.package.layer(found)
            layer = copy.deepcopy(found if wrapped is None else wrapped[0])
            if factor is not None:
                multiply(layer, factor, path)
            self.layers[path] = layer
        elif factor is not None:
            raise ModelError(f"layer {path!r} is called twice in a step, and its neurons differ: use a layer for each")
        return self.graph.call_module(path, (given,))

    def _neurons(self, site: Site, kind: str) -> fx.Node:
        path = self.names[site, kind]
        current, back = (site.currents[0], None) if site in self.delayed else self._apart(site)
        given = self._node(current)
        if site.form.weights is not None:
            weights = copy.deepcopy(site.form.weights)
            gain = self._form(site, kind)[1]
            if gain is not None:
                multiply(weights, gain, path)
            self.layers[f"{path}_weights"] = weights
            given = self.graph.call_module(f"{path}_weights", (given,))
        if back is not None:
            self.layers[path] = Feedback(cast(nn.Module, self.layers[path]), back)
        spikes = self.graph.call_module(path, (given,))
        if kind != "spikes" or site not in self.delayed:
            return spikes
        self.layers[f"{path}_fed_back"] = FedBackSpikes()
        return self.graph.call_module(f"{path}_fed_back", (spikes, self._of_step_before(site)))

    def _of_step_before(self, site: Site) -> fx.Node:
        """The spikes of a site, of one step before."""
        if site not in self.earlier:
            path = self.names[site, "spikes"]
            self.layers[f"{path}_earlier"] = EarlierSpikes(site.shape)
            self.earlier[site] = self.graph.call_module(f"{path}_earlier", (self.inputs[0],))
        return self.earlier[site]

    def _apart(self, site: Site) -> tuple[Expression, nn.Module | None]:
        """What reaches neurons without their own spikes of the step before, and what these pass on their way back."""
        added = list(terms(site.currents[0]))
        own = [term for term in added if any(part.kind == "earlier" for part in within(term))]
        rest = [term for term in added if term not in own]
        if len(own) != 1 or not rest:
            return site.currents[0], None
        row: list[nn.Module] = []
        term = own[0]
        while term.kind == "module":
            layer = copy.deepcopy(self.module.get_submodule(term.target))
            if term in self.factors:
                multiply(layer, self.factors[term], term.target)
            row.insert(0, layer)
            term = term.args[0]
        if term.kind != "earlier" or term.target is not site:
            return site.currents[0], None
        current = rest[0]
        for term in rest[1:]:
            current = self.expressions.make("function", operator.add, (current, term))
        return current, row[0] if len(row) == 1 else nn.Sequential(*row)


def _one_to_one(site: Site, weight: Tensor) -> OneToOne:
    layer = OneToOne(site.shape[0])
    layer.weight = nn.Parameter(weight.expand(site.shape[0]).clone(), site.form.learn_recurrent)
    return layer


def multiply(layer: nn.Module, factor: Tensor, path: str) -> None:
    """Multiply what a layer gives, by a scalar or by channel."""
    transposed = isinstance(layer, nn.ConvTranspose1d | nn.ConvTranspose2d)
    if isinstance(layer, _BatchNorm) and layer.weight is None:
        layer.weight = nn.Parameter(torch.ones(layer.num_features))
        layer.bias = nn.Parameter(torch.zeros(layer.num_features))
        layer.affine = True
    if not isinstance(layer, (*_WEIGHTS, _BatchNorm, OneToOne)) or (
        transposed and factor.dim() and cast(Any, layer).groups > 1
    ):
        raise ModelError(
            f"layer {path!r} cannot take up a factor, as its neurons need: put a Linear or convolution there"
        )
    along = 1 if transposed else 0
    with torch.no_grad():
        for value in (layer.weight, getattr(layer, "bias", None)):
            if isinstance(value, Tensor):
                shape = [1] * value.dim()
                shape[along if value.dim() > 1 else 0] = -1
                value.copy_((value.double() * (factor.view(shape) if factor.dim() else factor)).to(value.dtype))


def _attribute(root: nn.Module, path: str) -> Tensor:
    owner, _, name = path.rpartition(".")
    return cast(Tensor, getattr(root.get_submodule(owner), name))
