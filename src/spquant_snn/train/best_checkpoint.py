"""What is kept of each epoch: weights that are the best so far, a line of metrics, and a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..quant.network import SpikingNetwork
from ..sparsity.training import SparseTraining
from .checkpoint import NONE, Best, Progress, load_weights, save_checkpoint, save_weights
from .config import TrainConfig
from .distributed import World
from .metrics import Metrics, measure
from .run import RunFolder
from .tensors import LabelledTensors


@dataclass(frozen=True, eq=False)
class BestCheckpoint:
    """Keeps the epochs of one training in the folder of its run; of several processes, the first writes."""

    run: RunFolder
    network: SpikingNetwork
    optimizer: torch.optim.Optimizer
    config: TrainConfig
    validation: LabelledTensors
    sparse: SparseTraining | None
    world: World

    def keep(self, progress: Progress, loss: float, accuracy: float, metrics: Metrics) -> Progress:
        """Save the epoch; after the last one in training form, go on from the best in the frozen form.

        Raises:
            RunError: the folder of the run is gone or cannot be written.
        """
        run, network, sparse, first = self.run, self.network, self.sparse, self.world.from_first
        first(run.check_held)
        epoch = progress.epochs + 1
        fixed = sparse is None or epoch > sparse.fixed
        best = progress.best if fixed else NONE  # until its channels are fixed, the network is not what was asked for
        if best.beaten_by(metrics.accuracy, metrics.loss):
            best = Best(epoch, metrics.accuracy, metrics.loss)
            first(lambda: save_weights(run.weights, network))
        summary = {} if sparse is None else sparse.summary()
        first(lambda: run.log_epoch(epoch, loss, accuracy, metrics, summary))
        if self.config.finetune_epochs and epoch == self.config.epochs:
            self.take_best()
            frozen = measure(network.freeze(), self.validation, world=self.world)
            best = Best(epoch, frozen.accuracy, frozen.loss)
        first(lambda: save_checkpoint(run.checkpoint, network, self.optimizer, Progress(epoch, best)))
        return Progress(epoch, best)

    def take_best(self) -> None:
        """Put the weights of the best epoch into the network."""
        self.world.from_first(lambda: load_weights(self.run.weights, self.network))
        self.world.alike(self.network)
