"""A run of few bits and its baseline, for all commands."""

import pytest

from once import made_once
from spquant_snn import SpQuantTrainer

SMALL = {"precision": "fp32", "quiet": True, "epochs": 2}


@pytest.fixture(scope="module")
def runs(shared):
    """A folder with a run of 2 bits and its floating-point baseline on the digits."""

    def train(folder):
        for name, bits in (("low", 2), ("fp32", 32)):
            SpQuantTrainer("lenet-snn:0.25", "digits", bits, out=folder / name, **SMALL).train().evaluate()

    return made_once(shared, "runs-of-commands", train)
