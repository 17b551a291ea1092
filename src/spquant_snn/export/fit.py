"""Firmware that fits: the fastest form of a network whose program takes no more flash and RAM than there are."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

from ..errors import ConfigError, ModelError
from ..integer.graph import Graph
from ..io.texts import short
from .boards import KIB, Board
from .compact.code_rows import Load
from .compact.compact_plan import CompactPlan, plan_compact
from .compact.planned_rows import Bodies, CompactForm, Unsuited
from .program_size import size_of_files

Files = Mapping[str, bytes]
Limit = int | Literal["smallest"]  # of a memory
Memory = Literal["RAM", "flash"]
_CODE = {
    False: 5 * KIB,
    True: 5 * KIB - 256,
}  # of the compact form, where no compiler is there to tell; and if it is tight
_STACK = 640
_LEAST_CODE = 3 * KIB  # which no form goes below
_LOADS: tuple[Load, ...] = ("bytes", "fives")
# How many bodies of code, whether compiled for few bytes, and whether on planes, the fastest first.
_BODIES: tuple[tuple[Bodies, bool, bool], ...] = (
    ("each", False, True),
    ("planes", False, True),
    ("each", False, False),
    ("each", True, True),
    ("planes", True, True),
    ("each", True, False),
    ("one", False, False),
    ("one", True, False),
)
_LARGE = 64 * 1024 * KIB
_LENGTHS = 128  # bytes of flash by which forms do not differ that differ in the length of lists alone
_ABOUT = 32  # bytes that a plan may take more than the least, before it is built


@dataclass(frozen=True)
class Limits:
    """What a program may take, with its stack, its input and all that is around the network.

    Args:
        ram, flash: bytes; None: any.
        board: that it is measured for.
        least: the memory of which the form that takes the least is wanted, however slow; None: the fastest form.
    """

    ram: int | None
    flash: int | None
    board: Board
    least: Memory | None = None

    @classmethod
    def of(cls, ram: Limit | None, flash: Limit | None, board: Board) -> Limits:
        """Of numbers of bytes, or of "smallest" for one of the two.

        Raises:
            ConfigError: both are to be the smallest, or one is something else.
        """
        if ram == "smallest" and flash == "smallest":
            raise ConfigError("ram and flash are not both the smallest in one form: give a number of bytes for one")
        for name, size in (("ram", ram), ("flash", flash)):
            if isinstance(size, str) and size != "smallest":
                raise ConfigError(f"{name} is a number of bytes or smallest, not {short(size)}")
        least: Memory | None = "RAM" if ram == "smallest" else "flash" if flash == "smallest" else None
        numbers = [None if isinstance(size, str) else size for size in (ram, flash)]
        return cls(numbers[0], numbers[1], board, least)

    def __post_init__(self) -> None:
        for name, size in (("ram", self.ram), ("flash", self.flash)):
            if size is not None and size < 1:
                raise ConfigError(f"{name} is a number of bytes above zero, not {size}: 2048, for one")

    def lack(self, size: Size) -> str | None:
        """What is missing, by how much; None where it fits."""
        missing = [
            f"{need - limit:,} bytes of {name} more than the {limit:,} there are"
            for name, need, limit in (("flash", size.flash, self.flash), ("RAM", size.ram, self.ram))
            if limit is not None and need > limit
        ]
        return " and ".join(missing) or None


@dataclass(frozen=True)
class Size:
    """Bytes of a program: of flash, and of RAM with the deepest stack; whether a compiler has told."""

    flash: int
    ram: int
    measured: bool


@dataclass(frozen=True, eq=False)
class Fitted:
    """What was chosen.

    Args:
        files: sources and headers, by name.
        plan: of the compact form; None of the general one.
        small: the general form is the one for little flash.
        said: a line for each thing that was chosen.
    """

    files: Files
    plan: CompactPlan | None
    small: bool
    size: Size
    said: tuple[str, ...]


def fit(
    graph: Graph,
    limits: Limits,
    name: str,
    general: Callable[[bool], Files],
    compact: Callable[[CompactPlan], Files],
    frames: int | None = None,
) -> Fitted:
    """The fastest form within limits, or the smallest: the general one, for speed and for flash, and the compact one.

    Args:
        name: of the network in C.
        general: makes the files of the general form, rather for little flash or not.
        compact: makes those of the compact form.
        frames: of the sequences that it takes; None of still images.

    Raises:
        ModelError: none fits.
    """
    tried: list[tuple[Size, str, CompactPlan | None]] = []
    found: list[tuple[tuple[int, int], Fitted]] = []
    reason: Unsuited | None = None
    try:
        for fitted in _candidates(graph, limits, name, general, compact, frames):
            size = fitted.size
            lack = limits.lack(size)
            if lack is None and limits.least is None:
                return fitted
            if lack is None:
                both = size.ram, size.flash
                found.append((both if limits.least == "RAM" else both[::-1], fitted))
            else:
                tried.append((size, lack, fitted.plan))
    except Unsuited as error:
        reason = error
    if found:
        return min(found, key=lambda sized: sized[0])[1]  # of equals with the least of the other memory
    because = "" if reason is None else f"the compact form does not take this network, since {reason}"
    raise _refusal(graph, limits, tried, because) from reason


def _candidates(
    graph: Graph,
    limits: Limits,
    name: str,
    general: Callable[[bool], Files],
    compact: Callable[[CompactPlan], Files],
    frames: int | None,
) -> Iterator[Fitted]:
    """Forms with their sizes and what they are, the fastest first.

    Raises:
        Unsuited: behind the others, where there is no compact one.
    """
    for small in (False, True):
        if limits.board.small:
            continue  # the general form, which multiplies, is far too large
        files = general(small)
        found = _general_size(files, limits, name)
        if found is not None:
            how = "for little flash" if small else "for few instructions"
            yield Fitted(files, None, small, found, (f"the general form, {how}", _said(found)))
    if frames is not None:
        raise Unsuited(f"it takes sequences of {frames} frames, and that form still images alone")
    too_large = set[CompactForm]()
    for plan in _plans(graph, limits):
        alike = replace(plan.form, room=0)  # lists of other lengths take about the same flash
        if alike in too_large:
            continue
        files = compact(plan)
        size = compact_size(files, plan, limits.board, name)
        if limits.flash is not None and size.flash > limits.flash + _LENGTHS and size.ram <= (limits.ram or _LARGE):
            too_large.add(alike)
        yield Fitted(files, plan, False, size, (*_forms(plan), _said(size)))


def _plans(graph: Graph, limits: Limits) -> Iterator[CompactPlan]:
    """The compact forms, the fastest first, without those whose constants alone are too large, but for the last; where
    the least memory is asked for, those alone that plan about as little as any."""
    forms = [
        CompactForm(planes, folded, load, bodies, room, tight)
        for (bodies, tight, planes), folded, load, room in product(_BODIES, (True, False), _LOADS, (48, 24, 16))
    ]
    plans: Iterable[CompactPlan] = (plan_compact(graph, form) for form in forms)
    least = 0
    if limits.least is not None:
        plans = list(plans)
        least = min(_planned(plan, limits.least) for plan in plans) + _ABOUT
    seen: set[tuple[object, ...]] = set()
    for i, plan in enumerate(plans):
        key = (*(layer.said for layer in plan.layers), plan.list_size, _bodies(plan), plan.form.tight)
        fits = limits.flash is None or plan.constants + _LEAST_CODE < limits.flash
        fits = fits and (limits.ram is None or plan.rows_arena < limits.ram)
        fits = fits and (limits.least is None or _planned(plan, limits.least) <= least)
        if key not in seen and (fits or (i == len(forms) - 1 and limits.least is None)):
            seen.add(key)
            yield plan


def _planned(plan: CompactPlan, memory: Memory | None) -> int:
    return plan.rows_arena if memory == "RAM" else plan.constants


def compact_size(files: Files, plan: CompactPlan, board: Board, name: str) -> Size:
    """Bytes of a program in the compact form: measured where there is a compiler, else estimated."""
    if shutil.which(board.compilers[0]) is None:
        code = _CODE[plan.form.tight]
        row, answers = plan.shape[0] * plan.shape[2], 4 * len(plan.bias)
        return Size(plan.constants + code, plan.rows_arena + row + answers + _STACK, False)
    return _measured(files, board, name, "rows", "-Os" if plan.form.tight else "-O2")


def _general_size(files: Files, limits: Limits, name: str) -> Size | None:
    """None where no compiler is there to tell."""
    if shutil.which(limits.board.compilers[0]) is None:
        return None
    return _measured(files, limits.board, name, "stream", None)


def _measured(files: Files, board: Board, name: str, main: str, level: str | None) -> Size:
    found = size_of_files(files, board, main, name, level)
    return Size(found.flash, found.still + found.stack, True)


def _forms(plan: CompactPlan) -> tuple[str, ...]:
    bodies = {
        "each": "a body for each layer",
        "planes": "one body for all layers on planes of bits",
        "one": "one body for all layers",
    }
    how = bodies[_bodies(plan)] + (", compiled for few bytes" if plan.form.tight else "")
    return (f"the compact form, {how}", *(f"{layer.name}: {layer.said}" for layer in plan.layers))


def _bodies(plan: CompactPlan) -> Bodies:
    """How many there are: fewer than two layers on planes have one each."""
    several = sum(layer.shares for layer in plan.layers[1:]) > 1
    return "each" if plan.form.bodies == "planes" and not several else plan.form.bodies


def _said(size: Size) -> str:
    how = "as compiled" if size.measured else "estimated, for there is no compiler"
    return f"{size.flash:,} bytes of flash and {size.ram:,} of RAM with the stack, {how}"


def _refusal(
    graph: Graph, limits: Limits, tried: list[tuple[Size, str, CompactPlan | None]], reason: str
) -> ModelError:
    """What says how much is missing, of which layer, and what would help."""
    if not tried:
        where = f"is too large for {limits.board.name}" if limits.board.small else "needs a compiler to be measured"
        return ModelError(
            f"{reason}, and the general form {where}: leave out the limits, and take a board with more memory"
        )
    size, lack, plan = min(tried, key=lambda found: (max(0, found[0].ram - (limits.ram or _LARGE)), found[0].flash))
    largest = _largest(graph, plan, limits, size)
    because = f", and {reason}" if reason else ""
    return ModelError(f"the network does not fit: the smallest of its forms takes {lack}{because}; {largest}")


def _largest(graph: Graph, plan: CompactPlan | None, limits: Limits, size: Size) -> str:
    flash = limits.flash is not None and size.flash > limits.flash
    if plan is None:
        name = max(graph.connections, key=lambda c: c.codes.size * c.bits).name
        return f"layer {name!r} is the largest: give it fewer channels or bits, or take a board with more memory"
    if flash:
        layer = max(plan.layers, key=lambda found: sum(table.nbytes for table in found.tables.values()))
        took = sum(table.nbytes for table in layer.tables.values())
        excess = size.flash - int(limits.flash or 0)
        share = max(1, round(100 * (1 - excess / took))) if excess < took else 0
        helps = f"about {share} % of its weights would fit" if share else "no share of its weights would fit"
        return f"layer {layer.name!r} has {took:,} bytes of constants: {helps}, so give it fewer channels or bits"
    name, _, took = max(plan.regions, key=lambda region: region[2])
    what, helps = name, "give the layer fewer channels or time steps"
    if name == "scratch":
        layer = max(plan.layers, key=lambda found: found.scratch)
        what = f"sums of layer {layer.name!r} at work"
        if layer is plan.layers[0]:
            helps = "give the input shorter rows or fewer channels, or the layer a smaller kernel"
    return f"{what} take {took:,} bytes: {helps}"
