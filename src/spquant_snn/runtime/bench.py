"""How long a network takes here, native against reference, in one process.

    python -m spquant_snn.runtime.bench MODEL.spq [IMAGES.npy]

Images are uint8 [N, C, H, W]; without a file they are noise, of which four pixels in five are black. Times are CPU time
of the calling thread, the least and the median of several rounds in turn: other work on the machine disturbs them
little.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np

from ..integer import reference
from ..integer.file import load_graph
from .native import NativeProgram, UInt8

_ROUNDS = 15


def main(arguments: list[str]) -> int:
    if len(arguments) not in (1, 2):
        print(__doc__, file=sys.stderr)
        return 2
    graph = load_graph(arguments[0])
    images = np.load(arguments[1])[:500] if len(arguments) == 2 else _noise(graph.input_shape)
    with NativeProgram(graph) as native:
        rates = [float(np.mean(layer[1])) for layer in native.trace(images[:100]).layers]
        if (native.logits(images[:50]) != reference.run(graph, images[:50])).any():
            print("different: native and reference do not agree", file=sys.stderr)
            return 1
        times = {
            "native, one image": lambda k: native.logits(images[k : k + 1]),
            "native, 100 images": lambda k: native.logits(images[:100]),
            "reference, 25 images": lambda k: reference.run(graph, images[:25]),
        }
        counts = (1, 100, 25)
        taken: dict[str, list[float]] = {name: [] for name in times}
        for _ in range(_ROUNDS):
            for (name, call), count in zip(times.items(), counts, strict=True):
                taken[name] += _microseconds(call, len(images) if count == 1 else 1, count)
        print(f"T = {graph.timesteps}, spikes per layer {', '.join(f'{100 * rate:.1f} %' for rate in rates)}")
        print(f"arena {native.plan.arena_size:,} bytes")
        for name, values in taken.items():
            print(f"{name:22} {min(values):9.1f} us an image at least, {statistics.median(values):9.1f} median")
        fast, slow = (statistics.median(taken[name]) for name in ("native, one image", "reference, 25 images"))
        print(f"native, image by image, takes {fast / slow:.4f} of the reference's time")
    return 0


def _microseconds(call: Callable[[int], object], calls: int, count: int) -> list[float]:
    """Per image, of each call."""
    values = []
    for k in range(calls):
        start = time.thread_time_ns()
        call(k)
        values.append((time.thread_time_ns() - start) / 1000 / count)
    return values


def _noise(shape: tuple[int, int, int]) -> UInt8:
    rng = np.random.default_rng(0)
    noise = rng.integers(1, 256, (500, *shape), np.uint8)
    return np.where(rng.random(noise.shape) < 0.2, noise, np.uint8(0))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
