"""Networks in the Neuromorphic Intermediate Representation (NIR, Pedersen et al. 2024), read as layers of torch."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import Any, get_args

import numpy as np
import torch
from torch import nn

from ..errors import ConfigError, FileFormatError, MissingDependencyError, ModelError
from ..nn.imported import ImportedSNN
from ..nn.layers import OneToOne
from .emit import multiply, network_of
from .foreign_package import Call, ForeignPackage, tell_version
from .neuron_form import NeuronForm
from .nir_neurons import FIRING, NEURONS, Decay, NIRReset, TimeSteps
from .nir_nodes import back_edges, flattened, largest_of, layer_of, paths_of, tensor_of
from .step_expressions import Expression, Expressions, Signal, Site
from .unroll import RepeatedStep


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
        ``LeakyIntegrator``. Spikes over an edge that leads back, seen from the inputs, arrive one step later, and so do
        those behind a Delay of ``dt``.

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
    time = TimeSteps(_step_of(graph, dt), decay, reset)
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


class _Graph:
    """A NIR graph, from its outputs back to its inputs."""

    def __init__(self, graph: Any, time: TimeSteps) -> None:
        self.nodes, self.edges = flattened(graph)
        self.time = time
        self.expressions = Expressions()
        self.layers = nn.Module()
        self.sites: dict[str, Site] = {}
        self.made: dict[tuple[str, bool], Expression] = {}
        self.open: list[str] = []
        self.delayed: list[str] = []  # neurons whose spikes are taken a step late
        self.numbers = {name: i for i, name in enumerate(self._of_type("Input"))}
        self.paths = paths_of(list(self.nodes))
        late = [name for name in self._of_type("Delay") if np.any(self.nodes[name].delay)]  # a loop through one is open
        self.back = back_edges([edge for edge in self.edges if edge[1] not in late], [*self.numbers, *late])

    def _of_type(self, kind: str) -> Iterator[str]:
        return (name for name, node in self.nodes.items() if type(node).__name__ == kind)

    def network(self) -> ImportedSNN:
        outputs = list(self._of_type("Output"))
        if not outputs:
            raise ModelError("the NIR graph has no Output node")
        returned = tuple(Signal(self._sum(name)) for name in outputs)
        while self.delayed:  # some may not be reached otherwise
            self._node(self.delayed.pop())
        if not self.sites:
            raise ModelError("the NIR graph has no neurons that its output depends on")
        step = RepeatedStep(returned, list(self.sites.values()), self.expressions, 1)
        weights = [value for value in self.layers.parameters() if value.dim() > 1]
        dtype = weights[0].dtype if weights else torch.float32
        return network_of(step, self.layers, _Nir(), None, dtype, ())  # Input nodes of peers have other shapes at times

    def _sources(self, name: str) -> list[str]:
        """The nodes that a node takes.

        Raises:
            ModelError: there is none.
        """
        sources = [one for one, other in self.edges if other == name]
        if not sources:
            raise ModelError(f"node {name!r} of the NIR graph takes nothing")
        return sources

    def _sum(self, name: str, late: bool = False) -> Expression:
        """What reaches a node: the sum of what its edges bring, a step late over those that lead back."""
        first, *others = (self._node(source, late or (source, name) in self.back) for source in self._sources(name))
        for other in others:
            first = self.expressions.make("function", torch.add, (first, other))
        return first

    def _node(self, name: str, late: bool = False) -> Expression:
        """What a node gives; with ``late``, of the spikes of the step before."""
        kind = type(self.nodes[name]).__name__
        if late and kind in NEURONS:
            self.delayed.append(name)
            return self.expressions.make("earlier", self._site(name))
        if name in self.open:
            around = " -> ".join([*self.open[self.open.index(name) :], name])
            raise ModelError(f"the NIR graph goes in a circle without neurons: {around}")
        if (name, late) not in self.made:
            self.open.append(name)
            try:
                self.made[name, late] = self._made(name, kind, late)
            finally:
                self.open.pop()
        return self.made[name, late]

    def _alone(self, name: str) -> bool:
        """Whether what a node gives goes to one other alone."""
        return sum(one == name for one, _ in self.edges) == 1

    def _site(self, name: str) -> Site:
        if name not in self.sites:
            node = self.nodes[name]
            site = self.sites[name] = Site(self.paths[name], nn.Identity(), self.time.form(name, node))
            shape = getattr(node, "v_threshold", getattr(node, "threshold", np.zeros(1))).shape
            site.shape = tuple(int(size) for size in shape) or (1,)
        return self.sites[name]

    def _check_size(self, name: str, shape: tuple[int, ...]) -> None:
        """Raise ModelError, if a matrix in front of neurons has another number of outputs than there are neurons."""
        for source in self._sources(name):
            weight: Any = getattr(self.nodes[source], "weight", None)
            if len(shape) == 1 < shape[0] and np.ndim(weight) == 2 and len(weight) != shape[0]:
                raise ModelError(
                    f"node {name!r} has {shape[0]} neurons, and {source!r} in front of it {len(weight)} outputs: write "
                    "the file again"
                )

    def _step_before(self, name: str, node: Any) -> Expression:
        """What a Delay of one step gives: spikes of neurons, which need not be reached yet."""
        sources, step = self._sources(name), self.time.step(name)
        if not np.allclose(node.delay, step, rtol=1e-3, atol=0):
            raise ModelError(
                f"node {name!r} delays by other than a time step, which has no form here: let it be 0, or dt, {step:g}"
            )
        if len(sources) != 1 or type(self.nodes[sources[0]]).__name__ not in FIRING:
            raise ModelError(f"node {name!r} delays what are no spikes of one layer: put it right behind neurons")
        return self._node(sources[0], late=True)

    def _largest(self, name: str, node: Any, late: bool) -> Expression | None:
        """The largest spike of windows, as a threshold on their mean or sum that one spike passes; None: it is not."""
        sources = self._sources(name)
        pool: Any = self.nodes[sources[0]]
        if len(sources) != 1 or type(pool).__name__ not in ("AvgPool2d", "SumPool2d") or not self._alone(sources[0]):
            return None
        given, least = self._sources(sources[0]), tensor_of(node.threshold)
        one = 1.0 if type(pool).__name__ == "SumPool2d" else 1 / np.broadcast_to(pool.kernel_size, 2).prod()
        if len(given) != 1 or not self._spikes(given[0]) or bool(((least < 0) | (least >= one)).any()):
            return None
        _put(self.layers, self.paths[name], largest_of(pool))
        return self.expressions.make("module", self.paths[name], (self._node(given[0], late),))

    def _spikes(self, name: str) -> bool:
        """Whether what a node gives is zeros and ones."""
        kind = type(self.nodes[name]).__name__
        if kind == "Delay":
            return all(self._spikes(source) for source in self._sources(name))
        return kind in FIRING

    def _made(self, name: str, kind: str, late: bool) -> Expression:
        node = self.nodes[name]
        if kind == "Input" and late:
            raise ModelError(f"the input {name!r} is taken a step late, which has no form here: only spikes are")
        if kind == "Input":
            return self.expressions.make("input", self.numbers[name])
        if kind == "Delay" and np.any(node.delay) and late:
            raise ModelError(
                f"node {name!r} delays what comes back a step late: neurons here take spikes of one step ago"
            )
        if kind == "Delay" and np.any(node.delay):
            return self._step_before(name, node)
        if kind == "Threshold":
            largest = self._largest(name, node, late)
            if largest is not None:
                return largest
        if kind in NEURONS:
            site = self._site(name)
            site.currents.append(self._sum(name))
            self._check_size(name, site.shape)
            _put(self.layers, self.paths[name], nn.Identity())  # layers stand in the order in which they are reached
            return self.expressions.make("spikes" if site.form.threshold is not None else "potential", site)
        given = self._sum(name, late)
        if kind == "Flatten":
            shape = node.output_type["output"]
            if shape is not None:
                return self.expressions.make("reshape", tuple(int(size) for size in shape), (given,))
        layer = layer_of(name, node)
        if layer is None:
            return given
        if isinstance(layer, OneToOne) and given.kind == "module" and self._alone(self._sources(name)[0]):
            multiply(self.layers.get_submodule(given.target), layer.weight.detach(), name)
            return given
        _put(self.layers, self.paths[name], layer)
        return self.expressions.make("module", self.paths[name], (given,))


def _put(root: nn.Module, path: str, layer: nn.Module) -> None:
    owner, _, name = path.rpartition(".")
    for part in owner.split(".") if owner else ():
        if part not in root._modules:
            root.add_module(part, nn.Module())
        root = root.get_submodule(part)
    root.add_module(name, layer)
