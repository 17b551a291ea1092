"""What every fused neuron has to do as the plain one does, on the device whose form is asked for."""

import pytest
import torch
from hypothesis import strategies as st

from spquant_snn.nn.fused import FusedRecurrence
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

# For ``agrees``.
DRAWS = {
    "levels": st.sampled_from(LEVELS),
    "reset": st.sampled_from(("zero", "subtract")),
    "surrogate": st.sampled_from(tuple(SURROGATES)),
    "leak": st.sampled_from((0.0, 0.3, 0.5, 0.75, 255 / 256, 1.0)),
    "threshold": st.sampled_from((0.25, 0.9, 1.0, 3.3)),
    "steps": st.integers(1, 6),
    "neurons": st.sampled_from((1, 7, 16, 511, 512, 513, 1500)),
    "static_input": st.booleans(),
    "seed": st.integers(0, 1000),
}


def both(current, threshold, dynamics, static_steps, weights):
    """Spikes, gradient of the currents and of the threshold: fused in float32, plain in float32 and in float64."""
    found = []
    for run, dtype in (("fused", torch.float32), ("plain", torch.float32), ("plain", torch.float64)):
        x = current.detach().to(dtype).requires_grad_()
        theta = torch.tensor(threshold, dtype=dtype, device=current.device, requires_grad=True)
        if run == "fused":
            spikes = FusedRecurrence.apply(x, theta, dynamics, static_steps)
        else:
            spikes, _ = Recurrence.apply(x, theta, None, dynamics, static_steps, False, None)
        found.append((spikes.detach(), *torch.autograd.grad((spikes * weights.to(dtype)).sum(), (x, theta))))
    return found


def agrees(device, levels, reset, surrogate, leak, threshold, steps, neurons, static_input, seed):
    """Spikes are equal and gradients within rounding."""
    draw = torch.Generator().manual_seed(seed)
    dynamics = Dynamics(leak, reset, SURROGATES[surrogate], levels)
    shape = (neurons,) if static_input else (steps, neurons)
    current = threshold * (torch.randn(shape, generator=draw) + 0.3)
    weights = torch.randn(steps, neurons, generator=draw)
    fast, plain, exact = both(
        current.to(device), threshold, dynamics, steps if static_input else None, weights.to(device)
    )
    assert torch.equal(fast[0], plain[0])
    if not torch.equal(plain[0].double(), exact[0]):  # float32 fell on the other side of a threshold or a code
        return
    same = torch.isclose(plain[1].double(), exact[1], rtol=1e-4, atol=1e-4)
    near = torch.isclose(fast[1], plain[1], rtol=1e-4, atol=1e-5)
    assert bool((near | ~same).all())
    assert float(fast[2]) == pytest.approx(float(plain[2]), rel=1e-3, abs=1e-3)


def decides_ties_alike(device, reset):
    """Potentials on the threshold and residuals halfway between two codes, many of each."""
    draw = torch.Generator().manual_seed(0)
    current = torch.randint(-12, 13, (5, 600), generator=draw).div(8).to(device)
    weights = torch.randn(5, 600, generator=draw).to(device)
    for levels in (None, Levels(-2, 1, 0.5), Levels(-8, 7, 0.25)):
        fast, plain, _ = both(current, 1.0, Dynamics(0.5, reset, SURROGATES["triangle"], levels), None, weights)
        assert torch.equal(fast[0], plain[0])
        torch.testing.assert_close(fast[1], plain[1], rtol=1e-4, atol=1e-5)
        assert float(fast[2]) == pytest.approx(float(plain[2]), rel=1e-4)


def knows_the_triangle(device):
    """One neuron, one step: the gradient is the surrogate, triangle(v - 1)."""
    x = torch.tensor([[-0.5], [0.25], [0.75], [1.5], [2.5]], device=device).T.contiguous().requires_grad_()
    one = torch.tensor(1.0, device=device)
    FusedRecurrence.apply(x, one, Dynamics(0.5, "zero", SURROGATES["triangle"]), None).sum().backward()
    assert x.grad.tolist() == [[0.0, 0.25, 0.75, 0.5, 0.0]]


def reads_any_layout(device):
    """Gaps, neurons in another order, which are copied; channels last, which stays; for currents and for gradients."""
    draw = torch.Generator().manual_seed(0)
    dense = torch.randn(3, 2, 8, 6, 5, generator=draw).to(device)
    layouts = (
        dense,
        dense.flatten(0, 1).contiguous(memory_format=torch.channels_last).unflatten(0, (3, 2)),
        dense.permute(0, 1, 2, 4, 3).contiguous().permute(0, 1, 2, 4, 3),
        dense.repeat_interleave(2, 1)[:, ::2],
        dense[:1].expand_as(dense),
    )
    dynamics = Dynamics(0.5, "zero", SURROGATES["atan"], LEVELS[2])
    for current in layouts:
        for weights in layouts[:3]:
            for static_input in (False, True):
                given = (current[0], 1.0, dynamics, 3) if static_input else (current, 1.0, dynamics, None)
                fast, plain, _ = both(*given, weights)
                assert torch.equal(fast[0], plain[0])
                torch.testing.assert_close(fast[1], plain[1], rtol=1e-4, atol=1e-5, check_stride=False)


def keeps_nothing_but_its_input(device):
    kept = []
    current = torch.randn(8, 4, 100, device=device, requires_grad=True)
    threshold = torch.tensor(1.0, device=device)
    dynamics = Dynamics(0.5, "zero", SURROGATES["triangle"], LEVELS[3])
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        FusedRecurrence.apply(current, threshold, dynamics, None)
    assert sum(tensor.numel() * tensor.element_size() for tensor in kept) == 4 * (current.numel() + 1)


def fires_as_the_plain_form_on(value, device):
    current = torch.full((3, 20), 0.6, device=device)
    current[1, 3] = value
    dynamics = Dynamics(0.5, "zero", SURROGATES["triangle"], LEVELS[3])
    fast, plain, _ = both(current, 1.0, dynamics, None, torch.ones(3, 20, device=device))
    assert torch.equal(fast[0], plain[0])


def takes_no_neurons_at_all(device):
    current = torch.zeros(3, 0, device=device, requires_grad=True)
    threshold = torch.tensor(1.0, device=device, requires_grad=True)
    spikes = FusedRecurrence.apply(current, threshold, Dynamics(0.5, "zero", SURROGATES["atan"]), None)
    spikes.sum().backward()
    assert (spikes.shape, current.grad.shape, float(threshold.grad)) == ((3, 0), (3, 0), 0.0)
