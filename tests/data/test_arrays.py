"""Labelled images and splits: what they refuse, and that holding out loses nothing."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cases import case
from spquant_snn.data import Labelled, Splits, Task, hold_out
from spquant_snn.data.arrays import permutation
from spquant_snn.errors import ConfigError, DataError


def labelled(count, shape=(1, 4, 4), classes=3):
    images = np.arange(count, dtype=np.uint8)[:, None, None, None] + np.zeros(shape, np.uint8)
    return Labelled(images, np.arange(count) % classes)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((2, 4, 4), np.uint8), np.zeros(2, np.int64), r"not uint8 \[2, 4, 4\]"),
        (np.zeros((2, 1, 4, 4), np.float32), np.zeros(2, np.int64), "not float32"),
        (np.zeros((2, 1, 4, 4), np.uint8), np.zeros(2, np.int32), "not int32"),
        (np.zeros((2, 1, 4, 4), np.uint8), np.zeros((2, 1), np.int64), r"not int64 \[2, 1\]"),
        (np.zeros((2, 1, 4, 4), np.uint8), np.zeros(3, np.int64), "2 images have 3 labels"),
        (np.zeros((0, 1, 4, 4), np.uint8), np.zeros(0, np.int64), "is empty"),
        (np.zeros((2, 1, 0, 4), np.uint8), np.zeros(2, np.int64), "is empty"),
        (np.zeros((2, 1, 4, 4), np.uint8), np.array([0, -1]), "found -1"),
        ([[0]], np.zeros(1, np.int64), "images must be a NumPy array, not list"),
        (
            np.zeros((1, 1, 4, 4), np.uint8),
            torch.zeros(1, dtype=torch.int64),
            "labels must be a NumPy array, not Tensor",
        ),
    ],
)
def test_malformed_data_are_refused_in_words(images, labels, message):
    with pytest.raises(DataError, match=message):
        Labelled(images, labels)


def test_splits_agree_in_shape_and_classes():
    splits = Splits("custom", labelled(6, (2, 5, 7)), labelled(3, (2, 5, 7)), Task("classification", 3))
    assert splits.shape == (2, 5, 7)
    assert (len(splits.train), len(splits.test)) == (6, 3)


def test_splits_of_two_shapes_are_refused():
    with pytest.raises(DataError, match=r"training images are \[1, 4, 4\], test images \[3, 4, 4\]"):
        Splits("custom", labelled(3), labelled(3, (3, 4, 4)), Task("classification", 3))


@pytest.mark.parametrize("split", ["training", "test"])
def test_a_label_beyond_the_classes_is_refused_in_either_split(split):
    parts = {"training": labelled(5, classes=2), "test": labelled(5, classes=2)} | {split: labelled(5, classes=5)}
    with pytest.raises(DataError, match=f"{split} labels must be 0 to 1, found 4"):
        Splits("custom", parts["training"], parts["test"], Task("classification", 2))


@settings(derandomize=True, deadline=None)
@given(count=st.integers(2, 200), seed=st.integers(0, 2**32), data=st.data())
def test_holding_out_parts_the_data_without_loss(count, seed, data):
    held_count = data.draw(st.integers(1, count - 1))
    whole = labelled(count, (1, 1, 1))
    rest, held = hold_out(whole, held_count, seed)
    assert (len(rest), len(held)) == (count - held_count, held_count)
    images = np.concatenate([rest.images, held.images]).ravel()
    labels = np.concatenate([rest.labels, held.labels])
    assert sorted(images.tolist()) == list(range(count))
    assert np.array_equal(labels, images.astype(int) % 3)
    again, _ = hold_out(whole, held_count, seed)
    assert np.array_equal(again.images, rest.images)


def test_another_seed_holds_out_other_images():
    assert not np.array_equal(hold_out(labelled(100), 50, 0)[1].images, hold_out(labelled(100), 50, 1)[1].images)


@pytest.mark.parametrize("count", [-1, 0, 5, 6])
def test_holding_out_everything_or_nothing_is_refused(count):
    with pytest.raises(ConfigError, match=f"validation cannot take {count} of 5 training images: choose 1 to 4"):
        hold_out(labelled(5), count, 0)


def test_a_permutation_is_that_of_torch():
    for count, seed in itertools.product((1, 2, 3, 10, 1000, 60_000), (0, 1, 20, 2**31, 2**32 - 1, 2**32 + 5)):
        with case(count, seed):
            expected = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
            assert permutation(count, seed).tolist() == expected.tolist()
