"""The device of a training: which one, what runs slower on it, and the memory that a training takes there."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from torch import nn

from ..errors import ConfigError
from ..integer.grids import FLOAT, Bits
from ..nn.lif import plain_path_note
from ..nn.sums import no_int8
from .distributed import ALONE, World

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4  # options of mallopt, as in malloc.h


def multiplies_bf16(device: torch.device) -> bool:
    """Whether products of bf16 are native to the processor, so that they save time."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(getattr(torch.cpu, "_is_avx512_bf16_supported", bool)())


def usable_device(device: str | torch.device | None, world: World = ALONE) -> torch.device:
    """The device that is meant, a GPU where there is one by default; of several processes, each takes its own.

    Raises:
        ConfigError: it cannot be used here.
    """
    try:
        chosen = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device is None else device)
        if chosen.type == "cuda" and world.size > 1 and torch.cuda.is_available():
            chosen = _own_gpu(chosen, world)
        torch.empty(0, device=chosen)
        if chosen.type not in ("cpu", "cuda"):
            raise RuntimeError("only cpu and cuda have all that is needed")
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"device {str(device)!r} cannot be used here ({reason}): choose another, as cpu") from None
    return chosen


def _own_gpu(device: torch.device, world: World) -> torch.device:
    """The GPU of this process among those of its machine."""
    if device.index is not None:
        raise ConfigError(
            f"device '{device}' is one GPU for {world.size} processes: choose cuda, and each takes its own"
        )
    if torch.cuda.device_count() < world.local_size:
        raise ConfigError(
            f"{platform.node()} has {torch.cuda.device_count()} GPUs for {world.local_size} processes: "
            "start as many, or choose --device cpu"
        )
    torch.cuda.set_device(world.local_rank)
    return torch.device("cuda", world.local_rank)


@contextmanager
def freed_memory_kept(keep: bool = True) -> Iterator[None]:
    """Within it glibc hands freed blocks out again instead of giving them back to the system: a training step frees and
    takes the same blocks over and over, and a fifth of its time went into fresh pages, far more with blocks above
    32 MiB. Or, where memory is shorter than time (not ``keep``), it gives back all from 1 MiB on.

    This is of the whole process. Afterwards free memory is given back, and blocks are mapped and given back from where
    glibc's own rule leaves a process that has freed large ones; another C library is left as it is.
    """
    keep_freed_memory(keep)
    try:
        yield
    finally:
        _allocate(mmap_max=1 << 16, mmap_threshold=1 << 25, trim_threshold=1 << 26)
        _trim()


def keep_freed_memory(keep: bool = True) -> None:
    """As ``freed_memory_kept``, to the end of the process."""
    if keep:
        _allocate(mmap_max=0, trim_threshold=(1 << 31) - 1)
    else:
        _allocate(mmap_threshold=1 << 20, trim_threshold=1 << 20)


def _allocate(
    mmap_max: int | None = None, mmap_threshold: int | None = None, trim_threshold: int | None = None
) -> None:
    """Set options of glibc's allocator, those that are given."""
    options = ((_MMAP_MAX, mmap_max), (_MMAP_THRESHOLD, mmap_threshold), (_TRIM_THRESHOLD, trim_threshold))
    with suppress(AttributeError, OSError, TypeError):  # another C library
        for option, value in options:
            if value is not None:
                ctypes.CDLL(None).mallopt(option, value)


def _trim() -> None:
    """Give memory that is free back to the system."""
    with suppress(AttributeError, OSError, TypeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


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
            _trim()  # what was freed before is resident yet, and would hide as much
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


def slower_forms(network: nn.Module, weight_bits: Bits, device: torch.device) -> list[str]:
    """Sentences on what of a training runs slower than it could on this machine, for the user."""
    reason = no_int8() if device.type == "cpu" and weight_bits != FLOAT else None
    found = [] if reason is None else [f"sums are computed in float32, slower: {reason}"]
    note = plain_path_note(network)
    return found if note is None else [*found, note]
