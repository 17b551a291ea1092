"""Data sets that are not read whole: what is read, when, by whom, and what is said of bad ones."""

import os
import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from spquant_snn import LIF, ConfigError, DataError, RunError, SpQuantTrainer
from spquant_snn.data import Task
from spquant_snn.train.batches import DataPass
from spquant_snn.train.distributed import World
from toy_task import SMALL, Net, images, same, weights

PIXELS, LABELS = images(120)


class Lazy(Dataset):
    """Makes its items when they are asked for, each time moved at random, by three sources of random numbers."""

    def __init__(self, count=120, moves=True, bad=None):
        self.count, self.moves, self.bad, self.drawn = count, moves, bad, []

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if self.bad is not None and index == self.bad[0]:
            return self.bad[1]()
        self.drawn.append(index)
        image = PIXELS[index].float() / 255
        if self.moves:
            by = random.randint(0, 1) + int(np.random.randint(2)) + int(torch.randint(2, ()))  # noqa: NPY002
            image = image.roll(by, 2)
        return image, int(LABELS[index])


class Dicts(Lazy):
    """The same as dicts, which it does not say."""

    def __getitem__(self, index):
        return dict(zip(("image", "label"), super().__getitem__(index), strict=True))


class Stream(IterableDataset):
    """The same items, one after the other."""

    def __init__(self, count=120):
        self.count = count

    def __iter__(self):
        return (Lazy()[index] for index in range(self.count))


def trainer(tmp_path, data, name="run", model=None, **options):
    settings = {"timesteps": 2, "epochs": 2, "device": "cpu", **SMALL, **options}
    return SpQuantTrainer(model or Net(), data, 2, out=tmp_path / name, **settings)


def loaders(shuffle=True, **options):
    return tuple(DataLoader(Lazy(count), 16, shuffle=shuffle, **options) for count in (64, 40))


def raising(error):
    raise error


def test_items_are_drawn_anew_in_every_epoch_and_the_validation_set_stands_apart(tmp_path):
    data = Lazy()
    made = trainer(tmp_path, (data, Lazy(40)), validation=20)
    assert 64 <= len(data.drawn) < 70  # a sample
    data.drawn.clear()
    made.train()
    read = [sorted(data.drawn[start : start + 100]) for start in (0, 220)]  # 100 of an epoch, 100 for norms, 20 held
    assert read[0] == read[1]
    assert len(set(read[0])) == 100
    assert set(data.drawn) == set(range(120))
    assert 0 <= made.evaluate() <= 100
    assert made.verify(4).equal


def test_weights_do_not_depend_on_how_many_workers_read(tmp_path):
    found = []
    for workers in (0, 2):
        random.seed(workers)  # what else was drawn is no matter
        np.random.seed(workers)  # noqa: NPY002
        found.append(trainer(tmp_path, (Lazy(), Lazy(40)), f"by {workers}", workers=workers, epochs=1).train())
    assert same(*map(weights, found))
    fixed = trainer(tmp_path, (Lazy(moves=False), Lazy(40)), "fixed", epochs=1).train()
    assert not same(weights(fixed), weights(found[0]))


@pytest.mark.parametrize("kind", ["items", "loader", "iterable"])
def test_a_resumed_run_comes_to_the_same_weights(tmp_path, kind):
    def data():
        if kind == "items":
            return Lazy(), Lazy(40)
        return loaders() if kind == "loader" else (Stream(), Lazy(40))

    options = {"epochs": 3} | ({"batch_size": 0} if kind == "loader" else {})
    options |= {"steps_per_epoch": 5} if kind == "iterable" else {}
    whole = trainer(tmp_path, data(), "whole", **options).train()
    half = trainer(tmp_path, data(), "half", **options)

    def stop(record):
        if record.epoch == 2:
            raise KeyboardInterrupt

    object.__setattr__(half._functions, "callbacks", (stop,))
    with pytest.raises(KeyboardInterrupt):
        half.train()
    again = SpQuantTrainer.resume(tmp_path / "half", Net(), data(), quiet=True, device="cpu")
    assert same(weights(again.train()), weights(whole))


