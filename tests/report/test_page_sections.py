"""The sections of a page hold the numbers that were measured."""

from dataclasses import replace

import numpy as np
import pytest

from spquant_snn.data.items import Items
from spquant_snn.report import page_sections
from spquant_snn.report.curves import Epoch
from spquant_snn.report.run_report import ReportInput, build_report
from spquant_snn.train.config import TrainConfig


def epoch(number, **more):
    held = {"rates": {"one": 0.2}, "saturated": {"one": 0.3}, "dead": {"one": 0.1}, "channels": {}, "ops_share": None}
    return Epoch(number, 1 / number, 80.0, 0.5, 70.0 + number, **(held | more))


@pytest.fixture
def subject(two_layers):
    """4 pixels -> 3 neurons that always fire -> 2 classes, T = 2, on white images, of which 3 of 4 are right."""
    images, labels = np.full((4, 1, 2, 2), 255, np.uint8), np.array([1, 1, 1, 0])
    return ReportInput("name", "title", "noise", two_layers, Items("noise", images, labels))


@pytest.fixture
def report(subject, by_reference):
    return build_report(subject, 0)


def test_the_headline_is_the_ledger_s(report):
    found = {figure.name: (figure.value, figure.says) for figure in page_sections.headline(report)}
    assert found["Accuracy"][0] == "75.00 %"
    assert found["Accuracy"][1] == "± 21.65 (standard error), on 4 test images"
    assert found["Bits"] == ("2 / 2", "of a weight / of a stored potential; T = 2 time steps")
    # 4 pixels x 3 neurons once, 3 spikes x 2 classes at both steps; of 18 weights 3 are zero, 1 of them met twice
    assert found["Operations done"][0] == "24"
    assert "of 24 dense: 1.0 times fewer; 20 with weights not zero" in found["Operations done"][1]
    assert found["Memory"][0] == "0.006 kB"
    ledger = report.ledger
    low, high = (f"{100 * end:.1f}" for end in ledger.savings)
    assert found["Energy saved"][0] == f"{low} to {high} %"
    assert found["Energy"][0].endswith(" µJ")


def test_what_the_run_recorded_is_told_only_of_the_same_data(subject, report):
    record, config = {"test_accuracy": 88.8}, TrainConfig(dataset="mnist")
    for dataset, told in (("mnist", True), ("digits", False)):
        held = replace(report, subject=replace(subject, dataset=dataset, record=record, config=config))
        figure = next(page_sections.headline(held))
        assert ("88.80 %" in figure.says) == told


def test_closed_channels_are_in_the_headline_and_the_table(subject, report):
    epochs = (epoch(1, channels={"one": (4, 12)}, ops_share=0.9), epoch(2, channels={"one": (3, 12)}, ops_share=0.25))
    held = replace(report, subject=replace(subject, epochs=epochs))
    figures = {figure.name: figure.says for figure in page_sections.headline(held)}
    assert "pruned ones leave 25 %" in figures["Operations done"]
    assert page_sections.layer_table(held).rows[0][1] == "3 of 12"
    charts = {chart.title: chart for chart in page_sections.learning_charts(held.subject.epochs, held.subject.record)}
    left = charts["What pruned channels leave"].table
    assert left.numbers == ("operations", "one")
    assert left.rows == (("1", "90 %", "33.3 %"), ("2", "25 %", "25 %"))


def test_the_curves_are_the_epochs(subject):
    held = replace(subject, epochs=(epoch(1), epoch(2)), record={"best": {"epoch": 2}})
    charts = {chart.title: chart for chart in page_sections.learning_charts(held.epochs, held.record)}
    assert list(charts) == ["Loss", "Accuracy", "Firing rate", "Saturation"]
    assert charts["Loss"].table.rows == (("1", "1", "0.5"), ("2", "0.5", "0.5"))
    assert charts["Accuracy"].table.rows == (("1", "80 %", "71 %"), ("2", "80 %", "72 %"))
    assert charts["Firing rate"].table.rows == (("1", "20 %"), ("2", "20 %"))
    assert all("chosen" in chart.svg for chart in charts.values())
    assert "chosen" not in next(page_sections.learning_charts(held.epochs, {})).svg


def test_a_state_in_floating_point_has_no_saturation(subject):
    held = replace(subject, epochs=(epoch(1, saturated={"one": 0.0}),))
    assert "Saturation" not in {chart.title for chart in page_sections.learning_charts(held.epochs, held.record)}


def test_layers_and_codes_are_those_observed(report):
    assert page_sections.layer_table(report).rows == (("one", "3 of 3", "3", "12", "100.0 %", "0.0 %", "0.0 %"),)
    (layer,) = report.activity
    assert page_sections.codes_chart(layer).table.rows == (("-2", "0 %"), ("-1", "0 %"), ("0", "100 %"), ("1", "0 %"))


def test_the_charts_of_the_ledger_hold_its_numbers(report):
    ledger = report.ledger
    assert page_sections.operations_chart(ledger).table.rows == (("one", "12", "12", "10"), ("two", "12", "12", "10"))
    names = [cost.network.name for cost in ledger.costs]
    assert [row[0] for row in page_sections.energy_chart(ledger).table.rows] == names
    assert [row[0] for row in page_sections.traffic_chart(ledger).table.rows] == names
    weights = sum(work.traffic.weights for work in ledger.costs[0].layers)
    assert page_sections.traffic_chart(ledger).table.rows[0][1] == f"{weights:g}"


def test_a_number_stays_with_its_unit():
    assert page_sections.Figure("a", "1", "of 18.2 M dense, 20 % left").bound == "of 18.2\xa0M dense, 20\xa0% left"


def test_epochs_that_were_not_looked_at_are_counted_too(subject):
    trained = replace(subject, config=TrainConfig(check_every=4), epochs=(epoch(4), epoch(8), epoch(9)))
    assert "9 epochs, seed 0" in page_sections.facts(trained)
