"""Trainings as processes of their own: one that dies takes no other with it.

A lock on a file in the folder of a run is held by the process that trains it, for as long as it lives. So two sweeps on
one folder share its points, and one that was killed leaves trainings that the next waits for.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..errors import RunError
from .status import PointRun, Status

Command = Callable[[PointRun, Status], Sequence[str]]
Tell = Callable[[str], None]

_POLL = 0.1  # seconds
_LONGEST_END = 1 << 16  # bytes of a log, in which its last line is looked for
_GRACE = 20.0  # seconds for a process that is asked to stop; queues give 30 in all


@dataclass(frozen=True)
class _Training:
    run: PointRun
    process: subprocess.Popen[bytes]
    began: float
    said: int  # bytes that were in its log before

    def outcome(self) -> tuple[bool, str]:
        """Whether it came to its end, and what is to be told of it."""
        if self.process.returncode == 0 and self.run.status() == "finished":
            return True, f"{self.run.shown}, {time.monotonic() - self.began:.0f} s"
        return False, f"failed, {self._reason()}; all of it in {self.run.log}"

    def _reason(self) -> str:
        code = self.process.returncode
        if code < 0:
            return f"ended by {signal.Signals(-code).name}"
        try:
            with self.run.log.open("rb") as log:
                log.seek(max(self.said, os.fstat(log.fileno()).st_size - _LONGEST_END))
                lines = log.read().decode(errors="replace").split("\n")
        except OSError:
            return f"exit code {code}, and its log is gone"
        last = next((line.strip() for line in reversed(lines) if line.strip()), "nothing said")
        return f"exit code {code}: {last.removeprefix('spquant: ')}"


def train_all(runs: Sequence[PointRun], command: Command, jobs: int, tell: Tell) -> tuple[PointRun, ...]:
    """Train what is not finished, some points at a time; returns those that failed.

    Stopped by Ctrl-C or SIGTERM it asks its processes to stop and waits for them; a second time kills them.

    Args:
        command: that trains a point, new or begun, to its end.
        jobs: how many at a time.
        tell: is told what happens to each point.

    Raises:
        RunError: a folder cannot be written or locked, or the system has no such locks.
        KeyboardInterrupt: it was stopped.
    """
    waiting, running, failed, busy = list(runs), list[_Training](), list[PointRun](), set[str]()
    with _stopped_by_sigterm():
        try:
            while waiting or running:
                for point_run in waiting[:]:
                    if len(running) == jobs:
                        break
                    with _locked(point_run.run.path) as lock:
                        if lock is not None:
                            waiting.remove(point_run)
                            running += _start(point_run, command, lock, tell)
                        elif point_run.name not in busy:
                            busy.add(point_run.name)
                            tell(f"{point_run.name}: another process trains it; waiting for that")
                time.sleep(_POLL)
                for training in [each for each in running if each.process.poll() is not None]:
                    running.remove(training)
                    good, said = training.outcome()
                    tell(f"{training.run.name}: {said}")
                    failed += [] if good else [training.run]
        finally:
            _stop(running)
    return tuple(failed)


def _start(point_run: PointRun, command: Command, lock: int, tell: Tell) -> list[_Training]:
    """Start a point whose lock is held; nothing, if it is finished."""
    status = point_run.status()
    if status == "finished":
        tell(f"{point_run.name}: {point_run.shown}, finished before")
        return []
    if status == "new":
        point_run.run.config.unlink(missing_ok=True)  # of a process that was killed before it had made the folder
    tell(f"{point_run.name}: {'goes on' if status == 'begun' else 'begins'}")
    call = list(command(point_run, status))
    with point_run.log.open("ab") as log:
        said = log.tell()  # before the process shares the place in the file
        try:
            process = subprocess.Popen(
                call,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},  # a log that can be followed
                pass_fds=[lock],
                start_new_session=True,  # Ctrl-C reaches this process alone, which then asks each once
            )
        except OSError as error:
            raise RunError(f"{call[0]} cannot be started ({error.strerror}): name another --launcher") from None
        return [_Training(point_run, process, time.monotonic(), said)]


def _stop(running: Sequence[_Training]) -> None:
    """Ask processes to stop, as Ctrl-C does, and wait for them; kill those that do not."""
    ignored = signal.getsignal(signal.SIGINT) == signal.SIG_IGN  # and so it is in them
    for training in running:
        training.process.send_signal(signal.SIGTERM if ignored else signal.SIGINT)
    end = time.monotonic() + _GRACE
    try:
        for training in running:
            training.process.wait(max(0.0, end - time.monotonic()))
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        pass
    finally:
        for training in running:
            training.process.kill()
            training.process.wait()


@contextmanager
def _locked(folder: Path) -> Iterator[int | None]:
    """The lock of a folder, which is made if need be; None where another process has it. A process that inherits it
    keeps it."""
    try:
        import fcntl
    except ModuleNotFoundError:
        raise RunError(
            "a sweep locks the folders of its runs by Python's fcntl, which this system does not have: "
            "train its points one after another, by the commands that 'spquant sweep FILE --list' prints"
        ) from None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield None
            else:
                yield lock
        finally:
            os.close(lock)
    except OSError as error:
        raise RunError(f"{folder} cannot be written or locked ({error.strerror}): choose another --out") from None


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Within it, SIGTERM does what Ctrl-C does."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
