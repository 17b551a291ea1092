"""Bytes that training takes, counted where torch takes them: the same on every machine, whatever its allocator does
with them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from benchmarks.harness.suppress_output import suppress_output
from benchmarks.harness.timing import Call
from spquant_snn.train.device import PeakMemory


def saved_for_backward(forward: Callable[[], Tensor]) -> int:
    """Bytes of all tensors that a forward pass keeps for the backward pass, each memory once."""
    kept: dict[int, Tensor] = {}

    def save(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor):
        result = forward()
    del result
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def peak_bytes(call: Call, device: str = "cpu") -> int:
    """Most bytes that a call holds at once on a device, beside what was held before. Gradients count, weights do not,
    if the call frees the former first."""
    call(0)
    if device != "cpu":
        memory = PeakMemory(torch.device(device))
        call(1)
        return memory.bytes() or 0
    with (
        suppress_output(),
        profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as recorded,
    ):
        call(1)
    with tempfile.TemporaryDirectory(prefix="spquant_snn-") as folder, suppress_output():
        path = Path(folder) / "trace.json"
        recorded.export_chrome_trace(str(path))
        events = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    found = sorted((event for event in events if event.get("name") == "[memory]"), key=lambda event: float(event["ts"]))
    held = most = 0
    for event in found:
        held += int(event["args"]["Bytes"])
        most = max(most, held)
    return most
