"""A convolutional network trained in snnTorch on MNIST, brought here and quantised without training.

    python -m benchmarks post_training                   # the accuracy of snnTorch, then of 8/8, 4/4, 2/2 and ternary

The network is that of snnTorch's sixth tutorial, 12C5-MP2-64C5-MP2-FC10 with Leaky neurons of beta 0.5 that subtract
their threshold, trained by Adam on the spikes of its last layer. It is imported, prepared and calibrated on 256
training images without their labels; then the network of 2/2 bits is fine-tuned for an epoch. Test images are looked at
once for each figure.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from spquant_snn import QuantConfig, SpikingNetwork, calibrate, from_snntorch, lower, prepare
from spquant_snn.data import load
from spquant_snn.runtime.native import NativeProgram

_SHAPE = (1, 28, 28)
_BATCH = 128
_BETA = 0.5
_SHARPER = 5


def tutorial_network(steps: int) -> nn.Module:
    """The network of the tutorial; images [N, 1, 28, 28] from 0 to 1 to spikes [T, N, 10]."""
    import snntorch as snn  # type: ignore[import-not-found, import-untyped, unused-ignore]

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1, self.lif1 = nn.Conv2d(1, 12, 5), snn.Leaky(beta=_BETA)
            self.conv2, self.lif2 = nn.Conv2d(12, 64, 5), snn.Leaky(beta=_BETA)
            self.fc1, self.lif3 = nn.Linear(64 * 4 * 4, 10), snn.Leaky(beta=_BETA)

        def forward(self, x: Tensor) -> Tensor:
            mem1, mem2, mem3 = self.lif1.init_leaky(), self.lif2.init_leaky(), self.lif3.init_leaky()
            spikes = []
            for _ in range(steps):
                spk1, mem1 = self.lif1(F.max_pool2d(self.conv1(x), 2), mem1)
                spk2, mem2 = self.lif2(F.max_pool2d(self.conv2(spk1), 2), mem2)
                spk3, mem3 = self.lif3(self.fc1(spk2.flatten(1)), mem3)
                spikes.append(spk3)
            return torch.stack(spikes)

    return Net()


def fit(parameters: Any, loss_of: Callable[[Tensor], Tensor], count: int, epochs: int, rate: float) -> None:
    """Adam over batches of a number of images; ``loss_of`` is given their numbers."""
    optimizer = torch.optim.Adam(parameters, rate)
    steps = epochs * (count // _BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, steps)
    for _ in range(epochs):
        for rows in torch.randperm(count).split(_BATCH):
            if len(rows) < _BATCH:
                continue  # so that each step has the same statistics
            optimizer.zero_grad()
            loss_of(rows).backward()
            optimizer.step()
            schedule.step()


def on_answers(network: SpikingNetwork, images: Tensor, labels: Tensor, rows: Tensor) -> Tensor:
    """The loss of a network's mean answer, whose spikes are counted: sharper than a share of steps."""
    return F.cross_entropy(_SHARPER * network.answer(network(images[rows])), labels[rows])


@torch.no_grad()
def accuracy(answer: Callable[[Tensor], Tensor], images: Tensor, labels: Tensor) -> float:
    """In percent; ``answer`` gives [N, classes]."""
    parts = zip(images.split(250), labels.split(250), strict=True)
    return 100 * sum(int((answer(x).argmax(1) == y).sum()) for x, y in parts) / len(images)


def integers(network: SpikingNetwork, images: Tensor, labels: Tensor) -> float:
    """Accuracy of the integers, by the native runtime."""
    program = NativeProgram(lower(network.eval().freeze()))
    return accuracy(lambda x: torch.from_numpy(program.logits(np.ascontiguousarray(x.numpy()))), images, labels)


def calibrated(seed: int, steps: int, epochs: int, count: int, test_count: int, data_dir: Path | None = None) -> Table:
    """The table of a network that is trained, imported, calibrated and fine-tuned.

    Args:
        count, test_count: images to train on, and to measure on.
    """
    torch.manual_seed(seed)
    data = load("mnist", data_dir)
    images, labels = (torch.from_numpy(x)[:count] for x in (data.train.images, data.train.labels))
    test, test_labels = (torch.from_numpy(x)[:test_count] for x in (data.test.images, data.test.labels))
    net = tutorial_network(steps)

    def on_spikes(rows: Tensor) -> Tensor:
        return torch.stack([F.cross_entropy(spikes, labels[rows]) for spikes in net(images[rows] / 255)]).sum()

    fit(net.parameters(), on_spikes, len(images), epochs, 1e-2)
    float_accuracy = accuracy(lambda x: net(x / 255).sum(0), test, test_labels)
    table = Table(title=f"snnTorch CSNN, T = {steps}, float {float_accuracy:.2f} %")
    for head in ("weights / state", "test %", "lost, points", "seconds"):
        table.add_column(head, justify="right")
    imported = from_snntorch(net, _SHAPE)
    for bits in (8, 4, 2, "ternary"):
        config = QuantConfig(bits, bits, steps)
        network, start = prepare(imported, config, _SHAPE), time.monotonic()
        calibrate(network, images[:256])
        seconds, found = time.monotonic() - start, integers(network, test, test_labels)
        name = f"{bits} / {bits}"
        table.add_row(name, f"{found:.2f}", f"{float_accuracy - found:.2f}", f"{seconds:.1f}")
        if bits == 2:
            network.frozen = False
            network.train()
            fit(network.parameters(), partial(on_answers, network, images, labels), len(images), 1, 2e-3)
            found = integers(network, test, test_labels)
            table.add_row("then an epoch", f"{found:.2f}", f"{float_accuracy - found:.2f}", "")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--images", type=int, default=60_000, help="to train on")
    parser.add_argument("--test", type=int, default=10_000, help="to measure on")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data-dir", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    Console().print(calibrated(args.seed, args.steps, args.epochs, args.images, args.test, args.data_dir))


if __name__ == "__main__":
    main()
