"""Charts: what is drawn is as long, as high and where the numbers say; every mark can be reached and read."""

import re

import numpy as np
import pytest

from spquant_snn.report.draw.areas import area_chart, quantile
from spquant_snn.report.draw.bars import histogram, nested_bars, stacked_bars
from spquant_snn.report.draw.lines import Series, line_chart
from spquant_snn.report.draw.ranges import range_chart
from spquant_snn.report.draw.scatter import Spot, scatter_chart
from spquant_snn.report.draw.svg import WIDTH, brief

NASTY = "<script>alert(1)</script> & \"quoted\" 'so'"


def charts(name="a"):
    """One of each, with a name wherever a name can stand."""
    rows = [(name, (4.0, 2.0)), ("b", (1.0, 0.0))]
    spots = [Spot(name, 1, 90, 1), Spot("b", 10, 95, 0.5)]
    return [
        line_chart(
            name, [1, 2, 3], [Series(name, [1, 2, 4]), Series("b", [3, 3, 1], quiet=True)], name, name, noted=(2, name)
        ),
        histogram(name, [-1, 0, 1], [0.25, 0.5, 0.25], name, name),
        nested_bars(name, (name, "in it"), rows, name),
        stacked_bars(name, (name, "behind it"), rows, name),
        range_chart(name, (name, "there"), [(name, (1.0, 10.0)), ("b", (3.0, 4.0))], name),
        area_chart(name, [0.1, 0.2], [0.3, 0.4], (name, "b"), name),
        scatter_chart(name, spots, [0, 1], name, name),
    ]


@pytest.mark.parametrize("which", range(7))
def test_whatever_is_written_is_text(which, drawing):
    found = drawing(charts(NASTY)[which])
    assert "<script" not in found.chart.svg
    assert not [
        element
        for element in found.root.iter()
        if element.tag not in ("svg", "g", "text", "tspan", "path", "rect", "circle", "line")
    ]
    assert found.root.get("aria-label") == NASTY
    assert any(NASTY in says for says in found.says)


@pytest.mark.parametrize("which", range(7))
def test_every_mark_can_be_reached_and_says_something(which, drawing):
    found = drawing(charts()[which])
    assert found.root.get("viewBox").startswith(f"0 0 {WIDTH} ")
    assert len(found.says) >= 3 or which in (2, 3, 6)
    assert len(set(found.says)) == len(found.says)
    for element, _ in found.of("mark"):
        assert (element.get("tabindex"), element.get("role")) == ("0", "img")
        tip, *_ = (child for child in element if "tip" in child.get("class", "").split())
        assert " ".join(line.text for line in tip) == element.get("aria-label")
        assert any("hit" in child.get("class", "") for child in element)


@pytest.mark.parametrize("which", range(7))
def test_nothing_is_drawn_where_there_are_no_numbers(which):
    svg = charts()[which].svg
    assert not re.search(r"nan|inf|None|e-\d", svg)
    assert not re.search(r'(width|height|r)="-', svg)


@pytest.mark.parametrize("which", range(7))
def test_the_same_numbers_stand_in_a_table(which):
    table = charts()[which].table
    assert len(table.rows) >= 2
    assert all(cell for row in table.filled for cell in row[1:4])


def test_a_line_goes_through_its_values(drawing):
    found = drawing(line_chart("a", [0, 1, 2], [Series("b", [0, 5, 10])], "x", "y", floor=0))
    ((line, _),) = (pair for pair in found.of("line") if "s0" in pair[0].get("class"))
    points = [tuple(map(float, pair.split(","))) for pair in line.get("d")[1:].split("L")]
    (x0, y0), (x1, y1), (x2, y2) = points
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.02)
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.02)
    assert y0 > y1  # upward
    assert found.says == ["x 0: b 0", "x 1: b 5", "x 2: b 10"]
    assert found.of("axis")[0][1]["y1"] == pytest.approx(y0, abs=0.02)  # the floor is zero


def test_a_quiet_line_has_no_name(drawing):
    found = drawing(line_chart("a", [0, 1], [Series("loud", [0, 1]), Series("hush", [1, 0], quiet=True)], "x", "y"))
    assert "loud" in found.texts
    assert "hush" not in found.texts
    assert found.chart.table.numbers == ("loud", "hush")


def test_one_epoch_makes_a_chart(drawing):
    found = drawing(line_chart("a", [1], [Series("b", [0.5])], "x", "y"))
    assert found.says == ["x 1: b 0.5"]
    (line,) = (line for line, _ in found.of("line") if "s0" in line.get("class"))
    assert "L" in line.get("d")  # a dash, which is seen


def test_lines_that_do_not_move_make_a_chart(drawing):
    assert len(drawing(line_chart("a", [1, 2], [Series("b", [0, 0])], "x", "y", floor=0)).says) == 2


