"""Where a training computes, and whether that multiplies bf16."""

from __future__ import annotations

import torch

from ..errors import ConfigError


def multiplies_bf16(device: torch.device) -> bool:
    """Whether products of bf16 are native to the processor, so that they save time."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(getattr(torch.cpu, "_is_avx512_bf16_supported", bool)())


def usable_device(device: str | torch.device | None) -> torch.device:
    """The device that is meant, a GPU where there is one by default.

    Raises:
        ConfigError: it cannot be used here.
    """
    try:
        chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.empty(0, device=chosen)
        if chosen.type not in ("cpu", "cuda"):
            raise RuntimeError("only cpu and cuda have all that is needed")
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"device {str(device)!r} cannot be used here ({reason}): choose another, as cpu") from None
    return chosen
