"""In what the convolutions of a GPU multiply float32, for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch


@contextmanager
def convolutions_in(precision: Literal["ieee", "tf32"]) -> Iterator[None]:
    """Convolutions of float32 in that precision; whatever switches the user has set are as before behind it."""
    cudnn = torch.backends.cudnn
    convolutions: Any = getattr(cudnn, "conv", None)
    if not hasattr(convolutions, "fp32_precision"):  # before torch 2.9
        given = {name: getattr(cudnn, name) for name in ("enabled", "benchmark", "deterministic")}
        with cudnn.flags(**given, allow_tf32=precision == "tf32"):
            yield
        return
    before = convolutions.fp32_precision
    convolutions.fp32_precision = precision
    try:
        yield
    finally:
        convolutions.fp32_precision = before
