"""From a user's module to a network in stages, quantised: the module is read by tracing, and what cannot become
integers is refused here.

A module is read as what it computes in one instant: time is added by the network. What may stand between two layers of
neurons is

    [MaxPool2d | AvgPool2d | Dropout | Flatten]*  (Conv2d | Linear)  [BatchNorm | AvgPool2d | Dropout]*  LIF

and the last layer is a Linear. Behind the Conv2d, earlier spikes may be added, as they are or through a Conv2d.

Average pooling and batch normalisation commute at inference; here the pool always
comes first. Dropout works on the inputs of the weights or on those of the neurons, whichever it stands nearer to.
"""

from __future__ import annotations

import copy
import warnings
from dataclasses import dataclass, field

import torch
from torch import nn

from ..errors import ModelError
from ..integer.grids import FLOAT, STATE_GRIDS
from ..integer.pool import Pool
from ..nn.lif import LIF
from ..nn.recurrence import Levels
from .finite_check import check_finite, check_given
from .network import SpikingNetwork
from .plain_parameters import MASK, shared_places, with_plain_parameters
from .quant_config import QuantConfig
from .read_module import Join, Layer, modules_of, read_layers
from .shortcut import TrainableShortcut
from .stage import Norm, Stage
from .synapse import Synapse


def prepare(model: nn.Module, config: QuantConfig, input_shape: tuple[int, int, int]) -> SpikingNetwork:
    """Quantise a model for training.

    Args:
        model: a row of Conv2d, Linear, BatchNorm, AvgPool2d, MaxPool2d on spikes, Flatten, Dropout and ``LIF`` layers,
            in any modules and any forward method that calls them one after another, with shortcuts as in
            ``bn(conv(y) + shortcut(x))``. It is not changed; its parameters are copied, as float32. Where a weight is
            computed from other parameters, by a parametrisation, weight normalisation or a pruning mask, the weight
            that it gives now is taken; training does not hold it to that, so that zeros of a mask may move. Layers
            that share a parameter become two. Both are said in a warning. Lazy layers get their shapes from
            ``input_shape``.
        config: bits and time steps.
        input_shape: (C, H, W) of an image.

    Returns:
        A ``SpikingNetwork`` in training form: train it with any loop, then ``freeze`` and ``lower`` it.

    Raises:
        ModelError: something in the model has no integer form; the message names its path and the reason.

    Example:
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 32), LIF(), torch.nn.Linear(32, 10))
        >>> network = prepare(model, QuantConfig(weight_bits=2, state_bits=4, timesteps=3), input_shape=(1, 8, 8))
        >>> network(torch.zeros(5, 1, 8, 8, dtype=torch.uint8)).shape
        torch.Size([3, 5, 10])
    """
    channels, height, width = input_shape
    taken, resolved, tied = with_plain_parameters(model, (channels, height, width))
    layers = read_layers(taken)
    for path, layer in layers:
        for module in modules_of(layer):
            check_given(path, module)
            module.float()
    drafts = _split(layers)
    stages = [_build(draft, config, first=i == 0, last=i == len(drafts) - 1) for i, draft in enumerate(drafts)]
    for stage in stages:
        check_finite(stage.name, stage)
    network = SpikingNetwork(stages, config, (channels, height, width))
    for said in _said(resolved, shared_places(layers, tied), network):
        warnings.warn(said, stacklevel=2)
    return network


def _said(resolved: list[str], shared: list[str], network: SpikingNetwork) -> list[str]:
    """What a user should know of a network that differs from the model, or that does not train."""
    said = []
    if resolved:
        zeros = ", so that zeros of a mask may move" if any(MASK in kind for kind in resolved) else ""
        said.append(
            "layers whose weights are computed from others come in with the weights that they have now, and training "
            f"does not hold them to it{zeros}: {', '.join(resolved)}"
        )
    if shared:
        said.append(f"layers that share a parameter become layers of their own, trained apart: {'; '.join(shared)}")
    said += [
        f"layer {stage.name!r}: all weights of its batch normalisation are 0, and its neurons stay so far from their "
        "threshold that nothing trains it: begin with weights other than 0, or with another bias or surrogate"
        for stage in network.hidden
        if not _trains(stage, network.config.timesteps)
    ]
    return said


def _trains(stage: Stage, timesteps: int) -> bool:
    """Whether the gradient of a layer's spikes reaches its parameters; not seldom it is 0 where the currents are."""
    norm, lif = stage.norm, stage.lif
    if norm is None or lif is None or bool(norm.weight.any()):
        return True
    current = norm.bias.detach()[None].requires_grad_()  # what batch normalisation gives, whatever the sums
    with torch.enable_grad():
        spikes = lif.forward_static(current, timesteps)
    return bool(torch.autograd.grad(spikes.sum(), current)[0].any())


