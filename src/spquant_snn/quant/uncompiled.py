"""Functions that ``torch.compile`` leaves alone."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch

_P = ParamSpec("_P")
_T = TypeVar("_T")


def uncompiled(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """The function, run as it is where ``torch.compile`` meets it: it takes its constants out with NumPy, which a
    compiler cannot follow, and its results must be the same to the last bit. The compiler, whose import takes seconds,
    is not imported for this."""

    @functools.wraps(function)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        if "torch._dynamo" not in sys.modules:
            return function(*args, **kwargs)
        apart: Callable[_P, _T] = torch.compiler.disable(function)  # type: ignore[no-untyped-call]
        return apart(*args, **kwargs)

    return run
