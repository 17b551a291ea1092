"""Trainings that start at the weights of another run."""

from pathlib import Path

import pytest
import torch

from spquant_snn import ConfigError, FileFormatError, RunError, SpQuantTrainer, load
from spquant_snn.integer.file import load_graph
from spquant_snn.quant.same_layers import first_other_layer
from spquant_snn.train.config import anchored, load_config
from spquant_snn.train.loading import load_network
from spquant_snn.train.run import RunFolder
from spquant_snn.train.start import load_teacher, start_from

OPTIONS = {"batch_size": 64, "precision": "fp32", "quiet": True}
MODEL = ("lenet-snn:0.1", "digits")


def stop_in_second_epoch(trainer):
    """Train as if a person pressed Ctrl-C in the second epoch."""
    with pytest.MonkeyPatch.context() as patch:
        log = RunFolder.log_epoch

        def stop(run, epoch, *rest):
            if epoch == 2:
                raise KeyboardInterrupt
            log(run, epoch, *rest)

        patch.setattr(RunFolder, "log_epoch", stop)
        with pytest.raises(KeyboardInterrupt):
            trainer.train()


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A short run in floating point."""
    folder = tmp_path_factory.mktemp("first") / "run"
    SpQuantTrainer(*MODEL, 32, out=folder, **OPTIONS).train(epochs=2)
    return folder


@pytest.fixture(autouse=True)
def _inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def weights(network):
    return {name: value for name, value in network.state_dict().items() if "gate" not in name}


@pytest.mark.parametrize("sparse", [{}, {"target_ops": 0.5, "target_skip": 0.2}], ids=["dense", "sparse"])
def test_all_weights_of_the_run_are_taken_over(first, sparse):
    trainer = SpQuantTrainer(*MODEL, 2, seed=5, **sparse, **OPTIONS)
    start_from(first, trainer.network)
    taken, there = trainer.network.state_dict(), load_network(first).state_dict()
    assert there
    assert all(torch.equal(taken[name], value) for name, value in there.items())


def logits(network, images):
    with torch.no_grad():
        return network.eval().mean_logits(images)


@pytest.mark.slow
@pytest.mark.parametrize("source", [32, 8, 4])
@pytest.mark.parametrize("bits", [32, 8])
@pytest.mark.parametrize("quantizer", ["normalized", "learned"])
def test_at_other_widths_the_function_of_the_run_is_kept(first, source, bits, quantizer, tmp_path):
    """What the run computes with counts, not its latent weights."""
    run = first
    if source != 32:
        trainer = SpQuantTrainer(*MODEL, source, init=first, out=tmp_path / "source", state_bits=32, **OPTIONS)
        run = trainer.train(epochs=1).run.path
    trainer = SpQuantTrainer(*MODEL, bits, state_bits=32, seed=9, weight_quantizer=quantizer, **OPTIONS)
    start_from(run, trainer.network)
    images = torch.from_numpy(trainer.data.test.images)
    there, here = logits(load_network(run), images), logits(trainer.network, images)
    assert float((there.argmax(1) == here.argmax(1)).float().mean()) > 0.8
    assert float(torch.corrcoef(torch.stack([there.flatten(), here.flatten()]))[0, 1]) > 0.9


def test_codes_stay_where_a_layer_keeps_its_width(first, tmp_path):
    run = SpQuantTrainer(*MODEL, 4, weight_bits="conv1=8,*=4", init=first, out="source", **OPTIONS).train(epochs=1)
    for widths, kept in (
        ("*=4", [False, True]),
        ("conv1=8,conv2=2,*=4", [True, False]),
        ("conv?=8,*=4", [True, False]),
    ):
        trainer = SpQuantTrainer(*MODEL, 4, weight_bits=widths, seed=9, **OPTIONS)
        start_from(run.run.path, trainer.network)
        pairs = list(zip(run.network.hidden, trainer.network.hidden, strict=True))[:2]
        assert [torch.equal(a.synapse.codes(), b.synapse.codes()) for a, b in pairs] == kept


@pytest.mark.slow
def test_identities_of_shortcuts_keep_their_weights_at_other_widths(tmp_path):
    options = {"batch_size": 128, "precision": "fp32", "quiet": True, "timesteps": 2}
    trainer = SpQuantTrainer("resnet11-snn:0.0625", "digits", 4, out=tmp_path / "r", **options).train(epochs=1)
    other = SpQuantTrainer("resnet11-snn:0.0625", "digits", 2, seed=3, **options).network
    start_from(tmp_path / "r", other)
    pairs = [
        (one.shortcut.synapse, two.shortcut.synapse)
        for one, two in zip(load_network(trainer.run.path).hidden, other.hidden, strict=True)
        if one.shortcut is not None and one.shortcut.identity
    ]
    assert pairs
    assert all(torch.equal(one.weight, two.weight) and two.codes().any() for one, two in pairs)


def test_the_start_shows_in_what_is_learned(first):
    trainer = SpQuantTrainer(*MODEL, 4, init=first, learning_rate=1e-12, **OPTIONS).train(epochs=1)
    there = load_network(first).state_dict()
    for name, value in trainer.network.state_dict().items():
        if name.endswith("weight"):
            torch.testing.assert_close(value, there[name])
    assert trainer.config.init == str(first)


@pytest.mark.slow
def test_a_stopped_training_goes_on_without_the_run_it_started_from(first, tmp_path):
    whole = SpQuantTrainer(*MODEL, 2, init=first, out="whole", **OPTIONS).train(epochs=2)
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("config.toml", "model.safetensors"):
        (copy / name).write_bytes((first / name).read_bytes())
    trainer = SpQuantTrainer(*MODEL, 2, init=copy, out="stopped", epochs=2, **OPTIONS)
    stop_in_second_epoch(trainer)
    for path in copy.iterdir():
        path.unlink()
    resumed = SpQuantTrainer.resume("stopped", quiet=True).train()
    a, b = whole.network.state_dict(), resumed.network.state_dict()
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_trained_on_again_it_does_not_start_over(first):
    trainer = SpQuantTrainer(*MODEL, 2, init=first, **OPTIONS).train(epochs=1)
    before = {name: value.clone() for name, value in weights(trainer.network).items()}
    trainer.config = trainer.config.__class__(**(vars(trainer.config) | {"learning_rate": 1e-12}))
    trainer.train(epochs=1)
    after = weights(trainer.network)
    assert all(torch.allclose(after[n], before[n]) for n in before if n.endswith("synapse.weight"))


@pytest.mark.parametrize(
    ("model", "options", "said"),
    [
        (
            "lenet-snn:0.2",
            {},
            r"network, layer 'conv1' has a weight of 3 x 1 x 5 x 5 there and of 6 x 1 x 5 x 5 here: give",
        ),
        ("vgg9-snn:0.02", {}, "of another network, it has 4 layers, this one 9: give"),
    ],
    ids=["width", "layers"],
)
def test_a_run_of_another_network_is_refused_before_anything_is_written(first, tmp_path, model, options, said):
    trainer = SpQuantTrainer(model, "digits", 2, init=first, out="x", **options, **OPTIONS)
    with pytest.raises(ConfigError, match=said):
        trainer.train(epochs=1)
    assert not (tmp_path / "x").exists()


def test_a_run_with_closed_channels_is_refused(first):
    SpQuantTrainer(*MODEL, 2, out="sparse", target_ops=0.6, **OPTIONS).train(epochs=2)
    with pytest.raises(ConfigError, match=r"init .*sparse was trained with target_ops or target_skip"):
        SpQuantTrainer(*MODEL, 2, init="sparse", **OPTIONS).train(epochs=1)


def test_no_run_and_a_damaged_one_are_refused(first, tmp_path):
    with pytest.raises(RunError, match=r"the init .*nowhere is not there: name the folder of a run"):
        SpQuantTrainer(*MODEL, 2, init="nowhere", **OPTIONS).train(epochs=1)
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "config.toml").write_bytes((first / "config.toml").read_bytes())
    with pytest.raises(RunError, match="train at least one epoch first"):
        SpQuantTrainer(*MODEL, 2, init="cut", **OPTIONS).train(epochs=1)
    (tmp_path / "cut" / "model.safetensors").write_bytes((first / "model.safetensors").read_bytes()[:-7])
    with pytest.raises(FileFormatError, match="is damaged"):
        SpQuantTrainer(*MODEL, 2, init="cut", **OPTIONS).train(epochs=1)


@pytest.mark.slow
def test_a_run_that_learns_from_another_goes_on_from_any_folder(first, tmp_path, monkeypatch):
    (tmp_path / "teacher").mkdir()
    for path in first.iterdir():
        (tmp_path / "teacher" / path.name).write_bytes(path.read_bytes())
    options = {"teacher": "teacher", "init": "teacher", "epochs": 2, **OPTIONS}
    whole = SpQuantTrainer(*MODEL, 2, out="whole", **options).train()
    stopped = SpQuantTrainer(*MODEL, 2, out="stopped", **options)
    stop_in_second_epoch(stopped)
    held = load_config(tmp_path / "stopped" / "config.toml")
    assert held.teacher == held.init == str(tmp_path / "teacher")
    same = {"teacher": "teacher", "init": Path("teacher")}  # the command as it was, from the same folder
    SpQuantTrainer.resume("stopped", options=same, quiet=True)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    with pytest.raises(RunError, match=r"was started with init: .*, not .*elsewhere"):
        SpQuantTrainer.resume("../stopped", options=same, quiet=True)
    resumed = SpQuantTrainer.resume("../stopped", quiet=True).train()
    a, b = whole.network.state_dict(), resumed.network.state_dict()
    assert all(torch.equal(a[name], b[name]) for name in a)
    (tmp_path / "teacher").rename(tmp_path / "moved")
    with pytest.raises(
        RunError,
        match=r"the teacher .*/teacher is not there: name the folder of a run, or an .spq file, as teacher or,",
    ):
        SpQuantTrainer.resume("../stopped", quiet=True).train()


# ---- integer models ----


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """An integer model alone."""
    folder = tmp_path_factory.mktemp("shipped")
    trainer = SpQuantTrainer(*MODEL, 2, out=folder / "run", **OPTIONS).train(epochs=2)
    return trainer.export(folder / "model.spq")


def test_a_training_begins_at_an_integer_model(shipped, capsys):
    quiet = OPTIONS | {"quiet": False}
    trainer = SpQuantTrainer(*MODEL, 2, seed=3, init=shipped, teacher=shipped, out="on", **quiet)
    lowered = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SpQuantTrainer, "_introduce", lambda self, *_: lowered.append(self._graph()))
        trainer.train(epochs=1)
    assert first_other_layer(load_graph(shipped), lowered[0]) is None
    assert f"begins at {shipped}: accuracy " in capsys.readouterr().out
    assert load_config(Path("on/config.toml")).teacher == str(shipped)
    resumed = SpQuantTrainer.resume("on", quiet=True)
    assert resumed.evaluate() == trainer.evaluate()


def test_an_integer_model_teaches_with_its_own_answers(shipped):
    network = SpQuantTrainer(*MODEL, 4, seed=3, **OPTIONS).network
    images = torch.randint(256, (5, 1, 8, 8)).to(torch.uint8)
    said = load_teacher(shipped, network)(images)
    assert said.dtype == torch.float32
    torch.testing.assert_close(said[0].double().numpy(), load(shipped).values(images.numpy()), rtol=1e-6, atol=1e-6)


def test_integer_models_of_something_else_are_refused(shipped, tmp_path):
    with pytest.raises(ConfigError, match=r"^init .*\.spq cannot be taken up, layer 'conv1' has weights of "):
        SpQuantTrainer("lenet-snn:0.2", "digits", 2, init=shipped, out="x", **OPTIONS).train(epochs=1)
    assert not (tmp_path / "x").exists()
    other = SpQuantTrainer(*MODEL, 2, out="other", **OPTIONS).network
    other.input_shapes = ((1, 9, 9),)
    with pytest.raises(
        ConfigError,
        match=r"^the teacher .*\.spq was trained on other images or classes, or for another task: choose one",
    ):
        load_teacher(shipped, other)
    (tmp_path / "cut.spq").write_bytes(shipped.read_bytes()[:-9])
    for option in ("init", "teacher"):
        with pytest.raises(FileFormatError, match=r"cut\.spq"):
            SpQuantTrainer(*MODEL, 2, out="y", **{option: "cut.spq"}, **OPTIONS).train(epochs=1)


def test_a_working_folder_that_is_gone_is_told_of(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir("gone")
    (tmp_path / "gone").rmdir()
    assert anchored({"teacher": "custom", "init": "", "seed": 1}) == {"teacher": "custom", "init": "", "seed": 1}
    assert anchored({"teacher": "/a/../b"}) == {"teacher": "/b"}
    with pytest.raises(ConfigError, match="init is a path from the working folder, which is not there"):
        anchored({"init": "x"})
