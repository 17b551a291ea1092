"""Networks in the Neuromorphic Intermediate Representation (NIR, Pedersen et al. 2024), read as layers of torch."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import ConfigError, FileFormatError, MissingDependencyError, ModelError
from ..nn.imported import ImportedSNN
from ..nn.layers import OneToOne
from .emit import multiply, network_of
from .foreign_package import Call, ForeignPackage, tell_version
from .neuron_form import NeuronForm
from .nir_nodes import flattened, layer_of, tensor_of
from .step_expressions import Expression, Expressions, Signal, Site
from .unroll import RepeatedStep

Decay = Literal["euler", "exact"]
NIRReset = Literal["zero", "subtract"]

_NEURONS = ("IF", "LIF", "CubaLIF", "LI", "I", "CubaLI", "Threshold")


def from_nir(source: Any, dt: float | None = None, decay: Decay = "euler", reset: NIRReset = "zero") -> ImportedSNN:
    """A NIR graph as a network, ready for ``prepare``.

    Args:
        source: the path of a file, or a ``nir.NIRGraph``.
        dt: seconds of a time step, of which NIR knows nothing; None: the "dt" of the graph's metadata. snnTorch and
            SpikingJelly write for 1e-4, sinabs for 1.
        decay: what is left of a potential after a step: "euler", 1 - dt / tau, as snnTorch, SpikingJelly and Norse
            compute it, or "exact", exp(-dt / tau), as sinabs does.
        reset: to "zero", as NIR defines it, or "subtract" the threshold: NIR does not say which of both a network was
            trained with.

    Returns:
        A network of one time step. Spikes of what is read out are counted; LI as the last layer is a
        ``LeakyIntegrator``.

    Raises:
        ModelError: a node has no form; the message names it and the reason.
        FileFormatError: the file is not there, or no NIR file.
        MissingDependencyError: nir is not installed.

    Example:
        network = prepare(from_nir("network.nir", dt=1e-4), QuantConfig(), (1, 28, 28))
    """
    for name, value, choices in (("decay", decay, Decay), ("reset", reset, NIRReset)):
        if value not in get_args(choices):
            raise ConfigError(f"{name} must be {' or '.join(map(repr, get_args(choices)))}, not {value!r}")
    graph = _read(source) if isinstance(source, str | os.PathLike) else source
    if type(graph).__module__.partition(".")[0] != "nir" or type(graph).__name__ != "NIRGraph":
        raise ModelError(f"from_nir takes the path of a NIR file or a nir.NIRGraph, not {type(graph).__name__}")
    tell_version(_Nir())
    time = _Time(_step_of(graph, dt), decay, reset)
    return _Graph(graph, time).network()


def _read(path: str | os.PathLike[str]) -> Any:
    try:
        import nir
    except ModuleNotFoundError:
        raise MissingDependencyError("reading NIR files needs nir: pip install 'spquant-snn[nir]'") from None
    if not os.path.isfile(path):
        raise FileFormatError(f"there is no file {os.fspath(path)}")
    try:
        return nir.read(path, type_check=False)
    except Exception as error:  # whatever h5py and nir say of damage
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise FileFormatError(f"{os.fspath(path)} is no NIR file that nir can read ({said})") from error


def _step_of(graph: Any, dt: float | None) -> float | None:
    found = graph.metadata.get("dt") if dt is None and isinstance(graph.metadata, dict) else dt
    if found is None:
        return None
    try:
        step = float(found)
    except (TypeError, ValueError):
        step = math.nan
    if not 0 < step < math.inf:
        raise ConfigError(f"dt must be seconds of a time step, above 0, not {found!r}")
    return step


class _Nir(ForeignPackage):
    """What the emitter asks: there are no layers of another package."""

    name = "nir"
    tested = ("1.0.8",)

    def neuron(self, module: nn.Module) -> tuple[NeuronForm, Call] | None:
        return None


@dataclass(frozen=True)
class _Time:
    """How continuous time becomes steps."""

    dt: float | None
    decay: Decay
    reset: NIRReset

    def step(self, name: str) -> float:
        if self.dt is None:
            raise ModelError(
                f"node {name!r} has constants in seconds, and the graph does not say what a time step is: give dt, "
                "1e-4 for files of snnTorch and SpikingJelly, 1 for those of sinabs"
            )
        return self.dt

    def leak(self, name: str, tau: Tensor) -> Tensor:
        rate = self.step(name) / tau
        return torch.exp(-rate) if self.decay == "exact" else 1 - rate

    def form(self, name: str, node: Any) -> NeuronForm:
        """What neurons compute in steps.

        Raises:
            ModelError: nothing that is computed here.
        """
        kind = type(node).__name__
        if kind == "Threshold":
            return NeuronForm(_number(name, node, "threshold"), _zero(), "zero", strict=True)
        if kind in ("I", "IF"):
            gain = self.step(name) * _number(name, node, "r")
            return self._firing(name, node, NeuronForm(None, _zero() + 1, gain=gain), None)
        slow = _number(name, node, "tau_syn") if kind.startswith("Cuba") else None
        leak = self.leak(name, _number(name, node, "tau" if slow is None else "tau_mem"))
        gain = (1 - leak) * _number(name, node, "r")
        form = NeuronForm(None, leak, gain=gain)
        if slow is not None:
            kept = self.leak(name, slow)
            form = replace(form, synaptic_leak=kept, gain=gain * (1 - kept) * _number(name, node, "w_in"))
        return self._firing(name, node, form, _number(name, node, "v_leak"))

    def _firing(self, name: str, node: Any, form: NeuronForm, rest: Tensor | None) -> NeuronForm:
        """With threshold and reset, and the potential counted from where it rests."""
        if not hasattr(node, "v_threshold"):
            if rest is not None and bool((rest != 0).any()):
                raise ModelError(f"node {name!r} rests at a v_leak that is not 0: an output here rests at 0")
            return form
        threshold, back = _number(name, node, "v_threshold"), _number(name, node, "v_reset")
        if self.reset == "subtract":
            low = _zero() if rest is None else rest
            return replace(form, threshold=threshold - low, reset="subtract", reset_by=threshold - low, strict=True)
        if rest is not None and bool((rest != back).any()):
            raise ModelError(
                f"node {name!r} resets to v_reset, and rests at v_leak, which is another: neurons here rest where they "
                "are reset to"
            )
        return replace(form, threshold=threshold - back, reset="zero", strict=True)


class _Graph:
    """A NIR graph, from its outputs back to its inputs."""

    def __init__(self, graph: Any, time: _Time) -> None:
        self.nodes, self.edges = flattened(graph)
        self.time = time
        self.expressions = Expressions()
        self.layers = nn.Module()
        self.sites: dict[str, Site] = {}
        self.made: dict[str, Expression] = {}
        self.open: list[str] = []
        self.numbers = {name: i for i, name in enumerate(self._of_type("Input"))}

    def _of_type(self, kind: str) -> Iterator[str]:
        return (name for name, node in self.nodes.items() if type(node).__name__ == kind)

    def network(self) -> ImportedSNN:
        outputs = list(self._of_type("Output"))
        if not outputs:
            raise ModelError("the NIR graph has no Output node")
        returned = tuple(Signal(self._sum(name)) for name in outputs)
        if not self.sites:
            raise ModelError("the NIR graph has no neurons that its output depends on")
        step = RepeatedStep(returned, list(self.sites.values()), self.expressions, 1)
        weights = [value for value in self.layers.parameters() if value.dim() > 1]
        dtype = weights[0].dtype if weights else torch.float32
        return network_of(step, self.layers, _Nir(), None, dtype, ())  # Input nodes of peers have other shapes at times

    def _sum(self, name: str) -> Expression:
        """What reaches a node: the sum of what its edges bring."""
        sources = [one for one, other in self.edges if other == name]
        if not sources:
            raise ModelError(f"node {name!r} of the NIR graph takes nothing")
        found = self._node(sources[0])
        for source in sources[1:]:
            found = self.expressions.make("function", torch.add, (found, self._node(source)))
        return found

    def _node(self, name: str) -> Expression:
        kind = type(self.nodes[name]).__name__
        if name in self.open:
            if kind in _NEURONS:
                return self.expressions.make("earlier", self.sites[name])
            if not any(type(self.nodes[one]).__name__ in _NEURONS for one in self.open[self.open.index(name) :]):
                around = " -> ".join([*self.open[self.open.index(name) :], name])
                raise ModelError(f"the NIR graph goes in a circle without neurons: {around}")
        if name not in self.made:
            self.open.append(name)
            try:
                self.made[name] = self._made(name, kind)
            finally:
                self.open.pop()
        return self.made[name]

    def _alone(self, name: str) -> bool:
        """Whether what a node gives goes to one other alone."""
        return sum(one == name for one, _ in self.edges) == 1

    def _made(self, name: str, kind: str) -> Expression:
        node = self.nodes[name]
        if kind == "Input":
            return self.expressions.make("input", self.numbers[name])
        if kind in _NEURONS:
            site = self.sites[name] = Site(name, nn.Identity(), self.time.form(name, node))
            site.shape = tuple(int(size) for size in getattr(node, "v_threshold", np.zeros(1)).shape) or (1,)
            site.currents.append(self._sum(name))
            _put(self.layers, name, nn.Identity())  # layers stand in the order in which they are reached
            return self.expressions.make("spikes" if site.form.threshold is not None else "potential", site)
        given = self._sum(name)
        if kind == "Flatten":
            shape = node.output_type["output"]
            if shape is not None:
                return self.expressions.make("reshape", tuple(int(size) for size in shape), (given,))
        layer = layer_of(name, node)
        if layer is None:
            return given
        if isinstance(layer, OneToOne) and given.kind == "module" and self._alone(given.target):
            multiply(self.layers.get_submodule(given.target), layer.weight.detach(), name)
            return given
        _put(self.layers, name, layer)
        return self.expressions.make("module", name, (given,))


def _put(root: nn.Module, path: str, layer: nn.Module) -> None:
    owner, _, name = path.rpartition(".")
    for part in owner.split(".") if owner else ():
        if part not in root._modules:
            root.add_module(part, nn.Module())
        root = root.get_submodule(part)
    root.add_module(name, layer)


def _number(name: str, node: Any, constant: str) -> Tensor:
    """A constant of neurons, a scalar or [C].

    Raises:
        ModelError: it is one for each neuron of an image.
    """
    found = tensor_of(getattr(node, constant)).double()
    if found.numel() and bool((found == found.flatten()[0]).all()):
        return found.flatten()[0]
    rows = found.flatten(1) if found.dim() > 1 else found[:, None]
    if not bool((rows == rows[:, :1]).all()):
        raise ModelError(
            f"node {name!r} has a {constant} for each of {'x'.join(map(str, found.shape))} neurons: one for the layer "
            "or for each channel has a form"
        )
    return rows[:, 0]


def _zero() -> Tensor:
    return torch.zeros((), dtype=torch.float64)
