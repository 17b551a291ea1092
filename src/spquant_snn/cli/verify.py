"""``spquant verify``: two backends of a network, compared: torch and the integer model of a run, or of an .spq file the
reference and C."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ..errors import ConfigError, RunError
from ..integer.compare import IntegerBackend, Verdict
from ..io.output import say, say_json
from .options import AsJson, FolderOrFile, Threads, check_threads, unset, use_threads
from .source import Source, open_source
from .test_set import TestSet

if TYPE_CHECKING:
    from ..integer.graph import Graph
    from ..quant.network import SpikingNetwork

_FIRST = TestSet(count=1000)


def command(
    source: FolderOrFile,
    test_set: tyro.conf.OmitArgPrefixes[TestSet] = _FIRST,
    backend: Annotated[IntegerBackend | None, unset(metavar="{reference,native}")] = None,
    threads: Threads = 0,
    as_json: AsJson = False,
) -> int:
    """Compare torch and integer model in every spike, code and logit.

    Args:
        source: folder of a run; or an .spq file, of which the reference is compared with C, as of a run whose model
            was given in Python.
        test_set: what they are compared on.
        backend: what runs the integer model of a run: NumPy (reference, by default) or C (native).
    """
    check_threads(threads)
    found = open_source(source)
    if found.takes_torch():
        use_threads(threads)
        verdict = verify_run(source, test_set, backend or "reference")
    else:
        verdict = verify_file(found, test_set, backend or "native")
    if as_json:
        say_json(_plain(verdict))
    else:
        say(str(verdict))
    return 0 if verdict.equal else 1


def verify_run(run: Path, test_set: TestSet, backend: IntegerBackend) -> Verdict:
    """The frozen network of a run against its .spq file."""
    source = open_source(run)
    from ..integer.inputs import check_takes_one
    from ..integer.own_items import Interface
    from ..quant.frozen_trace import verify
    from ..train.loading import load_network

    network = load_network(run).eval().freeze()
    graph = source.graph()
    check_takes_one(graph, "spquant verify")
    refuse_other_network(run, graph, network)
    test = test_set.items(source, Interface.of(graph))
    return verify(network, graph, test.padded(), backend, lengths=test.lengths)


def verify_file(source: Source, test_set: TestSet, backend: IntegerBackend) -> Verdict:
    """The reference against C, of an .spq file; torch is not needed.

    Raises:
        ConfigError: the reference would be compared with itself.
    """
    from ..integer.compare import compare_backends, reference_trace
    from ..integer.inputs import check_takes_one
    from ..integer.own_items import Interface
    from ..io.terminal import progress
    from ..runtime.native import NativeProgram

    if backend == "reference":
        raise ConfigError(
            f"{source.path} holds the integer model alone, which the reference defines: compare C with it by --backend "
            "native, or give the folder of a run, which holds the network of torch too"
        )
    graph = source.graph()
    check_takes_one(graph, "spquant verify")
    test = test_set.items(source, Interface.of(graph))
    expected, found = partial(reference_trace, graph), NativeProgram(graph).trace
    with progress(len(test), "verifying") as report:
        return compare_backends(expected, found, test.padded(), progress=report, lengths=test.lengths)


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
