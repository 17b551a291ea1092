"""Sequences of several lengths: each is computed as if it were alone, in training and behind it."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

from spquant_snn import (
    LIF,
    ConfigError,
    DataError,
    Feedback,
    LeakyIntegrator,
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
from spquant_snn.quant.stage import Norm
from spquant_snn.sparsity.block_skipping import insert_skipping, skipping_stages
from spquant_snn.train.batches import Batch, DataPass
from spquant_snn.train.config import TrainConfig
from spquant_snn.train.distributed import World
from spquant_snn.train.metrics import measure
from spquant_snn.train.step import Step
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


def test_batches_are_mixed_cut_to_their_longest_and_hold_every_item_once(data):
    train, found, differ = as_tensors(data.train), [], 0
    drawn = list(train.drawn(torch.Generator().manual_seed(3), 8))
    assert len(drawn) == train.steps(8) == 8
    for batch in drawn:
        steps = [batch.images.shape[1]] * len(batch) if batch.lengths is None else batch.lengths.tolist()
        differ += len(set(steps)) > 1
        assert max(steps) == batch.images.shape[1]
        found += [image[:own].numpy().tobytes() for image, own in zip(batch.images, steps, strict=True)]
    assert differ == 8
    wanted = [row[:steps].tobytes() for row, steps in zip(data.train.images, data.train.lengths, strict=True)]
    assert sorted(found) == sorted(wanted)
    again = train.drawn(torch.Generator().manual_seed(3), 8)
    assert all(torch.equal(a.images, b.images) for a, b in zip(drawn, again, strict=True))
    assert len(list(train.drawn(torch.Generator(), 8, DataPass(most=3)))) == 3


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


class Stream(IterableDataset):
    def __init__(self, items):
        self.items = items

    def __iter__(self):
        return iter(self.items)


def padded(items):
    """A collate function's batch: filled up, with lengths."""
    images = nn.utils.rnn.pad_sequence([torch.from_numpy(x) for x, _ in items], batch_first=True)
    return images, torch.tensor([label for _, label in items]), torch.tensor([len(x) for x, _ in items])


def in_lists(items):
    return [x for x, _ in items], [label for _, label in items]


def test_what_is_read_as_it_comes_may_have_several_lengths(tmp_path):
    parts, found = (sequences(40, 0), sequences(20, 1), sequences(20, 2)), {}
    ways = {
        "items": [Lazy(part) for part in parts],
        "stream": [Stream(parts[0]), Lazy(parts[1]), Stream(parts[2])],
        "padded": [DataLoader(Lazy(part), 8, collate_fn=padded) for part in parts],
        "lists": [DataLoader(Lazy(part), 8, collate_fn=in_lists) for part in parts],
        "as they are": [DataLoader(Lazy(part), 8, collate_fn=list) for part in parts],
    }
    for name, given in ways.items():
        options = {"timesteps": 5, "epochs": 1, "quiet": True, "workers": 0, "steps_per_epoch": 5}
        options |= {"batch_size": 8} if name in ("items", "stream") else {}
        made = SpQuantTrainer(model(), given, 2, out=tmp_path / name, **options).train()
        found[name] = [made.evaluate(), *(value.sum().item() for value in made.network.state_dict().values())]
        assert made.verify().equal
        assert made.data.train.lengths is not None
    assert found["padded"] == found["lists"] == found["as they are"]
    alone = Program(lower(made.deployed()))
    right = sum(int(alone.predict(x[:, None])[0]) == label for x, label in parts[2])
    assert found["as they are"][0] == pytest.approx(100 * right / 20)


def test_a_sequence_longer_than_timesteps_is_named(tmp_path):
    items = sequences(200, 0)
    items[7] = (np.zeros((9, 2, 4, 4), np.uint8), 0)
    made = SpQuantTrainer(model(), (Lazy(items), Lazy(items[50:])), 2, out=tmp_path, timesteps=5, quiet=True)
    with pytest.raises(DataError, match="training item 7 has 9 frames, timesteps is 5: set timesteps to those of the"):
        made.train(epochs=1)
    with pytest.raises(ConfigError, match="have 5 frames, timesteps is 4: set timesteps to 5"):
        SpQuantTrainer(model(), (Lazy(items[50:]), Lazy(items[50:])), 2, out=tmp_path, timesteps=4, quiet=True)


