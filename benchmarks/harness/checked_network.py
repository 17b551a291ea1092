"""A network that is timed: checked first, and with its spikes counted."""

from __future__ import annotations

from ctypes import CDLL
from dataclasses import dataclass

from benchmarks.harness.timing import Call
from spquant_snn.dtypes import UInt8
from spquant_snn.errors import UnequalError
from spquant_snn.integer import reference
from spquant_snn.integer.compare import first_difference, reference_trace
from spquant_snn.integer.graph import Graph
from spquant_snn.runtime.native import NativeProgram

_CHECKED = 2  # images compared in full


@dataclass(frozen=True, eq=False)
class CheckedNetwork:
    """A graph, the images that it is timed on, and what they make it do.

    Args:
        name: in tables.
        rates: share of spikes per hidden layer, over images and steps.
        spikes: of all hidden layers and steps, per image.
    """

    name: str
    graph: Graph
    images: UInt8
    native: NativeProgram
    rates: tuple[float, ...]
    spikes: float

    def run_native(self, k: int) -> object:
        """One image after the other: a network that sees the same again and again is too easy to predict."""
        k %= len(self.images)
        return self.native.logits(self.images[k : k + 1])

    def run_reference(self, k: int) -> object:
        k %= len(self.images)
        return reference.run(self.graph, self.images[k : k + 1])

    def run_batch(self, images: UInt8, threads: int) -> Call:
        return lambda k: self.native.logits(images, threads)


def check_network(name: str, graph: Graph, images: UInt8, built: CDLL | None = None) -> CheckedNetwork:
    """A network, ready to be timed.

    Args:
        built: the runtime to time; None: that for this CPU.

    Raises:
        UnequalError: the native runtime and the reference do not agree on it.
        MissingDependencyError: there is no C compiler.
    """
    native = NativeProgram(graph, built)
    few = images[:_CHECKED]
    difference = first_difference(reference_trace(graph, few), native.trace(few))
    if difference is not None:
        raise UnequalError(f"{name}: the native runtime is wrong and was not timed, {difference}: report this")
    layers = [spikes for _, spikes, _ in native.trace(images).layers]
    return CheckedNetwork(
        name,
        graph,
        images,
        native,
        tuple(float(spikes.mean()) for spikes in layers),
        sum(int(spikes.sum()) for spikes in layers) / len(images),
    )
