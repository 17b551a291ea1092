"""Train an ordinary residual network on CIFAR-10 whose answers spiking networks imitate, in plain torch.

    python -m benchmarks cifar10_teacher --device cuda --out runs/teacher.pt      # 40 epochs, half a minute on a GPU

It takes uint8 images, as the spiking networks do, so that it can be given to `SpQuantTrainer(teacher=...)` as it is;
benchmarks/cifar10.py does so.
"""

from __future__ import annotations

import argparse
import io
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spquant_snn.data import Labelled, hold_out, load
from spquant_snn.io.writing import replace_file
from spquant_snn.train.augment import default_augmentation
from spquant_snn.train.tensors import LabelledTensors, as_tensors

SEEN = 5000  # training images held out, the same as the spiking networks hold out


class Teacher(nn.Module):
    """ResNet-9 as it won DAWNBench: eight convolutions and two shortcuts; uint8 [N, 3, 32, 32] to logits [N, 10]."""

    def __init__(self, width: int = 64, classes: int = 10) -> None:
        super().__init__()
        w = width
        self.layers = nn.Sequential(
            _block(3, w),
            _block(w, 2 * w, pool=True),
            _Residual(2 * w),
            _block(2 * w, 4 * w, pool=True),
            _block(4 * w, 8 * w, pool=True),
            _Residual(8 * w),
            nn.AdaptiveMaxPool2d(1),
            nn.Flatten(),
        )
        self.head = nn.Linear(8 * w, classes, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        x = (images.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)
        return self.head(self.layers(x)) / 8


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(_block(channels, channels), _block(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(x)


def _block(inputs: int, outputs: int, pool: bool = False) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)]
    if pool:
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.BatchNorm2d(outputs), nn.CELU(0.3))


def train(data: Labelled, device: str, epochs: int, seed: int, batch: int = 512) -> Teacher:
    """Nesterov's gradient descent along one cycle of the learning rate, with the augmentation that students see."""
    torch.manual_seed(seed)
    rest, held_out = map(as_tensors, hold_out(data, SEEN, seed))
    images, labels = rest.images.to(device), rest.labels.to(device)
    network = Teacher().to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    steps = -(-len(images) // batch)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        0.4,
        epochs * steps,
        pct_start=0.2,
        anneal_strategy="linear",
        cycle_momentum=False,
        final_div_factor=1e3,
    )
    augment, draw = default_augmentation("cifar10"), torch.Generator().manual_seed(seed)
    for epoch in range(epochs):
        network.train()
        for chosen in torch.randperm(len(images), generator=draw).to(device).tensor_split(steps):
            with torch.autocast(torch.device(device).type, torch.bfloat16):
                logits = network(augment(images[chosen], draw))
            optimizer.zero_grad()
            F.cross_entropy(logits.float(), labels[chosen], label_smoothing=0.1).backward()
            optimizer.step()
            schedule.step()
        if epoch + 1 == epochs or epoch % 10 == 9:
            print(f"epoch {epoch + 1}/{epochs}: held-out accuracy {accuracy(network, held_out):.2f}%", flush=True)
    return network


@torch.no_grad()
def accuracy(network: nn.Module, data: LabelledTensors) -> float:
    """In percent."""
    network.eval()
    device = next(network.parameters()).device
    parts = zip(data.images.split(1000), data.labels.split(1000), strict=True)
    hits = sum(int((network(x.to(device)).argmax(1).cpu() == y).sum()) for x, y in parts)
    return 100 * hits / len(data)


def save(network: Teacher, path: Path) -> None:
    content = io.BytesIO()
    torch.save(network.state_dict(), content)
    replace_file(path, content.getvalue())


def load_teacher(path: Path) -> Teacher:
    network = Teacher()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, default=Path("runs/teacher.pt"))
    args = parser.parse_args()
    began, data = time.monotonic(), load("cifar10", args.data_dir)
    network = train(data.train, args.device, args.epochs, args.seed)
    save(network, args.out)
    print(
        f"Test Accuracy: {accuracy(network, as_tensors(data.test)):.2f}%, {(time.monotonic() - began) / 60:.1f} minutes"
    )


if __name__ == "__main__":
    main()
