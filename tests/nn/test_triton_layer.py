"""Neurons behind a line, in Triton, against the recurrence by steps: on a GPU where there is one, else interpreted."""

import pytest
import torch
import torch.nn.functional as F

from spquant_snn.nn.recurrence import Dynamics, Levels, Recurrence
from spquant_snn.nn.surrogate import SURROGATES

triton = pytest.importorskip("triton", reason="Triton is not installed: pip install triton")

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"  # tests/conftest.py asks for the interpreter there
STEPS = 3

pytestmark = pytest.mark.skipif(
    DEVICE == "cpu" and tuple(map(int, triton.__version__.split(".")[:2])) < (3, 9),
    reason="this Triton's interpreter cannot count with this NumPy",
)


@pytest.fixture(scope="module")
def kernels():
    from spquant_snn.nn import triton_layer, triton_norm

    return triton_layer, triton_norm


def draw(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape))).to(DEVICE)


def layer(kernels, dynamics, static_input, training, channels=5, rows=40):
    """Spikes, and the gradients of sums, weight, bias and threshold, by the kernels and by torch's operations."""
    triton_layer, triton_norm = kernels
    y = 4 * draw(*(() if static_input else (STEPS,)), rows, channels)
    grad_spikes = draw(STEPS, rows, channels + 1)[..., 1:].contiguous()
    weight, bias, threshold = (
        x.to(DEVICE).requires_grad_() for x in (torch.ones(channels), torch.zeros(channels), torch.tensor(0.7))
    )
    scale = torch.full((channels,), 0.25, device=DEVICE)
    statistics = torch.zeros(channels, device=DEVICE), torch.ones(channels, device=DEVICE)
    norm = triton_norm.Normalisation(scale, weight, bias, *statistics, 0.1, 1e-5, training)
    line = triton_norm.line_of(y, channels, norm, None)
    spikes = torch.empty_like(grad_spikes)
    triton_layer.fire(y, line, threshold, dynamics, spikes, static_input)
    gradient = torch.empty_like(y)
    (of_weight, of_bias), of_threshold = triton_layer.backward(
        y, line, weight, threshold, dynamics, grad_spikes, gradient, static_input, training, True
    )
    found = (spikes, gradient, of_weight, of_bias, of_threshold)

    x = y.clone().requires_grad_()
    statistics = torch.zeros(channels, device=DEVICE), torch.ones(channels, device=DEVICE)
    current = F.batch_norm((x * scale).view(-1, channels), *statistics, weight, bias, training, 0.1, 1e-5)
    steps = STEPS if static_input else None
    meant, _ = Recurrence.apply(current.view_as(x), threshold, None, dynamics, steps, False, None)
    meant.backward(grad_spikes)
    return found, (meant.detach(), x.grad, weight.grad, bias.grad, threshold.grad)


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("static_input", [True, False], ids=["static", "frames"])
@pytest.mark.parametrize(
    ("reset", "surrogate", "levels"),
    [
        ("zero", "triangle", Levels(-2, 1, 1.0)),
        ("subtract", "atan", Levels(-8, 7, 0.25)),
        ("zero", "sigmoid", Levels(-1, 1, 1.0)),
        ("subtract", "triangle", None),
    ],
    ids=str,
)
def test_spikes_are_equal_and_gradients_within_rounding(kernels, reset, surrogate, levels, static_input, training):
    found, meant = layer(kernels, Dynamics(0.5, reset, SURROGATES[surrogate], levels), static_input, training)
    assert 0.05 < float(meant[0].mean()) < 0.9
    assert torch.equal(found[0], meant[0])
    for ours, theirs in zip(found[1:], meant[1:], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


def test_channels_and_rows_of_any_number(kernels):
    dynamics = Dynamics(0.75, "zero", SURROGATES["triangle"], Levels(-2, 1, 1.0))
    for channels, rows in ((1, 3), (70, 33)):
        found, meant = layer(kernels, dynamics, False, True, channels, rows)
        assert torch.equal(found[0], meant[0])
        torch.testing.assert_close(found[1], meant[1], rtol=1e-3, atol=1e-4)
