"""What a frozen torch network computes, in the open, and whether its integer graph computes the same."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from ..dtypes import Int64
from ..errors import ConfigError, ModelError
from ..integer.compare import IntegerBackend, Trace, Tracer, Verdict, compare_backends, reference_trace
from ..integer.connection import image
from ..integer.graph import Graph, HasGraph, as_graph
from ..integer.inputs import as_array, as_inputs
from ..io.terminal import Report, progress_shown
from ..runtime.native import NativeProgram
from .network import SpikingNetwork, as_network


def frozen_trace(network: SpikingNetwork, *given: NDArray[np.uint8]) -> Trace:
    """What a frozen torch network computes on uint8 images [N, C, H, W] or [T, N, C, H, W], for each of its inputs: the
    same record as ``reference_trace``.

    Raises:
        ModelError: the network is not frozen.
    """
    if not network.frozen:
        raise ModelError("the network is still in training form: call freeze() before frozen_trace()")
    device = next(network.parameters()).device
    trace = Trace()
    answers = network.integer_answers(
        [  # a signal of one channel as an image could be a sequence
            torch.from_numpy(x).to(device).reshape(*x.shape[:-3], *shape)
            for x, shape in zip(given, network.input_shapes, strict=True)
        ],
        lambda name, spikes, codes: trace.add(name, spikes.cpu().numpy(), codes.cpu().numpy()),
    )
    trace.answers = [answer.cpu().numpy() for answer in answers]
    return trace


def same_layers(network: SpikingNetwork, graph: Graph) -> bool:
    """Whether a graph has the input, the time steps and the layers of a network, by their names and sizes."""
    layers = [(stage.name, image(shape)) for stage, shape in zip(network.hidden, network.shapes, strict=True)]
    said = [(stage.name, stage.channels) for stage in network.readouts]
    found = [(layer.name, image(shape)) for layer, shape in zip(graph.layers, graph.shapes, strict=True)]
    answers = [(readout.name, len(readout.bias)) for readout in graph.readouts]
    inputs = [image(shape) for shape in network.input_shapes]
    return (inputs, network.config.timesteps, layers, said) == (
        [given.shape for given in graph.inputs],
        graph.timesteps,
        found,
        answers,
    )


def verify(
    network: SpikingNetwork,
    graph: Graph | HasGraph,
    images: Any,
    backend: IntegerBackend = "reference",
    progress: Report | None = None,
    lengths: Int64 | Sequence[int] | None = None,
) -> Verdict:
    """Compare a frozen torch network with its integer graph in every spike, every stored code and every logit.

    Args:
        network: frozen, in evaluation.
        graph: what ``lower`` made of it, ``load_graph`` read, or a program holds.
        images: as ``Program`` takes them: uint8 [N, C, H, W], or sequences [T, N, C, H, W]; of a network of several
            inputs, a list with those of each.
        backend: what runs the graph: NumPy ("reference") or C ("native").
        progress: called with the number of images done; a bar by default, on a terminal, where it takes long.
        lengths: [N] number of frames of each sequence, 1 to T; frames behind are left out. None: all have T.

    Returns:
        A verdict: ``equal``, which is also its truth value, how much was compared, and the first difference if there is
        one; ``str(verdict)`` says it in a sentence.

    Raises:
        ConfigError: there is no such backend.
        ModelError: the network is not frozen, or is another than the graph's.
        DataError: the images have another dtype or shape, there are none, or ``lengths`` are not theirs.

    Example:
        >>> network = prepare(LeNetSNN((1, 8, 8)), QuantConfig(), input_shape=(1, 8, 8)).eval().freeze()
        >>> images = numpy.random.default_rng(0).integers(256, size=(5, 1, 8, 8), dtype=numpy.uint8)
        >>> print(verify(network, lower(network), images))
        equal on 5 images: 8,960 spikes, 8,960 stored codes, 50 logits
    """
    if backend not in get_args(IntegerBackend):
        raise ConfigError(f"backend must be one of {', '.join(get_args(IntegerBackend))}, not {backend!r}")
    network, graph = as_network(network), as_graph(graph)
    if not same_layers(network, graph):
        raise ModelError("the graph is of another network: lower this one again")
    given = as_inputs(graph, tuple(images) if len(graph.inputs) > 1 else (images,))
    frames = None if lengths is None else as_array(lengths, "lengths")
    found: Tracer = NativeProgram(graph).trace if backend == "native" else partial(reference_trace, graph)
    with progress_shown(progress, given[0].shape[-4], "verifying") as report:
        return compare_backends(partial(frozen_trace, network), found, given, progress=report, lengths=frames)
