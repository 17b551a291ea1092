"""Fronts by their definition; runs by the ledger; the table of them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spquant_snn.data import Task
from spquant_snn.data.scores import count, score
from spquant_snn.data.task import OutputFormat
from spquant_snn.integer.program import Program
from spquant_snn.report.comparison import make_comparison
from spquant_snn.report.ledger import make_ledger
from spquant_snn.report.pareto import front, measure_run

points = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=12)


def beats(a, b):
    """Costs no more, is worth no less, and is better in one of the two."""
    return a[0] <= b[0] and a[1] >= b[1] and a != b


@given(points)
def test_the_front_is_what_no_other_beats(found):
    expected = {i for i, point in enumerate(found) if not any(beats(other, point) for other in found)}
    places = front(found)
    assert set(places) == expected
    assert len(places) == len(expected)
    assert [found[i][0] for i in places] == sorted(found[i][0] for i in places)


@pytest.mark.usefixtures("by_reference")
def test_integers_cost_what_their_ledger_says(random_graph, random_images):
    graph = random_graph(3)
    images = random_images(graph, 4)
    labels = np.zeros(4, np.int64)
    run, ledger = measure_run("run", graph, images, labels), make_ledger(graph, images, labels)
    totals = [energy.total for energy in ledger.costs[0].energies]
    assert run.counts == ledger.counts
    assert run.stored == ledger.sizes.weights + ledger.sizes.state
    assert run.energy == (min(totals), max(totals))
    assert run.done == sum(layer.done for layer in ledger.counts.layers)
    assert (run.weight_bits, run.state_bits) == (graph.layers[0].terms[0].connection.bits, graph.layers[0].neuron.bits)


@pytest.mark.usefixtures("by_reference")
def test_the_error_of_an_accuracy_is_that_of_draws(two_layers):
    images = np.zeros((4, 1, 2, 2), np.uint8)
    run = measure_run("run", two_layers, images, np.array([1, 1, 1, 0]))
    assert (run.metric.key, run.value) == ("accuracy", 75)
    assert run.error == pytest.approx(100 * (0.75 * 0.25 / 4) ** 0.5)


@pytest.mark.usefixtures("by_reference")
def test_those_on_a_front_are_starred(two_layers, firing):
    images, labels = np.ones((4, 1, 2, 2), np.uint8), np.array([1, 1, 1, 0])
    busy, idle = firing(two_layers, -(1 << 31)), firing(two_layers, (1 << 31) - 1)
    found = [measure_run(name, graph, images, labels) for name, graph in (("busy", busy), ("idle", idle))]
    comparison = make_comparison(found, "noise")
    cells = [dict(zip(comparison.table.heads, row, strict=True)) for row in comparison.table.filled]
    assert [cell["run"] for cell in cells] == ["busy", "idle"]
    for cost, head in (("stored", "kB"), ("done", "Mops")):
        starred = [cell[head].endswith("*") for cell in cells]
        assert starred == [i in comparison.fronts[cost] for i in range(2)]
    assert (comparison.images, comparison.dataset, comparison.title) == (4, "noise", "2 runs on noise")
    assert "on 4 test images" in comparison.table.caption
    against_bits, against_operations = (dict(row[:2] for row in chart.table.rows) for chart in comparison.charts)
    assert against_bits["busy"] == f"{found[0].stored * 8 / 1000:g}"
    assert against_operations["busy"] == f"{found[0].done:g}"


@pytest.mark.usefixtures("by_reference")
def test_what_is_saved_is_against_the_run_in_floating_point(two_layers):
    images, labels = np.ones((4, 1, 2, 2), np.uint8), np.array([1, 1, 1, 0])
    run = measure_run("ours", two_layers, images, labels)
    assert make_comparison([run, run], "noise").saved is None
    baseline = replace(
        run,
        name="fp32",
        state_bits=32,
        stored=10 * run.stored,
        energies={place: 4 * energy for place, energy in run.energies.items()},
    )
    grid = make_comparison([run, baseline], "noise").saved
    assert grid.rows == (("ours", f"{run.dense / run.done:.1f}", "10.0", *["75.0"] * len(run.energies)),)
    assert list(run.energies) == list(grid.heads[3:])
    assert "fp32" in grid.caption


@pytest.mark.usefixtures("by_reference")
@pytest.mark.parametrize(
    ("task", "labels", "key"),
    [(Task("regression", 2, (), "m"), [[0.0, 1], [1, 0]], "rmse"), (Task("multilabel", 2), [[0.0, 1], [1, 0]], "f1")],
)
def test_runs_of_any_task_are_compared_by_its_metric(two_layers, task, labels, key):
    said = replace(two_layers.readout, output_format=OutputFormat(task))
    graph = replace(two_layers, readouts=(said,))
    images, wanted = np.stack([np.zeros((1, 2, 2), np.uint8), np.full((1, 2, 2), 255, np.uint8)]), np.float32(labels)
    run = measure_run("run", graph, images, wanted)
    values = Program(graph).values(images)
    assert (run.metric.key, run.value) == (key, score(task, count(task, values, wanted)))
    assert run.error is None
    worse = replace(run, name="worse", value=run.value + (1 if key == "rmse" else -1), stored=run.stored + 1)
    comparison = make_comparison([worse, run], "noise")
    assert comparison.fronts["stored"] == [1]
    assert comparison.table.numbers[1] == run.metric.name
    assert comparison.charts[0].title == f"{run.metric.name} against bits"
    assert (" in m," if key == "rmse" else " in percent,") in comparison.table.caption
