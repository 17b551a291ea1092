"""Frames: every event is counted once, where and when it was, and what does not fit is told."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spquant_snn.data.events import Events
from spquant_snn.data.frames import Framing, one_frame, shrink_to, to_frames
from spquant_snn.errors import ConfigError, DataError

SENSOR = (6, 9)


def events(rows, sensor=SENSOR):
    t, x, y, p = (np.array(column) for column in zip(*rows, strict=True))
    return Events(t.astype(np.int64), x.astype(np.uint16), y.astype(np.uint8), p.astype(np.uint8), sensor)


def by_hand(rows, frame_of, steps, shrink=1, sensor=SENSOR):
    """The counts, event by event."""
    counts = np.zeros((steps, 2, -(-sensor[0] // shrink), -(-sensor[1] // shrink)), np.int64)
    for index, (t, x, y, p) in enumerate(rows):
        frame = frame_of(index, t)
        if frame < steps:
            counts[frame, p, y // shrink, x // shrink] += 1
    return counts


recordings = st.lists(
    st.tuples(st.integers(0, 10_000), st.integers(0, 8), st.integers(0, 5), st.integers(0, 1)), min_size=1, max_size=60
).map(lambda rows: sorted(rows, key=lambda row: row[0]))
shrinks = st.integers(1, 7)


@given(recordings, st.integers(1, 20), shrinks)
def test_a_recording_is_divided_into_frames_of_one_duration(rows, steps, shrink):
    found = to_frames(events(rows), Framing(steps=steps, shrink=shrink))
    first, duration = rows[0][0], rows[-1][0] - rows[0][0] + 1
    expected = by_hand(rows, lambda _, t: (t - first) * steps // duration, steps, shrink)
    assert np.array_equal(found.counts, expected)
    assert (found.counts.dtype, found.events, found.lost) == (np.uint8, len(rows), 0)


@given(recordings, st.integers(200, 4000), shrinks, st.none() | st.integers(1, 12))
def test_a_recording_is_cut_by_time(rows, window, shrink, steps):
    found = to_frames(events(rows), Framing(steps=steps, window=window, shrink=shrink))
    needed = (rows[-1][0] - rows[0][0]) // window + 1
    expected = by_hand(rows, lambda _, t: (t - rows[0][0]) // window, steps or needed, shrink)
    assert np.array_equal(found.counts, expected)
    assert found.events == expected.sum()


@given(recordings, st.integers(1, 25), shrinks, st.none() | st.integers(1, 12))
def test_a_recording_is_cut_by_the_number_of_events(rows, number, shrink, steps):
    found = to_frames(events(rows), Framing(steps=steps, events=number, shrink=shrink))
    needed = -(-len(rows) // number)
    expected = by_hand(rows, lambda index, _: index // number, steps or needed, shrink)
    assert np.array_equal(found.counts, expected)
    if steps is None:
        assert (found.counts.sum((1, 2, 3))[:-1] == number).all()


@given(recordings, shrinks)
def test_a_smaller_frame_holds_the_sums_of_a_larger_one(rows, shrink):
    large, small = (to_frames(events(rows), Framing(steps=3, shrink=s)).counts for s in (1, shrink))
    height, width = small.shape[2:]
    padded = np.pad(large, ((0, 0), (0, 0), (0, height * shrink - 6), (0, width * shrink - 9)))
    assert np.array_equal(padded.reshape(3, 2, height, shrink, width, shrink).sum((3, 5)), small)


def test_what_a_count_cannot_hold_is_told():
    rows = [(0, 1, 1, 1)] * 300 + [(0, 2, 1, 0)] * 255 + [(0, 3, 1, 0)] * 257
    found = to_frames(events(rows), Framing(steps=1))
    assert found.counts[0, :, 1, 1:4].tolist() == [[0, 255, 255], [255, 0, 0]]
    assert (found.events, found.lost) == (812, 45 + 2)


def test_times_near_the_largest_are_divided_exactly():
    rows = [(0, 0, 0, 0), (2**52, 1, 0, 0), (2**53, 2, 0, 0)]
    found = to_frames(events(rows), Framing(steps=1 << 12)).counts
    assert [int(np.flatnonzero(found[:, 0, 0, x])[0]) for x in range(3)] == [0, 2**11 - 1, 2**12 - 1]


def test_one_event_fills_the_first_frame():
    found = to_frames(events([(77, 3, 2, 1)]), Framing(steps=5)).counts
    assert found.sum((1, 2, 3)).tolist() == [1, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give steps, a window in microseconds, or events of a frame"),
        ({"window": 5, "events": 5}, "cut by window or by events: give one of the two"),
        ({"steps": 0}, "steps must be a whole number above zero, not 0"),
        ({"steps": True}, "not True"),
        ({"window": 1.5}, "window must be a whole number above zero, not 1.5"),
        ({"events": -1}, "events must be"),
        ({"steps": 5, "shrink": 0}, "shrink must be"),
        ({"steps": 5, "shrink": None}, "shrink must be a whole number above zero, not None"),
    ],
)
def test_a_framing_that_cannot_be_is_refused_in_words(options, message):
    with pytest.raises(ConfigError, match=message):
        Framing(**options)


def test_frames_without_end_and_recordings_without_events_are_refused_in_words():
    with pytest.raises(DataError, match="would become 40,000,000 frames of 9x6: give steps, or longer frames"):
        to_frames(events([(0, 0, 0, 0), (39_999_999, 0, 0, 0)]), Framing(window=1))
    with pytest.raises(DataError, match="a recording without events has no frames"):
        to_frames(events([(0, 0, 0, 0)]).between(5, 6), Framing(steps=3))


@given(recordings, shrinks)
def test_all_events_are_one_frame(rows, shrink):
    found = one_frame(events(rows), shrink)
    assert np.array_equal(found.counts, by_hand(rows, lambda _, t: 0, 1, shrink))
    assert (found.counts.dtype, found.events, found.lost) == (np.uint8, len(rows), 0)
    none = one_frame(events(rows).between(0, 0), shrink)
    assert (none.counts.shape, none.counts.dtype, none.counts.sum()) == (found.counts.shape, np.uint8, 0)
    assert (none.events, none.lost) == (0, 0)


sides, few = st.integers(1, 40), st.integers(1, 6)


@given(st.tuples(sides, sides), st.tuples(few, few))
def test_the_square_that_fits_a_frame_is_found_where_there_is_one(sensor, size):
    fit = [side for side in range(1, 41) if Framing(steps=1, shrink=side).shape(sensor) == size]
    whole = [side for side in fit if sensor == (side * size[0], side * size[1])]
    if whole or len(fit) == 1 or (fit and size == (1, 1)):
        assert shrink_to(sensor, size) == (whole or fit)[0]
        return
    ways = "in several ways" if fit else "in no way"
    with pytest.raises(ConfigError, match=f"sum to frames of {size[1]}x{size[0]} {ways}: check the sensor"):
        shrink_to(sensor, size)


@given(st.tuples(sides, sides), shrinks)
def test_what_a_framing_makes_is_shrunk_to_again(size, shrink):
    assert shrink_to((size[0] * shrink, size[1] * shrink), size) == shrink


@pytest.mark.parametrize("sensor", [34, (34,), (0, 5), (5.0, 5), (True, 5), "ab", (1, 2, 3), None])
def test_what_is_no_sensor_is_refused_in_words(sensor):
    with pytest.raises(ConfigError, match=r"a sensor is \(rows, columns\), two whole numbers above zero, not "):
        shrink_to(sensor, (5, 5))
