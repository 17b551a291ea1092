"""The recurrence of ``recurrence`` in one pass over memory forward and one backward: in C on a CPU, in Triton on CUDA.

The plain form makes a dozen passes for each time step and keeps the potentials of all; this one keeps nothing but its
input and computes the potentials again. Spikes are the same, bit for bit; gradients are equal within the rounding of
float32 (``tests/nn/test_fused.py``, ``tests/nn/test_triton.py``). It is taken for whole sequences in float32 on a CPU
where the C source could be built, and on a GPU where Triton is installed and works; single steps that carry a state,
skipped neurons, other devices and surrogates of one's own take the plain form.
"""

from __future__ import annotations

import ctypes
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..build import Library
from ..errors import MissingDependencyError
from .recurrence import Dynamics
from .surrogate import name_of, triangle
from .threads import on_threads

_KINDS = ("triangle", "rectangle", "atan", "sigmoid")  # as the enumeration of the source
_FEWEST = 1 << 15  # neurons that are worth a thread of their own
_BLOCK = 64  # neurons that the C source takes at once: the part of a thread begins with whole ones

NEURON = Library(
    "training kernels",
    Path(__file__).parent / "csrc",
    "the plain form, which trains slower",
    (
        "neuron_forward",
        "neuron_backward",
        "spikes_narrow",
        "spikes_pack",
        "spikes_unpack",
        "spikes_unpack_bf16",
        "weight_gradients",
    ),
    ("-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off"),
    ("-lm",),
)


class _Constants(ctypes.Structure):
    """``neuron_t`` of csrc/lif.c."""

    _fields_ = (
        ("threshold", ctypes.c_float),
        ("leak", ctypes.c_float),
        ("step", ctypes.c_float),
        ("delta", ctypes.c_float),
        ("low", ctypes.c_int32),
        ("high", ctypes.c_int32),
        ("subtract", ctypes.c_int32),
        ("surrogate", ctypes.c_int32),
        ("steps", ctypes.c_int32),
        ("static_input", ctypes.c_int32),
    )


@cache
def kernels() -> ctypes.CDLL | None:
    """The built source; None, and a word about it, where it cannot be built."""
    try:
        library = NEURON.load()
    except MissingDependencyError as error:
        warnings.warn(f"neurons are trained by the plain, slower form: {error}", RuntimeWarning, stacklevel=2)
        return None
    size, pointer = ctypes.c_size_t, ctypes.c_void_p
    library.neuron_forward.argtypes = [ctypes.POINTER(_Constants), size, size, size, pointer, pointer]
    library.neuron_forward.restype = None
    library.neuron_backward.argtypes = [*library.neuron_forward.argtypes, pointer, ctypes.POINTER(ctypes.c_double)]
    library.neuron_backward.restype = ctypes.c_int
    library.weight_gradients.argtypes = [pointer, pointer, pointer, *[ctypes.c_int32] * 3, pointer]
    library.weight_gradients.restype = ctypes.c_int
    return library


class Form(Protocol):
    """What computes whole sequences [T, ...] of float32 currents on its device, or [...] of static ones, without
    gaps, in whatever order the neurons of a step lie; that of spikes and gradients is the same. The threshold is a
    scalar."""

    def forward(
        self, current: Tensor, threshold: Tensor, dynamics: Dynamics, spikes: Tensor, static_input: bool
    ) -> None:
        """Fill the spikes [T, ...]."""

    def backward(
        self,
        current: Tensor,
        threshold: Tensor,
        dynamics: Dynamics,
        grad_spikes: Tensor,
        gradient: Tensor,
        static_input: bool,
        learned: bool,
    ) -> Tensor | None:
        """Fill the gradient of the currents; return that of the threshold where it is learned."""


def form_on(device: torch.device) -> Form | None:
    """The fused form of a device; None, and a word about it where it could be mended, if there is none."""
    if device.type == "cpu":
        library = kernels()
        return None if library is None else _InC(library)
    return _triton_or_a_word(device) if device.type == "cuda" else None


def triton_on(device: torch.device) -> bool:
    """Whether Triton works on a device; a word about it where it could be mended, if not."""
    return device.type == "cuda" and _triton_or_a_word(device) is not None


@cache
def _triton_or_a_word(device: torch.device) -> Form | None:
    try:
        return in_triton(device)
    except MissingDependencyError as error:
        warnings.warn(f"neurons are trained by the plain, slower form: {error}", RuntimeWarning, stacklevel=2)
        return None


def in_triton(device: torch.device) -> Form:
    """The form for a GPU, tried on one neuron.

    Raises:
        MissingDependencyError: Triton is not installed, or does not work.
    """
    try:
        from . import triton_neuron
    except ImportError as error:
        raise MissingDependencyError(
            f"Triton cannot be imported ({error}): install it, as with 'pip install triton', or use {NEURON.instead}"
        ) from error
    try:
        current = torch.zeros(1, 1, dtype=torch.float32, device=device)
        spikes = torch.empty_like(current)
        triton_neuron.forward(current, current.new_tensor(1.0), Dynamics(0.5, "zero", triangle), spikes, False)
        spikes.item()  # what fails on a GPU is told when it is waited for
    except Exception as error:  # of many types: compilers, headers, drivers and GPUs that are too old
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise MissingDependencyError(
            f"Triton does not work on {device} ({said}): repair it, or use {NEURON.instead}"
        ) from error
    return triton_neuron


