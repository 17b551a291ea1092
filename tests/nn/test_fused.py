"""The fused recurrence against the plain one: the same spikes, the same gradients, less kept."""

import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spquant_snn.errors import MissingDependencyError
from spquant_snn.nn import fused
from spquant_snn.nn.fused import FusedRecurrence, fuses
from spquant_snn.nn.lif import LIF
from spquant_snn.nn.recurrence import Dynamics, Levels, Recurrence
from spquant_snn.nn.surrogate import SURROGATES

LEVELS = (
    None,
    Levels(0, 1, 0.5),
    Levels(-1, 1, 0.5),
    Levels(-2, 1, 0.4),
    Levels(-4, 3, 0.2),
    Levels(-128, 127, 0.008),
)


def both(current, threshold, dynamics, still_steps, weights):
    """Spikes, gradient of the currents and of the threshold: fused in float32, plain in float32 and in float64."""
    found = []
    for run, dtype in (("fused", torch.float32), ("plain", torch.float32), ("plain", torch.float64)):
        x = current.to(dtype).requires_grad_()
        theta = torch.tensor(threshold, dtype=dtype, requires_grad=True)
        if run == "fused":
            spikes = FusedRecurrence.apply(x, theta, dynamics, still_steps)
        else:
            spikes, _ = Recurrence.apply(x, theta, None, dynamics, still_steps, False, None)
        found.append((spikes.detach(), *torch.autograd.grad((spikes * weights.to(dtype)).sum(), (x, theta))))
    return found


@given(
    levels=st.sampled_from(LEVELS),
    reset=st.sampled_from(("zero", "subtract")),
    surrogate=st.sampled_from(tuple(SURROGATES)),
    leak=st.sampled_from((0.0, 0.5, 0.75, 255 / 256, 1.0)),
    threshold=st.sampled_from((0.25, 0.9, 1.0, 3.3)),
    steps=st.integers(1, 6),
    neurons=st.sampled_from((1, 7, 16, 511, 512, 513, 1500)),
    still=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_spikes_are_equal_and_gradients_within_rounding(
    levels, reset, surrogate, leak, threshold, steps, neurons, still, seed
):
    draw = torch.Generator().manual_seed(seed)
    dynamics = Dynamics(leak, reset, SURROGATES[surrogate], levels)
    shape = (neurons,) if still else (steps, neurons)
    current = threshold * (torch.randn(shape, generator=draw) + 0.3)
    weights = torch.randn(steps, neurons, generator=draw)
    fast, plain, exact = both(current, threshold, dynamics, steps if still else None, weights)
    assert torch.equal(fast[0], plain[0])
    if not torch.equal(plain[0].double(), exact[0]):  # float32 fell on the other side of a threshold or a code
        return
    same = torch.isclose(plain[1].double(), exact[1], rtol=1e-4, atol=1e-4)
    near = torch.isclose(fast[1], plain[1], rtol=1e-4, atol=1e-5)
    assert bool((near | ~same).all())
    assert float(fast[2]) == pytest.approx(float(plain[2]), rel=1e-3, abs=1e-3)


def test_a_surrogate_known_in_closed_form():
    """One neuron, one step: the gradient is the surrogate, triangle(v - 1)."""
    x = torch.tensor([[-0.5], [0.25], [0.75], [1.5], [2.5]]).T.contiguous().requires_grad_()
    FusedRecurrence.apply(x, torch.tensor(1.0), Dynamics(0.5, "zero", SURROGATES["triangle"]), None).sum().backward()
    assert x.grad.tolist() == [[0.0, 0.25, 0.75, 0.5, 0.0]]


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


def test_any_layout_of_the_currents_is_read_right():
    current = torch.randn(3, 4, 5, 6).permute(0, 1, 3, 2)
    weights = torch.randn(3, 4, 6, 5)
    fast, plain, _ = both(current, 1.0, Dynamics(0.5, "zero", SURROGATES["atan"], LEVELS[2]), None, weights)
    assert torch.equal(fast[0], plain[0])
    torch.testing.assert_close(fast[1], plain[1], rtol=1e-4, atol=1e-5)


def test_it_keeps_nothing_but_its_input():
    kept = []
    current = torch.randn(8, 4, 100, requires_grad=True)
    dynamics = Dynamics(0.5, "zero", SURROGATES["triangle"], LEVELS[3])
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        FusedRecurrence.apply(current, torch.tensor(1.0), dynamics, None)
    assert sum(tensor.numel() * tensor.element_size() for tensor in kept) == 4 * current.numel()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_fires_as_in_the_plain_form(value):
    current = torch.full((3, 20), 0.6)
    current[1, 3] = value
    dynamics = Dynamics(0.5, "zero", SURROGATES["triangle"], LEVELS[3])
    fast, plain, _ = both(current, 1.0, dynamics, None, torch.ones(3, 20))
    assert torch.equal(fast[0], plain[0])


def test_no_neurons_at_all_are_no_trouble():
    spikes = FusedRecurrence.apply(
        torch.zeros(3, 0), torch.tensor(1.0), Dynamics(0.5, "zero", SURROGATES["atan"]), None
    )
    assert spikes.shape == (3, 0)


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
    layer.still(current[0], 3)
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
