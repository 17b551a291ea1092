"""A straight line through times: what a network costs without spikes, and what a spike adds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class LinearFit:
    """``time = fixed + slope * x``, by least squares; ``r2`` is the share of the variance that it explains."""

    fixed: float
    slope: float
    r2: float


def fit_line(x: Sequence[float], times: Sequence[float]) -> LinearFit:
    """The line of least squares through at least two points."""
    slope, fixed = (float(value) for value in np.polyfit(x, times, 1))
    y = np.asarray(times, np.float64)
    rest = float(np.square(y - fixed - slope * np.asarray(x)).sum())
    spread = float(np.square(y - y.mean()).sum())
    return LinearFit(fixed, slope, 1.0 - rest / spread if spread > 0 else 1.0)
