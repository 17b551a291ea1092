"""Instructions and native time of networks on real images, and what exact skipping saves of both.

    python -m benchmarks instructions runs/mnist/2-2-s0 runs/mnist/2-2-pruned --dataset mnist --count 20
    python -m benchmarks instructions runs/mnist/2-2-s0 --verify 10000        # nothing is changed by exact skipping
    python -m benchmarks instructions runs/dense runs/sparse --margins 0 5431 # and of images that stop when decided

Instructions are those of the portable body, built for this machine with the options that a library gets, as callgrind
counts them: of a program that runs the images once, less those of one that runs none. "all blocks" is the same plan
without exact skipping. Times are of the native runtime on one thread, in microseconds an image, all networks in turn:
of one image a call, which costs Python's share too, and of all images in one call; the medians count.
Networks are compared with the first one. With --verify the portable body, which skips, is compared with the reference,
which does not, in every spike, stored code and logit. With --margins each network has a second row, of images that stop
at the first step at which the best logit leads the next by so much: spquant eval --early-exit finds margins.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from c_programs import C_FILES, MAIN, as_c, constants, executable
from spquant_snn.build import PORTABLE, compiler
from spquant_snn.data import load
from spquant_snn.integer import reference
from spquant_snn.integer.compare import compare_backends, reference_trace
from spquant_snn.integer.early_stop import stop_early
from spquant_snn.integer.file import load_graph
from spquant_snn.integer.graph import Graph
from spquant_snn.integer.program import Program
from spquant_snn.runtime.layout import plan_network
from spquant_snn.runtime.library import library
from spquant_snn.runtime.native import NativeProgram
from spquant_snn.runtime.plan import Body, LayerPlan, NetworkPlan


def instructions(
    graph: Graph, plan: NetworkPlan, images: NDArray[np.uint8], folder: Path, margin: int | None = None
) -> float:
    """Of one image, the mean; the program checks the logits too."""
    logits = reference.run(graph, images) if margin is None else stop_early(graph, images, margin).logits
    code = as_c(plan) + constants(images=images, logits=logits.astype(np.int32)) + MAIN
    counted = []
    for count in (0, len(images)):
        sizes = {"ARENA": -(-plan.arena_size // 4), "COUNT": count, "IMAGE": images[0].size, "CLASSES": graph.classes}
        sizes |= {} if margin is None else {"MARGIN": margin}
        target = executable(folder / "main", code, C_FILES, (compiler(), *PORTABLE), sizes)
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder / 'out'}", str(target)]
        ended = subprocess.run(command, capture_output=True, text=True, check=True)
        found = re.search(r"Collected : (\d+)", ended.stderr)
        assert found is not None
        counted.append(int(found.group(1)))
    return (counted[1] - counted[0]) / len(images)


def unskipped(plan: NetworkPlan) -> NetworkPlan:
    """The plan with the sums of all blocks computed that no gate leaves out."""

    def computed(layer: LayerPlan) -> LayerPlan:
        if layer.blocks is None:
            return layer
        gated = layer.blocks.count is not None
        return replace(layer, blocks=replace(layer.blocks, silent=None, rest=None) if gated else None)

    return replace(plan, layers=tuple(computed(layer) for layer in plan.layers))


def times(
    calls: list[Callable[[NDArray[np.uint8]], object]], images: NDArray[np.uint8], rounds: int, at_once: int
) -> list[float]:
    """Microseconds of an image, ``at_once`` a call; medians of the rounds' means."""
    found: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for call, taken in zip(calls, found, strict=True):
            call(images[:1])
            start = time.perf_counter()
            for i in range(0, len(images), at_once):
                call(images[i : i + at_once])
            taken.append((time.perf_counter() - start) / len(images) * 1e6)
    return [float(np.median(taken)) for taken in found]


def call_of(program: Program, margin: int | None) -> Callable[[NDArray[np.uint8]], object]:
    return program.logits if margin is None else partial(program.stop_early, margin=margin)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", type=Path, nargs="+", help="folders of runs, or .spq files")
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--count", type=int, default=20, help="for instructions; ten times as many for times")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--verify", type=int, default=0, help="on so many images")
    parser.add_argument("--margins", type=int, nargs="+", default=[], help="one for each network")
    args = parser.parse_args()
    if args.margins and len(args.margins) != len(args.networks):
        parser.error(f"--margins takes one for each of {len(args.networks)} networks, not {len(args.margins)}")
    test = load(args.dataset, args.data_dir).test.images
    graphs = [load_graph(path / "model.spq" if path.is_dir() else path) for path in args.networks]
    for path, graph in zip(args.networks, graphs, strict=True):
        if args.verify:
            portable = NativeProgram(graph, library(PORTABLE))
            assert portable.body == Body.PORTABLE
            verdict = compare_backends(partial(reference_trace, graph), portable.trace, test[: args.verify])
            print(f"{path}: {verdict}")
    rows: list[tuple[str, Graph, int | None]] = []
    for i, (path, graph) in enumerate(zip(args.networks, graphs, strict=True)):
        rows.append((str(path), graph, None))
        rows += [(f"{path} until {margin:,}", graph, margin) for margin in args.margins[i : i + 1]]
    programs = [(Program(graph, NativeProgram(graph)), margin) for _, graph, margin in rows]
    calls, timed = [call_of(*each) for each in programs], test[: 10 * args.count]
    alone, together = (times(calls, timed, args.rounds, at_once) for at_once in (1, len(timed)))
    print("network                instructions all blocks ratio     us ratio at once ratio")
    first: float | None = None
    for (name, graph, margin), one, many in zip(rows, alone, together, strict=True):
        with tempfile.TemporaryDirectory() as folder:
            plan, place = plan_network(graph, streams=margin is not None), Path(folder)
            taken, whole = (instructions(graph, p, test[: args.count], place, margin) for p in (plan, unskipped(plan)))
        first = first or taken
        print(
            f"{name[-22:]:22} {taken:12,.0f} {whole:10,.0f} {taken / first:5.2f} {one:6.1f} {one / alone[0]:5.2f} "
            f"{many:7.1f} {many / together[0]:5.2f}"
        )


if __name__ == "__main__":
    main()
