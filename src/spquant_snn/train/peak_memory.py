"""How much memory a stretch of work takes at most, where the system tells."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from pathlib import Path

import torch

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class PeakMemory:
    """The most memory in use since it was made, beside what was in use then: of a GPU what torch holds, of a process on
    Linux what is resident.

    Args:
        device: where the work is done.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._before: int | None = None
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self._before = torch.cuda.memory_allocated(device)
        else:
            with suppress(AttributeError, OSError, TypeError):  # another C library
                ctypes.CDLL(None).malloc_trim(0)  # what was freed before is still resident, and would hide as much
            with suppress(OSError):  # no such system, or it does not let the mark be set back
                _RESET.write_text("5")
                self._before = _status("VmRSS")

    def bytes(self) -> int | None:
        """None where it is not known."""
        if self._before is None:
            return None
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) - self._before
        peak = _status("VmHWM")
        return None if peak is None else max(0, peak - self._before)


def per_image(peak: int, images: int) -> str:
    """A line that says what a batch takes."""
    return f"memory: {peak / 2**20:,.0f} MiB at most beside weights and data, {peak / images / 2**20:.2f} MiB an image"


def _status(field: str) -> int | None:
    for line in _STATUS.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    return None
