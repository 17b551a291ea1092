"""ResNet-18 in integers against the same network in other engines: frames of 2x64x64, 16 steps, one recording at a
time, one thread.

    python -m benchmarks resnet                     # 10 % spikes in every layer, 2-bit weights and state
    python -m benchmarks resnet --rates 5 10 20 --bits 1.58

Weights are random: what a network costs depends on its shape, its widths and its spikes. The normalisation of each
layer is shifted until the wanted share of its neurons spikes. The native runtime is compared with the reference before
it is timed. The peers run the network in floating point or quantised to int8 by their own tools (OpenVINO, ONNX
Runtime; they are not needed: pip install onnx onnxruntime openvino nncf), all steps as one batch or step by step,
whichever is faster. Times are medians in processor time, candidates in turn.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from benchmarks.harness.host import host
from benchmarks.harness.other_engines import onnxruntime_int8, openvino_int8, torch_eager
from benchmarks.harness.timed_comparison import TimedComparison
from benchmarks.harness.timing import Call
from spquant_snn import InputFormat, QuantConfig, prepare
from spquant_snn.integer.compare import first_difference, reference_trace
from spquant_snn.integer.graph import Graph
from spquant_snn.nn import LIF, build_model
from spquant_snn.quant.lower import lower
from spquant_snn.quant.network import SpikingNetwork
from spquant_snn.quant.stage import Norm
from spquant_snn.runtime.native import NativeProgram

SHAPE, STEPS, CLASSES = (2, 64, 64), 16, 11
_HALVINGS, _RECORDINGS = 14, 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet18-snn")
    parser.add_argument("--rates", type=float, nargs="+", default=[10.0], help="percent of spikes")
    parser.add_argument("--bits", type=float, default=2, help="of weights and state")
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    torch.set_num_threads(1)
    comparison, spikes = TimedComparison(), {}
    for rate in args.rates:
        graph, recordings = network_of_rate(args.model, args.bits, rate / 100)
        program = NativeProgram(graph)
        one = np.ascontiguousarray(recordings[:, :1])
        trace = program.trace(one)
        difference = first_difference(reference_trace(graph, one), trace)
        if difference is not None:
            raise SystemExit(f"the native runtime is wrong and was not timed, {difference}: report this")
        spikes[f"{rate:g} %"] = float(np.mean([layer.mean() for _, layer, _ in trace.layers]))
        parts = [np.ascontiguousarray(recordings[:, k : k + 1]) for k in range(recordings.shape[1])]
        comparison.add(f"{rate:g} %", "native", in_turn(program, parts))
    inputs = recordings.transpose(1, 0, 2, 3, 4).reshape(_RECORDINGS, -1, *SHAPE[1:]).astype(np.float32)
    forms = {
        form: ResNetBaseline(args.model, batched) for form, batched in (("all steps", True), ("step by step", False))
    }
    for engine, make in (
        ("OpenVINO int8", openvino_int8),
        ("ONNX Runtime int8", onnxruntime_int8),
        ("torch eager fp32", torch_eager),
    ):
        comparison.add_engine("peers", engine, make, forms, inputs)
    outcome = comparison.run(args.rounds)
    table = Table(title=f"{args.model}, {args.bits:g} bits, T = {STEPS}, {host()['cpu']}, 1 thread")
    for head in ("spikes", "engine", "ms", "native / engine"):
        table.add_column(head, justify="left" if head == "engine" else "right")
    ours = {rate: cast(tuple[object, float], outcome.fastest(rate, "native"))[1] for rate in spikes}
    for rate, found in spikes.items():
        table.add_row(f"{100 * found:.1f} %", "native", f"{ours[rate] / 1000:.2f}", "")
    for engine in ("OpenVINO int8", "ONNX Runtime int8", "torch eager fp32"):
        best = outcome.fastest("peers", engine)
        if best is None:
            table.add_row("any", engine, "-", outcome.missing["peers", engine][:60])
            continue
        ratios = ", ".join(f"{time / best[1]:.3f}" for time in ours.values())
        table.add_row("any", f"{engine}, {best[0].form}", f"{best[1] / 1000:.2f}", ratios)
    Console().print(table)


def in_turn(program: NativeProgram, recordings: list[NDArray[np.uint8]]) -> Call:
    """Runs one recording after the other."""
    return lambda k: program.logits(recordings[k % len(recordings)])


def network_of_rate(name: str, bits: float, rate: float) -> tuple[Graph, NDArray[np.uint8]]:
    """A graph of random weights whose layers spike at a rate on recordings [T, N, 2, H, W], and these."""
    torch.manual_seed(0)
    model = build_model(name, SHAPE, CLASSES)
    network = prepare(
        model, replace(QuantConfig(bits, bits, STEPS), input_format=InputFormat(scale=1 / 4)), SHAPE
    ).eval()
    recordings = np.random.default_rng(0).poisson(0.1, (STEPS, _RECORDINGS, *SHAPE)).astype(np.uint8)
    with torch.no_grad():
        settle(network, torch.from_numpy(recordings).float(), rate)
    return lower(network.freeze()), recordings


def settle(network: SpikingNetwork, h: Tensor, rate: float) -> None:
    """Give the normalisation of each layer the statistics of its sums, and a bias by which it spikes at the rate."""
    kept: dict[int, Tensor] = {}
    for i, stage in enumerate(network.in_a_row("this benchmark")[:-1]):
        norm, lif = cast(Norm, stage.norm), cast(LIF, stage.lif)
        source = None if stage.shortcut is None else kept[stage.shortcut.source]
        norm.running_mean.zero_()
        norm.running_var.fill_(1.0)
        sums = stage.current(h.flatten(0, 1), source)
        axes = [axis for axis in range(sums.dim()) if axis != 1]
        norm.running_mean.copy_(sums.mean(axes))
        norm.running_var.copy_(sums.var(axes))
        current = torch.unflatten(stage.current(h.flatten(0, 1), source), 0, h.shape[:2])
        low, high = -8.0, 8.0
        for _ in range(_HALVINGS):
            bias = (low + high) / 2
            spikes = lif(current + bias)
            low, high = (bias, high) if float(spikes.mean()) < rate else (low, bias)
        norm.bias.add_(bias)
        h = kept[i] = spikes
        kept[i] = spikes.flatten(0, 1)


class ResNetBaseline(nn.Module):
    """The same network of float weights and states, as other engines take it: [N, T * C, H, W] -> logits [N, classes].

    Args:
        batched: synapses see all steps as one batch; else all layers run step by step.
    """

    def __init__(self, name: str, batched: bool) -> None:
        super().__init__()
        self.model, self.batched = build_model(name, SHAPE, CLASSES, neuron=PlainLIF).eval(), batched

    def forward(self, x: Tensor) -> Tensor:
        frames = x.reshape(STEPS, 1, *SHAPE)  # one recording
        if self.batched:
            logits: Tensor = self.model(frames).sum(0)
            return logits
        neurons = [module for module in self.model.modules() if isinstance(module, PlainLIF)]
        for neuron in neurons:
            neuron.held = None
        total = torch.zeros(())
        for frame in frames.unbind(0):
            total = total + self.model.instant(frame)
        return total


class PlainLIF(LIF):
    """The loop that everyone writes first; on one step, [N, ...], it goes on from the step before."""

    def __init__(self) -> None:
        super().__init__()
        self.held: Tensor | None = None

    def forward(self, current: Tensor, skip: object = None) -> Tensor:
        if current.dim() in (2, 4):
            potential = current if self.held is None else 0.5 * self.held + current
            spikes = (potential >= 1.0).to(current.dtype)
            self.held = potential * (1.0 - spikes)
            return spikes
        state, history = None, []
        for drive in current.unbind(0):
            potential = drive if state is None else 0.5 * state + drive
            history.append((potential >= 1.0).to(drive.dtype))
            state = potential * (1.0 - history[-1])
        return torch.stack(history)


if __name__ == "__main__":
    main()
