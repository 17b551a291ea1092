"""Frozen torch against the integers on real MNIST images, by NumPy or by C: every combination of bits, reset, leak and
time steps.

    python -m benchmarks exactness                  # 80 combinations, 500 images each
    python -m benchmarks exactness --bits 3 --reset zero --leak 0.5 --timesteps 2 --count 10000
    python -m benchmarks exactness --backend native --leak 0.5 --timesteps 2 --count 10000

The networks are untrained LeNet-SNNs whose batch normalisation has settled on training images: their neurons fire, and
equality does not depend on what they have learned.
"""

from __future__ import annotations

import argparse
import itertools
from functools import partial
from pathlib import Path

import numpy as np
import torch

from spquant_snn import LIF, LeNetSNN, QuantConfig, SpikingNetwork, lower, prepare
from spquant_snn.data import load
from spquant_snn.integer.compare import compare_backends, reference_trace
from spquant_snn.quant.frozen_trace import frozen_trace
from spquant_snn.runtime.native import NativeProgram


def settled(bits: float, reset: str, leak: float, timesteps: int, images: torch.Tensor) -> SpikingNetwork:
    """A frozen network whose neurons fire."""
    torch.manual_seed(0)
    model = LeNetSNN(neuron=lambda: LIF(leak=leak, reset=reset))
    network = prepare(model, QuantConfig(bits, bits, timesteps), (1, 28, 28)).train()
    with torch.no_grad():
        for batch in images.split(64):
            network(batch)
    return network.eval().freeze()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--bits", nargs="+", type=float, default=[1.58, 2, 3, 4, 8], help="of weights and state")
    parser.add_argument("--reset", nargs="+", default=["zero", "subtract"])
    parser.add_argument("--leak", nargs="+", type=float, default=[0.5, 0.75])
    parser.add_argument("--timesteps", nargs="+", type=int, default=[1, 2, 4, 8])
    parser.add_argument("--backend", choices=["reference", "native"], default="reference")
    parser.add_argument("--data-dir", type=Path)
    args = parser.parse_args()
    data = load("mnist", args.data_dir)
    images = data.test.images[: args.count]
    combinations = list(itertools.product(args.bits, args.reset, args.leak, args.timesteps))
    equal, spikes = 0, 0
    for bits, reset, leak, timesteps in combinations:
        network = settled(bits, reset, leak, timesteps, torch.from_numpy(data.train.images[:3840]))
        graph = lower(network)
        integers = NativeProgram(graph).trace if args.backend == "native" else partial(reference_trace, graph)
        verdict = compare_backends(partial(frozen_trace, network), integers, images)
        rates = [float(np.mean(layer[1])) for layer in reference_trace(graph, images[:50]).layers]
        equal, spikes = equal + verdict.equal, spikes + verdict.spikes
        rate = " / ".join(f"{100 * rate:.0f} %" for rate in rates)
        print(
            f"{bits:>4g} bits, reset {reset:8}, leak {leak:.2f}, T = {timesteps}: {verdict}; firing {rate}", flush=True
        )
    print(f"{equal} of {len(combinations)} combinations equal, {spikes:,} spikes compared")


if __name__ == "__main__":
    main()
