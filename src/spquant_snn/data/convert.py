"""What a user gives as a data set, a name, tensors, arrays or map-style Datasets, as labelled uint8 images or
sequences in memory.

Datasets are recognised by what they do (``len`` and indexing), torchvision's included; PIL images by ``numpy.asarray``.
Tensors are those of torch, where the user has imported it; uint8 tensors are not copied.
"""

from __future__ import annotations

import operator
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..dtypes import Array, UInt8
from ..errors import ConfigError, DataError
from .arrays import Labelled, Splits
from .catalog import load
from .columns import in_pairs, names_of
from .event_items import frame_items, gives_events
from .task import Task, TaskKind, check_kind, outputs_of, read_labels

_MOST_CHANNELS = 4  # of an array whose channels stand last
_MOST_CLASSES = 10_000


def as_splits(
    dataset: object,
    data_dir: Path | None = None,
    *,
    task: TaskKind | Task | None = None,
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
            with the fields t, x, y and p, as ``events.from_array`` takes; or dicts, as ``from_columns`` takes. In place
            of the pair may stand a dict with "train" and "test".
        timesteps: frames into which recordings of events are divided.
        data_dir, download, progress: for a name, see ``load``.
        task: what a pair is to teach; None: what its labels say, whole numbers [N] being classes, floating-point ones
            numbers to be said, and whole numbers [N, H, W] classes of pixels.
        classes: number of classes of a pair; None for those that its training set names in its ``classes``, else one
            more than the highest label.

    Raises:
        ConfigError: there is no such task, or the data set has another.
        DataError: images, labels or the kind of data set are none of these; the message says which and what to give.
    """
    kind = task.kind if isinstance(task, Task) else task
    if kind is not None:
        check_kind(kind)
    if isinstance(dataset, Splits):
        return _of_task(dataset, task)
    if isinstance(dataset, str):
        return _of_task(load(dataset, data_dir, timesteps=timesteps, download=download, progress=progress), task)
    dataset = in_pairs(dataset)
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
        train, test = (
            _labelled(member, what, kind) for member, what in zip(dataset, ("training", "test"), strict=True)
        )
    kind = kind or _kind_of_both(train, test)
    if isinstance(task, Task):
        return Splits("custom", train, test, task)
    count = outputs_of(kind, train.labels, test.labels)
    if classes is None and count > _MOST_CLASSES:
        raise DataError(f"the highest label is {count - 1}: number the classes from 0, or give their number as classes")
    names = names_of(dataset[0]) if kind == "classification" else ()
    outputs = max(count, len(names)) if classes is None else classes
    return Splits("custom", train, test, Task(kind, outputs, names if len(names) == outputs else ()))


def _of_task(data: Splits, task: TaskKind | Task | None) -> Splits:
    """A data set that knows its task, held against one that is asked for, which may add names and a unit."""
    if isinstance(task, Task):
        if (task.kind, task.outputs) != (data.task.kind, data.task.outputs):
            raise ConfigError(
                f"the data set {data.name} is for {data.task.kind} of {data.task.outputs} outputs, not for {task.kind} "
                f"of {task.outputs}: leave task out"
            )
        return replace(data, task=task)
    if task is not None and task != data.task.kind:
        raise ConfigError(f"the data set {data.name} is for {data.task.kind}, not for {task}: leave task out")
    return data


def _kind_of_both(train: Labelled, test: Labelled) -> TaskKind:
    """The task that the labels of both parts say."""
    kinds = [
        read_labels(part.labels, None, f"{what} labels")[0] for part, what in ((train, "training"), (test, "test"))
    ]
    if kinds[0] != kinds[1]:
        raise DataError(
            f"the training labels are for {kinds[0]}, the test labels for {kinds[1]}: give labels of one task"
        )
    return kinds[0]


def _labelled(member: object, what: str, kind: TaskKind | None) -> Labelled:
    if isinstance(member, Labelled):
        return member
    if isinstance(member, (tuple, list)) and len(member) == 2 and _is_array(member[0]):
        return Labelled(_pixels(member[0], 4, f"{what} images"), _labels(member[1], what, kind))
    if hasattr(member, "__len__") and hasattr(member, "__getitem__") and not isinstance(member, (str, bytes, dict)):
        return _from_items(member, what, kind)
    raise DataError(
        f"{what} data must be a pair (images, labels) or a map-style Dataset, not {_kind(member)}: "
        "give one that has a length and can be indexed"
    )


def _from_items(items: Any, what: str, kind: TaskKind | None) -> Labelled:
    images: list[UInt8] = []
    labels: list[Array] = []
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
        labels.append(_label(label, kind, where))
        if labels[-1].shape != labels[0].shape:
            found, first = list(labels[-1].shape), list(labels[0].shape)
            raise DataError(f"{where} has a label of shape {found}, the first one of {first}: bring them to one shape")
        kinds = [each.dtype.kind == "f" for each in (labels[-1], labels[0])]
        if kind is None and kinds[0] != kinds[1]:
            now, before = labels[-1].dtype, labels[0].dtype
            raise DataError(
                f"{where} has a label of {now}, the first one of {before}: give whole numbers for classes, or say "
                'task="regression"'
            )
    if not images:
        raise DataError(f"the {what} data are empty: give at least one image")
    return Labelled(np.stack(images), read_labels(np.stack(labels), kind, f"{what} labels")[1])


def _label(label: object, kind: TaskKind | None, where: str) -> Array:
    """The label of one item: a class index, a number, or several of either."""
    try:
        index = operator.index(label)  # type: ignore[arg-type]
    except TypeError:
        index = None
    if index is not None:
        least = -(2**63) if kind == "regression" else 0
        if not least <= index < 2**63:
            raise DataError(f"{where} has the label {index}: number the classes from 0")
        return np.array(index, np.int64)
    try:
        value = _of_tensor(label) if _is_tensor(label) else np.asarray(label)
    except (ValueError, TypeError, RuntimeError):
        value = np.array(None)
    if value.dtype.kind not in "uifb" or value.dtype.itemsize > 8:
        raise DataError(f"{where} has the label {_kind(label)}: give a class index, a whole number, or numbers")
    return value


def _image(image: object, where: str) -> UInt8:
    """One image as uint8 [C, H, W], or a sequence [T, C, H, W]."""
    if getattr(image, "mode", None) in ("P", "1"):
        raise DataError(f'{where} is a palette or bit image: call convert("RGB") or convert("L") on it first')
    return _pixels(image, 3, where)


def _pixels(given: object, axes: int, where: str) -> UInt8:
    """Images of so many axes, or sequences of one more, as uint8 with channels in front of rows; not the memory of an
    array, in which its owner may go on to write."""
    values = _as_array(given, where)
    pixels = _bytes(_channels_first(values, given, axes, where), where, axes + 1)
    shared = not _is_tensor(given) and np.may_share_memory(pixels, values)
    return pixels.copy() if shared else pixels


def _as_array(value: object, where: str) -> Array:
    """Numbers as an array, in the memory of the tensor or array that is given where it can be."""
    try:
        array = _of_tensor(value) if _is_tensor(value) else np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(f"{where} cannot be made an array ({reason}): bring them to one shape") from error
    if array.dtype.kind not in "uifb" or array.dtype.itemsize > 8:
        raise DataError(f"{where} are of {_kind(value)}, dtype {array.dtype}: give uint8, or float from 0 to 1")
    return array


def _is_tensor(value: object) -> bool:
    """Whether it is one of torch, which is asked only where the user has imported it."""
    torch = sys.modules.get("torch")
    return isinstance(value, getattr(torch, "Tensor", ()))


def _of_tensor(tensor: Any) -> Array:
    held = tensor.detach().cpu()
    try:
        array: Array = held.numpy()
    except (TypeError, RuntimeError):  # of bfloat16, which NumPy does not know, as of some others
        array = held.float().numpy()
    return array


def _channels_first(values: Array, given: object, axes: int, where: str) -> Array:
    """``axes`` axes: the missing channel axis is added, the channels of an array are brought to the front."""
    if values.ndim == axes - 1:
        return np.expand_dims(values, -3)
    if values.ndim == axes + 1:
        return values  # a sequence
    if values.ndim != axes:
        form = "[N, C, H, W]" if axes == 4 else "[C, H, W]"
        raise DataError(f"{where} must be {form} or without C, not {list(values.shape)}: reshape them")
    if _is_tensor(given):
        return values
    first, last = values.shape[-3] <= _MOST_CHANNELS, values.shape[-1] <= _MOST_CHANNELS
    if first == last:
        raise DataError(
            f"{where} are {list(values.shape)}, where the channels could stand first or last: "
            "give a torch tensor, or all of them as Labelled, with the channels first"
        )
    return np.moveaxis(values, -1, -3) if last else values


def _bytes(values: Array, where: str, sequence: int) -> UInt8:
    """As uint8; ``sequence`` is the number of axes of sequences, whose counts are not scaled."""
    if values.dtype == np.uint8:
        return np.ascontiguousarray(values)
    dtype = values.dtype.name
    if values.ndim == sequence:
        raise DataError(
            f"{where} are sequences of {dtype}: give counts or pixels as uint8, 0 to 255, [T, C, H, W] each"
        )
    if values.dtype.kind != "f":
        raise DataError(f"{where} are {dtype}: give uint8 from 0 to 255, or float from 0 to 1")
    if values.size and not (values.min() >= 0 and values.max() <= 1):
        low, high = float(values.min()), float(values.max())
        raise DataError(
            f"{where} are {dtype} from {low:g} to {high:g}: give float from 0 to 1 without normalisation, or uint8"
        )
    scaled = np.multiply(values, 255, dtype=np.float64 if values.dtype.itemsize == 8 else np.float32)
    return np.ascontiguousarray(np.rint(scaled, out=scaled).astype(np.uint8))


def _labels(labels: object, what: str, kind: TaskKind | None) -> Array:
    where = f"{what} labels"
    return read_labels(_as_array(labels, where), kind, where)[1]


def _is_array(value: object) -> bool:
    return hasattr(value, "ndim") and hasattr(value, "dtype")


def _kind(value: object) -> str:
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)}"
    return type(value).__name__
