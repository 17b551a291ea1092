"""The statistics of batch normalisation as they are when a network is used, measured anew at the end of an epoch.

Running means follow the last dozen batches, in training, under weights that were still moving. Neurons of few bits turn
that noise into spikes: from one epoch to the next validation accuracy went up and down by points. So the
statistics are measured over some batches that the finished weights are given, as "precise batch normalisation" does (Wu
and Johnson, Rethinking "Batch" in BatchNorm, 2021), and without dropout or drawn gates: as in evaluation.
"""

from __future__ import annotations

import torch

from ..quant.network import SpikingNetwork
from ..quant.stage import Norm
from .augment import Augment
from .config import TrainConfig
from .distributed import World
from .tensors import LabelledTensors, as_inputs

_BATCHES = 20


@torch.no_grad()
def measure_norm_statistics(
    network: SpikingNetwork,
    train: LabelledTensors,
    augmentation: Augment,
    config: TrainConfig,
    draw: torch.Generator,
    world: World,
) -> None:
    """Replace running means and variances by averages over batches of training images, each with its own statistics.
    Several processes share each batch.

    Args:
        draw: of the images and their augmentation, the same in all processes.
    """
    norms = [module for module in network.modules() if isinstance(module, Norm)]
    if not norms or network.frozen:
        return
    network.eval()
    device = next(network.parameters()).device
    chosen = torch.randperm(len(train), generator=draw)[: _BATCHES * config.batch_size]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.train()
    batches = chosen.tensor_split(-(-len(chosen) // config.batch_size))
    for number, rows in enumerate(batches, 1):
        images = augmentation(train.images[rows.to(train.images.device)], draw)
        for norm in norms:
            norm.momentum = 1 / number  # the mean of all so far
        for part in world.parts(network, len(rows), 1):
            network(as_inputs(images[part.rows]).to(device))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.train()
