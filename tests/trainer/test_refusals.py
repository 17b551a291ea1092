"""What SpQuantTrainer cannot do is refused in a sentence; what goes wrong in training is said."""

import pytest
import torch
from torch import nn

from spquant_snn import LIF, ConfigError, DataError, DivergedError, ModelError, RunError, SpQuantError, SpQuantTrainer
from toy_task import DATA, SMALL, Net, result, weights


@pytest.mark.parametrize(
    ("count", "words"),
    [(1, "a validation set cannot be taken from 1 training image: give at least two"), (2, "a batch of one image")],
)
def test_too_few_images_are_refused(count, words):
    with pytest.raises(ConfigError, match=words):
        SpQuantTrainer(Net(), ((DATA[0][0][:count], DATA[0][1][:count]), DATA[1]), quiet=True).train(epochs=1)


@pytest.mark.parametrize("teacher", ["twin", "nowhere"])
def test_a_teacher_that_does_not_fit_is_refused_before_anything_is_written(teacher, tmp_path):
    SpQuantTrainer("lenet-snn:0.1", "digits", 32, out="twin", **SMALL).train(epochs=1)
    trainer = SpQuantTrainer("lenet-snn:0.1", DATA, 2, out="x", teacher=teacher, **SMALL)
    with pytest.raises(
        (ConfigError, RunError), match=rf"teacher .*/twin was trained on other|teacher .*{teacher} is not there"
    ):
        trainer.train(epochs=1)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (nn.Linear(3, 4), r"the teacher Linear does not take uint8 images \[2, 1, 8, 8\] \(.+\): let its forward"),
        (nn.Flatten(), r"the teacher Flatten gives \[2, 64\] for 2 images: \[N, 4\] is wanted"),
        (LIF(), "the teacher LIF gives|does not take uint8 images"),
    ],
    ids=["raises", "gives", "neurons"],
)
def test_a_module_that_cannot_teach_is_refused_before_anything_is_written(module, said, tmp_path):
    with pytest.raises(ConfigError, match=said):
        SpQuantTrainer(Net(), DATA, 2, out="x", teacher=module, **SMALL).train(epochs=1)
    assert not (tmp_path / "x").exists()


def test_a_teacher_given_in_python_is_asked_for_again():
    run = SpQuantTrainer(Net(), DATA, 2, out="x", teacher=nn.Sequential(nn.Flatten(), Narrow()), **SMALL)
    run.train(epochs=1)
    (run.run.path / "checkpoint.pt").touch()
    with pytest.raises(RunError, match="was given in Python: give it again"):
        SpQuantTrainer.resume("x", Net(), DATA, quiet=True).train()


class Narrow(nn.Module):
    def forward(self, x):
        return x[:, :4].float()


def test_a_model_of_two_inputs_is_refused():
    class Two(Net):
        def forward(self, x, num_steps):
            return super().forward(x)

    said = (
        r"trains networks of one input, and the forward method of Two takes 2 \(x, num_steps\): give what is no input"
    )
    with pytest.raises(ModelError, match=said):
        SpQuantTrainer(Two(), DATA, 2, **SMALL)


def test_a_model_of_maps_is_refused():
    with pytest.raises(
        ModelError,
        match="the model says 10x8x8 numbers of an image, and the labels are for class",
    ):
        SpQuantTrainer("unet-snn:0.1", "digits", 2, quiet=True)


def test_a_rate_far_too_high_ends_in_words_or_finite_weights():
    trainer = SpQuantTrainer(Net(), DATA, 32, learning_rate=1e3, **SMALL)
    try:
        trainer.train(epochs=2)
    except DivergedError as error:
        assert "lower the learning rate (1000)" in str(error)  # noqa: PT017
    else:
        assert all(tensor.isfinite().all() for tensor in weights(trainer).values())


