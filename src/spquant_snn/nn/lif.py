"""The leaky integrate-and-fire layer; its state is an argument and a result of ``step``, never hidden in the module."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import repeat
from typing import TypeAlias, cast, get_args

import numpy as np
import torch
from torch import Tensor, nn

from ..dtypes import Bools, Float64, Int64
from ..errors import ConfigError
from ..integer.grids import CURRENT_STEP
from ..integer.neuron import Neuron, Reset, fold_neuron
from .fused import FusedRecurrence, fuses
from .recurrence import Dynamics, Levels, Recurrence, Skip, check_sequence
from .surrogate import Surrogate
from .surrogate import surrogate as surrogate_of
from .unfused import NeuronValues, unfused

Constant: TypeAlias = float | Sequence[float] | Tensor  # of a layer, or one for each channel

_SMALLEST_THRESHOLD = 1e-2


class LIF(nn.Module):
    """A layer of leaky integrate-and-fire neurons, one for each element of a time step.

    ``forward`` starts from zero state every time; to carry state from call to call, use ``step``. Each constant may be
    a number for the whole layer, or a sequence or tensor with one for each channel (the axis after N).

    Args:
        v_threshold: potential at which a neuron fires, at least 0.01.
        leak: the factor by which the stored potential decays in a step, 0 to 1 (1: integrate-and-fire); 0.5 by default.
        reset: what happens to the potential of a neuron that fired: "zero", "subtract" (of ``reset_by``) or "none".
        surrogate: derivative of the spike in the backward pass: "triangle", "rectangle", "atan", "sigmoid", or a
            function of the tensor v - v_threshold.
        learn_threshold: train the threshold: one, or one for each channel, as it is given.
        learn_leak: train the leak likewise, as the sigmoid of a parameter (PLIF, Fang et al. 2021).
        reset_by: what reset="subtract" subtracts; the threshold by default. snnTorch subtracts before the leak, which
            is v_threshold / leak here.
        synaptic_leak: of current-based (CuBa) neurons, the factor by which a synaptic current decays in a step, 0 to 1;
            None: the neurons have no synaptic current.
        beta: another name for ``leak``, snnTorch's.
        tau: in place of ``leak``, SpikingJelly's time constant in steps, 1 or more: the leak is 1 - 1 / tau. Inputs are
            not divided by tau (its ``decay_input=False``); for the spikes of ``decay_input=True`` make v_threshold and
            reset_by tau times as large.

    Attributes:
        levels: the values that a potential may have between steps; None: any.
        plain: run the recurrence by torch's own operations, slower, even where a fused kernel exists.

    Shape:
        input [T, N, ...], floating point, time first; output the same, of zeros and ones.

    Raises:
        ConfigError: an argument has a value that it cannot have, or, in ``forward``, the constants are given for
            another number of channels than the input has.
        DataError: in ``forward``, the input has no time step or is not floating point.

    Example:
        >>> spikes = LIF()(torch.full((4, 1, 3), 0.6))
        >>> spikes[:, 0, 0].tolist()
        [0.0, 0.0, 1.0, 0.0]
    """

    fixed_leak: float | Tensor
    reset_by: float | Tensor | None
    synaptic_leak: float | Tensor | None

    def __init__(
        self,
        v_threshold: Constant = 1.0,
        leak: Constant | None = None,
        reset: str = "zero",
        surrogate: str | Surrogate = "triangle",
        learn_threshold: bool = False,
        learn_leak: bool = False,
        reset_by: Constant | None = None,
        synaptic_leak: Constant | None = None,
        *,
        beta: Constant | None = None,
        tau: Constant | None = None,
    ) -> None:
        super().__init__()
        if reset not in get_args(Reset):
            raise ConfigError(f"reset must be 'zero', 'subtract' or 'none', not {reset!r}")
        if reset_by is not None and reset != "subtract":
            raise ConfigError(f"reset_by is what reset='subtract' subtracts: leave it out with reset={reset!r}")
        for name, value in (("learn_threshold", learn_threshold), ("learn_leak", learn_leak)):
            if not isinstance(value, bool):
                raise ConfigError(f"{name} must be True or False, not {value!r}")
        thresholds = _constant("v_threshold", v_threshold, _SMALLEST_THRESHOLD, math.inf)
        leaks = _leaks(leak, beta, tau)
        self.reset: Reset = cast(Reset, reset)
        self.surrogate = surrogate_of(surrogate)
        self.levels: Levels | None = None
        self.v_threshold = nn.Parameter(_tensor(thresholds), requires_grad=learn_threshold)
        self._keep("fixed_leak", leaks)
        self.leak_logit: nn.Parameter | None = None
        if learn_leak:
            if np.min(leaks) == 0 or np.max(leaks) == 1:
                raise ConfigError(f"learn_leak needs a leak between 0 and 1 to begin with, not {leaks!r}")
            self.leak_logit = nn.Parameter(_tensor(np.log(np.divide(leaks, np.subtract(1, leaks)))))
        amounts = None if reset_by is None else _constant("reset_by", reset_by, 0.0, math.inf)
        self._keep("reset_by", amounts)
        slow = None if synaptic_leak is None else _constant("synaptic_leak", synaptic_leak, 0.0, 1.0)
        self._keep("synaptic_leak", slow)
        counts = {len(x) for x in (thresholds, leaks, amounts, slow) if isinstance(x, np.ndarray)}
        if len(counts) > 1:
            raise ConfigError(f"constants are given for {' and for '.join(map(str, sorted(counts)))} channels: which?")
        self.plain = not self.has_kernel

    def _keep(self, name: str, value: float | Float64 | None) -> None:
        """Store a fixed constant: an array as a buffer, which moves with the module."""
        if isinstance(value, np.ndarray):
            self.register_buffer(name, _tensor(value))
        else:
            setattr(self, name, value)

    @property
    def threshold(self) -> Tensor:
        """The threshold in use, a scalar or [C]: the parameter ``v_threshold``, but at least 0.01."""
        return self.v_threshold.clamp(min=_SMALLEST_THRESHOLD)

    @property
    def leak(self) -> float | Tensor:
        """The leak in use: a number; a tensor where it is trained, or given for each channel."""
        return self.fixed_leak if self.leak_logit is None else torch.sigmoid(self.leak_logit)

    @property
    def has_kernel(self) -> bool:
        """Whether a fused kernel exists for these neurons: one threshold and one fixed leak for the layer, a reset to
        zero or by the threshold, no synaptic current. All others train by a plain, slower path."""
        return (
            self.v_threshold.dim() == 0
            and self.leak_logit is None
            and isinstance(self.fixed_leak, float)
            and self.reset != "none"
            and self.reset_by is None
            and self.synaptic_leak is None
        )

    @property
    def dynamics(self) -> Dynamics:
        """The constants of a recurrence that has a kernel."""
        return Dynamics(float(self.leak), self.reset, self.surrogate, self.levels)

    def values(self, current: Tensor) -> NeuronValues:
        """The constants in a shape that broadcasts over currents of one step, [N, C, ...].

        Raises:
            ConfigError: constants are given for another number of channels than C.
        """
        threshold, levels = self._beside(self.threshold, current), self.levels
        slow = self.synaptic_leak
        return NeuronValues(
            threshold,
            self._beside(self.leak, current),
            self.reset,
            threshold if self.reset_by is None else self._beside(self.reset_by, current),
            None if slow is None else self._beside(slow, current),
            self.surrogate,
            levels,
            None if levels is None else Levels(levels.low, levels.high, CURRENT_STEP * levels.step),
        )

    def _beside(self, constant: float | Tensor, current: Tensor) -> Tensor:
        value = torch.as_tensor(constant, dtype=current.dtype, device=current.device)
        if value.dim() == 0:
            return value
        if current.dim() < 2 or current.shape[1] != len(value):
            raise ConfigError(
                f"neurons with constants of {len(value)} channels meet currents of shape {tuple(current.shape)} in a "
                f"step: give as many as there are along the axis behind N, or one for all"
            )
        return value.view(-1, *[1] * (current.dim() - 2))

    def forward(self, current: Tensor, skip: Skip | None = None) -> Tensor:
        check_sequence("LIF", current)
        if not self.has_kernel:
            return self._unfused(list(current), current[0], skip)
        dynamics = self.dynamics
        if skip is None and not self.plain and fuses(current, dynamics):
            return cast(Tensor, FusedRecurrence.apply(current, self.threshold, dynamics, None))  # type: ignore[no-untyped-call]
        spikes, _ = Recurrence.apply(current, self.threshold, None, dynamics, None, False, skip)  # type: ignore[no-untyped-call]
        return cast(Tensor, spikes)  # [T, N, ...]

    def forward_static(self, current: Tensor, timesteps: int) -> Tensor:
        """Spikes [T, N, ...] under the same current [N, ...] at each of T steps."""
        if not self.has_kernel:
            return self._unfused(list(repeat(current, timesteps)), current, None)
        dynamics = self.dynamics
        if not self.plain and fuses(current, dynamics):
            return cast(Tensor, FusedRecurrence.apply(current, self.threshold, dynamics, timesteps))  # type: ignore[no-untyped-call]
        spikes, _ = Recurrence.apply(current, self.threshold, None, dynamics, timesteps, False, None)  # type: ignore[no-untyped-call]
        return cast(Tensor, spikes)

    def _unfused(self, currents: list[Tensor], first: Tensor, skip: Skip | None) -> Tensor:
        self._check_skip(skip)
        return unfused(currents, self.initial_state(first), self.values(first), skip)[0]

    def _check_skip(self, skip: Skip | None) -> None:
        if skip is not None and self.synaptic_leak is not None:
            raise ConfigError("neurons with a synaptic current cannot be skipped: train them without block skipping")

    def initial_state(self, current: Tensor) -> Tensor:
        """The zero state for currents of one step, [N, ...]: potentials of the same shape, or, with a synaptic current,
        potentials and synaptic currents [N, 2, ...]."""
        zeros = torch.zeros_like(current)
        return zeros if self.synaptic_leak is None else torch.stack([zeros, zeros], 1)

    def step(self, current: Tensor, state: Tensor, skip: Skip | None = None) -> tuple[Tensor, Tensor]:
        """One time step.

        Args:
            current: [N, ...].
            state: of the step before; ``initial_state(current)`` before the first.

        Returns:
            Spikes [N, ...], and the state after the step.
        """
        if not self.has_kernel:
            self._check_skip(skip)
            spikes, stored = unfused([current], state, self.values(current), skip)
        else:
            spikes, stored = Recurrence.apply(current, self.threshold, state, self.dynamics, 1, True, skip)  # type: ignore[no-untyped-call]
        return spikes[0], stored

    def codes(self, stored: Tensor) -> Tensor:
        """The integer codes of a state, as floats of the same shape; the state itself where ``levels`` is None."""
        if self.levels is None:
            return stored
        potential = stored if self.synaptic_leak is None else stored[:, 0]
        unit = self.levels.step * self._beside(self.threshold.detach(), potential)
        if self.synaptic_leak is None:
            return stored / unit
        return torch.stack([potential / unit, stored[:, 1] / (CURRENT_STEP * unit)], 1)

    def keep(self, channels: Tensor) -> None:
        """Keep only the constants of the channels in a mask [C]."""
        for name, value in [*self.named_parameters(), *self.named_buffers()]:
            if value.dim():
                kept, learned = value.detach()[channels], value.requires_grad
                setattr(self, name, nn.Parameter(kept, learned) if isinstance(value, nn.Parameter) else kept)

    def fold(
        self, bits: float, gain: Float64, offset: Float64, reach: Int64, live: Bools | None = None
    ) -> tuple[Neuron, Bools]:
        """The integer constants of the deployed neurons, see ``fold_neuron``.

        Args:
            live: [C] mask of the channels that ``gain``, ``offset`` and ``reach`` are given for; None: all.
        """

        def numbers(constant: float | Tensor) -> float | Float64:
            if not isinstance(constant, Tensor):
                return constant
            value: Float64 = constant.detach().cpu().double().numpy()
            return float(value) if value.ndim == 0 else value if live is None else value[live]

        exact = self.leak if self.leak_logit is None else torch.sigmoid(self.leak_logit.detach().cpu().double())
        return fold_neuron(
            bits,
            gain,
            offset,
            numbers(self.threshold),
            numbers(exact),
            self.reset,
            reach,
            reset_by=None if self.reset_by is None else numbers(self.reset_by),
            synaptic_leak=None if self.synaptic_leak is None else numbers(self.synaptic_leak),
        )

    def extra_repr(self) -> str:
        said = [f"v_threshold={_in_words(self.v_threshold)}", f"leak={_in_words(self.leak)}", f"reset={self.reset!r}"]
        said += [
            f"{name}={_in_words(value)}"
            for name, value in (("reset_by", self.reset_by), ("synaptic_leak", self.synaptic_leak))
            if value is not None
        ]
        levels = "float state" if self.levels is None else f"codes {self.levels.low}..{self.levels.high}"
        return ", ".join([*said, levels])


def plain_path_note(network: nn.Module) -> str | None:
    """A sentence for the user on neurons of a network that have no fused kernel; None where all have one."""
    slower = sum(isinstance(module, LIF) and not module.has_kernel for module in network.modules())
    if not slower:
        return None
    layers = "a layer of neurons trains" if slower == 1 else f"{slower} layers of neurons train"
    return (
        f"{layers} by the plain path, several times slower: fused kernels know one threshold and one fixed leak a "
        "layer, a reset to zero or by the threshold, and no synaptic current"
    )


def _constant(name: str, value: object, low: float, high: float) -> float | Float64:
    """A constant between two bounds, as a float or an array [C].

    Raises:
        ConfigError: it is something else; ``name`` is the argument's, for the message.
    """
    wanted = (
        f"{name} must be a number from {low:g}{'' if high == math.inf else f' to {high:g}'}, or one for each channel"
    )
    try:
        given = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
    except (TypeError, ValueError):  # rows of unequal lengths
        raise ConfigError(f"{wanted}, not {value!r}") from None
    if given.dtype.kind not in "iuf" or given.ndim > 1 or given.size == 0:
        raise ConfigError(f"{wanted}, not {value!r}")
    numbers: Float64 = given.astype(np.float64)
    wrong = ~((numbers >= low) & (numbers <= high) & np.isfinite(numbers))
    if wrong.any():
        where = f" of channel {int(wrong.argmax())}" if given.ndim else ""
        raise ConfigError(f"{wanted}, not {float(numbers[wrong][0])!r}{where}")
    return numbers if given.ndim else float(numbers)


def _leaks(leak: Constant | None, beta: Constant | None, tau: Constant | None) -> float | Float64:
    """The leak, as a float or an array [C], from whichever of the three arguments is given."""
    given = {name: value for name, value in (("leak", leak), ("beta", beta), ("tau", tau)) if value is not None}
    if len(given) > 1:
        raise ConfigError(f"{' and '.join(given)} say the same of a neuron: give one of leak, beta and tau")
    if tau is not None:
        return 1 - 1 / _constant("tau", tau, 1.0, math.inf)
    name, value = next(iter(given.items()), ("leak", 0.5))
    return _constant(name, value, 0.0, 1.0)


def _tensor(constant: float | Float64) -> Tensor:
    return torch.tensor(constant, dtype=torch.get_default_dtype())


def _in_words(constant: float | Tensor) -> str:
    if isinstance(constant, Tensor):
        return f"[{len(constant)}]" if constant.dim() else f"{constant.item():g}"
    return f"{constant:g}"