def test_bars_are_as_high_as_their_shares(drawing):
    found = drawing(histogram("a", [-2, -1, 0, 1], [0.1, 0.2, 0.4, 0.3], "code", "share"))
    heights = [bar["height"] for _, bar in found.of("bar")]
    assert [height / heights[0] for height in heights] == pytest.approx([1, 2, 4, 3], abs=0.01)
    assert [element.text for element, _ in found.of("value")] == ["10 %", "20 %", "40 %", "30 %"]


def test_all_256_codes_have_a_bar(drawing):
    shares = np.full(256, 1 / 256)
    found = drawing(histogram("a", list(range(-128, 128)), shares.tolist(), "code", "share"))
    bars = [bar for _, bar in found.of("bar")]
    assert len(bars) == len(found.says) == 256
    assert bars[-1]["x"] + bars[-1]["width"] <= WIDTH
    labels = [element.text for element, _ in found.of("tick")]
    assert "-128" in labels
    assert 4 <= sum(not label.endswith("%") for label in labels) <= 10


def test_bars_inside_one_another_are_as_long_as_their_values(drawing):
    found = drawing(nested_bars("a", ("dense", "done"), [("x", (8, 2)), ("y", (4, 4))], "unit"))
    outer = [bar["width"] for element, bar in found.of("in0")][1:]  # the first one is the key's
    inner = [bar["width"] for element, bar in found.of("in1")][1:]
    assert outer == pytest.approx([WIDTH, WIDTH / 2])
    assert inner == pytest.approx([WIDTH / 4, WIDTH / 2])
    assert found.says[0] == "x: 8 dense, 2 done unit"


def test_bars_end_to_end_add_up(drawing):
    found = drawing(stacked_bars("a", ("p", "q"), [("x", (3, 1)), ("y", (1, 1))], "bits"))
    first, second = ([bar for _, bar in found.of(f"part{i}")][1:] for i in (0, 1))
    for a, b, total in zip(first, second, (4, 2), strict=True):
        assert b["x"] == pytest.approx(a["x"] + a["width"], abs=0.02)
        assert a["width"] + b["width"] == pytest.approx(WIDTH * total / 4, abs=0.02)


def test_nothing_done_makes_a_chart(drawing):
    for chart in (
        nested_bars("a", ("dense",), [("x", (0,))], "unit"),
        stacked_bars("a", ("p",), [("x", (0,))], "bits"),
    ):
        assert all(bar["width"] == 0 for _, bar in drawing(chart).of("part0")[1:])


def test_a_range_is_logarithmic_and_its_forms_differ(drawing):
    found = drawing(range_chart("a", ("p", "q", "r"), [("x", (1, 10, 100))], "unit"))
    hits = [hit["cx"] for _, hit in found.of("hit")]
    assert hits[1] - hits[0] == pytest.approx(hits[2] - hits[1], abs=0.02)
    ((_, ends),) = found.of("span")
    assert (ends["x1"], ends["x2"]) == (hits[0], hits[2])
    forms = [re.sub(r"[\d.,-]+", "", element.tag + element.get("d", "")) for element, _ in found.of("form")]
    assert forms[:3] == forms[3:]  # as in the key
    assert len(set(forms)) == 3


def test_values_that_are_equal_hide_none(drawing):
    found = drawing(range_chart("a", ("p", "q"), [("x", (5, 5)), ("y", (1, 9))], "unit"))
    hits = [(hit["cx"], hit["cy"]) for _, hit in found.of("hit")]
    assert len(set(hits)) == 4


def test_the_area_lies_between_the_curves(drawing):
    here, there = [0.1, 0.1, 0.4, 0.6], [0.2, 0.5]
    found = drawing(area_chart("a", here, there, ("here", "there"), "rate"))
    ((between, _),) = found.of("between")
    corners = [tuple(map(float, pair.split(","))) for pair in between.get("d")[1:-1].split("L")]
    area = abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(corners, [*corners[1:], corners[0]], strict=True))) / 2
    (axis, _), *_ = found.of("axis")
    plot = float(axis.get("x2")) - float(axis.get("x1")), float(axis.get("y1")) - 28
    signed = sum(here) / 4 - sum(there) / 2  # the curves of these cross, so that parts cancel
    assert area / plot[0] / plot[1] * 0.6 * 1.02 == pytest.approx(abs(signed), abs=1e-3)


def test_quantiles_are_the_least_that_enough_do_not_exceed():
    values = sorted(np.random.default_rng(0).integers(0, 9, 37).tolist())
    for share in (0.05, 0.25, 0.5, 0.75, 0.95, 1.0):
        expected = min(v for v in values if sum(w <= v for w in values) >= share * 37 - 1e-9)
        assert quantile(values, share) == expected


def test_a_long_name_loses_its_middle():
    assert brief("features.conv1", 18) == "features.conv1"
    short = brief("features.block3.expand.conv2", 18)
    assert len(short) == 18
    assert short.startswith("features")
    assert short.endswith(".conv2")
