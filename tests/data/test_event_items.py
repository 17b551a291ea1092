"""Datasets of other packages that give events: known by what they give, counted into frames of one camera."""

import numpy as np
import pytest

from spquant_snn.data import as_splits
from spquant_snn.errors import DataError


class Items:
    """A map-style Dataset of (events, label)."""

    def __init__(self, items, sensor_size=None):
        self.items = items
        if sensor_size is not None:
            self.sensor_size = sensor_size

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


def events(seed, columns=9, rows=6, count=60):
    draw = np.random.default_rng(seed)
    array = np.empty(count, [("x", "<i2"), ("y", "<i2"), ("t", "<i8"), ("p", "<i2")])
    array["t"] = np.sort(draw.integers(0, 5000, count))
    array["x"], array["y"], array["p"] = (draw.integers(0, most, count) for most in (columns, rows, 2))
    array["x"][0], array["y"][0] = columns - 1, rows - 1
    return array


def pair(count, first, **size):
    return [(events(first + i, **size), i % 3) for i in range(count)]


def test_events_become_sequences_of_one_camera():
    train, test = Items(pair(7, 0)), Items(pair(4, 10, columns=12, rows=5))
    splits = as_splits((train, test), timesteps=5, progress=False)
    assert (splits.shape, splits.frames, splits.classes, splits.name) == ((2, 6, 12), 5, 3, "custom")
    assert splits.train.labels.tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert (splits.test.images.sum((1, 2, 3, 4)) == 60).all()
    on = [int(array["p"].sum()) for array, _ in train.items]
    assert splits.train.images[:, :, 1].sum((1, 2, 3)).tolist() == on


def test_the_size_that_a_data_set_tells_is_believed():
    splits = as_splits((Items(pair(4, 0), (20, 16, 2)), pair(2, 9)), timesteps=2, progress=False)
    assert splits.shape == (2, 16, 20)
    with pytest.raises(
        DataError, match=r"training item 0: event \d+ lies at column \d, row \d, outside the sensor of 4x4"
    ):
        as_splits((Items(pair(4, 0), (4, 4, 2)), pair(2, 9)), progress=False)


def altered(index, item):
    items = pair(5, 0)
    items[index] = item
    return items


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (altered(3, events(0)[:0]), pair(2, 9), "training item 3"),
        ([(events(0)[:0], 1)] * 3, pair(2, 9), "none of the 3 training items holds an event"),
        (altered(3, (events(0)[::-1], 1)), pair(2, 9), "training item 3: times run backwards"),
        (altered(3, (np.zeros(4), 1)), pair(2, 9), "training item 3 has ndarray without fields"),
        (altered(3, (events(0), 1.5)), pair(2, 9), "training item 3 has the label 1.5: give a class index"),
        (altered(3, (events(0), -1)), pair(2, 9), "training item 3 has the label -1"),
        (altered(3, (events(0), 10**6)), pair(2, 9), "training item 3 has the label 1000000"),
        (pair(3, 0), [(np.zeros((2, 4, 4), np.uint8), 0)], "test item 0 has ndarray without fields"),
        (pair(3, 0), [], "the test data are empty: give at least one recording"),
        ([(np.zeros((2, 40, 40), np.uint8), 0)], pair(2, 9), "training item 0 has ndarray without fields"),
    ],
)
def test_what_is_no_recording_is_refused_in_words(train, test, message):
    with pytest.raises(DataError, match=message):
        as_splits((train, test), progress=False)


def test_items_without_events_are_left_out_and_told_of(capsys):
    train = altered(3, (events(0)[:0], 1))
    for size in (None, (9, 6, 2)):
        splits = as_splits((Items(train, size), pair(2, 9)), timesteps=2, progress=True)
        assert splits.train.labels.tolist() == [0, 1, 2, 1]
        assert (splits.train.images.sum((1, 2, 3, 4)) == 60).all()
        assert "1 of 5 training items hold no events, left out" in capsys.readouterr().err
