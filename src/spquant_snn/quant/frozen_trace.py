"""What a frozen torch network computes, in the open, and whether its integer graph computes the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import ConfigError, DataError, ModelError
from ..integer.compare import IntegerBackend, Trace, Tracer, Verdict, compare_backends, reference_trace
from ..integer.graph import Graph
from ..integer.inputs import as_pixels
from ..runtime.native import NativeProgram
from .network import SpikingNetwork


def frozen_trace(network: SpikingNetwork, images: NDArray[np.uint8]) -> Trace:
    """What a frozen torch network computes on uint8 images [N, C, H, W] or [T, N, C, H, W]: the same record as
    ``reference_trace``.

    Raises:
        ModelError: the network is not frozen.
    """
    if not network.frozen:
        raise ModelError("the network is still in training form: call freeze() before frozen_trace()")
    device = next(network.parameters()).device
    trace = Trace()
    logits = network.integer_logits(
        torch.from_numpy(images).to(device),
        lambda name, spikes, codes: trace.add(name, spikes.cpu().numpy(), codes.cpu().numpy()),
    )
    trace.logits = logits.cpu().numpy()
    return trace


def verify(
    network: SpikingNetwork,
    graph: Graph,
    images: Any,
    backend: IntegerBackend = "reference",
    progress: Callable[[int], None] = lambda done: None,
) -> Verdict:
    """Compare a frozen torch network with its integer graph in every spike, every stored code and every logit.

    Args:
        network: frozen, in evaluation.
        graph: what ``lower`` made of it, or ``load_graph`` read.
        images: uint8 [N, C, H, W], or sequences [T, N, C, H, W], in anything that ``numpy.asarray`` takes.
        backend: what runs the graph: NumPy ("reference") or C ("native").
        progress: called with the number of images done.

    Returns:
        ``verdict.equal``, how much was compared, and the first difference if there is one; ``str`` says it in a
        sentence.

    Raises:
        ConfigError: there is no such backend.
        ModelError: the network is not frozen, or is another than the graph's.
        DataError: the images have another dtype or shape.

    Example:
        >>> network = prepare(LeNetSNN((1, 8, 8)), QuantConfig(), input_shape=(1, 8, 8)).eval().freeze()
        >>> images = numpy.random.default_rng(0).integers(256, size=(5, 1, 8, 8), dtype=numpy.uint8)
        >>> print(verify(network, lower(network), images))
        equal on 5 images: 8,960 spikes, 8,960 stored codes, 50 logits
    """
    if backend not in get_args(IntegerBackend):
        raise ConfigError(f"backend must be one of {', '.join(get_args(IntegerBackend))}, not {backend!r}")
    array = as_pixels(images, "images")
    if array.ndim not in (4, 5) or array.shape[-3:] != graph.input_shape or 0 in array.shape:
        wanted = "x".join(map(str, graph.input_shape))
        raise DataError(f"verify takes images [N, {wanted}] or sequences [T, N, {wanted}], not {list(array.shape)}")
    if network.input_shape != graph.input_shape or network.outputs != graph.classes:
        raise ModelError("the graph is of another network: lower this one again")
    found: Tracer = NativeProgram(graph).trace if backend == "native" else (lambda x: reference_trace(graph, x))
    return compare_backends(lambda x: frozen_trace(network, x), found, array, progress=progress)
