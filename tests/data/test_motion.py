"""Signals of motion: repeatable, split by people, and like what they are named after."""

import numpy as np
import pytest

from spquant_snn.data.catalog import load_activity
from spquant_snn.data.input_format import InputFormat
from spquant_snn.data.motion import ACTIVITIES, RATE, MotionStudy

FEW = MotionStudy(train=3, validation=1, test=2, windows=8)


@pytest.fixture(scope="module")
def recorded():
    return FEW.record("train")


def of(recorded, name):
    signals, labels = recorded
    return signals[labels == ACTIVITIES.index(name)]


def test_shapes_and_labels(recorded):
    signals, labels = recorded
    assert (signals.dtype, signals.shape) == (np.float32, (3 * 8 * 6, 6, 128))
    assert np.bincount(labels).tolist() == [24] * 6
    assert 0.5 < np.abs(signals).max() <= 1


def test_by_name_they_are_int8_whose_127_is_full_scale(recorded):
    found = load_activity(FEW)
    assert (found.shape, found.task.names) == ((6, 1, 128), ACTIVITIES)
    assert found.input_format == InputFormat(signed=True, scale=1 / 127)
    assert found.train.images.dtype == np.int8
    assert (len(found.train), len(found.validation), len(found.test)) == FEW.counts
    assert np.abs(found.train.images[:, :, 0] / 127 - recorded[0]).max() <= 0.5 / 127 + 1e-6


def test_recordings_are_repeatable_and_no_person_is_in_two_splits(recorded):
    again, _ = FEW.record("train")
    assert np.array_equal(recorded[0], again)
    others, _ = MotionStudy(train=3, validation=1, test=2, windows=8, seed=1).record("train")
    assert not np.array_equal(recorded[0], others)
    fourth, _ = MotionStudy(train=4, windows=8).record("train")
    assert np.array_equal(fourth[: len(again)], again)  # people are numbered through
    assert np.array_equal(fourth[len(again) :], FEW.record("validation")[0])


def test_at_rest_a_sensor_says_gravity_alone(recorded):
    rest = of(recorded, "rest")
    assert np.linalg.norm(4 * rest[:, :3].mean(2), axis=1) == pytest.approx(1, abs=0.12)
    assert rest[:, 3:].std() < 0.05


def test_a_walk_has_the_rhythm_of_steps_and_a_run_hits_harder(recorded):
    walk, run = of(recorded, "walk"), of(recorded, "run")
    up = walk[:, 2] - walk[:, 2].mean(1, keepdims=True)
    spectrum = np.abs(np.fft.rfft(up, 1024)) ** 2
    steps = np.fft.rfftfreq(1024, 1 / RATE)[spectrum.argmax(1)]
    assert ((steps > 1.1) & (steps < 5.5)).all()  # a step or its double
    assert 2.5 * walk[:, 2].std() < run[:, 2].std()


def test_who_falls_weighs_nothing_and_lies_then(recorded):
    fall = of(recorded, "fall")
    length = 4 * np.linalg.norm(fall[:, :3], axis=1)
    assert (length.min(1) < 0.6).mean() > 0.9
    assert (length.max(1) > 1.5).mean() > 0.9
    assert fall[:, 2, -10:].mean() < 0.1  # of a gravity of 0.25
