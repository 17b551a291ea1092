"""Frames and events to push into a stream, and what the batch says of them."""

import numpy as np

from random_graphs import random_graph, random_images
from spquant_snn.data.events import Events
from spquant_snn.integer import reference

EVENT = [("t", np.int64), ("x", np.uint16), ("y", np.uint16), ("p", np.uint8)]
OF_EVENTS = [seed for seed in range(90) if random_graph(seed).input_shape[0] == 2][:12]


def batch(graph, frames):
    """The logits of a sequence of frames, by the reference's batch."""
    return reference.run(graph, np.stack(frames)[:, None])[0]


def random_frames(graph, count, seed):
    """Frames of which no two are alike, half of them with little in them; the third has the largest sums."""
    frames = random_images(graph, count, seed)
    frames[2:3] = 255
    return list(frames)


def recording(seed, sensor, count=400):
    """Events anywhere on a sensor, within 10 milliseconds."""
    draw = np.random.default_rng(seed)
    t = np.sort(draw.integers(0, 10_000, count)).astype(np.int64)
    x, y = (draw.integers(0, side, count).astype(np.uint16) for side in sensor[::-1])
    return Events(t, x, y, draw.integers(0, 2, count).astype(np.uint8), sensor)


def pushed(*rows):
    return np.array(list(rows), EVENT)
