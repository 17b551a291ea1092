"""Items that are dicts, as pairs: columns are found by their usual names, or named."""

import io

import numpy as np
import pytest
from torch.utils.data import IterableDataset

from spquant_snn.data import as_splits, from_columns
from spquant_snn.data.columns import gives_dicts, splits_in
from spquant_snn.errors import DataError

Image = pytest.importorskip("PIL.Image")


class Rows:
    """A data set as ``datasets`` has them."""

    def __init__(self, rows, names=("cat", "dog")):
        self.rows, self.column_names = rows, list(rows[0])
        self.features = {"label": type("ClassLabel", (), {"names": list(names)})()}

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return self.rows[index]


class Stream:
    """One that is streamed."""

    def __init__(self, rows, column_names=None):
        self.rows, self.column_names = rows, column_names

    def __iter__(self):
        return iter(self.rows)


def picture(value, mode="L"):
    return Image.new(mode, (8, 6), value)


ROWS = [{"image": picture(n), "label": n % 2, "id": str(n)} for n in range(4)]


def test_pairs_of_a_data_set_with_a_length_and_of_a_stream():
    data = from_columns(Rows(ROWS))
    assert data.classes == ("cat", "dog")
    assert [(int(image[0, 0, 0]), label) for image, label in (data[n] for n in range(4))] == [
        (0, 0),
        (1, 1),
        (2, 0),
        (3, 1),
    ]
    assert data[-1][0].shape == (1, 6, 8)
    stream = from_columns(Stream(ROWS), label="label", image="image")
    assert [label for _, label in stream] == [0, 1, 0, 1]
    assert not hasattr(stream, "__getitem__")
    splits = as_splits((data, data))
    assert splits.train.images.shape == (4, 1, 6, 8)


def test_columns_of_other_names_forms_and_kinds():
    content = io.BytesIO()
    picture(7).save(content, "PNG")
    rows = [
        {"scan": {"bytes": content.getvalue(), "path": None}, "grade": 1},
        {"scan": picture((9, 9, 9), "RGB"), "grade": 0},
    ]
    data = from_columns(Rows(rows), "scan", "grade", mode="RGB", size=4)
    assert [data[n][0].shape for n in range(2)] == [(3, 4, 4)] * 2
    arrays = [{"x": np.full((2, 5), 3, np.float32), "y": np.float32(0.5)}]
    signal, target = from_columns(arrays, transform=lambda x: 2 * x)[0]
    assert (float(signal[0, 0]), float(target)) == (6, 0.5)


BAD = {
    "no such column": (
        ROWS,
        {"image": "photo"},
        "there is no column 'photo' among image, label, id: name the image by",
    ),
    "no usual column": ([{"a": 1, "b": 2}], {}, "none of the columns a, b is the image: name it, as by from_columns("),
    "two labels": ([{"image": 1, "label": 2, "y": 3}], {}, "of the columns image, label, y several can be the label"),
    "no dicts": ([(1, 2)], {}, "items are tuple, not dicts"),
    "nothing": ([], {}, "the data set is empty"),
}


@pytest.mark.parametrize("kind", BAD)
def test_columns_that_cannot_be_found_are_refused_in_a_sentence(kind):
    rows, options, said = BAD[kind]
    for dataset in (rows, Stream(rows)):
        with pytest.raises(DataError) as caught:
            from_columns(dataset, **options)
        assert said in str(caught.value)


def test_items_that_differ_from_the_first_are_refused():
    data = from_columns([ROWS[0], {"image": picture(1)}, {"image": picture((1, 1, 1, 1), "CMYK"), "label": 0}])
    with pytest.raises(DataError, match="item 1 has no 'label', as the first has"):
        data[1]
    with pytest.raises(DataError, match=r"item 2 cannot be used \(it is in CMYK"):
        data[2]


def test_splits_of_a_dict_and_what_gives_dicts():
    assert splits_in({"test": 3, "train": 1}) == (1, 3)
    assert splits_in({"train": 1, "validation": 2, "test": 3}) == (1, 2, 3)
    assert splits_in({"train": 1, "valid": 2, "more": 3}) == (1, 2)
    with pytest.raises(DataError, match="the data set holds train, extra: give a dict with train and test"):
        splits_in({"train": 1, "extra": 2})
    assert gives_dicts(Rows(ROWS))
    assert gives_dicts(Stream(ROWS, ["image", "label"]))
    for other in ([], [(1, 2)], Stream(ROWS), from_columns(Rows(ROWS)), "mnist", {"train": 1}, np.zeros(3)):
        assert not gives_dicts(other)


def test_dicts_of_data_sets_whose_items_are_dicts_are_taken_as_they_are():
    data = as_splits({"train": Rows(ROWS), "test": Rows(ROWS[:2])})
    assert (len(data.train), len(data.test), data.task.names) == (4, 2, ("cat", "dog"))
    assert len(as_splits((ROWS, ROWS[:1])).test) == 1


def test_parts_that_number_their_classes_differently_are_refused():
    with pytest.raises(DataError, match=r"the training classes are cat, dog, those of another part dog, owl: number"):
        as_splits((Rows(ROWS), Rows(ROWS, ("dog", "owl"))))
    assert as_splits((Rows(ROWS, ("cat", "dog", "owl")), Rows(ROWS, ()))).classes == 3


def test_a_data_set_that_does_not_say_that_it_gives_dicts_is_seen_by_its_items():
    plain = Rows(ROWS)
    plain.column_names = None
    found, known = as_splits((plain, plain)), as_splits((from_columns(plain), from_columns(plain)))
    assert np.array_equal(found.train.images, known.train.images)
    assert np.array_equal(found.train.labels, known.train.labels)


class Sharded(Stream, IterableDataset):
    """As ``datasets`` has them: known to torch, and split over its workers by itself."""

    num_shards = 4
    epoch = None

    def set_epoch(self, epoch):
        self.epoch = epoch


def test_a_stream_that_is_split_over_workers_is_split_over_processes_too(monkeypatch):
    rows = Sharded(ROWS, ["image", "label", "id"])
    data = from_columns(rows)
    data.set_epoch(3)
    assert rows.epoch == 3
    assert data.shards_itself
    assert not from_columns(Stream(ROWS)).shards_itself
    found = []
    for rank in range(3):
        monkeypatch.setattr("spquant_snn.data.columns.this_process", lambda rank=rank: (rank, 3))
        found += [int(image.max()) for image, _ in data]
        assert len(list(from_columns(Stream(ROWS)))) == 4  # which whoever reads deals out
    assert sorted(found) == [0, 1, 2, 3]
