"""What is said of numbers that become 8 bits: what is clipped, and channels of which one scale leaves little."""

import numpy as np
import pytest

from spquant_snn.data.input_format import PIXELS, InputFormat
from spquant_snn.data.input_notes import coarse_note, range_note

RNG = np.random.default_rng(0)
EVEN = RNG.normal(size=(50, 3, 1, 20)).astype(np.float32)


def noted(values):
    return coarse_note(values, InputFormat.measured(values))


def test_a_range_is_told_with_what_is_clipped_of_how_much():
    given, parts = InputFormat(True, 2 / 127), [("training", 64, 0.0), ("test", 1, 0.0)]
    assert range_note(given, parts) == (
        "inputs are int8, of values from -2 to 2, a scale of 0.01575; nothing clipped of 64 training items and 1 test "
        "item"
    )
    assert "; 0.50% of the values of 1 test item clipped" in range_note(given, [parts[0], ("test", 1, 0.005)])
    assert range_note(PIXELS, parts) is None


def test_even_channels_are_passed_over_and_so_are_inputs_taken_as_they_are():
    assert noted(EVEN) is None
    assert noted(EVEN * 1e-6) is None
    assert (
        noted(np.broadcast_to(EVEN[:, :1], EVEN.shape) * np.array([1, 0, 1])[:, None, None]) is None
    )  # a constant one
    for dtype in (np.uint8, np.int8, np.int16, bool):
        assert noted((RNG.random((9, 2, 4, 4)) > 0.5).astype(dtype)) is None


@pytest.mark.parametrize("lead", [(50,), (10, 5)], ids=["items", "sequences"])
def test_channels_that_one_scale_leaves_little_of_are_named(lead):
    uneven = (EVEN * np.array([50, 0.5, 0.01])[:, None, None]).reshape(*lead, 3, 1, 20)
    assert noted(uneven).startswith("channels 1, 2 of the inputs deviate by less than 2 of 127 steps, channel 2 by ")
    far = (EVEN + 1000).reshape(*lead, 3, 1, 20)
    assert noted(far).startswith("channels 0, 1, 2 of the inputs deviate by less than 2 of 255 steps")


def test_many_channels_are_counted_and_a_single_one_is_not_numbered():
    features = RNG.normal(size=(50, 12, 1, 1)) * np.array([1000] + [1] * 11)[:, None, None]
    assert noted(features).startswith("channels 1, 2, 3, 4, 5, 6 and 5 more of the inputs deviate")
    assert noted(EVEN[:, :1] + 1000).startswith("the values of the inputs deviate by less than 2 of 255 steps, by 0.")
