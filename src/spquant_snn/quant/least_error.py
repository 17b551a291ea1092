"""Codes of trained weights that keep what a layer computes, found without training.

Weights are rounded one input after another, and what rounding one of them changes in the sums is made up for by those
that are not rounded yet (GPTQ, Frantar et al., ICLR 2023; the order and the update are those of optimal brain surgery).
What counts is the error of the sums over inputs that the layer really gets, not that of the weights.
"""

from __future__ import annotations

import torch
from torch import Tensor

_DAMPING = 1e-2  # of the mean square of an input, added to all
_STEPS = torch.linspace(0.3, 1.1, 33, device="cpu").tolist()  # of the smallest scale that clips nothing
_LARGEST = 6144  # inputs of a sum, beyond which each weight is rounded by itself


def least_error_codes(
    weight: Tensor, moments: Tensor, grid: tuple[int, int], scale: Tensor | None = None, per_tensor: bool = False
) -> tuple[Tensor, Tensor]:
    """Codes and scales of a weight, of small square error of ``(weight - scale * codes) @ x``.

    Args:
        weight: [O, K].
        moments: [K, K] the mean of ``x x^T`` over inputs x [K].
        grid: lowest and highest code.
        scale: [O] what a code of one has to be worth; None: what suits best.
        per_tensor: one scale for all outputs.

    Returns:
        Whole numbers [O, K] and scales [O], or [1] with ``per_tensor``; float64.
    """
    w, h = weight.detach().double(), moments.double()
    strength = h.diagonal()
    chosen = _best_step(w, strength, grid, per_tensor) if scale is None else scale.detach().double()
    codes = _rounded(w, h, chosen, grid)
    if scale is not None:
        return codes, chosen
    along, square = ((codes @ h) * w).sum(1), ((codes @ h) * codes).sum(1)
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


def _rounded(w: Tensor, h: Tensor, scale: Tensor, grid: tuple[int, int]) -> Tensor:
    count = w.shape[1]
    unit = scale[:, None].expand(len(w), 1)
    strength = h.diagonal()
    if count > _LARGEST or not bool((strength > 0).any()):
        return _nearest(w, unit, grid)
    order = strength.argsort(descending=True, stable=True)  # the strongest have all others to make up for them
    damped = h[order][:, order] + torch.eye(count, dtype=h.dtype, device=h.device) * (_DAMPING * strength.mean())
    inverse = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(damped)), upper=True)
    left, codes = w[:, order].clone(), torch.empty_like(w)
    for k in range(count):
        column = left[:, k : k + 1]
        codes[:, k : k + 1] = _nearest(column, unit, grid)
        missed = (column - unit * codes[:, k : k + 1]) / inverse[k, k]
        left[:, k + 1 :] -= missed * inverse[k, k + 1 :]
    back = torch.empty_like(codes)
    back[:, order] = codes
    return back


def _nearest(w: Tensor, unit: Tensor, grid: tuple[int, int]) -> Tensor:
    return (w / unit + 0.5).floor().clamp(*grid)
