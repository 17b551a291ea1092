"""Which shortcut: four ways to build the blocks of ResNet-11, trained alike on the generated gestures.

    python -m benchmarks shortcuts                      # 2-bit weights and state, a quarter of the channels, 12 epochs
    python -m benchmarks shortcuts --seeds 0 1 2 --epochs 20

accumulator   what the package has: both branches in one sum with one scale a channel, before one normalisation
rescaled      a normalisation for each branch: in integers, the sum of one has to be rescaled for every neuron
added         spikes are added to spikes (spike-element-wise, Fang et al. 2021): what travels on is 0, 1, 2 ...
none          no shortcuts

All variants share the order of the recordings and the learning rate; a seed gives each first weights of its own. They
are compared in training form, in which all of them exist, on recordings of subjects that none was trained on.
"""

from __future__ import annotations

import argparse
import time

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from spquant_snn import QuantConfig
from spquant_snn.data import load
from spquant_snn.integer.grids import STATE_GRIDS
from spquant_snn.nn import LIF
from spquant_snn.nn.layers import fold_time
from spquant_snn.nn.recurrence import Levels
from spquant_snn.quant.shortcut import TrainableShortcut
from spquant_snn.quant.stage import Norm
from spquant_snn.quant.synapse import Synapse
from spquant_snn.train.tensors import as_tensors

