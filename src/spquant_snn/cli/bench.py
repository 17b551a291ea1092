"""The command ``spquant bench``: parse and call, nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from ..io.output import say_json
from ..io.terminal import print_tables
from ..train.config import TrainOptions
from .options import OptionalFolder, OptionalName, OptionalSource, check_threads, use_threads
from .parse import Action, later

_PRUNED = TrainOptions(target_ops=0.2)


def bench_runtime(
    lenet: OptionalSource = None,
    rates: tuple[float, ...] = (1, 2, 5, 10, 20, 30, 50),
    rounds: int = 15,
    data_dir: OptionalFolder = None,
    as_json: Annotated[bool, tyro.conf.arg(name="json"), tyro.conf.FlagCreatePairsOff] = False,
) -> int:
    """Time the native runtime against ONNX Runtime, OpenVINO, torch and NumPy.

    Args:
        lenet: a LeNet-SNN of 4 time steps trained on MNIST, its run or its .spq file.
        rates: percent of spikes whose times are measured and fitted.
        rounds: of all candidates in turn; the medians count.
        data_dir: where the data sets lie; $SPQUANT_DATA by default.
        as_json: print one JSON object.
    """
    from ..bench.table import as_json as plain
    from ..bench.table import tables
    from .commands import bench_runtime as measure

    report = measure(lenet, rates, rounds, data_dir)
    if as_json:
        say_json(plain(report))
    else:
        print_tables(tables(report))
    return 0


def bench_sparsity(
    config: tyro.conf.OmitArgPrefixes[TrainOptions] = _PRUNED,
    more_seeds: tuple[int, ...] = (),
    out: Annotated[Path, tyro.conf.arg(metavar="FOLDER")] = Path("runs/sparsity"),
    data_dir: OptionalFolder = None,
    device: OptionalName = None,
    threads: int = 0,
    as_json: Annotated[bool, tyro.conf.arg(name="json"), tyro.conf.FlagCreatePairsOff] = False,
) -> int:
    """Compare trained gates with random masks, magnitude pruning and rate regulation.

    Args:
        config: of the training with gates; the other arms differ from it in what is done for sparsity.
        more_seeds: to repeat everything with.
        out: folder of the runs, one for each arm; those that are finished are not trained again.
        data_dir: where the data sets lie; $SPQUANT_DATA by default.
        device: cpu, cuda ...; a GPU where there is one by default.
        threads: of the processor; all by default.
        as_json: print one JSON object, and nothing of the trainings.
    """
    from ..bench.sparsity_table import as_json as plain
    from ..bench.sparsity_table import tables
    from .commands import bench_sparsity as measure

    use_threads(threads)
    report = measure(config, more_seeds, out, data_dir, device, quiet=as_json)
    if as_json:
        say_json(plain(report))
    else:
        print_tables(tables(report))
    return 0


def bench_train(
    rounds: int = 7,
    threads: tuple[int, ...] = (1, 2),
    compiled: bool = True,
    device: Literal["cpu", "cuda"] = "cpu",
    as_json: Annotated[bool, tyro.conf.arg(name="json"), tyro.conf.FlagCreatePairsOff] = False,
) -> int:
    """Time training against SpikingJelly, snnTorch, torch.compile and the plain path.

    Args:
        rounds: of all candidates in turn; the medians count.
        threads: numbers of threads, one after another.
        compiled: whether torch.compile takes part, which takes minutes to start.
        device: cpu, or cuda, for larger batches on a GPU.
        as_json: print one JSON object.
    """
    from ..bench.training_table import as_json as plain
    from ..bench.training_table import tables
    from ..train.device import keep_freed_memory
    from .commands import bench_train as measure

    for each in threads:
        check_threads(each)
    keep_freed_memory()
    report = measure(rounds, threads, compiled, device)
    if as_json:
        say_json(plain(report))
    else:
        print_tables(tables(report))
    return 0


Works = (
    Annotated[Action, tyro.conf.subcommand("runtime", constructor=later(bench_runtime), prefix_name=False)]
    | Annotated[Action, tyro.conf.subcommand("sparsity", constructor=later(bench_sparsity), prefix_name=False)]
    | Annotated[Action, tyro.conf.subcommand("train", constructor=later(bench_train), prefix_name=False)]
)


def bench(work: tyro.conf.OmitArgPrefixes[Works]) -> int:
    """Measure this package."""
    return work()
