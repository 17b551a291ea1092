"""Normalised weights: the formula as it is written, whatever the parts in which it is computed."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spquant_snn.quant import normalize as module
from spquant_snn.quant.normalize import code_distance, normalized_codes

SHAPES = [(1, 1), (7, 1), (5, 3), (4, 2, 3, 3), (33, 5, 1, 2)]
GRIDS = [(-1, 1), (-2, 1), (-8, 7), (-128, 127)]


def as_written(weight, step, grid, per_tensor):
    rows = weight.reshape(1, -1) if per_tensor else weight.flatten(1)
    spread = step * math.sqrt(2 / math.pi) * rows.square().sum(1) / rows.abs().sum(1)
    bound = torch.maximum(rows.amax(1) / (grid[1] + 0.5), rows.amin(1) / (grid[0] - 0.5))
    x = (rows / torch.minimum(spread, bound)[:, None]).view_as(weight)
    return x + ((x + 0.5).floor().clamp(*grid) - x).detach()


def drawn(seed, shape, kind="normal", dtype=torch.float64):
    """A weight with a mean, and a gradient of its codes."""
    draw = torch.Generator().manual_seed(seed)
    weight = torch.randn(shape, generator=draw, dtype=dtype)
    weight = {"normal": weight, "heavy": weight**3, "flat": torch.rand(shape, generator=draw, dtype=dtype) - 0.4}[kind]
    return (0.1 * weight + 0.03).requires_grad_(), torch.randn(shape, generator=draw, dtype=dtype)


@given(
    seed=st.integers(0, 99),
    shape=st.sampled_from(SHAPES),
    kind=st.sampled_from(["normal", "heavy", "flat"]),
    step=st.sampled_from([0.05, 0.7, 1.2]),
    grid=st.sampled_from(GRIDS),
    per_tensor=st.booleans(),
    taken=st.sampled_from([1, 10, 1 << 17]),
)
@settings(max_examples=150)
def test_values_and_gradients_are_those_of_the_formula(seed, shape, kind, step, grid, per_tensor, taken):
    weight, pull = drawn(seed, shape, kind)
    meant = as_written(weight, step, grid, per_tensor)
    (wanted,) = torch.autograd.grad(meant, weight, pull)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_TAKEN", taken)
        found = normalized_codes(weight, step, grid, per_tensor)
        (gradient,) = torch.autograd.grad(found, weight, pull)
    assert torch.equal(found, found.round())
    assert torch.allclose(found, meant, rtol=1e-12, atol=1e-12)
    assert torch.allclose(gradient, wanted, rtol=1e-9, atol=1e-9 * float(wanted.abs().max() + 1))
    # A gradient that changes nothing but the size of a row would be lost: the codes do not depend on it.
    rows = [x.reshape(1, -1) if per_tensor else x.flatten(1) for x in (weight, gradient)]
    assert (rows[0] * rows[1]).sum(1).abs().max() < 1e-9 * float(gradient.abs().max() + 1)


@given(
    seed=st.integers(0, 99),
    size=st.sampled_from([1e-7, 1e-3, 7.0, 1e9]),
    kept=st.sampled_from([1.0, 0.5, 0.1, 0.02]),
    step=st.sampled_from([0.05, 0.7, 1.2]),
    grid=st.sampled_from(GRIDS),
)
def test_codes_depend_neither_on_the_size_of_a_channel_nor_on_its_zeros(seed, size, kept, step, grid):
    weight = drawn(seed, (4, 300))[0].detach()
    weight = weight * (torch.rand(weight.shape, generator=torch.Generator().manual_seed(seed)) < kept)
    codes = normalized_codes(weight, step, grid, False)
    assert torch.equal(normalized_codes(size * weight, step, grid, False), codes)
    padded = torch.cat([weight, torch.zeros(4, 2000, dtype=weight.dtype)], dim=1)
    assert torch.equal(normalized_codes(padded, step, grid, False)[:, :300], codes)
    assert not codes[weight == 0].any()


@pytest.mark.parametrize(("grid", "step"), [((-2, 1), 1.0484), ((-8, 7), 0.3386), ((-128, 127), 0.0308)])
@pytest.mark.parametrize("kind", ["normal", "heavy", "flat"])
def test_the_distance_is_near_that_of_least_error(grid, step, kind):
    weight = drawn(0, (3, 2000), kind)[0].detach() - 0.03

    def error(distance):
        codes = (weight / distance[:, None] + 0.5).floor().clamp(*grid)
        return (weight - distance[:, None] * codes).square().mean(1)

    found = code_distance(weight, step, grid, False)
    best = torch.stack([error(found * factor) for factor in torch.logspace(-2, 2, 80, base=2.0).tolist()]).amin(0)
    assert (error(found) < (1.3 if kind == "normal" else 2.5) * best + 0.03 * weight.square().mean(1)).all()


def test_codes_of_float32_are_whole_and_within_their_grid():
    weight = torch.randn(300, 70, 3, 3, generator=torch.Generator().manual_seed(0))
    codes = normalized_codes(weight, 0.6, (-2, 1), False)
    assert torch.equal(codes, as_written(weight, 0.6, (-2, 1), False).round())
    assert codes.unique().tolist() == [-2, -1, 0, 1]


def test_weights_that_are_all_equal_keep_their_mean():
    for mean in (0.5, -0.5):
        codes = normalized_codes(torch.full((3, 8), mean), 1.2, (-1, 1), False)
        assert (codes == (1 if mean > 0 else -1)).all()


@pytest.mark.parametrize("size", [1e-11, 1e-21, 1e-40])
def test_a_channel_whose_weights_decayed_to_nothing_has_codes_of_zero(size):
    weight = torch.randn(3, 9, generator=torch.Generator().manual_seed(0))
    weight[1] *= size
    weight.requires_grad_()
    codes = normalized_codes(weight, 0.0308, (-128, 127), False)
    codes.square().sum().backward()
    assert not codes[1].any()
    assert codes[0].any()
    assert weight.grad.isfinite().all()


def test_a_channel_of_zeros_has_codes_of_zero_and_a_gradient_of_usual_size():
    weight = torch.zeros(2, 5)
    weight[1, 3] = -0.25
    weight.requires_grad_()
    codes = normalized_codes(weight, 0.7, (-2, 1), False)
    codes.sum().backward()
    assert codes.tolist() == [[0] * 5, [0, 0, 0, -2, 0]]
    assert torch.allclose(weight.grad[0], torch.full((5,), 1 / 0.7))
    assert weight.grad.isfinite().all()


@given(
    seed=st.integers(0, 99),
    shape=st.sampled_from([(1, 5), (5, 4), (4, 2, 3, 3), (3, 1500)]),
    kind=st.sampled_from(["normal", "heavy", "flat"]),
    step=st.sampled_from([0.05, 0.7, 1.2]),
    grid=st.sampled_from(GRIDS),
)
@settings(max_examples=30)
def test_the_form_for_gpus_is_the_same_within_rounding(seed, shape, kind, step, grid):
    """On a GPU where there is one, elsewhere under Triton's interpreter."""
    triton = pytest.importorskip("triton", reason="Triton is not installed: pip install triton")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and tuple(map(int, triton.__version__.split(".")[:2])) < (3, 9):
        pytest.skip("this Triton's interpreter cannot count with this NumPy")
    weight, pull = (x.detach().to(device) for x in drawn(seed, shape, kind, torch.float32))
    weight.requires_grad_()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "triton_on", lambda device: True)
        found = normalized_codes(weight, step, grid, False)
        (gradient,) = torch.autograd.grad(found, weight, pull)
        if len(shape) == 2:  # the order in memory does not matter
            turned = weight.detach().t().contiguous().t()
            assert torch.equal(normalized_codes(turned, step, grid, False), found)
    found = found.detach()
    exact = weight.detach().double().requires_grad_()
    meant = as_written(exact, step, grid, False)
    (wanted,) = torch.autograd.grad(meant, exact, pull.double())
    torch.testing.assert_close(gradient.double(), wanted, rtol=1e-3, atol=1e-4 * float(wanted.abs().max()))
    # A weight in the middle between two codes may go either way.
    assert float((found != meant.detach().round()).float().mean()) < 0.01
    assert torch.equal(found, found.round())
    assert grid[0] <= float(found.min())
    assert float(found.max()) <= grid[1]
