"""Sequences of several lengths: each is computed as if it were alone, in training and behind it."""

import numpy as np
import pytest
import torch
from torch import nn

from spquant_snn import (
    LIF,
    ConfigError,
    DataError,
    Program,
    QuantConfig,
    RunError,
    SpQuantTrainer,
    lower,
    prepare,
    verify,
)
from spquant_snn.data import Labelled, Splits
from spquant_snn.data.arrays import of_each_length
from spquant_snn.data.convert import as_splits
from spquant_snn.data.items import Items
from spquant_snn.integer.file import load_both
from spquant_snn.train.distributed import World
from spquant_snn.train.metrics import measure
from spquant_snn.train.tensors import as_tensors


def sequences(count, seed, longest=5):
    """Pairs of a sequence of 1 to ``longest`` frames and its class, which is how busy it is."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(2, size=count)
    return [
        ((rng.random((rng.integers(1, longest + 1), 2, 4, 4)) < 0.1 + 0.4 * c).astype(np.uint8), int(c))
        for c in classes
    ]


def model():
    torch.manual_seed(0)
    conv = nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), LIF()
    return nn.Sequential(*conv, nn.Flatten(), nn.Linear(64, 2))


@pytest.fixture(scope="module")
def data():
    return as_splits((sequences(60, 0), sequences(30, 1, longest=6)), progress=False)


@pytest.fixture(scope="module")
def trainer(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "run"
    trainer = SpQuantTrainer(model(), data, 2, out=out, timesteps=6, batch_size=8, validation=12, quiet=True)
    return trainer.train(epochs=2)


def test_sequences_are_filled_up_with_zeros_and_know_their_lengths(data):
    items = sequences(30, 1, longest=6)
    assert data.frames == 6
    assert data.test.lengths.tolist() == [len(x) for x, _ in items]
    for row, (x, _) in zip(data.test.images, items, strict=True):
        assert np.array_equal(row[: len(x)], x)
        assert not row[len(x) :].any()


def test_sequences_of_one_length_are_as_they_were():
    items = [(np.full((3, 1, 2, 2), i, np.uint8), i) for i in range(2)]
    assert as_splits((items, items), progress=False).train.lengths is None


def test_batches_hold_one_length_each_and_every_item_once(data):
    train, found = as_tensors(data.train), []
    drawn = list(train.drawn(torch.Generator().manual_seed(3), 8))
    assert len(drawn) == train.steps(8)
    for batch in drawn:
        assert 1 <= len(batch) <= 8
        assert batch.images.shape[1] in data.train.lengths
        found += [image.numpy().tobytes() for image in batch.images]
    wanted = [row[:steps].tobytes() for row, steps in zip(data.train.images, data.train.lengths, strict=True)]
    assert sorted(found) == sorted(wanted)
    again = train.drawn(torch.Generator().manual_seed(3), 8)
    assert all(torch.equal(a.images, b.images) for a, b in zip(drawn, again, strict=True))
    other = train.drawn(torch.Generator().manual_seed(4), 8)
    assert [batch.images.tolist() for batch in drawn] != [batch.images.tolist() for batch in other]
    assert len(list(train.drawn(torch.Generator(), 8, most=3))) == 3


def test_processes_share_the_batches_of_an_evaluation(data):
    test = as_tensors(data.test)
    whole = [batch.images for batch in test.in_order(4)]
    dealt = [[batch.images for batch in test.in_order(4, World(rank, 2))] for rank in (0, 1)]
    assert [len(part) for part in dealt] == [len(whole[0::2]), len(whole[1::2])]
    for rank in (0, 1):
        assert all(torch.equal(a, b) for a, b in zip(whole[rank::2], dealt[rank], strict=True))


def test_an_accuracy_is_that_of_each_sequence_alone(trainer, data):
    program, right = Program(lower(trainer.deployed())), 0
    for x, label in sequences(30, 1, longest=6):
        right += int(program.predict(x[:, None])[0]) == label
    assert trainer.evaluate() == pytest.approx(100 * right / 30)
    network = trainer.deployed()
    for size in (1, 7, 500):  # frames at a time: whoever is beside a sequence changes nothing
        assert measure(network, as_tensors(data.test), size).score == trainer.evaluate()


def test_more_zeros_behind_the_ends_change_nothing(trainer, data):
    longer = np.concatenate([data.test.images, np.zeros_like(data.test.images)], 1)
    padded = Labelled(longer, data.test.labels, data.test.lengths)
    assert measure(trainer.deployed(), as_tensors(padded)).score == trainer.evaluate()


@pytest.mark.parametrize("backend", ["reference", "native"])
def test_each_is_verified_at_its_own_length(trainer, data, backend):
    verdict = trainer.verify(backend=backend)
    assert verdict.equal
    assert verdict.images == 30
    assert verdict.spikes == 64 * int(data.test.lengths.sum())


def test_a_difference_is_named_by_the_place_of_its_sequence(trainer, data):
    network = trainer.deployed()
    graph = lower(network)
    changed = [data.test.images.swapaxes(0, 1), data.test.lengths]
    assert verify(network, graph, changed[0], lengths=changed[1]).equal
    other = lower(prepare(model(), QuantConfig(2, 2, timesteps=6), (2, 4, 4)).eval().freeze())
    verdict = verify(network, other, changed[0], lengths=changed[1])
    place = verdict.difference.index[0]
    alone = verify(network, other, changed[0][: data.test.lengths[place], place : place + 1])
    assert not alone.equal


def test_a_file_keeps_a_sample_of_the_commonest_length(trainer, data, tmp_path):
    trainer.export(tmp_path / "model.spq")
    sample = load_both(tmp_path / "model.spq")[1]
    steps, counts = np.unique(data.test.lengths, return_counts=True)
    assert len(sample) == counts.max()
    assert sample.frames in steps[counts == counts.max()]
    trainer.report(tmp_path / "report.html")


def test_a_stopped_run_is_held_to_the_lengths(data, trainer):
    lengths = data.train.lengths.copy()
    longest = int(lengths.max())
    lengths[np.flatnonzero(lengths < longest)[0]] += 1  # a frame of nothing more
    other = Splits("custom", Labelled(data.train.images, data.train.labels, lengths), data.test, data.task)
    with pytest.raises(RunError, match="lengths of training sequences"):
        SpQuantTrainer.resume(trainer.run.path, model(), other)


def test_what_needs_one_length_says_so(trainer, data):
    with pytest.raises(DataError, match="have 1 to 6 frames, and one array holds"):
        data.test.inputs()
    with pytest.raises(DataError, match="early exit counts the steps of all"):
        trainer.early_exit()


class Lazy(torch.utils.data.Dataset):
    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


def test_what_is_read_as_it_comes_is_refused_unless_it_is_read_into_memory():
    given = Lazy(sequences(40, 0)), Lazy(sequences(20, 1))
    with pytest.raises(ConfigError, match=r"several lengths, .* give in_memory=True"):
        SpQuantTrainer(model(), given, 2, timesteps=5, quiet=True)
    held = SpQuantTrainer(model(), given, 2, timesteps=5, quiet=True, in_memory=True)
    assert held.data.train.lengths is not None


@pytest.mark.parametrize(
    ("lengths", "said"),
    [
        ([2, 2], "not list: convert"),
        (np.array([2, 2], np.int32), "must be int64"),
        (np.array([2], np.int64), "must be int64"),
        (np.array([0, 2], np.int64), "0 to 2, of sequences of 3"),
        (np.array([1, 4], np.int64), "1 to 4, of sequences of 3"),
        (np.array([3, 1], np.int64), "sequence 1 has 1 frames and something"),
    ],
)
def test_lengths_that_are_none_are_refused(lengths, said):
    with pytest.raises(DataError, match=said):
        Labelled(np.ones((2, 3, 1, 2, 2), np.uint8), np.zeros(2, np.int64), lengths)


def test_images_have_no_lengths():
    with pytest.raises(DataError, match="lengths are of sequences"):
        Labelled(np.ones((2, 1, 2, 2), np.uint8), np.zeros(2, np.int64), np.ones(2, np.int64))


def test_a_sequence_without_frames_is_named():
    items = [*sequences(3, 0), (np.zeros((0, 2, 4, 4), np.uint8), 0)]
    with pytest.raises(DataError, match="training item 3 has no frames"):
        as_splits((items, sequences(3, 1)), progress=False)


def test_items_of_each_length_come_together():
    lengths = np.array([3, 1, 3, 3, 2, 1], np.int64)
    assert [part.tolist() for part in of_each_length(lengths, 6, 2)] == [[1, 5], [4], [0, 2], [3]]
    assert list(of_each_length(None, 5, 2)) == [slice(0, 2), slice(2, 4), slice(4, 5)]
    few = Items("few", np.arange(6, dtype=np.uint8).reshape(6, 1, 1, 1, 1).repeat(3, 1) * 0, None, None, lengths)
    assert few.of_one_length().indices.tolist() == [0, 2, 3]
