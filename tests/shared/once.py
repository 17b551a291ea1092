"""What is dear to make is made once a test run, by the process that wants it first; the others wait, and share it."""

import os
import shutil
from contextlib import contextmanager
from pathlib import Path


def of_this_run(tmp_path_factory) -> Path:
    """A folder that all processes of a test run have in common."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@contextmanager
def locked(path: Path):
    """Only one process, and one thread of it, is in here at a time."""
    try:
        import fcntl
    except ImportError:  # where tests are not shared among processes
        yield
        return
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def made_once(folder: Path, name: str, make) -> Path:
    """The folder ``name`` in ``folder`` that ``make(it)`` has filled, in this process or in another.

    What a process left that failed or was killed is made anew. Nobody writes into it once it is made.
    """
    target, made = folder / name, folder / f"{name}.made"
    with locked(folder / f"{name}.lock"):
        if not made.exists():
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir()
            make(target)
            made.touch()
    return target
