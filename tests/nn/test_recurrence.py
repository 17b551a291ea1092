"""The recurrence against the equations of the design, written out twice more: as a scalar loop, and for autograd."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cases import case
from spquant_snn.integer.grids import STATE_GRIDS
from spquant_snn.nn.recurrence import Dynamics, Levels, Recurrence, stacked_surrogate, store_codes
from spquant_snn.nn.surrogate import SURROGATES

LEVELS = {bits: Levels(grid.low, grid.high, float(grid.step)) for bits, grid in STATE_GRIDS.items()}
FORMS = list(itertools.product(["zero", "subtract"], [None, *LEVELS]))


def scalar_loop(currents, threshold, state, leak, reset, levels):
    """One neuron: the equations, number by number."""
    spikes, u = [], state
    for current in currents:
        v = leak * u + current
        s = 1 if v >= threshold else 0
        r = (1 - s) * v if reset == "zero" else v - threshold * s
        if levels is None:
            u = r
        else:
            delta = levels.step * threshold
            u = delta * min(max(math.floor(r / delta + 0.5), levels.low), levels.high)
        spikes.append(s)
    return spikes, u


class Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, derivative):
        ctx.save_for_backward(x)
        ctx.derivative = derivative
        return (x >= 0).to(x.dtype)

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.derivative(ctx.saved_tensors[0]), None


class Nearest(torch.autograd.Function):
    """k(x), with the derivative of the stacked surrogate."""

    @staticmethod
    def forward(ctx, x, levels):
        ctx.save_for_backward(x)
        ctx.levels = levels
        return (x + 0.5).floor().clamp(levels.low, levels.high)

    @staticmethod
    def backward(ctx, grad):
        return grad * stacked_surrogate(ctx.saved_tensors[0], ctx.levels), None


def by_autograd(current, threshold, state, dynamics, computed=None):
    """The recurrence as a chain of differentiable steps, of neurons that are ``computed`` [T, N, ...]."""
    u, spikes = state, []
    for t, drive in enumerate(current):
        v = dynamics.leak * u + drive
        s = Spike.apply(v - threshold, dynamics.surrogate)
        r = (1 - s) * v if dynamics.reset == "zero" else v - threshold * s
        if dynamics.levels is not None:
            delta = dynamics.levels.step * threshold
            r = delta * Nearest.apply(r / delta, dynamics.levels)
        there = torch.ones_like(r) if computed is None else computed[t].to(r.dtype)
        u = there * r + (1 - there) * u
        spikes.append(there * s)
    return torch.stack(spikes), u


def random_current(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 0.8 + 0.3


def run(current, threshold, state, dynamics, static_steps=None, keep_state=True, skip=None):
    return Recurrence.apply(current, threshold, state, dynamics, static_steps, keep_state, skip)


@given(
    currents=st.lists(st.integers(-512, 512).map(lambda n: n / 128), min_size=1, max_size=6),
    form=st.sampled_from(FORMS),
    leak=st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]),
    threshold=st.sampled_from([0.5, 1.0, 2.0]),
    state=st.integers(-4, 3),
)
def test_forward_equals_the_scalar_loop(currents, form, leak, threshold, state):
    # Dyadic numbers throughout: nothing rounds, so ties at every boundary are met and must agree.
    reset, bits = form
    levels = LEVELS.get(bits)
    dynamics = Dynamics(leak, reset, SURROGATES["triangle"], levels)
    found, stored = run(
        torch.tensor(currents, dtype=torch.float64).view(-1, 1),
        torch.tensor(threshold, dtype=torch.float64),
        torch.tensor([state / 4], dtype=torch.float64),
        dynamics,
    )
    spikes, u = scalar_loop(currents, threshold, state / 4, leak, reset, levels)
    assert found.flatten().tolist() == spikes
    assert stored.item() == u


def test_backward_equals_autograd():
    for (reset, bits), threshold, shape in itertools.product(FORMS, (1.0, 0.7), ("triangle", "sigmoid")):
        with case(reset, bits, threshold, shape):
            dynamics = Dynamics(0.75, reset, SURROGATES[shape], LEVELS.get(bits))
            ours = [random_current(5, 3, 7), torch.tensor(threshold, dtype=torch.float64), random_current(3, 7, seed=1)]
            theirs = [x.clone().requires_grad_() for x in ours]
            ours = [x.requires_grad_() for x in ours]
            weights, state_weights = random_current(5, 3, 7, seed=2), random_current(3, 7, seed=3)
            for arguments, function in ((ours, run), (theirs, by_autograd)):
                spikes, stored = function(*arguments, dynamics)
                assert 0.1 < spikes.mean() < 0.6
                ((spikes * weights).sum() + (stored * state_weights).sum()).backward()
            for mine, reference in zip(ours, theirs, strict=True):
                assert reference.grad.abs().max() > 1e-3
                torch.testing.assert_close(mine.grad, reference.grad, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("reset", ["zero", "subtract"])
@pytest.mark.parametrize("bits", LEVELS)
def test_skipped_neurons_keep_what_they_hold(reset, bits):
    dynamics, levels = Dynamics(0.75, reset, SURROGATES["triangle"], LEVELS[bits]), LEVELS[bits]
    computed = torch.rand(5, 3, 7, generator=torch.Generator().manual_seed(4)) < 0.6
    start = torch.randint(levels.low, levels.high + 1, (3, 7), generator=torch.Generator().manual_seed(5))
    ours = [random_current(5, 3, 7), torch.tensor(0.7, dtype=torch.float64)]
    ours.append(start.double() * levels.step * ours[1])
    theirs = [x.clone().requires_grad_() for x in ours]
    ours = [x.requires_grad_() for x in ours]
    asked = []

    def skip(t, codes, fired, after):
        asked.append((codes, fired, after))
        return computed[t]

    spikes, stored = run(*ours, dynamics, skip=skip)
    expected, held = by_autograd(*theirs, dynamics, computed)
    assert torch.equal(spikes, expected)
    torch.testing.assert_close(stored, held, rtol=0, atol=1e-12)
    assert not spikes[~computed].any()
    assert torch.equal(asked[0][0], start.double())
    for before, now, there in zip(asked, asked[1:], computed, strict=False):
        assert torch.equal(now[0], torch.where(there, before[2], before[0]))  # the codes before a step: kept or new
    weights = random_current(5, 3, 7, seed=2)
    ((spikes * weights).sum() + stored.sum()).backward()
    ((expected * weights).sum() + held.sum()).backward()
    for mine, reference in zip(ours, theirs, strict=True):
        assert reference.grad.abs().max() > 1e-3
        torch.testing.assert_close(mine.grad, reference.grad, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("reset", "bits"), FORMS)
def test_a_still_current_is_the_same_current_at_every_step(reset, bits):
    dynamics = Dynamics(0.75, reset, SURROGATES["triangle"], LEVELS.get(bits))
    threshold = torch.tensor(1.0, dtype=torch.float64)
    static_input, moving = random_current(2, 9).requires_grad_(), random_current(2, 9).requires_grad_()
    weights = random_current(4, 2, 9, seed=5)
    first, none = run(static_input, threshold, None, dynamics, 4, False)
    second, _ = run(moving.expand(4, 2, 9), threshold, None, dynamics)
    assert none is None
    assert torch.equal(first, second)
    (first * weights).sum().backward()
    (second * weights).sum().backward()
    torch.testing.assert_close(static_input.grad, moving.grad)


def test_no_state_is_a_state_of_zero():
    dynamics = Dynamics(0.5, "subtract", SURROGATES["triangle"], LEVELS[3])
    threshold = torch.tensor(1.0, dtype=torch.float64)
    current = random_current(4, 20)
    without, with_zeros = (
        run(current, threshold, None, dynamics),
        run(current, threshold, torch.zeros(20).double(), dynamics),
    )
    assert torch.equal(without[0], with_zeros[0])
    assert torch.equal(without[1], with_zeros[1])


@pytest.mark.parametrize("only", ["spikes", "state"])
def test_backward_from_one_output_alone(only):
    dynamics = Dynamics(0.5, "zero", SURROGATES["triangle"], LEVELS[4])
    threshold = torch.tensor(1.0, dtype=torch.float64)
    mine, reference = random_current(3, 30).requires_grad_(), random_current(3, 30).requires_grad_()
    run(mine, threshold, None, dynamics)[only == "state"].sum().backward()
    by_autograd(reference, threshold, torch.zeros(30).double(), dynamics)[only == "state"].sum().backward()
    torch.testing.assert_close(mine.grad, reference.grad)


@pytest.mark.parametrize("bits", LEVELS)
def test_stored_codes_are_nearest_and_halves_round_up(bits):
    grid, levels = STATE_GRIDS[bits], LEVELS[bits]
    boundaries = torch.tensor([float(b) for b in grid.boundaries], dtype=torch.float64)
    above = torch.arange(grid.low + 1, grid.high + 1, dtype=torch.float64)
    assert torch.equal(store_codes(boundaries, levels.step, levels), above)
    assert torch.equal(store_codes(boundaries - 1e-9, levels.step, levels), above - 1)
    ends = torch.tensor([-1e6, 1e6], dtype=torch.float64)
    assert store_codes(ends, levels.step, levels).tolist() == [grid.low, grid.high]


def bump_sum(x, levels):
    z = torch.sigmoid(2 * (x.unsqueeze(-1) - torch.arange(levels.low, levels.high) - 0.5))
    return (2 * z * (1 - z)).sum(-1)


@pytest.mark.parametrize("bits", LEVELS)
def test_stacked_surrogate_is_the_sum_of_bumps_at_the_boundaries(bits):
    levels = LEVELS[bits]
    x = torch.linspace(levels.low - 3, levels.high + 3, 4001, dtype=torch.float64)
    apart = (stacked_surrogate(x, levels) - bump_sum(x, levels)).abs().max()
    assert apart < (1e-12 if bits in (1.58, 2) else 0.03)


def test_stacked_surrogate_has_the_published_ternary_values():
    found = stacked_surrogate(torch.tensor([-1.0, -0.5, 0.0, 0.5, 1.0]), LEVELS[1.58])
    torch.testing.assert_close(found, torch.tensor([0.484, 0.710, 0.786, 0.710, 0.484]), atol=5e-4, rtol=0)


@pytest.mark.parametrize("bits", LEVELS)
def test_stacked_surrogate_has_height_about_one_and_fades_outside(bits):
    levels = LEVELS[bits]
    x = torch.linspace(levels.low - 12, levels.high + 12, 4001, dtype=torch.float64)
    slope = stacked_surrogate(x, levels)
    assert 0.75 < slope.max() < 1.05
    assert slope.min() >= 0
    assert slope[[0, -1]].max() < 1e-6
    middle = slope[(x > levels.low + 2) & (x < levels.high - 2)]
    assert middle.numel() == 0 or middle.min() > 0.95


def test_the_gradient_of_eight_bits_takes_no_more_memory_than_that_of_three():
    sizes = {}
    for bits in (3, 8):
        seen = []
        x = torch.zeros(1000)
        with Allocations(seen):
            stacked_surrogate(x, LEVELS[bits])
        sizes[bits] = sum(seen)
    assert sizes[3] == sizes[8] <= 8 * 1000


class Allocations(torch.utils._python_dispatch.TorchDispatchMode):
    """Counts the elements of every tensor that an operation returns."""

    def __init__(self, seen):
        super().__init__()
        self.seen = seen

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor):
            self.seen.append(out.numel())
        return out
