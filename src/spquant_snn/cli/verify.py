"""``spquant verify``: torch and the integer model of a run, compared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from ..errors import RunError
from ..integer.compare import IntegerBackend, Verdict
from ..io.output import say, say_json
from .options import AsJson, Folder, Threads, use_threads
from .source import open_run
from .test_set import TestSet

if TYPE_CHECKING:
    from ..integer.graph import Graph
    from ..quant.network import SpikingNetwork

_FIRST = TestSet(images=1000)


def command(
    run: Folder,
    test_set: tyro.conf.OmitArgPrefixes[TestSet] = _FIRST,
    backend: IntegerBackend = "reference",
    threads: Threads = 0,
    as_json: AsJson = False,
) -> int:
    """Compare torch and integer model in every spike, code and logit.

    Args:
        run: folder of a run.
        test_set: what they are compared on.
        backend: what runs the .spq file: NumPy (reference) or C (native).
    """
    use_threads(threads)
    verdict = verify_run(run, test_set, backend)
    if as_json:
        say_json(_plain(verdict))
    else:
        say(str(verdict))
    return 0 if verdict.equal else 1


def verify_run(run: Path, test_set: TestSet, backend: IntegerBackend) -> Verdict:
    """The frozen network of a run against its .spq file."""
    source = open_run(run)
    from ..integer.inputs import check_takes_images
    from ..io.terminal import progress
    from ..quant.frozen_trace import verify
    from ..train.loading import load_network

    network = load_network(run).eval().freeze()
    graph = source.graph()
    check_takes_images(graph, "spquant verify")
    refuse_other_network(run, graph, network)
    test = test_set.load(test_set.name_for(run, source.dataset), graph.timesteps)
    with progress(len(test), "verifying") as report:
        return verify(network, graph, test.inputs(), backend, report)


def refuse_other_network(run: Path, graph: Graph, network: SpikingNetwork) -> None:
    """Refuse the .spq file of a run that holds another network than the run's.

    Raises:
        RunError: it does.
    """
    from ..quant.frozen_trace import same_layers
    from ..train.run import RunFolder

    if not same_layers(network, graph):
        raise RunError(f"{RunFolder(run).integers} holds another network than this run: export it again")


def _plain(verdict: Verdict) -> dict[str, Any]:
    """What --json prints."""
    first = verdict.difference
    return {
        "equal": verdict.equal,
        "images": verdict.images,
        "spikes": verdict.spikes,
        "codes": verdict.codes,
        "logits": verdict.logits,
        "difference": None if first is None else {**vars(first), "index": list(first.index)},
    }
