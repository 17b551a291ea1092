"""A network in stages, run over time: in training form, or, once frozen, as the integer model."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from ..errors import DataError, ModelError
from ..nn.fused_layer import EXACT
from ..nn.lif import LIF
from ..nn.recurrence import Skip
from .finite_check import check_finite
from .freeze import (
    Folded,
    IntegerRecurrence,
    fold_readout,
    fold_stage,
    integer_unroll,
    main_sums,
    stage_sums,
    uncompiled,
)
from .quant_config import QuantConfig
from .recompute import recomputed
from .shortcut import ShortcutSpikes, check_shape
from .stage import Stage
from .synapse import Synapse

Probe = Callable[[str, Tensor, Tensor], None]
Watch = Callable[[int, Tensor], None]


class SpikingNetwork(nn.Module):
    """What ``prepare`` returns: a network over images or sequences of frames.

    Args:
        stages: the last one is the readout.
        config: precision and time steps.
        input_shape: (C, H, W) of an image.

    Attributes:
        shapes: shape of the neurons of each layer.
        recompute: whether the backward pass in training form computes each layer again, for less memory; but for layers
            of which blocks are skipped.

    Raises:
        ModelError: layers do not fit one another.

    Shape:
        input uint8 [N, C, H, W], shown for ``config.timesteps`` steps, or [T, N, C, H, W]; output [T, N, classes], the
        logits of each step. The prediction is the largest of their sums over time.

    Example:
        >>> network = prepare(LeNetSNN((1, 8, 8)), QuantConfig(state_bits=4, timesteps=3), input_shape=(1, 8, 8))
        >>> images = torch.zeros(5, 1, 8, 8, dtype=torch.uint8)
        >>> network(images).shape
        torch.Size([3, 5, 10])
        >>> network.eval().freeze().integer_logits(images).dtype
        torch.int64
    """

    def __init__(self, stages: list[Stage], config: QuantConfig, input_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.config = config
        self.input_shape = input_shape
        self.frozen = False
        self.recompute = False
        self.shapes = self._find_shapes()

    @property
    def hidden(self) -> list[Stage]:
        """The stages with neurons."""
        return [cast(Stage, stage) for stage in self.stages[:-1]]

    @property
    def readout(self) -> Stage:
        return cast(Stage, self.stages[-1])

    @property
    def outputs(self) -> int:
        """Number of classes."""
        return int(self.readout.synapse.weight.shape[0])

    @property
    def weight_bytes(self) -> float:
        """Bytes of all weights at their width."""
        main = sum(cast(Stage, stage).synapse.weight.numel() for stage in self.stages) * float(self.config.weight_bits)
        shortcuts = (stage.shortcut for stage in self.hidden if stage.shortcut is not None)
        return (main + sum(part.synapse.weight.numel() * float(part.bits) for part in shortcuts)) / 8

    @property
    def state_bytes(self) -> float:
        """Bytes of what all neurons store for one image at its width."""
        return sum(math.prod(shape) for shape in self.shapes) * float(self.config.state_bits) / 8

    def freeze(self) -> SpikingNetwork:
        """Fix batch normalisation and compute in integers from now on; returns the network itself.

        Raises:
            ModelError: weights or state are floating point, or a number is not finite.
        """
        self._check_integer()
        for stage in (*self.hidden, self.readout):
            check_finite(stage.name, stage)
        self.frozen = True
        return self.train(self.training)

    def largest_narrow_sum(self) -> Tensor:
        """The largest sum so far that was computed in two bytes unproven, in absolute value; a scalar."""
        return torch.cat([stage.largest for stage in self.hidden]).max()

    def widen(self, largest: float) -> list[str]:
        """Compute sums in four bytes from now on in layers where they pass what two bytes hold; the names of these.

        Args:
            largest: as ``largest_narrow_sum`` said, or the sum of what several processes were told.
        """
        if largest < EXACT:
            return []
        wider = [stage for stage in self.hidden if stage.narrow and float(stage.largest) >= EXACT]
        for stage in wider:
            stage.narrow = False
        for stage in self.hidden:
            stage.largest.zero_()
        return [stage.name for stage in wider]

    def use_plain_path(self) -> SpikingNetwork:
        """Compute sums and neurons by torch's own operations from now on, one for each step of the method: the form
        that the faster ones are compared with. Returns the network itself."""
        for module in self.modules():
            if isinstance(module, LIF | Synapse):
                module.plain = True
        return self

    def train(self, mode: bool = True) -> SpikingNetwork:
        """As torch's; the layers of a frozen network stay in evaluation, so that fine-tuning sees what ships."""
        super().train(mode)
        if self.frozen:
            self.stages.eval()
        return self

    def forward(self, x: Tensor, probe: Probe | None = None, watch: Watch | None = None) -> Tensor:
        """Logits of each time step, [T, N, classes].

        Args:
            x: pixels, uint8.
            probe: called for each layer of neurons with its name, its spikes and the codes that its neurons store, both
                [T, N, ...]; codes are integers in the frozen form, potentials where the state is floating point.
            watch: called for each layer of neurons with its index and its spikes [T, N, ...], which carry a gradient.
        """
        self._check(x)
        static_input = x.dim() == 4
        steps = self.config.timesteps if static_input else x.shape[0]
        if self.frozen:
            return self._frozen_logits(x, steps, static_input, probe, watch)
        h, sources = x.float(), ShortcutSpikes([stage.shortcut for stage in self.hidden])
        whole = True  # gates that are being learned make fractions of spikes
        for i, stage in enumerate(self.hidden):
            low = watch is None and stage.gate is None
            run = partial(
                self._spikes, stage, steps=steps, static_input=static_input, probe=probe, whole=whole, low=low
            )
            whole = stage.gate is None or not self.training
            source = sources.of(stage.shortcut)
            # What is skipped is decided by a threshold that may have moved before the backward pass.
            again = self.recompute and probe is None and stage.skipping is None
            h = recomputed(run, stage, h, source) if again else run(h, source)
            sources.keep(i, h)
            if watch is not None:
                watch(i, h)
            static_input = False
        return torch.unflatten(self.readout.current(h.flatten(0, 1)), 0, h.shape[:2])

    def mean_logits(self, x: Tensor, probe: Probe | None = None) -> Tensor:
        """Logits averaged over time, [N, classes]; in the frozen form, integers that are equal stay so."""
        if not self.frozen or (torch.is_grad_enabled() and self.training):
            return self.forward(x, probe).mean(0)
        steps = self.config.timesteps if x.dim() == 4 else x.shape[0]
        scale = fold_readout(self.readout, self.config.timesteps, self.live_inputs()[-1]).scale
        return self.integer_logits(x, probe).double() * (scale / steps)

    @uncompiled
    @torch.no_grad()
    def integer_logits(self, x: Tensor, probe: Probe | None = None) -> Tensor:
        """Integer logits summed over time, int64 [N, classes]: the numbers that every other backend must give.

        Raises:
            ModelError: weights or state are floating point.
        """
        self._check_integer()
        self._check(x)
        static_input = x.dim() == 4
        h = self._integer_spikes(x, self.config.timesteps if static_input else x.shape[0], static_input, probe)
        return self._readout_integers(h)[0].sum(0)

    def live_inputs(self) -> list[Tensor | None]:
        """For each stage, the readout last: [I] bool over the second axis of its weight, the inputs that an open
        channel feeds; None where all are."""
        live: list[Tensor | None] = [None]
        for stage, after in zip(self.hidden, list(self.stages)[1:], strict=True):
            opened = None if stage.gate is None else stage.gate.opened()
            if opened is None or bool(opened.all()):
                live.append(None)
            else:  # behind Flatten, the elements of a channel lie side by side
                live.append(opened.repeat_interleave(cast(Stage, after).synapse.weight.shape[1] // len(opened)))
        return live

    def live_sources(self, stage: Stage) -> Tensor | None:
        """[C] bool, the channels that are open at the source of a stage's shortcut; None where all are."""
        gate = None if stage.shortcut is None else self.hidden[stage.shortcut.source].gate
        return None if gate is None or bool(gate.opened().all()) else gate.opened()

    def fold(self) -> list[Folded]:
        """The integers of the stages with neurons, as their parameters are now."""
        live = self.live_inputs()
        return [
            fold_stage(stage, self.config.state_bits, inputs, self.live_sources(stage))
            for stage, inputs in zip(self.hidden, live, strict=False)
        ]

    def _spikes(
        self,
        stage: Stage,
        h: Tensor,
        source: Tensor | None,
        steps: int,
        static_input: bool,
        probe: Probe | None,
        whole: bool,
        low: bool,
    ) -> Tensor:
        lif = cast(LIF, stage.lif)
        if probe is None:
            fired = stage.fire(h if static_input else h.flatten(0, 1), steps, static_input, whole, low)
            if fired is not None:
                return fired if stage.gate is None else cast(Tensor, stage.gate(fired))
        current = (
            stage.current(h)
            if static_input
            else torch.unflatten(stage.current(h.flatten(0, 1), source), 0, h.shape[:2])
        )
        if probe is None:
            spikes = lif.forward_static(current, steps) if static_input else cast(Tensor, lif(current, stage.skip(h)))
            return spikes if stage.gate is None else cast(Tensor, stage.gate(spikes))
        drives = [current] * steps if static_input else list(current)
        skip = None if static_input else stage.skip(h)
        state = lif.initial_state(drives[0])
        history = []
        for t, drive in enumerate(drives):
            spikes, state = lif.step(drive, state, None if skip is None else partial(_at, skip, t))
            history.append((spikes, state))
        fired, stored = (torch.stack(h) for h in zip(*history, strict=True))
        if stage.gate is not None:
            fired = stage.gate(fired)
        unit = lif.levels.step * lif.threshold if lif.levels else 1.0
        probe(stage.name, fired, stored / unit)
        return fired

    @uncompiled
    def _frozen_logits(
        self, x: Tensor, steps: int, static_input: bool, probe: Probe | None, watch: Watch | None
    ) -> Tensor:
        h = self._integer_spikes(x, steps, static_input, probe, watch)
        integers, scale = self._readout_integers(h.detach())
        exact = integers.double() * scale  # distinct integers stay distinct
        if not h.requires_grad:
            return exact
        free = torch.unflatten(self.readout.current(h.flatten(0, 1)), 0, h.shape[:2])
        return exact.float() + (free - free.detach())  # the value of the first, the gradient of the second

    def _integer_spikes(
        self, x: Tensor, steps: int, static_input: bool, probe: Probe | None, watch: Watch | None = None
    ) -> Tensor:
        """Spikes [T, N, ...] of the last layer of neurons; with the training form's gradient where gradients are asked
        for."""
        h, sources = x.float(), ShortcutSpikes([stage.shortcut for stage in self.hidden])
        for i, (stage, folded) in enumerate(zip(self.hidden, self.fold(), strict=True)):
            lif, source = cast(LIF, stage.lif), sources.of(stage.shortcut)
            flat = h if static_input else h.flatten(0, 1)
            time = (lambda y: y) if static_input else partial(torch.unflatten, dim=0, sizes=h.shape[:2])
            sums = time(stage_sums(stage, folded, flat.detach(), None if source is None else source.detach()))
            skip = None if static_input else stage.skip(h)
            potentials, spikes, codes, computed = integer_unroll(folded.neuron, sums, steps, static_input, skip)
            if probe is not None:
                probe(stage.name, spikes, codes)
            h = spikes.float()
            if torch.is_grad_enabled() and self.training:
                shape = (-1, *[1] * (flat.dim() - 2)) if stage.synapse.convolves else (-1,)
                gain, offset = (p.to(h.device, torch.float32).view(shape) for p in stage.affine())
                v = potentials * (gain * 2.0**-folded.neuron.fraction) + offset
                h = IntegerRecurrence.apply(
                    time(stage.current(flat, source)), lif.threshold, v, spikes, computed, lif.dynamics, static_input
                )  # type: ignore[no-untyped-call]
                if stage.gate is not None:
                    h = stage.gate(h)  # pruned channels are silent already; this is for the gradient
            sources.keep(i, h)
            if watch is not None:
                watch(i, h)
            static_input = False
        return h

    def _readout_integers(self, h: Tensor) -> tuple[Tensor, float]:
        """Integer logits of each step, int64 [T, N, classes], and what a logit of one is worth."""
        readout = fold_readout(self.readout, self.config.timesteps, self.live_inputs()[-1])
        sums = torch.unflatten(main_sums(self.readout, readout.codes, h.flatten(0, 1)), 0, h.shape[:2]).long()
        return (sums << readout.fraction) + torch.from_numpy(readout.bias).to(h.device), readout.scale

    def _find_shapes(self) -> list[tuple[int, ...]]:
        """Run one black image through, so that layers that do not fit one another are found here, by name."""
        h: Tensor = torch.zeros(1, *self.input_shape, dtype=torch.float32)
        shapes: list[tuple[int, ...]] = []
        for stage in (*self.hidden, self.readout):
            found, weight = "x".join(map(str, h.shape[1:])), stage.synapse.weight
            try:
                h = stage.synapse.sums(stage.pooled(h), torch.zeros_like(weight, device="cpu"))
                fits = stage.norm is None or stage.norm.weight.shape[0] == h.shape[1]
            except RuntimeError:
                fits = False
            if not fits:
                raise ModelError(
                    f"layer {stage.name!r} with weights {'x'.join(map(str, weight.shape))} "
                    f"does not fit its input of {found}"
                )
            if h.numel() == 0:
                raise ModelError(
                    f"layer {stage.name!r} leaves nothing of its input of {found}: use larger images or fewer pools"
                )
            shapes.append(tuple(h.shape[1:]))
            if stage.shortcut is not None:
                check_shape(stage.shortcut, stage.name, shapes)
        return shapes[:-1]

    def _check_integer(self) -> None:
        if not self.config.integer:
            raise ModelError(
                "a network with 32-bit weights or state has no integer form: prepare it with 1.58 to 8 bits"
            )

    def _check(self, x: Tensor) -> None:
        if x.dtype != torch.uint8:
            raise DataError(
                f"a network takes pixels or event counts as uint8, 0 to 255, not {x.dtype}: scale and round them first"
            )
        if x.dim() not in (4, 5) or tuple(x.shape[-3:]) != self.input_shape:
            shape = "x".join(map(str, self.input_shape))
            raise DataError(f"this network takes images [N, {shape}] or sequences [T, N, {shape}], not {list(x.shape)}")


def _at(skip: Skip, t: int, step: int, codes: Tensor | None, fired: Tensor, after: Tensor | None) -> Tensor:
    """The decision at step t of a sequence, for a recurrence that takes it as its only one."""
    return skip(t + step, codes, fired, after)
