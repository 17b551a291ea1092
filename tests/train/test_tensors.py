"""Labelled data as tensors: the same memory, the same numbers, and inputs as networks take them."""

import numpy as np
import pytest
import torch

from spquant_snn.data import Labelled
from spquant_snn.train.tensors import as_tensors


def labelled(images):
    return Labelled(images, np.arange(len(images)))


def test_tensors_share_the_memory_of_arrays():
    data = labelled(np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 1, 3, 4))
    found = as_tensors(data)
    assert (found.images.dtype, found.labels.dtype, len(found)) == (torch.uint8, torch.int64, 2)
    assert np.shares_memory(found.images.numpy(), data.images)
    assert np.shares_memory(found.labels.numpy(), data.labels)


def test_arrays_that_are_read_only_are_shared_without_a_warning():
    images = np.arange(12, dtype=np.uint8).reshape(1, 1, 3, 4)
    images.flags.writeable = False
    assert as_tensors(labelled(images)).images.data_ptr() == images.ctypes.data


@pytest.mark.parametrize("view", [np.s_[::-1], np.s_[:, :, ::2], np.s_[..., ::-1]])
def test_views_of_any_strides_become_tensors(view):
    images = np.arange(2 * 4 * 4, dtype=np.uint8).reshape(2, 1, 4, 4)[view]
    found = as_tensors(labelled(images)).images
    assert found.tolist() == images.tolist()
    assert found.is_contiguous()


@pytest.mark.parametrize(("shape", "frames"), [((5, 2, 3, 4), None), ((5, 6, 2, 3, 4), 6)])
def test_inputs_are_those_of_the_arrays_time_first(shape, frames):
    data = labelled(np.random.default_rng(0).integers(0, 256, shape, np.uint8))
    found = as_tensors(data)
    assert found.frames == data.frames == frames
    for which in (slice(None), slice(1, 3), np.array([4, 0])):
        tensors = found.inputs(which if isinstance(which, slice) else torch.from_numpy(which))
        assert np.array_equal(tensors.numpy(), data.inputs(which))
        assert tensors.shape == ((6, *data.images[which].shape[:1], 2, 3, 4) if frames else data.images[which].shape)
        assert tensors.is_contiguous()


def test_data_stay_where_they_are_for_a_training_on_the_cpu():
    found = as_tensors(labelled(np.zeros((2, 1, 3, 4), np.uint8)))
    assert found.on(torch.device("cpu")) is found
