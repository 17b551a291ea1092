"""How long a push into a stream takes, from the call to its logits, by native code and by the reference; and whether
what is streamed is told as the batch tells it.

    OPENBLAS_NUM_THREADS=1 python -m benchmarks stream runs/mnist/2-2-s0/model.spq                      # test images
    OPENBLAS_NUM_THREADS=1 python -m benchmarks stream runs/nmnist/model.spq --dataset nmnist --data-dir DATA

An image is pushed as often as the network has time steps, then the next one begins. A recording is pushed as events, in
as many stretches of time as there were frames in training; the time to count them into frames is in the figures.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np

import spquant_snn
from spquant_snn import Program, Stream
from spquant_snn.data import find_recordings, load, of_events
from spquant_snn.data.catalog import data_folder
from spquant_snn.data.events import Events

_SEQUENCES = {"native": 500, "reference": 50}  # latency is of the last 1,000 pushes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="an .spq file")
    parser.add_argument("--dataset", default="mnist", help="whose test set is pushed")
    parser.add_argument("--data-dir", type=Path)
    args = parser.parse_args()

    native = spquant_snn.load(args.model)
    for name, program in (("native", native), ("reference", Program(native.graph))):
        count = _SEQUENCES[name]
        test = load(args.dataset, args.data_dir, timesteps=program.timesteps).test
        expected = native.predict(test.inputs(slice(count)))
        net, sequences = streamed(program, args.dataset, args.data_dir, test)
        found = np.array([told(net, sequence) for sequence in islice(sequences, count)])
        print(f"{name:9} {net.latency}; {(found == expected).sum()} of {len(expected)} answers as the batch's")


def streamed(program: Program, dataset: str, data_dir: Path | None, test: Any) -> tuple[Stream, Iterator[list[Any]]]:
    """A stream, and what is pushed into it for each item of the test set."""
    if not of_events(dataset):
        return program.stream(), ([image] * program.timesteps for image in test.images)
    recordings = find_recordings(dataset, data_folder(data_dir))[1]
    there = (events for events in recordings.read() if events is not None)
    return program.stream(recordings.sensor), (parts(events, program.timesteps) for events in there)


def parts(events: Events, count: int) -> list[Events]:
    """A recording in so many stretches of one duration, as ``Framing(steps=count)`` divides it."""
    first, duration = int(events.t[0]), int(events.t[-1]) - int(events.t[0]) + 1
    bounds = [first - (-i * duration // count) for i in range(count + 1)]
    return [events.between(start, stop) for start, stop in pairwise(bounds)]


def told(net: Stream, sequence: list[Any]) -> int:
    net.reset()
    for frame in sequence:
        net.push(frame)
    return int(net.predict())


if __name__ == "__main__":
    main()
