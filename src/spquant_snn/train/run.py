"""The folder of a run: configuration, weights, metrics of each epoch, and where it all came from.

torch is not needed to read what a run wrote down.
"""

from __future__ import annotations

import json
import os
import platform
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data.catalog import title_of
from ..data.input_format import PIXELS, InputFormat
from ..data.task import OutputFormat, read_format
from ..errors import ConfigError, FileFormatError, RunError
from ..io.fields import Fields
from ..io.reading import Flaw, guarded, read_bytes
from ..io.texts import parse_object
from ..io.writing import replace_file
from .config import FREE, TrainConfig, save_config

if TYPE_CHECKING:
    from .metrics import Metrics

Print = dict[str, Any]  # a part of a fingerprint: plain values by names that a user can read
SHA = "sha256:"  # begins what stands for larger values

_LONGEST_RECORD, _LONGEST_METRICS = 1 << 20, 1 << 28  # bytes
_LONGEST = 60  # characters of a value in a message
_MOST_NAMED = 4  # differences


@dataclass(frozen=True)
class RunFolder:
    """Names of the files of a run.

    Args:
        path: of the folder, as it was given: messages show it.
        held: the id of the run that a training writes, which must not be written into another's folder.
        absolute: where it lies, of a run whose trainer must find it whatever the current folder is then; see ``stay``.
    """

    path: Path
    held: str | None = None
    absolute: Path | None = None

    def stay(self) -> RunFolder:
        """The same folder, which stays the same when the current folder changes."""
        return self if self.absolute is not None else replace(self, absolute=Path(os.path.abspath(self.path)))

    @property
    def place(self) -> Path:
        """The path by which its files are reached."""
        return self.path if self.absolute is None else self.absolute

    @property
    def config(self) -> Path:
        return self.place / "config.toml"

    @property
    def weights(self) -> Path:
        """Weights of the best epoch."""
        return self.place / "model.safetensors"

    @property
    def checkpoint(self) -> Path:
        """Everything needed to go on after the last epoch."""
        return self.place / "checkpoint.pt"

    @property
    def integers(self) -> Path:
        return self.place / "model.spq"

    @property
    def metrics(self) -> Path:
        return self.place / "metrics.jsonl"

    @property
    def record(self) -> Path:
        return self.place / "run.json"

    def create(
        self,
        config: TrainConfig,
        shape: tuple[int, int, int],
        classes: int,
        input_format: InputFormat = PIXELS,
        job: str | None = None,
        fingerprint: Mapping[str, Print] | None = None,
        output_format: OutputFormat | None = None,
    ) -> None:
        """Make the folder and write what is known before the first epoch; all of that or nothing.

        Args:
            job: of torchrun, which may start the training again.
            fingerprint: of what the run is started with, which it is held to.
            output_format: the task, and what answers stand for; None: plain classes.

        Raises:
            ConfigError: a text of the configuration cannot be written as UTF-8.
            RunError: it holds a run already, or cannot be written.
        """
        _refuse_unwritable(config)
        is_new = not os.path.lexists(self.place)
        try:
            self.place.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError) as error:
            raise _unwritable(self.path, error) from None
        try:
            os.close(os.open(self.config, os.O_CREAT | os.O_EXCL))  # of two runs that start at once, one
        except FileExistsError:
            raise RunError(f"{self.path} already holds a run: resume it, or choose another folder") from None
        except OSError as error:
            raise _unwritable(self.path, error) from None
        try:
            save_config(config, self.config)
            self._note_start(config, shape, classes, input_format, job, fingerprint or {}, output_format)
        except BaseException:
            self.config.unlink(missing_ok=True)
            self.record.unlink(missing_ok=True)
            if is_new:
                with suppress(OSError):  # something else came into it
                    self.place.rmdir()
            raise

    def _note_start(
        self,
        config: TrainConfig,
        shape: tuple[int, int, int],
        classes: int,
        input_format: InputFormat,
        job: str | None,
        fingerprint: Mapping[str, Print],
        output_format: OutputFormat | None,
    ) -> None:
        import torch  # which whoever trains has; who reads a folder may not

        self.note(
            id=secrets.token_hex(8),
            command=[Path(sys.argv[0]).name, *sys.argv[1:]],
            started=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            input_shape=list(shape),
            classes=classes,
            input_format=asdict(input_format),
            output_format=None if output_format is None else asdict(output_format),
            versions={name: _version(name) for name in ("spquant-snn", "torch", "numpy")}
            | {"python": platform.python_version()},
            machine={"processor": platform.machine(), "cores": os.cpu_count(), "threads": torch.get_num_threads()},
            git_commit=_git_commit(),
            seed=config.seed,
            **({} if job is None else {"launch": job}),
            fingerprint={"config": config_print(config)} | dict(fingerprint),
        )

    def hold(self) -> RunFolder:
        """The folder as a training takes it, to write no other run's: see ``check_held``."""
        return replace(self.stay(), held=self.read_record().get("id"))

    def lock(self) -> int | None:
        """Lock the run for this training, until the file that is returned is closed; None where the system or the disk
        has no locks.

        Raises:
            RunError: another training has it.
        """
        try:
            import fcntl
        except ModuleNotFoundError:  # Windows
            return None
        try:
            lock = os.open(self.config, os.O_RDWR)  # which is written once, and so stays the same file
        except OSError:
            return None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise RunError(f"{self.path} is being trained already: wait until that ends, or stop it") from None
        except OSError:  # a disk without locks
            os.close(lock)
            return None
        return lock

    def check_held(self) -> None:
        """Do nothing, if the folder still holds the run that it was taken for.

        Raises:
            RunError: it was deleted, or another run is in its place.
            FileFormatError: its run.json is damaged.
        """
        if self.held is None or (self.record.exists() and self.read_record().get("id") == self.held):
            return
        raise RunError(
            f"{self.path} was deleted or replaced while its run was being trained: start the training anew, in another "
            "folder"
        )

    def note(self, **entries: Any) -> None:
        """Add entries to run.json.

        Raises:
            RunError: as ``check_held``; or it cannot be written.
        """
        self.check_held()
        known = self.read_record() if self.record.exists() else {}
        replace_file(self.record, json.dumps(known | entries, indent=2) + "\n", make_folders=False)

    def read_record(self) -> dict[str, Any]:
        """The content of run.json.

        Raises:
            RunError: there is none.
            FileFormatError: it is damaged.
        """
        if not os.path.exists(self.record):
            raise RunError(f"{self.path} is not the folder of a run: it holds no {self.record.name}")
        with guarded(self.record, "copy it again, or train again", unread=RunError):
            return parse_object(read_bytes(self.record, _LONGEST_RECORD))

    def read_format(self) -> OutputFormat | None:
        """The task of the run, and what its network's answers stand for; None where it does not say.

        Raises:
            FileFormatError: run.json is damaged.
        """
        record = Fields(self.read_record())
        with guarded(self.record, "copy it again, or train again"):
            return read_format(record.inner("output_format")) if record.has("output_format") else None

    def hold_to(self, found: Mapping[str, Print]) -> None:
        """Refuse to go on with something else than the run was started with.

        Args:
            found: parts of its fingerprint as they are now.

        Raises:
            RunError: they differ; the message names in what.
            FileFormatError: run.json is damaged.
        """
        held = self.read_record().get("fingerprint")
        if not isinstance(held, dict) or not all(isinstance(part, dict) for part in held.values()):
            raise FileFormatError(f"{self.record} is damaged: it does not say what the run was started with")
        changed = departures_from(held, found)
        if changed:
            raise RunError(
                f"{self.path} was started with {'; '.join(changed)}: put back what it was started with, or start a "
                "new run"
            )

    def log_epoch(
        self,
        epoch: int,
        train_loss: float,
        train_accuracy: float | None,
        validation: Metrics,
        sparsity: dict[str, Any] | None = None,
    ) -> None:
        """Write the line of an epoch to metrics.jsonl; lines of that epoch or later, from before a stop, give way.

        Raises:
            RunError: as ``check_held``; or it cannot be written.
        """
        self.check_held()
        kept = []
        if self.metrics.exists():
            kept = [line for number, line in self.read_metrics() if _epoch_of(line, number) < epoch]
        line: dict[str, Any] = {"epoch": epoch, "train_loss": train_loss}
        if train_accuracy is not None:
            line["train_accuracy"] = train_accuracy
        line |= {f"val_{validation.metric.key}": validation.score, "val_loss": validation.loss}
        line |= {"val_layers": [asdict(layer) for layer in validation.layers]} | (sparsity or {})
        lines = b"".join(each + b"\n" for each in [*kept, json.dumps(line).encode()])
        replace_file(self.metrics, lines, make_folders=False)

    def read_metrics(self) -> list[tuple[int, bytes]]:
        """The lines of metrics.jsonl with their numbers, the first being 1.

        Raises:
            FileFormatError: it is larger than any training makes it.
            RunError: it cannot be read.
        """
        with guarded(self.metrics, "copy it again, or remove it", unread=RunError):
            content = read_bytes(self.metrics, _LONGEST_METRICS)
        return list(enumerate(content.removesuffix(b"\n").split(b"\n"), 1))


