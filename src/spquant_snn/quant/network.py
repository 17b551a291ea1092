"""A network in stages, run over time: in training form, or, once frozen, as the integer model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from ..data.task import OutputFormat
from ..errors import DataError, ModelError
from ..integer.connection import Shape, image
from ..integer.graph import Input, Readout
from ..io.texts import counted
from ..nn.fused_layer import EXACT
from ..nn.integrator import LeakyIntegrator
from ..nn.lif import LIF
from ..nn.sequence_ends import SequenceEnds, mean_over_time
from .branched_stage import BranchedReadout, BranchedStage
from .finite_check import check_finite
from .fold import Folded, fold_branched_readout, fold_branches, fold_readout, fold_stage
from .integer_pass import IntegerPass, integer_outputs
from .quant_config import QuantConfig
from .sent import Sent, is_loop, loops_of
from .shortcut import check_shape
from .stage import NeuronStage, Stage
from .synapse import Synapse
from .torch_terms import over_time
from .training_pass import Probe, TrainingPass, Watch, drive_over_time
from .uncompiled import uncompiled

Given = Tensor | Sequence[Tensor]


class SpikingNetwork(nn.Module):
    """A network of quantised layers, as ``prepare`` returns it: in training form, or, once frozen, in integers.

    Args:
        stages: with neurons, in the order in which they are computed; then those that are read out.
        config: precision and time steps.
        input_shape: (C, H, W) of an image, (C, L) of a signal, (F,) of a vector; or that of each input.
        shapes: of the neurons of each layer; None: found by trying, in a row of stages.
        readouts: how many stages are read out.

    Attributes:
        shapes: shape of the neurons of each layer.
        output_format: the task that it is trained for, and what its answers stand for; None: logits of classes.
        recompute: whether the backward pass in training form computes each layer again, for less memory; but for layers
            of which blocks are skipped, of several terms, or in loops.

    Raises:
        ModelError: layers do not fit one another.

    Shape:
        input uint8, or int8 where ``config.input_format`` is signed, [N, C, H, W], shown for ``config.timesteps``
        steps, or [T, N, C, H, W], and alike for signals and vectors, of several inputs a list; output [T, N, classes],
        the logits of each step. The prediction is the largest of their sums over time.

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
        self.output_format: OutputFormat | None = None
        self.readout_count = readouts
        self.shapes = self._find_shapes() if shapes is None else list(shapes)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the first input."""
        return image(self.input_shapes[0])

    @property
    def inputs(self) -> tuple[Input, ...]:
        """Its inputs, as in the integer graph."""
        formats = self.config.input_formats(len(self.input_shapes))
        return tuple(
            Input(image(shape), given.signed, given.scale)
            for shape, given in zip(self.input_shapes, formats, strict=True)
        )

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

    @property
    def loops(self) -> bool:
        """Whether it has recurrent connections: layers that take what they, or later layers, sent one step before."""
        hidden, first = self.hidden, len(self.input_shapes)
        return any(is_loop(group, hidden, first) for group in loops_of(hidden, first))

    def in_a_row(self, purpose: str) -> list[Stage]:
        """The stages of a network in a row, the readout last; ``purpose`` begins the sentence that refuses others.

        Raises:
            ModelError: it is no row.
        """
        stages = self.row
        if stages is not None:
            return stages
        raise ModelError(
            f"{purpose} needs layers in a row, with plain shortcuts at most, and {self._no_row()}: "
            "train this network without it"
        )

    def _no_row(self) -> str:
        """What keeps the network from being a row."""
        hidden = enumerate(self.hidden)
        others = [stage for i, stage in hidden if not (isinstance(stage, Stage) and stage.source == i)]
        for stage in others:
            if isinstance(stage, BranchedStage) and len(list(stage.drive.leaves())) > 1:
                return f"layer {stage.name!r} sums other terms"
        for what, count in (("inputs", len(self.input_shapes)), ("readouts", self.readout_count)):
            if count > 1:
                return f"this one has {count} {what}"
        if others:
            return f"layer {others[0].name!r} has no weights on the layer before it alone"
        return f"readout {self.readout.name!r} is more than one linear layer of the last spikes"

    @property
    def outputs(self) -> int:
        """Number of classes."""
        return self.readout.channels

    @property
    def weight_bytes(self) -> float:
        """Bytes of all weights at their width."""
        synapses = [module for module in self.modules() if isinstance(module, Synapse)]
        return sum(synapse.weight.numel() * synapse.bits for synapse in synapses) / 8

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

    def forward(
        self, x: Given, probe: Probe | None = None, watch: Watch | None = None, lengths: Tensor | None = None
    ) -> Tensor:
        """The output of the first readout at each time step, [T, N, classes]; ``step_outputs`` gives that of each.

        Args:
            x: pixels, uint8, or values, int8; of several inputs, one tensor each.
            probe: called for each layer of neurons with its name, its spikes and the codes that its neurons store, both
                [T, N, ...]; codes are integers in the frozen form, potentials where the state is floating point.
            watch: called for each layer of neurons with its index and its spikes [T, N, ...], which carry a gradient;
                of sequences of several lengths, all their steps in a row, [1, V, ...].
            lengths: int64 [N], frames of each sequence, behind which it is filled up: nothing that is learned, no
                statistic of batch normalisation among it, sees that. What is said there means nothing.
        """
        return self.step_outputs(x, probe, watch, lengths)[0]

    def step_outputs(
        self, x: Given, probe: Probe | None = None, watch: Watch | None = None, lengths: Tensor | None = None
    ) -> list[Tensor]:
        """The output of each readout at each time step, [T, N, ...]; arguments as for ``forward``."""
        if self.frozen:  # where nothing looks at other sequences, and what is behind an end at nothing before it
            return self._frozen_outputs(self.sent(x), probe, watch)
        sent = self.sent(x, lengths)
        run = TrainingPass(self.hidden, len(self.input_shapes), self.training, self.recompute, probe, watch)
        run.run(sent)
        return [_integrated(stage, drive_over_time(stage, sent)) for stage in self.readouts]

    def mean_logits(self, x: Given, probe: Probe | None = None) -> Tensor:
        """The answer of the first readout, [N, classes]: its output averaged over time, or as its ``LeakyIntegrator``
        asks. In the frozen form, equal integers give equal answers."""
        if not self.frozen or (torch.is_grad_enabled() and self.training):
            return self.answer(self.forward(x, probe))
        steps = self._given(x)[1]
        readout = self.fold_readouts()[0]
        per = steps if readout.sums_all or readout.over_time == "sum" else 1
        return self.integer_logits(x, probe).double() * (readout.scale / per)

    def answer(self, said: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The answer of the first readout, [N, ...], from its outputs at each step, [T, N, ...]; with ``lengths`` [N],
        each sequence ends at its own length."""
        integrator = _integrator(self.readout)
        return mean_over_time(said, lengths) if integrator is None else integrator.answer(said, lengths)

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
        sent = self.sent(x)
        IntegerPass(self.hidden, self.fold(), self.inputs, False, probe, None).run(sent)
        return [over_time(readout, integer_outputs(readout, sent, self.inputs)) for readout in self.fold_readouts()]

    def sent(self, x: Given, lengths: Tensor | None = None) -> Sent:
        """Inputs as the first of what a pass looks at; ``lengths`` [N] are those of sequences, where they differ.

        Raises:
            DataError: they are not what the network takes.
        """
        given, steps = self._given(x)
        ends = None if lengths is None else _ends(lengths, given, steps)
        return Sent(given, self._source_shapes, [*self.hidden, *self.readouts], steps, ends)

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
        given, live = self.inputs, self.live_inputs()
        state = self.config.state_bits
        return [
            fold_stage(stage, given, state, inputs, self.live_sources(stage))
            if isinstance(stage, Stage)
            else fold_branches(cast(BranchedStage, stage), given, state)
            for stage, inputs in zip(self.hidden, live, strict=False)
        ]

    def fold_readouts(self) -> list[Readout]:
        """The integers of the readouts, as their parameters are now."""
        given, steps = self.inputs, self.config.timesteps
        return [
            fold_readout(stage, given, steps, self.live_inputs()[-1] if self.row else None)
            if isinstance(stage, Stage)
            else fold_branched_readout(cast(BranchedReadout, stage), given, steps)
            for stage in self.readouts
        ]

    @uncompiled
    def _frozen_outputs(self, sent: Sent, probe: Probe | None, watch: Watch | None) -> list[Tensor]:
        given, learns = self.inputs, torch.is_grad_enabled() and self.training
        IntegerPass(self.hidden, self.fold(), given, learns, probe, watch).run(sent)
        found = []
        for stage, readout in zip(self.readouts, self.fold_readouts(), strict=True):
            integers = integer_outputs(readout, sent, given)
            exact = integers.double() * readout.scale  # distinct integers stay distinct
            if learns:
                free = _integrated(stage, drive_over_time(stage, sent))
                # The value of the first, the gradient of the second.
                exact = exact.float().view_as(free) + (free - free.detach())
            found.append(exact)
        return found

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
        given = [x] if isinstance(x, Tensor) else list(x) if isinstance(x, list | tuple) else []
        if not given or not all(isinstance(each, Tensor) for each in given):
            kind = type(next((each for each in given if not isinstance(each, Tensor)), x)).__name__
            raise DataError(f"this network takes a tensor for each input, not a {kind}: use torch.as_tensor")
        if len(given) != len(self.input_shapes):
            raise DataError(f"this network takes {counted(len(self.input_shapes), 'input')}, not {len(given)}")
        found = []
        for each, shape, wanted in zip(given, self.input_shapes, self.inputs, strict=True):
            found.append(self._checked(each, shape, wanted))
        lengths = {len(each) for each in found if each.dim() == 5}
        if 0 in lengths:
            raise DataError("the sequences have no frame: give at least one")
        if len(lengths) > 1:
            raise DataError(f"the inputs are sequences of different lengths: {', '.join(map(str, sorted(lengths)))}")
        return found, lengths.pop() if lengths else self.config.timesteps

    @staticmethod
    def _checked(x: Tensor, shape: Shape, wanted: Input) -> Tensor:
        if x.dtype != (torch.int8 if wanted.signed else torch.uint8):
            takes = "values as int8, -127 to 127" if wanted.signed else "pixels or event counts as uint8, 0 to 255"
            raise DataError(f"this network takes {takes}, not {x.dtype}: scale and round them first")
        if x.dim() - len(shape) not in (1, 2) or tuple(x.shape[-len(shape) :]) != tuple(shape):
            if x.dim() not in (4, 5) or tuple(x.shape[-3:]) != image(shape):
                size = "x".join(map(str, shape))
                raise DataError(
                    f"this network takes images [N, {size}] or sequences [T, N, {size}], not {list(x.shape)}"
                )
            return x.float()
        return x.reshape(*x.shape[: -len(shape)], *image(shape)).float()


