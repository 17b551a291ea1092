"""Spikes that shortcuts take later in a forward pass."""

from __future__ import annotations

from torch import Tensor

from .stage import Stage


class ShortcutSpikes:
    """Spikes that shortcuts take later, kept until the last of them has."""

    def __init__(self, stages: list[Stage]) -> None:
        self._last = {stage.shortcut.source: stage for stage in stages if stage.shortcut is not None}
        self._kept: dict[int, Tensor] = {}

    def keep(self, index: int, spikes: Tensor) -> None:
        """Those of a layer, [T, N, ...]."""
        if index in self._last:
            self._kept[index] = spikes.flatten(0, 1)

    def of(self, stage: Stage) -> Tensor | None:
        """[T * N, ...] those that the shortcut of a stage takes; None where it has none."""
        if stage.shortcut is None:
            return None
        last = self._last[stage.shortcut.source] is stage
        return self._kept.pop(stage.shortcut.source) if last else self._kept[stage.shortcut.source]
