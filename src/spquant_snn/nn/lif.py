"""The leaky integrate-and-fire layer, with its state in the open."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import cast

import torch
from torch import Tensor, nn

from ..errors import ConfigError
from ..integer.neuron import Reset
from .fused import FusedRecurrence, fuses
from .recurrence import Dynamics, Levels, Recurrence, Skip
from .surrogate import Surrogate
from .surrogate import surrogate as surrogate_of

_SMALLEST_THRESHOLD = 1e-2


class LIF(nn.Module):
    """Leaky integrate-and-fire neurons, one per element of a time step.

    ``forward`` starts from zero state every time; to carry state from call to call, use ``step``.

    Args:
        v_threshold: potential at which a neuron fires.
        leak: share of the stored potential that is left one step later; dyadic (k / 2**s, s <= 8), as integers need it.
        reset: "zero" the potential of a neuron that fired, or "subtract" the threshold from it.
        surrogate: derivative of the spike: "triangle", "rectangle", "atan", "sigmoid", or a function of v -
            v_threshold.
        learn_threshold: whether the threshold is trained (one for the layer).

    Attributes:
        plain: whether the recurrence is run as it is written in ``recurrence``, slower, wherever it could be fused.

    Shape:
        input [T, N, ...], time first; output the same, of zeros and ones.

    Raises:
        ConfigError: an argument has a value that it cannot have.

    Example:
        >>> spikes = LIF()(torch.full((4, 1, 3), 0.6))
        >>> spikes[:, 0, 0].tolist()
        [0.0, 0.0, 1.0, 0.0]
    """

    def __init__(
        self,
        v_threshold: float = 1.0,
        leak: float = 0.5,
        reset: str = "zero",
        surrogate: str | Surrogate = "triangle",
        learn_threshold: bool = False,
    ) -> None:
        super().__init__()
        for name, value in (("v_threshold", v_threshold), ("leak", leak)):
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ConfigError(f"{name} must be a number, not {value!r}")
        if not _SMALLEST_THRESHOLD <= v_threshold < math.inf:
            raise ConfigError(f"v_threshold must be a number from {_SMALLEST_THRESHOLD}, not {v_threshold!r}")
        if not 0 <= leak <= 1 or 256 % Fraction(leak).denominator:
            raise ConfigError(f"leak must be k / 256 between 0 and 1 (1/2, 3/4, 7/8 ...), not {leak!r}")
        if reset not in ("zero", "subtract"):
            raise ConfigError(f"reset must be 'zero' or 'subtract', not {reset!r}")
        self.leak = float(leak)
        self.reset: Reset = cast(Reset, reset)
        self.surrogate = surrogate_of(surrogate)
        self.levels: Levels | None = None
        self.plain = False
        self.v_threshold = nn.Parameter(torch.tensor(float(v_threshold)), requires_grad=learn_threshold)

    @property
    def threshold(self) -> Tensor:
        """The threshold in use: the parameter, kept positive."""
        return self.v_threshold.clamp(min=_SMALLEST_THRESHOLD)

    @property
    def dynamics(self) -> Dynamics:
        return Dynamics(self.leak, self.reset, self.surrogate, self.levels)

    def forward(self, current: Tensor, skip: Skip | None = None) -> Tensor:
        dynamics = self.dynamics
        if skip is None and not self.plain and fuses(current, dynamics):
            return cast(Tensor, FusedRecurrence.apply(current, self.threshold, dynamics, None))  # type: ignore[no-untyped-call]
        spikes, _ = Recurrence.apply(current, self.threshold, None, dynamics, None, False, skip)  # type: ignore[no-untyped-call]
        return cast(Tensor, spikes)  # [T, N, ...]

    def forward_static(self, current: Tensor, timesteps: int) -> Tensor:
        """Spikes [T, N, ...] under the same current [N, ...] at each of T steps."""
        dynamics = self.dynamics
        if not self.plain and fuses(current, dynamics):
            return cast(Tensor, FusedRecurrence.apply(current, self.threshold, dynamics, timesteps))  # type: ignore[no-untyped-call]
        spikes, _ = Recurrence.apply(current, self.threshold, None, dynamics, timesteps, False, None)  # type: ignore[no-untyped-call]
        return cast(Tensor, spikes)

    def initial_state(self, current: Tensor) -> Tensor:
        """The stored potential before the first step, for currents of one step, [N, ...]."""
        return torch.zeros_like(current)

    def step(self, current: Tensor, state: Tensor, skip: Skip | None = None) -> tuple[Tensor, Tensor]:
        """One time step: currents and stored potentials [N, ...] to spikes and the potentials to store."""
        spikes, stored = Recurrence.apply(current, self.threshold, state, self.dynamics, 1, True, skip)  # type: ignore[no-untyped-call]
        return spikes[0], stored

    def extra_repr(self) -> str:
        levels = "float state" if self.levels is None else f"codes {self.levels.low}..{self.levels.high}"
        return f"v_threshold={self.v_threshold.item():g}, leak={self.leak:g}, reset={self.reset!r}, {levels}"
