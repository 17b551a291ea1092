"""Libraries that print and warn on their own account, kept from the terminal."""

from __future__ import annotations

import io
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

from spquant_snn.io.output import finish


@contextmanager
def suppress_output() -> Iterator[None]:
    """Nothing that is printed, logged or warned inside is seen, be it by Python or by C; exceptions pass."""
    finish()
    level = logging.root.manager.disable
    kept = {target: os.dup(target) for target in (1, 2)}
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for target in kept:
            os.dup2(nowhere, target)
        logging.disable(logging.CRITICAL)
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
        for target, copy in kept.items():
            os.dup2(copy, target)
            os.close(copy)
        os.close(nowhere)
