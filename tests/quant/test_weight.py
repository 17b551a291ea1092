"""Weight quantisers: codes in range, scales that are positive, gradients that reach the weights they came from."""

import copy
import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from cases import case
from spquant_snn.integer.grids import WEIGHT_GRIDS
from spquant_snn.quant.weight import integer_codes, weight_quantizer

CASES = list(itertools.product(["normalized", "learned"], WEIGHT_GRIDS, [False, True]))


def weights(*shape, seed=0, spread=0.1):
    return spread * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def normal_error(grid):
    """Mean square error of a grid on a normal distribution of variance one."""
    x, step = torch.linspace(-9, 9, 90_001, dtype=torch.float64), float(grid.step)
    error = x - step * (x / step + 0.5).floor().clamp(grid.low, grid.high)
    density = (-x.square() / 2).exp()
    return ((error.square() * density).sum() / density.sum()).item()


@pytest.fixture
def threads():
    yield torch.set_num_threads
    torch.set_num_threads(1)


@given(case=st.sampled_from(CASES), spread=st.floats(1e-6, 1e3), drift=st.floats(-2, 2), seed=st.integers(0, 99))
def test_codes_are_whole_and_in_range_whatever_training_does_to_the_weights(case, spread, drift, seed):
    choice, bits, per_tensor = case
    weight = weights(5, 3, 3, 3, seed=seed)
    quantizer = weight_quantizer(choice, weight, bits, True, per_tensor)
    codes = quantizer.codes(spread * weight + drift)
    grid = WEIGHT_GRIDS[bits]
    assert torch.equal(codes, codes.round())
    assert grid.low <= codes.min()
    assert codes.max() <= grid.high
    shipped = integer_codes(quantizer, spread * weight + drift)
    assert grid.low <= shipped.min()
    assert shipped.max() <= grid.high
    if spread > 0.1:  # else float32 holds little of the weights beside the drift
        assert float((shipped != codes).float().mean()) < 0.05  # in the middle between two codes