@dataclass
class _Draft:
    """The layers of one stage, as they are met."""

    pools: list[Pool] = field(default_factory=list)
    synapse: tuple[str, nn.Conv2d | nn.Linear] | None = None
    sum_pool: Pool | None = None
    shortcut: tuple[str, int, nn.Conv2d | None] | None = None
    norm: nn.BatchNorm1d | nn.BatchNorm2d | None = None
    lif: LIF | None = None
    drop_spikes: float = 0.0
    drop_current: float = 0.0
    flat: bool = False


def _split(layers: list[Layer]) -> list[_Draft]:
    """Sort the layers into stages.

    Raises:
        ModelError: a layer stands where it has no integer form.
    """
    drafts: list[_Draft] = []
    draft = _Draft()
    indices: dict[int, int] = {}
    for place, (path, layer) in enumerate(layers):
        if isinstance(layer, Join):
            _add_shortcut(draft, path, layer, indices)
        elif draft.synapse is None:
            _before_synapse(draft, path, layer, first=not drafts)
        else:
            _after_synapse(draft, path, layer)
        if draft.lif is not None:
            indices[place] = len(drafts)
            drafts.append(draft)
            draft = _Draft()
    if not drafts:
        raise ModelError("the model has no LIF layer: put spquant_snn.LIF() where an activation function would stand")
    if draft.synapse is None:
        raise ModelError(
            f"the model ends with {layers[-1][0]!r}: "
            "the last layer must be a Linear, whose outputs are summed over time"
        )
    path, layer = draft.synapse
    behind = (draft.norm, draft.sum_pool, draft.shortcut)
    if not isinstance(layer, nn.Linear) or any(part is not None for part in behind):
        raise ModelError(
            f"the last layer must be a Linear with nothing but Dropout behind it, "
            f"found {layers[-1][0]!r} after {path!r}"
        )
    return [*drafts, draft]


def _before_synapse(draft: _Draft, path: str, layer: nn.Module, first: bool) -> None:
    if isinstance(layer, nn.Conv2d | nn.Linear):
        _check_synapse(path, layer, draft.flat)
        draft.synapse = (path, layer)
    elif isinstance(layer, nn.AvgPool2d | nn.MaxPool2d):
        if draft.flat:
            raise ModelError(f"layer {path!r}: {type(layer).__name__} after Flatten has no image to pool")
        draft.pools.append(_pool(path, layer))
    elif isinstance(layer, nn.Flatten):
        draft.flat = _check_flatten(path, layer)
    elif isinstance(layer, nn.Dropout):
        draft.drop_spikes = 1 - (1 - draft.drop_spikes) * (1 - layer.p)
    elif not isinstance(layer, nn.Identity):
        where = "the input" if first else "a LIF layer"
        raise ModelError(
            f"layer {path!r}: {type(layer).__name__} behind {where} has no integer form; "
            "a Conv2d or Linear must come first"
        )


def _add_shortcut(draft: _Draft, path: str, join: Join, indices: dict[int, int]) -> None:
    if draft.synapse is None:
        raise ModelError(
            f"what {path!r} joins is spikes, or no Conv2d on the spikes of the LIF layer just before: add to the "
            "currents before a LIF layer, lif(bn(conv(y) + shortcut(x)))"
        )
    main, layer = draft.synapse
    if not isinstance(layer, nn.Conv2d):
        raise ModelError(f"the shortcut {path!r} joins layer {main!r}, which is no Conv2d: shortcuts join convolutions")
    if draft.norm is not None or draft.drop_current:
        raise ModelError(
            f"the shortcut {path!r} joins behind the batch normalisation or dropout of layer {main!r}: "
            "move these behind the sum, bn(conv(y) + shortcut(x))"
        )
    if draft.sum_pool is not None or any(pool.kind == "sum" for pool in draft.pools):
        raise ModelError(
            f"the shortcut {path!r} joins layer {main!r}, whose input or sums an AvgPool2d averages: "
            "use strides in the block, or MaxPool2d on spikes"
        )
    if draft.shortcut is not None:
        raise ModelError(f"the shortcut {path!r} is the second one to layer {main!r}; there can be one")
    if join.layer is not None:
        _check_synapse(path, join.layer, flat=False)
    draft.shortcut = (path, indices[join.source], join.layer)


