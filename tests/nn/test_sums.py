"""Exact sums: int8, float32 and float64 agree to the last bit; gradients are those of a convolution; spikes are kept
as bits."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from spquant_snn.nn import spikes, sums
from spquant_snn.nn.geometry import Geometry
from spquant_snn.nn.sums import no_int8

GEOMETRIES = [
    Geometry(),
    Geometry((2, 2), (1, 1)),
    Geometry((1, 2), (2, 0)),
    Geometry((1, 1), (1, 1), 2),
    Geometry((2, 1), (0, 1), 4),
]


def drawn(seed, geometry, largest=1, code=2, channels_last=False, full=False):
    """Inputs, codes and scales: of sparse whole numbers of 0 to ``largest``, and codes of -code to code."""
    draw = torch.Generator().manual_seed(seed)
    inputs, outputs, height, width = (4, 8, 5 + seed % 3, 7) if geometry.groups > 1 else (1 + seed % 5, 3, 6, 5)
    shape = (3, inputs) if full else (3, inputs, height, width)
    x = torch.randint(0, largest + 1, shape, generator=draw) * (torch.rand(shape, generator=draw) < 0.4)
    x = x.float()
    if channels_last and not full:
        x = x.contiguous(memory_format=torch.channels_last)
    kernel = () if full else (3, 1 + seed % 3)
    codes = torch.randint(-code, code + 1, (outputs, inputs // geometry.groups, *kernel), generator=draw).float()
    return x, codes, torch.rand(outputs, generator=draw) + 0.1


def as_meant(x, codes, scale, geometry):
    if codes.dim() == 2:
        return F.linear(x, codes * scale.view(-1, 1))
    weight = codes * scale.view(-1, 1, 1, 1)
    return F.conv2d(x, weight, None, geometry.stride, geometry.padding, groups=geometry.groups)


@given(
    seed=st.integers(0, 999),
    geometry=st.sampled_from(GEOMETRIES),
    largest=st.sampled_from([1, 4, 255]),
    code=st.sampled_from([1, 2, 8, 127, 128, 500]),
    channels_last=st.booleans(),
    full=st.booleans(),
    int8=st.booleans(),
)
@settings(max_examples=150)
def test_sums_of_whole_numbers_are_exact_times_their_scale(seed, geometry, largest, code, channels_last, full, int8):
    geometry = Geometry() if full else geometry
    x, codes, scale = drawn(seed, geometry, largest, code, channels_last, full)
    exact = as_meant(x.double(), codes.double(), torch.ones(len(codes)).double(), geometry)
    assert exact.abs().max() < 1 << 24
    with pytest.MonkeyPatch.context() as patch:
        if not int8:
            patch.setattr(sums, "no_int8", lambda: "not wanted")
        found = sums.sums(x, codes, scale, geometry)
    assert torch.equal(found, exact.float() * (scale if full else scale.view(-1, 1, 1)))


@pytest.mark.parametrize("low", [False, True], ids=["float32", "bf16"])
def test_int8_takes_part_where_it_can(monkeypatch, low):
    if no_int8() is not None:
        pytest.skip(no_int8())
    calls = []
    int8 = sums._int8
    monkeypatch.setattr(sums, "_int8", lambda *given: calls.append(given) or int8(*given))
    x, codes, scale = drawn(0, Geometry())
    sums._right.cache_clear()
    for _ in range(2):  # the first time there is a trial before it
        calls.clear()
        with torch.autocast("cpu", torch.bfloat16, enabled=low):
            made = sums.sums(x, codes, scale, Geometry())
    assert len(calls) == 1
    assert made.dtype == torch.float32
    nothing = codes * float("nan")
    for other_x, other_codes in ((x * 0.5, codes), (x * 256, codes), (-x, codes), (x, codes * 128), (x, nothing)):
        sums.sums(other_x, other_codes, scale, Geometry())
    assert len(calls) == 1


WRONG = Geometry((1, 2), (2, 0))  # in oneDNN 3.12, for one input channel


def test_shapes_whose_int8_kernel_is_wrong_are_left_to_float32():
    draw = torch.Generator().manual_seed(0)
    x = torch.randint(0, 5, (1, 1, 3, 3), generator=draw).float()
    codes = torch.randint(-9, 10, (33, 1, 5, 3), generator=draw).float()
    assert torch.equal(sums.sums(x, codes, torch.ones(1), WRONG), F.conv2d(x, codes, None, WRONG.stride, WRONG.padding))


@pytest.mark.parametrize("fails", [False, True])
def test_each_shape_is_tried_once(monkeypatch, fails):
    if no_int8() is not None:
        pytest.skip(no_int8())
    calls, int8 = [], sums._int8

    def wrong(*given):
        calls.append(given)
        if fails:
            raise RuntimeError("could not create a primitive")
        return int8(*given) + 1

    monkeypatch.setattr(sums, "_int8", wrong)
    x, codes, scale = drawn(0, Geometry())
    sums._right.cache_clear()
    try:
        for _ in range(3):
            assert torch.allclose(sums.sums(x, codes, scale, Geometry()), as_meant(x, codes, scale, Geometry()))
        assert len(calls) == 1
        sums.sums(x[:2], codes, scale, Geometry())
        assert len(calls) == 2
    finally:
        sums._right.cache_clear()


def test_a_device_without_autocast_has_sums_too():
    parts = (part.to("meta") for part in drawn(0, Geometry()))
    assert sums.sums(*parts, Geometry()).device.type == "meta"


def test_memory_is_taken_on_the_device_of_the_input():
    x, codes, scale = drawn(0, Geometry())
    given = [part.requires_grad_() for part in (x, codes, scale)]
    no_int8.cache_clear()
    sums._right.cache_clear()
    with torch.device("meta"):
        out = sums.sums(*given, Geometry())
        out.sum().backward()
        assert no_int8() == sums.no_int8.__wrapped__()
    assert torch.equal(out, sums.sums(*given, Geometry()))
    assert codes.grad.device.type == "cpu"


def test_a_processor_whose_int8_saturates_is_not_used(monkeypatch):
    honest = sums._int8
    monkeypatch.setattr(sums, "_int8", lambda *given: honest(*given).clamp(max=1e6))
    no_int8.cache_clear()
    try:
        assert no_int8() is not None
    finally:
        no_int8.cache_clear()


@pytest.mark.parametrize("fraction", [False, True])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_gradients_are_those_of_the_plain_form(geometry, full, fraction):
    if full and geometry != Geometry():
        pytest.skip("a linear layer has no geometry")
    for seed in range(6):
        x, codes, scale = drawn(seed, geometry, 1 if seed % 2 else 4, full=full, channels_last=seed % 3 == 0)
        given = [part.clone().requires_grad_() for part in (x * 0.3 if fraction else x, codes, scale)]
        plain = [part.detach().double().requires_grad_() for part in given]
        out, meant = sums.sums(*given, geometry), as_meant(*plain, geometry)
        assert torch.allclose(out.double(), meant, atol=1e-5)
        pull = torch.randn(out.shape, generator=torch.Generator().manual_seed(seed))
        out.backward(pull)
        meant.backward(pull.double())
        for found, wanted in zip(given, plain, strict=True):
            assert torch.allclose(found.grad.double(), wanted.grad, rtol=1e-4, atol=1e-4)


def test_gradients_agree_with_differences():
    x, codes, scale = drawn(3, GEOMETRIES[1])
    given = [part.double().requires_grad_() for part in (x, codes, scale)]
    assert torch.autograd.gradcheck(lambda *parts: sums.sums(*parts, GEOMETRIES[1]), given)


def test_only_what_is_wanted_is_computed():
    x, codes, scale = drawn(1, Geometry())
    sums.sums(x, codes.requires_grad_(), scale, Geometry()).sum().backward()
    assert codes.grad is not None
    assert x.grad is None
    assert scale.grad is None


@pytest.mark.parametrize("low", [False, True], ids=["float32", "bf16"])
def test_gradients_of_autocast_are_rounded_and_sums_are_not(low):
    x, codes, scale = drawn(2, Geometry(), largest=255, code=127)
    codes.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=low):
        out = sums.sums(x, codes, scale, Geometry())
    assert torch.equal(out, as_meant(x, codes, torch.ones(3), Geometry()) * scale.view(-1, 1, 1))
    pull = torch.randn(out.shape, generator=torch.Generator().manual_seed(0))
    out.backward(pull)
    (meant,) = torch.autograd.grad(as_meant(x, codes, scale, Geometry()), codes, pull)
    error = float((codes.grad - meant).abs().max() / meant.abs().max())
    assert codes.grad.dtype == torch.float32
    assert (1e-5 < error < 3e-2) if low else error < 1e-5


@given(count=st.integers(1, 70), largest=st.sampled_from([0, 1, 2, 255]), seed=st.integers(0, 99), plain=st.booleans())
@settings(max_examples=100)
def test_whole_numbers_are_kept_in_little_memory(count, largest, seed, plain):
    x = torch.from_numpy(np.random.default_rng(seed).integers(0, largest + 1, (1, 2, 3, count))).float()
    with pytest.MonkeyPatch.context() as patch:
        if plain:  # no compiler
            patch.setattr(spikes, "_library", lambda: None)
        assert spikes.as_bytes(x[:0])[1] == 0
        for given_x in (x, x.contiguous(memory_format=torch.channels_last), x[..., ::2]):
            bytes_, most = spikes.as_bytes(given_x)
            assert torch.equal(bytes_.float(), given_x)
            assert most == int(given_x.max())
            data, packing = spikes.pack_spikes(given_x, bytes_, most)
            assert packing.bits == (most <= 1 and not plain)
            assert data.numel() == (-(-given_x.numel() // 8) if packing.bits else given_x.numel())
            for dtype in (torch.float32, torch.bfloat16, torch.float16, torch.float64):
                back = packing.unpack(data, dtype)
                assert back.dtype == dtype
                assert torch.equal(back, given_x.to(dtype))
                assert back.is_contiguous() == bytes_.is_contiguous()


@pytest.mark.parametrize("plain", [False, True], ids=["C", "torch"])
@pytest.mark.parametrize("other", [0.5, -1.0, 256.0, float("nan"), float("inf"), -float("inf"), 1e30])
def test_other_numbers_are_no_bytes(monkeypatch, other, plain):
    if plain:
        monkeypatch.setattr(spikes, "_library", lambda: None)
    for place in (0, 7, 40, 66):
        x = torch.ones(67)
        x[place] = other
        assert spikes.as_bytes(x) == (None, 0)
        data, packing = spikes.pack_spikes(x, None, 0)
        assert packing.unpack(data, torch.float32) is data


def test_spikes_are_kept_as_bits_and_nothing_else():
    x, codes, scale = drawn(0, Geometry())
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda saved: kept.append(saved) or saved, lambda saved: saved):
        sums.sums(x, codes.requires_grad_(), scale, Geometry())
    bits = [saved for saved in kept if saved.dtype == torch.uint8]
    assert [saved.numel() for saved in bits] == [-(-x.numel() // 8)]
    assert sum(saved.numel() for saved in kept if saved.dtype != torch.uint8) == codes.numel() + scale.numel()
