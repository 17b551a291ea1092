"""Networks of other packages read here, quantised without training, and integers that ONNX Runtime computes: what
differs.

    python -m benchmarks exchange                        # three tables
    python -m benchmarks exchange --tables spikes onnx   # without a training

The first table counts spikes (of a regression: potentials) that are not those of the package itself, in double
precision, of networks as its tutorials and examples write them, with weights that let all layers send spikes. The
second is that of ``post_training``. The third counts logits, and the codes that neurons store after every step, which
ONNX Runtime computes otherwise than the reference, of test images of MNIST.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from spquant_snn import QuantConfig, from_snntorch, from_spikingjelly, load_graph, lower, prepare, to_onnx
from spquant_snn.data import load
from spquant_snn.dtypes import Array
from spquant_snn.integer import reference
from spquant_snn.integer.graph import Graph
from spquant_snn.nn.models import build_model

from .post_training import calibrated

_TRAINED = ("lenet-a", "device-lenet")  # in the folder of examples
_MODELS = ("resnet11-snn:0.25", "recurrent-snn")
_SHAPE = (1, 28, 28)
_AT_ONCE = 50

Said = tuple[str, Tensor, Tensor]  # of a network what its package says, and what is said here


def snntorch_networks(count: int) -> Iterator[Said]:
    """Networks of the tutorials of snnTorch, on so many inputs."""
    import snntorch as snn  # type: ignore[import-not-found, import-untyped, unused-ignore]

    import snntorch_networks as networks  # type: ignore[import-not-found, import-untyped, unused-ignore]
    from foreign_networks import in_double, lively  # type: ignore[import-not-found, unused-ignore]

    def said(name: str, net: nn.Module, shape: tuple[int, ...], x: Tensor, every_step: bool = False) -> Said:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "the network returns spikes, which are taken")
            network = from_snntorch(net.double(), shape)
        own = in_double(net)
        if every_step:  # the loop over time is the user's
            return name, torch.stack([own(step)[0] for step in x]), network(x)
        theirs = own(x)
        given = x if x.dim() > len(shape) + 1 else x.expand(network.timesteps or 1, *x.shape)
        return name, theirs[0] if isinstance(theirs, tuple) else theirs, network.answer(given)

    pixels, double = torch.rand(count, 784).double(), torch.float64
    yield said("snnTorch, tutorial 5", networks.Tutorial5(25), (784,), 3 * pixels)
    for name, sizes, shape in (("6", (1, 64, 4), _SHAPE), ("7", (2, 32, 5), (2, 34, 34))):
        net = lively(networks.tutorial_6_and_7(*sizes))
        x = 3 * torch.rand(10, count, *shape, dtype=double)
        yield said(f"snnTorch, tutorial {name}", net, shape, x, every_step=True)
    series = torch.rand(50, count, 1, dtype=double)
    yield said("snnTorch, regression I", networks.Regression1(50, 128), (1,), series)
    for kind, neuron in (
        ("Leaky", lambda n: snn.Leaky(beta=0.9)),
        ("RLeaky", lambda n: snn.RLeaky(beta=0.9, linear_features=n)),
    ):
        net = lively(networks.Regression2(20, 128, neuron), 6.0)
        yield said(f"snnTorch, regression II, {kind}", net, (784,), pixels)


def spikingjelly_networks(count: int) -> Iterator[Said]:
    """Networks of the examples of SpikingJelly, on so many inputs."""
    from spikingjelly.activation_based import (  # type: ignore[import-not-found, import-untyped, unused-ignore]
        functional,
        neuron,
        surrogate,
    )
    from spikingjelly.activation_based.model.parametric_lif_net import (  # type: ignore[import-not-found, import-untyped, unused-ignore]
        DVSGestureNet,
    )

    import spikingjelly_networks as networks  # type: ignore[import-not-found, import-untyped, unused-ignore]
    from foreign_networks import lively, not_plain_batch_norm

    def said(name: str, net: nn.Module, theirs: Callable[[nn.Module], Tensor], x: Tensor) -> Said:
        network = from_spikingjelly(net.double(), tuple(x.shape[2:]))
        functional.reset_net(net)
        return name, theirs(net), network.answer(x)

    x = torch.rand(count, *_SHAPE).double()
    steps = torch.rand(8, count, *_SHAPE).double()
    net = lively(networks.LIFFC(2.0)).eval()
    yield said("SpikingJelly, LIF-FC", net, lambda net: torch.stack([net(step) for step in steps]), steps)
    net = not_plain_batch_norm(lively(networks.CSNN(4, 16), 2.0)).eval()
    yield said("SpikingJelly, CSNN", net, lambda net: net(x), x.expand(4, *x.shape))
    net = DVSGestureNet(
        channels=8, spiking_neuron=neuron.LIFNode, surrogate_function=surrogate.ATan(), detach_reset=True
    )
    functional.set_step_mode(net, "m")
    net = not_plain_batch_norm(lively(net, 9.0)).eval()
    frames = torch.randint(0, 3, (2, max(count // 10, 1), 2, 128, 128)).double()
    yield said("SpikingJelly, DVSGestureNet", net, lambda net: net(frames), frames)


@torch.no_grad()
def spikes(count: int) -> Table:
    """What imported networks say otherwise than their packages."""
    torch.manual_seed(0)
    table = Table(title=f"imported networks, {count} random inputs, double precision")
    for head in ("network", "values said", "not zero", "differ"):
        table.add_column(head, justify="left" if head == "network" else "right")
    for make in (snntorch_networks, spikingjelly_networks):
        for name, theirs, ours in make(count):
            differ = int((theirs != ours).sum())
            table.add_row(name, f"{theirs.numel():,}", f"{int((theirs != 0).sum()):,}", f"{differ:,}")
    return table


def onnx(count: int, data_dir: Path | None) -> Table:
    """What ONNX Runtime computes otherwise than the reference."""
    data = load("mnist", data_dir)
    table = Table(title=f"ONNX Runtime and the reference, {count} images")
    for head in ("network", "logits", "differ", "codes", "differ"):
        table.add_column(head, justify="left" if head == "network" else "right")
    examples = Path(__file__).parent.parent / "examples"
    graphs = {name: load_graph(examples / f"{name}.spq") for name in _TRAINED}
    for name in _MODELS:
        torch.manual_seed(0)
        network = prepare(build_model(name, _SHAPE, 10), QuantConfig(), _SHAPE)
        with torch.no_grad():
            for rows in torch.from_numpy(data.train.images[:640]).split(32):  # batch statistics of images
                network(rows)
        graphs[name] = lower(network.eval().freeze())
    for name, graph in graphs.items():
        table.add_row(name, *(f"{number:,}" for number in _compared(graph, data.test.images[:count])))
    return table


def _compared(graph: Graph, images: Array) -> tuple[int, int, int, int]:
    """Logits, those that differ, stored codes of all steps, those that differ."""
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        opened: list[Any] = []
        for kind in ("images", "step"):
            to_onnx(graph, Path(folder) / f"{kind}.onnx", kind)
            opened.append(onnxruntime.InferenceSession(f"{folder}/{kind}.onnx", providers=["CPUExecutionProvider"]))
        whole, step = opened
        counts = np.zeros(4, np.int64)
        for first in range(0, len(images), _AT_ONCE):
            counts += _of_batch(graph, whole, step, images[first : first + _AT_ONCE])
    return counts[0].item(), counts[1].item(), counts[2].item(), counts[3].item()


def _of_batch(graph: Graph, whole: Any, step: Any, images: Array) -> Array:
    frame, *given = step.get_inputs()
    state = reference.State(graph, len(images))
    stored = [np.zeros((len(images), *x.shape[1:]), x.type[len("tensor(") : -1]) for x in given]
    codes = differing = 0
    for t in range(graph.timesteps):
        _, answers = state.step([images], {0} if t else set())
        said = step.run(None, {frame.name: images, **{x.name: kept for x, kept in zip(given, stored, strict=True)}})
        stored = said[len(graph.readouts) :]
        for mine, theirs in zip(state.codes, stored, strict=False):
            codes += mine.size
            differing += int((mine.reshape(theirs.shape) != theirs).sum())
    (logits,) = whole.run(None, {whole.get_inputs()[0].name: images})
    return np.array([logits.size, int((logits != answers[0]).sum()), codes, differing])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", choices=("spikes", "calibrated", "onnx"), default=None, help="all")
    parser.add_argument("--inputs", type=int, default=100, help="of imported networks")
    parser.add_argument("--images", type=int, default=1000, help="of ONNX Runtime")
    parser.add_argument("--data-dir", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    makes: dict[str, Callable[[], Table]] = {
        "spikes": lambda: spikes(args.inputs),
        "calibrated": lambda: calibrated(0, 10, 2, 60_000, 10_000, args.data_dir),
        "onnx": lambda: onnx(args.images, args.data_dir),
    }
    for name in args.tables or makes:
        Console().print(makes[name]())


if __name__ == "__main__":
    main()
