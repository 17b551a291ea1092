"""The command ``spquant sweep``: parse and call, nothing else."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

import tyro

from ..errors import ConfigError
from ..io.output import say, say_error
from ..io.terminal import print_tables
from .options import OptionalFolder, OptionalName, check_threads

Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff]


def sweep(
    file: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")],
    out: OptionalFolder = None,
    jobs: int = 1,
    as_list: Annotated[Flag, tyro.conf.arg(name="list")] = False,
    point: Annotated[int | None, tyro.conf.arg(metavar="K")] = None,
    launcher: Annotated[str | None, tyro.conf.arg(metavar="COMMAND")] = None,
    images: int = 0,
    data_dir: OptionalFolder = None,
    device: OptionalName = None,
    threads: int = 0,
) -> int:
    """Train the points of a sweep in processes of their own, and compare them.

    Args:
        file: TOML: options that all points share, lists below [cross], points below [[point]], seeds.
        out: folder of the runs; runs/<name of the file> by default.
        jobs: points at a time.
        as_list: print each point's number, name and command, and train nothing.
        point: train only the point of this number, and compare nothing; for the jobs of a cluster.
        launcher: what runs "-m spquant_snn train ..." for a point, as "torchrun --nproc-per-node 2"; this Python by
            default.
        images: how many of the test images points are compared on in the end; 0 takes all.
        data_dir: where the data sets lie; $SPQUANT_DATA by default.
        device: cpu, cuda ...; a GPU where there is one by default.
        threads: of the processor, for all points that run at a time; all by default.
    """
    from ..report.page import write_page
    from ..report.present import as_page, as_tables
    from .run_sweep import Sweep, compare_points, one_of, train_points

    wanted = Sweep(file, Path("runs") / file.stem if out is None else out, data_dir, device, _share(threads, jobs))
    if images < 0:
        raise ConfigError(f"images must be at least 0, not {images}")
    if "TORCHELASTIC_RUN_ID" in os.environ:
        raise ConfigError('torchrun is started for each point, not for the sweep: use --launcher "torchrun ..."')
    found = wanted.places()
    places = one_of(found.points, point)
    if as_list:
        for place in places:
            standing = place.standing()
            say(f"{found.points.index(place)}  {place.name}  {standing}")
            say(f"    {shlex.join(['spquant', *wanted.arguments(place, standing)])}")
        return 0
    if found.others:
        say(f"left alone in {wanted.out}, of no point of {file}: {', '.join(found.others)}")
    try:
        failed = train_points(wanted, places, jobs, launcher, lambda line: say(line, flush=True))
    except KeyboardInterrupt:
        say(f"stopped; to go on: {shlex.join(['spquant', *sys.argv[1:]])}")
        raise
    good = [place for place in places if place not in failed]
    for page, comparison in compare_points(wanted, good, images).items() if point is None else ():
        size = write_page(as_page(comparison), page)
        print_tables(as_tables(comparison))
        say()
        say(f"page: {page} ({size:,} bytes)")
    if failed:
        names = ", ".join(place.name for place in failed)
        say_error(f"spquant: {len(failed)} of {len(places)} points failed: {names}")
    return 1 if failed else 0


def _share(threads: int, jobs: int) -> int:
    """Threads of a point where so many run at a time; 0 leaves them to the training."""
    if jobs < 1:
        raise ConfigError(f"jobs must be at least 1, not {jobs}")
    check_threads(threads)
    if jobs == 1:
        return threads
    import torch

    return max(1, (threads or torch.get_num_threads()) // jobs)
