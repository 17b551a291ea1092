"""Damaged .spq files: the answer is a graph that can be run or a FileFormatError, soon and in little memory."""

import random
import time
import tracemalloc

import pytest

from general_graphs import general_graph
from mutations import descriptions, forged, garbled, nudged, opened, sealed, spliced
from spquant_snn.errors import FileFormatError
from spquant_snn.integer.file import from_bytes, to_bytes


@pytest.mark.slow
@pytest.mark.parametrize("damage", [garbled, forged, nudged, spliced])
def test_damaged_files_give_a_graph_or_one_kind_of_error(random_graph, difference, damage):
    rng = random.Random(0)
    files = [to_bytes(made(seed)) for made in (random_graph, general_graph) for seed in range(12)]
    damaged = [damage(rng.choice(files), rng, files) for _ in range(800)]
    accepted, refused = [], 0
    tracemalloc.start()
    try:
        for data in damaged:
            tracemalloc.reset_peak()
            before, start = tracemalloc.get_traced_memory()[0], time.process_time()
            try:
                accepted.append(from_bytes(data))
            except FileFormatError as error:
                refused += len(str(error)) < 600
            assert time.process_time() - start < 2
            assert tracemalloc.get_traced_memory()[1] - before < 20 * len(data) + (4 << 20)
    finally:
        tracemalloc.stop()
    assert len(accepted) + refused == len(damaged)  # no message is longer than a screen
    assert refused > 160
    for graph in accepted:
        assert difference(from_bytes(to_bytes(graph)), graph) is None


def test_a_file_cut_short_anywhere_is_refused(random_graph):
    data = to_bytes(random_graph(5))
    for length in (*range(40), *range(40, len(data), 37), len(data) - 1):
        with pytest.raises(FileFormatError, match=r"not a \.spq file|ends after|length is"):
            from_bytes(data[:length])


def test_a_file_of_nothing_but_claims_takes_little_memory(random_graph):
    header, _ = opened(to_bytes(random_graph(2, 2, 2)))
    for blob in descriptions(header):
        blob |= {"shape": [2**31 - 1] * len(blob["shape"]), "length": 2**62}
    data = sealed(header, b"")
    tracemalloc.start()
    try:
        with pytest.raises(FileFormatError):
            from_bytes(data)
        assert tracemalloc.get_traced_memory()[1] < 20 * len(data) + (1 << 20)
    finally:
        tracemalloc.stop()
