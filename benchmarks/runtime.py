"""Time the native runtime against ONNX Runtime, OpenVINO, torch and NumPy."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from benchmarks.harness.command_line import call_with_arguments, print_report
from benchmarks.harness.runtime_speed import AVX2, RATES, RuntimeReport, measure_runtime_speed
from benchmarks.harness.runtime_tables import runtime_json, runtime_tables
from spquant_snn.cli.options import DataDir
from spquant_snn.cli.source import open_source
from spquant_snn.cli.test_set import TestSet
from spquant_snn.integer.own_items import Interface
from spquant_snn.io.output import say_progress

_TIMED = 100  # images that are timed one by one


def runtime(
    lenet: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER|FILE")] = None,
    rates: tuple[float, ...] = RATES,
    rounds: int = 15,
    data_dir: DataDir = None,
    avx2: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    as_json: Annotated[bool, tyro.conf.arg(name="json"), tyro.conf.FlagCreatePairsOff] = False,
) -> int:
    """Time the native runtime against ONNX Runtime, OpenVINO, torch and NumPy.

    Args:
        lenet: a LeNet-SNN of 4 time steps trained on MNIST, its run or its .spq file.
        rates: percent of spikes whose times are measured and fitted.
        rounds: of all candidates in turn; the medians count.
        avx2: hold the native runtime, OpenVINO and torch to AVX2, as on processors without AVX-512; ONNX Runtime cannot
            be held, and OpenVINO stands in its place.
        as_json: print one JSON object.
    """
    if avx2 and not AVX2.items() <= os.environ.items():  # which is read when the packages are loaded
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks", "runtime", *sys.argv[1:]], os.environ | AVX2)
    print_report(measure_runtime(lenet, rates, rounds, data_dir, avx2), as_json, runtime_json, runtime_tables)
    return 0


def measure_runtime(
    lenet: Path | None, rates: Sequence[float], rounds: int, data_dir: Path | None, avx2: bool = False
) -> RuntimeReport:
    """Time the native runtime on networks of noise and, where one is given, on a LeNet-SNN and MNIST's test images."""
    network = None
    if lenet is not None:
        source = open_source(lenet)
        graph = source.graph()
        test = TestSet("mnist", count=_TIMED, data_dir=data_dir).items(source, Interface.of(graph))
        network = graph, np.ascontiguousarray(test.images)
    return measure_runtime_speed(network, rates, rounds, say_progress, avx2=avx2)


def main() -> int:
    """The command line."""
    return call_with_arguments(runtime)
