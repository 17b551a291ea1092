"""Firmware of random graphs."""

import numpy as np
import pytest

from residual import residual_graph
from spquant_snn.export.c import export_c
from spquant_snn.export.library import PLAIN


@pytest.fixture
def firmware(tmp_path, random_graph, with_gates, random_images):
    """``firmware(seed, *widths)``: the folder of a random graph's export, the graph, images, and labels of zero; with
    ``gated``, of one that skips blocks; ``residual``, of one with shortcuts; with ``small``, for little flash; its
    folder of a ``shape``."""

    def make(seed, *widths, gated=False, residual=False, small=False, shape=PLAIN):
        graph = (residual_graph if residual else random_graph)(seed, *widths)
        graph = with_gates(graph, seed) if gated else graph
        folder = tmp_path / f"firmware-{seed}"
        images = random_images(graph, 6, seed)
        export_c(graph, images[:2], folder, f"random graph {seed}", small=small, shape=shape)
        return folder, graph, images, np.zeros(6, np.int64)

    return make
