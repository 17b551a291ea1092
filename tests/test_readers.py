"""Damaged files of every kind are read or refused in a sentence; ``benchmarks/fuzz.py`` makes more of them."""

from collections import Counter

import pytest

from readers import READ, READERS, outcome

_TRACED = 10  # the memory of one in ten is bounded
_FEW, _MANY = range(80), pytest.param(range(80, 500), marks=pytest.mark.slow)


@pytest.mark.parametrize("mutations", [_FEW, _MANY], ids=["few", "many"])
@pytest.mark.parametrize("name", READERS)
def test_damaged_files_are_read_or_refused_in_a_sentence(tmp_path, name, mutations):
    reader, outcomes = READERS[name], Counter()
    reader.make(tmp_path)
    good = (tmp_path / reader.file).read_bytes()
    reader.read(tmp_path / reader.file)  # the good one is read
    for case in mutations:
        try:
            outcomes[outcome(reader, tmp_path, good, f"0/{case}", traced=case % _TRACED == 0)] += 1
        except Exception as error:
            pytest.fail(f"python -m benchmarks fuzz --reader {name} --first {case} --mutations 1: {error!r}")
    assert len(mutations) - outcomes[READ] > len(mutations) // 8
