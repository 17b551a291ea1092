"""What became of images on a board, as data, as JSON and as tables."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Any

from rich.table import Table

from ..errors import ConfigError
from ..io.texts import short
from .layer_costs import LayerCost


@dataclass(frozen=True)
class Outcome:
    """What a board made of some images.

    Args:
        images, correct, equal: how many were run, told right (None without labels), and have the logits of the
            reference.
        instructions, loads, stores: of an inference, on average; None where they were not counted.
        flash: bytes of constants and code, with what reads the images.
        ram: bytes of static memory, with one image, and of the stack.
        stack: bytes at its deepest, with what calls the network.
        stack_bound: bytes that the network's functions cannot exceed; None where the compiler does not tell.
        predicted: instructions of an inference, on average, as a ledger expects them; None where it does not.
        unpredicted: why not; None where nobody asked.
        steps: frames of each sequence; None of images, which are run as wholes.
        least, most: instructions of the shortest and of the longest inference, or step of a sequence; None where they
            were not counted.
        layers: what each layer and readout costs, and last what is around them; empty where they were not told apart.
        taken: time steps that an image took, in the mean, where each stopped when it was decided; None where all were
            taken.
    """

    board: str
    emulator: str
    compiler: str
    images: int
    correct: int | None
    equal: int
    instructions: float | None
    loads: float | None
    stores: float | None
    flash: int
    ram: int
    stack: int
    stack_bound: int | None
    predicted: float | None = None
    unpredicted: str | None = None
    steps: int | None = None
    least: int | None = None
    most: int | None = None
    layers: tuple[LayerCost, ...] = ()
    taken: float | None = None

    @property
    def bound(self) -> int | None:
        """Instructions that no inference, or no step of a sequence, exceeds; None where that is not known."""
        bounds = [layer.bound for layer in self.layers]
        return sum(bound for bound in bounds if bound is not None) if bounds and None not in bounds else None

    @property
    def each(self) -> float | None:
        """Instructions of an inference, or of a step of a sequence, in the mean; None where none were counted."""
        return None if self.instructions is None else self.instructions / (self.steps or 1)

    @property
    def what(self) -> str:
        """What was run, in a word."""
        return "images" if self.steps is None else "recordings"

    @property
    def accuracy(self) -> float | None:
        """In percent; None without labels."""
        return None if self.correct is None else 100 * self.correct / self.images


@dataclass(frozen=True)
class ClockRate:
    """How fast a processor is. An emulator does not say it: it counts instructions, not cycles.

    Args:
        hertz: cycles a second.
        least, most: cycles of an instruction, in the mean of a program; with its memories and what waits for them.
    """

    hertz: float
    least: float
    most: float

    @classmethod
    def of(cls, clock: str | None, cycles: Sequence[float] | None) -> ClockRate | None:
        """Of a rate as 48MHz and of one or two numbers of cycles; None where neither is given.

        Raises:
            ConfigError: only one is given, or one is none.
        """
        if clock is None and cycles is None:
            return None
        if clock is None or cycles is None:
            raise ConfigError(
                "a time takes both --clock and --cycles-per-instruction, for emulators count instructions, not cycles: "
                "add the other one, as in --clock 48MHz --cycles-per-instruction 1.0 1.8"
            )
        found = _RATE.fullmatch(clock.strip())
        if found is None or not float(found[1]) > 0:
            raise ConfigError(f"--clock takes a rate as 48MHz, not {short(clock)}")
        if len(cycles) not in (1, 2) or not 0 < cycles[0] <= cycles[-1] < _MOST_CYCLES:
            raise ConfigError(
                f"--cycles-per-instruction takes the least and the most, as 1.0 1.8, not {' '.join(map(str, cycles))}"
            )
        return cls(float(found[1]) * _UNITS[found[2].lower()], cycles[0], cycles[-1])

    def seconds(self, instructions: float) -> tuple[float, float]:
        """The least and the most that they take."""
        return instructions * self.least / self.hertz, instructions * self.most / self.hertz

    def wording(self, instructions: float) -> str:
        """The same in words."""
        least, most = (f"{1000 * each:,.3g}" for each in self.seconds(instructions))
        return f"{least} ms" if least == most else f"{least} to {most} ms"


_RATE = re.compile(r"(\d+(?:\.\d+)?) ?(k|m|g|)hz", re.IGNORECASE)
_UNITS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}
_MOST_CYCLES = 1000.0


def outcome_json(outcome: Outcome, clock: ClockRate | None = None) -> dict[str, Any]:
    """An outcome as plain data; with a clock, also the least and the most seconds of the mean and of the bound."""
    found = {**asdict(outcome), "accuracy": outcome.accuracy, "bound": outcome.bound}
    if clock is None or outcome.each is None:
        return found
    times = {"mean": clock.seconds(outcome.each), "bound": outcome.bound and clock.seconds(outcome.bound)}
    return {**found, "clock": asdict(clock), "seconds": times}


def outcome_table(outcome: Outcome, clock: ClockRate | None = None) -> Table:
    """An outcome to be read; with a clock, what it takes of time."""
    title = f"{outcome.board}, emulated by {outcome.emulator}, built with {outcome.compiler}"
    counts = None if outcome.instructions is None else "An emulator counts instructions, not cycles."
    shown = Table(title=title, caption=counts)
    shown.add_column("what")
    shown.add_column("found", justify="right")
    bound = "" if outcome.stack_bound is None else f" (never more than {outcome.stack_bound:,} of the network)"
    rows = (
        *(
            []
            if outcome.accuracy is None
            else [("accuracy", f"{outcome.accuracy:.2f} % of {outcome.images:,} {outcome.what}")]
        ),
        (
            "equal to the reference",
            f"{outcome.equal:,} of {outcome.images:,}{', behind every frame' if outcome.steps else ''}",
        ),
        *([] if outcome.taken is None else [("time steps until decided", f"{outcome.taken:.2f}")]),
        *(
            (f"{name} per inference", f"{count:,.0f}")
            for name, count in (
                ("instructions", outcome.instructions),
                ("loads", outcome.loads),
                ("stores", outcome.stores),
            )
            if count is not None
        ),
        *_each(outcome),
        *_bound(outcome),
        *_predicted(outcome),
        *_times(outcome, clock),
        ("flash", f"{outcome.flash:,} bytes"),
        ("RAM, stack included", f"{outcome.ram:,} bytes"),
        ("stack", f"{outcome.stack:,} bytes{bound}"),
    )
    for row in rows:
        shown.add_row(*row)
    return shown


def _each(outcome: Outcome) -> list[tuple[str, str]]:
    """How far the instructions of one inference, or of one step of a sequence, lie apart."""
    if outcome.instructions is None or outcome.least is None or outcome.most is None:
        return []
    if outcome.steps is None:
        return [("of them, least to most", f"{outcome.least:,} to {outcome.most:,}")]
    return [("instructions per step", f"{outcome.each:,.0f}, from {outcome.least:,} to {outcome.most:,}")]


def _bound(outcome: Outcome) -> list[tuple[str, str]]:
    """What no input exceeds."""
    if outcome.bound is None:
        return []
    return [(f"never more, of any {'image' if outcome.steps is None else 'step'}", f"{outcome.bound:,}")]


def _times(outcome: Outcome, clock: ClockRate | None) -> list[tuple[str, str]]:
    if clock is None or outcome.each is None:
        return []
    cycles = f"{clock.least:g}" if clock.least == clock.most else f"{clock.least:g} to {clock.most:g}"
    named = f"time {'per inference' if outcome.steps is None else 'per step'} at {clock.hertz / 1e6:g} MHz"
    return [
        (f"{named}, {cycles} cycles an instruction", clock.wording(outcome.each)),
        *([] if outcome.bound is None else [("never more", clock.wording(outcome.bound))]),
    ]


def layers_table(outcome: Outcome) -> Table:
    """What each layer of an outcome costs."""
    of = "an inference" if outcome.steps is None else "a step"
    loose = 'Without scipy, all neurons are taken to fire: pip install "spquant-snn[mcu]" for lower bounds.'
    bounded = any(layer.bound is not None for layer in outcome.layers)
    caption = loose if bounded and find_spec("scipy") is None else None
    shown = Table(title=f"Instructions of {of}, layer by layer", caption=caption)
    for column in ("layer", "mean", "share", *(["never more"] if bounded else [])):
        shown.add_column(column, justify="left" if column == "layer" else "right")
    whole = sum(layer.mean for layer in outcome.layers) or 1.0
    for layer in outcome.layers:
        bounds = ["" if layer.bound is None else f"{layer.bound:,}"] if bounded else []
        shown.add_row(layer.name or "the rest", f"{layer.mean:,.0f}", f"{100 * layer.mean / whole:.1f} %", *bounds)
    return shown


def _predicted(outcome: Outcome) -> list[tuple[str, str]]:
    if outcome.predicted is None:
        return []
    beside = "" if outcome.instructions is None else f" ({100 * (outcome.predicted / outcome.instructions - 1):+.1f} %)"
    return [("instructions predicted", f"{outcome.predicted:,.0f}{beside}")]
