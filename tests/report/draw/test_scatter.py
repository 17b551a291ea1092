"""Scatter plots: labels that lie on nothing, stairs that reach every point of the front."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spquant_snn.report.draw.scatter import Spot, place_labels, scatter_chart

WITHIN = (0, 0, 400, 300)
places = st.lists(st.tuples(st.floats(10, 390), st.floats(10, 290)), min_size=1, max_size=25)


def meet(a, b):
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


@given(places)
def test_labels_lie_on_no_point_and_on_no_other_label(found):
    boxes = place_labels(found, ["a name"] * len(found), WITHIN)
    placed = [box for box in boxes if box]
    for i, box in enumerate(placed):
        assert WITHIN[0] <= box[0] <= box[2] <= WITHIN[2]
        assert WITHIN[1] <= box[1] <= box[3] <= WITHIN[3]
        assert not any(meet(box, other) for other in placed[:i])
    for i, box in enumerate(boxes):
        others = [place for j, place in enumerate(found) if j != i]
        assert box is None or not any(meet(box, (x - 6, y - 6, x + 6, y + 6)) for x, y in others)


def test_where_there_is_no_room_there_is_no_name():
    assert place_labels([(5, 5)], ["a rather long name"], (0, 0, 20, 20)) == [None]


def test_a_point_without_room_for_its_name_bears_its_number(drawing):
    crowd = [Spot(f"run-with-a-name-{i}", 1 + i * 1e-9, 90 + i * 1e-9, 0.1) for i in range(90)]
    found = drawing(scatter_chart("a", crowd, [0], "cost", "worth"))
    labels = [element.text for element, _ in found.of("label")]
    assert len(labels) == 90
    assert "90" in labels
    assert any(label.startswith("run") for label in labels)


def test_the_front_is_drawn_as_stairs_and_stands_out(drawing):
    spots = [Spot("a", 1, 90, 1), Spot("b", 10, 80, 1), Spot("c", 100, 95, 1)]
    found = drawing(scatter_chart("a", spots, [0, 2], "cost", "worth"))
    circles = [(circle["cx"], circle["cy"]) for _, circle in found.of("spot")]
    assert ["best" in element.get("class") for element, _ in found.of("spot")] == [True, False, True]
    assert [element.text for element, _ in found.of("strong")] == ["a", "c"]
    ((front, _),) = found.of("front")
    corners = [tuple(map(float, pair.split(","))) for pair in front.get("d")[1:].split("L")]
    assert circles[0] in corners
    assert circles[2] in corners
    assert circles[1] not in corners
    for (x0, y0), (x1, y1) in pairwise(corners):
        assert x0 == x1 or y0 == y1
        assert x1 >= x0
        assert y1 <= y0  # upward on the screen
    assert found.says[0] == "a: worth 90 ± 1.00, 1 cost; not beaten in both"
    assert found.says[1] == "b: worth 80 ± 1.00, 10 cost"


def test_where_less_is_better_the_stairs_go_down(drawing):
    found = drawing(
        scatter_chart("a", [Spot("a", 1, 3, None), Spot("b", 10, 2, None)], [0, 1], "cost", "rmse", more=False)
    )
    ((front, _),) = found.of("front")
    corners = [tuple(map(float, pair.split(","))) for pair in front.get("d")[1:].split("L")]
    assert all(y1 >= y0 for (_, y0), (_, y1) in pairwise(corners))
    assert {(circle["cx"], circle["cy"]) for _, circle in found.of("spot")} <= set(corners)
    assert found.says[0] == "a: rmse 3, 1 cost; not beaten in both"
    assert not list(found.of("whisker"))


def test_whiskers_reach_one_error_up_and_down(drawing):
    found = drawing(scatter_chart("a", [Spot("a", 1, 90, 2), Spot("b", 2, 94, 1)], [1], "cost", "worth"))
    (_, first), (_, second) = found.of("whisker")
    assert abs(first["y1"] - first["y2"]) == pytest.approx(2 * abs(second["y1"] - second["y2"]), abs=0.03)
