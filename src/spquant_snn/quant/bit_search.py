"""Mixed precision: a width of weights for each layer that meets a file size, or keeps the predictions.

The cost of a width is the relative square error of a layer's sums, over the inputs that it has in floating point
(``quant.least_error``). The search starts with 8 bits in all layers and, step by step, narrows the layer whose error
grows least for each byte saved; the first, or last, step that meets the budget is taken, found by bisection.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from ..errors import ConfigError
from ..integer.connection import Shape
from ..integer.file import to_bytes
from ..integer.grids import TERNARY, Bits
from ..integer.inputs import check_count
from ..io import html
from ..io.terminal import Report, progress_shown, unseen
from .branched_stage import BranchedReadout, BranchedStage
from .calibration import Calibration, calibrate, in_floating_point, weights_of
from .least_error import inputs_of, least_error_codes
from .lower import lower
from .network import Given, SpikingNetwork
from .prepare import prepare
from .quant_config import QuantConfig
from .sent import loops_of
from .stage import Look, NeuronStage, Stage
from .synapse import Synapse
from .training_pass import TrainingPass
from .weight import WeightQuantizer, weight_quantizer

MakeNetwork = Callable[[Bits | Mapping[str, Bits]], SpikingNetwork]  # of widths of weights

_WIDTHS: tuple[float, ...] = (8, 6, 4, 3, 2, TERNARY)
_SET_ASIDE = 4  # one of so many inputs tells whether answers are kept


@dataclass(frozen=True)
class LayerErrors:
    """The error of a layer at each width of weights.

    Args:
        path: of the layer in the model.
        weights: number of its weights.
        errors: by width, the mean square error of its sums, relative to their mean square.
    """

    path: str
    weights: int
    errors: Mapping[float, float]


@dataclass(frozen=True, eq=False, repr=False)
class FoundBits:
    """The result of ``search_bits``.

    Args:
        network: calibrated, in training form.
        widths: the bits of the weights of each layer, by its path in the model.
        size: bytes of the .spq file.
        calibration: the losses of each layer.

    Example:
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 8), LIF(), torch.nn.Linear(8, 4))
        >>> images = torch.randint(0, 256, (32, 1, 8, 8), dtype=torch.uint8)
        >>> isinstance(search_bits(model, QuantConfig(), (1, 8, 8), images, agreement=0.1), FoundBits)
        True
    """

    network: SpikingNetwork
    widths: Mapping[str, float]
    size: int
    calibration: Calibration

    def __repr__(self) -> str:
        widths = ",".join(f"{path}={bits:g}" for path, bits in self.widths.items())
        return f"FoundBits({self.size:,} bytes, weight_bits {widths})"

    def _repr_html_(self) -> str:
        """The size, and the losses of each layer, as a notebook shows them."""
        return html.text(f"{self.size:,} bytes") + self.calibration._repr_html_()


def search_bits(
    model: nn.Module,
    config: QuantConfig,
    input_shape: Shape | Sequence[Shape],
    inputs: Given,
    *,
    size: int | None = None,
    agreement: float | None = None,
    progress: Report | None = None,
) -> FoundBits:
    """Find a width of weights for each layer that meets a budget, and calibrate the network at these.

    Give one budget, either ``size`` or ``agreement``.

    Args:
        model: trained, as ``prepare`` takes it.
        config: of everything but ``weight_bits``, which is ignored.
        input_shape: as ``prepare`` takes it.
        inputs: a few hundred, as ``calibrate`` takes them.
        size: the most bytes that the .spq file may have; the widest weights that fit are taken.
        agreement: the share of inputs, 0 to 1, whose predicted class must be that of floating point, measured on a
            quarter of the inputs that is set aside for this; the narrowest weights that keep it are taken.
        progress: called with the number of networks tried; a bar by default, on a terminal, where it takes long.

    Raises:
        ConfigError: neither or both are given, or nothing meets the budget; the message says what comes nearest.
        ModelError, DataError: as ``prepare`` and ``calibrate``.

    Example:
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 32), LIF(), torch.nn.Linear(32, 4))
        >>> images = torch.randint(0, 256, (32, 1, 8, 8), dtype=torch.uint8)
        >>> found = search_bits(model, QuantConfig(state_bits=4), (1, 8, 8), images, size=5000)
        >>> found.size <= 5000
        True
    """
    if not isinstance(config, QuantConfig):
        raise ConfigError(f"a QuantConfig is needed, not {config!r}: give QuantConfig(state_bits=...)")
    return find_bits(
        lambda bits: prepare(model, replace(config, weight_bits=bits), input_shape), inputs, size, agreement, progress
    )


def find_bits(
    make: MakeNetwork,
    inputs: Given,
    size: int | None,
    agreement: float | None,
    progress: Report | None = None,
) -> FoundBits:
    """``search_bits`` over the networks that ``make`` gives for widths of weights."""
    _check_budget(size, agreement)
    wide = make(8)
    errors = layer_errors(wide, inputs)
    way = narrower_and_narrower(errors)

    def made(step: int) -> SpikingNetwork:
        return make(way[step])

    if size is not None:
        return _of_size(make, way, errors, inputs, size, progress)
    learned, held = _parts(inputs, wide)

    def kept(step: int) -> bool:
        network = made(step)
        calibrate(network, learned, unseen)
        return agreement is not None and _agreement(network, wide, held) >= agreement

    broken = _first(len(way), lambda step: not kept(step), progress)
    if broken == 0:
        raise ConfigError(
            f"even 8 bits do not keep {agreement:.1%} of the answers: use more state_bits, or ask for less"
        )
    last = (len(way) if broken is None else broken) - 1
    network = made(last)
    return _found(network, way[last], calibrate(network, learned, unseen))


def _check_budget(size: int | None, agreement: float | None) -> None:
    if (size is None) == (agreement is None):
        raise ConfigError("a search needs a budget: give either size, in bytes, or agreement, from 0 to 1")
    if size is not None:
        check_count("size", size)
    elif isinstance(agreement, bool) or not isinstance(agreement, int | float) or not 0 <= agreement <= 1:
        raise ConfigError(f"agreement must be a share of the answers, from 0 to 1, not {agreement!r}")


def _of_size(
    make: MakeNetwork,
    way: Sequence[Mapping[str, float]],
    errors: Sequence[LayerErrors],
    inputs: Given,
    size: int,
    progress: Report | None,
) -> FoundBits:
    """The widest weights whose file has at most so many bytes."""

    def calibrated(widths: Mapping[str, float]) -> FoundBits:
        network = make(widths)
        return _found(network, widths, calibrate(network, inputs, unseen))

    target = size  # of networks before they are calibrated, whose constants may take more bytes then

    def fits(widths: Mapping[str, float]) -> bool:
        return _bytes_of(make(widths)) <= target

    while (step := _first(len(way), lambda step: fits(way[step]), progress)) is not None:
        found = calibrated(_widened(way[step], errors, fits))
        if found.size <= size:
            return found
        target -= found.size - size
    least = calibrated(way[-1]).size
    raise ConfigError(
        f"no widths of weights make a file of {size:,} bytes: the smallest has {least:,}; use fewer channels"
    )


def _bytes_of(network: SpikingNetwork) -> int:
    """Of the file of a network, which is frozen."""
    return len(to_bytes(lower(network.eval().freeze())))


def _found(network: SpikingNetwork, widths: Mapping[str, float], calibration: Calibration) -> FoundBits:
    size = _bytes_of(network)
    network.frozen = False
    return FoundBits(network.train(), widths, size, calibration)


def _first(count: int, holds: Callable[[int], bool], progress: Report | None) -> int | None:
    """The first of ``count`` steps at which a condition holds, by bisection, as it holds at all later ones too; None:
    it holds at none."""
    low, high, looked = 0, count, 0
    with progress_shown(progress, count.bit_length(), "networks looked at") as report:
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if holds(middle) else (middle + 1, high)
            report(looked := looked + 1)
    return low if low < count else None


def _parts(inputs: Given, network: SpikingNetwork) -> tuple[Given, Given]:
    """Inputs split into three quarters to calibrate with and a quarter that is set aside."""
    one = isinstance(inputs, torch.Tensor)
    given = [inputs] if isinstance(inputs, torch.Tensor) else list(inputs)
    parts = []
    for x, shape in zip(given, network.input_shapes, strict=True):
        axis = -len(shape) - 1 if tuple(x.shape[-len(shape) :]) == tuple(shape) else -4
        held = torch.arange(x.shape[axis]) % _SET_ASIDE == _SET_ASIDE - 1
        if not bool(held.any()):
            raise ConfigError(f"{len(held)} inputs are too few to set a quarter aside: give at least {_SET_ASIDE}")
        parts.append([x.index_select(axis, which.nonzero()[:, 0]) for which in (~held, held)])
    learned, set_aside = zip(*parts, strict=True)
    return (learned[0], set_aside[0]) if one else (learned, set_aside)


@torch.no_grad()
def _agreement(network: SpikingNetwork, wide: SpikingNetwork, inputs: Given) -> float:
    """Share of inputs for which the predicted class is that of floating point."""
    ours, free = network.eval(), in_floating_point(wide).eval()
    ours_said, said = (net.answer(net(inputs)).flatten(1).argmax(1) for net in (ours, free))
    return float((ours_said == said).float().mean())


@torch.no_grad()
def layer_errors(network: SpikingNetwork, inputs: Given) -> list[LayerErrors]:
    """The error of each layer of a prepared, trained network at each width of weights; the network is not changed."""
    free, first = in_floating_point(network).eval(), len(network.input_shapes)
    sent, found = free.sent(inputs), []
    run = TrainingPass(free.hidden, first, False, False, None, None)
    stages = [*network.hidden, *network.readouts]
    for group in [*loops_of(free.hidden, first), *(range(i, i + 1) for i in range(len(free.hidden), len(stages)))]:
        if group.start < len(free.hidden):
            run.run_group(group, sent)
        for i in group:
            static = i < len(free.hidden) and sent.stands_still(stages[i])
            found += [_errors(*part, network.config) for part in _parts_of(stages[i], sent.whole(static))]
            sent.forget(i)
    return found


def _parts_of(stage: NeuronStage, look: Look) -> list[tuple[str, Synapse, torch.Tensor]]:
    """Path, synapse and input of each set of weights in a stage."""
    if isinstance(stage, Stage):
        return [(stage.name, stage.synapse, stage.seen(look))]
    assert isinstance(stage, BranchedStage | BranchedReadout)
    return [(leaf.name, leaf.synapse, leaf.seen(look)) for leaf in weights_of(stage.drive)]


def _errors(path: str, synapse: Synapse, x: torch.Tensor, config: QuantConfig) -> LayerErrors:
    rows = synapse.weight.detach().flatten(1).chunk(synapse.groups)
    seen, found = list(inputs_of(synapse, x)), {}
    assert synapse.quantizer is not None
    for bits in _WIDTHS:
        like: WeightQuantizer = weight_quantizer("learned", synapse.weight, bits, False, synapse.quantizer.per_tensor)
        lost = there = 0.0
        for part, given in zip(rows, seen, strict=True):
            codes, scale = least_error_codes(part, given, (like.low, like.high), None, like.per_tensor)
            missed = part.double() - scale[:, None] * codes
            lost += float(((missed @ given.products) * missed).sum())
            there += float(((part.double() @ given.products) * part.double()).sum())
        found[bits] = lost / there if there > 0 else 0.0
    return LayerErrors(path, synapse.weight.numel(), found)


def narrower_and_narrower(layers: Sequence[LayerErrors]) -> list[dict[str, float]]:
    """Widths for each path, from 8 bits in all to 1.58 in all, each step at the least error for a byte saved."""
    at = [0] * len(layers)
    way = [_widths(layers, at)]
    while any(i < len(_WIDTHS) - 1 for i in at):
        costs = [
            (_cost(layer, i, further), k, further)
            for k, (layer, i) in enumerate(zip(layers, at, strict=True))
            for further in range(i + 1, len(_WIDTHS))
        ]
        _, chosen, to = min(costs)
        at[chosen] = to
        way.append(_widths(layers, at))
    return way


def _widened(
    widths: Mapping[str, float], layers: Sequence[LayerErrors], fits: Callable[[Mapping[str, float]], bool]
) -> Mapping[str, float]:
    """Widths raised again by what a step of the way was too long, at the largest error for a byte, while they fit."""
    found, tried = dict(widths), set[str]()
    while left := [layer for layer in layers if layer.path not in tried and found[layer.path] < _WIDTHS[0]]:
        places = {layer.path: _WIDTHS.index(found[layer.path]) for layer in left}
        best = max(left, key=lambda layer: _cost(layer, places[layer.path] - 1, places[layer.path]))
        wider = found | {best.path: _WIDTHS[places[best.path] - 1]}
        if fits(wider):
            found = wider
        else:
            tried.add(best.path)
    return found


def _cost(layer: LayerErrors, here: int, there: int) -> float:
    """The increase of a layer's error for each bit that is saved."""
    wide, narrow = _WIDTHS[here], _WIDTHS[there]
    return (layer.errors[narrow] - layer.errors[wide]) / ((wide - narrow) * layer.weights)


def _widths(layers: Sequence[LayerErrors], at: Sequence[int]) -> dict[str, float]:
    return {layer.path: _WIDTHS[i] for layer, i in zip(layers, at, strict=True)}
