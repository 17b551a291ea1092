"""From the description of a network to its stages: a layer of one row of synapses, or with a plain shortcut, becomes a
``Stage``, which trains fastest; any other a ``BranchedStage``."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import nn

from ..errors import ModelError
from ..integer.grids import FLOAT, STATE_GRIDS
from ..integer.pool import Pool
from ..nn.lif import LIF
from ..nn.recurrence import Levels
from . import described as d
from .branched_stage import BranchedReadout, BranchedStage
from .drive import Drive, DroppedSums, GroupSums, NormalisedSums, PooledSums, Summed, Through, Weights, pads
from .quant_config import QuantConfig
from .shortcut import TrainableShortcut
from .signals import Sources, pool_of
from .stage import NeuronStage, Norm, Stage
from .synapse import Synapse

_SMALL = 0.1  # largest value of an input, below which eps is made smaller
_LEAST_EPS = 1e-37  # that float32 holds


def stages_of(network: d.NetworkDescription, config: QuantConfig) -> list[NeuronStage]:
    """The stages of a network, the readouts last.

    Raises:
        ModelError: a part has no integer form.
    """
    sources = Sources(config.input_formats(len(network.inputs)))
    stages: list[NeuronStage] = []
    for layer in network.layers:
        neurons = _neurons(layer.neurons, config)
        stages.append(_stage(layer.name, layer.drive, neurons, config, sources))
        _follow_inputs(stages[-1], sources)
    return stages + [_readout(readout, config, sources) for readout in network.readouts]


def _follow_inputs(stage: NeuronStage, sources: Sources) -> None:
    """Let an untrained normalisation of small inputs, as volts of an electroencephalogram are, do what it does of
    larger ones. What is added to a variance is meant for values near one; and beside a bias, which the normalisation
    takes off again, float32 would not hold such sums."""
    given = [sources.formats[source] for source, _ in stage.sources if source < sources.inputs]
    largest = max((each.largest * each.scale for each in given), default=1.0)
    for part in stage.modules() if largest < _SMALL else ():
        norm = part.norm if isinstance(part, Stage | NormalisedSums) else None
        if norm is None or bool(norm.running_mean.any()) or not bool((norm.running_var == 1).all()):
            continue
        norm.eps = max(norm.eps * (largest / _SMALL) ** 2, _LEAST_EPS)
        for synapse in part.modules():
            if isinstance(synapse, Synapse):
                synapse.bias = None


def _neurons(lif: LIF, config: QuantConfig) -> LIF:
    """A copy, since a layer called in two places becomes two, that stores what the state's bits can hold."""
    made = copy.deepcopy(lif)
    if config.state_bits != FLOAT:
        grid = STATE_GRIDS[float(config.state_bits)]
        made.levels = Levels(grid.low, grid.high, float(grid.step))
    return made


def _stage(name: str, drive: d.Drive, lif: LIF, config: QuantConfig, sources: Sources) -> NeuronStage:
    row = _row_of(drive)
    if row is None:
        return BranchedStage(name, _drive(drive, config, sources, False, False), lif)
    return _build(name, row, lif, config, sources)


def _readout(readout: d.ReadoutDescription, config: QuantConfig, sources: Sources) -> NeuronStage:
    if isinstance(readout.drive, d.Integrated):
        return BranchedReadout(
            readout.name, _drive(readout.drive.drive, config, sources, False, True), readout.drive.module
        )
    row = _row_of(readout.drive)
    if row is not None and isinstance(row.main.module, nn.Linear) and row.plain_readout:
        return _build(readout.name, row, None, config, sources)
    return BranchedReadout(readout.name, _drive(readout.drive, config, sources, False, True))


# ---- one row of synapses ----


@dataclass
class _Row:
    """The parts of a drive of one row of synapses, and a shortcut at most."""

    main: d.Weighed
    source: d.Spikes | d.Pixels
    beside: d.Weighed | d.Passed | None = None
    norm: d.Normalised | None = None
    sum_pool: Pool | None = None
    pools: list[Pool] = field(default_factory=list)
    drop_spikes: float = 0.0
    drop_current: float = 0.0

    @property
    def plain_readout(self) -> bool:
        return self.beside is None and self.norm is None and self.sum_pool is None


