"""A task that is learnt in a moment, a network for it as a user writes one, and what a training leaves."""

import torch
from torch import nn

from spquant_snn import LIF

SMALL = {"batch_size": 16, "precision": "fp32", "quiet": True}


def images(count, seed=0):
    """Noisy 8x8 images, labelled by which of their quarters is bright."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.randint(4, (count,), generator=draw)
    pixels = torch.randint(100, (count, 1, 8, 8), generator=draw)
    for image, label in zip(pixels, labels.tolist(), strict=True):
        image[0, 4 * (label // 2) :, 4 * (label % 2) :][:4, :4] += 120
    return pixels.to(torch.uint8), labels


DATA = (images(203), images(101, seed=1))


class Net(nn.Module):
    """A network as a user writes it."""

    def __init__(self, outputs=4):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        self.pool = nn.AvgPool2d(2)
        self.bn = nn.BatchNorm2d(4)
        self.lif1 = LIF()
        self.fc1 = nn.Linear(64, 16)
        self.lif2 = LIF()
        self.fc2 = nn.Linear(16, outputs)

    def forward(self, x):
        x = self.lif1(self.bn(self.pool(self.conv(x))))
        return self.fc2(self.lif2(self.fc1(x.flatten(1))))


def weights(trainer):
    return {name: tensor.clone() for name, tensor in trainer.network.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def result(folder):
    """What a run leaves, but for what tells when and where it was."""
    return {name: (folder / name).read_bytes() for name in ("model.safetensors", "model.spq", "metrics.jsonl")}
