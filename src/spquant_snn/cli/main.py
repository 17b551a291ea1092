"""The command ``spquant``: its subcommands, each of which calls and prints, nothing else.

Exit codes:
    0: done; also where the reader of standard output, as ``head`` does, has seen enough.
    1: a check failed, a training diverged, or points of a sweep failed.
    2: the call was wrong, or a file or standard output cannot be read or written.
    130: stopped by Ctrl-C.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ..errors import ConfigError, DivergedError, RunError, SpQuantError, UnequalError
from ..io.output import finish, say, say_error, say_json
from ..io.terminal import print_tables
from ..train.config import TrainOptions
from .options import OptionalFolder, OptionalName, use_threads
from .parse import parse
from .sweep import sweep

_LET_REPORT = 1.0  # seconds for the process that reports an error: torchrun stops all when one has ended with it
Backend = Literal["torch", "reference", "native"]
IntegerBackend = Literal["reference", "native"]
Target = Literal["spq", "c", "web"]
Prefer = Literal["speed", "flash"]
FolderLayout = Literal["plain", "platformio"]
Compiler = Literal["auto", "gcc", "zig"]
Emulator = Literal["auto", "qemu", "unicorn"]
Folder = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]
OptionalFile = Annotated[Path | None, tyro.conf.arg(metavar="FILE")]
OptionalIndices = Annotated[str | None, tyro.conf.arg(metavar="INDICES")]


def train(
    config: tyro.conf.OmitArgPrefixes[TrainOptions],
    out: OptionalFolder = None,
    resume: OptionalFolder = None,
    data_dir: OptionalFolder = None,
    device: OptionalName = None,
    threads: int = 0,
) -> int:
    """Train a network; its folder then holds weights, integers and metrics.

    Args:
        config: of the training.
        out: folder of the run; runs/<model>-<dataset>-<bits>-<number> by default.
        resume: folder of a stopped run, to go on with; other options must be those it was started with.
        data_dir: where the data sets lie; $SPQUANT_DATA by default.
        device: cpu, cuda ...; a GPU where there is one by default.
        threads: of the processor; all by default.
    """
    from ..trainer import SpQuantTrainer

    use_threads(threads)
    if resume is not None:
        if out is not None:
            raise RunError("give either --out, for a new run, or --resume, for one to go on with")
        trainer = SpQuantTrainer.resume(resume, options=_typed(config, sys.argv), data_dir=data_dir, device=device)
    else:
        options = asdict(config)
        trainer = SpQuantTrainer(
            options.pop("model"), options.pop("dataset"), out=out, data_dir=data_dir, device=device, **options
        )
    trainer.train()
    accuracy = trainer.evaluate()
    if trainer.world.first:
        say(f"Test Accuracy: {accuracy:.2f}%")
    return 0


def evaluate(
    source: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER|FILE")],
    backend: Backend = "torch",
    dataset: OptionalName = None,
    images: int = 0,
    data_dir: OptionalFolder = None,
    threads: int = 0,
    early_exit: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    as_json: Annotated[bool, tyro.conf.arg(name="json"), tyro.conf.FlagCreatePairsOff] = False,
) -> int:
    """Accuracy on the test set of the integers that ship.

    Args:
        source: folder of a run, or an .spq file (then with --dataset, and not by torch).
        backend: the frozen network (torch), or its .spq file run by NumPy (reference) or by C (native).
        dataset: another data set than the one trained on.
        images: how many of the test images; 0 takes all.
        data_dir: where the data sets lie; $SPQUANT_DATA by default.
        threads: of the processor; all by default.
        early_exit: accuracy against time steps used, too: all images stopped after each, or each one when decided.
        as_json: print one JSON object.
    """
    from ..data import of_events
    from ..report.ledger_tables import with_caption
    from ..report.wording import early_exit_table
    from .commands import evaluate_source
    from .early_exit import evaluate_early_exit

    use_threads(threads)
    if early_exit:
        result, found = evaluate_early_exit(source, backend, dataset, images, data_dir)
        result["early_exit"] = asdict(found)
        if not as_json:
            table = early_exit_table(found, of_events(result["dataset"]))
            print_tables([*with_caption(table), ""])
    else:
        result = evaluate_source(source, backend, dataset, images, data_dir, threads)
    if as_json:
        say_json(result)
    else:
        say(f"Test Accuracy: {result['accuracy']:.2f}%")
    return 0


def export(
    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER|FILE")],
    out: Path,
    target: Target = "spq",
    dataset: OptionalName = None,
    data_dir: OptionalFolder = None,
    force: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    prefer: Prefer = "speed",
    amalgamate: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    layout: FolderLayout = "plain",
) -> int:
    """Write the integers of a run as an .spq file, as C firmware, or as a web page.

    Args:
        run: folder of a run, or for firmware and pages an .spq file (then with --dataset).
        out: the file to write, or the folder of the firmware or the page.
        target: spq (a file), c (a folder of C99 with its own self-test), or web (a folder with a page that runs it).
        dataset: whose test images the self-test and the page hold; that of the run by default.
        data_dir: where the data sets lie; $SPQUANT_DATA by default.
        force: replace an earlier export of the same kind in the same folder.
        prefer: of firmware, few instructions (speed) or few bytes (flash).
        amalgamate: firmware as one header and one source.
        layout: of the folder of firmware: all files side by side (plain), or as a library of PlatformIO and the Arduino
            IDE (platformio).
    """
    from .commands import export_firmware, export_page, export_run

    of_firmware = {"--prefer": prefer != "speed", "--amalgamate": amalgamate, "--layout": layout != "plain"}
    if target != "c" and any(of_firmware.values()):
        name = next(name for name, is_given in of_firmware.items() if is_given)
        raise ConfigError(f"{name} is for firmware, not for --target {target}: add --target c, or leave it out")
    if target == "c":
        from ..export.packaging import Packaging

        export_firmware(run, out, dataset, data_dir, force, prefer == "flash", Packaging(amalgamate, layout))
        say(f"{out}: spquant run-firmware {out} --board cortex-m4 runs it")
    elif target == "web":
        size = export_page(run, out, dataset, data_dir, force)
        say(f"{out}: {size:,} bytes; open {out / 'index.html'} in a browser")
    else:
        size = export_run(run, out)
        say(f"{out}: {size:,} bytes")
    return 0


def run_firmware(
    firmware: Folder,
    board: Annotated[str, tyro.conf.arg(metavar="NAME")] = "cortex-m4",
    images: int = 100,
    dataset: OptionalName = None,
    data_dir: OptionalFolder = None,
    compiler: Compiler = "auto",
    emulator: Emulator = "auto",
    count: bool = True,
    as_json: Annotated[bool, tyro.conf.arg(name="json"), tyro.conf.FlagCreatePairsOff] = False,
) -> int:
    """Run exported C on an emulated board, beside the reference.

    Args:
        firmware: folder that spquant export --target c has written.
        board: cortex-m0, cortex-m3, cortex-m4, cortex-m7, cortex-m33, cortex-m55 or rv32.
        images: how many of the test images; 0 takes all.
        dataset: another data set than the one trained on.
        data_dir: where the data sets lie; $SPQUANT_DATA by default.
        compiler: a cross GCC (gcc), the package ziglang (zig), or what is there.
        emulator: QEMU (qemu), the package unicorn (unicorn, Cortex-M without MVE), or what is there.
        count: instructions, loads and stores; unicorn is slow at it.
        as_json: print one JSON object.
    """
    from ..export.outcome import outcome_json as plain
    from ..export.outcome import outcome_table
    from .commands import run_firmware as run_on

    outcome = run_on(firmware, board, images, dataset, data_dir, compiler, emulator, count)
    if as_json:
        say_json(plain(outcome))
    else:
        print_tables([outcome_table(outcome)])
    return 0 if outcome.equal == outcome.images else 1


def verify(
    run: Folder,
    backend: IntegerBackend = "reference",
    dataset: OptionalName = None,
    images: int = 1000,
    data_dir: OptionalFolder = None,
    threads: int = 0,
    as_json: Annotated[bool, tyro.conf.arg(name="json"), tyro.conf.FlagCreatePairsOff] = False,
) -> int:
    """Compare torch and the integers in every spike, stored code and logit.

    Args:
        run: folder of a run.
        backend: what runs the .spq file: NumPy (reference) or C (native).
        dataset: another data set than the one trained on.
        images: how many of the test images; 0 takes all.
        data_dir: where the data sets lie; $SPQUANT_DATA by default.
        threads: of the processor; all by default.
        as_json: print one JSON object.
    """
    from .commands import verdict_json, verify_run

    use_threads(threads)
    verdict = verify_run(run, backend, dataset, images, data_dir)
    if as_json:
        say_json(verdict_json(verdict))
    else:
        say(str(verdict))
    return 0 if verdict.equal else 1


def report(
    sources: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN-FOLDER|SPQ-FILE ...")],
    out: OptionalFile = None,
    html: bool = True,
    raster: OptionalIndices = None,
    twin: OptionalFolder = None,
    dataset: OptionalName = None,
    images: int = 1000,
    data_dir: OptionalFolder = None,
    as_json: Annotated[bool, tyro.conf.arg(name="json"), tyro.conf.FlagCreatePairsOff] = False,
) -> int:
    """What an inference costs and what neurons do: tables, and an HTML page.

    Args:
        sources: folder of a run, or an .spq file (then with --dataset); of several, accuracy against cost.
        out: the page; report.html in the folder of the run, or in the folder that holds all runs, by default.
        html: write the page.
        raster: which test images are shown spike by spike, their numbers with commas, or none; the first three by
            default.
        twin: run whose firing rates are compared with those of this one, such as its fp32 twin.
        dataset: another data set than the one trained on.
        images: how many of the test images are counted on; 0 takes all.
        data_dir: where the data sets lie; $SPQUANT_DATA by default.
        as_json: print one JSON object; a page is then written only if --out names it.
    """
    from ..report.page import page_place, write_page
    from ..report.present import as_page, as_plain, as_tables
    from .commands import report_sources

    if out is not None and not html:
        raise ConfigError("give either --out, for the page, or --no-html")
    place = page_place(sources, out) if html and (out is not None or not as_json) else None
    found = report_sources(sources, dataset, images, _indices(raster), twin, data_dir)
    size = write_page(as_page(found), place) if place is not None else 0  # first: a reader may have seen enough
    if as_json:
        say_json(as_plain(found))
    else:
        print_tables(as_tables(found))
    if place is not None:
        tell = say_error if as_json else say
        tell("")
        tell(f"page: {place} ({size:,} bytes)")
    return 0


def doctor(data_dir: OptionalFolder = None) -> int:
    """Say what is installed, what is missing, and which data sets are found.

    Args:
        data_dir: where the data sets lie; $SPQUANT_DATA by default.
    """
    from .doctor import examine

    print_tables([examine(data_dir)])
    return 0


COMMANDS: dict[str, Callable[..., int]] = {
    "train": train,
    "eval": evaluate,
    "export": export,
    "run-firmware": run_firmware,
    "verify": verify,
    "report": report,
    "sweep": sweep,
    "doctor": doctor,
}


def main() -> int:
    """Answer the command line; returns the exit code.

    Raises:
        KeyboardInterrupt: it was stopped.
    """
    return answer(lambda: parse(COMMANDS, sys.argv[1:])())


def answer(command: Callable[[], int]) -> int:
    """The exit code of a command, whose errors are each one sentence.

    Raises:
        KeyboardInterrupt: it was stopped.
    """
    try:
        code = command()
        finish()
        return code
    except SpQuantError as error:
        if error.reported:
            time.sleep(_LET_REPORT)
        else:
            say_error(f"spquant: {error}")
        return 1 if isinstance(error, DivergedError | UnequalError) else 2
    except BrokenPipeError:  # the reader has seen enough
        return 0
    except OSError as error:  # of a path on which a command did not expect it
        place = "a file" if error.filename is None else str(error.filename)
        say_error(f"spquant: {place} cannot be used ({error.strerror or error}): choose another path")
        return 2


def _indices(raster: str | None) -> tuple[int, ...] | None:
    """The images of --raster."""
    if raster is None:
        return None
    parts = [] if raster == "none" else raster.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise ConfigError(f"--raster takes numbers of test images, as 0,1,2, or none; not {raster!r}")
    return tuple(map(int, parts))


def _typed(config: TrainOptions, arguments: Sequence[str]) -> dict[str, object]:
    """The options of the training that stand on the command line, at their default or not."""
    typed = {
        argument.split("=")[0].removeprefix("--").removeprefix("no-").replace("-", "_")
        for argument in arguments
        if argument.startswith("--")
    }
    return {name: value for name, value in asdict(config).items() if name in typed}
