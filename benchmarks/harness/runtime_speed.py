"""The native runtime against other engines, the reference and itself: what ``python -m benchmarks runtime`` measures.

Single images take one thread and are timed in processor time; the Python around a call is part of it. Other engines
run the same network, or the conventional one of the same shape, in their fastest form and on one image, for theirs is
dense work that costs the same on every image. Targets are for networks as they come; what other engines gain where
someone folds the pools for them is measured beside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.harness.checked_network import Subject, subject
from benchmarks.harness.float_baseline import DenseTwin, SpikingTwin
from benchmarks.harness.host import host
from benchmarks.harness.linear_fit import Line, fit
from benchmarks.harness.other_engines import Float32, onnxruntime_int8, openvino_int8, torch_eager
from benchmarks.harness.random_networks import Plan, UInt8, noise, random_network
from benchmarks.harness.timed_comparison import Contest, Entry, Row
from benchmarks.harness.timing import SEVERAL_THREADS, Times
from spquant_snn.errors import ConfigError
from spquant_snn.integer.graph import PIXEL, Graph
from spquant_snn.nn.models import build_model

TIMESTEPS = 4
RATES = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 50.0)  # percent
SPEEDUP = 1.8  # of two threads

NATIVE, REFERENCE, TORCH = "native", "NumPy reference", "torch eager SNN"
OPENVINO_SNN, OPENVINO_ANN = "OpenVINO int8 SNN", "OpenVINO int8 ANN"
ONNX_SNN, ONNX_ANN = "ONNX Runtime int8 SNN", "ONNX Runtime int8 ANN"
FOLDED = "*"  # behind the name of an engine that was given its pools folded into kernels

_IMAGES = 16  # of noise
_BATCH = 32
_CALIBRATION = 16  # images that a peer is quantised on
_WIDTHS = (1.58, 8)  # of weights, whose times over the rate are measured

Notify = Callable[[str], None]


@dataclass(frozen=True)
class Shape:
    """The network of noise: how it is called, its model and its images."""

    name: str = "VGG-9"
    model: str = "vgg9-snn"
    images: tuple[int, int, int] = (3, 32, 32)


@dataclass(frozen=True)
class Density:
    """Times over the rate of spikes, for one width of weights: (wanted percent, spikes per image, microseconds)."""

    bits: float
    points: tuple[tuple[float, float, float], ...]
    line: Line  # over spikes


@dataclass(frozen=True)
class Threads:
    """A batch on one thread and on two, wall time in microseconds."""

    work: str
    batch: int
    one: float
    two: float

    @property
    def speedup(self) -> float:
        return self.one / self.two


@dataclass(eq=False)
class Report:
    """Everything that was measured in one run."""

    host: dict[str, Any]
    rounds: int
    subjects: list[Subject] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    density: list[Density] = field(default_factory=list)
    threads: Threads | None = None
    times: dict[Entry, Times] = field(default_factory=dict)


def measure(
    lenet: tuple[Graph, UInt8] | None,
    rates: Sequence[float] = RATES,
    rounds: int = 15,
    notify: Notify = lambda doing: None,
    shape: Shape | None = None,
) -> Report:
    """Build, check and time everything.

    Args:
        lenet: a trained LeNet-SNN and test images; its rows are missing without.
        rates: percent of spikes whose times are measured and fitted.
        rounds: of all candidates in turn.
        notify: is told what goes on.
        shape: of the network of noise; VGG-9 on 32x32 by default.

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
    report = Report(host(), rounds)
    with _one_thread():
        _measure_noise(report, shape or Shape(), rates, notify)
        _measure_lenet(report, lenet, notify)
    return report