@pytest.mark.parametrize(
    ("collate", "said"),
    [
        (
            lambda items: (*padded(items)[:2], [1]),
            "batch 0 of the training DataLoader has three parts, and the third are no lengths of its 8 sequences",
        ),
        (lambda items: (padded(items)[0], [0]), "8 training images have 1 labels"),
        (
            lambda items: (padded(items)[0], [0] * 8, [9] * 8),
            r"a whole number from 1 to \d for each, .*: leave out what is neither image nor label",
        ),
        (lambda items: 3, "no pair .images, labels., and no .images, labels, lengths. of sequences"),
    ],
)
def test_a_batch_that_is_none_says_what_to_give(collate, said):
    given = [DataLoader(Lazy(sequences(40, seed)), 8, collate_fn=collate) for seed in range(2)]
    with pytest.raises(DataError, match=said):
        SpQuantTrainer(model(), given, 2, timesteps=5, quiet=True)


LINEAR = (nn.Flatten(), nn.Linear(32, 6, bias=False), nn.BatchNorm1d(6), LIF())
READOUTS = {
    "mean": lambda: [nn.Linear(6, 2)],
    "last": lambda: [nn.Linear(6, 2), LeakyIntegrator(0.8)],
    "largest": lambda: [nn.Linear(6, 2), LeakyIntegrator(0.8, "largest")],
    "loop": lambda: [
        nn.Linear(6, 5),
        Feedback(LIF(), nn.Sequential(nn.Linear(5, 5, bias=False), nn.BatchNorm1d(5))),
        nn.Linear(5, 2),
    ],
}


def gradients(net, batch, config=None, teacher=None):
    """Loss and gradients of a batch in training, and what is known of normalisation behind it."""
    config = config or TrainConfig(model="custom", dataset="custom", precision="fp32")
    net = copy.deepcopy(net).train()
    net.recompute = config.checkpoint_time
    torch.manual_seed(5)
    step = Step(net, config, teacher, None, True)
    loss = step(batch.inputs(), batch.labels, 0.0, 1.0, batch.lengths)[0]
    known = [value for name, value in net.state_dict().items() if "running" in name]
    return [loss, *(p.grad for p in net.parameters() if p.requires_grad), *known]


