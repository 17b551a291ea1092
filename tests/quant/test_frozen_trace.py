"""``verify`` as users call it: what it takes, and what it refuses in a sentence."""

import numpy as np
import pytest
import torch
from torch import nn

from spquant_snn import LIF, ConfigError, DataError, ModelError, QuantConfig, lower, prepare, verify
from spquant_snn.quant.frozen_trace import same_layers

IMAGES = np.random.default_rng(0).integers(256, size=(5, 1, 6, 6), dtype=np.uint8)


def network(*hidden, timesteps=2):
    torch.manual_seed(0)
    sizes = [36, *hidden]
    layers = [part for a, b in zip(sizes, hidden, strict=False) for part in (nn.Linear(a, b), LIF())]
    model = nn.Sequential(nn.Flatten(), *layers, nn.Linear(sizes[-1], 3))
    return prepare(model, QuantConfig(2, 2, timesteps=timesteps), (1, 6, 6)).eval().freeze()


@pytest.mark.parametrize("backend", ["reference", "native"])
def test_a_network_equals_what_was_lowered_from_it_on_images_and_sequences(backend):
    one = network(8)
    for images in (IMAGES, IMAGES[:, 0], np.stack([IMAGES, IMAGES[::-1]])):
        verdict = verify(one, lower(one), images, backend)
        assert verdict.equal
        assert verdict.images == 5


@pytest.mark.parametrize(
    "other", [network(9), network(8, 8), network(8, timesteps=3)], ids=["wider", "deeper", "longer"]
)
def test_a_graph_of_another_network_is_refused(other):
    assert not same_layers(network(8), lower(other))
    with pytest.raises(ModelError, match="of another network"):
        verify(network(8), lower(other), IMAGES)


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (IMAGES[:0], "there are no images"),
        (IMAGES[..., :5], "takes images"),
        (IMAGES / 255, "must be uint8"),
        ("pictures", "must be uint8|cannot be read"),
    ],
)
def test_other_images_are_refused(images, said):
    one = network(8)
    with pytest.raises(DataError, match=said):
        verify(one, lower(one), images)


def test_there_is_no_other_backend():
    one = network(8)
    with pytest.raises(ConfigError, match="backend must be one of"):
        verify(one, lower(one), IMAGES, "fast")