@pytest.mark.parametrize(("threshold", "words"), [(1e4, "is silent"), (0.01, "fires almost always")])
def test_a_layer_in_trouble_is_said(threshold, words, capsys):
    model = Net()
    model.lif2 = LIF(v_threshold=threshold)
    with torch.no_grad():
        model.fc1.bias.fill_(1.0)
    SpQuantTrainer(model, DATA, 32, batch_size=64, learning_rate=1e-6).train(epochs=1)
    assert f"warning: layer 'fc1' {words}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "options", "error", "words"),
    [
        (("lenet-snn", DATA, 0), {}, ConfigError, "bits must be"),
        (("lenet-snn", DATA, 5.5), {}, ConfigError, "bits must be"),
        (("lenet-snn", DATA, 9), {}, ConfigError, "bits must be"),
        (("lenet-snn", DATA, None), {}, ConfigError, "bits must be"),
        (("lenet", DATA), {}, ConfigError, "model must be one of lenet-snn"),
        ((Net, DATA), {}, ConfigError, "model must be a name or a torch.nn.Module, not type"),
        (("lenet-snn", "minst"), {}, DataError, "unknown data set 'minst'"),
        (("lenet-snn", DATA[0]), {}, DataError, "this looks like one pair"),
        (("lenet-snn", DATA), {"device": "abacus"}, ConfigError, "device 'abacus' cannot be used"),
        (("lenet-snn", DATA), {"wings": 2}, ConfigError, "no option 'wings'; the options are model, "),
        (("lenet-snn", DATA), {"epoch": 2}, ConfigError, "no option 'epoch': did you mean 'epochs'"),
        ((Net(), DATA), {"leak": 0.75}, ConfigError, "leak is said by the LIF layers"),
        ((Net(outputs=3), DATA), {}, ModelError, "3 outputs, the data set 4 classes"),
        ((nn.Sequential(nn.Flatten(), nn.Linear(64, 4)), DATA), {}, ModelError, "no LIF layer"),
    ],
)
def test_a_wrong_call_is_refused_in_one_sentence(arguments, options, error, words):
    with pytest.raises(error, match=words) as refused:
        SpQuantTrainer(*arguments, **(SMALL | options))
    assert isinstance(refused.value, SpQuantError)
    assert "\n" not in str(refused.value)


def test_a_batch_of_one_image_is_refused_where_it_cannot_be_normalised():
    with pytest.raises(ConfigError, match="batch_size"):
        SpQuantTrainer("lenet-snn:0.1", DATA, 2, batch_size=1, precision="fp32", quiet=True).train(epochs=1)


def test_a_folder_that_holds_a_run_is_left_alone(tmp_path):
    SpQuantTrainer(Net(), DATA, 2, out="x", **SMALL).train(epochs=1)
    before = result(tmp_path / "x")
    with pytest.raises(RunError, match="already holds a run"):
        SpQuantTrainer(Net(), DATA, 2, out="x", **SMALL).train(epochs=1)
    assert result(tmp_path / "x") == before


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("kept", encoding="utf-8")
    with pytest.raises(RunError, match="cannot be written"):
        SpQuantTrainer(Net(), DATA, 2, out="file/x", **SMALL).train(epochs=1)


def test_a_floating_point_network_has_no_integers_to_export():
    with pytest.raises(ModelError, match="no integer form"):
        SpQuantTrainer(Net(), DATA, 32, **SMALL).export("x.spq")


class Joined(nn.Module):
    """Two branches, each normalised by itself."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.lif, self.fc = nn.Linear(64, 8), nn.Linear(64, 8), LIF(), nn.Linear(8, 4)
        self.norm, self.norm2 = nn.BatchNorm1d(8), nn.BatchNorm1d(8)

    def forward(self, x):
        x = x.flatten(1)
        return self.fc(self.lif(self.norm(self.one(x)) + self.norm2(self.two(x))))


@pytest.mark.parametrize(
    ("options", "purpose"),
    [
        ({"target_ops": 0.5}, "pruning channels"),
        ({"target_skip": 0.5}, "target_skip"),
        ({"target_synops": 100.0}, "a target of operations"),
    ],
)
def test_what_needs_a_row_of_layers_says_so(options, purpose):
    with pytest.raises(ModelError, match=f"^{purpose} needs layers in a row, .* layer 'one' sums other terms: train"):
        SpQuantTrainer(Joined(), DATA, 2, **SMALL | options).train(epochs=1)


def test_a_readout_that_convolves_is_no_row():
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), LIF(), nn.Conv2d(4, 3, 1))
    pixels = tuple((images, torch.zeros(len(images), 8, 8, dtype=torch.long)) for images, _ in DATA)
    words = (
        "pruning channels needs layers in a row, .* readout '2' is more than one linear layer of the last spikes: train"
    )
    with pytest.raises(ModelError, match=words):
        SpQuantTrainer(model, pixels, 2, target_ops=0.5, **SMALL).train(epochs=1)


def test_rates_are_penalised_in_any_network():
    trainer = SpQuantTrainer(Joined(), DATA, 2, target_rate=0.05, **SMALL)
    trainer.train(epochs=1)
    assert trainer.evaluate() > 0
