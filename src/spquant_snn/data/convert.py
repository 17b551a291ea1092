"""What a user gives as a data set, a name, tensors, arrays or map-style Datasets, as labelled uint8 images or
sequences in memory.

Datasets are recognised by what they do (``len`` and indexing), torchvision's included; PIL images by ``numpy.asarray``.
"""

from __future__ import annotations

import operator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import DataError
from .arrays import Labelled, Splits
from .catalog import load
from .event_items import frame_items, gives_events

_MOST_CHANNELS = 4  # of an array whose channels stand last
_MOST_CLASSES = 10_000


def as_splits(
    dataset: object,
    data_dir: Path | None = None,
    *,
    classes: int | None = None,
    timesteps: int = 10,
    download: bool = True,
    progress: bool = True,
) -> Splits:
    """Turn anything that can be trained on into ``Splits``.

    Args:
        dataset: a name of the catalogue, a ``Splits``, or a pair (train, test). Each of the two is a ``Labelled``, a
            pair (images, labels) of tensors or arrays, or a map-style Dataset whose items are (image, label). Images
            are uint8 0 .. 255 or float 0 .. 1 (scaled by 255 and rounded); tensors [N, H, W] or [N, C, H, W]; arrays
            may have their channels (at most four) last, as PIL images do. Sequences of frames are uint8
            [N, T, C, H, W], as items [T, C, H, W]. Items may be (events, label) too, the events a structured array
            with the fields t, x, y and p, as ``events.from_array`` takes.
        timesteps: frames into which recordings of events are divided.
        data_dir, download, progress: for a name, see ``load``.
        classes: number of classes of a pair; None for one more than its highest label.

    Raises:
        DataError: images, labels or the kind of data set are none of these; the message says which and what to give.
    """
    if isinstance(dataset, Splits):
        return dataset
    if isinstance(dataset, str):
        return load(dataset, data_dir, timesteps=timesteps, download=download, progress=progress)
    if not isinstance(dataset, (tuple, list)) or len(dataset) != 2:
        raise DataError(
            f"a data set is a name or a pair (train, test), not {_kind(dataset)}: give the test images as the second"
        )
    if _is_array(dataset[0]):
        raise DataError(
            "a data set is a pair (train, test), this looks like one pair (images, labels): "
            "give ((training images, training labels), (test images, test labels))"
        )
    if gives_events(dataset[0]) or gives_events(dataset[1]):
        train, test = frame_items(dataset[0], dataset[1], timesteps, progress=progress)
    else:
        train, test = (_labelled(member, what) for member, what in zip(dataset, ("training", "test"), strict=True))
    highest = max(int(train.labels.max()), int(test.labels.max()))
    if classes is None and highest >= _MOST_CLASSES:
        raise DataError(f"the highest label is {highest}: number the classes from 0, or give their number as classes")
    return Splits("custom", train, test, highest + 1 if classes is None else classes)


def _labelled(member: object, what: str) -> Labelled:
    if isinstance(member, Labelled):
        return member
    if isinstance(member, (tuple, list)) and len(member) == 2 and _is_array(member[0]):
        return Labelled(_stack(member[0], what), _labels(member[1], what))
    if hasattr(member, "__len__") and hasattr(member, "__getitem__") and not isinstance(member, (str, bytes, dict)):
        return _from_items(member, what)
    raise DataError(
        f"{what} data must be a pair (images, labels) or a map-style Dataset, not {_kind(member)}: "
        "give one that has a length and can be indexed"
    )


def _from_items(items: Any, what: str) -> Labelled:
    images: list[Tensor] = []
    labels: list[int] = []
    for index in range(len(items)):
        where = f"{what} item {index}"
        try:
            item = items[index]
        except IndexError as error:
            raise DataError(f"{where} is missing from a Dataset that says it has {len(items)}: check it") from error
        try:
            image, label = item
        except (TypeError, ValueError) as error:
            raise DataError(f"{where} is no pair (image, label): give a Dataset of such pairs") from error
        images.append(_image(image, where))
        if images[-1].shape != images[0].shape:
            found, first = list(images[-1].shape), list(images[0].shape)
            raise DataError(f"{where} is {found}, the first is {first}: bring them to one shape")
        try:
            labels.append(operator.index(label))
        except TypeError:
            raise DataError(f"{where} has the label {_kind(label)}: give a class index, a whole number") from None
        if not 0 <= labels[-1] < 2**63:
            raise DataError(f"{where} has the label {labels[-1]}: number the classes from 0")
    if not images:
        raise DataError(f"the {what} data are empty: give at least one image")
    return Labelled(torch.stack(images), torch.tensor(labels))