VARIANTS = ("accumulator", "rescaled", "added", "none")
_WIDTHS = (64, 128, 256, 512)
_FULL_SCALE = 4  # counts that stand for one
_BATCH, _RATE = 22, 4e-3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=VARIANTS)
    parser.add_argument("--dataset", default="gestures:32")
    parser.add_argument("--width", type=float, default=0.25)
    parser.add_argument("--bits", type=float, default=2, help="of weights and state")
    parser.add_argument("--timesteps", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    args = parser.parse_args()
    data = load(args.dataset, timesteps=args.timesteps)
    train, test = as_tensors(data.train), as_tensors(data.test)
    config = QuantConfig(args.bits, args.bits, args.timesteps)
    table = Table(title=f"ResNet-11 x {args.width:g}, {args.dataset}, {args.bits:g} bits, {args.epochs} epochs")
    for head in ("shortcut", "seed", "test accuracy, %", "largest value passed on", "s an epoch"):
        table.add_column(head, justify="left" if head == "shortcut" else "right")
    for variant in args.variants:
        for seed in args.seeds:
            torch.manual_seed(seed)
            network = Network(variant, config, args.width, classes=11)
            began = time.monotonic()
            fit(network, train.inputs(), train.labels, args.epochs, seed)
            seconds = (time.monotonic() - began) / args.epochs
            found = accuracy(network, test.inputs(), test.labels)
            table.add_row(variant, str(seed), f"{found:.2f}", f"{network.largest:g}", f"{seconds:.0f}")
            print(f"{variant}, seed {seed}: {found:.2f} %", flush=True)
    Console().print(table)


class Sums(nn.Module):
    """A convolution of low-bit weights on steps [T, N, C, H, W]."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, config: QuantConfig) -> None:
        super().__init__()
        layer = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
        self.synapse = Synapse(layer, None, config, free_scale=False, per_tensor=False)

    @property
    def factor(self) -> Tensor:
        """[O, 1, 1, 1] what a code is worth."""
        return self.synapse.scale().view(-1, 1, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return fold_time(_Call(lambda h: self.synapse.sums(h, self.synapse.codes() * self.factor)), x)


class _Call(nn.Module):
    """A function as a layer."""

    def __init__(self, function) -> None:  # type: ignore[no-untyped-def]
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.function(x)
        return found


class Fire(nn.Module):
    """Normalisation and neurons with a low-bit state."""

    def __init__(self, channels: int, config: QuantConfig) -> None:
        super().__init__()
        grid = STATE_GRIDS[float(config.state_bits)]
        self.norm, self.lif = Norm(nn.BatchNorm2d(channels)), LIF()
        self.lif.levels = Levels(grid.low, grid.high, float(grid.step))

    def forward(self, sums: Tensor, aside: Tensor | None = None) -> Tensor:
        current = fold_time(self.norm, sums)
        spikes: Tensor = self.lif(current if aside is None else current + aside)
        return spikes


class Block(nn.Module):
    def __init__(self, variant: str, inputs: int, outputs: int, stride: int, config: QuantConfig) -> None:
        super().__init__()
        self.variant, changes = variant, stride != 1 or inputs != outputs
        self.conv1, self.fire1 = Sums(inputs, outputs, 3, stride, config), Fire(outputs, config)
        self.conv2, self.fire2 = Sums(outputs, outputs, 3, 1, config), Fire(outputs, config)
        if variant == "accumulator":
            layer = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if changes else None
            self.shortcut = TrainableShortcut("shortcut", 0, layer, self.conv2.synapse.weight, config)
        elif variant != "none" and changes:
            self.way = Sums(inputs, outputs, 1, stride, config)
            self.way_norm, self.way_fire = Norm(nn.BatchNorm2d(outputs)), Fire(outputs, config)
        elif variant == "rescaled":
            self.strength = nn.Parameter(torch.ones(outputs, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        sums = self.conv2(self.fire1(self.conv1(x)))
        if self.variant == "accumulator":
            added = _Call(lambda h: self.shortcut.sums(h, self.conv2.synapse.scale()))
            return self.fire2(sums + fold_time(added, x))
        if self.variant == "rescaled":
            aside = fold_time(self.way_norm, self.way(x)) if hasattr(self, "way") else x * self.strength
            return self.fire2(sums, aside)
        spikes: Tensor = self.fire2(sums)
        if self.variant == "none":
            return spikes
        return spikes + (self.way_fire(self.way(x)) if hasattr(self, "way") else x)


class Network(nn.Module):
    """ResNet-11 of blocks of a variant: recordings uint8 [T, N, 2, H, W] -> logits [N, classes].

    Attributes:
        largest: value that travelled from one block to the next.
    """

    def __init__(self, variant: str, config: QuantConfig, width: float, classes: int) -> None:
        super().__init__()
        widths = [round(channels * width) for channels in _WIDTHS]
        self.stem, self.stem_fire = Sums(2, widths[0], 3, 1, config), Fire(widths[0], config)
        pairs = zip([widths[0], *widths], widths, strict=False)
        self.blocks = nn.ModuleList(Block(variant, a, b, 1 if i == 0 else 2, config) for i, (a, b) in enumerate(pairs))
        self.readout = nn.Linear(widths[-1], classes)
        self.largest = 0.0

    def forward(self, x: Tensor) -> Tensor:
        h = self.stem_fire(self.stem(x.float() / _FULL_SCALE))
        for block in self.blocks:
            h = block(h)
            self.largest = max(self.largest, float(h.detach().max()))
        logits: Tensor = self.readout(h.mean((3, 4))).mean(0)
        return logits


def fit(network: Network, images: Tensor, labels: Tensor, epochs: int, seed: int) -> None:
    optimizer = torch.optim.AdamW(network.parameters(), betas=(0.9, 0.99), weight_decay=0.0)
    steps = -(-images.shape[1] // _BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=epochs * steps, pct_start=0.2)
    draw = torch.Generator().manual_seed(seed)
    network.train()
    for _ in range(epochs):
        for chosen in torch.tensor_split(torch.randperm(images.shape[1], generator=draw), steps):
            loss = F.cross_entropy(network(images[:, chosen]), labels[chosen])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()


@torch.no_grad()
def accuracy(network: Network, images: Tensor, labels: Tensor) -> float:
    network.eval()
    hits = 0
    for chosen in torch.arange(images.shape[1]).split(50):
        hits += int((network(images[:, chosen]).argmax(1) == labels[chosen]).sum())
    return 100 * hits / len(labels)


if __name__ == "__main__":
    main()
