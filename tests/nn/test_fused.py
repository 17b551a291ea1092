"""The fused recurrence against the plain one: the same spikes, the same gradients, less kept; and when it is taken."""

import os
import signal
import sys
import threading
import time
import warnings

import pytest
import torch
from hypothesis import given

import fused_checks
from fused_checks import LEVELS, both
from spquant_snn.errors import MissingDependencyError
from spquant_snn.nn import fused
from spquant_snn.nn import threads as training_threads
from spquant_snn.nn.fused import FusedRecurrence, fuses
from spquant_snn.nn.lif import LIF
from spquant_snn.nn.recurrence import Dynamics, Recurrence
from spquant_snn.nn.surrogate import SURROGATES


@given(**fused_checks.DRAWS)
def test_spikes_are_equal_and_gradients_within_rounding(**drawn):
    fused_checks.agrees("cpu", **drawn)


@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_ties_are_decided_alike(reset):
    fused_checks.decides_ties_alike("cpu", reset)


def test_a_surrogate_known_in_closed_form():
    fused_checks.knows_the_triangle("cpu")


def test_any_layout_of_the_currents_is_read_right():
    fused_checks.reads_any_layout("cpu")


def test_it_keeps_nothing_but_its_input():
    fused_checks.keeps_nothing_but_its_input("cpu")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_fires_as_in_the_plain_form(value):
    fused_checks.fires_as_the_plain_form_on(value, "cpu")


def test_no_neurons_at_all_are_no_trouble():
    fused_checks.takes_no_neurons_at_all("cpu")


def test_what_leaves_the_caches_is_the_same():
    """More than 8 MiB, which goes past the caches, and no whole number of tiles or blocks of the C source."""
    draw = torch.Generator().manual_seed(2)
    current, weights = torch.randn(3, 700_048, generator=draw), torch.randn(3, 700_048, generator=draw)
    for levels in (None, LEVELS[3]):
        dynamics = Dynamics(0.5, "zero", SURROGATES["triangle"], levels)
        fast, plain, _ = both(current, 1.0, dynamics, None, weights)
        assert torch.equal(fast[0], plain[0])
        torch.testing.assert_close(fast[1], plain[1], rtol=1e-4, atol=1e-5)
        assert float(fast[2]) == pytest.approx(float(plain[2]), rel=1e-3)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_share_the_neurons_out(threads, monkeypatch):
    monkeypatch.setattr(fused, "_FEWEST", 100)
    before = torch.get_num_threads()
    draw = torch.Generator().manual_seed(1)
    current, weights = torch.randn(3, 5, 2, 101, generator=draw), torch.randn(3, 5, 2, 101, generator=draw)
    dynamics = Dynamics(0.5, "zero", SURROGATES["triangle"], LEVELS[3])
    try:
        torch.set_num_threads(threads)
        fast, plain, _ = both(current, 1.0, dynamics, None, weights)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(fast[0], plain[0])
    torch.testing.assert_close(fast[1], plain[1], rtol=1e-4, atol=1e-5)
    assert float(fast[2]) == pytest.approx(float(plain[2]), rel=1e-4)


def test_layers_of_all_sizes_share_the_same_threads(monkeypatch):
    monkeypatch.setattr(fused, "_FEWEST", 10)
    training_threads._pool.cache_clear()
    before, had = torch.get_num_threads(), set(threading.enumerate())
    try:
        torch.set_num_threads(4)
        for neurons_ in (20, 30, 40):
            LIF()(torch.rand(2, neurons_))
        ours = [t for t in set(threading.enumerate()) - had if t.name.startswith("spquant-training")]
        assert 1 <= len(ours) <= 4
    finally:
        torch.set_num_threads(before)


# When it is taken.


@pytest.fixture
def taken(monkeypatch):
    """A list that grows with each use of the fused form by a layer."""
    uses, apply = [], FusedRecurrence.apply
    monkeypatch.setattr("spquant_snn.nn.lif.FusedRecurrence.apply", lambda *args: uses.append(1) or apply(*args))
    return uses