def _after_synapse(draft: _Draft, path: str, layer: nn.Module) -> None:
    kind = type(layer).__name__
    if isinstance(layer, LIF):
        draft.lif = layer
    elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
        if draft.norm is not None:
            raise ModelError(f"layer {path!r}: a second batch normalisation behind the same weights; remove one")
        if layer.running_mean is None or layer.running_var is None:
            raise ModelError(
                f"layer {path!r}: batch normalisation without running statistics cannot be folded; "
                "leave track_running_stats on"
            )
        if layer.momentum is None:
            raise ModelError(f"layer {path!r}: batch normalisation with momentum=None is not supported; use a number")
        draft.norm = layer
    elif isinstance(layer, nn.AvgPool2d):
        if draft.synapse is not None and isinstance(draft.synapse[1], nn.Linear):
            raise ModelError(f"layer {path!r}: AvgPool2d behind a Linear has no image to pool")
        if draft.shortcut is not None:
            raise ModelError(
                f"layer {path!r}: AvgPool2d behind a sum with a shortcut; use strides in the block, or pool the spikes"
            )
        if draft.sum_pool is not None:
            raise ModelError(f"layer {path!r}: a second pool behind the same weights; make it one larger pool")
        draft.sum_pool = _pool(path, layer)
    elif isinstance(layer, nn.MaxPool2d):
        raise ModelError(
            f"layer {path!r}: MaxPool2d works on spikes; move it behind the LIF layer, or use AvgPool2d here"
        )
    elif isinstance(layer, nn.Dropout):
        draft.drop_current = 1 - (1 - draft.drop_current) * (1 - layer.p)
    elif isinstance(layer, nn.Conv2d | nn.Linear):
        assert draft.synapse is not None
        raise ModelError(
            f"layer {path!r}: no LIF layer between it and {draft.synapse[0]!r}; put one there or merge the two"
        )
    elif isinstance(layer, nn.Flatten):
        raise ModelError(f"layer {path!r}: Flatten between weights and their LIF layer; move it behind the LIF layer")
    elif not isinstance(layer, nn.Identity):
        raise ModelError(f"layer {path!r}: {kind} has no integer form; LIF is the activation of a spiking network")


def _check_synapse(path: str, layer: nn.Conv2d | nn.Linear, flat: bool) -> None:
    if isinstance(layer, nn.Linear):
        return
    if flat:
        raise ModelError(f"layer {path!r}: Conv2d after Flatten has no image to convolve")
    if layer.dilation != (1, 1):
        raise ModelError(f"layer {path!r}: dilation {layer.dilation} is not supported; use a dilation of 1")
    if layer.padding_mode != "zeros":
        raise ModelError(f"layer {path!r}: padding_mode {layer.padding_mode!r} is not supported; use 'zeros'")


def _pool(path: str, layer: nn.AvgPool2d | nn.MaxPool2d) -> Pool:
    kind = "sum" if isinstance(layer, nn.AvgPool2d) else "max"
    kernel, stride = _square(path, "kernel_size", layer.kernel_size), _square(path, "stride", layer.stride)
    if _square(path, "padding", layer.padding) or layer.ceil_mode or getattr(layer, "divisor_override", None):
        raise ModelError(
            f"layer {path!r}: pooling with padding, ceil_mode or divisor_override is not supported; use whole windows"
        )
    if getattr(layer, "dilation", 1) not in (1, (1, 1)):
        raise ModelError(f"layer {path!r}: pooling with dilation is not supported; use a dilation of 1")
    return Pool(kind, kernel, stride)


def _square(path: str, what: str, value: int | tuple[int, ...]) -> int:
    sides = {value} if isinstance(value, int) else set(value)
    if len(sides) != 1:
        raise ModelError(f"layer {path!r}: {what} {value} is not square; use the same number for height and width")
    return sides.pop()


def _check_flatten(path: str, layer: nn.Flatten) -> bool:
    if layer.start_dim != 1 or layer.end_dim != -1:
        raise ModelError(f"layer {path!r}: Flatten({layer.start_dim}, {layer.end_dim}) is not supported; use Flatten()")
    return True


def _build(draft: _Draft, config: QuantConfig, first: bool, last: bool) -> Stage:
    assert draft.synapse is not None
    path, layer = draft.synapse
    synapse = Synapse(layer, draft.sum_pool, config, free_scale=draft.norm is None, per_tensor=last)
    norm = None if draft.norm is None else Norm(draft.norm)
    if norm is not None and len(norm.weight) != len(layer.weight):
        wrong = f"batch normalisation of {len(norm.weight)} channels does not fit its {len(layer.weight)} outputs"
        raise ModelError(f"layer {path!r}: {wrong}")
    lif = copy.deepcopy(draft.lif)  # a layer called in two places becomes two
    if lif is not None and config.state_bits != FLOAT:
        grid = STATE_GRIDS[float(config.state_bits)]
        lif.levels = Levels(grid.low, grid.high, float(grid.step))
    scale = config.full_scale if first else None
    shortcut = None
    if draft.shortcut is not None:
        shortcut = TrainableShortcut(*draft.shortcut, layer.weight, config)
        _merge_bias(synapse, shortcut.synapse)
    stage = Stage(path, tuple(draft.pools), synapse, norm, lif, draft.drop_spikes, draft.drop_current, scale, shortcut)
    if draft.norm is not None and draft.norm.weight is not None:
        stage.flip(draft.norm.weight.detach() < 0)
    return stage


def _merge_bias(synapse: Synapse, shortcut: Synapse) -> None:
    """Let the main branch have the bias of both; another number of outputs is refused later."""
    if shortcut.bias is not None and len(shortcut.weight) == len(synapse.weight):
        bias = shortcut.bias.detach()
        synapse.bias = nn.Parameter(bias if synapse.bias is None else synapse.bias.detach() + bias)
        shortcut.bias = None
