"""What users load: the same integers whatever runs them, and a warning where it is the slow one."""

import copy
import os
import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

import spquant_snn
from spquant_snn.errors import ConfigError
from spquant_snn.integer import reference
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
    monkeypatch.setattr("spquant_snn.build._ziglang", list)
    with pytest.warns(RuntimeWarning, match="the reference runs this network, slowly: there is no C compiler"):
        program = spquant_snn.load(tmp_path / "model.spq")
    assert program.engine is None
    assert np.array_equal(program.logits(images, threads=2), Program(graph).logits(images))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_has_threads_of_its_own(random_graph, random_images, tmp_path):
    graph = random_graph(5)
    save(graph, tmp_path / "model.spq")
    np.save(tmp_path / "images.npy", random_images(graph, 12))
    script = (
        "import os, numpy as np, spquant_snn\n"
        "program, images = spquant_snn.load('model.spq'), np.load('images.npy')\n"
        "expected = program.logits(images, threads=3)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os._exit(0 if np.array_equal(program.logits(images, threads=3), expected) else 1)\n"
        "raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script]
    assert subprocess.run(command, cwd=tmp_path, timeout=60, check=False).returncode == 0


COPIES = {"copied": copy.copy, "deep": copy.deepcopy, "pickled": lambda made: pickle.loads(pickle.dumps(made))}


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("wrapped", [True, False])
def test_a_copy_of_a_program_gives_the_same_and_outlives_it(random_graph, random_images, how, wrapped):
    graph = random_graph(5)
    images = random_images(graph, 9)
    native = NativeProgram(graph, guard=64)
    other = COPIES[how](Program(graph, native) if wrapped else native)
    engine = other.engine if wrapped else other
    assert np.array_equal(other.logits(images, threads=2), reference.run(graph, images))
    assert engine.graph is other.graph
    assert engine.plan.arena_size == native.plan.arena_size
    assert (engine is native) == (wrapped and how == "copied")  # a shallow copy has the same engine, as it should
    if engine is not native:
        native.close()
        assert np.array_equal(other.logits(images, threads=2), reference.run(graph, images))


def test_programs_and_streams_go_through_a_pool_of_spawned_processes(random_graph, random_images):
    graph = random_graph(5)
    images = random_images(graph, 8)
    program, expected = Program(graph, NativeProgram(graph)), reference.run(graph, images)
    net = program.stream()
    net.push(images[0])
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        parts = [pool.submit(program.logits, images[i : i + 4]) for i in (0, 4)]
        pushed = pool.submit(net.push, images[1]).result()
        assert np.array_equal(np.concatenate([part.result() for part in parts]), expected)
    assert np.array_equal(pushed, net.push(images[1]))


@pytest.mark.parametrize("threads", [0, -1, True, 1.5, "2", None, np.bool_(True)])
def test_an_impossible_number_of_threads_is_refused_by_every_engine(random_graph, random_images, threads):
    graph = random_graph(5)
    images, native = random_images(graph, 2), NativeProgram(graph)
    for engine in (Program(graph), Program(graph, native), native):
        for call in (engine.logits, engine.predict):
            with pytest.raises(ConfigError, match="threads must be a whole number above zero, not "):
                call(images, threads=threads)
