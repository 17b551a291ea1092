"""Weight codes of least error in a layer's sums, found without training.

Weights are rounded one input after another, and what rounding one of them changes in the sums is made up for by those
that are not rounded yet (GPTQ, Frantar et al., ICLR 2023; the order and the update are those of optimal brain surgery).
What counts is the error of the sums over inputs that the layer really gets, not that of the weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from .synapse import Synapse

_DAMPING = 1e-2  # of the mean square of an input, added to all
_STEPS = torch.linspace(0.3, 1.1, 33, device="cpu").tolist()  # of the smallest scale that clips nothing
_ROWS = 1 << 15  # inputs of sums, at most, of which moments are taken
_LARGEST = 6144  # inputs of a sum, beyond which each weight is rounded by itself


@dataclass(frozen=True, eq=False)
class Inputs:
    """What the sums of a weight look at, as far as its codes depend on it.

    Args:
        products: [K, K] the mean of ``x x^T`` over inputs x [K], float64.
        order: [K] in which weights are rounded; None: each by itself.
        inverse: [K, K] its row says by how much each later weight makes up for what one of them misses.
    """

    products: Tensor
    order: Tensor | None
    inverse: Tensor | None

    @classmethod
    def of(cls, products: Tensor) -> Inputs:
        """Those of mean products [K, K]."""
        h = products.double()
        strength, count = h.diagonal(), len(h)
        if count > _LARGEST or not bool((strength > 0).any()):
            return cls(h, None, None)
        order = strength.argsort(descending=True, stable=True)  # the strongest have all others to make up for them
        damped = h[order][:, order] + torch.eye(count, dtype=h.dtype, device=h.device) * (_DAMPING * strength.mean())
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped))
        return cls(h, order, torch.linalg.cholesky(inverse, upper=True))


def inputs_of(synapse: Synapse, x: Tensor) -> Iterator[Inputs]:
    """For each group of a synapse, what its sums look at in an input [N, ...]."""
    x = synapse.laid_out(x)
    if not synapse.convolves:
        yield _inputs(x.T)
        return
    geometry = synapse.geometry
    places = max(1, x.shape[2] * x.shape[3] // math.prod(geometry.stride))
    x = x[:: max(1, len(x) * places // _ROWS)]
    for part in x.chunk(synapse.groups, 1):
        kernel = cast(tuple[int, int], tuple(synapse.weight.shape[2:]))
        seen = F.unfold(part.float(), kernel, geometry.dilation, geometry.padding, geometry.stride)
        yield _inputs(seen.transpose(0, 1).flatten(1))


def _inputs(seen: Tensor) -> Inputs:
    """Of [K, rows], of which some suffice."""
    seen = seen[:, :: max(1, seen.shape[1] // _ROWS)]
    return Inputs.of((seen @ seen.T).double() / seen.shape[1])


def least_error_codes(
    weight: Tensor, inputs: Inputs, grid: tuple[int, int], scale: Tensor | None = None, per_tensor: bool = False
) -> tuple[Tensor, Tensor]:
    """Codes and scales of a weight, of small square error of ``(weight - scale * codes) @ x``.

    Args:
        weight: [O, K].
        inputs: what it looks at.
        grid: lowest and highest code.
        scale: [O] what a code of one has to be worth; None: what suits best.
        per_tensor: one scale for all outputs.

    Returns:
        Whole numbers [O, K] and scales [O], or [1] with ``per_tensor``; float64.
    """
    w, h = weight.detach().double(), inputs.products
    chosen = _best_step(w, h.diagonal(), grid, per_tensor) if scale is None else scale.detach().double()
    codes = _rounded(w, inputs, chosen[:, None].expand(len(w), 1), grid)
    if scale is not None:
        return codes, chosen
    weighed = codes @ h
    along, square = (weighed * w).sum(1), (weighed * codes).sum(1)
    if per_tensor:
        along, square = along.sum()[None], square.sum()[None]
    return codes, torch.where((along > 0) & (square > 0), along / square.clamp(min=1e-30), chosen)


def _best_step(w: Tensor, strength: Tensor, grid: tuple[int, int], per_tensor: bool) -> Tensor:
    """[O] or [1] the scale of least error where each weight is rounded by itself."""
    low, high = grid[0] - 0.5, grid[1] + 0.5
    most = torch.maximum(w.amax(1) / high, w.amin(1) / low)
    most = most.amax()[None] if per_tensor else most
    most = torch.where(most > 0, most, 1.0)
    best, error = most, torch.full_like(most, torch.inf)
    for step in _STEPS:
        scale = most * step
        left = ((w - scale[:, None] * _nearest(w, scale[:, None], grid)).square() * strength).sum(1)
        found = left.sum()[None] if per_tensor else left
        best, error = torch.where(found < error, scale, best), torch.minimum(found, error)
    return best


def _rounded(w: Tensor, inputs: Inputs, unit: Tensor, grid: tuple[int, int]) -> Tensor:
    order, inverse = inputs.order, inputs.inverse
    if order is None or inverse is None:
        return _nearest(w, unit, grid)
    left, codes = w[:, order].clone(), torch.empty_like(w)
    for k in range(w.shape[1]):
        column = left[:, k : k + 1]
        codes[:, k : k + 1] = _nearest(column, unit, grid)
        missed = (column - unit * codes[:, k : k + 1]) / inverse[k, k]
        left[:, k + 1 :] -= missed * inverse[k, k + 1 :]
    back = torch.empty_like(codes)
    back[:, order] = codes
    return back


def _nearest(w: Tensor, unit: Tensor, grid: tuple[int, int]) -> Tensor:
    return (w / unit + 0.5).floor().clamp(*grid)
