"""From a trained float network to one of few bits without training: a few hundred inputs, no labels.

Layer by layer, on what the layers before it make of the inputs in few bits:

1. the codes of its weights, of least error in its sums (``quant.least_error``);
2. the scale and the mean of each channel's sums, as they are in floating point (statistics measured anew);
3. what is added to each channel, so that its neurons fire as often as in floating point, whatever the few codes of
   their potentials lose.

The grid of a potential follows from its threshold and its bits, so nothing of it is chosen here.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor

from ..dtypes import Array
from ..errors import DataError, ModelError
from ..io import html
from ..io.terminal import Report, progress_shown
from ..nn.lif import LIF
from .branched_stage import BranchedReadout, BranchedStage
from .drive import Drive, Weights
from .least_error import inputs_of, least_error_codes
from .match_rates import Recorder, add_bias, match_rates, match_rates_in_loop, shift_stage
from .network import Given, SpikingNetwork
from .sent import Sent, is_loop, loops_of
from .shortcut import TrainableShortcut
from .stage import Look, NeuronStage, Stage
from .synapse import Synapse
from .training_pass import TrainingPass, drive_over_time
from .weight import Learned, Multiples, WeightQuantizer

_LOST = {"bits": 5, "clipped": 8, "rate": 7, "float": 7, "differ": 7, "at ends": 8}  # columns, and how wide they are


@dataclass(frozen=True)
class LayerCalibration:
    """What a layer lost.

    Args:
        name: of the layer.
        weight_bits: of its weights.
        clipped: share of its weight codes at the ends of their grid.
        rate, float_rate: spikes per neuron and step, here and in floating point; None, as what follows, of a readout,
            which sends none.
        differing: share of its spikes that are not those of floating point, of all neurons and steps.
        at_ends: share of stored codes at the ends of their grid.
    """

    name: str
    weight_bits: float
    clipped: float
    rate: float | None = None
    float_rate: float | None = None
    differing: float | None = None
    at_ends: float | None = None


@dataclass(frozen=True, repr=False)
class Calibration:
    """What a calibration did.

    Args:
        inputs: how many it saw.
        layers: in their order, the readouts last; without those that count spikes, which have no weights.
        agreement: share of the inputs for which the largest output is that of floating point.

    Example:
        >>> network = prepare(LeNetSNN((1, 8, 8)), QuantConfig({"conv1": 8, "*": 4}, 4), input_shape=(1, 8, 8))
        >>> found = calibrate(network, torch.randint(0, 256, (32, 1, 8, 8), dtype=torch.uint8))
        >>> [layer.weight_bits for layer in found.layers]
        [8.0, 4.0, 4.0, 4.0]
    """

    inputs: int
    layers: tuple[LayerCalibration, ...]
    agreement: float

    def __str__(self) -> str:
        rows = [("layer", *_LOST), *self._rows()]
        lines = [f"{name[:20]:20} " + " ".join(map(str.rjust, cells, _LOST.values())) for name, *cells in rows]
        return "\n".join([*lines, self._agreement()])

    def __repr__(self) -> str:
        return f"Calibration({len(self.layers)} layers, {self._agreement()})"

    def _repr_html_(self) -> str:
        """The losses as a table, as a notebook shows them."""
        return html.table("", ("layer",), tuple(_LOST), self._rows()) + html.text(self._agreement())

    def _rows(self) -> list[tuple[str, ...]]:
        """The losses of each layer in words, but of one that counts spikes, which has no weights."""
        return [
            (
                layer.name,
                f"{layer.weight_bits:g}",
                f"{layer.clipped:.1%}",
                *(_percent(x) for x in (layer.rate, layer.float_rate, layer.differing)),
                "-" if layer.at_ends is None else f"{layer.at_ends:.1%}",
            )
            for layer in self.layers
            if layer.weight_bits
        ]

    def _agreement(self) -> str:
        return f"{self.agreement:.1%} of {self.inputs} answers are those of floating point"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.2%}"


@torch.no_grad()
def calibrate(
    network: SpikingNetwork, inputs: Given | Array | Sequence[Array], progress: Report | None = None
) -> Calibration:
    """Quantise a trained network after training: no labels, no gradients.

    Args:
        network: as ``prepare`` gives it of a trained model, in training form; it is changed. Weights get the quantiser
            "learned", at the scales found, from which training may go on.
        inputs: a few hundred, as the network takes them, a tensor or an array; of several inputs, one each. All are
            held at once.
        progress: called with how many layers are done; a bar by default, on a terminal, where it takes long.

    Returns:
        What each layer lost, to be printed.

    Raises:
        ModelError: the network is frozen, or is floating point.
        DataError: there are no inputs, or as the network raises it.

    Example:
        >>> trained, images = LeNetSNN((1, 8, 8)), torch.randint(0, 256, (32, 1, 8, 8), dtype=torch.uint8)
        >>> network = prepare(trained, QuantConfig(weight_bits=4, state_bits=4), input_shape=(1, 8, 8))
        >>> calibrate(network, images).inputs
        32
        >>> graph = lower(network.freeze())
    """
    if network.frozen or not network.config.integer:
        what = "frozen" if network.frozen else "floating point"
        raise ModelError(f"a network that is {what} cannot be calibrated: prepare it anew, with 1.58 to 8 bits")
    shown = _tensors(inputs)
    given = network.sent(shown)
    if not all(x.numel() for x in ([shown] if isinstance(shown, Tensor) else shown)):
        raise DataError("there are no inputs to calibrate with: give a few hundred, as the network takes them")
    training = network.training
    teacher = in_floating_point(network).eval()
    pair = _Pair(network.eval(), teacher, given, teacher.sent(shown))
    layers: list[LayerCalibration] = []
    with progress_shown(progress, len(network.stages), "calibrating") as report:
        for group in loops_of(network.hidden, pair.first):
            layers += _calibrated_group(pair, group)
            report(len(layers))
        for i, readout in enumerate(network.readouts):
            if _synapses(readout):  # else it counts spikes
                layers.append(_calibrated_readout(pair, i))
            report(len(network.hidden) + i + 1)
    said = [net.answer(net(shown)).flatten(1).argmax(1) for net in (network, teacher)]
    network.train(training)
    return Calibration(len(said[0]), tuple(layers), float((said[0] == said[1]).float().mean()))


def _tensors(inputs: Given | Array | Sequence[Array]) -> Given:
    """Arrays of numbers as tensors; anything else as it is."""
    if isinstance(inputs, list | tuple):
        return [cast(Tensor, _tensors(x)) for x in inputs]
    if isinstance(inputs, np.ndarray) and inputs.dtype.kind in "biuf":
        return torch.from_numpy(np.ascontiguousarray(inputs))
    return cast(Given, inputs)


def in_floating_point(network: SpikingNetwork) -> SpikingNetwork:
    """A copy that computes with its latent weights, and stores potentials as they are."""
    free = copy.deepcopy(network)
    for module in free.modules():
        if isinstance(module, Synapse):
            module.quantizer = None
        elif isinstance(module, TrainableShortcut):
            module.shift = 0
        elif isinstance(module, LIF):
            module.levels = None
    return free


@dataclass(frozen=True, eq=False)
class _Pair:
    """A network and the one in floating point that it is to follow, with what each has sent so far."""

    network: SpikingNetwork
    teacher: SpikingNetwork
    ours: Sent
    theirs: Sent

    @property
    def first(self) -> int:
        return len(self.network.input_shapes)


def _calibrated_group(pair: _Pair, group: range) -> list[LayerCalibration]:
    """Calibrate a layer, or those of a loop, and let both networks compute it."""
    stages, wanted = ([net.hidden[i] for i in group] for net in (pair.network, pair.teacher))
    loop = is_loop(group, pair.network.hidden, pair.first)
    seen = [Recorder(), Recorder()]
    passes = [
        TrainingPass(net.hidden, pair.first, False, False, probe, None)
        for net, probe in zip((pair.network, pair.teacher), seen, strict=True)
    ]
    passes[1].run_group(group, pair.theirs)
    for stage, free in zip(stages, wanted, strict=True):
        static = pair.ours.stands_still(stage)
        look = (pair.theirs if loop else pair.ours).whole(static)  # what a loop will send is not known yet
        _fit(stage, free, look, pair.theirs.whole(static))
        if not loop:
            match_rates(stage, drive_over_time(stage, pair.ours, static), seen[1].found[stage.name][0], pair.ours.steps)
    if loop:
        match_rates_in_loop(pair.network, pair.ours, group, [seen[1].found[stage.name][0] for stage in stages])
    passes[0].run_group(group, pair.ours)
    found = []
    for stage in stages:
        (spikes, stored), (free_spikes, _) = (recorder.found[stage.name] for recorder in seen)
        levels = cast(LIF, stage.lif).levels
        assert levels is not None
        codes = stored.round()
        found.append(
            LayerCalibration(
                stage.name,
                _bits(stage),
                _clipped(stage),
                float(spikes.mean()),
                float(free_spikes.mean()),
                float((spikes != free_spikes).float().mean()),
                float(((codes <= levels.low) | (codes >= levels.high)).float().mean()),
            )
        )
    for i in group:
        pair.ours.forget(i)
        pair.theirs.forget(i)
    return found


def _calibrated_readout(pair: _Pair, index: int) -> LayerCalibration:
    stage, free = pair.network.readouts[index], pair.teacher.readouts[index]
    _fit(stage, free, pair.ours.whole(False), pair.theirs.whole(False))
    return LayerCalibration(stage.name, _bits(stage), _clipped(stage))


def _fit(stage: NeuronStage, free: NeuronStage, look: Look, wanted: Look) -> None:
    """Choose the codes of a layer, then scales and means of its channels."""
    if isinstance(stage, Stage):
        _fit_codes(stage.synapse, stage.seen(look))
        if stage.shortcut is not None:
            _fit_shortcut(stage.shortcut, stage.synapse, look(stage.first + stage.shortcut.source, 0))
        ratio, more = _line(stage.current_of(look), free.current_of(wanted), stage.lif is None)
        _scale_stage(stage, ratio)
        shift_stage(stage, more)
        return
    drive, other = (cast(BranchedStage | BranchedReadout, each).drive for each in (stage, free))
    for leaf, model in zip(weights_of(drive), weights_of(other), strict=True):
        _fit_codes(leaf.synapse, leaf.seen(look))
        quantizer = _quantizer(leaf.synapse)
        ratio, more = _line(leaf.current(look), model.current(wanted), quantizer.per_tensor)
        quantizer.scale.mul_(ratio[: len(quantizer.scale)])
        if leaf.synapse.bias is not None:
            leaf.synapse.bias.mul_(ratio)
        add_bias(leaf.synapse, more)


def weights_of(drive: Drive) -> list[Weights]:
    """The synapses of a drive."""
    return [leaf for leaf in drive.leaves() if isinstance(leaf, Weights)]


# ---- codes ----


def _fit_codes(synapse: Synapse, x: Tensor, scale: Tensor | None = None) -> None:
    """Give a synapse the codes and scales of least error on what it looks at, [N, ...]; ``scale``: with these."""
    old = _quantizer(synapse)
    rows, outputs = synapse.weight.detach().flatten(1), len(synapse.weight)
    groups = synapse.groups
    codes: list[Tensor] = []
    scales: list[Tensor] = []
    for part, seen in zip(rows.chunk(groups), inputs_of(synapse, x), strict=True):
        which = None if scale is None else scale.expand(outputs).chunk(groups)[len(codes)]
        found = least_error_codes(part, seen, (old.low, old.high), which, old.per_tensor)
        codes.append(found[0])
        scales.append(found[1])
    unit = torch.cat(scales)
    made = Learned(synapse.weight, old.bits, True, old.per_tensor)
    made.gain.requires_grad_(old.gain.requires_grad)
    made.scale.copy_(unit if not old.per_tensor else unit[:1])
    column = made.positive_scale().double().expand(outputs)[:, None]
    synapse.weight.copy_((torch.cat(codes) * column).view_as(synapse.weight))
    synapse.quantizer = made


def _fit_shortcut(shortcut: TrainableShortcut, main: Synapse, x: Tensor) -> None:
    """A shortcut counts in the units of the branch that it is added to."""
    unit, synapse = main.scale(), shortcut.synapse
    if not isinstance(synapse.quantizer, Multiples):
        _fit_codes(synapse, x, unit * 2**shortcut.shift)
        return
    quantizer = synapse.quantizer
    passed = synapse.weight.flatten() / unit  # codes of the main branch that a spike is worth
    shortcut.shift = max(0, math.ceil(math.log2(float(passed.abs().amax()) / 127)))
    synapse.weight.copy_((passed / (quantizer.unit * 2**shortcut.shift)).view_as(synapse.weight))


def _quantizer(synapse: Synapse) -> WeightQuantizer:
    assert synapse.quantizer is not None
    return synapse.quantizer


# ---- scales and means ----


def _line(ours: Tensor, wanted: Tensor, as_one: bool) -> tuple[Tensor, Tensor]:
    """[C] factors and [C] summands that give channels of [N, C, ...] the spread and the mean that are wanted;
    ``as_one``: one factor for all."""
    a, b = (x.transpose(0, 1).flatten(1).double() for x in (ours, wanted))
    spread_a, spread_b = a.var(1, correction=0), b.var(1, correction=0)
    if as_one:
        spread_a, spread_b = spread_a.mean().expand(len(a)), spread_b.mean().expand(len(b))
    known = (spread_a > 0) & (spread_b > 0)
    ratio = torch.where(known, (spread_b / spread_a.clamp(min=1e-30)).sqrt().clamp(0.5, 2.0), 1.0)
    return ratio.float(), (b.mean(1) - ratio * a.mean(1)).float()


def _scale_stage(stage: Stage, ratio: Tensor) -> None:
    """Multiply the current of each channel."""
    if stage.norm is not None:
        stage.norm.weight.mul_(ratio)
        stage.norm.bias.mul_(ratio)
        return
    quantizer = _quantizer(stage.synapse)
    quantizer.scale.mul_(ratio[: len(quantizer.scale)])
    if stage.synapse.bias is not None:
        stage.synapse.bias.mul_(ratio)


def _synapses(stage: NeuronStage) -> list[Synapse]:
    return [module for module in stage.modules() if isinstance(module, Synapse)]


def _bits(stage: NeuronStage) -> float:
    return min((_quantizer(synapse).bits for synapse in _synapses(stage)), default=0.0)  # none: sums of spikes


def _clipped(stage: NeuronStage) -> float:
    ends = total = 0
    for synapse in _synapses(stage):
        quantizer, codes = _quantizer(synapse), synapse.codes()
        ends += int(((codes <= quantizer.low) | (codes >= quantizer.high)).sum())
        total += codes.numel()
    return ends / max(total, 1)
