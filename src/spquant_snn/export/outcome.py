"""What became of images on a board, as data, as JSON and as a table."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

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

    @property
    def bound(self) -> int | None:
        """Instructions that no inference, or no step of a sequence, exceeds; None where that is not known."""
        bounds = [layer.bound for layer in self.layers]
        return sum(bound for bound in bounds if bound is not None) if bounds and None not in bounds else None

    @property
    def what(self) -> str:
        """What was run, in a word."""
        return "images" if self.steps is None else "recordings"

    @property
    def accuracy(self) -> float | None:
        """In percent; None without labels."""
        return None if self.correct is None else 100 * self.correct / self.images


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    """An outcome as plain data."""
    return {**asdict(outcome), "accuracy": outcome.accuracy, "bound": outcome.bound}


def outcome_table(outcome: Outcome) -> Table:
    """An outcome to be read."""
    shown = Table(title=f"{outcome.board}, emulated by {outcome.emulator}, built with {outcome.compiler}")
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
        *_predicted(outcome),
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
    mean = outcome.instructions / outcome.steps
    return [("instructions per step", f"{mean:,.0f}, from {outcome.least:,} to {outcome.most:,}")]


def _predicted(outcome: Outcome) -> list[tuple[str, str]]:
    if outcome.predicted is not None:
        beside = (
            "" if outcome.instructions is None else f" ({100 * (outcome.predicted / outcome.instructions - 1):+.1f} %)"
        )
        return [("instructions predicted", f"{outcome.predicted:,.0f}{beside}")]
    return [] if outcome.unpredicted is None else [("instructions predicted", f"none: {outcome.unpredicted}")]