def _measure_noise(report: Report, shape: Shape, rates: Sequence[float], notify: Notify) -> None:
    model, images = build_model(shape.model, shape.images, 10), noise(shape.images, _IMAGES)
    wanted = {(bits, float(rate)) for bits in _WIDTHS for rate in rates}
    subjects = {}
    for bits, rate in sorted(wanted | {(1.58, 5.0), (1.58, 10.0), (4, 10.0), (8, 10.0)}):
        name = f"{shape.name} {bits:g} bits {rate:g} %"
        notify(f"building {name}")
        graph = random_network(model, images, Plan(rate / 100, bits, timesteps=TIMESTEPS))
        subjects[bits, rate] = subject(name, graph, images)
    contest = Contest()
    for found in subjects.values():
        contest.enter(found.name, NATIVE, found.run_native)
    pixels = _pixels(images)
    for bits in (1.58, 4, 8):
        found = subjects[bits, 10.0]
        notify(f"preparing the peers of {found.name}")
        contest.enter_peer(found.name, OPENVINO_SNN, openvino_int8, _forms(found.graph), pixels)
    main, sparse = subjects[1.58, 10.0], subjects[1.58, 5.0]
    contest.enter_peer(main.name, OPENVINO_ANN, openvino_int8, {"": DenseTwin(main.graph)}, pixels)
    contest.enter_peer(main.name, OPENVINO_SNN + FOLDED, openvino_int8, _forms(main.graph, True), pixels)
    contest.enter_peer(main.name, OPENVINO_ANN + FOLDED, openvino_int8, {"": DenseTwin(main.graph, True)}, pixels)
    contest.enter_peer(main.name, TORCH, torch_eager, _forms(main.graph), pixels)
    contest.enter(main.name, REFERENCE, main.run_reference)
    notify(f"timing {shape.name}")
    outcome = contest.run(report.rounds)
    report.subjects += subjects.values()
    report.times |= outcome.times
    report.rows += [
        outcome.row(main.name, OPENVINO_SNN, 0.12, NATIVE),
        outcome.row(main.name, OPENVINO_ANN, 0.65, NATIVE),
        outcome.row(sparse.name, OPENVINO_ANN, 0.45, NATIVE, of=main.name),
        outcome.row(subjects[4, 10.0].name, OPENVINO_SNN, 0.20, NATIVE),
        outcome.row(subjects[8, 10.0].name, OPENVINO_SNN, 0.25, NATIVE),
        outcome.row(main.name, TORCH, 0.06, NATIVE),
        outcome.row(main.name, REFERENCE, 0.01, NATIVE),
        outcome.row(main.name, OPENVINO_SNN + FOLDED, None, NATIVE),
        outcome.row(main.name, OPENVINO_ANN + FOLDED, None, NATIVE),
    ]
    for bits in _WIDTHS:
        points = []
        for rate in sorted(set(rates)):
            found = subjects[bits, rate]
            points.append((rate, found.spikes, outcome.times[Entry(found.name, NATIVE)].median))
        line = fit([spikes for _, spikes, _ in points], [time for _, _, time in points])
        report.density.append(Density(bits, tuple(points), line))
    notify("timing two threads")
    report.threads = _measure_threads(main, report)


def _measure_threads(found: Subject, report: Report) -> Threads:
    batch = np.resize(found.images, (_BATCH, *found.images.shape[1:]))
    work = f"{found.name} batch {_BATCH}"
    contest = Contest()
    for threads in (1, 2):
        contest.enter(work, NATIVE, found.run_batch(batch, threads), f"on {threads}")
    times = contest.run(report.rounds, SEVERAL_THREADS).times
    report.times |= times
    one, two = (values.median for values in times.values())
    return Threads(work, _BATCH, one, two)


def _measure_lenet(report: Report, lenet: tuple[Graph, UInt8] | None, notify: Notify) -> None:
    goals: tuple[tuple[str, float | None], ...] = (
        (ONNX_SNN, 0.12),
        (ONNX_ANN, 0.7),
        (TORCH, 0.06),
        (REFERENCE, 0.01),
        (ONNX_SNN + FOLDED, None),
        (ONNX_ANN + FOLDED, None),
    )
    if lenet is None:
        reason = (
            f"give --lenet FOLDER|FILE, a LeNet-SNN trained with spquant train --dataset mnist --timesteps {TIMESTEPS}"
        )
        report.rows += [Row("LeNet", against, "LeNet", target, missing=reason) for against, target in goals]
        return
    graph, images = lenet
    found = subject(f"LeNet {graph.layers[0].connection.bits:g} bits MNIST", graph, images)
    notify(f"preparing the peers of {found.name}")
    contest, pixels = Contest(), _pixels(images[:_CALIBRATION])
    contest.enter(found.name, NATIVE, found.run_native)
    contest.enter_peer(found.name, ONNX_SNN, onnxruntime_int8, _forms(graph), pixels)
    contest.enter_peer(found.name, ONNX_ANN, onnxruntime_int8, {"": DenseTwin(graph)}, pixels)
    contest.enter_peer(found.name, ONNX_SNN + FOLDED, onnxruntime_int8, _forms(graph, True), pixels)
    contest.enter_peer(found.name, ONNX_ANN + FOLDED, onnxruntime_int8, {"": DenseTwin(graph, True)}, pixels)
    contest.enter_peer(found.name, TORCH, torch_eager, _forms(graph), pixels)
    contest.enter(found.name, REFERENCE, found.run_reference)
    notify(f"timing {found.name}")
    outcome = contest.run(report.rounds)
    report.subjects.append(found)
    report.times |= outcome.times
    report.rows += [outcome.row(found.name, against, target, NATIVE) for against, target in goals]


def _forms(graph: Graph, folded: bool = False) -> dict[str, nn.Module]:
    return {
        "step by step": SpikingTwin(graph, False, folded),
        "steps in the batch": SpikingTwin(graph, True, folded),
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
