"""What the axes of an item are: a vector, a signal, an image or a sequence of any of these, brought to the one form
that networks take, [N, C, H, W], or [N, T, C, H, W] with time.

A shape with two readings is not guessed at: the model decides it, or whoever gives the data.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np

from ..dtypes import Array
from ..errors import ConfigError, DataError

InputKind = Literal["vector", "signal", "image", "sequence"]
# What a model makes of items of a shape; None where it takes several readings, or none.
Decide = Callable[[tuple[int, ...]], InputKind | None]

_MOST_CHANNELS = 4  # of an array whose channels stand last
_AXES = {
    "vector": {1: "[F]"},
    "signal": {1: "[L]", 2: "[C, L]"},
    "image": {2: "[H, W]", 3: "[C, H, W]"},
    "sequence": {2: "[T, F]", 3: "[T, C, L]", 4: "[T, C, H, W]"},
}


def check_kind_of_input(kind: str) -> InputKind:
    """One of the kinds of items.

    Raises:
        ConfigError: there is no such.
    """
    for known in get_args(InputKind):
        if kind == known:
            found: InputKind = known
            return found
    raise ConfigError(f"input_kind must be one of {', '.join(get_args(InputKind))}, not {kind!r}")


def laid_out(
    values: Array, where: str, kind: InputKind | None = None, decide: Decide | None = None, ordered: bool = True
) -> Array:
    """Items [N, ...] as images [N, C, H, W] or sequences [N, T, C, H, W]: a vector is an image of one pixel, a signal
    one of one row.

    Args:
        where: what messages call them, in the plural.
        kind: of the items; None: what their shape says alone, or the model.
        decide: what the model says of their shape.
        ordered: channels stand in front for sure, as in tensors; else they may stand last, as in images of Pillow.

    Raises:
        DataError: they have too few or too many axes, or several readings.
    """
    item = values.shape[1:]
    if kind is None and len(item) in (2, 3):
        kind = decide(item) if decide is not None else None
    kind = kind or _plain_kind(item, where)
    if len(item) not in _AXES[kind]:
        forms = " or ".join(_AXES[kind].values())
        raise DataError(f"{where} are {list(item)} each, and a {kind} is {forms}: reshape them")
    if kind == "vector":
        return values[..., None, None]
    if kind == "signal":
        return values[:, None, None, :] if len(item) == 1 else values[:, :, None, :]
    if kind == "sequence":
        return values[..., None, None] if len(item) == 2 else values[..., None, :] if len(item) == 3 else values
    if len(item) == 2:
        return values[:, None]
    return values if ordered else _channels_first(values, where)


def _plain_kind(item: tuple[int, ...], where: str) -> InputKind:
    """The one reading of a shape."""
    if len(item) == 1:
        return "vector"
    if len(item) == 4:
        return "sequence"
    if len(item) == 3 or (len(item) == 2 and (item[0] == item[1] or item[0] == 1)):
        return "image"  # or a signal of one channel, which is the same
    if len(item) == 2:
        first, second = item
        raise DataError(
            f'{where} are [{first}, {second}] each, which may be a signal of {first} channels (input_kind="signal"), '
            f'{first} steps of {second} values (input_kind="sequence") or a grey image of {first}x{second} '
            '(input_kind="image"): say which'
        )
    raise DataError(
        f"{where} are {list(item)} each: give vectors [F], signals [C, L], images [C, H, W], or sequences of these, "
        "with time first"
    )


def _channels_first(values: Array, where: str) -> Array:
    first, last = values.shape[-3] <= _MOST_CHANNELS, values.shape[-1] <= _MOST_CHANNELS
    if first == last:
        raise DataError(
            f"{where} are {list(values.shape[1:])} each, where the channels could stand first or last: give a torch "
            "tensor, or all of them as Labelled, with the channels first"
        )
    return np.moveaxis(values, -1, -3) if last else values