def test_codes_that_ship_are_those_of_float64():
    """A mean square of many weights depends in float32 on the order of the sum, which is another on every device."""
    weight = weights(64, 50_000, seed=3)
    quantizer = weight_quantizer("normalized", weight, 8, False, False)
    exact = copy.deepcopy(quantizer).double().codes(weight.double())
    assert torch.equal(integer_codes(quantizer, weight).double(), exact)
    assert not torch.equal(quantizer.codes(weight).double(), exact)
    mixed = weight[:, torch.randperm(50_000, generator=torch.Generator().manual_seed(0))]
    order = torch.argsort(torch.randperm(50_000, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(integer_codes(quantizer, mixed)[:, order], integer_codes(quantizer, weight))


def test_codes_times_scale_come_as_near_as_the_grid_allows():
    for choice, bits, per_tensor in CASES:
        with case(choice, bits, per_tensor):
            weight = weights(4, 4000, seed=1)
            quantizer = weight_quantizer(choice, weight, bits, True, per_tensor)
            error = weight - quantizer.positive_scale().view(-1, 1) * quantizer.codes(weight)
            assert (error.square().mean() / weight.square().mean()).item() < 1.15 * normal_error(WEIGHT_GRIDS[bits])
            assert quantizer.scale.shape == ((1,) if per_tensor else (4,))


def test_gradients_reach_weights_and_scale():
    for choice, bits, per_tensor in CASES:
        with case(choice, bits, per_tensor):
            weight = weights(6, 40).requires_grad_()
            quantizer = weight_quantizer(choice, weight, bits, True, per_tensor)
            target = weights(6, 40, seed=1)
            scaled = quantizer.positive_scale().view(-1, 1) * quantizer.codes(weight)
            ((scaled - target) ** 2).sum().backward()
            assert weight.grad.isfinite().all()
            assert (weight.grad.abs().sum(1) > 0).all()
            assert (quantizer.gain.grad.abs() > 0).all()


def test_the_learned_gradient_passes_only_inside_the_range():
    weight = torch.tensor([[-5.0, -0.4, 0.3, 5.0]]).requires_grad_()
    quantizer = weight_quantizer("learned", weight, 3, True, False)
    with torch.no_grad():
        quantizer.scale.fill_(1.0)
    quantizer.codes(weight).sum().backward()
    assert (weight.grad != 0).tolist() == [[False, True, True, False]]


def test_the_scale_is_trained_only_where_it_matters():
    weight = weights(2, 9)
    assert not weight_quantizer("normalized", weight, 2, False, False).gain.requires_grad
    assert weight_quantizer("normalized", weight, 2, True, False).gain.requires_grad
    assert weight_quantizer("learned", weight, 2, False, False).gain.requires_grad


def test_a_channel_without_variance_stays_finite():
    for choice, bits, per_tensor in CASES:
        with case(choice, bits, per_tensor):
            weight = weights(3, 20)
            weight[1] = 0.25
            weight[2] = 0.0
            weight.requires_grad_()
            quantizer = weight_quantizer(choice, weight, bits, True, per_tensor)
            product = quantizer.positive_scale().view(-1, 1) * quantizer.codes(weight)
            product.sum().backward()
            assert product.isfinite().all()
            assert weight.grad.isfinite().all()
            assert quantizer.gain.grad.isfinite().all()
            assert (quantizer.positive_scale() > 0).all()


def test_a_channel_of_one_weight_keeps_its_sign():
    for choice, bits, per_tensor in CASES:
        with case(choice, bits, per_tensor):
            weight = torch.tensor([[0.3], [-0.25], [0.28]])
            quantizer = weight_quantizer(choice, weight, bits, True, per_tensor)
            assert torch.equal(quantizer.codes(weight).sign(), weight.sign())
            assert quantizer.positive_scale().min() > 1e-3


@pytest.mark.parametrize("value", [-0.3, 0.0])
def test_a_scale_stays_positive_wherever_training_takes_it(value):
    quantizer = weight_quantizer("learned", weights(2, 9), 4, True, False)
    with torch.no_grad():
        quantizer.gain.fill_(value)
    assert (quantizer.positive_scale() > 0).all()
    assert quantizer.codes(weights(2, 9)).isfinite().all()


@pytest.mark.slow
@pytest.mark.parametrize("choice", ["normalized", "learned"])
@pytest.mark.parametrize("shape", [(64, 3, 5, 5), (10, 40_000), (1, 200_000), (128, 3136)])
@pytest.mark.parametrize("per_tensor", [False, True])
def test_codes_do_not_depend_on_the_number_of_threads(choice, shape, per_tensor, threads):
    weight = weights(*shape)
    quantizer = weight_quantizer(choice, weight, 8, True, per_tensor)
    found = []
    for count in (1, 2, 4):
        threads(count)
        found.append(integer_codes(quantizer, weight))
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_pruned_weights_stay_zero_and_the_others_keep_their_values():
    for choice, bits, per_tensor in CASES:
        with case(choice, bits, per_tensor):
            weight = weights(4, 4000, seed=2)
            kept = torch.rand(4, 4000, generator=torch.Generator().manual_seed(0)) < 0.1
            weight = weight * kept
            quantizer = weight_quantizer(choice, weight, bits, True, per_tensor)
            codes = integer_codes(quantizer, weight)
            assert not codes[~kept].any()
            error = weight - quantizer.positive_scale().view(-1, 1) * codes
            assert (error.square().sum() / weight.square().sum()).item() < 1.25 * normal_error(WEIGHT_GRIDS[bits])


@given(case=st.sampled_from(CASES), mean=st.floats(-0.5, 0.5), seed=st.integers(0, 99))
def test_a_channel_keeps_its_mean(case, mean, seed):
    """What all inputs have in common passes through the codes as through the weights."""
    choice, bits, per_tensor = case
    weight = weights(3, 400, seed=seed) + mean
    quantizer = weight_quantizer(choice, weight, bits, True, per_tensor)
    found = quantizer.positive_scale().detach().view(-1, 1) * integer_codes(quantizer, weight)
    assert (found.mean(1) - weight.mean(1)).abs().max() < 0.04 + 0.1 * abs(mean)


def test_a_quantiser_can_begin_anew_at_other_weights():
    for choice, bits, per_tensor in CASES:
        with case(choice, bits, per_tensor):
            quantizer, weight = (
                weight_quantizer(choice, weights(4, 60), bits, True, per_tensor),
                7 * weights(4, 60, seed=1),
            )
            quantizer.fit(weight)
            fresh = weight_quantizer(choice, weight, bits, True, per_tensor)
            for name, value in fresh.state_dict().items():
                assert torch.equal(quantizer.state_dict()[name], value), name


def test_weights_that_begin_at_zero_get_the_scale_of_usual_ones():
    for choice, bits, per_tensor in CASES:
        with case(choice, bits, per_tensor):
            usual = nn.Linear(100, 6, bias=False).weight.detach()
            fresh = weight_quantizer(choice, usual, bits, True, per_tensor).scale.mean()
            found = weight_quantizer(choice, torch.zeros(6, 100), bits, True, per_tensor)
            assert 0.6 < float(found.scale.mean() / fresh) < 1.6
            assert not integer_codes(found, torch.zeros(6, 100)).any()
