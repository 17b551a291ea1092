"""A recurrent network on spikes whose order tells the classes apart: few bits against floating point.

    python -m benchmarks recurrent                     # 700-128r-20, T = 100, 2/2 bits and fp32, three seeds
    python -m benchmarks recurrent --seeds 0 --reset zero --epochs 3

The data is generated, in the form of the Spiking Heidelberg Digits: 700 channels, 100 steps. A sound is a band of
channels that spikes for a while; a recording is two different sounds of five, one after the other, at times that vary,
in noise. Each of the 20 ordered pairs is a class, so that what was heard first must be remembered for tens of steps,
and what was heard last tells nothing by itself. Every epoch trains on recordings of its own, so that a network cannot
learn them by heart. The epoch of the best validation accuracy is kept; test recordings are looked at once. Frozen
networks are compared with the integer reference on all of these.
"""

from __future__ import annotations

import argparse
import itertools
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from spquant_snn.data import InputFormat
from spquant_snn.integer import reference
from spquant_snn.integer.neuron import Reset
from spquant_snn.nn import LIF, Feedback
from spquant_snn.quant.lower import lower
from spquant_snn.quant.network import SpikingNetwork
from spquant_snn.quant.prepare import prepare
from spquant_snn.quant.quant_config import QuantConfig

CHANNELS, STEPS, SOUNDS, HIDDEN = 700, 100, 5, 128
CLASSES = SOUNDS * (SOUNDS - 1)
_LASTS = 15  # steps of a sound
_RATE, _NOISE = 0.25, 0.01  # of the channels of a sound, and of all
_LEAK = 0.9
_BATCH = 100
_FIRST_SEED = 1000  # of training recordings; validation and test recordings have seeds 1 and 2


@dataclass(frozen=True)
class SpokenPairs:
    """Spikes [T, N, 700] uint8, and the classes [N]."""

    spikes: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


def recordings(count: int, seed: int) -> SpokenPairs:
    """Generated recordings; the same for a seed each time."""
    rng = np.random.default_rng(seed)
    bands = [np.arange(sound * 120, sound * 120 + 200) for sound in range(SOUNDS)]  # which overlap
    pairs = list(itertools.permutations(range(SOUNDS), 2))
    labels = rng.integers(0, CLASSES, count)
    spikes = np.empty((STEPS, count, CHANNELS), np.bool_)
    for n, label in enumerate(labels):
        spikes[:, n] = rng.random((STEPS, CHANNELS), np.float32) < _NOISE
        for sound, begin in zip(pairs[label], (rng.integers(5, 25), rng.integers(55, 75)), strict=True):
            band = bands[sound]
            spikes[begin : begin + _LASTS, n, band] |= rng.random((_LASTS, len(band))) < _RATE
    return SpokenPairs(torch.from_numpy(spikes.view(np.uint8)), torch.from_numpy(labels))


def network(bits: float, reset: Reset) -> SpikingNetwork:
    """700-128r-20."""
    model = nn.Sequential(
        nn.Linear(CHANNELS, HIDDEN, bias=False),
        nn.BatchNorm1d(HIDDEN),
        Feedback(LIF(leak=_LEAK, reset=reset), nn.Linear(HIDDEN, HIDDEN, bias=False)),
        nn.Linear(HIDDEN, CLASSES),
    )
    return prepare(model, QuantConfig(bits, bits, STEPS, input_format=InputFormat(scale=1.0)), (CHANNELS,))


def trained(bits: float, reset: Reset, seed: int, epochs: int, count: int, validation: SpokenPairs) -> SpikingNetwork:
    """A network as it was behind the epoch of the best validation accuracy; each epoch has ``count`` recordings."""
    torch.manual_seed(seed)
    net = network(bits, reset)
    optimizer = torch.optim.Adam(net.parameters(), 2e-3)
    steps = count // _BATCH  # a rest is left, so that each step has the same statistics
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, epochs * steps)
    best, kept = -1.0, net.state_dict()
    for epoch in range(epochs):
        net.train()
        train = recordings(count, _FIRST_SEED + seed * epochs + epoch)
        for rows in torch.arange(steps * _BATCH).split(_BATCH):
            logits = net(train.spikes[:, rows])
            loss = F.cross_entropy(logits.mean(0), train.labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        accuracy = measured(net, validation)
        Console(stderr=True).print(f"{bits:g} bits, seed {seed}, epoch {epoch + 1}: {accuracy:.2f} % on validation")
        if accuracy > best:
            best, kept = accuracy, {name: value.clone() for name, value in net.state_dict().items()}
    net.load_state_dict(kept)
    return net


@torch.no_grad()
def measured(net: SpikingNetwork, data: SpokenPairs) -> float:
    """Accuracy in percent."""
    net.eval()
    right = 0
    for rows in torch.arange(len(data)).split(250):
        right += int((net.mean_logits(data.spikes[:, rows]).argmax(1) == data.labels[rows]).sum())
    return 100 * right / len(data)


def exact(net: SpikingNetwork, data: SpokenPairs) -> bool:
    """Whether a frozen network gives the integers of its graph."""
    graph = lower(net)
    for rows in torch.arange(len(data)).split(250):
        given: NDArray[np.uint8] = data.spikes[:, rows].numpy()[..., None, None]
        if not np.array_equal(net.integer_logits(data.spikes[:, rows]).numpy(), reference.run(graph, given)):
            return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bits", type=float, nargs="+", default=[32, 2])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--reset", choices=["zero", "subtract"], default="subtract")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument(
        "--recordings", type=int, nargs=3, default=[4000, 1000, 2000], metavar=("TRAIN", "VALIDATION", "TEST")
    )
    args = parser.parse_args()
    torch.set_num_threads(1)
    count = args.recordings[0]
    validation, test = (recordings(number, seed) for seed, number in enumerate(args.recordings[1:], 1))
    table = Table(title=f"{CHANNELS}-{HIDDEN}r-{CLASSES}, T = {STEPS}, {args.epochs} epochs, reset {args.reset}")
    for head in ("bits", "seed", "test %", "integers equal"):
        table.add_column(head, justify="right")
    means: dict[float, list[float]] = {}
    for bits, seed in itertools.product(args.bits, args.seeds):
        net = trained(bits, args.reset, seed, args.epochs, count, validation).eval()
        equal = "-"
        if bits != 32:
            equal = "yes" if exact(net.freeze(), test) else "NO"
        means.setdefault(bits, []).append(measured(net, test))
        table.add_row(f"{bits:g}", str(seed), f"{means[bits][-1]:.2f}", equal)
    Console().print(table)
    for bits, found in means.items():
        spread = float(np.std(found, ddof=1)) if len(found) > 1 else 0.0
        Console().print(f"{bits:g} bits: {np.mean(found):.2f} % (standard deviation {spread:.2f})")


if __name__ == "__main__":
    main()
