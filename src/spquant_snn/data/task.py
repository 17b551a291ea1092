"""What is learned: the class of an image, labels of which several may be true, numbers, or a class for each pixel; and
labels of users, read as one of these or refused where they can be read in two ways."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from ..dtypes import Array, Float64
from ..errors import ConfigError, DataError
from ..io.fields import Fields
from ..io.reading import Flaw

TaskKind = Literal["classification", "multilabel", "regression", "segmentation"]
KINDS: tuple[TaskKind, ...] = get_args(TaskKind)

_LONGEST = 64  # characters of a name
_MOST = 1 << 20  # outputs
_FORMS = {
    "classification": "one class index per image, whole numbers [N]",
    "multilabel": "0 or 1 for each label of an image, [N, K]",
    "regression": "numbers [N], [N, K] or maps [N, K, H, W]",
    "segmentation": "a class index for each pixel, whole numbers [N, H, W], -1 where none counts",
}


@dataclass(frozen=True)
class Task:
    """What a network is trained to say.

    Args:
        kind: the class of each image ("classification"), labels of which each may be true ("multilabel"), numbers
            ("regression"), or a class for each pixel ("segmentation").
        outputs: how many classes, labels or numbers.
        names: of the outputs, in words; none, or one for each.
        unit: of the numbers of a regression, such as "m/s".

    Raises:
        ConfigError: there is no such task.

    Example:
        >>> Task("regression", 1, ("distance",), "m").unit
        'm'
    """

    kind: TaskKind
    outputs: int
    names: tuple[str, ...] = ()
    unit: str = ""

    def __post_init__(self) -> None:
        check_kind(self.kind)
        if isinstance(self.outputs, bool) or not isinstance(self.outputs, int) or self.outputs < 1:
            raise ConfigError(f"the outputs of a task must be a whole number above zero, not {self.outputs!r}")
        object.__setattr__(self, "names", tuple(self.names))
        if self.names and len(self.names) != self.outputs:
            raise ConfigError(f"the task has {self.outputs} outputs and {len(self.names)} names: give one for each")
        for text in (*self.names, *((self.unit,) if self.unit else ())):
            if not is_name(text):
                raise ConfigError(
                    f"names and units must be lines of 1 to {_LONGEST} printable characters, not {text!r:.80}"
                )
        if self.unit and self.kind != "regression":
            raise ConfigError(f"a unit is of numbers, and the task is {self.kind}: leave it out")

    def name_of(self, output: int) -> str:
        """What an output is called, with its kind and number where it has no name."""
        if output < len(self.names):
            return self.names[output]
        kinds = {"multilabel": "label", "regression": "number"}
        return f"{kinds.get(self.kind, 'class')} {output}"


@dataclass(frozen=True)
class OutputFormat:
    """What the answers of a network stand for.

    A network is trained on numbers whose mean is zero and whose deviation is one, so that it learns in any unit alike.
    What it says is a label's unit again as ``answer * gain + offset``: the same integers, worth something else. An
    offset of its own, since no bias that is added at every step is one offset of what leaks, or of a largest value.

    Args:
        task: what was trained.
        gains, offsets: of each output; none: 1 and 0.

    Raises:
        ConfigError: they are not finite, or not as many as outputs.
    """

    task: Task
    gains: tuple[float, ...] = ()
    offsets: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name, row in (("gains", self.gains), ("offsets", self.offsets)):
            if row and len(row) != self.task.outputs:
                raise ConfigError(f"the task has {self.task.outputs} outputs and {len(row)} {name}: give one for each")
        if not all(0 < gain < math.inf for gain in self.gains) or not all(map(math.isfinite, self.offsets)):
            raise ConfigError("gains must be finite numbers above zero, offsets finite numbers")

    def in_units(self, values: Array, axis: int = 1) -> Float64:
        """What is said, outputs along an axis, in the unit of the labels."""
        found: Float64 = values.astype(np.float64, copy=False)
        shape = [-1 if i == axis else 1 for i in range(values.ndim)]
        if self.gains:
            found = found * np.array(self.gains).reshape(shape)
        return found + np.array(self.offsets).reshape(shape) if self.offsets else found


def read_format(fields: Fields) -> OutputFormat:
    """What ``dataclasses.asdict`` made of a format.

    Raises:
        Flaw: it is damaged.
    """
    inner = fields.inner("task")
    found, outputs = inner.choice("kind", KINDS), inner.integer("outputs", 1, _MOST)
    names, unit = inner.texts("names", _MOST, _LONGEST), inner.text("unit", _LONGEST, least=0)
    gains, offsets = (tuple(fields.numbers(name, _MOST)) for name in ("gains", "offsets"))
    kind: TaskKind = next(each for each in KINDS if each == found)
    try:
        return OutputFormat(Task(kind, outputs, tuple(names), unit), gains, offsets)
    except ConfigError as error:
        raise Flaw(str(error)) from error


def standardised(task: Task, labels: Array) -> OutputFormat:
    """The format of a network that is trained on labels whose mean is zero and deviation one; other labels than numbers
    are trained as they are."""
    if task.kind != "regression":
        return OutputFormat(task)
    axes = (0, *range(2, labels.ndim))
    wide = labels.astype(np.float64)
    spread = wide.std(axes)
    gains = np.where(spread > 1e-12 * np.abs(wide).max(axes), spread, 1.0)  # of what is always the same
    return OutputFormat(task, tuple(gains.tolist()), tuple(wide.mean(axes).tolist()))


def is_name(text: object) -> bool:
    """Whether it can name an output."""
    return isinstance(text, str) and 0 < len(text) <= _LONGEST and text.isprintable()


def check_kind(kind: object) -> None:
    """Raise ConfigError unless there is a task of that kind."""
    if kind not in KINDS:
        raise ConfigError(f"task must be one of {', '.join(KINDS)}, or a Task, not {kind!r:.80}")


def read_labels(values: Array, kind: TaskKind | None, where: str) -> tuple[TaskKind, Array]:
    """Labels of any numbers as those of a task.

    Args:
        values: [N, ...] of booleans, whole numbers or floating-point ones.
        kind: of the task; None where the labels are to say it.
        where: what messages call them, in the plural.

    Returns:
        The kind of task, and its labels: int64 [N]; float32 [N, K] of 0 and 1; float32 [N, K] or [N, K, H, W]; int64
        [N, H, W], -1 where a pixel does not count.

    Raises:
        DataError: they can be read in two ways, or are not labels of this task.
    """
    if kind is None:
        kind = _kind_of(values, where)
    whole = values.dtype.kind in "ui"
    if kind == "classification":
        _need(whole and values.ndim == 1, values, kind, where)
    elif kind == "segmentation":
        _need(whole and values.ndim == 3, values, kind, where)
    elif kind == "multilabel":
        _need(values.ndim == 2 and bool(((values == 0) | (values == 1)).all()), values, kind, where)
    else:
        _need(values.ndim in (1, 2, 4), values, kind, where)
        values = values[:, None] if values.ndim == 1 else values
    if kind in ("classification", "segmentation"):
        _check_whole(values, kind, where)
        return kind, np.ascontiguousarray(values, np.int64)
    if not bool(np.isfinite(values).all()):
        raise DataError(f"{where} hold numbers that are not finite: leave these items out, or put numbers there")
    with np.errstate(over="ignore"):
        found = np.ascontiguousarray(values, np.float32)
    if not bool(np.isfinite(found).all()):
        raise DataError(f"{where} hold numbers that float32 does not: give them in a larger unit")
    return kind, found


def refuse_labels_of_steps(frames: int, shape: tuple[int, ...], kind: TaskKind | None, where: str) -> None:
    """Refuse a label of each step of a sequence, where nobody says that it is one of the whole.

    Args:
        frames: of the sequence.
        shape: of its label.
        kind: of the task; None where the labels are to say it.

    Raises:
        DataError: there are as many.
    """
    if frames < 2 or not shape or shape[0] != frames or kind in ("multilabel", "regression"):
        return
    whole = f'; if these are {frames} numbers of the whole, say task="regression"' if len(shape) == 1 else ""
    raise DataError(
        f"{where} has a label for each of its {frames} frames, and one is learned of a sequence: give windows of it "
        f'with the label of each, or its last label, with loss="tet" to have every step answer{whole}'
    )


def outputs_of(kind: TaskKind, *labels: Array) -> int:
    """How many classes, labels or numbers there are at least in the labels of a task."""
    if kind in ("classification", "segmentation"):
        return 1 + max(0, *(int(each.max()) for each in labels))
    return int(labels[0].shape[1])


def check_labels(labels: Array, where: str) -> None:
    """Refuse an array that holds labels of no task, as ``read_labels`` returns them.

    Raises:
        DataError: the dtype, the shape or a value is another.
    """
    found = f"{labels.dtype} {list(labels.shape)}"
    if labels.dtype == np.int64 and labels.ndim in (1, 3):
        lowest, least = int(labels.min(initial=0)), 0 if labels.ndim == 1 else -1
        if lowest < least:
            but = "" if labels.ndim == 1 else ", or -1 where a pixel does not count"
            raise DataError(f"{where} must be {least} or more, found {lowest}: number the classes from 0{but}")
    elif labels.dtype == np.float32 and labels.ndim in (2, 4):
        if not bool(np.isfinite(labels).all()):
            raise DataError(f"{where} hold numbers that are not finite: leave these items out, or put numbers there")
    else:
        raise DataError(
            f"{where} must be int64 [N] or [N, H, W] of classes, or float32 [N, K] or [N, K, H, W] of numbers, not "
            f"{found}: give one class index per image, or convert them first"
        )


def check_fits(task: Task, labels: Array, where: str) -> None:
    """Refuse labels of another task, or of other outputs.

    Raises:
        DataError: they are; the message begins with ``where``.
    """
    forms = {"classification": ("i", (1,)), "segmentation": ("i", (3,)), "multilabel": ("f", (2,))}
    kind, axes = forms.get(task.kind, ("f", (2, 4)))
    if labels.dtype.kind != kind or labels.ndim not in axes:
        raise DataError(f"{where} are {labels.dtype} {list(labels.shape)}: for {task.kind}, give {_FORMS[task.kind]}")
    if kind == "i":
        if (highest := int(labels.max())) >= task.outputs:
            raise DataError(f"{where} must be 0 to {task.outputs - 1}, found {highest}: number the classes from 0")
    elif labels.shape[1] != task.outputs:
        raise DataError(f"{where} have {labels.shape[1]} columns, the task {task.outputs} outputs: give one for each")
    if task.kind == "multilabel" and not bool(((labels == 0) | (labels == 1)).all()):
        raise DataError(f"{where} hold other numbers than 0 and 1: give {_FORMS[task.kind]}")


def _kind_of(values: Array, where: str) -> TaskKind:
    """The task that labels say by themselves."""
    found = f"{where} are {values.dtype} {list(values.shape)}"
    whole, floating = values.dtype.kind in "ui", values.dtype.kind == "f"
    if whole and values.ndim in (1, 3):
        return "classification" if values.ndim == 1 else "segmentation"
    if values.ndim == 1 and floating and bool(((values >= 0) & (values == np.floor(values))).all()):
        raise DataError(
            f"{found}, all of them whole numbers: for classes give them as integers (labels.astype('int64'), "
            'labels.long()), for numbers say task="regression"'
        )
    if values.ndim == 2 and bool(((values == 0) | (values == 1)).all()):
        one = ", or labels.argmax(1) for classes" if bool((values.sum(1) == 1).all()) else ""
        raise DataError(
            f'{found} of 0 and 1: say task="multilabel" for labels of which each may be true, task="regression" for '
            f"numbers{one}"
        )
    if floating and values.ndim in (1, 2, 4):
        return "regression"
    if whole and values.ndim in (2, 4):
        raise DataError(f'{found}: say task="regression" if they are numbers, or give classes [N], of pixels [N, H, W]')
    raise DataError(f"{found}: give {'; '.join(f'for {kind}, {form}' for kind, form in _FORMS.items())}")


def _need(right: bool, values: Array, kind: TaskKind, where: str) -> None:
    if not right:
        found = f"{values.dtype.name} {list(values.shape)}"
        raise DataError(f"{where} are {found}: for {kind}, give {_FORMS[kind]}")


def _check_whole(values: Array, kind: TaskKind, where: str) -> None:
    """Refuse classes that int64 does not hold, or below the first."""
    if values.size and (int(values.min()) < (0 if kind == "classification" else -1) or int(values.max()) >= 1 << 63):
        wrong = int(values.max()) if int(values.max()) >= 1 << 63 else int(values.min())
        raise DataError(f"{where} hold {wrong}: number the classes from 0")
