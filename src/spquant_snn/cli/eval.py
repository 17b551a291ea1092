"""``spquant eval``: the accuracy of a network on the test set."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from ..data.arrays import of_each_length
from ..data.scores import Counts, add, count, details, metric_of, score
from ..errors import ConfigError, RunError
from ..io.output import say, say_json
from .options import AsJson, Flag, FolderOrFile, Threads, check_threads, unset, use_threads
from .source import Source, open_source
from .test_set import TestSet, interface_of

if TYPE_CHECKING:
    from ..data import Labelled
    from ..data.items import Items
    from ..data.task import Task
    from ..report.early_exit import EarlyExit

Backend = Literal["torch", "reference", "native"]
_PURPOSE = "spquant eval"  # as the subject of a sentence
_PART = 250  # images between two moves of the bar


def command(
    source: FolderOrFile,
    test_set: tyro.conf.OmitArgPrefixes[TestSet],
    backend: Annotated[Backend | None, unset(metavar="{torch,reference,native}")] = None,
    threads: Threads = 0,
    early_exit: Flag = False,
    margin: Annotated[int | None, unset(metavar="N")] = None,
    as_json: AsJson = False,
) -> int:
    """Accuracy of a run, or of an .spq file, on the test set.

    Args:
        source: folder of a run, or an .spq file (then with --images or --dataset).
        test_set: what it is measured on.
        backend: the frozen network (torch, the default of a run whose model has a name), or its .spq file run by
            NumPy (reference) or by C (native, the default of a file).
        early_exit: accuracy against time steps used, too: all images stopped after each, or each one when decided.
        margin: of logits, as early exit finds it, at which an image takes no more time steps.
    """
    check_threads(threads)
    found = open_source(source)
    if margin is not None and (early_exit or backend == "torch"):
        other = "--early-exit" if early_exit else "--backend torch"
        raise ConfigError(f"--margin stops images of the integer model: leave out {other}")
    if early_exit:
        result = _with_early_exit(found, test_set, backend, threads, as_json)
    elif backend == "torch" or (backend is None and margin is None and found.takes_torch()):
        result = _by_torch(found, test_set, threads)
    else:
        result = _by_integers(found, test_set, backend, threads, margin)
    if as_json:
        say_json(result)
    else:
        _say(result)
    return 0


def _say(result: dict[str, Any]) -> None:
    """The metric of the task, and what else is said of the answers."""
    from ..data.task import Task

    task = Task(result["task"], result["outputs"], tuple(result["names"]), result["unit"])
    metric = metric_of(task)
    say(f"Test {metric.name}: {metric.shown(result[metric.key])}")
    if "steps" in result:
        say(f"time steps until decided: {result['steps']:.2f}")
    for name in ("mae", "r2", "pixel_accuracy"):
        if result.get(name) is not None:
            shown = metric.shown(result[name]) if name != "r2" else f"{result[name]:.4f}"
            say(f"{name.replace('_', ' ')}: {shown}")


def _by_integers(
    source: Source, test_set: TestSet, backend: Backend | None, threads: int, margin: int | None
) -> dict[str, Any]:
    """How good an integer model is; torch is not needed. Where no backend is asked for it is C, or what there is."""
    from ..integer.early_stop import check_stops
    from ..integer.inputs import check_predicts, check_takes_one, says_classes, task_of
    from ..integer.own_items import Interface
    from ..integer.program import Program
    from ..io.terminal import progress
    from ..runtime.native import NativeProgram
    from ..runtime.native import program as fastest

    source.need_integers("use --backend torch" if margin is None else "use --margin on a run of 1.58 to 8 bits")
    test_set.name_for(source, "never")
    graph = source.graph()
    check_takes_one(graph, "an accuracy" if says_classes(graph) else f"the {metric_of(task_of(graph)).name}")
    check_predicts(graph)
    margin = None if margin is None else check_stops(graph, margin)
    test = test_set.items(source, Interface.of(graph), _PURPOSE, "never")
    if backend is None:
        program = fastest(graph)
    else:
        program = Program(graph, NativeProgram(graph)) if backend == "native" else Program(graph)
    backend = "reference" if program.engine is None else "native"
    threads, task, counts, steps = threads or os.cpu_count() or 1, program.task, Counts(), 0
    with progress(len(test), backend) as report:
        done = 0
        for which in of_each_length(test.lengths, len(test), _PART):
            part = test.chosen(which)
            assert part.labels is not None  # as ``items`` leaves them
            if margin is None:
                values = program.values(part.inputs(), threads=threads)
            else:
                stopped = program.stop_early(part.inputs(), margin, threads=threads)
                values, steps = graph.readout.values(stopped.logits, 1), steps + int(stopped.steps.sum())
            counts = add(counts, count(task, values, part.labels))
            done += len(part)
            report(done)
    more = details(task, counts) | ({} if margin is None else {"margin": margin, "steps": steps / len(test)})
    return _result(task, score(task, counts), more, backend, test, source)


def _by_torch(source: Source, test_set: TestSet, threads: int) -> dict[str, Any]:
    """How good a run's network is, frozen where it has integers."""
    if source.config is None:
        raise ConfigError(f"{source.path} is no run folder, and torch needs one: leave out --backend")
    test_set.name_for(source, "never")
    from ..train.loading import load_network
    from ..train.metrics import measure
    from ..train.tensors import as_tensors

    use_threads(threads)
    network = load_network(source.path).eval()
    task = interface_of(network).task
    test = test_set.items(source, interface_of(network), _PURPOSE, "never")
    ready = network if source.floating else network.freeze()
    found = measure(ready, as_tensors(test.labelled()), sample=0, progress=None)
    return _result(task, found.score, found.details, "torch", test, source)


