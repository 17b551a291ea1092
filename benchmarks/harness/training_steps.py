"""Training steps to be timed: forward, backward and an update, of one topology by several ways to train it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.harness.other_neurons import MakeNeuron, StatefulNeuron, loop_neuron, snntorch, spikingjelly
from benchmarks.harness.timing import Call
from spquant_snn.nn.models import build_model
from spquant_snn.quant.prepare import prepare
from spquant_snn.quant.quant_config import QuantConfig
from spquant_snn.train.config import TrainConfig
from spquant_snn.train.step import Step

OURS, OURS_BF16, OURS_RECOMPUTED, PLAIN = "this package", "this package, bf16", "with --checkpoint-time", "plain path"
SPIKINGJELLY, SNNTORCH, LOOP = "SpikingJelly", "snnTorch", "loop over time"
FOLDED, OUTERMOST, LAST = "steps in the batch", "time outermost", "channels last"

_PEERS: dict[str, MakeNeuron] = {SPIKINGJELLY: spikingjelly, SNNTORCH: snntorch, LOOP: loop_neuron}


@dataclass(frozen=True)
class TrainingWorkload:
    """What is trained.

    Args:
        name: in tables.
        model: as ``build_model`` takes it.
        images: (C, H, W).
        timesteps, batch: of a step.
        bits: of weights and state, where they are quantised.
    """

    name: str
    model: str
    images: tuple[int, int, int]
    timesteps: int = 4
    batch: int = 32
    bits: float = 2


def forms_of(engine: str, device: str = "cpu") -> tuple[str, ...]:
    """The forms in which an engine trains; the fastest counts."""
    if engine not in _PEERS:
        return ("",)
    return (FOLDED, OUTERMOST) if device == "cpu" else (FOLDED, LAST, OUTERMOST)


def training_step(workload: TrainingWorkload, engine: str, form: str = "", device: str = "cpu") -> Call:
    """A step of training, on the same images of noise each time.

    Raises:
        MissingDependencyError: a package is not installed.
    """
    torch.manual_seed(0)
    images = torch.randint(0, 256, (workload.batch, *workload.images), dtype=torch.uint8).to(device)
    labels = torch.randint(0, 10, (workload.batch,)).to(device)
    if engine in _PEERS:
        return _peer(workload, _PEERS[engine], form, images.float() / 255, labels)
    config = QuantConfig(workload.bits, workload.bits, workload.timesteps)
    network = prepare(build_model(workload.model, workload.images, 10), config, workload.images).to(device)
    network.recompute = engine == OURS_RECOMPUTED
    if engine == PLAIN:
        network.use_plain_path()
    else:
        precision: Literal["bf16", "fp32"] = "bf16" if engine == OURS_BF16 else "fp32"
        options = TrainConfig(precision=precision, checkpoint_time=network.recompute, timesteps=workload.timesteps)
        step = Step(network, options, None, None, whole=True)
        return _updating(network, lambda: step(images, labels, 0.0, 1.0))
    return _stepping(network, lambda: network(images).mean(0), labels)


def _peer(workload: TrainingWorkload, make: MakeNeuron, form: str, images: Tensor, labels: Tensor) -> Call:
    network = build_model(workload.model, workload.images, 10, make()).to(images.device)
    neurons = [module for module in network.modules() if isinstance(module, StatefulNeuron)]
    if form == LAST:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        images = images.contiguous(memory_format=torch.channels_last)
    inputs = images.expand(workload.timesteps, *images.shape)
    parts = [inputs[t : t + 1] for t in range(workload.timesteps)] if form == OUTERMOST else [inputs]

    def forward() -> Tensor:
        for layer in neurons:
            layer.reset()
        return torch.cat([network(part) for part in parts]).mean(0)

    return _stepping(network, forward, labels)


def _stepping(network: nn.Module, forward: Callable[[], Tensor], labels: Tensor) -> Call:
    return _updating(network, lambda: F.cross_entropy(forward(), labels).backward())


def _updating(network: nn.Module, turn: Callable[[], object]) -> Call:
    """Forward and backward as ``turn`` does them, and an update."""
    network.train()
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=1e-4, momentum=0.9)

    def call(k: int) -> object:
        optimizer.zero_grad(set_to_none=True)
        turn()
        optimizer.step()
        return None

    return call
