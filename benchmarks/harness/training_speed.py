"""Training against other packages, torch.compile and this package's own plain path: what ``python -m benchmarks train``
measures.

All train the same topologies, on the same noise, with the same update; the others in float32, as their users do, in
the faster of two forms: time steps in the batch, or time as the outer loop. One thread is timed in processor time, two
in wall time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.harness.host import host
from benchmarks.harness.other_neurons import LoopNeuron, snntorch, spikingjelly
from benchmarks.harness.saved_bytes import peak_bytes, saved_for_backward
from benchmarks.harness.suppress_output import suppress_output
from benchmarks.harness.timed_comparison import TimedComparison, TimeRatio
from benchmarks.harness.timing import SEVERAL_THREADS, SINGLE_THREAD, Call
from benchmarks.harness.training_steps import (
    LOOP,
    OURS,
    OURS_BF16,
    OURS_RECOMPUTED,
    PLAIN,
    SNNTORCH,
    SPIKINGJELLY,
    TrainingWorkload,
    forms_of,
    training_step,
)
from spquant_snn.errors import ConfigError, MissingDependencyError
from spquant_snn.integer.grids import STATE_GRIDS
from spquant_snn.nn.lif import LIF
from spquant_snn.nn.recurrence import Levels
from spquant_snn.train.device import multiplies_bf16

COMPILED = "torch.compile of it"
FLOAT, TWO_BITS = "float", "2-bit"
VGG9, LENET = TrainingWorkload("VGG-9", "vgg9-snn", (3, 32, 32)), TrainingWorkload("LeNet", "lenet-snn", (1, 28, 28))
VGG9_256 = replace(VGG9, batch=256)
RESNET18_32 = TrainingWorkload("ResNet-18, 32x32", "resnet18-snn", (3, 32, 32))
RESNET18 = TrainingWorkload("ResNet-18", "resnet18-snn", (2, 64, 64), 16, 4)
SLACK = 0.05  # bytes that a neuron may keep beside its input, in units of that

_NEURONS = (32, 128, 16, 16)
_STEPS = (4, 16)

Notify = Callable[[str], None]
Workloads = tuple[tuple[TrainingWorkload, float, float | None], ...]


@dataclass(frozen=True)
class TrainingPlan:
    """What is measured.

    Args:
        device: where: cpu, or cuda.
        neurons: shape of the currents of one time step.
        steps: numbers of time steps of the neurons alone.
        workloads: networks to be trained, and what a step may take at most of SpikingJelly's and snnTorch's time and of
            the plain path's.
        counted: networks of whose steps the bytes are counted.
        rounds: of all candidates in turn.
        threads: numbers of them.
        compiled: whether torch.compile takes part, whose start takes a minute.
    """

    device: str = "cpu"
    neurons: tuple[int, ...] = _NEURONS
    steps: tuple[int, ...] = _STEPS
    workloads: Workloads = ((VGG9, 0.5, 0.55), (LENET, 0.5, None), (RESNET18_32, 0.5, None))
    counted: tuple[TrainingWorkload, ...] = (VGG9, RESNET18)
    rounds: int = 7
    threads: tuple[int, ...] = (1, 2)
    compiled: bool = True


def gpu_plan(rounds: int, compiled: bool) -> TrainingPlan:
    """What is measured on a GPU, which larger batches fill; there no number of threads matters, and 0 stands for it."""
    workloads = ((VGG9_256, 0.7, None),)
    return TrainingPlan("cuda", (256, *_NEURONS[1:]), _STEPS[:1], workloads, (VGG9_256,), rounds, (0,), compiled)


@dataclass(frozen=True)
class SavedBytes:
    """Bytes that neurons keep for the backward pass, in units of their input."""

    engine: str
    units: float | None
    missing: str = ""


@dataclass(frozen=True)
class PeakBytes:
    """Bytes that a training step of a workload holds at once."""

    workload: str
    engine: str
    bytes: int | None
    missing: str = ""


@dataclass(eq=False)
class TrainingReport:
    """Everything that was measured in one run; rows by number of threads, 0 on a GPU."""

    host: dict[str, Any]
    rounds: int
    rows: dict[int, list[TimeRatio]] = field(default_factory=dict)
    saved: list[SavedBytes] = field(default_factory=list)
    peaks: list[PeakBytes] = field(default_factory=list)
    on: str | None = None  # the GPU's name


def measure_training_speed(plan: TrainingPlan, notify: Notify = lambda doing: None) -> TrainingReport:
    """Build and time everything.

    Raises:
        ConfigError: rounds or threads are out of range.
        MissingDependencyError: there is no C compiler.
    """
    if plan.rounds < 1:
        raise ConfigError(f"rounds must be at least 1, not {plan.rounds}")
    if plan.device == "cpu" and (not plan.threads or min(plan.threads) < 1):
        raise ConfigError("threads are numbers from 1, as in --threads 1 2")
    if plan.device != "cpu" and not torch.cuda.is_available():
        raise ConfigError("there is no GPU here: leave --device out, or choose cpu")
    report = TrainingReport(host(), plan.rounds, on=None if plan.device == "cpu" else torch.cuda.get_device_name())
    for threads in plan.threads:
        with _threads(threads):
            report.rows[threads] = [
                *(row for steps in plan.steps for row in _neurons(plan, steps, threads, notify)),
                *(
                    row
                    for workload, goal, plain in plan.workloads
                    for row in _steps(plan, workload, goal, plain, threads, notify)
                ),
            ]
    notify("counting bytes")
    report.saved += _saved(plan)
    with _threads(1):
        report.peaks += [found for workload in plan.counted for found in _peaks(workload, plan.device)]
    return report


def _neurons(plan: TrainingPlan, steps: int, threads: int, notify: Notify) -> Iterator[TimeRatio]:
    """Forward and backward of neurons alone."""
    notify(f"timing neurons, T = {steps}{_where(threads)}")
    shape = (steps, *plan.neurons)
    workload = f"neuron {list(shape)}"
    current, pull = (torch.randn(shape, dtype=torch.float32, device=plan.device) for _ in range(2))
    current.requires_grad_()
    comparison = TimedComparison()
    for name, ours in _ours().items():
        comparison.add(f"{workload} {name}", OURS, _turning(ours.to(plan.device), current, pull))
    for engine, make in _others(plan.compiled).items():
        comparison.add_forms(workload, engine, {"": lambda make=make: _turning(make().to(plan.device), current, pull)})  # type: ignore[misc]
    outcome = comparison.run(plan.rounds, _clocks(threads))
    for name in _ours():
        for engine, goal in ((LOOP, 0.15), (COMPILED, 1.0), (SPIKINGJELLY, None), (SNNTORCH, None)):
            if engine != COMPILED or plan.compiled:
                yield outcome.row(f"{workload} {name}", engine, goal, OURS, of=workload)


def _steps(
    plan: TrainingPlan, workload: TrainingWorkload, goal: float, plain: float | None, threads: int, notify: Notify
) -> Iterator[TimeRatio]:
    """Training steps of a network."""
    notify(f"timing training steps of {workload.name}{_where(threads)}")
    ours = (OURS, OURS_BF16) if multiplies_bf16(torch.device(plan.device)) else (OURS,)
    comparison = TimedComparison()
    for engine in (*ours, PLAIN, SPIKINGJELLY, SNNTORCH):
        comparison.add_forms(
            workload.name,
            engine,
            {
                form: lambda engine=engine, form=form: training_step(workload, engine, form, plan.device)  # type: ignore[misc]
                for form in forms_of(engine, plan.device)
            },
        )
    outcome = comparison.run(plan.rounds, _clocks(threads))
    for engine in ours:
        name = workload.name if engine == OURS else f"{workload.name}, bf16"
        for against, most in ((PLAIN, plain), (SPIKINGJELLY, goal), (SNNTORCH, goal)):
            row = outcome.row(workload.name, against, most, engine)
            yield TimeRatio(name, against, workload.name, most, row.ours, row.theirs, row.form, row.missing)


def _saved(plan: TrainingPlan) -> Iterator[SavedBytes]:
    current = torch.randn((plan.steps[0], *plan.neurons), dtype=torch.float32, device=plan.device, requires_grad=True)
    makes: dict[str, Callable[[], nn.Module]] = {
        **{f"{OURS}, {name}": lambda ours=ours: ours.to(plan.device) for name, ours in _ours().items()},  # type: ignore[misc]
        **_others(compiled=False),
    }
    for engine, make in makes.items():
        try:
            layer = make().to(plan.device)
        except MissingDependencyError as error:
            yield SavedBytes(engine, None, str(error))
            continue
        with suppress_output():
            counted = saved_for_backward(lambda layer=layer: layer(current))  # type: ignore[misc]
        yield SavedBytes(engine, counted / (current.numel() * current.element_size()))


def _peaks(workload: TrainingWorkload, device: str) -> Iterator[PeakBytes]:
    for engine in (OURS, OURS_RECOMPUTED, PLAIN, SPIKINGJELLY, SNNTORCH):
        try:
            counted = (
                peak_bytes(training_step(workload, engine, form, device), device) for form in forms_of(engine, device)
            )
            yield PeakBytes(workload.name, engine, min(counted))
        except MissingDependencyError as error:
            yield PeakBytes(workload.name, engine, None, str(error))


def _ours() -> dict[str, LIF]:
    """Neurons of this package, by what they store."""
    grid = STATE_GRIDS[2]
    stored, short = LIF(), LIF()
    short.levels = Levels(grid.low, grid.high, float(grid.step))
    return {FLOAT: stored, TWO_BITS: short}


def _others(compiled: bool) -> dict[str, Callable[[], nn.Module]]:
    """Those of others, in floating point."""
    others: dict[str, Callable[[], nn.Module]] = {
        LOOP: LoopNeuron,
        SPIKINGJELLY: lambda: spikingjelly()(),
        SNNTORCH: lambda: snntorch()(),
    }
    return others | ({COMPILED: _compiled} if compiled else {})


def _compiled() -> nn.Module:
    """The loop by torch.compile, which is tried here.

    Raises:
        MissingDependencyError: it does not work.
    """
    try:
        layer: nn.Module = torch.compile(LoopNeuron(), dynamic=False)  # type: ignore[assignment]
        with suppress_output():
            layer(torch.zeros(1, 1, dtype=torch.float32))
    except Exception as error:  # of many types: compilers, headers, versions of Python
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise MissingDependencyError(
            f"torch.compile does not work here ({said}): repair it, or leave it out with --no-compiled"
        ) from None
    return layer


def _turning(layer: nn.Module, current: Tensor, pull: Tensor) -> Call:
    """Forward and backward of neurons on currents that take a gradient."""

    def call(k: int) -> object:
        reset = getattr(layer, "reset", None)
        if callable(reset):
            reset()
        return torch.autograd.grad(layer(current), current, pull)

    return call


def _clocks(threads: int) -> Any:
    if threads == 0:
        return (_after_the_gpu,)
    return SINGLE_THREAD if threads == 1 else SEVERAL_THREADS


def _after_the_gpu() -> int:
    """Wall time, once the GPU has done what it was given."""
    torch.cuda.synchronize()
    return time.perf_counter_ns()


def _where(threads: int) -> str:
    return f", threads: {threads}" if threads else " on the GPU"


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(min(count or before, os.cpu_count() or 1))
    try:
        yield
    finally:
        torch.set_num_threads(before)
