"""Neurons of any kind in training form: against recurrences written by hand, the neurons of other packages, the kernels
where both apply, and finite differences."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cases import case
from spquant_snn.integer.grids import CURRENT_GRIDS, STATE_GRIDS
from spquant_snn.nn import LIF
from spquant_snn.nn.recurrence import Levels, Recurrence
from spquant_snn.nn.unfused import unfused

LEVELS = {None: None} | {bits: Levels(grid.low, grid.high, float(grid.step)) for bits, grid in STATE_GRIDS.items()}
CHANNELS = 4


def random_current(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 0.8 + 0.3


def of_double(levels=None, **options):
    lif = LIF(**options).double()
    lif.levels = levels
    return lif


def stored_by_hand(x, threshold, bits, grids):
    if bits is None:
        return x
    grid = grids[bits]
    delta = float(grid.step) * threshold
    return delta * min(max(int((x / delta + 0.5) // 1), grid.low), grid.high)


def by_hand(currents, threshold, leak, reset, reset_by, synaptic_leak, bits):
    """One neuron, number by number: its spikes."""
    spikes, u, i = [], 0.0, 0.0
    for current in currents:
        drive = current if synaptic_leak is None else synaptic_leak * i + current
        v = leak * u + drive
        s = v >= threshold
        r = {"zero": 0.0, "subtract": v - reset_by, "none": v}[reset] if s else v
        u = stored_by_hand(r, threshold, bits, STATE_GRIDS)
        i = stored_by_hand(drive, threshold, bits, CURRENT_GRIDS)
        spikes.append(float(s))
    return spikes


@given(
    bits=st.sampled_from(list(LEVELS)),
    reset=st.sampled_from(["zero", "subtract", "none"]),
    per_channel=st.booleans(),
    synaptic=st.booleans(),
    static=st.booleans(),
    seed=st.integers(0, 1 << 20),
)
def test_forward_equals_the_equations_of_each_channel(bits, reset, per_channel, synaptic, static, seed):
    # Dyadic numbers: nothing rounds, so that ties are met and must agree.
    draw = torch.Generator().manual_seed(seed)
    count = CHANNELS if per_channel else 1

    def drawn(*values):
        return torch.tensor(values)[torch.randint(len(values), (count,), generator=draw)]

    threshold, leak, reset_by = drawn(0.5, 1.0, 2.0), drawn(0.25, 0.5, 0.75, 1.0), drawn(0.25, 1.0, 3.0)
    slow = drawn(0.0, 0.5, 0.75) if synaptic else None
    given = {"v_threshold": threshold, "leak": leak, "synaptic_leak": slow}
    given |= {"reset_by": reset_by} if reset == "subtract" else {}
    lif = of_double(
        LEVELS[bits], reset=reset, **{k: v if per_channel or v is None else v.item() for k, v in given.items()}
    )
    x = torch.randint(-128, 256, (5, 2, CHANNELS, 3), generator=draw).double() / 128
    found = lif.forward_static(x[0], 5) if static else lif(x)
    x = x[:1].expand(x.shape) if static else x
    for n, c, p in itertools.product(range(2), range(CHANNELS), range(3)):
        theta, lam, by, a = (
            None if y is None else y.expand(CHANNELS)[c].item() for y in (threshold, leak, reset_by, slow)
        )
        assert found[:, n, c, p].tolist() == by_hand(x[:, n, c, p].tolist(), theta, lam, reset, by, a, bits)


@pytest.mark.parametrize(
    "options", [{"reset": "none"}, {"synaptic_leak": 0.75}, {"leak": [0.3] * 4, "learn_leak": True}]
)
@pytest.mark.parametrize("bits", [None, 1.58, 4])
def test_steps_one_by_one_equal_forward(options, bits):
    lif, x = of_double(LEVELS[bits], **options), random_current(5, 2, CHANNELS, 3)
    state, spikes = lif.initial_state(x[0]), []
    for drive in x:
        fired, state = lif.step(drive, state)
        spikes.append(fired)
    assert torch.equal(torch.stack(spikes), lif(x))
    assert 0.1 < lif(x).mean() < 0.9
    assert state.shape == ((2, 2, CHANNELS, 3) if lif.synaptic_leak is not None else (2, CHANNELS, 3))
    codes = lif.codes(state)
    assert codes.shape == state.shape
    if bits is not None:
        torch.testing.assert_close(codes, codes.round(), rtol=0, atol=1e-12)
        assert codes.abs().max() > 0


def test_its_gradients_equal_those_of_the_kernels_recurrence():
    for reset, bits, skips in itertools.product(["zero", "subtract"], LEVELS, [False, True]):
        if bits is None and skips:
            continue
        with case(reset, bits, skips):
            lif = of_double(LEVELS[bits], v_threshold=0.7, leak=0.3, reset=reset, learn_threshold=True)
            x, weights = random_current(5, 3, 7), random_current(5, 3, 7, seed=2)
            kept = torch.rand(5, 3, 7, generator=torch.Generator().manual_seed(4)) < 0.6
            skip = (lambda t, *_, kept=kept: kept[t]) if skips else None
            grads = []
            for plain in (False, True):
                y = x.clone().requires_grad_()
                lif.v_threshold.grad = None
                if plain:
                    spikes, _ = unfused(list(y), lif.initial_state(y[0]), lif.values(y[0]), skip)
                else:
                    spikes, _ = Recurrence.apply(y, lif.threshold, None, lif.dynamics, None, False, skip)
                (spikes * weights).sum().backward()
                grads.append((spikes.detach(), y.grad, lif.v_threshold.grad))
            for mine, theirs in zip(*grads, strict=True):
                torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)
            assert grads[0][2].abs() > 1e-3


@pytest.mark.parametrize("per_channel", [False, True])
def test_the_gradient_of_a_leak_is_that_of_finite_differences(per_channel):
    # Without a reset potentials are smooth in the leak; a surrogate of one hands their gradients on.
    leak = [0.3, 0.6, 0.8, 0.5] if per_channel else 0.6
    lif = of_double(leak=leak, learn_leak=True, v_threshold=100.0, reset="none", surrogate=torch.ones_like)
    x, weights = random_current(4, 2, CHANNELS), random_current(4, 2, CHANNELS, seed=1)
    (lif(x) * weights).sum().backward()
    found = lif.leak_logit.grad.clone()

    def loss(logit):
        a, u, total = torch.sigmoid(logit), torch.zeros(2, CHANNELS).double(), 0.0
        for current, weight in zip(x, weights, strict=True):
            u = a * u + current
            total += (u * weight).sum().item()
        return total

    start, tiny = lif.leak_logit.detach(), 1e-6
    for i in range(start.numel()):
        step = torch.zeros(start.numel()).double()
        step[i] = tiny
        step = step.view(start.shape)
        expected = (loss(start + step) - loss(start - step)) / (2 * tiny)
        assert found.view(-1)[i].item() == pytest.approx(expected, rel=1e-6)
        assert abs(expected) > 1e-2


@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
def test_every_trained_constant_gets_a_gradient_of_its_channel(reset):
    options = {"v_threshold": [0.6, 1.0, 1.4, 0.8], "leak": [0.3, 0.6, 0.8, 0.5], "synaptic_leak": 0.5}
    lif = of_double(LEVELS[4], reset=reset, learn_threshold=True, learn_leak=True, **options)
    x = random_current(6, 2, CHANNELS, 3)
    lif(x)[:, :, 2].sum().backward()
    for parameter in lif.parameters():
        assert parameter.grad[2].abs() > 1e-3
        assert not parameter.grad[[0, 1, 3]].any()


def test_a_leak_moves_when_it_is_trained():
    torch.manual_seed(0)
    lif = LIF(leak=0.2, learn_leak=True)
    optimizer, x = torch.optim.SGD(lif.parameters(), 0.1), torch.rand(8, 16, CHANNELS) * 0.5
    wanted = LIF(leak=0.9)(x).mean()
    before = (lif(x).mean() - wanted).abs()
    for _ in range(60):
        optimizer.zero_grad()
        (lif(x).mean() - wanted).square().mul(50).backward()
        optimizer.step()
    assert lif.leak.item() > 0.5
    assert (lif(x).mean() - wanted).abs() < before / 2


# ---- the neurons of other packages, in a few lines ----


def spikingjelly(x, tau=None, v_threshold=1.0, v_reset=0.0):
    """IFNode, or LIFNode with decay_input; v_reset None is a soft reset."""
    v, spikes = torch.zeros_like(x[0]), []
    for current in x:
        v = v + current if tau is None else v + (current - v) / tau
        s = (v >= v_threshold).to(v)
        v = v - s * v_threshold if v_reset is None else (1 - s) * v
        spikes.append(s)
    return torch.stack(spikes)


def snntorch_leaky(x, beta, threshold, reset):
    """Leaky, whose reset comes a step later and behind the decay."""
    mem, spikes = torch.zeros_like(x[0]), []
    for current in x:
        fired = (mem > threshold).to(x)
        mem = beta * mem + current
        if reset == "subtract":
            mem = mem - fired * threshold
        spikes.append((mem > threshold).to(x))
    return torch.stack(spikes)


def snntorch_synaptic(x, alpha, beta, threshold):
    syn, mem, spikes = torch.zeros_like(x[0]), torch.zeros_like(x[0]), []
    for current in x:
        fired = (mem > threshold).to(x)
        syn = alpha * syn + current
        mem = beta * mem + syn - fired * threshold
        spikes.append((mem > threshold).to(x))
    return torch.stack(spikes)


def cuba_resetting_to_zero(x, alpha, beta, threshold):
    i, v, spikes = torch.zeros_like(x[0]), torch.zeros_like(x[0]), []
    for current in x:
        i = alpha * i + current
        v = beta * v + i
        s = (v >= threshold).to(v)
        v = v * (1 - s)
        spikes.append(s)
    return torch.stack(spikes)


@pytest.mark.parametrize("seed", range(3))
def test_neurons_of_other_packages_have_a_form(seed):
    x = random_current(20, 3, 50, seed=seed)
    pairs = {
        "SpikingJelly's IFNode": (spikingjelly(x), of_double(leak=1.0)),
        "IFNode, soft reset": (spikingjelly(x, v_reset=None), of_double(leak=1.0, reset="subtract")),
        "LIFNode(tau=2)": (spikingjelly(x, tau=2.0), of_double(leak=0.5, v_threshold=2.0)),
        "snnTorch's Leaky": (
            snntorch_leaky(x, 0.9, 1.3, "subtract"),
            of_double(v_threshold=1.3, leak=0.9, reset="subtract", reset_by=1.3 / 0.9),
        ),
        "Leaky, no reset": (snntorch_leaky(x, 0.7, 1.0, "none"), of_double(leak=0.7, reset="none")),
        "snnTorch's Synaptic": (
            snntorch_synaptic(x, 0.8, 0.6, 1.5),
            of_double(v_threshold=1.5, leak=0.6, reset="subtract", reset_by=1.5 / 0.6, synaptic_leak=0.8),
        ),
        "a CuBa neuron that resets to zero": (
            cuba_resetting_to_zero(x, 0.5, 0.9, 2.0),
            of_double(v_threshold=2.0, leak=0.9, synaptic_leak=0.5),
        ),
    }
    for name, (theirs, lif) in pairs.items():
        with case(name):
            assert 0.02 < theirs.mean() < 0.98
            assert torch.equal(lif(x), theirs)
