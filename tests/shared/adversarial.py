"""Images that cost firmware much."""

import numpy as np

from spquant_snn.integer import reference


def adversarial(graph, seed=0):
    """Images that cost much, or are drawn from every kind."""
    rng, shape, top = np.random.default_rng(seed), graph.input_shape, graph.inputs[0].largest
    low = -top if graph.inputs[0].signed else 0
    board = np.indices(shape).sum(0) % 2 * top
    dense = (rng.random(shape) < 0.8) * rng.integers(1, top + 1, shape)
    kinds = (np.full(shape, top), np.zeros(shape), board, rng.integers(low, top + 1, shape), dense)
    images = np.stack(kinds).astype(np.int8 if graph.inputs[0].signed else np.uint8)
    return np.concatenate([images, _climbed(graph, images[3], rng)])


def _climbed(graph, image, rng, tries=60):
    """The image after changes, of which none made fewer neurons fire."""
    best, most, given = image, -1, graph.inputs[0]
    for _ in range(tries):
        value = rng.integers(-given.largest if given.signed else 0, given.largest + 1)
        other = np.where(rng.random(image.shape) < 0.1, value, best).astype(image.dtype)
        fired = count_spikes(graph, other[None])
        if fired >= most:
            best, most = other, fired
    return best[None]


def count_spikes(graph, images):
    """Of all neurons in all steps."""
    found = []
    reference.answers(graph, images, probe=lambda *seen: found.append(np.count_nonzero(seen[1])))
    return sum(found)