def test_layers_take_it_for_whole_sequences(taken):
    layer, current = LIF(), torch.randn(4, 2, 10)
    assert torch.equal(
        layer(current), Recurrence.apply(current, layer.threshold, None, layer.dynamics, None, False, None)[0]
    )
    layer.forward_static(current[0], 3)
    assert len(taken) == 2


@pytest.mark.parametrize(
    ("layer", "current"),
    [
        (LIF(surrogate=torch.ones_like), torch.randn(4, 2, 10)),
        (LIF(), torch.randn(4, 2, 10, dtype=torch.float64)),
        (LIF(), torch.randn(4, 2, 10, device="meta")),
    ],
    ids=["surrogate", "float64", "device"],
)
def test_what_it_cannot_do_takes_the_plain_form(taken, layer, current):
    assert not fuses(current, layer.dynamics)
    layer(current)
    assert not taken


def test_single_steps_and_skipped_neurons_take_the_plain_form(taken):
    layer = LIF()
    layer.levels = LEVELS[3]
    layer.step(torch.zeros(2, 3), torch.zeros(2, 3))
    layer(torch.zeros(2, 2, 3), lambda t, codes, fired, after: torch.ones(2, 3, dtype=torch.bool))
    assert not taken


def test_without_a_compiler_it_is_said_once(monkeypatch):
    def missing(self):
        raise MissingDependencyError("there is no C compiler: install one")

    monkeypatch.setattr("spquant_snn.build.Library.load", missing)
    fused.kernels.cache_clear()
    try:
        with pytest.warns(
            RuntimeWarning, match="neurons are trained by the plain, slower form: there is no C compiler"
        ):
            first = LIF()(torch.ones(2, 1, 3))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert torch.equal(LIF()(torch.ones(2, 1, 3)), first)
    finally:
        fused.kernels.cache_clear()


@pytest.fixture
def cuda():
    """CUDA, of which nothing is known yet."""
    fused._triton_or_a_word.cache_clear()
    yield torch.device("cuda")
    fused._triton_or_a_word.cache_clear()


def refused_once(device, words):
    with pytest.warns(RuntimeWarning, match=f"neurons are trained by the plain, slower form: {words}"):
        assert fused.form_on(device) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fused.form_on(device) is None


def without_triton(monkeypatch):
    monkeypatch.setitem(sys.modules, "triton", None)
    monkeypatch.delitem(sys.modules, "spquant_snn.nn.triton_neuron", raising=False)
    monkeypatch.delattr("spquant_snn.nn.triton_neuron", raising=False)


def test_without_triton_it_is_said_once_on_cuda(cuda, monkeypatch):
    without_triton(monkeypatch)
    refused_once(cuda, "Triton cannot be imported .*: install it, as with 'pip install triton', or use the plain form")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_where_triton_does_not_work_it_is_said_once(cuda, monkeypatch):
    class Works:
        def forward(self, *args):
            raise AssertionError("nothing can be on CUDA here")

    monkeypatch.setattr("spquant_snn.nn.triton_neuron", Works(), raising=False)
    refused_once(cuda, "Triton does not work on cuda .*: repair it, or use the plain form")


def test_the_form_that_works_is_kept(cuda, monkeypatch):
    asked, form = [], object()
    monkeypatch.setattr(fused, "in_triton", lambda device: asked.append(device) or form)
    assert fused.form_on(cuda) is fused.form_on(cuda) is form
    assert asked == [cuda]


def test_where_there_is_none_the_call_is_refused():
    with pytest.raises(MissingDependencyError, match="there is no fused neuron on meta: see 'spquant doctor'"):
        FusedRecurrence.apply(torch.zeros(2, 3, device="meta"), torch.tensor(1.0), LIF().dynamics, None)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_process_has_threads_of_its_own(monkeypatch):
    monkeypatch.setattr(fused, "_FEWEST", 1)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        current = torch.rand(3, 64, generator=torch.Generator().manual_seed(0))
        spikes = LIF()(current)
        child = os.fork()
        if not child:
            os._exit(0 if torch.equal(LIF()(current), spikes) else 1)
        for _ in range(200):
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                break
            time.sleep(0.05)
        else:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            pytest.fail("the child waits for threads that it does not have")
        assert status == 0
    finally:
        torch.set_num_threads(before)
