"""What users load: the same integers whatever runs them, and a warning where it is the slow one."""

import numpy as np
import pytest

import spquant_snn
from spquant_snn.integer.file import save
from spquant_snn.integer.program import Program
from spquant_snn.runtime.native import NativeProgram


def test_a_loaded_program_is_run_natively_and_exactly(random_graph, random_images, tmp_path):
    graph = random_graph(3)
    images = random_images(graph, 9)
    save(graph, tmp_path / "model.spq")
    program = spquant_snn.load(tmp_path / "model.spq")
    assert isinstance(program.engine, NativeProgram)
    expected = Program(graph).logits(images)
    for threads in (1, 2, 5):
        assert np.array_equal(program.logits(images, threads=threads), expected)
        assert np.array_equal(program.predict(images, threads=threads), expected.argmax(1))
    assert np.array_equal(program.logits(images[0]), expected[:1])  # one image [C, H, W]


def test_without_a_compiler_the_reference_runs_it_and_says_so(random_graph, random_images, tmp_path, monkeypatch):
    graph = random_graph(4)
    images = random_images(graph, 3)
    save(graph, tmp_path / "model.spq")
    monkeypatch.setenv("PATH", "")
    with pytest.warns(RuntimeWarning, match="the reference runs this network, slowly: there is no C compiler"):
        program = spquant_snn.load(tmp_path / "model.spq")
    assert program.engine is None
    assert np.array_equal(program.logits(images, threads=2), Program(graph).logits(images))