def config_print(config: TrainConfig) -> Print:
    """The options of a training, but for those that may change."""
    return {name: value for name, value in asdict(config).items() if name not in FREE}


def departures_from(held: Mapping[str, Any], found: Mapping[str, Print]) -> list[str]:
    """In what parts ``found`` depart from those that a run was started with, as "name: value, not value"; parts that
    are not among ``found`` are not looked at."""
    changed = []
    for part, values in found.items():
        before, now = held.get(part, {}), json.loads(json.dumps(values))  # as JSON keeps them
        for name in (*before, *(name for name in now if name not in before)):
            old, new = before.get(name, "none"), now.get(name, "none")
            if old != new:
                plain = str(old).startswith(SHA) and str(new).startswith(SHA)
                said = name if name.isprintable() else ascii(name)
                values_said = f"{said}: {ascii(old)[:_LONGEST]}, not {ascii(new)[:_LONGEST]}"
                changed.append((f"other {said}" if plain else values_said)[: 3 * _LONGEST])
    more = len(changed) - _MOST_NAMED
    return changed if more < 2 else [*changed[:_MOST_NAMED], f"{more} more differences"]


def _unwritable(folder: Path, error: OSError | ValueError) -> RunError:
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return RunError(f"{folder} cannot be written ({reason}): choose another folder")


