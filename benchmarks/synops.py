"""Our counts of synaptic operations against NeuroBench's, on the same images.

    pip install --no-deps neurobench==2.3.0
    python -m benchmarks synops runs/mnist/2-2-s0 --count 100

NeuroBench's ``single_layer_MACs`` gets each layer as a torch module with the weight codes as weights, and its inputs
one image and one step at a time; each term of a layer by itself. The image goes in once, as the sums of a still image
are computed once. Pools on a term's input are applied before, so that NeuroBench sees what meets the weights, as is
padding; a pool behind a convolution has no operations for either.
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
from spquant_snn.integer.reference import as_images, pooled, spread
from spquant_snn.integer.term_names import term_names
from spquant_snn.report.counts import count


def module(connection: Connection) -> nn.Module:
    """The connection in torch, without its pools."""
    codes = torch.from_numpy(connection.codes.astype(np.float32))
    layer: nn.Conv2d | nn.Linear
    if connection.convolves:
        inputs, kernel = codes.shape[1] * connection.groups, (codes.shape[2], codes.shape[3])
        layer = nn.Conv2d(
            inputs,
            len(codes),
            kernel,
            connection.stride,
            dilation=connection.dilation,
            groups=connection.groups,
            bias=False,
        )
    else:
        layer = nn.Linear(codes.shape[1], len(codes), bias=False)
    layer.weight.data = codes
    return layer


def frames(connection: Connection, source: NDArray[np.generic]) -> Iterator[torch.Tensor]:
    """What meets the weights, one image and one step at a time: NeuroBench adds in float32, exact up to 2**24."""
    top, bottom, left, right = connection.padding
    for image in source.reshape(-1, 1, *source.shape[2:]).astype(np.int32):
        x = pooled(connection, image)
        if connection.convolves:
            x = np.pad(spread(as_images(x), connection.spread), ((0, 0), (0, 0), (top, bottom), (left, right)))
        yield torch.from_numpy(x if connection.convolves else x.reshape(1, -1)).float()


def neurobench(graph: Graph, images: NDArray[np.uint8]) -> dict[str, tuple[float, float, bool]]:
    """Dense and effective operations of each term per image, by its name, and whether they are accumulations."""
    sources, found = [images[None], *(spikes for _, spikes, _ in reference_trace(graph, images).layers)], {}
    for name, term in zip(term_names(graph), graph.terms, strict=True):
        layer, totals, spiking = module(term.connection), np.zeros(2), True
        source = sources[term.source]
        if term.delay:
            source = np.concatenate([np.zeros_like(source[:1]), source[:-1]])
        for x in frames(term.connection, source):
            effective, binary = single_layer_MACs(x, layer)
            totals += single_layer_MACs(x, layer, total=True)[0], effective
            spiking &= binary
        found[name] = (totals[0] / len(images), totals[1] / len(images), spiking)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a run with a model.spq")
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--data-dir", type=Path)
    args = parser.parse_args()
    graph = load_graph(args.run / "model.spq")
    images = load(args.dataset, args.data_dir).test.images[: args.count]
    equal = True
    print(f"{'layer':12}{'dense':>16}{'NeuroBench':>16}{'effective':>16}{'NeuroBench':>16}  kind")
    theirs = neurobench(graph, images)
    for ours in count(graph, images).rows:
        dense, effective, spiking = theirs[ours.name]
        same = np.allclose((dense, effective), (ours.dense, ours.effective), rtol=1e-12) and spiking != ours.multiplies
        equal &= bool(same)
        kinds = f"{'MAC' if ours.multiplies else 'AC'} / {'AC' if spiking else 'MAC'}"
        print(f"{ours.name:12}{ours.dense:16,.2f}{dense:16,.2f}{ours.effective:16,.2f}{effective:16,.2f}  {kinds}")
    print("equal" if equal else "DIFFERENT")


if __name__ == "__main__":
    main()
