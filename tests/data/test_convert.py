"""Whatever a user gives as a data set: the same images come out, or a sentence that says what to give."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spquant_snn.data import Labelled, Splits, as_splits
from spquant_snn.errors import DataError

IMAGES = torch.randint(0, 256, (6, 3, 9, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])
TEST = (IMAGES[:2], LABELS[:2])


class Items:
    """A map-style Dataset, known only by its length and its indexing."""

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


class Picture:
    """What numpy sees of a PIL image."""

    def __init__(self, array, mode):
        self.array, self.mode = array, mode

    def __array__(self, dtype=None, copy=None):
        return self.array


def channels_last(images):
    return images.movedim(1, -1).numpy()


MEMBERS = {
    "labelled": Labelled(IMAGES.numpy(), LABELS.numpy()),
    "tensors": (IMAGES, LABELS),
    "a list of tensors": [IMAGES, LABELS],
    "int32 labels": (IMAGES, LABELS.int()),
    "a list of labels": (IMAGES, LABELS.tolist()),
    "floats": (IMAGES / 255, LABELS),
    "doubles that need a gradient": ((IMAGES.double() / 255).requires_grad_(), LABELS),
    "arrays": (IMAGES.numpy(), LABELS.numpy()),
    "arrays, channels last": (channels_last(IMAGES), LABELS.numpy().astype(np.uint16)),
    "big-endian float arrays": ((IMAGES.numpy() / 255).astype(">f8"), LABELS.numpy().astype(">i4")),
    "read-only strided arrays": (np.broadcast_to(IMAGES.numpy(), IMAGES.shape)[:, :, ::-1][:, :, ::-1], LABELS),
    "a TensorDataset": torch.utils.data.TensorDataset(IMAGES, LABELS),
    "a Subset": torch.utils.data.Subset(torch.utils.data.TensorDataset(IMAGES, LABELS), range(6)),
    "items of floats": Items([(image / 255, int(label)) for image, label in zip(IMAGES, LABELS, strict=True)]),
    "items of arrays": Items(list(zip(channels_last(IMAGES), LABELS.numpy(), strict=True))),
    "a list of items": list(zip(IMAGES, LABELS, strict=True)),
    "items of pictures": Items(
        [(Picture(image, "RGB"), int(label)) for image, label in zip(channels_last(IMAGES), LABELS, strict=True)]
    ),
}


@pytest.mark.parametrize("member", MEMBERS.values(), ids=MEMBERS.keys())
def test_every_form_gives_the_same_images(member):
    splits = as_splits((member, TEST))
    assert (splits.name, splits.shape, splits.classes) == ("custom", (3, 9, 7), 3)
    assert np.array_equal(splits.train.images, IMAGES)
    assert np.array_equal(splits.train.labels, LABELS)
    assert np.array_equal(splits.test.images, TEST[0])
    assert all(part.images.flags.c_contiguous for part in (splits.train, splits.test))


@pytest.mark.parametrize("grey", [IMAGES[:, 0], IMAGES[:, 0].numpy(), IMAGES[:, :1].numpy(), IMAGES[:, :1]])
def test_a_missing_channel_is_added(grey):
    splits = as_splits(((grey, LABELS), list(zip(grey, LABELS, strict=True))), input_kind="image")
    assert np.array_equal(splits.train.images, IMAGES[:, :1])
    assert np.array_equal(splits.test.images, IMAGES[:, :1])


@settings(derandomize=True, deadline=None)
@given(
    st.lists(st.integers(0, 255), min_size=1, max_size=64).filter(any), st.sampled_from([torch.float32, torch.float64])
)
def test_to_tensor_and_back_is_exact(values, dtype):
    pixels = torch.tensor(values, dtype=torch.uint8).reshape(1, 1, -1)
    pair = (pixels.to(dtype) / 255, [0])
    assert np.array_equal(as_splits((pair, pair)).train.images[0], pixels)


def test_half_precision_still_finds_the_pixels():
    pixels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, -1)
    for dtype in (torch.float16, torch.float32):
        pair = ((pixels / 255).to(dtype), [0])
        assert np.array_equal(as_splits((pair, pair)).train.images[0], pixels)


def test_splits_are_taken_as_they_are_and_names_are_loaded():
    splits = as_splits("digits")
    assert splits.name == "digits"
    assert as_splits(splits) is splits
    assert isinstance(splits, Splits)


def test_classes_can_be_more_than_the_labels_show():
    assert as_splits((TEST, TEST)).classes == 2
    assert as_splits((TEST, TEST), classes=10).classes == 10
    with pytest.raises(DataError, match="training labels must be 0 to 0, found 1"):
        as_splits((TEST, TEST), classes=1)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (7, "a name or a pair .train, test., not int"),
        (None, "not NoneType"),
        ((TEST,), "not a tuple of 1"),
        ((TEST, TEST, TEST), "not a tuple of 3"),
        ({"train": TEST}, "the data set holds train: give a dict with train and test"),
        (TEST, r"looks like one pair \(images, labels\)"),
        ("mnits", "unknown data set 'mnits'"),
    ],
)
def test_what_is_no_data_set_is_refused_in_words(dataset, message):
    with pytest.raises(DataError, match=message):
        as_splits(dataset)


def altered(index, item):
    items = list(zip(IMAGES, LABELS, strict=True))
    items[index] = item
    return Items(items)


class Liar(Items):
    def __len__(self):
        return 10**12


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (7, "training data must be a pair .* not int"),
        (iter([]), "a map-style Dataset"),
        ({}, "not dict"),
        ("mnist", "are a text or a path"),
        (Items([]), "the training data are empty"),
        ((IMAGES[:0], LABELS[:0]), "the data set is empty"),
        ((IMAGES, LABELS[:5]), "6 training images have 5 labels"),
        ((IMAGES[0, 0], LABELS), "9 training images have 6 labels"),
        ((IMAGES[None, None], LABELS), r"are \[1, 6, 3, 9, 7\] each: give vectors"),
        ((IMAGES[None], LABELS), "1 training images have 6 labels"),
        ((IMAGES[:, None], LABELS), r"training images are \[1, 3, 9, 7\], test images \[3, 9, 7\]"),
        ((IMAGES.float(), LABELS), "training images are float32, the test images uint8 from 0 to 255: give both alike"),
        ((IMAGES / 255 - 0.5, LABELS), "training images are float32, the test images uint8"),
        ((torch.full((6, 1, 9, 7), torch.nan), LABELS), "training images hold 378 of 378 that are not finite"),
        ((IMAGES * torch.inf, LABELS), "training images hold 1,134 of 1,134 that are not finite"),
        ((IMAGES * 0.0, LABELS), "all values are zero"),
        ((IMAGES * 1e28, LABELS), "the values go up to 2.5[0-9]*e.30, which leaves no room to compute"),
        ((IMAGES[:, 0], LABELS), r"\[9, 7\] each, which may be a signal of 9 channels .* 9 steps .* grey image"),
        ((IMAGES * 1j, LABELS), "are of Tensor, dtype complex64"),
        ((np.full((6, 9, 7), "x"), LABELS), "dtype <U1"),
        ((np.full((6, 9, 7), None), LABELS), "dtype object"),
        ((np.zeros((6, 3, 4, 4), np.uint8), LABELS), "channels could stand first or last"),
        ((np.zeros((6, 9, 9, 9), np.uint8), LABELS), "channels could stand first or last"),
        ((IMAGES, LABELS.float()), "labels are float32"),
        ((IMAGES, torch.eye(6, 3).long()), r"training labels are int64 \[6, 3\] of 0 and 1: say task="),
        ((IMAGES, LABELS - 1), "training labels hold -1: number the classes from 0"),
        ((IMAGES, LABELS + 10_000), "the highest label is 10002"),
        ((IMAGES, [[0], [1, 2]]), "cannot be made an array"),
        ((IMAGES, None), "training labels"),
        ((IMAGES[:, :, :8], LABELS), r"training images are \[3, 8, 7\], test images \[3, 9, 7\]"),
        (altered(4, (IMAGES[0, :, :8], 0)), r"training item 4 is \[3, 8, 7\], the first is \[3, 9, 7\]"),
        (altered(4, IMAGES[0]), "training item 4 is no pair"),
        (altered(4, 5), "training item 4 is no pair"),
        (altered(4, (IMAGES[0], 1.0)), "training item 4 has a label of float64, the first one of int64"),
        (altered(4, (IMAGES[0], [0, 1])), r"training item 4 has a label of shape \[2\], the first one of \[\]"),
        (altered(4, (IMAGES[0], -1)), "training item 4 has the label -1"),
        (altered(4, (IMAGES[0], 2**70)), "training item 4 has the label"),
        (altered(4, (IMAGES[0] * 1.0, 1)), "training item 4 is float32, the first is uint8"),
        (altered(4, ("file.png", 1)), "training item 4"),
        (altered(4, (Picture(IMAGES[0, 0].numpy(), "P"), 1)), "training item 4 is a palette or bit image"),
        (Liar([(IMAGES[0], 0)]), "training item 1 is missing from a Dataset that says it has 1000000000000"),
    ],
)
def test_what_cannot_be_trained_on_is_refused_in_words(member, message):
    with pytest.raises(DataError, match=message):
        as_splits((member, TEST))


def test_the_given_tensors_are_not_changed_by_later_writes_to_an_array():
    array = IMAGES.numpy().copy()
    splits = as_splits(((array, LABELS), TEST))
    array[:] = 0
    assert np.array_equal(splits.train.images, IMAGES)


def test_tensors_of_bytes_are_not_copied():
    splits = as_splits(((IMAGES, LABELS), TEST))
    assert np.shares_memory(splits.train.images, IMAGES.numpy())


def test_tensors_that_numpy_does_not_know_are_taken_or_refused_in_words():
    pair = (torch.tensor([0.0, 0.5, 1.0], dtype=torch.bfloat16).reshape(1, 1, 3), [0])
    assert as_splits((pair, pair)).train.images.tolist() == [[[[0, 128, 255]]]]
    with pytest.raises(DataError, match="training images cannot be made an array"):
        as_splits(((torch.empty(2, 1, 4, 4, device="meta"), [0, 1]), TEST))
    with pytest.raises(DataError, match="training images cannot be made an array"):
        as_splits(((IMAGES.to_sparse(), LABELS), TEST))


def test_an_array_that_a_dataset_uses_again_is_copied():
    shared = np.zeros((1, 8, 8), np.uint8)

    class Reusing(Items):
        def __getitem__(self, index):
            shared[:] = index
            return shared, 0

    part = Reusing([0, 1, 2])
    assert as_splits((part, part)).train.images[:, 0, 0, 0].tolist() == [0, 1, 2]


def test_an_npz_file_in_place_of_its_arrays_is_refused(tmp_path):
    np.savez(tmp_path / "x.npz", images=IMAGES.numpy(), labels=LABELS.numpy())
    with np.load(tmp_path / "x.npz") as archive:
        for member in (archive, (archive, LABELS), (IMAGES, archive)):
            with pytest.raises(DataError, match=r"data are an .npz file, which holds images, labels: give a pair"):
                as_splits((member, TEST))


def test_paths_are_told_what_reads_them(tmp_path):
    np.savez(tmp_path / "both.npz", images=np.zeros((2, 1, 4, 4), np.uint8), labels=np.zeros(2, np.int64))
    with pytest.raises(
        DataError, match=r"both.npz' is a file, and a data set is a name or a folder of images: read it"
    ):
        as_splits(str(tmp_path / "both.npz"))
    for path in (tmp_path, str(tmp_path)):
        with pytest.raises(DataError, match=r"the training data are a text or a path, .*: give ImageFolder\(path\)"):
            as_splits((path, path))
