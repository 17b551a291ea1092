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
from .batches import Batches, DataPass
from .config import TrainConfig
from .distributed import World

_BATCHES = 20


@torch.no_grad()
def measure_norm_statistics(
    network: SpikingNetwork,
    train: Batches,
    augmentation: Augment,
    config: TrainConfig,
    draw: torch.Generator,
    world: World,
    epoch: int = 0,
) -> None:
    """Replace running means and variances by averages over batches of training images, each with its own statistics.
    Several processes share each batch.

    Args:
        draw: of the images and their augmentation, the same in all processes.
        epoch: number of the epoch that ends, from 0.
    """
    norms = [module for module in network.modules() if isinstance(module, Norm)]
    if not norms or network.frozen:
        return
    network.eval()
    device = next(network.parameters()).device
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.train()
    drawn = train.drawn(draw, config.batch_size, DataPass(epoch, _BATCHES, world))
    for number, read in enumerate(world.in_step(drawn), 1):
        batch = read.with_images(augmentation(read.images, draw))
        for norm in norms:
            norm.momentum = 1 / number  # the mean of all so far
        for part in world.parts(network, batch.count, 1, batch.lengths):
            own = batch.of(part)
            network(own.inputs().to(device), lengths=own.lengths)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.train()