def close(first, second):
    return all(torch.allclose(a, b, atol=2e-6) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("how", ["mean", "last", "largest", "loop", "tet", "again", "teacher"])
def test_nothing_sees_what_fills_a_batch_up(data, how):
    torch.manual_seed(0)
    kind = READOUTS.get(how, READOUTS["mean"])
    net = prepare(nn.Sequential(*copy.deepcopy(LINEAR), *kind()), QuantConfig(2, 2, timesteps=6), (2, 4, 4))
    options = {"tet": {"loss": "tet"}, "again": {"checkpoint_time": True}}.get(how, {})
    config = TrainConfig(model="custom", dataset="custom", precision="fp32", **options)
    teacher = copy.deepcopy(net).eval() if how == "teacher" else None
    (batch,) = as_tensors(data.train).drawn(torch.Generator().manual_seed(1), 60)
    noise = batch.images.clone()
    for row, steps in zip(noise, batch.lengths, strict=True):
        row[steps:] = 255
    longer = torch.cat([noise, torch.full_like(noise, 7)], 1)
    found = [gradients(net, replace(batch, images=images), config, teacher) for images in (batch.images, noise, longer)]
    assert close(found[0], found[1])
    assert close(found[0], found[2])
    order = torch.randperm(60, generator=torch.Generator().manual_seed(2))
    assert how == "loop" or close(found[0], gradients(net, batch.rows(order), config, teacher))
    assert not close(found[0], gradients(net, replace(batch, lengths=None), config, teacher))


@pytest.mark.parametrize("how", ["mean", "last", "largest", "loop"])
def test_of_one_length_lengths_change_nothing(how):
    torch.manual_seed(0)
    net = prepare(nn.Sequential(*copy.deepcopy(LINEAR), *READOUTS[how]()), QuantConfig(2, 2, timesteps=4), (2, 4, 4))
    frames = (torch.rand(9, 4, 2, 4, 4) < 0.4).to(torch.uint8)
    batch = Batch(frames, torch.arange(9) % 2)
    assert close(gradients(net, batch), gradients(net, replace(batch, lengths=torch.full((9,), 4))))


def test_statistics_are_of_the_frames_that_there_are(data):
    net = prepare(model(), QuantConfig(2, 2, timesteps=6), (2, 4, 4)).train()
    norm = next(module for module in net.modules() if isinstance(module, Norm))
    norm.momentum = 1.0
    (batch,) = as_tensors(data.train).drawn(torch.Generator(), 60)
    net(batch.inputs(), lengths=batch.lengths)
    frames = torch.cat([row[:steps] for row, steps in zip(batch.images, batch.lengths, strict=True)])
    stage = net.hidden[0]
    sums = stage.synapse.sums(frames.float(), stage.synapse.codes(), stage.synapse.scale() / stage.divisor)
    assert torch.allclose(norm.running_mean, sums.mean((0, 2, 3)), atol=1e-6)
    assert torch.allclose(norm.running_var, sums.var((0, 2, 3)), atol=1e-6)


def test_lengths_that_do_not_fit_the_frames_are_refused():
    net = prepare(model(), QuantConfig(2, 2, timesteps=6), (2, 4, 4))
    frames = torch.zeros(4, 3, 2, 4, 4, dtype=torch.uint8)
    for lengths in ([1, 2], [0, 1, 2], [1, 2, 5]):
        with pytest.raises(DataError, match=r"lengths must be int64 \[N\].*here \[3\] to 4"):
            net(frames, lengths=torch.tensor(lengths))


def telling(count, seed):
    """Sequences whose length gives away the class, which is how busy they are."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(2, size=count)
    return [((rng.random((2 + 4 * c, 2, 4, 4)) < 0.2 + 0.2 * c).astype(np.uint8), int(c)) for c in classes]


def test_a_class_that_the_length_gives_away_is_not_normalised_away(tmp_path):
    options = {"out": tmp_path / "run", "timesteps": 6, "batch_size": 20, "quiet": True, "learning_rate": 1e-2}
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(32, 6, bias=False), nn.BatchNorm1d(6), LIF(), nn.Linear(6, 2))
    found = SpQuantTrainer(net, (telling(200, 0), telling(60, 1)), 2, **options).train(epochs=8)
    assert found.evaluate() > 85  # normalised one length at a time it is 45 to 67


def skipping():
    torch.manual_seed(0)
    convolutions = nn.Conv2d(2, 40, 3), nn.BatchNorm2d(40), LIF(), nn.Conv2d(40, 40, 1), nn.BatchNorm2d(40), LIF()
    return nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(160, 2))


def test_predictors_of_blocks_learn_from_the_frames_that_there_are():
    network = prepare(skipping(), QuantConfig(2, 2, timesteps=6), (2, 4, 4))
    insert_skipping(network)
    ((_, predictor),) = skipping_stages(network)
    items = [torch.from_numpy(image) for image, _ in sequences(12, 0)]
    lengths = torch.tensor([len(item) for item in items])
    padded_items = nn.utils.rnn.pad_sequence(items)  # [T, N, ...]
    padded_items[:, :] += (torch.arange(len(padded_items))[:, None] >= lengths)[..., None, None, None].to(torch.uint8)

    def seen(x, of=None):
        predictor.seen.clear()
        network(x, lengths=of)
        return [torch.stack([step.logits, step.responses]) for step in predictor.seen]

    network.eval()
    predictor.watching = True
    together, alone = seen(padded_items, lengths), [seen(item[:, None]) for item in items]
    for step, found in enumerate(together):
        assert torch.allclose(found, torch.cat([each[step] for each in alone if step < len(each)], 1), atol=1e-6)


@pytest.mark.parametrize("lazy", [False, True])
def test_blocks_are_skipped_in_sequences_of_several_lengths(data, tmp_path, lazy):
    options = {"timesteps": 6, "quiet": True, "batch_size": 8, "target_skip": 0.3, "out": tmp_path / "run"}
    given = (Lazy(sequences(60, 0)), Lazy(sequences(30, 1))) if lazy else data
    made = SpQuantTrainer(skipping(), given, 2, **options).train(epochs=5)
    assert made.network.hidden[1].skipping.rule(40) is not None
    assert made.verify().equal


def test_rates_are_held_down_over_the_frames_that_there_are(data, tmp_path):
    made = SpQuantTrainer(
        model(), data, 2, out=tmp_path / "run", timesteps=6, quiet=True, batch_size=8, target_ops=0.6, target_rate=0.1
    )
    made.train(epochs=5)
    assert made.verify().equal


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


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("label", [lambda x: np.arange(len(x)) % 2, lambda x: np.zeros((len(x), 3), np.float32)])
def test_labels_of_steps_are_refused_with_what_works(lazy, label):
    items = [(x, label(x)) for x, _ in sequences(20, 0) if len(x) > 1]
    said = "training item 0 has a label for each of its . frames, and one is learned of a sequence: give windows of it"
    with pytest.raises(DataError, match=said):
        SpQuantTrainer(model(), (Lazy(items), Lazy(items)) if lazy else (items, items), 2, timesteps=5, quiet=True)


def test_arrays_of_labels_of_steps_are_refused_unless_they_are_said_to_be_numbers_of_the_whole():
    frames, labels = np.zeros((6, 4, 2, 4, 4), np.uint8), np.random.default_rng(0).normal(size=(6, 4)).astype("f4")
    for each in (labels, labels.astype(np.int64)):
        with pytest.raises(DataError, match=r'a sequence of the training data has .* say task="regression"'):
            as_splits(((frames, each), (frames, each)), progress=False)
    assert as_splits(((frames, labels), (frames, labels)), task="regression", progress=False).task.outputs == 4


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
