"""The instructions that no input exceeds, and those of each layer: on emulated boards, and what they rest on."""

import numpy as np
import pytest

from adversarial import adversarial, count_spikes
from general_graphs import general_graph
from rows import Last, Part, row
from spquant_snn.export import most_spikes as module
from spquant_snn.export.boards import board_of
from spquant_snn.export.c import export_c
from spquant_snn.export.firmware import run_firmware
from spquant_snn.export.fit import Limits
from spquant_snn.export.interface import layer_names
from spquant_snn.export.most_spikes import most_spikes
from spquant_snn.export.outcome import layers_table, outcome_table
from spquant_snn.integer.graph import Connection
from spquant_snn.integer.neuron import fold_neuron
from toolchains import needs


@pytest.mark.device
@pytest.mark.parametrize(
    ("name", "drawn"),
    [("cortex-m4", (16, 1.58, 1.58, "zero")), ("cortex-m4", (5, 4, 4, "subtract")), ("rv32", (17, 2, 2, "zero")),
     ("cortex-m0", (9, 8, 8)), ("cortex-m55", (16, 1.58, 1.58, "zero"))],
    ids=str,
)  # fmt: skip
def test_no_image_takes_more_than_the_bound(firmware, name, drawn):
    board = board_of(name)
    needs(board)
    folder, graph, *_ = firmware(*drawn)
    outcome = run_firmware(folder, board, adversarial(graph), layers=True)
    assert outcome.equal == outcome.images
    assert outcome.most <= outcome.bound <= 1.5 * outcome.most
    assert [layer.name for layer in outcome.layers] == [*layer_names(graph), None]
    assert sum(layer.mean for layer in outcome.layers) == pytest.approx(outcome.instructions, abs=1)
    assert all(0 < layer.mean <= layer.bound for layer in outcome.layers)
    rows = [table.columns[0]._cells for table in (outcome_table(outcome), layers_table(outcome))]
    assert "never more, of any image" in rows[0]
    assert rows[1][-1] == "the rest"


@pytest.mark.device
def test_the_bound_is_of_the_form_that_limits_chose(tmp_path, random_graph, with_gates, random_images):
    board, graph = board_of("cortex-m4"), with_gates(random_graph(2, 4, 4, "zero"), 1)  # gates have no compact form
    needs(board)
    images, found = random_images(graph, 2), []
    for number, options in enumerate(({"small": True}, {"limits": Limits.of(None, "smallest", board)})):
        manifest = export_c(graph, images, tmp_path / str(number), "chosen", **options)
        assert (manifest["form"], manifest["small"]) == ("general", True)
        found.append(run_firmware(tmp_path / str(number), board, images, layers=True))
    assert found[0].layers == found[1].layers


@pytest.mark.device
def test_no_step_of_a_sequence_takes_more_than_the_bound(firmware):
    board = board_of("cortex-m4")
    needs(board)
    folder, graph, *_ = firmware(16, 1.58, 1.58, "zero")
    images = adversarial(graph)
    outcome = run_firmware(folder, board, np.stack([images, images[::-1], images], 1), layers=True)
    assert outcome.equal == outcome.images
    assert outcome.most <= outcome.bound <= 1.5 * outcome.most


@pytest.mark.device
@pytest.mark.parametrize("seed", [40, 43])
def test_networks_of_terms_have_a_bound_too(tmp_path, seed):
    board, graph = board_of("cortex-m4"), general_graph(seed)
    needs(board)
    images = adversarial(graph)
    export_c(graph, images[:1], tmp_path / "x", "x")
    outcome = run_firmware(tmp_path / "x", board, images, layers=True)
    assert outcome.most <= outcome.bound <= 1.5 * outcome.most


@pytest.mark.device
def test_both_emulators_find_the_same_bound(firmware):
    board = board_of("cortex-m4")
    needs(board)
    needs(board, "gcc", "unicorn")
    folder, graph, *_ = firmware(12)
    given = folder, board, adversarial(graph)
    found = [run_firmware(*given, emulator=emulator, layers=True) for emulator in ("qemu", "unicorn")]
    assert found[1].bound == pytest.approx(found[0].bound, rel=0.05)
    assert found[1].most <= found[1].bound


def _one_layer(codes, gain, steps=2, leak=0.5):
    """A linear layer of ternary codes on as many pixels, and a readout."""
    connection = Connection("full", np.array(codes, np.int8), 1.58)
    reach = connection.reach(255)
    neuron, _ = fold_neuron(1.58, gain / reach.max(), 0.0 * reach, 1.0, leak, "zero", reach)
    last = Connection("last", np.ones((2, len(codes)), np.int8), 1.58)
    return row((len(codes[0]), 1, 1), steps, (Part(connection, neuron),), Last(last, 0, np.zeros(2, np.int32), 1.0))


def test_neurons_that_exclude_each_other_do_not_fire_together():
    pytest.importorskip("scipy")
    opposed = _one_layer([[1, -1], [-1, 1], [1, -1], [-1, 1]], 1.5)
    assert most_spikes(opposed, streams=True) == 2
    assert most_spikes(_one_layer([[1, 1], [0, 1], [1, 0], [1, 1]], 3.0, leak=0.0), streams=True) == 4
    assert most_spikes(_one_layer([[1, 1], [-1, -1]], 3.0), streams=False) == 1


def test_more_spikes_than_were_said_are_not_found_by_trying():
    pytest.importorskip("scipy")
    for seed in range(6):
        rng = np.random.default_rng(seed)
        graph = _one_layer(rng.integers(-1, 2, (9, 5)), 2.0, steps=3)
        most = most_spikes(graph, streams=False)
        images = rng.integers(0, 2, (400, 5, 1, 1)).astype(np.uint8) * rng.integers(1, 256, (400, 5, 1, 1), np.uint8)
        tried = max(count_spikes(graph, image[None]) for image in images)
        assert tried <= 3 * most <= 3 * 9


def test_without_scipy_all_neurons_may_fire(monkeypatch):
    graph = _one_layer([[1, -1], [-1, 1]], 1.5)
    monkeypatch.setattr(module.importlib, "import_module", lambda name: (_ for _ in ()).throw(ImportError(name)))
    assert most_spikes(graph, streams=False) is None
