"""The configuration: what it refuses, in words, and that TOML gives back what was written."""

import itertools
import os
from dataclasses import FrozenInstanceError, asdict, fields, replace
from typing import Literal, get_args, get_origin, get_type_hints

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cases import case
from spquant_snn import ConfigError, FileFormatError, RunError
from spquant_snn.integer.neuron import Reset
from spquant_snn.nn.surrogate import SURROGATES
from spquant_snn.train.config import TrainConfig, TrainOptions, differences, load_config, save_config, with_options
from spquant_snn.train.loading import build_network
from spquant_snn.train.run import free_folder


def test_the_defaults_of_the_options_are_a_training():
    assert asdict(TrainConfig()) == asdict(TrainOptions())


def test_a_training_cannot_be_changed_on_the_way():
    with pytest.raises(FrozenInstanceError):
        TrainConfig().epochs = 3


@pytest.mark.parametrize(
    ("written", "meant"), [("ternary", 1.58), ("1.58", 1.58), ("2", 2), (4.0, 4), ("fp32", 32), (32, 32)]
)
def test_a_width_is_written_in_one_way(written, meant):
    config = TrainConfig(weight_bits=written, state_bits=written)
    assert (config.weight_bits, config.state_bits) == (meant, meant)
    assert type(config.weight_bits) is type(meant)


@pytest.mark.parametrize("written", [{"conv1": 8, "fc*": "ternary", "*": 2.0}, "conv1=8, fc*=ternary ,*=2"])
def test_widths_of_layers_are_written_in_one_way(written, tmp_path):
    config = TrainConfig(weight_bits=written)
    assert config.weight_bits == "conv1=8,fc*=1.58,*=2"
    assert config.quant.weight_bits == {"conv1": 8, "fc*": 1.58, "*": 2}
    save_config(config, tmp_path / "config.toml")
    assert load_config(tmp_path / "config.toml") == config
    assert free_folder(config).name == "lenet-snn-mnist-w8_1.58_2s2-1"


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("conv1=8,2", "are written as conv1=8,.=2, not 'conv1=8,2'"),
        ("=8", "are written as"),
        ("conv1=9,*=2", "weight bits of 'conv1' must be 1.58"),
        ("conv1=8,conv1=2", "names a layer twice"),
        ("conv1=32,*=2", "floating point in all or in none"),
        ({"a,b": 8}, "write . for it"),
        ({}, "needs names of layers"),
        ({3: 8}, "needs names of layers"),
    ],
)
def test_widths_of_layers_that_cannot_be_are_refused(written, said):
    with pytest.raises(ConfigError, match=said):
        TrainConfig(weight_bits=written)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("weight_bits", 0),
        ("weight_bits", 5.5),
        ("state_bits", 9),
        ("state_bits", "two"),
        ("state_bits", None),
        ("timesteps", 0),
        ("weight_quantizer", "best"),
        ("epochs", -1),
        ("epochs", 2.0),
        ("epochs", "2"),
        ("epochs", True),
        ("finetune_epochs", -1),
        ("batch_size", -1),
        ("accumulate", 0),
        ("accumulate", 1.5),
        ("check_every", 0),
        ("learning_rate", 0),
        ("learning_rate", float("nan")),
        ("learning_rate", float("inf")),
        ("schedule", "linear"),
        ("weight_decay", -0.1),
        ("label_smoothing", 1.0),
        ("loss", "sum"),
        ("loss", None),
        ("tet_weight", 1.0),
        ("tet_weight", -0.1),
        ("tet_weight", "much"),
        ("clip_norm", float("inf")),
        ("augment", 1),
        ("validation", -1),
        ("precision", "fp16"),
        ("channel_choice", "best"),
        ("seed", -1),
        ("seed", 2**31),
        ("teacher", None),
        ("init", 3),
        ("distill_weight", 1.1),
        ("distill_temperature", 0),
        ("model", 3),
    ],
)
def test_a_value_that_does_not_exist_is_refused_with_its_option(option, value):
    with pytest.raises(ConfigError, match=rf"^{option.replace('_', '[ _]')} must be .* not ") as refused:
        with_options({option: value})
    assert "\n" not in str(refused.value)


def test_no_epoch_at_all_is_refused():
    with pytest.raises(ConfigError, match="epochs must be at least 1"):
        TrainConfig(epochs=0)
    assert TrainConfig(epochs=0, finetune_epochs=1).finetune_epochs == 1


def test_floating_point_cannot_be_fine_tuned_as_integers():
    with pytest.raises(ConfigError, match="finetune_epochs needs"):
        TrainConfig(state_bits=32, finetune_epochs=1)


def test_numbers_of_numpy_are_taken():
    options = {
        "epochs": np.int64(3),
        "learning_rate": np.float32(0.5),
        "augment": np.True_,
        "weight_bits": np.float64(1.58),
    }
    assert with_options(options) == with_options(
        {"epochs": 3, "learning_rate": 0.5, "augment": True, "weight_bits": 1.58}
    )


