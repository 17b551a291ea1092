"""What a person sees of a training: a progress bar on a terminal and in a notebook, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ..data.scores import ACCURACY
from ..io.notebook import NotebookBar, in_notebook
from ..io.output import visible
from ..io.terminal import to_stdout
from .metrics import LayerActivity, Metrics


class Display:
    """One epoch after another on a console.

    Args:
        epochs: how many there are in all.
        console: where to; standard output by default.
        quiet: show nothing.
        to_go_on: a line for a person who stops it by Ctrl-C.
    """

    def __init__(
        self, epochs: int, console: Console | None = None, quiet: bool = False, to_go_on: str | None = None
    ) -> None:
        self.console = console or to_stdout(soft_wrap=True)
        self.console.quiet = self.console.quiet or quiet
        self.epochs, self.to_go_on = epochs, to_go_on
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._below: NotebookBar | None = None
        self._done = 0
        self._began = time.monotonic()

    def __enter__(self) -> Display:
        if self.console.is_terminal and not self.console.quiet:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(None),
                MofNCompleteColumn(),
                TimeRemainingColumn(compact=True),
            )
            self._bar = Progress(*columns, TextColumn("{task.fields[note]}"), console=self.console, transient=True)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        if self._below is not None:
            self._below.close()
        if kind is KeyboardInterrupt and self.to_go_on is not None:
            self.say(self.to_go_on)

    def say(self, line: str) -> None:
        """A line of its own."""
        self.console.print(escape(visible(line)))

    def begin(self, epoch: int, steps: int) -> None:
        """An epoch of ``steps`` steps begins."""
        self._began = time.monotonic()
        if self._below is None and in_notebook() and not self.console.quiet:
            self._below = NotebookBar(steps * (self.epochs - epoch), "training", moment=1.0)
        if self._bar is None:
            return
        if self._task is None:  # one bar for the whole training, so that the time left is that of the training
            self._task = self._bar.add_task("", total=steps * self.epochs, completed=steps * epoch, note="")
        self._bar.update(self._task, description=f"epoch {epoch + 1}/{self.epochs}")

    def step(self, loss: float, accuracy: float | None) -> None:
        """A step is done; the loss and, of classes, the accuracy in percent of the epoch so far."""
        note = f"loss {loss:.3f}" + ("" if accuracy is None else f"  {accuracy:.1f} %")
        self._done += 1
        if self._below is not None:
            self._below.report(self._done, f", {note}")
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, advance=1, note=note)

    def end(self, epoch: int, train_accuracy: float | None, validation: Metrics, best: bool) -> None:
        """An epoch is done: one line of at most 80 columns, and a warning for each layer in trouble."""
        count = f"epoch {epoch + 1:>{len(str(self.epochs))}}/{self.epochs}"
        metric, train = validation.metric, "" if train_accuracy is None else f"train {train_accuracy:4.1f}%  "
        named = "val" if metric is ACCURACY else f"val {metric.name}"
        score = f"{train}{named} {metric.shown(validation.score):>6}{'*' if best else ' '}"
        self.say(f"{count}  {score}  {_activity(validation.layers)}  {time.monotonic() - self._began:.0f} s")
        for layer in validation.layers:
            warning = layer.warning()
            if warning is not None:
                self.console.print(f"[yellow]warning:[/yellow] {escape(visible(warning))}")


def _activity(layers: tuple[LayerActivity, ...]) -> str:
    """Firing rate, saturated codes and dead neurons, each as the mean over the layers, in percent."""
    count = max(1, len(layers))
    rate, saturated, dead = (
        100 * sum(getattr(layer, name) for layer in layers) / count for name in ("rate", "saturated", "dead")
    )
    return f"rate {rate:4.1f}%  sat {saturated:2.0f}%  dead {dead:2.0f}%"
