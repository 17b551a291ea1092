"""Trainings that start at the weights of another run."""

import pytest
import torch

from spquant_snn import ConfigError, FileFormatError, RunError, SpQuantTrainer
from spquant_snn.train.run import load_network
from spquant_snn.train.start import start_from

OPTIONS = {"batch_size": 64, "precision": "fp32", "quiet": True}
MODEL = ("lenet-snn:0.1", "digits")


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
    start_from(first, trainer.network, "standardized")
    taken, there = trainer.network.state_dict(), load_network(first).state_dict()
    assert there
    assert all(torch.equal(taken[name], value) for name, value in there.items())


def test_the_start_shows_in_what_is_learned(first):
    trainer = SpQuantTrainer(*MODEL, 4, init=first, learning_rate=1e-12, **OPTIONS).train(epochs=1)
    there = load_network(first).state_dict()
    for name, value in trainer.network.state_dict().items():
        if name.endswith("weight"):
            torch.testing.assert_close(value, there[name])
    assert trainer.config.init == str(first)


def test_a_stopped_training_goes_on_without_the_run_it_started_from(first, tmp_path):
    whole = SpQuantTrainer(*MODEL, 2, init=first, out="whole", **OPTIONS).train(epochs=2)
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("config.toml", "model.safetensors"):
        (copy / name).write_bytes((first / name).read_bytes())
    trainer = SpQuantTrainer(*MODEL, 2, init=copy, out="stopped", epochs=2, **OPTIONS)
    with pytest.MonkeyPatch.context() as patch:
        log = trainer.train.__func__.__globals__["RunFolder"].log_epoch

        def stop(run, epoch, *rest):
            if epoch == 2:
                raise KeyboardInterrupt
            log(run, epoch, *rest)

        patch.setattr("spquant_snn.trainer.RunFolder.log_epoch", stop)
        with pytest.raises(KeyboardInterrupt):
            trainer.train()
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
        ("lenet-snn:0.2", {}, r"of another network, stages\.0\.norm\.bias is \(3,\) there, \(6,\) here: give"),
        ("vgg9-snn:0.02", {}, r"of another network, stages\.0\.norm\.bias is "),
        ("lenet-snn:0.1", {"weight_quantizer": "learned"}, "has weight_quantizer 'standardized', not 'learned'"),
    ],
    ids=["width", "layers", "quantizer"],
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
    with pytest.raises(RunError, match="nowhere is not the folder of a run"):
        SpQuantTrainer(*MODEL, 2, init="nowhere", **OPTIONS).train(epochs=1)
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "config.toml").write_bytes((first / "config.toml").read_bytes())
    with pytest.raises(RunError, match="train at least one epoch first"):
        SpQuantTrainer(*MODEL, 2, init="cut", **OPTIONS).train(epochs=1)
    (tmp_path / "cut" / "model.safetensors").write_bytes((first / "model.safetensors").read_bytes()[:-7])
    with pytest.raises(FileFormatError, match="is damaged"):
        SpQuantTrainer(*MODEL, 2, init="cut", **OPTIONS).train(epochs=1)
