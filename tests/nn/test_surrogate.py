"""Surrogate gradients: bumps of height one at the threshold, that end or fade."""

import math

import pytest
import torch

from spquant_snn.errors import ConfigError
from spquant_snn.nn.surrogate import SURROGATES, surrogate

X = torch.arange(-512, 513, dtype=torch.float64) / 128

VALUES = {  # at x = -1, -1/4, 0, 1/2, 3
    "triangle": [0.0, 0.75, 1.0, 0.5, 0.0],
    "rectangle": [0.0, 1.0, 1.0, 0.0, 0.0],
    "atan": [1 / (1 + (math.pi * x) ** 2) for x in (-1, -0.25, 0, 0.5, 3)],
    "sigmoid": [1 / math.cosh(2 * x) ** 2 for x in (-1, -0.25, 0, 0.5, 3)],
}


@pytest.mark.parametrize("name", SURROGATES)
def test_values(name):
    found = SURROGATES[name](torch.tensor([-1.0, -0.25, 0.0, 0.5, 3.0], dtype=torch.float64))
    torch.testing.assert_close(found, torch.tensor(VALUES[name], dtype=torch.float64))


@pytest.mark.parametrize("name", SURROGATES)
def test_is_a_bump_of_height_one_that_falls_to_both_sides(name):
    y = SURROGATES[name](X)
    right = y[X >= 0]
    assert y.min() >= 0
    assert y.max() == y[X == 0].item() == 1
    assert (right[1:] <= right[:-1]).all()
    inner = X.abs() < 0.4999  # the rectangle is open on both sides
    torch.testing.assert_close(y[inner], y.flip(0)[inner])


@pytest.mark.parametrize("name", SURROGATES)
def test_leaves_its_argument_as_it_was(name):
    x = X.clone()
    SURROGATES[name](x)
    assert torch.equal(x, X)


def test_a_function_is_taken_as_it_is():
    assert surrogate(torch.exp) is torch.exp
    assert surrogate("atan") is SURROGATES["atan"]


def test_an_unknown_name_is_refused_with_those_that_exist():
    with pytest.raises(ConfigError, match="triangle, rectangle, atan, sigmoid or a callable, not 'fast'"):
        surrogate("fast")
