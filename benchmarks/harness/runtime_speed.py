"""The native runtime against other engines, the reference and itself: what ``python -m benchmarks runtime`` measures.

Single images take one thread and are timed in processor time; the Python around a call is part of it. Other engines
run the same network, or the conventional one of the same shape, in their fastest form and on one image, for theirs is
dense work that costs the same on every image. Targets are for networks as they come; what other engines gain where
someone folds the pools for them is measured beside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from ctypes import CDLL
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.harness.checked_network import CheckedNetwork, check_network
from benchmarks.harness.float_baseline import AnnBaseline, SpikingBaseline
from benchmarks.harness.host import host
from benchmarks.harness.linear_fit import LinearFit, fit_line
from benchmarks.harness.other_engines import onnxruntime_int8, openvino_int8, torch_eager
from benchmarks.harness.random_networks import NetworkSpec, noise, random_network
from benchmarks.harness.timed_comparison import Candidate, TimedComparison, TimeRatio
from benchmarks.harness.timing import SEVERAL_THREADS, Times
from spquant_snn.build import PORTABLE
from spquant_snn.dtypes import Float32, UInt8
from spquant_snn.errors import ConfigError
from spquant_snn.integer.graph import PIXEL, Graph
from spquant_snn.nn.models import build_model
from spquant_snn.runtime.library import library

TIMESTEPS = 4
RATES = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 50.0)  # percent
SPEEDUP = 1.8  # of two threads

NATIVE, REFERENCE, TORCH = "native", "NumPy reference", "torch eager SNN"
OPENVINO_SNN, OPENVINO_ANN = "OpenVINO int8 SNN", "OpenVINO int8 ANN"
ONNX_SNN, ONNX_ANN = "ONNX Runtime int8 SNN", "ONNX Runtime int8 ANN"
AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}  # the environment that holds OpenVINO and torch
FOLDED = "*"  # behind the name of an engine that was given its pools folded into kernels

_IMAGES = 16  # of noise
_BATCH = 32
_CALIBRATION = 16  # images that a peer is quantised on
_WIDTHS = (1.58, 8)  # of weights, whose times over the rate are measured

Notify = Callable[[str], None]


@dataclass(frozen=True)
class ModelShape:
    """The network of noise: how it is called, its model and its images."""

    name: str = "VGG-9"
    model: str = "vgg9-snn"
    images: tuple[int, int, int] = (3, 32, 32)


@dataclass(frozen=True)
class RateTimes:
    """Times over the rate of spikes, for one width of weights: (wanted percent, spikes per image, microseconds)."""

    bits: float
    points: tuple[tuple[float, float, float], ...]
    line: LinearFit  # over spikes


@dataclass(frozen=True)
class ThreadSpeedup:
    """A batch on one thread and on two, wall time in microseconds."""

    workload: str
    batch: int
    one: float
    two: float

    @property
    def speedup(self) -> float:
        return self.one / self.two


@dataclass(eq=False)
class RuntimeReport:
    """Everything that was measured in one run."""

    host: dict[str, Any]
    rounds: int
    built: CDLL | None = None  # for other processors than this one
    networks: list[CheckedNetwork] = field(default_factory=list)
    rows: list[TimeRatio] = field(default_factory=list)
    density: list[RateTimes] = field(default_factory=list)
    threads: ThreadSpeedup | None = None
    times: dict[Candidate, Times] = field(default_factory=dict)


def measure_runtime_speed(
    lenet: tuple[Graph, UInt8] | None,
    rates: Sequence[float] = RATES,
    rounds: int = 15,
    notify: Notify = lambda doing: None,
    shape: ModelShape | None = None,
    avx2: bool = False,
) -> RuntimeReport:
    """Build, check and time everything.

    Args:
        lenet: a trained LeNet-SNN and test images; its rows are missing without.
        rates: percent of spikes whose times are measured and fitted.
        rounds: of all candidates in turn.
        notify: called with what goes on.
        shape: of the network of noise; VGG-9 on 32x32 by default.
        avx2: hold the native runtime to AVX2, and compare it with engines that can be held to it; by the environment,
            see ``AVX2``, they must be already.

    Raises:
        ConfigError: a rate, the rounds or LeNet's time steps are out of range.
        UnequalError: native and reference differ.
        MissingDependencyError: there is no C compiler.
    """
    if len(set(rates)) < 2 or not all(0 < rate < 100 for rate in rates):
        raise ConfigError("rates are percentages above 0 and below 100, at least two of them, as in --rates 1 10 50")
    if rounds < 1:
        raise ConfigError(f"rounds must be at least 1, not {rounds}")
    if lenet is not None and lenet[0].timesteps != TIMESTEPS:
        raise ConfigError(
            f"the LeNet-SNN to measure takes {TIMESTEPS} time steps, this one takes {lenet[0].timesteps}: "
            f"train one with --timesteps {TIMESTEPS}"
        )
    built = library((*PORTABLE, "-march=haswell")) if avx2 else None
    report = RuntimeReport(host(built), rounds, built)
    with _one_thread():
        _measure_noise(report, shape or ModelShape(), rates, notify)
        _measure_lenet(report, lenet, notify)
    return report


def _measure_noise(report: RuntimeReport, shape: ModelShape, rates: Sequence[float], notify: Notify) -> None:
    model, images = build_model(shape.model, shape.images, 10), noise(shape.images, _IMAGES)
    wanted = {(bits, float(rate)) for bits in _WIDTHS for rate in rates}
    networks = {}
    for bits, rate in sorted(wanted | {(1.58, 5.0), (1.58, 10.0), (4, 10.0), (8, 10.0)}):
        name = f"{shape.name} {bits:g} bits {rate:g} %"
        notify(f"building {name}")
        graph = random_network(model, images, NetworkSpec(rate / 100, bits, timesteps=TIMESTEPS))
        networks[bits, rate] = check_network(name, graph, images, report.built)
    comparison = TimedComparison()
    for found in networks.values():
        comparison.add(found.name, NATIVE, found.run_native)
    pixels = _pixels(images)
    for bits in (1.58, 4, 8):
        found = networks[bits, 10.0]
        notify(f"preparing the peers of {found.name}")
        comparison.add_engine(found.name, OPENVINO_SNN, openvino_int8, _forms(found.graph), pixels)
    main, sparse, busiest = networks[1.58, 10.0], networks[1.58, 5.0], networks[8, float(max(rates))]
    comparison.add_engine(main.name, OPENVINO_ANN, openvino_int8, {"": AnnBaseline(main.graph)}, pixels)
    comparison.add_engine(main.name, OPENVINO_SNN + FOLDED, openvino_int8, _forms(main.graph, True), pixels)
    comparison.add_engine(main.name, OPENVINO_ANN + FOLDED, openvino_int8, {"": AnnBaseline(main.graph, True)}, pixels)
    comparison.add_engine(main.name, TORCH, torch_eager, _forms(main.graph), pixels)
    comparison.add(main.name, REFERENCE, main.run_reference)
    notify(f"timing {shape.name}")
    outcome = comparison.run(report.rounds)
    report.networks += networks.values()
    report.times |= outcome.times
    report.rows += [
        outcome.row(main.name, OPENVINO_SNN, 0.3 if report.built else 0.12, NATIVE),
        outcome.row(main.name, OPENVINO_ANN, 0.65, NATIVE),
        outcome.row(sparse.name, OPENVINO_ANN, 0.45, NATIVE, of=main.name),
        outcome.row(networks[4, 10.0].name, OPENVINO_SNN, 0.20, NATIVE),
        outcome.row(networks[8, 10.0].name, OPENVINO_SNN, 0.25, NATIVE),
        outcome.row(busiest.name, OPENVINO_SNN, 1.1, NATIVE, of=networks[8, 10.0].name),
        outcome.row(main.name, TORCH, 0.06, NATIVE),
        outcome.row(main.name, REFERENCE, 0.01, NATIVE),
        outcome.row(main.name, OPENVINO_SNN + FOLDED, 0.12, NATIVE),
        outcome.row(main.name, OPENVINO_ANN + FOLDED, 0.6, NATIVE),
    ]
    for bits in _WIDTHS:
        points = []
        for rate in sorted(set(rates)):
            found = networks[bits, rate]
            points.append((rate, found.spikes, outcome.times[Candidate(found.name, NATIVE)].median))
        line = fit_line([spikes for _, spikes, _ in points], [time for _, _, time in points])
        report.density.append(RateTimes(bits, tuple(points), line))
    notify("timing two threads")
    report.threads = _measure_threads(main, report)


def _measure_threads(found: CheckedNetwork, report: RuntimeReport) -> ThreadSpeedup:
    batch = np.resize(found.images, (_BATCH, *found.images.shape[1:]))
    workload = f"{found.name} batch {_BATCH}"
    comparison = TimedComparison()
    for threads in (1, 2):
        comparison.add(workload, NATIVE, found.run_batch(batch, threads), f"on {threads}")
    times = comparison.run(report.rounds, SEVERAL_THREADS).times
    report.times |= times
    one, two = (values.median for values in times.values())
    return ThreadSpeedup(workload, _BATCH, one, two)


def _measure_lenet(report: RuntimeReport, lenet: tuple[Graph, UInt8] | None, notify: Notify) -> None:
    # The kernels of ONNX Runtime ask the processor itself, and nothing holds them to fewer instructions than it has.
    engine, snn, ann = (onnxruntime_int8, ONNX_SNN, ONNX_ANN)
    if report.built:
        engine, snn, ann = (openvino_int8, OPENVINO_SNN, OPENVINO_ANN)
    goals: tuple[tuple[str, float | None], ...] = (
        (snn, 0.25 if report.built else 0.12),
        (ann, 0.7),
        (TORCH, 0.06),
        (REFERENCE, 0.01),
        (snn + FOLDED, None),
        (ann + FOLDED, None),
    )
    if lenet is None:
        reason = (
            f"give --lenet FOLDER|FILE, a LeNet-SNN trained with spquant train --dataset mnist --timesteps {TIMESTEPS}"
        )
        report.rows += [TimeRatio("LeNet", against, "LeNet", target, missing=reason) for against, target in goals]
        return
    graph, images = lenet
    found = check_network(f"LeNet {graph.connections[0].bits:g} bits MNIST", graph, images, report.built)
    notify(f"preparing the peers of {found.name}")
    comparison, pixels = TimedComparison(), _pixels(images[:_CALIBRATION])
    comparison.add(found.name, NATIVE, found.run_native)
    comparison.add_engine(found.name, snn, engine, _forms(graph), pixels)
    comparison.add_engine(found.name, ann, engine, {"": AnnBaseline(graph)}, pixels)
    comparison.add_engine(found.name, snn + FOLDED, engine, _forms(graph, True), pixels)
    comparison.add_engine(found.name, ann + FOLDED, engine, {"": AnnBaseline(graph, True)}, pixels)
    comparison.add_engine(found.name, TORCH, torch_eager, _forms(graph), pixels)
    comparison.add(found.name, REFERENCE, found.run_reference)
    notify(f"timing {found.name}")
    outcome = comparison.run(report.rounds)
    report.networks.append(found)
    report.times |= outcome.times
    report.rows += [outcome.row(found.name, against, target, NATIVE) for against, target in goals]


def _forms(graph: Graph, folded: bool = False) -> dict[str, nn.Module]:
    return {
        "step by step": SpikingBaseline(graph, False, folded),
        "steps in the batch": SpikingBaseline(graph, True, folded),
    }


def _pixels(images: UInt8) -> Float32:
    """What other engines take: 0 to 1."""
    return images.astype(np.float32) / np.float32(PIXEL)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Torch on one thread, as all others."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
