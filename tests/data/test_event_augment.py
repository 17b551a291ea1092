"""Augmentation of events: what is on changes a recording as it says, from one seed alike, and nothing else changes."""

import numpy as np
import pytest

import recorded
from spquant_snn.data.event_augment import EventAugmentation
from spquant_snn.data.events import Events
from spquant_snn.errors import ConfigError


def events(count=400, sensor=(20, 30)):
    draw = np.random.default_rng(0)
    t = np.sort(draw.integers(0, 100_000, count))
    y, x = (draw.integers(5, side - 5, count).astype(np.uint16) for side in sensor)
    return Events(t, x, y, draw.integers(0, 2, count).astype(np.uint8), sensor)


def changed(seed=0, **options):
    return EventAugmentation(**options)(events(), np.random.default_rng(seed))


ALL = {"shift": 3, "rotate": 10, "scale": 0.1, "drop": 0.3, "jitter": 100, "flip": True, "polarity": True}


def test_nothing_is_changed_by_nothing():
    assert recorded.rows(changed()) == recorded.rows(events())


@pytest.mark.parametrize("name", ALL)
def test_one_seed_gives_one_result_and_another_another(name):
    option = {name: ALL[name]}
    assert recorded.rows(changed(3, **option)) == recorded.rows(changed(3, **option))
    assert len({str(recorded.rows(changed(seed, **option))) for seed in range(12)}) > 1


def test_whatever_comes_out_is_a_recording():
    for seed in range(50):
        found = changed(seed, **ALL)
        assert (np.diff(found.t) >= 0).all()
        assert found.t[0] >= 0
        assert int(found.x.max()) < 30
        assert int(found.y.max()) < 20
        assert set(found.p.tolist()) <= {0, 1}
        assert 0 < len(found) <= 400


def test_a_shift_moves_all_events_alike():
    before, after = events(), changed(1, shift=4)
    assert len(after) == 400
    assert len(set((after.x.astype(int) - before.x).tolist())) == 1
    assert len(set((after.y.astype(int) - before.y).tolist())) == 1


def test_a_turn_of_half_a_circle_mirrors_both_axes():
    before = events()
    augmentation = EventAugmentation(rotate=180)

    class Most:
        def uniform(self, low, high, count):
            return np.full(count, high, float)

    after = augmentation(before, Most())
    assert np.array_equal(after.x, 29 - before.x)
    assert np.array_equal(after.y, 19 - before.y)


def test_flips_are_of_all_events_or_none():
    before = events()
    for option, column, mirrored in (("flip", "x", 29 - before.x), ("polarity", "p", 1 - before.p)):
        seen = set()
        for seed in range(20):
            after = getattr(changed(seed, **{option: True}), column)
            seen.add(np.array_equal(after, mirrored))
            assert np.array_equal(after, mirrored) or np.array_equal(after, getattr(before, column))
        assert seen == {True, False}


def test_a_share_of_the_events_is_dropped():
    shares = [1 - len(changed(seed, drop=0.5)) / 400 for seed in range(200)]
    assert 0 <= min(shares) < 0.05
    assert 0.2 < float(np.mean(shares)) < 0.3
    assert max(shares) < 0.62


def test_times_are_moved_and_put_in_order():
    after = changed(jitter=50)
    assert after.t.tolist() != events().t.tolist()
    assert abs(float(np.mean(after.t - events().t))) < 20
    assert float(np.abs(after.t - events().t).max()) < 600


def test_what_would_leave_nothing_changes_nothing():
    corner = Events(np.array([5]), np.array([0], np.uint16), np.array([0], np.uint16), np.array([1], np.uint8), (4, 4))
    augmentation = EventAugmentation(shift=50)
    found = [augmentation(corner, np.random.default_rng(seed)) for seed in range(5)]
    assert any(events is corner for events in found)
    assert all(len(events) == 1 for events in found)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"flip": 1}, "flip must be true or false, not 1"),
        ({"drop": 1.0}, "drop must be a number, 0 to 0.99, not 1.0"),
        ({"shift": -1}, "shift must be a number, 0 or more, not -1"),
        ({"jitter": float("nan")}, "not nan"),
        ({"scale": "1"}, "not '1'"),
    ],
)
def test_a_value_that_cannot_be_is_refused_in_words(options, message):
    with pytest.raises(ConfigError, match=message):
        EventAugmentation(**options)