def test_a_run_does_not_go_on_with_other_data(tmp_path):
    trainer(tmp_path, (Lazy(), Lazy(40)), epochs=1).train()
    with pytest.raises(RunError, match="number of training items: 120, not 100"):
        SpQuantTrainer.resume(tmp_path / "run", Net(), (Lazy(100), Lazy(40)), quiet=True, device="cpu")
    other = DataLoader(TensorDataset(PIXELS / 255, LABELS), 16), Lazy(40)
    with pytest.raises(RunError, match="kind of training data: 'Lazy', not 'TensorDataset'"):
        SpQuantTrainer.resume(tmp_path / "run", Net(), other, quiet=True, device="cpu", batch_size=0, validation=0)


class Uneven(Dataset):
    """Three of the first class for each of the second, sorted; labels of floats are metres."""

    def __init__(self, count=1200, metres=False):
        self.count, self.metres = count, metres

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        label = int(index >= self.count * 3 // 4)
        return torch.full((1, 8, 8), 100 + 50 * label, dtype=torch.uint8), 5.25 + 4 * label if self.metres else label


@pytest.mark.parametrize("kind", ["items", "loader", "arrays"])
def test_balanced_weights_and_units_are_of_more_than_a_sample(tmp_path, kind, capsys):
    def data(metres):
        items = Uneven(metres=metres)
        if kind == "loader":
            return DataLoader(items, 64, shuffle=True), Uneven(40, metres)
        if kind == "arrays":
            images, labels = zip(*(items[index] for index in range(1200)), strict=True)
            return (torch.stack(images), torch.tensor(labels)), Uneven(40, metres)
        return items, Uneven(40, metres)

    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 4), LIF(), nn.Linear(4, 2))
    options = {"batch_size": 0, "class_weights": "balanced", "quiet": False, "task": Task("classification", 2)}
    made = trainer(tmp_path, data(False), model=model, **options)
    assert made._wanted._weights.tolist() == pytest.approx([2 / 3, 2])
    one = nn.Sequential(nn.Flatten(), nn.Linear(64, 4), LIF(), nn.Linear(4, 1))
    told = trainer(tmp_path, data(True), "metres", one, batch_size=0, quiet=False, epochs=1)
    (gain,), (offset,) = told.network.output_format.gains, told.network.output_format.offsets
    exact = 0.0 if kind == "arrays" else 0.2
    assert (gain, offset) == (pytest.approx(np.sqrt(3), abs=exact + 1e-6), pytest.approx(6.25, abs=exact + 1e-6))
    told.train()
    said = " ".join(capsys.readouterr().out.split())
    assert ("mean and deviation of the labels are those of 512 training items at most" in said) == (kind != "arrays")


def test_a_loader_is_used_as_it_is_and_the_last_epoch_is_kept(tmp_path, capsys):
    made = trainer(tmp_path, loaders(), batch_size=0, quiet=False)
    assert made.train().config.batch_size == 16
    assert made.run.read_record()["best"]["epoch"] == 2
    assert "the last epoch is kept" in " ".join(capsys.readouterr().out.split())
    assert 0 <= made.evaluate() <= 100


def test_of_three_the_second_chooses_the_epoch(tmp_path, capsys):
    train, test = loaders()
    made = trainer(tmp_path, (train, DataLoader(Lazy(30), 8), test), batch_size=0, quiet=False, epochs=1).train()
    assert "the last epoch is kept" not in capsys.readouterr().out
    assert made.run.read_record()["best"]["epoch"] == 1
    with pytest.raises(ConfigError, match="leave validation out"):
        trainer(tmp_path, (train, test, test), batch_size=0, validation=3)


def test_an_iterable_needs_to_be_told_how_long_an_epoch_is(tmp_path):
    with pytest.raises(ConfigError, match=r"say how many batches make an epoch, as steps_per_epoch=100"):
        trainer(tmp_path, (Stream(), Lazy(40)))
    found = [trainer(tmp_path, (Stream(), Lazy(40)), f"by {n}", workers=n, steps_per_epoch=9, epochs=1) for n in (0, 2)]
    assert same(*(weights(each.train()) for each in found))  # of 120 items, 7 batches; then it begins anew


