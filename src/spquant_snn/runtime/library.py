"""The native runtime, built from its C source."""

from __future__ import annotations

import ctypes
from importlib.resources import files as resources
from pathlib import Path

from ..build import Library
from .structs import assertions

RUNTIME = Library(
    "native runtime",
    Path(str(resources(__package__) / "csrc")),
    "the reference",
    ("spq_body", "spq_check", "spq_reset", "spq_step", "spq_batch"),
    cold=("check.c", "check_parts.c", "check_terms.c", "packed.c"),  # what is asked once, and codes for devices
    assertions=assertions,
)


def sources() -> tuple[Path, ...]:
    """The files of the C source, headers too."""
    return RUNTIME.sources()


def library(flags: tuple[str, ...] | None = None) -> ctypes.CDLL:
    """The runtime, built first where the cache does not hold it; see ``Library.load``."""
    return RUNTIME.load(flags)
