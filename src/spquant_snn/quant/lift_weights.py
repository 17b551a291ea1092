"""Weights, biases and scales that begin at integers: the parameters that are rounded to given codes."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..dtypes import Bools, Float64, Int8
from ..errors import ModelError
from ..integer.grids import WEIGHT_GRIDS
from .normalize import uniform_distance
from .synapse import Synapse


def take_codes(synapse: Synapse, codes: Int8, bits: float, scale: Float64 | None = None) -> Float64:
    """Set weights that are rounded to given codes.

    Args:
        codes: [O, ...].
        bits: of the codes.
        scale: [O] or [1] what a code of one is worth in the sums; None: a usual size, before batch normalisation.

    Returns:
        What a code is worth now, float64, in the shape of ``scale``.
    """
    quantizer, device = synapse.quantizer, synapse.weight.device
    assert quantizer is not None
    if scale is None:
        grid = WEIGHT_GRIDS[bits]
        usual = uniform_distance(float(grid.step), (grid.low, grid.high)) / np.sqrt(codes[0].size)
        scale = np.full(len(quantizer.scale), usual)
    there, sought = (torch.from_numpy(x).to(device) for x in (codes, _alike(scale, len(quantizer.scale))))
    with torch.no_grad():
        if quantizer.bits == bits:
            synapse.weight.copy_(quantizer.begin_at(there, sought))
            return quantizer.positive_scale().cpu().double().numpy()
        synapse.weight.copy_(sought.view(-1, *[1] * (codes.ndim - 1)) * there)
        quantizer.fit(synapse.weight)
    return scale


def rescale(synapse: Synapse, scale: Float64) -> None:
    """Change what the codes of a synapse are worth to ``scale`` [O]; the codes stay as they are."""
    quantizer = synapse.quantizer
    assert quantizer is not None
    sought = torch.from_numpy(_alike(scale, len(quantizer.scale))).to(synapse.weight.device)
    with torch.no_grad():
        synapse.weight.copy_(quantizer.begin_at(quantizer.codes(synapse.weight), sought))


def _alike(scale: Float64, count: int) -> Float64:
    """Scales [O] as an array of ``count``; of one, all must be the same.

    Raises:
        ModelError: they differ.
    """
    scale = np.broadcast_to(scale, max(len(scale), count))
    if count == 1 and not np.allclose(scale, scale[0], rtol=1e-6):
        raise ModelError("the graph has a scale for each channel, this network one for all")
    return scale[:count].copy()


def take_bias(bias: Tensor | None, low: Float64, high: Float64) -> None:
    """Set a bias to the middle of two bounds [O].

    Raises:
        ModelError: there is no bias, and zero does not lie between the bounds.
    """
    if bias is not None:
        fill(bias, (low + high) / 2)
    elif bool(((low > 0) | (high < 0)).any()):
        raise ModelError(
            "the graph adds an offset to its sums, and this network has neither bias nor normalisation for it"
        )


def fill(tensor: Tensor, values: Float64) -> None:
    """Copy values into a tensor, broadcast to its shape."""
    with torch.no_grad():
        tensor.copy_(torch.from_numpy(np.array(np.broadcast_to(values, tuple(tensor.shape)))))


def usual_where(which: Bools, values: Float64) -> Float64:
    """Values [C], with the median magnitude of the others where the mask is true."""
    usual = float(np.median(np.abs(values[~which]))) if not which.all() else 1.0
    return np.where(which, usual, values)
