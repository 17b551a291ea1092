"""A network in stages, run over time: in training form, or, once frozen, as the integer model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..errors import DataError, ModelError
from ..integer.connection import Shape, image
from ..integer.graph import PIXEL, Readout, Term
from ..nn.fused_layer import EXACT
from ..nn.integrator import LeakyIntegrator
from ..nn.lif import LIF
from ..nn.recurrence import Skip
from .branched_stage import BranchedReadout, BranchedStage
from .finite_check import check_finite
from .fold import Folded, fold_branched_readout, fold_branches, fold_readout, fold_stage
from .freeze import IntegerSteps, integer_unroll, with_gradient
from .quant_config import QuantConfig
from .recompute import recomputed
from .sent import Sent, is_loop, loops_of
from .shortcut import check_shape
from .stage import Look, NeuronStage, Stage
from .synapse import Synapse
from .torch_terms import integrated, over_time, weighed
from .uncompiled import uncompiled

Given = Tensor | Sequence[Tensor]
Probe = Callable[[str, Tensor, Tensor], None]
Watch = Callable[[int, Tensor], None]


class SpikingNetwork(nn.Module):
    """What ``prepare`` returns: a network over images or sequences of frames.

    Args:
        stages: with neurons, in the order in which they are computed; then those that are read out.
        config: precision and time steps.
        input_shape: (C, H, W) of an image, (C, L) of a signal, (F,) of a vector; or that of each input.
        shapes: of the neurons of each layer; None: found by trying, in a row of stages.
        readouts: how many stages are read out.

    Attributes:
        shapes: shape of the neurons of each layer.
        recompute: whether the backward pass in training form computes each layer again, for less memory; but for layers
            of which blocks are skipped.

    Raises:
        ModelError: layers do not fit one another.

    Shape:
        input uint8 [N, C, H, W], shown for ``config.timesteps`` steps, or [T, N, C, H, W], and alike for signals and
        vectors, of several inputs a list; output [T, N, classes], the logits of each step. The prediction is the
        largest of their sums over time.

    Example:
        >>> network = prepare(LeNetSNN((1, 8, 8)), QuantConfig(state_bits=4, timesteps=3), input_shape=(1, 8, 8))
        >>> images = torch.zeros(5, 1, 8, 8, dtype=torch.uint8)
        >>> network(images).shape
        torch.Size([3, 5, 10])
        >>> network.eval().freeze().integer_logits(images).dtype
        torch.int64
    """

    def __init__(
        self,
        stages: Sequence[NeuronStage],
        config: QuantConfig,
        input_shape: Shape | Sequence[Shape],
        shapes: Sequence[Shape] | None = None,
        readouts: int = 1,
    ) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.config = config
        single = all(isinstance(size, int) for size in input_shape)
        given = [cast(Shape, input_shape)] if single else cast(Sequence[Shape], input_shape)
        self.input_shapes = tuple(tuple(shape) for shape in given)
        self.frozen = False
        self.recompute = False
        self.readout_count = readouts
        self.shapes = self._find_shapes() if shapes is None else list(shapes)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the first input."""
        return image(self.input_shapes[0])

    @property
    def hidden(self) -> list[NeuronStage]:
        """The stages with neurons."""
        return [cast(NeuronStage, stage) for stage in self.stages[: -self.readout_count]]

    @property
    def readouts(self) -> list[NeuronStage]:
        """The stages that are read out."""
        return [cast(NeuronStage, stage) for stage in self.stages[-self.readout_count :]]

    @property
    def readout(self) -> NeuronStage:
        """The first of them, which predicts."""
        return self.readouts[0]

    @property
    def row(self) -> list[Stage] | None:
        """The stages, the readout last, where each looks at the one before it alone, but for shortcuts; None of any
        other network."""
        stages = [cast(Stage, stage) for stage in self.stages]
        plain = all(isinstance(stage, Stage) and stage.source == i for i, stage in enumerate(stages))
        return stages if plain and self.readout_count == len(self.input_shapes) == 1 else None

    def in_a_row(self, purpose: str) -> list[Stage]:
        """The stages of a network in a row, the readout last; ``purpose`` begins the sentence that refuses others.

        Raises:
            ModelError: it is no row.
        """
        stages = self.row
        if stages is not None:
            return stages
        plain = (stage for i, stage in enumerate(self.hidden) if not (isinstance(stage, Stage) and stage.source == i))
        name = next(plain, self.readout).name
        raise ModelError(
            f"{purpose} needs layers in a row, with plain shortcuts at most, and layer {name!r} sums other terms: "
            "train this network without it"
        )

    @property
    def outputs(self) -> int:
        """Number of classes."""
        return self.readout.channels

    @property
    def weight_bytes(self) -> float:
        """Bytes of all weights at their width."""
        shortcuts = [stage.shortcut for stage in self.hidden if isinstance(stage, Stage) and stage.shortcut is not None]
        bits = {id(shortcut.synapse): float(shortcut.bits) for shortcut in shortcuts}
        synapses = [module for module in self.modules() if isinstance(module, Synapse)]
        plain = float(self.config.weight_bits)
        return sum(synapse.weight.numel() * bits.get(id(synapse), plain) for synapse in synapses) / 8

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
        for stage in (*self.hidden, *self.readouts):
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

    def forward(self, x: Given, probe: Probe | None = None, watch: Watch | None = None) -> Tensor:
        """What the first readout says at each time step, [T, N, classes]; ``said`` gives that of all.

        Args:
            x: pixels, uint8; of several inputs, one tensor each.
            probe: called for each layer of neurons with its name, its spikes and the codes that its neurons store, both
                [T, N, ...]; codes are integers in the frozen form, potentials where the state is floating point.
            watch: called for each layer of neurons with its index and its spikes [T, N, ...], which carry a gradient.
        """
        return self.said(x, probe, watch)[0]

    def said(self, x: Given, probe: Probe | None = None, watch: Watch | None = None) -> list[Tensor]:
        """What each readout says at each time step, [T, N, ...]."""
        given, steps = self._given(x)
        sent = Sent(given, self._source_shapes, [*self.hidden, *self.readouts], steps)
        if self.frozen:
            return self._frozen_said(sent, probe, watch)
        whole = True  # gates that are being learned make fractions of spikes
        for group in loops_of(self.hidden, len(given)):
            if is_loop(group, self.hidden, len(given)):
                self._run_loop(group, sent, probe)
            else:
                self._run_stage(group.start, sent, probe, whole, low=watch is None)
            for i in group:
                stage = self.hidden[i]
                whole = stage.gate is None or not self.training
                if watch is not None:
                    watch(i, sent.raw(len(given) + i))
                sent.forget(i)
        return [self._integrated(stage, self._drive(stage, sent)) for stage in self.readouts]

    def mean_logits(self, x: Given, probe: Probe | None = None) -> Tensor:
        """The answer of the first readout, [N, classes]: logits averaged over time, or, of an integrator, what it says
        over time; in the frozen form, integers that are equal stay so."""
        if not self.frozen or (torch.is_grad_enabled() and self.training):
            return self.answer(self.forward(x, probe))
        steps = self._given(x)[1]
        readout = self.fold_readouts()[0]
        per = steps if readout.sums_all or readout.over_time == "sum" else 1
        return self.integer_logits(x, probe).double() * (readout.scale / per)

    def answer(self, said: Tensor) -> Tensor:
        """The answer of the first readout, [N, ...], of what it said at each step, [T, N, ...]."""
        integrator = _integrator(self.readout)
        return said.mean(0) if integrator is None else integrator.answer(said)

    @uncompiled
    @torch.no_grad()
    def integer_logits(self, x: Given, probe: Probe | None = None) -> Tensor:
        """Integer answers of the first readout, int64 [N, classes]: the numbers that every other backend must give.

        Raises:
            ModelError: weights or state are floating point.
        """
        return self.integer_answers(x, probe)[0]

    @uncompiled
    @torch.no_grad()
    def integer_answers(self, x: Given, probe: Probe | None = None) -> list[Tensor]:
        """Those of each readout, int64 [N, ...], or [T, N, ...] of all steps."""
        self._check_integer()
        given, steps = self._given(x)
        sent = Sent(given, self._source_shapes, [*self.hidden, *self.readouts], steps)
        self._run_integers(sent, probe, None)
        return [over_time(readout, said) for readout, said in self._integers_said(sent)]

    def live_inputs(self) -> list[Tensor | None]:
        """For each stage, the readout last: [I] bool over the second axis of its weight, the inputs that an open
        channel feeds; None where all are."""
        live: list[Tensor | None] = [None]
        for stage, after in zip(self.hidden, list(self.stages)[1:], strict=False):
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
        first, live = len(self.input_shapes), self.live_inputs()
        state, weights = self.config.state_bits, self.config.weight_bits
        return [
            fold_stage(stage, first, state, weights, inputs, self.live_sources(stage))
            if isinstance(stage, Stage)
            else fold_branches(cast(BranchedStage, stage), first, state)
            for stage, inputs in zip(self.hidden, live, strict=False)
        ]

    def fold_readouts(self) -> list[Readout]:
        """The integers of the readouts, as their parameters are now."""
        first, steps, bits = len(self.input_shapes), self.config.timesteps, self.config.weight_bits
        return [
            fold_readout(stage, first, steps, bits, self.live_inputs()[-1] if self.row else None)
            if isinstance(stage, Stage)
            else fold_branched_readout(cast(BranchedReadout, stage), first, steps)
            for stage in self.readouts
        ]

    # ---- the training form ----

    def _run_stage(self, index: int, sent: Sent, probe: Probe | None, whole: bool, low: bool) -> None:
        """A layer over all time."""
        stage, static_input = self.hidden[index], sent.stands_still(self.hidden[index])
        low = low and stage.gate is None
        if not isinstance(stage, Stage):
            spikes = self._fired(stage, self._drive(stage, sent, static_input), sent.steps, static_input, None, probe)
        else:
            run = partial(
                self._spikes,
                stage,
                steps=sent.steps,
                static_input=static_input,
                probe=probe,
                whole=whole,
                low=low,
            )
            h = sent.raw(stage.source)
            beside = None if stage.shortcut is None else sent.raw(stage.first + stage.shortcut.source).flatten(0, 1)
            # What is skipped is decided by a threshold that may have moved before the backward pass.
            again = self.recompute and probe is None and stage.skipping is None
            spikes = recomputed(run, stage, h, beside) if again else run(h, beside)
        sent.put(len(self.input_shapes) + index, spikes)

    def _drive(self, stage: NeuronStage, sent: Sent, static_input: bool = False) -> Tensor:
        """Currents over all time, [T, N, ...], or [N, ...] where all stands still."""
        current = stage.current_of(sent.whole(static_input))
        return current if static_input else torch.unflatten(current, 0, (sent.steps, -1))

    def _run_loop(self, group: range, sent: Sent, probe: Probe | None) -> None:
        """Layers that look at one another's past, step by step."""
        first = len(self.input_shapes)
        stages = [self.hidden[i] for i in group]
        states: list[Any] = [None] * len(stages)
        stored: list[list[Tensor]] = [[] for _ in stages]
        for t in range(sent.steps):
            for k, stage in enumerate(stages):
                lif = cast(LIF, stage.lif)
                current = stage.current_of(sent.at(t))
                state = lif.initial_state(current) if t == 0 else states[k]
                spikes, states[k] = lif.step(current, state)
                sent.put_step(first + group.start + k, spikes)
                if probe is not None:
                    stored[k].append(lif.codes(states[k]))
        for k, stage in enumerate(stages):
            spikes = sent.close(first + group.start + k)
            if probe is not None:
                probe(stage.name, spikes, torch.stack(stored[k]))

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
        if probe is None:
            fired = stage.fire(h if static_input else h.flatten(0, 1), steps, static_input, whole, low)
            if fired is not None:
                return fired if stage.gate is None else cast(Tensor, stage.gate(fired))
        current = (
            stage.current(h)
            if static_input
            else torch.unflatten(stage.current(h.flatten(0, 1), source), 0, h.shape[:2])
        )
        return self._fired(stage, current, steps, static_input, None if static_input else stage.skip(h), probe)

    def _fired(
        self,
        stage: NeuronStage,
        current: Tensor,
        steps: int,
        static_input: bool,
        skip: Skip | None,
        probe: Probe | None,
    ) -> Tensor:
        """Spikes [T, N, ...] of a layer under these currents."""
        lif = cast(LIF, stage.lif)
        if probe is None:
            spikes = lif.forward_static(current, steps) if static_input else cast(Tensor, lif(current, skip))
            return spikes if stage.gate is None else cast(Tensor, stage.gate(spikes))
        drives = [current] * steps if static_input else list(current)
        state = lif.initial_state(drives[0])
        history = []
        for t, drive in enumerate(drives):
            spikes, state = lif.step(drive, state, None if skip is None else partial(_at, skip, t))
            history.append((spikes, lif.codes(state)))
        fired, codes = (torch.stack(h) for h in zip(*history, strict=True))
        if stage.gate is not None:
            fired = stage.gate(fired)
        probe(stage.name, fired, codes)
        return fired

    def _integrated(self, stage: NeuronStage, said: Tensor) -> Tensor:
        """What a readout says at each step, [T, N, ...], of its drive."""
        integrator = _integrator(stage)
        return said if integrator is None else cast(Tensor, integrator(said))

    # ---- the frozen form ----

    @uncompiled
    def _frozen_said(self, sent: Sent, probe: Probe | None, watch: Watch | None) -> list[Tensor]:
        self._run_integers(sent, probe, watch)
        found = []
        for stage, (readout, integers) in zip(self.readouts, self._integers_said(sent), strict=True):
            exact = integers.double() * readout.scale  # distinct integers stay distinct
            if torch.is_grad_enabled() and self.training:
                free = self._integrated(stage, self._drive(stage, sent))
                exact = exact.float() + (free - free.detach())  # the value of the first, the gradient of the second
            found.append(exact)
        return found

    def _integers_said(self, sent: Sent) -> list[tuple[Readout, Tensor]]:
        """Each readout in integers, and what it has summed or integrated at each step, int64 [T, N, ...]: steps by
        themselves where it sums them all."""
        found = []
        for readout in self.fold_readouts():
            sums = self._summed(readout.terms, sent.whole(False)).long()
            sums = torch.unflatten(sums, 0, (sent.steps, -1)) << readout.fraction
            bias = torch.from_numpy(readout.bias).to(sums.device)
            z = sums + bias.view(-1, *[1] * (sums.dim() - 3))
            found.append((readout, z if readout.leak is None else integrated(readout, z)))
        return found

    def _summed(self, terms: tuple[Term, ...], look: Look) -> Tensor:
        """Integer sums of terms, int32 [N, ...], in the shape of the first."""
        first = len(self.input_shapes)
        total: Tensor | None = None
        for term in terms:
            x = look(term.source, term.delay).detach()
            sums = weighed(term, x, PIXEL if term.source < first else 1)
            total = sums if total is None else total + sums.reshape(total.shape)
        assert total is not None
        return total

    def _run_integers(self, sent: Sent, probe: Probe | None, watch: Watch | None) -> None:
        """Integer spikes of all layers of neurons; with the training form's gradient where gradients are asked for."""
        first, layers = len(self.input_shapes), self.fold()
        for group in loops_of(self.hidden, first):
            if is_loop(group, self.hidden, first):
                self._run_integer_loop(group, layers, sent, probe)
            else:
                self._run_integer_stage(group.start, layers[group.start], sent, probe)
            for i in group:
                if watch is not None:
                    watch(i, sent.raw(first + i))
                sent.forget(i)

    def _run_integer_stage(self, index: int, folded: Folded, sent: Sent, probe: Probe | None) -> None:
        stage, steps, layer = self.hidden[index], sent.steps, folded.layer
        static_input = sent.stands_still(stage)
        sums = self._summed(layer.terms, sent.whole(static_input))
        sums = sums if static_input else torch.unflatten(sums, 0, (steps, -1))
        skip = stage.skip(sent.raw(stage.source)) if isinstance(stage, Stage) and not static_input else None
        potentials, spikes, codes, computed = integer_unroll(layer.neuron, sums, steps, static_input, skip)
        if probe is not None:
            probe(stage.name, spikes, codes)
        h = spikes.float()
        if torch.is_grad_enabled() and self.training:
            current = self._drive(stage, sent, static_input)
            h = with_gradient(stage, folded, current, potentials, spikes, computed, static_input)
            if stage.gate is not None:
                h = stage.gate(h)  # pruned channels are silent already; this is for the gradient
        sent.put(len(self.input_shapes) + index, h)

    def _run_integer_loop(self, group: range, layers: list[Folded], sent: Sent, probe: Probe | None) -> None:
        first, learns = len(self.input_shapes), torch.is_grad_enabled() and self.training
        stages = [self.hidden[i] for i in group]
        neurons: list[IntegerSteps | None] = [None] * len(stages)
        codes: list[Any] = [None] * len(stages)
        states: list[Any] = [None] * len(stages)
        stored: list[list[Tensor]] = [[] for _ in stages]
        for t in range(sent.steps):
            for k, stage in enumerate(stages):
                sums = self._summed(layers[group.start + k].layer.terms, sent.at(t))
                steps = neurons[k] or IntegerSteps(layers[group.start + k].layer.neuron, sums, 1)
                neurons[k] = steps
                code = steps.initial(sums) if t == 0 else codes[k]
                _, fired, codes[k] = steps.step(sums, code)
                spikes = fired.float()
                if learns:
                    lif, current = cast(LIF, stage.lif), stage.current_of(sent.at(t))
                    state = lif.initial_state(current) if t == 0 else states[k]
                    free, states[k] = lif.step(current, state)
                    spikes = spikes + (free - free.detach())
                sent.put_step(first + group.start + k, spikes)
                stored[k].append(cast(Tensor, codes[k]))
        for k, stage in enumerate(stages):
            spikes = sent.close(first + group.start + k)
            if probe is not None:
                probe(stage.name, spikes != 0, torch.stack(stored[k]))

    def _find_shapes(self) -> list[Shape]:
        """Run one black image through a row of stages, so that layers that do not fit one another are found here, by
        name."""
        h: Tensor = torch.zeros(1, *self.input_shape, dtype=torch.float32)
        shapes: list[Shape] = []
        for stage in cast(list[Stage], [*self.hidden, self.readout]):
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

    @property
    def _source_shapes(self) -> list[Shape]:
        return [*map(image, self.input_shapes), *self.shapes]

    def _check_integer(self) -> None:
        if not self.config.integer:
            raise ModelError(
                "a network with 32-bit weights or state has no integer form: prepare it with 1.58 to 8 bits"
            )

    def _given(self, x: Given) -> tuple[list[Tensor], int]:
        """The inputs as floats, and the time steps.

        Raises:
            DataError: they are not what the network takes.
        """
        given = [x] if isinstance(x, Tensor) else list(x)
        if len(given) != len(self.input_shapes):
            raise DataError(f"this network takes {len(self.input_shapes)} inputs, not {len(given)}")
        found = []
        for each, shape in zip(given, self.input_shapes, strict=True):
            found.append(self._checked(each, shape))
        lengths = {len(each) for each in found if each.dim() == 5}
        if len(lengths) > 1:
            raise DataError(f"the inputs are sequences of different lengths: {', '.join(map(str, sorted(lengths)))}")
        return found, lengths.pop() if lengths else self.config.timesteps

    @staticmethod
    def _checked(x: Tensor, shape: Shape) -> Tensor:
        if x.dtype != torch.uint8:
            raise DataError(
                f"a network takes pixels or event counts as uint8, 0 to 255, not {x.dtype}: scale and round them first"
            )
        if x.dim() - len(shape) not in (1, 2) or tuple(x.shape[-len(shape) :]) != tuple(shape):
            if x.dim() not in (4, 5) or tuple(x.shape[-3:]) != image(shape):
                size = "x".join(map(str, shape))
                raise DataError(
                    f"this network takes images [N, {size}] or sequences [T, N, {size}], not {list(x.shape)}"
                )
            return x.float()
        return x.reshape(*x.shape[: -len(shape)], *image(shape)).float()


def _integrator(stage: NeuronStage) -> LeakyIntegrator | None:
    """That of a readout; None where steps are summed."""
    return stage.integrator if isinstance(stage, BranchedReadout) else None


def _at(skip: Skip, t: int, step: int, codes: Tensor | None, fired: Tensor, after: Tensor | None) -> Tensor:
    """The decision at step t of a sequence, for a recurrence that takes it as its only one."""
    return skip(t + step, codes, fired, after)
