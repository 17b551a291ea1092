"""One thread and one hypothesis profile for all tests, so that what passes once passes always; Triton's interpreter
where there is no GPU; the command; networks that fire; a task that is learnt in a moment, and networks for it."""

import os
import shutil
import sys
import zlib
from functools import partial

import pytest
import torch
from hypothesis import HealthCheck, settings
from torch import nn

import random_graphs
from exactness import settle_norms
from once import locked, of_this_run
from spquant_snn import QuantConfig, prepare
from spquant_snn.__main__ import main
from spquant_snn.build import Library
from spquant_snn.nn import LIF
from spquant_snn.train.tensors import LabelledTensors
from toy_task import images

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # of processes that tests start, too
if not torch.cuda.is_available():  # Triton looks at it when it is first imported, and can do nothing else there
    os.environ["TRITON_INTERPRET"] = "1"
torch.set_num_threads(1)
settings.register_profile(
    "house", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("house")


def pytest_collection_modifyitems(items):
    """C sources are compiled where there is a compiler; their tests need one."""
    if any(shutil.which(name) for name in ("cc", "gcc", "clang")):
        return
    folders, files = {"runtime", "benchmarks"}, ("test_build", "test_fused", "test_sums", "test_recompute")
    for item in items:
        if folders & set(item.path.parts) or item.path.stem in files or "native" in item.name:
            item.add_marker(pytest.mark.skip(reason="there is no C compiler"))


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """A folder that all processes of this test run have in common, for ``made_once``."""
    return of_this_run(tmp_path_factory)


@pytest.fixture(scope="session", autouse=True)
def build_cache(shared):
    """A cache folder of the tests' own: each library is built once, from the source as it stands, for all processes."""
    loaded = Library._loaded

    def in_turn(library, cc, flags):
        name = zlib.crc32(repr((library, cc, flags)).encode())
        with locked(shared / f"{name:08x}.lock"):  # who wants what another is building waits for it
            return loaded(library, cc, flags)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(shared / "cache"))
        patch.setattr(Library, "_loaded", in_turn)
        yield


@pytest.fixture
def answer_of(monkeypatch, capsys, tmp_path):
    """A function: exit code, standard output and standard error of a program, given its function, its name and its
    arguments, run in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def call(main, *arguments):
        monkeypatch.setattr(sys, "argv", [*map(str, arguments)])
        try:
            code = main()
        except SystemExit as end:
            code = end.code
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.fixture
def spquant(answer_of):
    """A function: the same of the command ``spquant``, given its arguments."""
    return partial(answer_of, main, "spquant")


@pytest.fixture(scope="session")
def random_graph():
    """``random_graph(seed, weight_bits=None, state_bits=None, reset=None)``, as ``shared/graphs`` says."""
    return random_graphs.random_graph


@pytest.fixture(scope="session")
def with_gates():
    """``with_gates(graph, seed)``, as ``shared/graphs`` says."""
    return random_graphs.with_gates


@pytest.fixture(scope="session")
def random_images():
    """``random_images(graph, count, seed=0)``, as ``shared/graphs`` says."""
    return random_graphs.random_images


@pytest.fixture(scope="session")
def by_hand():
    """A function: layers of torch over uint8 images [N, ...] shown T times, layer by layer and step by step."""

    def run(layers, images, timesteps):
        x = (images.float() / 255).expand(timesteps, *images.shape)
        for layer in layers:
            x = layer(x) if isinstance(layer, LIF) else torch.stack([layer(step) for step in x])
        return x

    return run


@pytest.fixture(scope="session")
def fit_norms(by_hand):
    """A function: give every batch normalisation in a row the statistics of the images, so that neurons fire."""

    def run(layers, images):
        x = images.float() / 255
        with torch.no_grad():
            for layer in layers:
                if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                    layer.momentum = 1.0
                    layer.train()(x)
                    layer.momentum = 0.1
                x = layer.eval()(x[None])[0] if isinstance(layer, LIF) else layer.eval()(x)
        return layers

    return run


@pytest.fixture(scope="session")
def calibrate():
    """A function: the same for a prepared network, in one pass in training mode."""
    return settle_norms


@pytest.fixture(scope="session")
def noise():
    """A function: random uint8 images of a shape, smooth enough that convolutions see more than noise."""

    def run(*shape, seed=0):
        rough = torch.rand(*shape, generator=torch.Generator().manual_seed(seed))
        flat = rough.reshape(-1, 1, *shape[-2:])
        smooth = torch.nn.functional.avg_pool2d(flat, 3, 1, 1).reshape(shape)
        return (255 * (smooth - smooth.min()) / (smooth.max() - smooth.min())).to(torch.uint8)

    return run


@pytest.fixture(scope="session")
def quadrants():
    """A function: ``count`` noisy 8x8 images, labelled by which of their quarters is bright."""

    return lambda count, seed=0: LabelledTensors(*images(count, seed))


@pytest.fixture(scope="session")
def tiny():
    """A function: an untrained network of two layers of neurons for these images."""

    def make(seed=0, bits=2, drop=0.0, timesteps=2):
        torch.manual_seed(seed)
        model = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1, bias=False),
            nn.AvgPool2d(2),
            nn.BatchNorm2d(4),
            LIF(),
            nn.Flatten(),
            nn.Dropout(drop),
            nn.Linear(64, 16, bias=False),
            nn.BatchNorm1d(16),
            LIF(),
            nn.Linear(16, 4),
        )
        return prepare(model, QuantConfig(bits, bits, timesteps), (1, 8, 8))

    return make
