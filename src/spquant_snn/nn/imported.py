"""A network that was trained elsewhere, in layers of this package."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn

from ..errors import DataError
from ..io.texts import counted
from .instant import each_step

_OWN = ("graph", "timesteps", "static_input", "over_time", "input_shapes", "instant", "answer")


def free_path(path: str) -> str:
    """The path under which ``ImportedSNN`` has a user's layer: the user's, unless its first name is an attribute."""
    first, dot, rest = path.partition(".")
    return f"{first}_layer{dot}{rest}" if first in _OWN else path


class ImportedSNN(nn.Module):
    """A network that was trained with another package: layers of torch and of this package, with the user's parameters
    under the user's paths, and the traced calls of one time step. ``prepare`` takes it.

    Args:
        layers: by path.
        graph: the calls of one time step.
        timesteps: for which the user's network shows an input; None: a sequence brings its own.
        static_input: whether it shows one still input at all of them.
        over_time: what the user's network returns of each output: "all" steps, their "sum", "mean", "largest", "last".
        input_shapes: of one element of the batch at one step, of each input; none where they are not known.

    Shape:
        inputs [T, N, ...], time first, or still ones [N, ...], which are shown for ``timesteps``; outputs [T, N, ...],
        of each step: spikes, or potentials. State starts at zero.

    Raises:
        DataError: in a call, an input has another shape, or one that is still where no number of steps is known.
    """

    def __init__(
        self,
        layers: dict[str, nn.Module | nn.Parameter],
        graph: fx.Graph,
        timesteps: int | None,
        static_input: bool,
        over_time: tuple[str, ...],
        input_shapes: tuple[tuple[int, ...], ...] = (),
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
        self.input_shapes = input_shapes

    def instant(self, x: Tensor, x1: Tensor | None = None, x2: Tensor | None = None, x3: Tensor | None = None) -> Any:
        """One time step, in a graph: how ``prepare`` reads it."""
        inputs = [each for each in (x, x1, x2, x3) if each is not None]
        calls = fx.Interpreter(self, garbage_collect_values=False, graph=self.graph)
        calls.extra_traceback = False  # it would be added to the sentences of our errors
        return calls.run(*inputs)

    def forward(self, *inputs: Tensor, timesteps: int | None = None) -> Any:
        return _stacked(list(each_step(self, *self._in_steps(inputs, timesteps))))

    def answer(self, *inputs: Tensor, timesteps: int | None = None) -> Any:
        """What the user's network returns for the same inputs: outputs as it makes them of all steps.

        Args:
            inputs: sequences [T, N, ...], or still ones [N, ...].
            timesteps: for which still ones are shown; those of the user's network by default.

        Raises:
            DataError: as the call.
        """
        said = self.forward(*inputs, timesteps=timesteps)
        listed = said if isinstance(said, tuple) else (said,)
        found = tuple(_over_time(part, how) for part, how in zip(listed, self.over_time, strict=True))
        return found if isinstance(said, tuple) else found[0]

    def _in_steps(self, inputs: tuple[Tensor, ...], timesteps: int | None) -> list[Tensor]:
        """Inputs with time first. Without known shapes they are sequences, or still where ``timesteps`` is given."""
        lead = 2 if timesteps is None else 1
        shapes = self.input_shapes or tuple(
            tuple(x.shape[lead:]) if x.dim() > 2 else tuple(x.shape[1:]) for x in inputs
        )
        if len(inputs) != len(shapes):
            raise DataError(f"the network takes {counted(len(shapes), 'input')}, not {len(inputs)}")
        steps = timesteps if timesteps is not None or not self.static_input else self.timesteps
        return [_with_time(x, shape, steps, timesteps) for x, shape in zip(inputs, shapes, strict=True)]

    def extra_repr(self) -> str:
        return f"timesteps={self.timesteps}, over_time={self.over_time}"


def _with_time(x: Tensor, shape: tuple[int, ...], steps: int | None, asked: int | None) -> Tensor:
    """An input of elements of a shape as [T, N, ...]; one that is still is shown for so many steps.

    Args:
        asked: steps that the caller gave.
    """
    one, found = ", ".join(map(str, shape)), list(x.shape)
    lead = x.dim() - len(shape)
    if lead not in (1, 2) or tuple(x.shape[lead:]) != shape:
        raise DataError(
            f"the network takes sequences [T, N, {one}] or, shown for timesteps, still inputs [N, {one}], not {found}"
        )
    if lead == 2:
        if asked not in (None, len(x)):
            raise DataError(f"the sequences have {len(x)} steps, and timesteps={asked} is of still inputs")
        return x
    if steps is None:
        raise DataError(
            f"{found} is either {len(x)} still inputs [N, {one}], and how long they are shown is not known: give "
            f"timesteps=; or a sequence of {len(x)} steps without a batch: give [T, 1, {one}]"
        )
    return x.expand(steps, *x.shape)


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
