"""Firmware of random graphs; pages, and a browser that opens them."""

from pathlib import Path

import numpy as np
import pytest

from chromium import Chromium
from page_trace import READY
from real_mnist import mnist_test_or_skip
from residual_graphs import residual_graph
from rows import Last, Part, around, row, square
from spquant_snn.data import load
from spquant_snn.export.c import export_c
from spquant_snn.export.packaging import PLAIN
from spquant_snn.export.web import export_web
from spquant_snn.integer.file import load_graph
from spquant_snn.integer.graph import Connection
from spquant_snn.integer.neuron import fold_neuron

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def firmware(tmp_path, random_graph, with_gates, random_images):
    """``firmware(seed, *widths)``: the folder of a random graph's export, the graph, images, and labels of zero; with
    ``gated``, of one that skips blocks; ``residual``, of one with shortcuts; with ``small``, for little flash; its
    folder of a ``shape``, and where it is ``fresh`` named by its layout."""

    def make(seed, *widths, gated=False, residual=False, small=False, shape=PLAIN, fresh=False):
        graph = (residual_graph if residual else random_graph)(seed, *widths)
        graph = with_gates(graph, seed) if gated else graph
        folder = tmp_path / (f"firmware-{shape.layout}" if fresh else f"firmware-{seed}")
        images = random_images(graph, 6, seed)
        export_c(graph, images[:2], folder, f"random graph {seed}", small=small, shape=shape)
        return folder, graph, images, np.zeros(6, np.int64)

    return make


@pytest.fixture(scope="module")
def browser():
    with Chromium() as found:
        yield found


@pytest.fixture(scope="session")
def any_graph():
    """A network of 28x28 grey pixels whose weights are drawn at random."""
    rng = np.random.default_rng(11)
    convolution = Connection(
        "conv", rng.integers(-1, 2, (12, 1, 5, 5)).astype(np.int8), 1.58, padding=around(2, 2), stride=(2, 2)
    )
    full = Connection("full", rng.integers(-1, 2, (20, 12 * 49)).astype(np.int8), 2, pools=(square("max", 2, 2),))
    layers = []
    for connection, bits, largest, gain in ((convolution, 1.58, 255, 6.0), (full, 3, 1, 40.0)):
        reach = connection.reach(largest)
        neuron, _ = fold_neuron(bits, gain / reach, 0.0 * reach, 1.0, 0.5, "zero", reach)
        layers.append(Part(connection, neuron))
    last = Connection("readout", rng.integers(-1, 2, (10, 20)).astype(np.int8), 2)
    return row((1, 28, 28), 3, tuple(layers), Last(last, 2, rng.integers(-9, 9, 10).astype(np.int32), 0.1))


@pytest.fixture(scope="session")
def site(any_graph, tmp_path_factory):
    """The folder of a page that is drawn on."""
    images = np.random.default_rng(0).integers(0, 256, (40, 1, 28, 28), dtype=np.uint8)
    images[:, :, :, 20:] = 0
    out = tmp_path_factory.mktemp("web") / "site"
    export_web(any_graph, images, np.arange(40) % 10, out, "any weights", "mnist")
    return out


@pytest.fixture
def open_page(browser):
    """``open_page(folder, **window)``: its page, whose self-test has ended."""
    opened = []

    def run(folder, **window):
        page = browser.open((folder / "index.html").as_uri(), **window)
        opened.append(page)
        page.until(READY)
        return page

    yield run
    for page in opened:
        page.close()


@pytest.fixture(scope="session")
def mnist():
    """Test images and labels of MNIST."""
    return mnist_test_or_skip()


@pytest.fixture(scope="session")
def trained(mnist, tmp_path_factory):
    """A network that knows digits: one of the examples, or one that is trained for a moment."""
    for path in sorted(EXAMPLES.glob("*.spq")):
        if load_graph(path).input_shape == (1, 28, 28):
            return load_graph(path)
    from spquant_snn import SpQuantTrainer

    train = load("mnist", download=False, progress=False).train
    data = ((train.images[:12_000], train.labels[:12_000]), (train.images[-500:], train.labels[-500:]))
    folder = tmp_path_factory.mktemp("trained")
    run = SpQuantTrainer(
        "lenet-snn:0.25", data, 2, timesteps=2, epochs=2, precision="fp32", quiet=True, out=folder / "run"
    )
    run.train()
    run.export(folder / "model.spq")
    return load_graph(folder / "model.spq")


@pytest.fixture(scope="session")
def trained_site(trained, mnist, tmp_path_factory):
    out = tmp_path_factory.mktemp("web") / "trained"
    export_web(trained, *mnist, out, "a trained network", "mnist")
    return out