def _image(image: object, where: str) -> Tensor:
    """One image as uint8 [C, H, W], or a sequence [T, C, H, W]."""
    if getattr(image, "mode", None) in ("P", "1"):
        raise DataError(f'{where} is a palette or bit image: call convert("RGB") or convert("L") on it first')
    return _bytes(_channels_first(_as_tensor(image, where), image, 3, where), where, 4)


def _stack(images: object, what: str) -> Tensor:
    """Images as uint8 [N, C, H, W], or sequences [N, T, C, H, W]."""
    where = f"{what} images"
    return _bytes(_channels_first(_as_tensor(images, where), images, 4, where), where, 5)


def _as_tensor(value: object, where: str) -> Tensor:
    if isinstance(value, Tensor):
        return value.detach()
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise DataError(f"{where} cannot be made an array ({error}): bring them to one shape") from error
    if array.dtype.kind not in "uifb" or array.dtype.itemsize > 8:
        raise DataError(f"{where} are of {_kind(value)}, dtype {array.dtype}: give uint8, or float from 0 to 1")
    return torch.from_numpy(np.array(array, dtype=array.dtype.newbyteorder("="), order="C"))


def _channels_first(values: Tensor, given: object, axes: int, where: str) -> Tensor:
    """``axes`` axes: the missing channel axis is added, the channels of an array are brought to the front."""
    if values.ndim == axes - 1:
        return values.unsqueeze(-3)
    if values.ndim == axes + 1:
        return values  # a sequence
    if values.ndim != axes:
        form = "[N, C, H, W]" if axes == 4 else "[C, H, W]"
        raise DataError(f"{where} must be {form} or without C, not {list(values.shape)}: reshape them")
    if isinstance(given, Tensor):
        return values
    first, last = values.shape[-3] <= _MOST_CHANNELS, values.shape[-1] <= _MOST_CHANNELS
    if first == last:
        raise DataError(
            f"{where} are {list(values.shape)}, where the channels could stand first or last: "
            "give a torch tensor with the channels first"
        )
    return values.movedim(-1, -3) if last else values


def _bytes(values: Tensor, where: str, sequence: int) -> Tensor:
    """As uint8; ``sequence`` is the number of axes of sequences, whose counts are not scaled."""
    if values.dtype == torch.uint8:
        return values.cpu().contiguous()
    dtype = str(values.dtype).removeprefix("torch.")
    if values.ndim == sequence:
        raise DataError(
            f"{where} are sequences of {dtype}: give counts or pixels as uint8, 0 to 255, [T, C, H, W] each"
        )
    if not values.is_floating_point():
        raise DataError(f"{where} are {dtype}: give uint8 from 0 to 255, or float from 0 to 1")
    if values.numel() and not (values.min() >= 0 and values.max() <= 1):
        low, high = float(values.min()), float(values.max())
        raise DataError(
            f"{where} are {dtype} from {low:g} to {high:g}: give float from 0 to 1 without normalisation, or uint8"
        )
    wide = values if values.dtype == torch.float64 else values.float()
    return (wide * 255).round().to(torch.uint8).cpu().contiguous()


def _labels(labels: object, what: str) -> Tensor:
    where = f"{what} labels"
    values = labels.detach() if isinstance(labels, Tensor) else _as_tensor(labels, where)
    if values.is_floating_point() or values.is_complex() or values.dtype == torch.bool or values.ndim != 1:
        dtype = str(values.dtype).removeprefix("torch.")
        raise DataError(f"{where} are {dtype} {list(values.shape)}: give one class index per image, whole numbers [N]")
    return values.to(torch.int64).cpu()


def _is_array(value: object) -> bool:
    return hasattr(value, "ndim") and hasattr(value, "dtype")


def _kind(value: object) -> str:
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)}"
    return type(value).__name__
