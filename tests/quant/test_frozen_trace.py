"""``verify`` as users call it: what it takes, and what it refuses in a sentence."""

import numpy as np
import pytest
import torch
from torch import nn

from spquant_snn import LIF, ConfigError, DataError, ModelError, Program, QuantConfig, lower, prepare, verify
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


def test_what_is_no_network_or_no_graph_is_refused():
    one = network(8)
    with pytest.raises(ModelError, match="a SpikingNetwork is needed, not a Graph: prepare"):
        verify(lower(one), one, IMAGES)
    with pytest.raises(ModelError, match="a Graph or a Program is needed, not a SpikingNetwork: lower"):
        verify(one, one, IMAGES)
    with pytest.raises(ModelError, match="a SpikingNetwork is needed, not a Linear"):
        lower(nn.Linear(2, 2))


def test_a_program_stands_for_its_graph():
    one = network(8)
    assert verify(one, Program(lower(one)), IMAGES).equal


def test_sequences_are_cut_to_their_lengths():
    one = network(8)
    frames = np.stack([IMAGES, IMAGES[::-1], IMAGES])
    verdict = verify(one, lower(one), frames, lengths=[1, 2, 3, 2, 1])
    assert verdict.equal
    assert verdict.spikes == 8 * (1 + 2 + 3 + 2 + 1)


@pytest.mark.parametrize(
    ("lengths", "said"),
    [
        ([1, 2], r"lengths must be 5 whole numbers from 1 to 3, one for each sequence, not int64 \[2\]"),
        ([1, 1, 1, 1, 4], "not 1 to 4"),
        ([0, 1, 1, 1, 1], "not 0 to 1"),
        ([1.0] * 5, r"not float64 \[5\]"),
        ("ab", "not <U2"),
    ],
)
def test_lengths_that_sequences_do_not_have_are_refused(lengths, said):
    one = network(8)
    with pytest.raises(DataError, match=said):
        verify(one, lower(one), np.stack([IMAGES] * 3), lengths=lengths)
    with pytest.raises(DataError, match=r"lengths are of sequences .*, and images are given: leave them out"):
        verify(one, lower(one), IMAGES, lengths=lengths)


def test_there_is_no_other_backend():
    one = network(8)
    with pytest.raises(ConfigError, match="backend must be one of"):
        verify(one, lower(one), IMAGES, "fast")