def _row_of(drive: d.Drive) -> _Row | None:
    """A drive as one row of synapses; None where it is more."""
    norm: d.Normalised | None = None
    pool: Pool | None = None
    dropped = 0.0
    while not isinstance(drive, d.Weighed | d.Sum):
        if isinstance(drive, d.Normalised) and norm is None:
            norm = drive
        elif isinstance(drive, d.PooledDrive) and drive.kind == "avg" and pool is None:
            pool = Pool("sum", drive.kernel, drive.stride, drive.padding, drive.dilation)
            if not pool.plain or drive.divisor != pool.area:
                return None
        elif isinstance(drive, d.DroppedDrive) and not drive.channels:
            dropped = 1 - (1 - dropped) * (1 - drive.p)
        else:
            return None
        drive = drive.drive
    main, beside = (drive, None) if isinstance(drive, d.Weighed) else _main_and_shortcut(drive, pool)
    if main is None:
        return None
    row = _Row(main, d.Pixels(0, ()), beside, norm, pool, drop_current=dropped)
    return row if _looks_plainly(main.signal, row) and _is_even(main.module) else None


def _looks_plainly(signal: d.Signal, row: _Row) -> bool:
    """Take down the pools and dropouts of a signal; whether there is nothing else on the way to its one source."""
    while not isinstance(signal, d.Spikes | d.Pixels):
        if isinstance(signal, d.Pooled):
            step = pool_of(signal)
            assert isinstance(step, Pool)
            if signal.divisor != step.area or (row.beside is not None and step.kind == "sum"):
                return False
            row.pools.insert(0, step)
        elif isinstance(signal, d.Dropped) and not signal.channels:
            row.drop_spikes = 1 - (1 - row.drop_spikes) * (1 - signal.p)
        elif not isinstance(signal, d.Flattened | d.Reshaped):
            return False
        signal = signal.signal
    row.source = signal
    return isinstance(signal, d.Pixels) or signal.delay == 0


def _is_even(module: nn.Module) -> bool:
    """Whether a layer's padding is the same on opposite sides, and nothing is spread."""
    if isinstance(module, nn.Conv1d | nn.Conv2d) and module.padding == "same":
        return all(
            dilation * (kernel - 1) % 2 == 0
            for dilation, kernel in zip(module.dilation, module.kernel_size, strict=True)
        )
    return isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear)


def _main_and_shortcut(drive: d.Sum, pool: Pool | None) -> tuple[d.Weighed | None, d.Weighed | d.Passed | None]:
    """The two branches of a plain shortcut; none where a sum is more than that."""
    if len(drive.drives) != 2 or pool is not None:
        return None, None
    for main, beside in (drive.drives, drive.drives[::-1]):
        if not (isinstance(main, d.Weighed) and isinstance(main.module, nn.Conv2d)):
            continue
        if not isinstance(beside, d.Passed | d.Weighed) or not _is_spikes(beside.signal):
            continue
        later = _latest(main.signal) >= cast(d.Spikes, beside.signal).layer
        if later and (
            isinstance(beside, d.Passed) or (isinstance(beside.module, nn.Conv2d) and _is_even(beside.module))
        ):
            return main, beside
    return None, None


def _is_spikes(signal: d.Signal) -> bool:
    return isinstance(signal, d.Spikes) and signal.delay == 0


def _latest(signal: d.Signal) -> int:
    """The layer that a signal of one source comes from; -1 of pixels and of any other."""
    while not isinstance(signal, d.Spikes | d.Pixels | d.Concatenated | d.Added):
        signal = signal.signal
    return signal.layer if isinstance(signal, d.Spikes) else -1


def _build(name: str, row: _Row, lif: LIF | None, config: QuantConfig, sources: Sources) -> Stage:
    layer = row.main.module
    synapse = Synapse(
        layer, row.sum_pool, config.at(row.main.path), free_scale=row.norm is None, per_tensor=lif is None
    )
    norm = None if row.norm is None else _norm(row.norm, len(synapse.weight))
    pixels = isinstance(row.source, d.Pixels)
    source = row.source.input if isinstance(row.source, d.Pixels) else sources.inputs + row.source.layer
    shortcut = None
    if row.beside is not None:
        start = cast(d.Spikes, row.beside.signal).layer
        module = row.beside.module if isinstance(row.beside, d.Weighed) else None
        shortcut = TrainableShortcut(
            row.beside.path, start, cast(nn.Conv2d | None, module), layer.weight, config.at(row.main.path)
        )
        _merge_bias(synapse, shortcut.synapse)
    stage = Stage(
        name,
        tuple(row.pools),
        synapse,
        norm,
        lif,
        row.drop_spikes,
        row.drop_current,
        sources.formats[source] if pixels else None,
        source,
        shortcut,
        sources.inputs,
    )
    if row.norm is not None and row.norm.module.weight is not None:
        stage.flip(row.norm.module.weight.detach() < 0)
    return stage


def _merge_bias(synapse: Synapse, shortcut: Synapse) -> None:
    """Let the main branch have the bias of both; another number of outputs is refused later."""
    if shortcut.bias is not None and len(shortcut.weight) == len(synapse.weight):
        bias = shortcut.bias.detach()
        synapse.bias = nn.Parameter(bias if synapse.bias is None else synapse.bias.detach() + bias)
        shortcut.bias = None


