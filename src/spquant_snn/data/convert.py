"""What a user gives as a data set, a name, tensors, arrays or map-style Datasets, as labelled images, signals, vectors
or sequences of them, of 8 bits, in memory.

Datasets are recognised by what they do (``len`` and indexing), torchvision's included; PIL images by ``numpy.asarray``.
Tensors are those of torch, where the user has imported it; uint8 tensors are not copied.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..dtypes import Array, Int64
from ..errors import ConfigError, DataError
from ..io.terminal import to_stderr
from .arrays import Labelled, Splits, padded_sequences, usual_format
from .catalog import load
from .columns import in_pairs, names_of, pairs_of
from .event_items import frame_items, gives_events
from .input_format import COUNTS, PIXELS, InputFormat, check_finite
from .input_kind import Decide, InputKind, check_kind_of_input
from .input_notes import coarse_note, range_note
from .item_arrays import as_numbers, described, item_label, item_pixels, item_values
from .item_form import pair_of, place_of
from .task import Task, TaskKind, check_kind, outputs_of, read_labels, refuse_labels_of_steps

_MOST_CLASSES = 10_000
_PARTS = ("training", "test")


@dataclass(frozen=True, eq=False)
class _Unread:
    """Images of a part of a data set, laid out, of any dtype; labels and lengths as ``Labelled`` has them."""

    images: Array
    labels: Array
    lengths: Int64 | None = None


_Member = Labelled | _Unread  # of a data set: what is labelled already, or is to be quantised


def as_splits(
    dataset: object,
    data_dir: Path | None = None,
    *,
    task: TaskKind | Task | None = None,
    classes: int | None = None,
    input_kind: InputKind | None = None,
    input_range: float = 0.0,
    decide: Decide | None = None,
    timesteps: int = 10,
    download: bool = True,
    progress: bool = True,
) -> Splits:
    """Turn anything that can be trained on into ``Splits``.

    Args:
        dataset: a name of the catalogue, a ``Splits``, or a pair (train, test). Each of the two is a ``Labelled``, a
            pair (images, labels) of tensors or arrays, or a map-style Dataset whose items are (image, label). Items are
            images [C, H, W] or [H, W], signals [C, L], vectors [F], or sequences of these, with time first, which in a
            Dataset or list may have several lengths; arrays of images may have their channels (at most four) last, as
            PIL images do. Numbers of 8 bits and whole ones from 0 to 255 are taken as they are, floats from 0 to 1 as
            pixels; others are quantised, as ``InputFormat`` has
            it, by what the training set needs. Items may be (events, label) too, the events a structured array
            with the fields t, x, y and p, as ``events.from_array`` takes; or dicts, as ``from_columns`` takes. In place
            of the pair may stand a dict with "train" and "test".
        timesteps: frames into which recordings of events are divided.
        data_dir, download, progress: for a name, see ``load``.
        task: what a pair is to teach; None: what its labels say, whole numbers [N] being classes, floating-point ones
            numbers to be said, and whole numbers [N, H, W] classes of pixels.
        classes: number of classes of a pair; None for those that its training set names in its ``classes``, else one
            more than the highest label.
        input_kind: what the items of a pair are, where their shape has several readings: "image", "signal", "vector" or
            "sequence".
        input_range: the largest absolute value that shall fit into inputs that are quantised, the others being clipped;
            0: measured on the training set, so that little is.
        decide: what the model says of a shape that has several readings.

    Raises:
        ConfigError: there is no such task or kind, or the data set has another.
        DataError: images, labels or the kind of data set are none of these; the message says which and what to give.

    Example:
        >>> images, labels = numpy.zeros((6, 1, 8, 8), numpy.uint8), numpy.array([0, 1, 2] * 2)
        >>> splits = as_splits(((images, labels), (images, labels)))
        >>> splits.train.images.shape, splits.task.outputs
        ((6, 1, 8, 8), 3)
    """
    kind = task.kind if isinstance(task, Task) else task
    if kind is not None:
        check_kind(kind)
    if not isinstance(input_range, int | float) or not 0 <= input_range < 1e20:
        raise ConfigError(f"input_range must be a number, 0 or more, not {input_range!r}")
    if (input_range or input_kind) and isinstance(dataset, str | Splits):
        option = "input_range" if input_range else "input_kind"
        raise ConfigError(f"{option} is for own data, and this data set knows what its items are: leave it out")
    if isinstance(dataset, Splits):
        return _of_task(dataset, task)
    if isinstance(dataset, str):
        return _of_task(load(dataset, data_dir, timesteps=timesteps, download=download, progress=progress), task)
    dataset = in_pairs(dataset)
    if not isinstance(dataset, (tuple, list)) or len(dataset) != 2:
        raise DataError(
            f"a data set is a name or a pair (train, test), not {described(dataset)}: give the test images as the "
            "second"
        )
    if _is_array(dataset[0]):
        raise DataError(
            "a data set is a pair (train, test), this looks like one pair (images, labels): "
            "give ((training images, training labels), (test images, test labels))"
        )
    if gives_events(dataset[0]) or gives_events(dataset[1]):
        train, test = frame_items(dataset[0], dataset[1], timesteps, progress=progress)
        given = COUNTS
    else:
        form = check_kind_of_input(input_kind) if input_kind else None
        members = [_member(each, f"{what}", kind, form, decide) for each, what in zip(dataset, _PARTS, strict=True)]
        given = _format_of(members, float(input_range))
        train, test = _quantized(members, given, progress)
    kind = kind or _kind_of_both(train, test)
    if isinstance(task, Task):
        return Splits("custom", train, test, task, given)
    count = outputs_of(kind, train.labels, test.labels)
    if classes is None and count > _MOST_CLASSES:
        raise DataError(f"the highest label is {count - 1}: number the classes from 0, or give their number as classes")
    names = names_of(dataset[0]) if kind == "classification" else ()
    outputs = max(count, len(names)) if classes is None else classes
    return Splits("custom", train, test, Task(kind, outputs, names if len(names) == outputs else ()), given)


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


def _member(member: object, what: str, kind: TaskKind | None, form: InputKind | None, decide: Decide | None) -> _Member:
    if isinstance(member, Labelled):
        return member
    _refuse_archive(member, what)
    if isinstance(member, (tuple, list)) and len(member) == 2 and _is_array(member[0]):
        images = item_values(member[0], f"{what} images", form, decide)
        if images.ndim == 5 and len(shape := np.shape(member[1])) > 1:
            refuse_labels_of_steps(images.shape[1], tuple(shape[1:]), kind, f"a sequence of the {what} data")
        labels = _labels(member[1], what, kind)
        if len(images) != len(labels):
            raise DataError(f"{len(images)} {what} images have {len(labels)} labels: give one label per image")
        return _Unread(images, labels)
    if hasattr(member, "__len__") and hasattr(member, "__getitem__") and not isinstance(member, (str, bytes, dict)):
        return _from_items(member, what, kind, form, decide)
    if isinstance(member, str | Path):
        raise DataError(
            f"the {what} data are a text or a path, {str(member)!r:.80}, not what it names: give ImageFolder(path) of "
            "a folder of images, or the arrays of a file"
        )
    raise DataError(
        f"{what} data must be a pair (images, labels) or a map-style Dataset, not {described(member)}: "
        "give one that has a length and can be indexed"
    )


def _format_of(members: list[_Member], limit: float) -> InputFormat:
    """The format of both parts: of what is labelled already, else as the training set needs it."""
    done = [member for member in members if isinstance(member, Labelled)]
    train = members[0]
    if not done and not isinstance(train, Labelled):
        images = train.images
        if images.dtype not in (np.uint8, np.int8):
            check_finite(images, "the training images", of_items=True)
            found = InputFormat.measured(images, limit)
            whole = images.dtype.kind in "ui" and images.ndim == 5 and found == PIXELS
            return COUNTS if whole else found
        done = [Labelled(_clipped(images[:1]), np.zeros(1, np.int64))] if images.size else []
    if limit:
        raise ConfigError("input_range is for numbers that are quantised, and these have 8 bits: leave it out")
    return usual_format(done[0]) if done else PIXELS


def _quantized(members: list[_Member], given: InputFormat, progress: bool) -> list[Labelled]:
    """Both parts in a format; what had to be clipped is said on standard error."""
    parts, told, first = [], [], members[0]
    kind = first.images.dtype
    for member, what in zip(members, _PARTS, strict=True):
        if isinstance(member, Labelled):
            parts.append(member)
            continue
        images = member.images
        check_finite(images, f"the {what} images", of_items=True)
        _check_alike(images, given, kind, what)
        values, share = given.quantize(images, f"the {what} images")
        parts.append(Labelled(np.ascontiguousarray(values), member.labels, member.lengths))
        told.append((what, len(images), share))
    if progress:
        notes = [range_note(given, told) if told else None]
        notes += [coarse_note(first.images, given)] if not isinstance(first, Labelled) else []
        for note in filter(None, notes):
            to_stderr().print(note)
    return parts


def _check_alike(images: Array, given: InputFormat, kind: np.dtype[Any], what: str) -> None:
    """Refuse images that are not of the kind of those of training: numbers of 8 bits and floats from 0 to 1 alone go
    together."""
    if images.dtype == kind or not images.size:
        return
    low, high = float(images.min()), float(images.max())
    bytes_ = [each in (np.uint8, np.int8) for each in (images.dtype, kind)]
    fits = not any(bytes_) or (given == PIXELS and images.dtype.kind + kind.kind in ("fu", "uf"))
    if not fits or (images.dtype.kind == "f" and bytes_[1] and not 0 <= low <= high <= 1):
        raise DataError(
            f"the training images are {kind}, the {what} images {images.dtype} from {low:g} to {high:g}: give both "
            "alike"
        )


def _clipped(images: Array) -> Array:
    return np.maximum(images, -127) if images.dtype == np.int8 else images


def _from_items(items: Any, what: str, kind: TaskKind | None, form: InputKind | None, decide: Decide | None) -> _Unread:
    images: list[Array] = []
    labels: list[Array] = []
    for index in range(len(items)):
        where = f"{what} item {place_of(items, index)}"
        try:
            item = items[index]
        except IndexError as error:
            raise DataError(f"{where} is missing from a Dataset that says it has {len(items)}: check it") from error
        if not index:
            items, (item,) = pairs_of(items, [item])
        image, label = pair_of(item, where)
        images.append(item_pixels(image, where, form, decide))
        check_finite(images[-1], f"the values of {where}")
        if images[-1].dtype != images[0].dtype:
            raise DataError(f"{where} is {images[-1].dtype}, the first is {images[0].dtype}: bring them to one dtype")
        if not _alike(images[-1], images[0]):
            found, first = list(images[-1].shape), list(images[0].shape)
            raise DataError(f"{where} is {found}, the first is {first}: bring them to one shape")
        labels.append(item_label(label, kind, where))
        if images[-1].ndim == 4:
            refuse_labels_of_steps(len(images[-1]), labels[-1].shape, kind, where)
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
    known = read_labels(np.stack(labels), kind, f"{what} labels")[1]
    if images[0].ndim == 3:
        return _Unread(np.stack(images), known)
    if empty := [place for place, sequence in enumerate(images) if not len(sequence)]:
        raise DataError(f"{what} item {place_of(items, empty[0])} has no frames: leave it out, or give it one")
    found_images, lengths = padded_sequences(images)
    return _Unread(found_images, known, lengths)


def _alike(image: Array, first: Array) -> bool:
    """Whether both have one shape, sequences but for their number of frames."""
    return image.ndim == first.ndim and image.shape[-3:] == first.shape[-3:]


def _labels(labels: object, what: str, kind: TaskKind | None) -> Array:
    where = f"{what} labels"
    return read_labels(as_numbers(labels, where), kind, where)[1]


def _refuse_archive(member: object, what: str) -> None:
    """Refuse what ``numpy.load`` gives of an .npz file, in place of its arrays."""
    for part in (member, *(member[:2] if isinstance(member, (tuple, list)) else ())):
        if isinstance(part, np.lib.npyio.NpzFile):
            names = ", ".join(part.files[:4]) or "nothing"
            raise DataError(f"{what} data are an .npz file, which holds {names}: give a pair of its arrays")


def _is_array(value: object) -> bool:
    return hasattr(value, "ndim") and hasattr(value, "dtype")
