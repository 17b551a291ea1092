"""What the axes of items are: one form out of every reading, and no guess where there are two."""

import numpy as np
import pytest

from spquant_snn.data.input_kind import check_kind_of_input, laid_out
from spquant_snn.errors import ConfigError, DataError


@pytest.mark.parametrize(
    ("item", "kind", "found"),
    [
        ((20,), None, (20, 1, 1)),
        ((20,), "signal", (1, 1, 20)),
        ((6, 20), "signal", (6, 1, 20)),
        ((6, 20), "image", (1, 6, 20)),
        ((6, 20), "sequence", (6, 20, 1, 1)),
        ((1, 20), None, (1, 1, 20)),
        ((8, 8), None, (1, 8, 8)),
        ((3, 8, 9), None, (3, 8, 9)),
        ((5, 6, 20), "sequence", (5, 6, 1, 20)),
        ((5, 2, 8, 9), None, (5, 2, 8, 9)),
    ],
)
def test_items_are_laid_out_without_moving_a_number(item, kind, found):
    values = np.random.default_rng(0).normal(size=(4, *item))
    made = laid_out(values, "images", kind)
    assert made.shape == (4, *found)
    assert np.array_equal(made.ravel(), values.ravel())


def test_channels_that_stand_last_are_brought_to_the_front():
    values = np.arange(2 * 7 * 9 * 3).reshape(2, 7, 9, 3)
    assert np.array_equal(laid_out(values, "images", ordered=False), values.transpose(0, 3, 1, 2))


def test_a_shape_of_two_readings_is_decided_by_the_model_or_refused():
    values = np.zeros((4, 100, 700))
    with pytest.raises(DataError) as caught:
        laid_out(values, "training images")
    for part in (
        "a signal of 100 channels",
        "100 steps of 700 values",
        "a grey image of 100x700",
        'input_kind="signal"',
    ):
        assert part in str(caught.value)
    assert laid_out(values, "images", decide=lambda item: "sequence").shape == (4, 100, 700, 1, 1)
    assert laid_out(values, "images", "signal", decide=lambda item: "sequence").shape == (4, 100, 1, 700)


@pytest.mark.parametrize(("item", "kind"), [((), None), ((2, 3), "vector"), ((2, 3, 4), "signal"), ((1,) * 5, None)])
def test_other_numbers_of_axes_are_refused(item, kind):
    with pytest.raises(DataError, match=r"each(: give vectors|, and a)"):
        laid_out(np.zeros((4, *item)), "images", kind)
    with pytest.raises(ConfigError, match="input_kind must be one of vector, signal, image, sequence, not 'sound'"):
        check_kind_of_input("sound")
