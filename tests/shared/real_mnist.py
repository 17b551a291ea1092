"""Real MNIST test images, where SPQUANT_DATA has them."""

import os

import pytest

from spquant_snn.data import load
from spquant_snn.errors import DataError


def mnist_test():
    """Images [10000, 1, 28, 28] and labels of the test set; None where they are not."""
    if "SPQUANT_DATA" not in os.environ:
        return None
    try:
        test = load("mnist", download=False, progress=False).test
    except DataError:
        return None
    return test.images, test.labels


def mnist_test_or_skip():
    """The same; the test is skipped where they are not."""
    found = mnist_test()
    if found is None:
        pytest.skip("MNIST's files are not here: name their folder by SPQUANT_DATA")
    return found
