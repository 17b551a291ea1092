"""Gradients of weights, and of inputs at few places, are those of a convolution in float64, whatever its shape."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from spquant_snn.nn import fused, weight_gradients
from spquant_snn.nn.geometry import Geometry
from spquant_snn.nn.input_gradients import few_places, input_gradients
from spquant_snn.nn.spikes import as_bytes, pack_spikes
from spquant_snn.nn.sums import sums
from spquant_snn.nn.weight_gradients import few_spikes

pytestmark = pytest.mark.skipif(fused.kernels() is None, reason="there is no C compiler")

pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@st.composite
def convolutions(draw):
    """Shapes of inputs and of weights, and a geometry under which a window fits."""
    kernel, stride, dilation = draw(st.tuples(st.integers(1, 4), st.integers(1, 4))), draw(pairs), draw(pairs)
    padding = draw(st.tuples(st.integers(0, 3), st.integers(0, 3)))
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    size = [draw(st.integers(max(1, span - 2 * p), 12)) for span, p in zip(spans, padding, strict=True)]
    inputs, outputs = 8 * draw(st.integers(1, 9)), draw(st.integers(1, 140))
    shapes = (draw(st.integers(1, 4)), inputs, *size), (outputs, inputs, *kernel)
    return *shapes, Geometry(stride, padding, 1, dilation)


def spiking(shape, share, seed=0):
    x = (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < share).float()
    return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x


def drawn(shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def convolved(x, weight, geometry):
    return F.conv2d(x, weight, None, geometry.stride, geometry.padding, geometry.dilation)


def of_float64(x, weight, geometry, pull):
    """Gradients of the input and of the weight."""
    x, weight = (part.double().requires_grad_() for part in (x, weight))
    made = F.linear(x, weight) if weight.dim() == 2 else convolved(x, weight, geometry)
    return torch.autograd.grad(made, (x, weight), pull.double())


def packed(x):
    return pack_spikes(x, *as_bytes(x))


def close(found, meant):
    return torch.allclose(found.double(), meant, rtol=1e-5, atol=1e-5 * (1 + float(meant.abs().max())))


@given(shapes=convolutions(), share=st.sampled_from([0.0, 0.05, 0.4, 1.0]), threads=st.integers(1, 3))
@settings(max_examples=150)
def test_they_are_those_of_a_convolution(shapes, share, threads):
    inside, weights, geometry = shapes
    x = spiking(inside, share)
    data, packing = packed(x)
    pull = drawn(convolved(x, torch.zeros(weights), geometry).shape).contiguous(memory_format=torch.channels_last)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        found = weight_gradients.weight_gradients(pull, data, packing, torch.Size(weights), geometry)
    finally:
        torch.set_num_threads(before)
    weight = drawn(weights)
    of_x, of_weight = of_float64(x, weight, geometry, pull)
    assert close(found, of_weight)
    assert close(input_gradients(pull, weight, x.shape, geometry), of_x)


@pytest.mark.parametrize(
    ("inside", "weights", "geometry"),
    [
        ((2, 8, 40, 70), (64, 8, 5, 5), Geometry((1, 1), (4, 4))),  # rows of one image do not fit the grid
        ((1, 16, 300, 20), (70, 16, 3, 3), Geometry((2, 1), (1, 1))),
        ((1, 8, 3, 3000), (65, 8, 3, 3), Geometry((1, 3), (1, 1))),  # nor one row
        ((40, 32, 7, 7), (64, 32, 3, 3), Geometry((1, 1), (1, 1))),  # many images at a time, and a rest
    ],
)
def test_images_of_all_sizes_go_through_in_parts(inside, weights, geometry):
    x = spiking(inside, 0.2)
    data, packing = packed(x)
    pull = drawn(convolved(x, torch.zeros(weights), geometry).shape)  # in an order that is not the source's
    found = weight_gradients.weight_gradients(pull, data, packing, torch.Size(weights), geometry)
    assert close(found, of_float64(x, drawn(weights), geometry, pull)[1])


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_change_no_bit(threads):
    x, weights, geometry = spiking((6, 72, 9, 9), 0.2), torch.Size((130, 72, 3, 3)), Geometry((2, 2), (1, 1))
    data, packing = packed(x)
    pull, before = drawn((6, 130, 5, 5)), torch.get_num_threads()
    found = []
    try:
        for count in (1, threads):
            torch.set_num_threads(count)
            found.append(weight_gradients.weight_gradients(pull, data, packing, weights, geometry))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*found)


def test_a_linear_layer_is_one_place():
    x, pull = spiking((50, 64), 0.1), drawn((50, 70))
    data, packing = packed(x)
    found = weight_gradients.weight_gradients(pull, data, packing, torch.Size((70, 64)), Geometry())
    assert close(found, of_float64(x, drawn((70, 64)), None, pull)[1])


@pytest.mark.parametrize(
    ("inside", "share", "dtype", "geometry", "made", "few"),
    [
        ((2, 16, 8, 8), 0.1, torch.float32, Geometry(), (2, 4, 8, 8), True),
        ((2, 16, 8, 8), 0.6, torch.float32, Geometry(), (2, 4, 8, 8), False),
        ((2, 16, 8, 8), 0.3, torch.bfloat16, Geometry(), (2, 4, 8, 8), False),  # products of bf16 are faster
        ((2, 16, 8, 8), 0.1, torch.bfloat16, Geometry(), (2, 4, 8, 8), True),
        ((2, 16, 8, 8), 0.3, torch.bfloat16, Geometry(), (2, 64, 8, 8), True),  # but with few places
        ((2, 16, 8, 8), 0.1, torch.float64, Geometry(), (2, 64, 8, 8), False),
        ((2, 12, 8, 8), 0.1, torch.float32, Geometry(), (2, 4, 8, 8), False),  # inputs that share a byte
        ((2, 16, 8, 8), 0.1, torch.float32, Geometry(groups=2), (2, 4, 8, 8), False),
    ],
)
def test_they_are_taken_where_few_inputs_fire(inside, share, dtype, geometry, made, few):
    packing = packed(spiking(inside, share))[1]
    assert few_spikes(packing, torch.zeros(made), geometry, dtype) == few


def test_only_bits_with_channels_last_are_taken():
    x = spiking((2, 16, 8, 8), 0.1)
    pull = torch.zeros(2, 4, 8, 8)
    for other in (x * 2, x * 0.5, x.contiguous()):
        assert not few_spikes(packed(other)[1], pull, Geometry(), torch.float32)


@pytest.mark.parametrize("low", [False, True], ids=["float32", "bf16"])
@pytest.mark.parametrize("share", [0.1, 0.9], ids=["few", "many"])
@pytest.mark.parametrize("outputs", [4, 64], ids=["many places", "few places"])
def test_a_layer_learns_the_same_by_all_ways(low, share, outputs):
    x, codes, geometry = spiking((2, 16, 8, 8), share), drawn((outputs, 16, 3, 3)).round(), Geometry((1, 1), (1, 1))
    given_parts = [x.requires_grad_(), codes.requires_grad_(), torch.full((outputs,), 0.5).requires_grad_()]
    with torch.autocast("cpu", torch.bfloat16, enabled=low):
        made = sums(*given_parts, geometry)
    pull = drawn(made.shape).contiguous(memory_format=torch.channels_last)
    found = torch.autograd.grad(made, given_parts, pull)
    of_x, of_weight = of_float64(x.detach(), codes.detach() * 0.5, geometry, pull)
    meant = of_x, of_weight * 0.5, (of_weight * codes.detach()).flatten(1).sum(1)
    for one, other in zip(found, meant, strict=True):
        assert one.dtype == torch.float32
        assert float((one - other).abs().max() / other.abs().max()) < (2e-2 if low else 1e-5)


def test_few_places_are_seen():
    last = torch.zeros(4, 16, 8, 8).contiguous(memory_format=torch.channels_last)
    assert not few_places(last, Geometry())
    assert few_places(last[:2], Geometry())
    assert not few_places(last[:2], Geometry(groups=2))
    assert not few_places(torch.zeros(2, 16, 8, 8), Geometry())


def test_memory_that_is_not_there_is_said(monkeypatch):
    class Without:
        weight_gradients = staticmethod(lambda *given: 1)

    x = spiking((2, 16, 8, 8), 0.1)
    data, packing = packed(x)
    monkeypatch.setattr(weight_gradients, "kernels", lambda: Without)
    with pytest.raises(MemoryError):
        weight_gradients.weight_gradients(drawn((2, 4, 8, 8)), data, packing, torch.Size((4, 16, 1, 1)), Geometry())
