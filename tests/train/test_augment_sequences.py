"""Augmentation of sequences: all frames of one alike, counts moved whole, and what only sequences have."""

import pytest
import torch

from spquant_snn.errors import ConfigError, DataError
from spquant_snn.train.augment import Augmentation


def sequences(count=6, steps=5):
    draw = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 40, (count, steps, 2, 12, 10), generator=draw)
    return (frames * (torch.rand(frames.shape, generator=draw) < 0.2)).to(torch.uint8)


def changed(images, seed=0, **options):
    return Augmentation(**options)(images, torch.Generator().manual_seed(seed))


ALL = {"shift": 2, "rotate": 20.0, "scale": 0.2, "polarity": True, "delay": 2, "drop": 0.4, "flip": True}


@pytest.mark.parametrize("name", ALL)
def test_one_seed_gives_one_result_and_the_batch_stays(name):
    images = sequences()
    kept = images.clone()
    option = {name: ALL[name]}
    assert torch.equal(changed(images, 3, **option), changed(images, 3, **option))
    assert any(not torch.equal(changed(images, seed, **option), images) for seed in range(9))
    assert torch.equal(images, kept)
    assert changed(images, **option).shape == images.shape


def test_all_frames_of_a_sequence_are_changed_alike():
    still = sequences(steps=1).expand(-1, 5, -1, -1, -1).contiguous()
    found = changed(still, shift=2, rotate=20.0, scale=0.2, flip=True)
    assert torch.equal(found, found[:, :1].expand_as(found))
    assert not torch.equal(found, still)


def test_counts_are_moved_whole():
    images = sequences()
    for seed in range(5):
        found = changed(images, seed, rotate=25.0, scale=0.3, translate=1.5)
        for before, after in zip(images, found, strict=True):
            assert set(after.unique().tolist()) <= set(before.unique().tolist()) | {0}


def test_polarities_change_places_in_about_half():
    images = sequences(400)
    found = changed(images, polarity=True)
    swapped = (found == images.flip(2)).flatten(1).all(1)
    assert (swapped ^ (found == images).flatten(1).all(1)).all()
    assert 150 < int(swapped.sum()) < 250


def test_a_delay_moves_whole_frames_and_leaves_empty_ones():
    images = sequences(300) + 1
    found = changed(images, delay=2)
    seen = set()
    for before, after in zip(images, found, strict=True):
        fits = [
            by
            for by in range(-2, 3)
            if torch.equal(after[max(by, 0) : 5 + min(by, 0)], before[max(-by, 0) : 5 - max(by, 0)])
            and int(after.sum()) == int(before[max(-by, 0) : 5 - max(by, 0)].sum())
        ]
        assert len(fits) == 1
        seen.update(fits)
    assert seen == {-2, -1, 0, 1, 2}


def test_a_share_of_the_events_is_dropped_event_by_event():
    images = sequences(200)
    found = changed(images, drop=0.6)
    assert (found <= images).all()
    shares = 1 - found.flatten(1).sum(1) / images.flatten(1).sum(1)
    assert float(shares.min()) < 0.05
    assert 0.25 < float(shares.mean()) < 0.35
    assert 0.55 < float(shares.max()) < 0.65
    assert int((found != images).sum()) > int((found == 0).logical_and(images > 0).sum())  # counts, not pixels


@pytest.mark.parametrize("option", [{"polarity": True}, {"delay": 1}, {"drop": 0.1}])
def test_what_is_for_sequences_is_refused_for_images(option):
    with pytest.raises(DataError, match=r"polarity, delay and drop are for sequences \[N, T, C, H, W\]"):
        changed(sequences()[:, 0], **option)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delay": 1.5}, "delay must be a whole number of frames, 0 or more, not 1.5"),
        ({"drop": 1.5}, "drop must be a number, 0 to 1, not 1.5"),
        ({"polarity": 1}, "polarity must be true or false, not 1"),
    ],
)
def test_a_value_that_cannot_be_is_refused_in_words(options, message):
    with pytest.raises(ConfigError, match=message):
        Augmentation(**options)


def test_an_image_that_is_too_small_for_a_cutout_is_told_by_its_size():
    with pytest.raises(DataError, match="does not fit into 12x10 images"):
        changed(sequences(), cutout=11)