def _with_early_exit(
    source: Source, test_set: TestSet, backend: Backend | None, threads: int, as_json: bool
) -> dict[str, Any]:
    """The accuracy by torch, and against time steps; that is printed as a table, or else it is in the result."""
    config, path = source.config, source.path
    if config is None:
        raise ConfigError(
            f"{path} is no run folder, and --early-exit needs one, for the validation set of its training"
        )
    source.need_integers("use --early-exit on a run of 1.58 to 8 bits")
    if backend not in (None, "torch"):
        raise ConfigError(
            f"--early-exit is measured by torch, whose integers are those of {backend}: leave out --backend"
        )
    name = test_set.name_for(source, "never")
    if name != config.dataset:
        raise ConfigError(
            f"--early-exit chooses its margins on what the run was trained on, {config.dataset}, not on {name}: "
            f"leave out --{'images' if test_set.images else 'dataset'}, or use SpQuantTrainer.early_exit"
        )
    from ..data import of_events
    from ..io.terminal import print_tables
    from ..report.early_exit import measure_early_exit
    from ..report.ledger_tables import with_caption
    from ..report.wording import early_exit_table
    from ..train.loading import load_network
    from ..train.tensors import as_tensors

    use_threads(threads)
    if (kind := interface_of(load_network(path)).task.kind) != "classification":
        raise ConfigError(f"--early-exit is of classes, and {path} was trained for {kind}: leave it out")
    network, validation = load_network(path).eval().freeze(), _validation_set(source, test_set)
    test = test_set.items(source, interface_of(network), use="never")
    found: EarlyExit = measure_early_exit(network, as_tensors(validation), as_tensors(test.labelled()), progress=None)
    if not as_json:
        print_tables([*with_caption(early_exit_table(found, of_events(name))), ""])
    task = interface_of(network).task
    return _result(task, found.after[-1].test.accuracy, {}, "torch", test, source) | {"early_exit": asdict(found)}


def _validation_set(source: Source, test_set: TestSet) -> Labelled:
    """The training images that a run was not trained on, by which it chose its best epoch."""
    from ..data import hold_out, load

    config = source.config
    assert config is not None
    splits = load(config.dataset, test_set.data_dir, timesteps=config.timesteps)
    if splits.validation is not None:
        return splits.validation
    try:
        return hold_out(splits.train, config.validation, config.seed)[1]
    except ConfigError as error:
        raise RunError(f"{source.path} was trained on other images than {config.dataset} has here ({error})") from None


def _result(
    task: Task, value: float, more: dict[str, object], backend: Backend, test: Items, source: Source
) -> dict[str, Any]:
    """What --json prints; the metric of the task is by its name."""
    return {
        "task": task.kind,
        "outputs": task.outputs,
        "names": list(task.names),
        "unit": task.unit,
        "metric": metric_of(task).key,
        metric_of(task).key: value,
        **more,
        "backend": backend,
        "dataset": test.name,
        "images": len(test),
        "source": str(source.path),
    }
