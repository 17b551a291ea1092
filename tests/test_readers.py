"""Damaged files of every kind are read or refused in a sentence; ``benchmarks/fuzz.py`` makes more of them."""

from collections import Counter

import pytest

from readers import READ, READERS, outcome

_MUTATIONS, _TRACED = 500, 10  # the memory of one in ten is bounded


@pytest.mark.parametrize("name", READERS)
def test_damaged_files_are_read_or_refused_in_a_sentence(tmp_path, name):
    reader, outcomes = READERS[name], Counter()
    reader.make(tmp_path)
    good = (tmp_path / reader.file).read_bytes()
    reader.read(tmp_path / reader.file)  # the good one is read
    for case in range(_MUTATIONS):
        try:
            outcomes[outcome(reader, tmp_path, good, f"0/{case}", traced=case % _TRACED == 0)] += 1
        except Exception as error:
            pytest.fail(f"python -m benchmarks fuzz --reader {name} --first {case} --mutations 1: {error!r}")
    assert _MUTATIONS - outcomes[READ] > _MUTATIONS // 8
