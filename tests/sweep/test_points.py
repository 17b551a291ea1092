"""The file of a sweep: what its points are, what they are called, and what is refused."""

import inspect
from dataclasses import asdict, fields
from pathlib import Path

import pytest
import tyro

from spquant_snn import ConfigError
from spquant_snn.cli.sweep import _flags
from spquant_snn.sweep import points as plan
from spquant_snn.train.config import TrainConfig, TrainOptions

EXAMPLE = Path(__file__).parents[2] / "examples" / "sweep.toml"
OTHER = TrainConfig(
    model="vgg9-snn:0.25",
    dataset="digits",
    weight_bits=1.58,
    state_bits=3,
    timesteps=5,
    learning_rate=1e-5,
    augment=False,
    learn_threshold=True,
    init="runs/a b",
    target_ops=0.25,
    loss="tet",
)


def names(points):
    return [point.name for point in points]


def test_combinations_then_single_points_for_each_seed(sweep):
    points = sweep(
        """
        dataset = "digits"
        timesteps = 3
        seeds = [0, 7]
        [cross]
        weight_bits = ["ternary", 4]
        target_ops = [0.2, 1.0]
        [[point]]
        quantization_bits = 32
        timesteps = 1
        """
    )
    first = ["w1.58-target_ops0.2", "w1.58-target_ops1.0", "w4-target_ops0.2", "w4-target_ops1.0", "w32s32-T1"]
    assert names(points) == [f"{name}-seed{seed}" for seed in (0, 7) for name in first]
    crossed, single = points[0].config, points[9].config
    assert crossed == TrainConfig(dataset="digits", timesteps=3, weight_bits=1.58, target_ops=0.2, seed=0)
    assert single == TrainConfig(dataset="digits", timesteps=1, weight_bits=32, state_bits=32, seed=7)


def test_the_examples_of_the_docstring_and_of_the_folder_are_sweeps(sweep):
    text = inspect.cleandoc(plan.__doc__.split("\n", 2)[2])
    assert names(sweep(text))[:5] == [
        "w1.58s1.58-T2-seed0",
        "w1.58s1.58-T4-seed0",
        "w2s2-T2-seed0",
        "w2s2-T4-seed0",
        "w32s32-seed0",
    ]
    points = plan.read_sweep(EXAMPLE)
    assert len(points) == 24
    assert names(points)[5:8] == ["w4s4-T4-seed0", "w32s32-seed0", "target_ops0.25-seed0"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("[[point]]", "base"),
        ("[[point]]\nstate_bits = 2", "s2"),
        ('[[point]]\nmodel = "lenet-snn:0.25"\nquantization_bits = 2', "w2s2-lenet-snnx0.25"),
        ('[[point]]\nmodel = ".."', "base"),
        ('[[point]]\naugment = false\nreset = "subtract"\ninit = "../runs/a b"', "no-augment-reset-subtract-init-"),
    ],
)
def test_a_name_is_that_of_one_folder(text, name, sweep):
    (point,) = sweep(text)
    assert point.name.startswith(name)
    assert not set(point.name) & set("/\\: ")


def test_the_arguments_of_a_point_are_its_options(sweep):
    text = "[[point]]\n" + "\n".join(
        f"{name} = {str(value).lower() if isinstance(value, bool) else repr(value)}"
        for name, value in asdict(OTHER).items()
    )
    (point,) = sweep(text)
    assert point.config == OTHER
    assert len(point.options) == len(fields(TrainConfig))
    read = tyro.cli(tyro.conf.OmitArgPrefixes[TrainOptions], args=_flags(point))
    assert TrainConfig(**asdict(read)) == OTHER


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "there is nothing to train"),
        ("epochs = 2", "there is nothing to train"),
        ("seeds = 3", "seeds must be a list of whole numbers"),
        ("seeds = []", "seeds must be a list"),
        ("seeds = [0.5]", "seed must be a whole number, not 0.5"),
        ("seeds = [1, 1]", "same training, seed1: leave one out"),
        ("cross = 2", "cross must be a table of lists"),
        ("[cross]\nweight_bits = 2", "weight_bits below \\[cross\\] must be a list of values, not 2"),
        ("[cross]\nweight_bits = []", "weight_bits below \\[cross\\] must be a list of values, not a list of 0"),
        ("[cross]\nwings = [1, 2]", "there is no option 'wings'"),
        ("wings = 2\nseeds = [0]", "there is no option 'wings'"),
        ("[point]\nweight_bits = 2", "write \\[\\[point\\]\\] on a line"),
        ("[[point]]\nwings = 2", "there is no option 'wings'"),
        ("[[point]]\nweight_bits = [2, 4]", "weight_bits must be one value.*lists stand below \\[cross\\]"),
        ("[[point]]\nepochs = {low = 2}", "epochs must be one value"),
        ("[cross]\nweight_bits = [2, 9]", "must be .* not 9"),
        ("[cross]\nepochs = [2, 'many']", "epochs must be a whole number, not 'many'"),
        ("[cross]\nloss = ['mean', 'sum']", "loss must be one of mean, tet, not 'sum'"),
        ("seeds = [0]\nseed = 1", "give either seeds or seed"),
        ("seeds = [0]\n[cross]\nseed = [1, 2]", "give either seeds or seed"),
        ("[cross]\nquantization_bits = [2]\nweight_bits = [4]", "stands for weight_bits and state_bits"),
        ("[cross]\nweight_bits = [1.58, 'ternary']", "same training, w1.58: leave one out"),
        ("[cross]\nweight_bits = [2, 4]\n[[point]]\nstate_bits = 2", "same training, w2 and s2: leave one out"),
        ("[[point]]\ninit = 'a/b'\n[[point]]\ninit = 'a_b'", "init-a_b"),
        ("weight_bits = ", "is no TOML file"),
        ("x" * 5000 + " = 1\nseeds = [0]", "there is no option 'xxxxx.*; the options"),
        ("init = '" + "x" * 5000 + "'\nseeds = [0]", "init must be at most 4096 characters, not 5000"),
        ("seeds = [1" + "0" * 5000 + "]", "is no TOML file"),
        ("seeds = [0x" + "f" * 5000 + "]", "a number of 20000 bits"),
        (f"seeds = {list(range(10_001))}", "there are more than 10,000 points: write several sweeps"),
        ("[cross]\n" + "\n".join(f"a{i} = [1, 2]" for i in range(20_000)), "more than 10,000 points"),
        (".".join("a" * 20_000) + " = 1", "line 1 has a key of 20000 parts, more than 8"),
        ("x = " + "[" * 100_000, "nested more than 32 levels"),
        ("seeds = [0]\n#" + "x" * (1 << 21), "it has more than 2,097,152 bytes"),
    ],
)
def test_what_cannot_be_a_sweep_is_refused_in_a_sentence(text, words, sweep, tmp_path):
    with pytest.raises(ConfigError, match=words) as caught:
        sweep(text)
    assert str(caught.value).startswith(str(tmp_path / "x.toml"))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"y\.toml cannot be read \(No such file or directory\): name the TOML file"):
        plan.read_sweep(tmp_path / "y.toml")


def test_comparisons_of_points_grow_with_their_number(sweep, monkeypatch):
    compared = 0
    equal = TrainConfig.__eq__

    def count(one, other):
        nonlocal compared
        compared += 1
        return equal(one, other)

    monkeypatch.setattr(TrainConfig, "__eq__", count)
    points = sweep("\n".join(f"[[point]]\nseed = {seed}" for seed in range(3000)))
    assert len(points) == 3000
    assert compared < 3000