def as_network(value: SpikingNetwork) -> SpikingNetwork:
    """The network that a user gives.

    Raises:
        ModelError: it is another module, or none.
    """
    if isinstance(value, SpikingNetwork):
        return value
    raise ModelError(
        f"a SpikingNetwork is needed, not a {type(value).__name__}: prepare(model, config, input_shape) makes one of a "
        "module"
    )


def _ends(lengths: Tensor, given: Sequence[Tensor], steps: int) -> SequenceEnds:
    """Where sequences end; raises DataError where they do not."""
    sequences = [x for x in given if x.dim() == 5]
    count = sequences[0].shape[1] if sequences else 0
    fits = lengths.shape == (count,) and lengths.dtype == torch.int64
    if not fits or not 1 <= int(lengths.min()) <= int(lengths.max()) <= steps:
        raise DataError(
            f"lengths must be int64 [N], from 1 to the frames of sequences [T, N, ...], here [{count}] to {steps}, not "
            f"{lengths.dtype} {list(lengths.shape)}: give one for each sequence"
        )
    return SequenceEnds(lengths, steps, given[0].device)


def _integrator(stage: NeuronStage) -> LeakyIntegrator | None:
    """That of a readout; None where steps are summed."""
    return stage.integrator if isinstance(stage, BranchedReadout) else None


def _integrated(stage: NeuronStage, said: Tensor) -> Tensor:
    """What a readout says at each step, [T, N, ...], of its drive."""
    integrator = _integrator(stage)
    return said if integrator is None else cast(Tensor, integrator(said))
