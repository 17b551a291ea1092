"""The compact form on the smallest boards: equal to the reference, and as small and as cheap as it is said to be."""

from pathlib import Path

import numpy as np
import pytest

from adversarial import adversarial
from compact_graphs import compact_graph, rewritten_graph
from random_graphs import random_images
from real_mnist import mnist_test_or_skip
from spquant_snn.errors import ModelError
from spquant_snn.export.boards import board_of
from spquant_snn.export.c import export_c
from spquant_snn.export.firmware import load_manifest, run_firmware
from spquant_snn.export.fit import Limits
from spquant_snn.integer.file import load_graph
from toolchains import needs

EXAMPLES = Path(__file__).parents[2] / "examples"


def ran(folder, graph, images, board, limits, labels=None):
    export_c(graph, images[:2], folder, "compact", limits=limits)
    return run_firmware(folder, board, images, np.zeros(len(images), int) if labels is None else labels, layers=True)


@pytest.mark.device
@pytest.mark.parametrize(
    ("seed", "pooled", "name"),
    [
        (1, False, "ch32v003"),
        (8, False, "ch32v003"),
        (1, False, "cortex-m0plus"),
        (5, False, "cortex-m4"),
        (194, True, "ch32v003"),
        (240, True, "cortex-m0plus"),
    ],
)
def test_boards_run_random_graphs_as_the_reference(tmp_path, seed, pooled, name, record_property):
    _holds(tmp_path / "c", compact_graph(seed, pooled), board_of(name), record_property)


@pytest.mark.device
@pytest.mark.parametrize(
    ("seed", "name"),
    [
        (1, "ch32v002"),
        (12, "cortex-m4"),
        (14, "ch32v002"),
        (16, "cortex-m0plus"),
        (21, "ch32v002"),
        (28, "cortex-m0plus"),
        (32, "ch32v002"),
    ],
)
def test_boards_run_what_is_rewritten_as_the_reference(tmp_path, seed, name, record_property):
    _holds(tmp_path / "c", rewritten_graph(seed), board_of(name), record_property)


def _holds(folder, graph, board, record_property):
    """Every output is the reference's, and the bound of instructions holds for every image."""
    needs(board)
    outcome = ran(folder, graph, adversarial(graph), board, Limits(4096, 24_000, board))
    assert outcome.equal == outcome.images
    record_property("bound against the worst image", round(outcome.bound / outcome.most, 2))
    assert outcome.most <= outcome.bound <= 2.5 * outcome.most
    assert all(0 < layer.mean <= layer.bound for layer in outcome.layers)
    assert [layer.name for layer in outcome.layers] == [*load_manifest(folder)["layers"], None]
    told = sum(layer.mean for layer in outcome.layers)
    assert told == pytest.approx(outcome.instructions, rel=0.02)


@pytest.mark.device
@pytest.mark.parametrize(
    ("name", "asked", "ram", "flash", "instructions"),
    [
        ("ch32v003", (2048, 16384), 2048, 16384, 530_000),
        ("ch32v002", (4096, 16384), 4096, 16384, 530_000),
        ("cortex-m4", (4096, 17408), 4096, 17408, 530_000),
        ("cortex-m4", ("smallest", None), 1800, 17408, 530_000),
    ],
)
def test_networks_fit_and_cost_what_is_said(tmp_path, name, asked, ram, flash, instructions):
    images, labels = mnist_test_or_skip()
    graph, board = load_graph(EXAMPLES / "device-lenet.spq"), board_of(name)
    needs(board)
    outcome = ran(tmp_path / "c", graph, images[:20], board, Limits.of(*asked, board), labels[:20])
    assert outcome.equal == 20
    assert outcome.ram <= ram
    assert outcome.flash <= flash
    assert outcome.instructions <= instructions
    assert outcome.most <= outcome.bound <= 4 * outcome.most  # of digits, which are far from the worst images
    assert load_manifest(tmp_path / "c")["form"] == "compact"


@pytest.mark.device
def test_what_multiplies_is_not_for_a_part_that_cannot(tmp_path):
    graph, board = compact_graph(0), board_of("ch32v003")
    images = random_images(graph, 2)
    export_c(graph, images, tmp_path / "c", "general")
    with pytest.raises(ModelError, match="export it with --board ch32v003"):
        run_firmware(tmp_path / "c", board, images)
