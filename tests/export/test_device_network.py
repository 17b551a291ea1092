"""The trained network that ships for small devices, on every emulated board: equal to the reference, and as small and
as cheap as it is said to be."""

from pathlib import Path

import numpy as np
import pytest

from real_mnist import mnist_test, mnist_test_or_skip
from spquant_snn.export.boards import board_of
from spquant_snn.export.c import export_c
from spquant_snn.export.firmware import run_firmware
from spquant_snn.export.fit import Limits
from spquant_snn.integer.file import load_graph
from toolchains import needs

NETWORK = Path(__file__).parents[2] / "examples" / "device-lenet.spq"


@pytest.fixture(scope="module")
def digits():
    """MNIST's test images and labels; None where they are not."""
    return mnist_test()


@pytest.fixture(scope="module")
def shown(digits):
    """A hundred images and labels: of MNIST, or bright squares on black."""
    if digits is not None:
        return digits[0][:100], digits[1][:100]
    draw = np.random.default_rng(0)
    images = np.zeros((100, 1, 28, 28), np.uint8)
    for image, (y, x) in zip(images, draw.integers(4, 14, (100, 2)), strict=True):
        image[0, y : y + 9, x : x + 9] = draw.integers(0, 256, (9, 9))
    return images, np.zeros(100, np.int64)


@pytest.fixture(scope="module")
def exported(shown, tmp_path_factory):
    folder = tmp_path_factory.mktemp("device") / "firmware"
    export_c(load_graph(NETWORK), shown[0][:2], folder, "device-lenet")
    return folder


@pytest.mark.device
@pytest.mark.parametrize("name", ["cortex-m0", "cortex-m3", "cortex-m4", "cortex-m33", "cortex-m55", "rv32"])
def test_every_board_runs_a_hundred_images_as_the_reference(exported, shown, name):
    board = board_of(name)
    needs(board)
    outcome = run_firmware(exported, board, *shown)
    assert outcome.equal == 100
    assert outcome.ram <= 12 * 1024
    assert outcome.flash <= 24 * 1024


@pytest.mark.device
def test_packages_of_python_alone_run_a_hundred_images_as_the_reference(exported, shown):
    board = board_of("cortex-m4")
    needs(board, "zig", "unicorn")
    assert run_firmware(exported, board, *shown, compiler="zig", emulator="unicorn").equal == 100


@pytest.mark.device
@pytest.mark.mnist
def test_all_test_images_on_a_cortex_m4(exported):
    board = board_of("cortex-m4")
    needs(board)
    outcome = run_firmware(exported, board, *mnist_test_or_skip())
    assert (outcome.images, outcome.equal, outcome.correct) == (10_000, 10_000, 9_921)
    assert outcome.instructions <= 500_000


# On the part that each is for: instructions of the 50 digits beside them in the mean, and RAM, at most.
SMALLEST = {
    "3kb.spq": ("ch32v003", 540_000, 2048),
    "light.spq": ("ch32v003", 440_000, 2048),
    "4kb.spq": ("ch32v002", 1_200_000, 4096),
}


@pytest.mark.device
@pytest.mark.parametrize("name", SMALLEST)
def test_networks_for_the_smallest_parts_fit_them(tmp_path, name):
    part, instructions, ram = SMALLEST[name]
    board = board_of(part)
    needs(board)
    with np.load(NETWORK.parent / "mnist" / "digits.npz") as digits:
        images, labels = digits["images"], digits["labels"]
    limits = Limits(board.ram, board.flash, board)
    export_c(load_graph(NETWORK.parent / "mnist" / name), images[:2], tmp_path / "out", "digits", limits=limits)
    outcome = run_firmware(tmp_path / "out", board, images, labels)
    assert (outcome.images, outcome.equal) == (50, 50)
    assert outcome.instructions <= instructions
    assert outcome.flash <= 16 << 10
    assert outcome.ram <= ram
