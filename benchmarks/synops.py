"""Our counts of synaptic operations against NeuroBench's, on the same images.

    pip install --no-deps neurobench==2.3.0
    python -m benchmarks synops runs/mnist/2-2-s0 --images 100

NeuroBench's ``single_layer_MACs`` gets each layer as a torch module with the weight codes as weights, and its inputs
one image and one step at a time. The image goes in once, as the first layer of a still image is computed once. Pools on
a layer's input are applied before, so that NeuroBench sees what meets the weights; a sum-pool behind a convolution has
no operations for either.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from neurobench.metrics.utils.layers import single_layer_MACs
from numpy.typing import NDArray
from torch import nn

from spquant_snn.data import load
from spquant_snn.integer.compare import reference_trace
from spquant_snn.integer.file import load_graph
from spquant_snn.integer.graph import Connection, Graph
from spquant_snn.integer.reference import pool_windows
from spquant_snn.report.counts import count


def module(connection: Connection) -> nn.Module:
    """The connection in torch, without its pools."""
    codes = torch.from_numpy(connection.codes.astype(np.float32))
    layer: nn.Conv2d | nn.Linear
    if connection.convolves:
        inputs, kernel = codes.shape[1] * connection.groups, (codes.shape[2], codes.shape[3])
        layer = nn.Conv2d(
            inputs, len(codes), kernel, connection.stride, connection.padding, groups=connection.groups, bias=False
        )
    else:
        layer = nn.Linear(codes.shape[1], len(codes), bias=False)
    layer.weight.data = codes
    return layer


def frames(connection: Connection, source: NDArray[np.generic]) -> Iterator[torch.Tensor]:
    """What meets the weights, one image and one step at a time: NeuroBench adds in float32, exact up to 2**24."""
    for x in source.reshape(-1, 1, *source.shape[2:]).astype(np.int32):
        for pool in connection.pools:
            x = pool_windows(x, pool)
        yield torch.from_numpy(x if connection.convolves else x.reshape(1, -1)).float()


def neurobench(graph: Graph, images: NDArray[np.uint8]) -> Iterator[tuple[float, float, bool]]:
    """Dense and effective operations of each layer per image, and whether they are accumulations."""
    sources = [images[None], *(spikes for _, spikes, _ in reference_trace(graph, images).layers)]
    for connection, source in zip(graph.connections, sources, strict=True):
        layer, totals, spiking = module(connection), np.zeros(2), True
        for x in frames(connection, source):
            effective, binary = single_layer_MACs(x, layer)
            totals += single_layer_MACs(x, layer, total=True)[0], effective
            spiking &= binary
        yield totals[0] / len(images), totals[1] / len(images), spiking


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a run with a model.spq")
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--data-dir", type=Path)
    args = parser.parse_args()
    graph = load_graph(args.run / "model.spq")
    images = load(args.dataset, args.data_dir).test.images[: args.images]
    equal = True
    print(f"{'layer':12}{'dense':>16}{'NeuroBench':>16}{'effective':>16}{'NeuroBench':>16}  kind")
    for ours, (dense, effective, spiking) in zip(count(graph, images).layers, neurobench(graph, images), strict=True):
        same = np.allclose((dense, effective), (ours.dense, ours.effective), rtol=1e-12) and spiking != ours.multiplies
        equal &= bool(same)
        kinds = f"{'MAC' if ours.multiplies else 'AC'} / {'AC' if spiking else 'MAC'}"
        print(f"{ours.name:12}{ours.dense:16,.2f}{dense:16,.2f}{ours.effective:16,.2f}{effective:16,.2f}  {kinds}")
    print("equal" if equal else "DIFFERENT")


if __name__ == "__main__":
    main()
