"""Standardised weights: the formula as it is written, whatever the parts in which it is computed."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spquant_snn.quant import standardize as module
from spquant_snn.quant.standardize import TINY, deviation, standardize

SHAPES = [(1, 1), (7, 1), (5, 3), (4, 2, 3, 3), (33, 5, 1, 2)]


def as_written(weight, step, grid, per_tensor):
    shape = (-1, *[1] * (weight.dim() - 1))
    flat = weight.flatten(1)
    centred = flat if flat.shape[1] == 1 else flat - flat.mean(1, keepdim=True)
    square = centred.square().mean(1)
    spread = ((square.mean(0, keepdim=True) if per_tensor else square) + TINY**2).sqrt()
    x = centred.view_as(weight) / (spread.view(shape) * step)
    if grid is None:
        return x
    return x + ((x + 0.5).floor().clamp(*grid) - x).detach()


@given(
    seed=st.integers(0, 99),
    shape=st.sampled_from(SHAPES),
    step=st.sampled_from([0.05, 0.7, 1.2]),
    grid=st.sampled_from([None, (-1, 1), (-2, 1), (-128, 127)]),
    per_tensor=st.booleans(),
    taken=st.sampled_from([1, 10, 1 << 17]),
)
@settings(max_examples=100)
def test_values_and_gradients_are_those_of_the_formula(seed, shape, step, grid, per_tensor, taken):
    draw = torch.Generator().manual_seed(seed)
    weight = (0.1 * torch.randn(shape, generator=draw, dtype=torch.float64) + 0.03).requires_grad_()
    pull = torch.randn(shape, generator=draw, dtype=torch.float64)
    meant = as_written(weight, step, grid, per_tensor)
    (wanted,) = torch.autograd.grad(meant, weight, pull)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_TAKEN", taken)
        found = standardize(weight, step, grid, per_tensor)
        (gradient,) = torch.autograd.grad(found, weight, pull)
        spread = weight.flatten(1).var(1, correction=0) if weight[0].numel() > 1 else weight.flatten(1)[:, 0].square()
        meant_spread = (spread.mean(0, keepdim=True) if per_tensor else spread).sqrt()
        assert torch.allclose(deviation(weight, per_tensor), meant_spread)
    assert torch.allclose(found, meant, rtol=1e-12, atol=1e-12)
    assert torch.allclose(gradient, wanted, rtol=1e-9, atol=1e-9 * float(wanted.abs().max() + 1))


@pytest.mark.parametrize("per_tensor", [False, True])
def test_gradients_agree_with_differences(per_tensor):
    weight = torch.randn(4, 3, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(lambda w: standardize(w, 0.8, None, per_tensor), weight.requires_grad_())


def test_codes_of_float32_are_whole_and_within_their_grid():
    weight = torch.randn(300, 70, 3, 3, generator=torch.Generator().manual_seed(0))
    codes = standardize(weight, 0.6, (-2, 1), False)
    assert torch.equal(codes, as_written(weight, 0.6, (-2, 1), False).round())
    assert codes.unique().tolist() == [-2, -1, 0, 1]


def test_weights_that_are_all_equal_have_codes_of_zero():
    assert not standardize(torch.full((3, 8), 0.5), 1.0, (-2, 1), False).any()


@given(
    seed=st.integers(0, 99),
    shape=st.sampled_from([(1, 5), (5, 4), (4, 2, 3, 3), (3, 1500)]),
    step=st.sampled_from([0.05, 0.7, 1.2]),
    grid=st.sampled_from([None, (-1, 1), (-2, 1), (-128, 127)]),
)
@settings(max_examples=30)
def test_the_form_for_gpus_is_the_same_within_rounding(seed, shape, step, grid):
    """On a GPU where there is one, elsewhere under Triton's interpreter."""
    triton = pytest.importorskip("triton", reason="Triton is not installed: pip install triton")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and tuple(map(int, triton.__version__.split(".")[:2])) < (3, 9):
        pytest.skip("this Triton's interpreter cannot count with this NumPy")
    draw = torch.Generator().manual_seed(seed)
    weight = (0.1 * torch.randn(shape, generator=draw) + 0.03).to(device).requires_grad_()
    pull = torch.randn(shape, generator=draw).to(device)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "triton_on", lambda device: True)
        found = standardize(weight, step, grid, False)
        (gradient,) = torch.autograd.grad(found, weight, pull)
    if len(shape) == 2:  # the order in memory does not matter
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "triton_on", lambda device: True)
            turned = weight.detach().t().contiguous().t()
            assert torch.equal(standardize(turned, step, grid, False), found)
    found, exact = found.detach(), weight.detach().double().requires_grad_()
    meant = as_written(exact, step, grid, False)
    (wanted,) = torch.autograd.grad(meant, exact, pull.double())
    torch.testing.assert_close(gradient.double(), wanted, rtol=1e-3, atol=1e-4 * float(wanted.abs().max()))
    if grid is None:
        torch.testing.assert_close(found.double(), meant, rtol=1e-4, atol=1e-4)
    else:  # a weight in the middle between two codes may go either way
        assert float((found != meant.round()).float().mean()) < 0.01
        assert torch.equal(found, found.round())
        assert grid[0] <= float(found.min())
        assert float(found.max()) <= grid[1]