def test_an_unknown_option_is_answered_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"no option 'learning_rte': did you mean 'learning_rate'"):
        with_options({"learning_rte": 0.1})


@given(
    st.builds(
        TrainConfig,
        weight_bits=st.sampled_from([1.58, 2, 8, 32]),
        learning_rate=st.floats(1e-12, 1e3),
        clip_norm=st.floats(0, 1e9),
        augment=st.booleans(),
        seed=st.integers(0, 2**31 - 1),
        teacher=st.text(st.characters(exclude_characters="\x7f", exclude_categories=["Cs"])),
    )
)
def test_toml_gives_back_what_was_written(tmp_path_factory, config):
    path = tmp_path_factory.mktemp("run") / "config.toml"
    save_config(config, path)
    assert load_config(path) == config


def test_a_configuration_that_was_cut_is_not_taken_for_another(tmp_path):
    path = tmp_path / "config.toml"
    save_config(TrainConfig(epochs=17, seed=23), path)
    whole = path.read_bytes()
    for length in range(len(whole) - 3):  # the last three bytes are ".0" of a number, and the end of its line
        path.write_bytes(whole[:length])
        with pytest.raises(FileFormatError, match="is not the configuration of a run"):
            load_config(path)


def test_a_configuration_without_a_field_is_refused(tmp_path):
    for name in [field.name for field in fields(TrainConfig)]:
        with case(name):
            path = tmp_path / "config.toml"
            save_config(TrainConfig(epochs=17), path)
            lines = path.read_text("utf-8").splitlines(keepends=True)
            path.write_text("".join(line for line in lines if not line.startswith(f"{name} = ")), "utf-8")
            with pytest.raises(FileFormatError, match=f"it holds no {name}"):
                load_config(path)


def test_every_choice_is_checked_and_stands_once():
    assert get_args(get_type_hints(TrainOptions)["surrogate"]) == tuple(SURROGATES)
    assert get_args(get_type_hints(TrainOptions)["reset"]) == get_args(Reset)
    for name, hint in get_type_hints(TrainOptions).items():
        if get_origin(hint) is Literal:
            assert [getattr(TrainConfig(**{name: value}), name) for value in get_args(hint)] == list(get_args(hint))
            with pytest.raises(ConfigError, match=f"{name} must be .*, not 'other'"):
                TrainConfig(**{name: "other"})


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b"epochs =", b"epochs = 3\nepochs = 4", b"wings = 2", b"epochs = 'x'"]
)
def test_what_is_no_configuration_is_refused(tmp_path, content):
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match="is not the configuration of a run"):
        load_config(path)


ODD = ["1" * 5000, "0x" + "f" * 5000, "[" * 5000, "'" + "x" * 5000 + "'"]
ODD += ["nan", "inf", "1979-05-27", "{a = 1}", "1e999"]


@pytest.mark.slow
def test_no_value_of_a_configuration_breaks_its_reader(tmp_path):
    for name, value in itertools.product([field.name for field in fields(TrainConfig)], ODD):
        with case(name, value[:10]):
            path = tmp_path / "config.toml"
            save_config(TrainConfig(), path)
            lines = path.read_text("utf-8").splitlines()
            path.write_text("\n".join(f"{name} = {value}" if line.startswith(f"{name} =") else line for line in lines))
            try:
                config = load_config(path)
            except FileFormatError as error:
                assert str(error).startswith(f"{path} is not the configuration of a run (")  # noqa: PT017
                assert len(str(error)) < 1000  # noqa: PT017
                assert str(error).isprintable()  # noqa: PT017
            else:  # the model refuses it
                assert name == "leak"
                with pytest.raises(ConfigError):
                    build_network(replace(config, model="lenet-snn:0.1"), (1, 8, 8), 10)


@pytest.mark.parametrize("path", ["x" * 300, "a\0b", "pipe"])
def test_a_path_that_leads_to_no_file_is_no_run(tmp_path, path):
    folder = tmp_path / path
    if path == "pipe":
        folder.mkdir()
        os.mkfifo(folder / "config.toml")
    with pytest.raises(RunError, match=r"is not the folder of a run: it holds no|cannot be read \(it is not a file\)"):
        load_config(folder / "config.toml")


def test_a_folder_without_a_configuration_is_no_run(tmp_path):
    with pytest.raises(RunError, match=r"is not the folder of a run: it holds no config\.toml"):
        load_config(tmp_path / "config.toml")


def test_differences_are_named_with_both_values():
    config = TrainConfig(weight_bits=2)
    assert differences(config, replace(config)) == []
    assert differences(config, replace(config, epochs=3, weight_bits="ternary")) == [
        "weight_bits: 2, not 1.58",
        "epochs: 20, not 3",
    ]