def _norm(found: d.Normalised, channels: int) -> Norm:
    module = found.module
    if module.running_mean is None or module.running_var is None:
        raise ModelError(
            f"layer {found.path!r}: batch normalisation without running statistics cannot be folded; "
            "leave track_running_stats on"
        )
    if module.momentum is None:
        raise ModelError(f"layer {found.path!r}: batch normalisation with momentum=None is not supported; use a number")
    if len(module.running_mean) != channels:
        raise ModelError(
            f"layer {found.path!r}: batch normalisation of {len(module.running_mean)} channels does not fit "
            f"{channels} outputs"
        )
    return Norm(module)


# ---- any other drive ----


def _drive(drive: d.Drive, config: QuantConfig, sources: Sources, normalised: bool, per_tensor: bool) -> Drive:
    """The tree of modules of a drive.

    Args:
        normalised: whether batch normalisation stands behind it.
        per_tensor: its weights have one scale for all outputs.
    """

    def inner(of: d.Drive, behind: bool = normalised) -> Drive:
        return _drive(of, config, sources, behind, per_tensor and not behind)

    if isinstance(drive, d.Weighed):
        synapse = Synapse(drive.module, None, config.at(drive.path), free_scale=not normalised, per_tensor=per_tensor)
        return Weights(drive.path, drive.signal, synapse, sources)
    if isinstance(drive, d.Passed):
        through = Through(drive.path, drive.signal, sources)
        vector = per_tensor and len(drive.shape) == 1  # a population that is read out: each neuron votes for itself
        return GroupSums(through, 1) if vector else through
    if isinstance(drive, d.Sum):
        return Summed([inner(each) for each in drive.drives])
    if isinstance(drive, d.DroppedDrive):
        return DroppedSums(inner(drive.drive), drive.p, drive.channels)
    if isinstance(drive, d.PooledDrive):
        return _pooled(drive, inner(drive.drive))
    if isinstance(drive, d.Normalised):
        return _normalised(drive, inner(drive.drive, True))
    if isinstance(drive, d.GroupMeans):
        return _group_means(drive, inner(drive.drive))
    return inner(drive.drive)


def _pooled(drive: d.PooledDrive, inner: Drive) -> Drive:
    pool = Pool("max" if drive.kind == "max" else "sum", drive.kernel, drive.stride, drive.padding, drive.dilation)
    name, leaves = next(inner.leaves()).name, list(inner.leaves())
    shifts = any(isinstance(module, Norm) for module in inner.modules())
    biased = any(isinstance(leaf, Weights) and leaf.synapse.bias is not None for leaf in leaves)
    if pool.kind == "sum" and pads(pool) and (shifts or biased):
        raise ModelError(
            f"layer {name!r}: an average with padding over sums with a bias or batch normalisation counts them less "
            "at the border: use padding 0, or normalise behind the pool"
        )
    if any(isinstance(module, PooledSums) for module in inner.modules()):
        raise ModelError(f"layer {name!r}: two pools over its sums have no integer form; make them one")
    if pool.kind == "max" and len(leaves) > 1:
        raise ModelError(
            f"layer {name!r}: the largest value of a sum of branches has no integer form: pool each branch, or move "
            "the pool behind the neurons"
        )
    return PooledSums(inner, pool, drive.divisor)


def _normalised(drive: d.Normalised, inner: Drive) -> Drive:
    norm = _norm(drive, inner.channels)
    weight = drive.module.weight
    sign = torch.ones(inner.channels) if weight is None else torch.where(weight.detach() < 0, -1.0, 1.0)
    if isinstance(inner, Weights):  # codes of the other sign do the same
        _flip(inner.synapse, sign)
        with torch.no_grad():
            norm.running_mean.mul_(sign)
        sign = torch.ones_like(sign)
    return NormalisedSums(inner, norm, sign)


def _flip(synapse: Synapse, sign: torch.Tensor) -> None:
    with torch.no_grad():
        synapse.weight.mul_(sign.view(-1, *[1] * (synapse.weight.dim() - 1)))
        if synapse.bias is not None:
            synapse.bias.mul_(sign)


def _group_means(drive: d.GroupMeans, inner: Drive) -> Drive:
    inner = inner.inner if isinstance(inner, GroupSums) else inner  # whose groups are of one
    if not isinstance(inner, Through) or len(inner.signal.shape) != 1:
        name = next(inner.leaves()).name
        raise ModelError(
            f"layer {name!r}: means over groups of sums have no integer form: put a LIF layer between, and let its "
            "spikes vote"
        )
    return GroupSums(inner, drive.size)
