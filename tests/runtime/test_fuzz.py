"""Mutated .spq files: refused in a sentence or run as the reference; ``benchmarks/fuzz.py`` makes more of them."""

from collections import Counter

import pytest

from file_verdict import RAN, verdict_of
from mutations import mutation, seed_files
from spquant_snn.build import PORTABLE
from spquant_snn.runtime.library import library

_MUTATIONS, _BLOCK = 1200, 200


@pytest.fixture(scope="module")
def files():
    return seed_files()


@pytest.mark.slow
@pytest.mark.parametrize("block", range(0, _MUTATIONS, _BLOCK))
def test_mutated_files_are_refused_or_run(files, tmp_path, block):
    built, outcomes = library(PORTABLE), Counter()
    path = tmp_path / "mutated.spq"
    for case in range(block, block + _BLOCK):
        path.write_bytes(mutation(files, f"0/{case}"))
        try:
            outcomes[verdict_of(path, built)] += 1
        except Exception as error:
            pytest.fail(f"python -m benchmarks fuzz --reader spq --first {case} --mutations 1: {error}")
    assert outcomes[RAN] > _BLOCK // 8  # many get past every check
    assert len(outcomes) > 12  # and many checks are reached


def test_mutations_are_the_same_each_time(files):
    assert [mutation(files, f"0/{i}") for i in range(50)] == [mutation(files, f"0/{i}") for i in range(50)]
    assert mutation(files, "0/1") != mutation(files, "1/1")
