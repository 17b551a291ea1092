"""What an export says of memory, and which boards it names."""

from dataclasses import replace

import numpy as np
import pytest

from rows import Last, Part, around, row, square
from spquant_snn.errors import ModelError
from spquant_snn.export import board_sizes
from spquant_snn.export.board_sizes import exported_size
from spquant_snn.export.boards import BOARDS, board_of
from spquant_snn.export.c import export_c
from spquant_snn.export.firmware import load_manifest, run_firmware
from spquant_snn.export.packaging import PLAIN
from spquant_snn.integer.graph import Connection
from spquant_snn.integer.neuron import fold_neuron
from toolchains import needs


def _graph(channels, side=20):
    """A ternary convolution whose sum-pool is folded into it, which takes four times the flash, and a readout."""
    rng = np.random.default_rng(0)
    codes = rng.integers(-1, 2, (channels, 8, 5, 5)).astype(np.int8)
    connection = Connection("conv", codes, 1.58, padding=around(2, 2), sum_pool=square("sum", 2, 2))
    reach = connection.reach(1)
    first = Connection("first", rng.integers(-1, 2, (8, 1, 3, 3)).astype(np.int8), 1.58, padding=around(1, 1))
    neurons = [
        fold_neuron(1.58, 3.0 / each, 0.0 * each, 1.0, 0.5, "zero", each)[0] for each in (first.reach(255), reach)
    ]
    last = Connection("readout", np.ones((2, channels), np.int8), 1.58, pools=(square("max", side // 2, side // 2),))
    parts = tuple(Part(each, neuron) for each, neuron in zip((first, connection), neurons, strict=True))
    return row((1, side, side), 2, parts, Last(last, 0, np.zeros(2, np.int32), 1.0))


def _exported(tmp_path, graph):
    export_c(graph, np.zeros((1, *graph.input_shape), np.uint8), tmp_path / "x", "x")
    return exported_size(graph, tmp_path / "x", load_manifest(tmp_path / "x"), PLAIN)


@pytest.mark.device
def test_boards_that_are_named_hold_the_network_and_others_do_not(tmp_path):
    for board in ("cortex-m0", "cortex-m4"):
        needs(board_of(board))
    graph = _graph(32, 28)
    found = _exported(tmp_path, graph)
    assert "cortex-m4" in found.holding
    assert found.size.board == "cortex-m4"
    image = np.zeros((1, *graph.input_shape), np.uint8)
    outcome = run_firmware(tmp_path / "x", board_of("cortex-m4"), image, count=False)
    assert outcome.flash == found.size.flash
    assert outcome.ram - outcome.stack == found.size.ram - found.size.stack
    assert outcome.stack <= found.size.stack + 256
    assert found.lines(tmp_path / "x")[1] == f"spquant run-firmware {tmp_path / 'x'} --board cortex-m4 runs it"


@pytest.mark.device
def test_a_board_that_is_asked_for_is_measured(tmp_path):
    needs(board_of("cortex-m33"))
    graph = _graph(8, 20)
    export_c(graph, np.zeros((1, *graph.input_shape), np.uint8), tmp_path / "x", "x")
    found = exported_size(graph, tmp_path / "x", load_manifest(tmp_path / "x"), PLAIN, board="cortex-m33")
    assert found.size.board == "cortex-m33"
    assert "as built for cortex-m33" in found.lines(tmp_path / "x")[0]
    assert found.lines(tmp_path / "x")[1].endswith("--board cortex-m33 runs it")


@pytest.mark.device
def test_a_board_that_is_too_small_is_not_named_and_what_helps_is(tmp_path, monkeypatch):
    board = board_of("cortex-m4")
    needs(board)
    graph = _graph(64)
    size = _exported(tmp_path, graph).size
    tight = replace(board, flash=size.flash - 4096)
    monkeypatch.setattr(board_sizes, "BOARDS", {"cortex-m4": tight})
    found = exported_size(graph, tmp_path / "x", load_manifest(tmp_path / "x"), PLAIN)
    assert found.holding == ()
    assert "no board that is emulated here holds it: with --prefer flash it takes" in found.lines(tmp_path / "x")[1]
    with pytest.raises(
        ModelError, match=r"too large for cortex-m4.*--prefer flash takes [\d,]+ bytes of constants fewer"
    ):
        run_firmware(tmp_path / "x", tight, np.zeros((1, *graph.input_shape), np.uint8))


def test_without_a_compiler_it_is_an_estimate_on_the_safe_side(tmp_path, monkeypatch):
    monkeypatch.setattr(board_sizes.shutil, "which", lambda *_, **__: None)
    found = _exported(tmp_path, _graph(8))
    assert found.size.board is None
    assert "estimated: there is no compiler" in found.lines(tmp_path / "x")[0]
    assert all(found.size.flash <= BOARDS[name].flash and found.size.ram <= BOARDS[name].ram for name in found.holding)
    assert "cortex-m4" in found.holding
