"""The statistics of sums and what is applied to them, in Triton: on a GPU where there is one, else interpreted."""

import pytest
import torch
import torch.nn.functional as F

triton = pytest.importorskip("triton", reason="Triton is not installed: pip install triton")

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"  # tests/conftest.py asks for the interpreter there

pytestmark = pytest.mark.skipif(
    DEVICE == "cpu" and tuple(map(int, triton.__version__.split(".")[:2])) < (3, 9),
    reason="this Triton's interpreter cannot count with this NumPy",
)


@pytest.fixture(scope="module")
def triton_norm():
    from spquant_snn.nn import triton_norm

    return triton_norm


def draw(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape))).to(DEVICE)


def normalisation(triton_norm, channels, training):
    scale, weight = 0.1 + draw(channels).abs(), 0.5 + draw(channels + 1)[1:].abs()
    mean, variance = draw(channels + 2)[2:], 1 + draw(channels + 3)[3:].abs()
    return triton_norm.Normalisation(scale, weight, draw(channels + 4)[4:], mean, variance, 0.1, 1e-5, training)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("rows", "channels"), [(6, 1), (50, 70), (3000, 5)])
def test_the_line_is_torch_s_normalisation_of_scaled_sums(triton_norm, rows, channels, training):
    y = (20 * draw(rows, channels)).round()
    norm = normalisation(triton_norm, channels, training)
    mean, variance = norm.running_mean.clone(), norm.running_variance.clone()
    meant = F.batch_norm(y * norm.scale, mean, variance, norm.weight, norm.bias, training, 0.1, 1e-5)
    largest = torch.zeros(1, device=DEVICE)
    line = triton_norm.line_of(y, channels, norm, largest)
    torch.testing.assert_close(line[2] * y + line[3], meant, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(norm.running_mean, mean, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(norm.running_variance, variance, rtol=1e-4, atol=1e-5)
    assert float(largest) == (float(y.abs().max()) if training else 0)


def test_the_reach_is_the_larger_of_the_sums_of_one_sign(triton_norm):
    codes = (2 * draw(9, 7, 3, 3)).round()
    flat = codes.flatten(1)
    assert triton_norm.reach_of(codes) == torch.maximum(flat.clamp(min=0).sum(1), (-flat).clamp(min=0).sum(1)).max()
