"""Where a training computes, and whether that multiplies bf16."""

from __future__ import annotations

import platform

import torch

from ..data import Labelled
from ..errors import ConfigError
from .distributed import ALONE, World


def multiplies_bf16(device: torch.device) -> bool:
    """Whether products of bf16 are native to the processor, so that they save time."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(getattr(torch.cpu, "_is_avx512_bf16_supported", bool)())


def placed(data: Labelled, device: torch.device) -> Labelled:
    """The images in the memory of a GPU that trains on them, if they take no more than a quarter of what is free there;
    else where they are."""
    if device.type != "cuda" or data.images.is_cuda or data.images.nbytes > torch.cuda.mem_get_info(device)[0] // 4:
        return data
    return Labelled(data.images.to(device), data.labels.to(device))


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
