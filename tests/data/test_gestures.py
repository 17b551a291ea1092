"""The simulated camera and the figures before it: physics by example, and nothing but order between a motion and its
reverse."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

import recorded
from spquant_snn.data.camera import Camera
from spquant_snn.data.events import Events
from spquant_snn.data.frames import Framing
from spquant_snn.data.gestures import CLASSES, REVERSED, Studio, _scenes, _Take, gestures
from spquant_snn.data.recordings import framed

PLAIN = Camera(size=4, threshold=0.25, mismatch=0, refractory=0, noise=0)
SMALL = Studio(subjects=4, trials=2, duration=640_000, camera=Camera(size=32))


def watch(camera, levels, interval=1000, seed=0):
    """The events of a camera whose pixels all see the same levels."""
    scenes = (np.full((1, camera.size, camera.size), level, np.float32) for level in levels)
    (found,) = camera.watch(scenes, interval, [np.random.default_rng(seed)])
    return found


def test_a_pixel_speaks_each_time_that_the_light_has_changed_by_its_threshold():
    found = watch(PLAIN, np.linspace(0, 2.5, 11))  # ten thresholds
    per_pixel = np.bincount(found.y.astype(int) * 4 + found.x, minlength=16)
    assert set(per_pixel.tolist()) <= {9, 10, 11}
    assert (found.p == 1).all()
    one = found.t[(found.x == 1) & (found.y == 2)]
    assert np.abs(np.diff(one) - 1000).max() <= 1  # a straight line crosses its thresholds at even times
    assert (watch(PLAIN, -np.linspace(0, 2.5, 11)).p == 0).all()


def test_what_stands_still_is_silent_but_for_noise():
    assert len(watch(PLAIN, [0.7] * 50)) == 0
    noisy = replace(PLAIN, size=32, noise=2.0)
    found = watch(noisy, [0.7] * 1001)  # a second
    assert 2048 * 0.9 < len(found) < 2048 * 1.1
    assert 0.4 < found.p.mean() < 0.6


def test_a_pixel_is_deaf_for_a_while():
    every = watch(PLAIN, [0, 2.5])
    deaf = watch(replace(PLAIN, refractory=250), [0, 2.5])
    assert len(deaf) < len(every)
    for x in range(4):
        assert np.diff(deaf.t[(deaf.x == x) & (deaf.y == 0)]).min() >= 250


def test_thresholds_differ_from_pixel_to_pixel_and_stay():
    found = Camera(size=64, threshold=0.2, mismatch=0.1).thresholds()
    assert 0.195 < found.mean() < 0.205
    assert 0.018 < found.std() < 0.022
    assert found.min() >= 0.1
    assert np.array_equal(found, Camera(size=64, threshold=0.2, mismatch=0.1, noise=9).thresholds())


def test_a_scene_without_end_or_beginning_is_no_trouble():
    assert len(watch(PLAIN, [0.5])) == 0
    assert len(watch(PLAIN, [])) == 0


def test_a_motion_run_backwards_in_inverted_light_gives_the_same_counts():
    draw = np.random.default_rng(1)
    waves = np.cumsum(draw.normal(0, 0.2, (200, 1, 16, 16)), axis=0).astype(np.float32)
    camera = replace(PLAIN, size=16, mismatch=0.1)
    counts = []
    for scenes in (waves, -waves[::-1]):
        (found,) = camera.watch(iter(scenes), 1000, [np.random.default_rng(2)])
        counts.append([int((found.p == p).sum()) for p in (0, 1)])
    assert np.abs(np.diff(counts, axis=0)).max() < 0.02 * np.min(counts)


def test_recordings_are_the_same_on_every_call_and_in_every_company():
    cast = SMALL.cast(True)[:5]
    first, again = list(SMALL.play(cast)), list(SMALL.play(cast))
    alone = next(SMALL.play(cast[3:4]))
    assert [recorded.rows(part) for part in first] == [recorded.rows(part) for part in again]
    assert recorded.rows(alone) == recorded.rows(first[3])
    assert recorded.rows(first[0]) != recorded.rows(next(replace(SMALL, seed=1).play(cast[:1])))


def test_no_subject_is_in_both_splits_and_all_classes_are_as_frequent():
    train, test = SMALL.cast(False), SMALL.cast(True)
    assert {s for _, s, _ in train}.isdisjoint({s for _, s, _ in test})
    assert (len(train), len(test)) == (3 * 2 * 11, 2 * 11)
    for cast in (train, test):
        assert len(set(cast)) == len(cast)
        assert len(set(np.bincount([label for label, _, _ in cast], minlength=11))) == 1
    assert len(set(CLASSES)) == 11


@pytest.mark.parametrize(("label", "other"), [pair for both in REVERSED for pair in (both, both[::-1])])
def test_a_gesture_run_backwards_is_its_partner_in_inverted_light(label, other):
    moments = np.linspace(0, 1.6, 41)
    for trial in range(3):
        take = _Take.of(label, np.random.default_rng(trial), np.random.default_rng([5, trial]))
        end = -take.phase - 2 * np.pi * take.tempo * moments[-1]
        partner = replace(take, label=other, phase=end, contrast=-take.contrast)
        forwards, backwards = (np.stack(list(_scenes([who], moments, 24))) for who in (take, partner))
        assert np.abs(forwards).max() > 0.3
        assert np.abs(forwards + backwards[::-1]).max() < 1e-3


def test_both_signs_of_contrast_are_as_likely():
    signs = [_Take.of(0, np.random.default_rng(0), np.random.default_rng(seed)).contrast > 0 for seed in range(400)]
    assert 160 < sum(signs) < 240


def turn(events, steps=20):
    """Which way round the events go: positive clockwise, as the picture shows it."""
    edges = np.linspace(0, events.t[-1] + 1, steps + 1).astype(int)
    parts = [events.between(a, b) for a, b in pairwise(edges)]
    path = np.array([[np.median(part.x), np.median(part.y)] for part in parts if len(part)])
    path -= path.mean(0)
    return float((path[:-1, 0] * path[1:, 1] - path[:-1, 1] * path[1:, 0]).sum())


def test_clockwise_is_clockwise_as_the_camera_sees_it():
    studio = replace(SMALL, duration=1_600_000, camera=Camera(size=48, noise=0))
    cast = [(label, subject, trial) for label in (3, 4, 5, 6) for subject in range(3) for trial in range(2)]
    right = [(turn(part) > 0) == (label in (3, 5)) for part, (label, _, _) in zip(studio.play(cast), cast, strict=True)]
    assert sum(right) >= 22


def test_sides_are_those_of_the_figure():
    studio = replace(SMALL, camera=Camera(size=32, noise=0))
    for label, left_of_picture in ((1, True), (3, True), (2, False), (5, False)):
        (found,) = studio.play([(label, 0, 0)])
        assert (np.median(found.x) < 16) == left_of_picture


def test_they_become_frames_through_the_cache(tmp_path):
    train, test = gestures(SMALL)
    assert isinstance(next(test.read()), Events)
    found = framed(test, Framing(steps=4, shrink=2), tmp_path, progress=False)
    assert found.images.shape == (22, 4, 2, 16, 16)
    assert found.labels.tolist() == list(test.labels)
    assert (found.images.sum((2, 3, 4)) > 0).all()
    assert (train.name, test.name) == ("gestures train", "gestures test")
    assert gestures(replace(SMALL, seed=1))[0].identity != train.identity
