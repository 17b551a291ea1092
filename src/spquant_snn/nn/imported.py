"""A network that was trained elsewhere, in layers of this package."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn

from .instant import each_step


class ImportedSNN(nn.Module):
    """What an importer gives: layers of torch and this package with the parameters of the user's network, under the
    same paths, and the calls of one time step. ``prepare`` takes it.

    Args:
        layers: by path.
        graph: the calls of one time step.
        timesteps: for which the user's network shows an input; None: a sequence brings its own.
        static_input: whether it shows one still input at all of them.
        over_time: what the user's network returns of each output: "all" steps, their "sum", "mean", "largest", "last".

    Shape:
        inputs [T, N, ...], time first; outputs the same, of each step: spikes, or potentials. State starts at zero.
    """

    def __init__(
        self,
        layers: dict[str, nn.Module | nn.Parameter],
        graph: fx.Graph,
        timesteps: int | None,
        static_input: bool,
        over_time: tuple[str, ...],
    ) -> None:
        super().__init__()
        for path, layer in layers.items():
            owner, _, name = path.rpartition(".")
            parent: nn.Module = self
            for part in owner.split(".") if owner else ():
                if part not in parent._modules:
                    parent.add_module(part, nn.Module())
                parent = parent.get_submodule(part)
            if isinstance(layer, nn.Parameter):
                parent.register_parameter(name, layer)
            else:
                parent.add_module(name, layer)
        self.graph, self.timesteps, self.static_input, self.over_time = graph, timesteps, static_input, over_time

    def instant(self, x: Tensor, x1: Tensor | None = None, x2: Tensor | None = None, x3: Tensor | None = None) -> Any:
        """One time step, in a graph: how ``prepare`` reads it."""
        inputs = [each for each in (x, x1, x2, x3) if each is not None]
        return fx.Interpreter(self, garbage_collect_values=False, graph=self.graph).run(*inputs)

    def forward(self, *inputs: Tensor) -> Any:
        return _stacked(list(each_step(self, *inputs)))

    def answer(self, *inputs: Tensor) -> Any:
        """What the user's network returns for the same inputs, [T, N, ...]: outputs as it makes them of all steps."""
        said = self.forward(*inputs)
        listed = said if isinstance(said, tuple) else (said,)
        found = tuple(_over_time(part, how) for part, how in zip(listed, self.over_time, strict=True))
        return found if isinstance(said, tuple) else found[0]

    def extra_repr(self) -> str:
        return f"timesteps={self.timesteps}, over_time={self.over_time}"


def _stacked(steps: list[Any]) -> Any:
    if isinstance(steps[0], Tensor):
        return torch.stack(steps)
    return tuple(_stacked(list(part)) for part in zip(*steps, strict=True))


def _over_time(said: Tensor, how: str) -> Tensor:
    if how == "sum":
        return said.sum(0)
    if how == "mean":
        return said.mean(0)
    if how == "largest":
        return said.amax(0)
    return said[-1] if how == "last" else said