def test_processes_read_disjoint_parts_of_a_batch(tmp_path):
    streams = trainer(tmp_path, (Lazy(), Lazy(40)))._streams
    draws = [torch.Generator().manual_seed(3) for _ in range(3)]
    whole = list(streams.train.drawn(draws[2], 25))
    parts = [
        list(streams.train.drawn(draws[rank], 25, DataPass(world=World(rank, 2), accumulate=2))) for rank in (0, 1)
    ]
    for batch, mine, others in zip(whole, *parts, strict=True):
        assert mine.count == others.count == len(batch) == len(mine) + len(others)
        assert sorted([*mine.labels, *others.labels]) == sorted(batch.labels)
    first, second = (trainer(tmp_path, (Stream(64), Lazy(40)), steps_per_epoch=2)._streams.train for _ in range(2))
    read = [
        torch.cat([b.labels for b in part.drawn(draws[0], 16, DataPass(world=World(rank, 2)))])
        for rank, part in enumerate((first, second))
    ]
    assert torch.equal(torch.stack([part.view(2, 8) for part in read], 1).flatten(), LABELS[:32])


def test_items_that_fit_are_read_once_where_that_is_said(tmp_path):
    data = Lazy()
    made = trainer(tmp_path, (data, Lazy(40)), in_memory=True)
    read = len(data.drawn)
    assert 120 <= read < 126  # the first a few times, to see what it is
    made.train()
    assert len(data.drawn) == read


class Named(Lazy):
    classes = ("a", "b", "c", "d")


def test_the_number_of_classes_is_that_of_the_dataset_the_option_or_the_model(tmp_path):
    assert trainer(tmp_path, (Named(), Lazy(40))).data.task.names == Named.classes
    assert trainer(tmp_path, (Lazy(), Lazy(40)), model=Net(7)).data.task.outputs == 7
    few = Task("classification", 5)
    assert trainer(tmp_path, (Lazy(), Lazy(40)), model=Net(7), task=few).data.task.outputs == 5
    with pytest.raises(ConfigError, match=r'as task=Task\("classification", 10\)'):
        trainer(tmp_path, (Lazy(), Lazy(40)), model="lenet-snn")


IMAGE = torch.zeros(1, 8, 8)
BAD = {
    "raises": (
        lambda: raising(OSError("no such disk")),
        "training item 78 cannot be read .OSError: no such disk.: rep",
    ),
    "missing": (lambda: raising(IndexError()), "training item 78 is missing from a Dataset that says it has 120"),
    "no pair": (lambda: IMAGE, r"training item 78 is no pair"),
    "a dict": (
        lambda: {"image": IMAGE, "label": 0},
        r"training item 78 is a dict, and others are pairs \(image, label\): bring them to one form",
    ),
    "shape": (lambda: (torch.zeros(1, 8, 9), 0), r"training item 78 is \[1, 8, 9\], the first is \[1, 8, 8\]"),
    "dtype": (lambda: (IMAGE.double(), 0), "training item 78 is float64, the first is float32: bring them"),
    "nan": (lambda: (IMAGE * float("nan"), 0), "the values of training item 78 hold 64 of 64 that are not finite"),
    "label": (lambda: (IMAGE, 9), "training item 78 has the label 9, of 4 classes: number them from 0"),
    "float label": (lambda: (IMAGE, 0.5), "labels of training item 78 are float64 .* one class index per image"),
}


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("name", BAD)
def test_an_item_that_cannot_be_is_named_and_the_run_can_go_on(tmp_path, name, workers):
    if workers and name != "raises":
        pytest.skip("a worker says it alike")
    act, said = BAD[name]
    made = trainer(tmp_path, (Lazy(bad=(78, act)), Lazy(40)), workers=workers, validation=10, epochs=1)
    with pytest.raises(DataError, match=said):
        made.train()
    assert SpQuantTrainer.resume(tmp_path / "run", Net(), (Lazy(), Lazy(40)), quiet=True, device="cpu").train()


