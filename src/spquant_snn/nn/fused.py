"""The recurrence of ``recurrence`` in one pass over memory forward and one backward, in C, for training on a CPU.

The plain form makes a dozen passes for each time step and keeps the potentials of all; this one keeps nothing but its
input and computes the potentials again. Spikes are the same, bit for bit; gradients are equal within the rounding of
float32 (``tests/nn/test_fused.py``). It is taken for whole sequences in float32 on a CPU where the C source could be
built; single steps that carry a state, skipped neurons, other devices and surrogates of one's own take the plain form.
"""

from __future__ import annotations

import ctypes
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..build import Library
from ..errors import MissingDependencyError, SpQuantError
from .recurrence import Dynamics
from .surrogate import SURROGATES

_KINDS = ("triangle", "rectangle", "atan", "sigmoid")  # as the enumeration of the source
_FEWEST = 1 << 15  # neurons that are worth a thread of their own

NEURON = Library(
    "fused neuron",
    Path(__file__).parent / "csrc",
    "the plain form, which trains slower",
    ("-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off"),
    ("-lm",),
)


class _Constants(ctypes.Structure):
    """``neuron_t`` of csrc/neuron.c."""

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
        ("still", ctypes.c_int32),
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
    return library


def fuses(current: Tensor, dynamics: Dynamics) -> bool:
    """Whether the fused form can run over these currents."""
    return (
        current.device.type == "cpu"
        and current.dtype == torch.float32
        and dynamics.surrogate in SURROGATES.values()
        and kernels() is not None
    )


class FusedRecurrence(torch.autograd.Function):
    """``apply(current, threshold, dynamics, still steps or None) -> spikes [T, N, ...]``, from a zero state."""

    @staticmethod
    def forward(ctx: Any, current: Tensor, threshold: Tensor, dynamics: Dynamics, still_steps: int | None) -> Tensor:
        still = still_steps is not None
        current = _step_after_step(current, still)
        steps = current.shape[0] if still_steps is None else still_steps
        constants = _constants(threshold, dynamics, steps, still)
        step = current if still else current[0]
        spikes = current.new_empty_strided((steps, *step.shape), (step.numel(), *step.stride()))
        library, neurons = _built(), step.numel()

        def forward(begin: int, end: int) -> None:
            library.neuron_forward(constants, neurons, begin, end, current.data_ptr(), spikes.data_ptr())

        _shared_out(forward, neurons)
        ctx.save_for_backward(current)
        ctx.constants, ctx.neurons, ctx.strides = constants, neurons, spikes.stride()
        return spikes

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_spikes: Tensor) -> Any:
        (current,) = ctx.saved_tensors
        if grad_spikes.stride() != ctx.strides:  # neurons lie in the order of the currents
            grad_spikes = grad_spikes.new_empty_strided(grad_spikes.shape, ctx.strides).copy_(grad_spikes)
        gradient = torch.empty_like(current)
        library, constants, neurons = _built(), ctx.constants, ctx.neurons
        learned = ctx.needs_input_grad[1]

        def backward(begin: int, end: int) -> float:
            found = ctypes.c_double(0)
            failed = library.neuron_backward(
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
        return gradient, gradient.new_tensor(total) if learned else None, None, None


def _step_after_step(current: Tensor, still: bool) -> Tensor:
    """The currents without gaps, one time step behind the other, in whatever order the neurons lie within one:
    contiguous, or channels last, is left as it is."""
    step = current if still else current[0]
    dense = step.is_contiguous() or (step.dim() == 4 and step.is_contiguous(memory_format=torch.channels_last))
    if dense and (still or len(current) == 1 or current.stride(0) == step.numel()):
        return current
    return current.contiguous()


def _constants(threshold: Tensor, dynamics: Dynamics, steps: int, still: bool) -> _Constants:
    levels = dynamics.levels
    kind = next(name for name, function in SURROGATES.items() if function is dynamics.surrogate)
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
        still,
    )


def _built() -> ctypes.CDLL:
    library = kernels()
    if library is None:
        raise SpQuantError("the fused neuron could not be built")
    return library


def _shared_out(work: Callable[[int, int], Any], neurons: int) -> list[Any]:
    """Results of ``work(begin, end)`` over parts of the neurons, one for each of torch's threads; the C source runs
    without Python's lock."""
    parts = max(1, min(torch.get_num_threads(), neurons // _FEWEST))
    ends = [neurons * i // parts for i in range(parts + 1)]
    if parts == 1:
        return [work(0, neurons)]
    with ThreadPoolExecutor(parts) as pool:
        return list(pool.map(work, ends[:-1], ends[1:]))