def _refuse_unwritable(config: TrainConfig) -> None:
    """Refuse names of files that are not UTF-8, which the configuration could not give back."""
    for name, value in asdict(config).items():
        try:
            str(value).encode()
        except UnicodeEncodeError:
            raise ConfigError(
                f"{name} is {value!r}, which is not UTF-8 and cannot be kept: give it another name"
            ) from None


def _epoch_of(line: bytes, number: int) -> int:
    """The epoch of a line of metrics.jsonl; of one that is damaged, its number."""
    try:
        return Fields(parse_object(line)).integer("epoch", 1, 1 << 31)
    except Flaw:
        return number


def free_folder(config: TrainConfig, parent: Path = Path("runs")) -> Path:
    """A folder of a telling name that does not exist yet."""
    bits = config.quant.weight_bits
    widths = "_".join(f"{each:g}" for each in (bits.values() if isinstance(bits, Mapping) else [bits]))
    name = f"{config.model}-{title_of(config.dataset)}-w{widths}s{config.state_bits:g}".replace(":", "x")
    return numbered(parent / name, 1)


def numbered(path: Path, first: int = 2) -> Path:
    """The path with the first number behind it that leads to nothing yet."""
    number = first
    while path.with_name(f"{path.name}-{number}").exists():
        number += 1
    return path.with_name(f"{path.name}-{number}")


def refuse_as_parent(folder: Path, what: str) -> None:
    """Refuse a folder that is to hold the runs of all variants, points ..., ``what`` says which.

    Raises:
        RunError: it is a file, or itself the folder of a run.
    """
    if os.path.exists(RunFolder(folder).config) or (os.path.exists(folder) and not os.path.isdir(folder)):
        found = "the folder of a run" if os.path.isdir(folder) else "a file"
        raise RunError(f"{folder} is {found}, and not a folder to hold the runs of all {what}: choose another --out")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # run from its source, without being installed
        return "unknown"


def _git_commit() -> str | None:
    """The commit of the working folder, if it is a git repository."""
    git = shutil.which("git")
    if git is None:
        return None
    try:
        answer = subprocess.run([git, "rev-parse", "HEAD"], capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None
