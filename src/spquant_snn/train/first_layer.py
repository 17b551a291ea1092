"""What a model says of its input: an image, a signal or a vector, by its first layer; and its time steps."""

from __future__ import annotations

import math

from torch import nn

from ..data.input_kind import Decide, InputKind
from ..nn.imported import ImportedSNN
from ..nn.models import SIGNAL_MODELS, VECTOR_MODELS

_OVER_SIGNALS = (nn.Conv1d, nn.ConvTranspose1d)
_OVER_IMAGES = (nn.Conv2d, nn.ConvTranspose2d)


def kind_taken_by(model: str | nn.Module) -> Decide:
    """What a model makes of items of a shape, as ``data.input_kind`` asks."""
    if isinstance(model, str):
        base = model.partition(":")[0]
        return lambda item: _of_named(base, item)
    first = _first_of(model)
    return lambda item: None if first is None else _of_layer(first, item)


def shape_taken_by(model: nn.Module, shape: tuple[int, int, int]) -> tuple[int, ...]:
    """The shape of (C, H, W) that a model is written for: an image of one row is a signal (C, L) to a convolution over
    one dimension, one of one pixel a vector (F,) to a linear layer."""
    channels, height, width = shape
    first = _first_of(model)
    if isinstance(first, _OVER_SIGNALS) and height == 1:
        return channels, width
    if isinstance(first, nn.Linear) and (height, width) == (1, 1):
        return (channels,)
    return shape


def steps_taken_by(model: nn.Module) -> dict[str, int]:
    """The option of the time steps that a network from elsewhere was written for; none where it does not say."""
    known = model.timesteps if isinstance(model, ImportedSNN) else None
    return {} if known is None else {"timesteps": known}


def _first_of(model: nn.Module) -> nn.Module | None:
    """The first layer with weights, in the order in which they were made."""
    kinds = (*_OVER_SIGNALS, *_OVER_IMAGES, nn.Linear)
    return next((module for module in model.modules() if isinstance(module, kinds)), None)


def _of_named(base: str, item: tuple[int, ...]) -> InputKind | None:
    if base in VECTOR_MODELS:
        return None  # which takes anything
    if base in SIGNAL_MODELS:
        return "signal" if len(item) == 2 else "sequence"
    return "image"


def _of_layer(first: nn.Module, item: tuple[int, ...]) -> InputKind | None:
    if isinstance(first, _OVER_IMAGES):
        return "image"
    if isinstance(first, _OVER_SIGNALS):
        if first.in_channels == item[0] and len(item) == 2:
            return "signal"
        return "sequence" if len(item) == 3 and first.in_channels == item[1] else None
    assert isinstance(first, nn.Linear)
    if first.in_features == math.prod(item):
        return "image"  # whose numbers lie in a row as those of a signal do
    return "sequence" if first.in_features == math.prod(item[1:]) else None
