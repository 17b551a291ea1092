"""Augmentation: off means untouched, a seed decides everything, every transform does what it says, pixel by pixel."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cases import case
from spquant_snn.data.catalog import EVENTS, IMAGES
from spquant_snn.errors import ConfigError, DataError
from spquant_snn.train.augment import Augmentation, default_augmentation


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def batch(count=16, channels=2, height=9, width=7, low=1):
    shape = (count, channels, height, width)
    return torch.randint(low, 256, shape, dtype=torch.uint8, generator=generator(99))


EACH = {
    "shift": Augmentation(shift=2),
    "crop_padding": Augmentation(crop_padding=3),
    "flip": Augmentation(flip=True),
    "rotate": Augmentation(rotate=20.0),
    "scale": Augmentation(scale=0.3),
    "shear": Augmentation(shear=0.3),
    "translate": Augmentation(translate=1.5),
    "cutout": Augmentation(cutout=3),
    "all": Augmentation(1, 2, True, 10.0, 0.1, 0.1, 1.0, 2),
}
each = pytest.mark.parametrize("augmentation", EACH.values(), ids=EACH.keys())


def test_nothing_is_on_by_default():
    images = batch()
    state = (source := generator()).get_state()
    assert torch.equal(Augmentation()(images, source), images)
    assert torch.equal(source.get_state(), state)


@each
def test_the_generator_alone_decides(augmentation):
    images = batch()
    first, again, other = (augmentation(images, generator(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@each
def test_the_form_stays_and_the_given_batch_is_left_alone(augmentation):
    images = batch()
    kept = images.clone()
    found = augmentation(images, generator())
    assert (found.shape, found.dtype) == (images.shape, torch.uint8)
    assert torch.equal(images, kept)
    assert not torch.equal(found, kept)


@each
def test_an_empty_batch_stays_empty(augmentation):
    assert augmentation(batch()[:0], generator()).shape == (0, 2, 9, 7)


def test_values_stay_within_the_image_and_zero():
    for augmentation, value in itertools.product(EACH.values(), (0, 1, 254, 255)):
        with case(augmentation, value):
            images = torch.full((64, 1, 9, 7), value, dtype=torch.uint8)
            assert int(augmentation(images, generator()).max()) == value


def test_a_flip_is_all_of_an_image_or_nothing_and_about_half_are_flipped():
    images = batch(400)
    found = Augmentation(flip=True)(images, generator())
    flipped = (found == images.flip(3)).flatten(1).all(1)
    kept = (found == images).flatten(1).all(1)
    assert (flipped ^ kept).all()
    assert 150 < int(flipped.sum()) < 250


def test_a_flip_with_the_same_draws_is_its_own_inverse():
    images = batch()
    once = Augmentation(flip=True)(images, generator(5))
    assert torch.equal(Augmentation(flip=True)(once, generator(5)), images)


def shifted(image, down, right):
    """An image moved by whole pixels, zero where nothing comes from."""
    moved = torch.zeros_like(image)
    height, width = image.shape[1:]
    for y in range(height):
        for x in range(width):
            if 0 <= y - down < height and 0 <= x - right < width:
                moved[:, y, x] = image[:, y - down, x - right]
    return moved


@pytest.mark.parametrize("name", ["shift", "crop_padding"])
@settings(max_examples=25, derandomize=True, deadline=None)
@given(most=st.integers(1, 3), seed=st.integers(0, 999), height=st.integers(1, 5), width=st.integers(1, 5))
def test_a_shift_is_one_of_the_manual_shifts(name, most, seed, height, width):
    images = batch(4, 2, height, width)
    steps = range(-most, most + 1)
    for image, found in zip(images, Augmentation(**{name: most})(images, generator(seed)), strict=True):
        assert any(torch.equal(found, shifted(image, down, right)) for down in steps for right in steps)


def test_every_shift_occurs_and_each_image_has_its_own():
    image = batch(1)
    found = Augmentation(shift=1)(image.expand(500, -1, -1, -1), generator())
    places = [shifted(image[0], down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    counts = [int((found == place).flatten(1).all(1).sum()) for place in places]
    assert sum(counts) == 500
    assert min(counts) > 25


@pytest.mark.parametrize("side", [1, 3, 7])
def test_a_cutout_is_one_square_of_zeros_inside_the_image(side):
    images = batch(200)
    found = Augmentation(cutout=side)(images, generator())
    gone = found == 0
    assert torch.equal(gone[:, 0], gone[:, 1])
    assert (gone[:, 0].flatten(1).sum(1) == side * side).all()
    assert (gone[:, 0].any(1).sum(1) == side).all()
    assert (gone[:, 0].any(2).sum(1) == side).all()
    assert torch.equal(found[~gone], images[~gone])


def test_a_cutout_reaches_every_pixel():
    found = Augmentation(cutout=3)(batch(1000), generator())
    assert (found == 0).any(0).all()


def test_a_cutout_larger_than_the_image_is_refused():
    with pytest.raises(DataError, match="a cutout of 8 pixels does not fit into 9x7 images"):
        Augmentation(cutout=8)(batch(), generator())


def centre(images):
    """Centre of mass [N, 2] (down, right), from the middle of the image."""
    mass = images[:, 0].double()
    down = torch.arange(mass.shape[1]) - (mass.shape[1] - 1) / 2
    right = torch.arange(mass.shape[2]) - (mass.shape[2] - 1) / 2
    total = mass.sum((1, 2))
    return torch.stack([(mass.sum(2) * down).sum(1) / total, (mass.sum(1) * right).sum(1) / total], 1)


def blob(down=0.0, right=0.0, height=41, width=31):
    """A smooth spot away from the borders."""
    y = torch.arange(height)[:, None] - (height - 1) / 2 - down
    x = torch.arange(width) - (width - 1) / 2 - right
    return (250 * torch.exp(-(y**2 + x**2) / 8)).round().to(torch.uint8).expand(300, 1, height, width)


def test_a_translation_moves_by_fractions_of_a_pixel_up_to_its_limit():
    moves = centre(Augmentation(translate=3.0)(blob(), generator()))
    assert moves.abs().max() < 3.02
    assert (moves.abs().amax(0) > 2.8).all()
    assert ((moves - moves.round()).abs() > 0.1).float().mean() > 0.5


def test_a_rotation_turns_about_the_centre_and_keeps_distances_though_the_image_is_not_square():
    found = centre(Augmentation(rotate=30.0)(blob(down=10.0), generator()))
    angle = torch.rad2deg(torch.atan2(found[:, 1], found[:, 0]))
    assert (found.norm(dim=1) - 10).abs().max() < 0.05
    assert angle.abs().max() < 30.3
    assert angle.min() < -27
    assert angle.max() > 27


def test_a_scale_moves_along_the_ray_from_the_centre():
    found = centre(Augmentation(scale=0.2)(blob(down=8.0, right=6.0), generator()))
    growth = found / torch.tensor([8.0, 6.0])
    assert (growth[:, 0] - growth[:, 1]).abs().max() < 0.02
    assert 0.79 < growth.min() < 0.83
    assert 1.17 < growth.max() < 1.21


def test_a_shear_moves_rows_sideways_and_never_down():
    found = centre(Augmentation(shear=0.5)(blob(down=10.0), generator()))
    assert (found[:, 0] - 10).abs().max() < 0.05
    assert found[:, 1].abs().max() < 5.05
    assert found[:, 1].abs().max() > 4.5


@pytest.mark.parametrize("name", ["rotate", "scale", "shear", "translate"])
def test_a_vanishing_resampling_is_the_image(name):
    images = batch()
    assert torch.equal(Augmentation(**{name: 1e-9})(images, generator()), images)


def test_resampling_fills_with_zeros():
    white = torch.full((200, 1, 9, 7), 255, dtype=torch.uint8)
    found = Augmentation(translate=4.0)(white, generator())
    assert (found[:, :, 0] == 0).any()
    assert (found[:, :, -1] == 0).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shift": -1}, "shift must be a whole number of pixels, 0 or more, not -1"),
        ({"shift": 1.5}, "not 1.5"),
        ({"shift": True}, "not True"),
        ({"crop_padding": "4"}, "crop_padding .* not '4'"),
        ({"cutout": None}, "cutout .* not None"),
        ({"flip": 1}, "flip must be true or false, not 1"),
        ({"rotate": -1.0}, "rotate must be a number, 0 to 180, not -1.0"),
        ({"rotate": 181}, "not 181"),
        ({"scale": 1.0}, "scale must be a number, 0 to 0.9, not 1.0"),
        ({"shear": 2}, "shear must be a number, 0 to 1, not 2"),
        ({"translate": float("inf")}, "translate must be a number, 0 or more, not inf"),
        ({"translate": float("nan")}, "not nan"),
        ({"rotate": "12"}, "not '12'"),
        ({"rotate": False}, "not False"),
    ],
)
def test_a_value_that_cannot_be_is_refused_in_words(options, message):
    with pytest.raises(ConfigError, match=message):
        Augmentation(**options)


@pytest.mark.parametrize("images", [torch.zeros(2, 1, 4, 4), torch.zeros(1, 4, 4, dtype=torch.uint8)])
def test_other_images_are_refused_in_words(images):
    with pytest.raises(DataError, match=r"augmentation takes uint8 \[N, C, H, W\] or .*, not"):
        Augmentation(shift=1)(images, generator())


def test_every_named_set_of_images_or_events_has_a_default_that_fits_it():
    shapes = {"mnist": (1, 28, 28), "fashion-mnist": (1, 28, 28), "cifar10": (3, 32, 32), "digits": (1, 8, 8)}
    shapes |= {"nmnist": (10, 2, 34, 34), "dvs-gesture": (16, 2, 64, 64), "gestures": (4, 2, 32, 32)}
    shapes |= {"cifar10-dvs": (10, 2, 64, 64), "n-caltech101": (10, 2, 60, 60)}
    for name in (*IMAGES, *EVENTS):
        assert default_augmentation(name) != Augmentation()
        images = torch.full((4, *shapes[name]), 200, dtype=torch.uint8)
        assert default_augmentation(name)(images, generator()).shape == images.shape
    assert default_augmentation("custom") == Augmentation()
    assert default_augmentation("mnist") == Augmentation(rotate=12.0, scale=0.12, shear=0.12, translate=2.0)


def test_recordings_are_not_mirrored():
    assert not default_augmentation("nmnist").flip
    assert not default_augmentation("dvs-gesture:32").flip
    assert not default_augmentation("gestures").flip
    assert default_augmentation("gestures:32") == default_augmentation("gestures")