# A death may interrupt torch while it opens files to see whether there are too many, which it then never closes.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <_io.FileIO:pytest.PytestUnraisableExceptionWarning")
def test_a_worker_that_dies_is_told_of(tmp_path):
    made = trainer(tmp_path, (Lazy(bad=(78, lambda: os._exit(3))), Lazy(40)), workers=1, epochs=1)
    with pytest.raises(DataError, match=r"a worker process that read training .*died .*: read them with workers=0"):
        made.train()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (lambda: (DataLoader(Lazy(0), 4), Lazy(40)), "the training DataLoader is empty"),
        (lambda: (Lazy(0), Lazy(40)), "the training data are empty"),
        (
            lambda: (DataLoader([torch.zeros(1, 8, 8)] * 8, 4), Lazy(40)),
            "batch 0 of the training DataLoader is no pair",
        ),
        (
            lambda: (DataLoader([{"scan": IMAGE, "label": 0}] * 8, 4), Lazy(40)),
            "none of the columns scan, label is the image: let the collate function give .images, labels.",
        ),
        (lambda: (DataLoader(Lazy(), None), Lazy(40)), "batch 0 of the training DataLoader has one label, as an item"),
        (lambda: (Lazy(bad=(119, lambda: (torch.zeros(1, 8, 9), 0))), Lazy(40)), r"training item 119 is \[1, 8, 9\]"),
        (lambda: (Lazy(bad=(119, lambda: (IMAGE / 0, 0))), Lazy(40)), "values of training item 119 hold 64 of 64"),
        (lambda: ((item for item in [(IMAGE, 0)]), Lazy(40)), "can be read once only, as a generator can"),
        (lambda: (Lazy(), 3), "test data must be a pair .images, labels., a Dataset or a DataLoader, not int"),
    ],
)
def test_data_that_cannot_be_read_are_refused_in_a_sentence(tmp_path, data, said):
    with pytest.raises(DataError, match=said):
        trainer(tmp_path, data(), batch_size=0)


def test_a_validation_set_cannot_be_set_apart_from_one_item(tmp_path):
    with pytest.raises(ConfigError, match="a validation set cannot be taken from 1 training image: give at least two"):
        trainer(tmp_path, (Lazy(1), Lazy(40)), epochs=1).train()
    with pytest.raises(ConfigError, match="validation cannot take 20 of 20 training images: choose 1 to 19"):
        trainer(tmp_path, (Lazy(20), Lazy(40)), epochs=1, validation=20).train()


def test_dicts_train_as_the_pairs_in_them(tmp_path):
    def trained(name, data):
        return weights(trainer(tmp_path / name, data, epochs=1).train())

    pairs = trained("pairs", (Lazy(), Lazy(40)))
    assert same(trained("dicts", (Dicts(), Dicts(40))), pairs)
    assert same(trained("mixed", (Dicts(), Lazy(40))), pairs)
    assert same(
        trained("batches", tuple(DataLoader(Dicts(n), 16) for n in (120, 40))),
        trained("plain", tuple(DataLoader(Lazy(n), 16) for n in (120, 40))),
    )


def test_a_loader_whose_items_cannot_be_read_names_the_batch(tmp_path):
    train, test = loaders(shuffle=False)
    train.dataset.bad = (40, lambda: raising(OSError("no such disk")))
    with pytest.raises(DataError, match=r"batch 2 of the training DataLoader cannot be read .OSError: no such disk"):
        trainer(tmp_path, (train, test), batch_size=0).train()
    with pytest.raises(ConfigError, match="batch_size is that of the DataLoader, 16, not 8"):
        trainer(tmp_path, loaders(), batch_size=8)


@pytest.mark.parametrize("workers", [0, 1])
def test_values_that_are_clipped_are_counted_and_told(tmp_path, capsys, workers):
    values = torch.rand(120, 1, 8, 8)
    values[:, :, :2] *= -3  # a quarter, of which half is below -1.5
    data = [(image, number % 4) for number, image in enumerate(values)]
    parts = DataLoader(data, 20, num_workers=workers), DataLoader(data, 20)
    trainer(tmp_path, parts, batch_size=0, quiet=False, epochs=2, input_range=1.5).train()
    said = capsys.readouterr()
    assert "inputs are int8, of values from -1.5 to 1.5" in said.err
    found = [line for line in said.out.splitlines() if "of the values of an epoch are clipped" in line]
    share = float((values < -1.5 - 0.5 / 127 * 1.5).float().mean())
    assert found == [f"{share:.2%} of the values of an epoch are clipped: input_range sets more"]