def fuses(current: Tensor, dynamics: Dynamics) -> bool:
    """Whether a fused form can run over these currents."""
    return (
        current.dtype == torch.float32
        and name_of(dynamics.surrogate) is not None
        and form_on(current.device) is not None
    )


class FusedRecurrence(torch.autograd.Function):
    """``apply(current, threshold, dynamics, static steps or None) -> spikes [T, N, ...]``, from a zero state."""

    @staticmethod
    def forward(ctx: Any, current: Tensor, threshold: Tensor, dynamics: Dynamics, static_steps: int | None) -> Tensor:
        static_input = static_steps is not None
        current = _step_after_step(current, static_input)
        step = current if static_input else current[0]
        steps = current.shape[0] if static_steps is None else static_steps
        spikes = current.new_empty_strided((steps, *step.shape), (step.numel(), *step.stride()))
        ctx.form, ctx.dynamics, ctx.static_input, ctx.strides = (
            _form_of(current),
            dynamics,
            static_input,
            spikes.stride(),
        )
        if spikes.numel():
            ctx.form.forward(current, threshold, dynamics, spikes, static_input)
        ctx.save_for_backward(current, threshold)
        return spikes

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_spikes: Tensor) -> Any:
        current, threshold = ctx.saved_tensors
        learned = ctx.needs_input_grad[1]
        if not grad_spikes.numel():
            return torch.zeros_like(current), torch.zeros_like(threshold) if learned else None, None, None
        if grad_spikes.stride() != ctx.strides:  # neurons lie in the order of the currents
            grad_spikes = grad_spikes.new_empty_strided(grad_spikes.shape, ctx.strides).copy_(grad_spikes)
        gradient = torch.empty_like(current)
        found = ctx.form.backward(current, threshold, ctx.dynamics, grad_spikes, gradient, ctx.static_input, learned)
        return gradient, found, None, None


def _form_of(current: Tensor) -> Form:
    form = form_on(current.device)
    if form is None:
        raise MissingDependencyError(f"there is no fused neuron on {current.device}: see 'spquant doctor'")
    return form


@dataclass(frozen=True)
class _InC:
    """The form for a CPU."""

    library: ctypes.CDLL

    def forward(
        self, current: Tensor, threshold: Tensor, dynamics: Dynamics, spikes: Tensor, static_input: bool
    ) -> None:
        neurons = spikes[0].numel()
        constants = _constants(threshold, dynamics, len(spikes), static_input)

        def forward(begin: int, end: int) -> None:
            self.library.neuron_forward(constants, neurons, begin, end, current.data_ptr(), spikes.data_ptr())

        _shared_out(forward, neurons)

    def backward(
        self,
        current: Tensor,
        threshold: Tensor,
        dynamics: Dynamics,
        grad_spikes: Tensor,
        gradient: Tensor,
        static_input: bool,
        learned: bool,
    ) -> Tensor | None:
        neurons = grad_spikes[0].numel()
        constants = _constants(threshold, dynamics, len(grad_spikes), static_input)

        def backward(begin: int, end: int) -> float:
            found = ctypes.c_double(0)
            failed = self.library.neuron_backward(
                constants,
                neurons,
                begin,
                end,
                current.data_ptr(),
                grad_spikes.data_ptr(),
                gradient.data_ptr(),
                ctypes.byref(found) if learned else None,
            )
            if failed:
                raise MemoryError
            return found.value

        total = sum(_shared_out(backward, neurons))
        return gradient.new_tensor(total) if learned else None


def _step_after_step(current: Tensor, static_input: bool) -> Tensor:
    """The currents without gaps, one time step behind the other, in whatever order the neurons lie within one:
    contiguous, or channels last, is left as it is."""
    step = current if static_input else current[0]
    dense = step.is_contiguous() or (step.dim() == 4 and step.is_contiguous(memory_format=torch.channels_last))
    if dense and (static_input or len(current) == 1 or current.stride(0) == step.numel()):
        return current
    return current.contiguous()


def _constants(threshold: Tensor, dynamics: Dynamics, steps: int, static_input: bool) -> _Constants:
    levels = dynamics.levels
    kind = name_of(dynamics.surrogate)
    assert kind is not None
    value = float(threshold)
    return _Constants(
        value,
        dynamics.leak,
        0.0 if levels is None else levels.step,
        1.0 if levels is None else float(levels.step * threshold),
        0 if levels is None else levels.low,
        0 if levels is None else levels.high,
        dynamics.reset == "subtract",
        _KINDS.index(kind),
        steps,
        static_input,
    )


def _shared_out(work: Callable[[int, int], Any], neurons: int) -> list[Any]:
    """Results of ``work(begin, end)`` over parts of the neurons, one for each of torch's threads."""
    parts = max(1, min(torch.get_num_threads(), neurons // _FEWEST))
    ends = [*(neurons * i // parts // _BLOCK * _BLOCK for i in range(parts)), neurons]
    return on_threads([partial(work, *part) for part in pairwise(ends)])
