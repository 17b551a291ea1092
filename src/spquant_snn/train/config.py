"""Everything that decides a training, as one frozen record that is written into the run's folder as TOML."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np

from ..data.catalog import anchored_name
from ..errors import ConfigError, RunError
from ..integer.neuron import Reset
from ..io.reading import Flaw, guarded, read_bytes
from ..io.texts import did_you_mean, parse_toml, short
from ..io.writing import replace_file
from ..quant.quant_config import QuantConfig, QuantizerName, widths_text
from ..sparsity.goals import ChannelChoice, Goals

CUSTOM = "custom"
NEURON_OPTIONS = ("leak", "reset", "surrogate", "learn_threshold")  # of the LIF layers of a model given by name
# Values that stand for another, which a training resolves when it begins.
UNRESOLVED = (("batch_size", 0), ("validation", 0), ("precision", "auto"))
RUNS = ("init", "teacher")  # options that name the folder of another run, or an integer model
FREE = (*RUNS, "workers")  # options that a run may go on without, since its weights are the same
_LONGEST = 1 << 16  # bytes of a file
_LONGEST_TEXT = 4096


@dataclass(frozen=True)
class TrainOptions:
    """The fields of a training, unchecked: what the command line fills in.

    Args:
        model: lenet-snn, vgg9-snn, vgg11-snn, vgg16-snn, resnet11-snn, resnet18-snn, resnet19-snn, sew-resnet18-snn,
            mobilenet-snn, ds-cnn-snn, tc-resnet8-snn or recurrent-snn; vgg9-snn:0.25 has a quarter of the channels; or
            a topology, as 32C5-P2-64C5-P2-FC10 or 16C5s2-32C3s2-FC10.
        dataset: mnist, fashion-mnist, cifar10 or digits; or of event cameras nmnist, dvs-gesture, cifar10-dvs,
            n-caltech101 or gestures, where gestures:32 has frames of 32x32; or of spikes shd or ssc, where shd:140
            has 140 channels; or of sounds spoken-words or speech-commands, which are signals with :signal behind them;
            or activity, of motions; or a folder of images, one folder in it for each class, where pictures:32 brings
            those in pictures to 32x32.
        weight_bits: 1.58 (or ternary), 2 to 8, or 32 for floating point; or one for each layer by its path, as
            conv1=8,*=2, where * stands for any letters and the first that fits counts.
        state_bits: the same for the potential stored between time steps.
        timesteps: steps for which an image is shown, or frames into which a recording is divided.
        weight_quantizer: codes of the weight at a distance that follows the size of its channel's weights (normalized),
            or at a trained one (learned: LSQ).
        leak: share of the potential that is left one step later, 0 to 1.
        reset: a neuron that fired goes to zero, loses its threshold, or keeps its potential ("none").
        surrogate: derivative of the spike.
        learn_threshold: whether each layer's threshold is trained.
        epochs: passes over the training images, in training form.
        finetune_epochs: after them, in the frozen form.
        batch_size: 0 takes 256, or less where that would leave fewer than 40 steps an epoch.
        accumulate: parts in which a batch is taken, one after another, for less memory; each has its own statistics of
            batch normalisation.
        checkpoint_time: keep nothing but the bits of spikes for the backward pass, which computes the potentials of all
            time steps again, layer by layer: far less memory, one more pass forward. Layers of which blocks are
            skipped, of several terms or in loops are left as they are.
        check_every: epochs from one look at the validation images to the next, where epochs are short. What is kept is
            of these: the best weights, the metrics and the checkpoint that a stopped training goes on from.
        learning_rate: of AdamW, at its highest.
        schedule: the learning rate rises over a fifth of the steps (onecycle) or a twentieth (cosine), then falls to a
            thousandth.
        weight_decay: decoupled, as in AdamW.
        label_smoothing: share of the target spread over all classes.
        input_kind: what own items are whose shape has several readings: vector [F], signal [C, L], image [H, W]
            or [C, H, W], sequence of these; auto asks the model.
        input_range: the largest absolute value of own floating-point data that shall fit into 8 bits; the rest is
            clipped. 0 measures it on the training set, so that little is.
        task: what is learned: classification, multilabel, regression or segmentation; auto takes what the labels say.
        loss: of the logits averaged over time (mean), or of each step's logits by themselves, averaged then, so that
            early steps answer too (tet: temporal efficient training). In Python, a function as well.
        criterion: what the loss is: that of the task (auto), or cross-entropy, bce, mse or huber, of numbers in units
            in which they deviate by one.
        class_weights: what each class counts, numbers with commas, or balanced, so that all count the same; of labels
            of which each may be true, what a true one counts against a false one. None by default.
        tet_weight: with tet, share of the loss that is the squared distance of all logits from 1, the threshold.
        clip_norm: largest norm of the gradient; 0 does not clip.
        augment: whether training images are changed at random, as suits the data set.
        validation: images of the training set set apart to choose the best epoch; 0 takes a tenth, at most 5,000.
        precision: of products in training; auto is bf16 where the processor multiplies it, else fp32.
        workers: processes that read the items of own Datasets while the last batch computes; -1 starts some where
            reading takes long. Weights do not depend on how many there are.
        in_memory: own map-style Datasets are read anew in every epoch, so that what is random in them is drawn
            anew (auto), or once, since their items are fixed and fit (yes; in Python also True).
        steps_per_epoch: batches of an epoch, of own data that do not say how many they have; 0 asks them.
        seed: of everything random.
        remember_sample: keep up to 32 of the test items in model.spq, so that it can be exported, verified and reported
            on without a data set.
        init: folder of a run whose best weights are the first ones, or an .spq file whose integers are, of the same
            model at any width of bits; none by default.
        teacher: folder of a run whose network is imitated, or an .spq file; none by default. In Python, a module as
            well.
        distill_weight: share of the teacher in the loss.
        distill_temperature: softness of the teacher's answer.
        target_ops: share of the operations that is left when channels are pruned, above 0; 1 prunes none.
        target_rate: spikes per neuron and step that no layer should exceed; 1 lets all fire.
        target_synops: synaptic operations for an image that should not be exceeded; 0 lets all be done.
        rate_weight: of the last two in the loss.
        target_skip: share of the operations of convolutions on spikes that is left out where few neurons are expected
            to fire, below 1; 0 leaves none out.
        channel_choice: which channels target_ops prunes: learned by gates, or, as a control, random ones from the
            first step on, or those whose batch normalisation has the smallest scale once 60 % of the epochs are
            done.
    """

    model: str = "lenet-snn"
    dataset: str = "mnist"
    weight_bits: float | str = 2
    state_bits: float | str = 2
    timesteps: int = 2
    weight_quantizer: QuantizerName = "normalized"
    leak: float = 0.5
    reset: Reset = "zero"
    surrogate: Literal["triangle", "rectangle", "atan", "sigmoid"] = "triangle"
    learn_threshold: bool = False
    epochs: int = 20
    finetune_epochs: int = 0
    batch_size: int = 0
    accumulate: int = 1
    checkpoint_time: bool = False
    check_every: int = 1
    learning_rate: float = 4e-3
    schedule: Literal["onecycle", "cosine"] = "onecycle"
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    input_kind: Literal["auto", "vector", "signal", "image", "sequence"] = "auto"
    input_range: float = 0.0
    task: Literal["auto", "classification", "multilabel", "regression", "segmentation"] = "auto"
    loss: Literal["mean", "tet"] = "mean"
    criterion: Literal["auto", "cross-entropy", "bce", "mse", "huber"] = "auto"
    class_weights: str = ""
    tet_weight: float = 0.05
    clip_norm: float = 0.0
    augment: bool = True
    validation: int = 0
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    seed: int = 0
    workers: int = -1
    in_memory: Literal["auto", "yes"] = "auto"
    steps_per_epoch: int = 0
    remember_sample: bool = True
    init: str = ""
    teacher: str = ""
    distill_weight: float = 0.5
    distill_temperature: float = 2.0
    target_ops: float = 1.0
    target_rate: float = 1.0
    target_synops: float = 0.0
    rate_weight: float = 1.0
    target_skip: float = 0.0
    channel_choice: ChannelChoice = "learned"


@dataclass(frozen=True)
class TrainConfig(TrainOptions):
    """A training; the fields are those of ``TrainOptions``, checked.

    Raises:
        ConfigError: a value that does not exist; the message names the option.
    """

    def __post_init__(self) -> None:
        for field in fields(self):
            _check_length(field.name, getattr(self, field.name))
        quant = self.quant
        object.__setattr__(self, "weight_bits", widths_text(quant.weight_bits))
        object.__setattr__(self, "state_bits", quant.state_bits)
        for field in fields(self):
            _check_type(field.name, getattr(self, field.name), type(field.default))
        for name, low, high in _RANGES:
            if not low <= getattr(self, name) <= high:
                raise ConfigError(f"{name} must be from {low:g} to {high:g}, not {short(getattr(self, name))}")
        for name in ("target_ops", "target_rate"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(f"{name} must be above 0 and at most 1, not {short(getattr(self, name))}")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ConfigError(f"{name} must be one of {', '.join(choices)}, not {short(getattr(self, name))}")
        if self.epochs + self.finetune_epochs < 1:
            raise ConfigError("epochs must be at least 1, not 0")
        if self.target_ops < 1 and not self.epochs:
            raise ConfigError("target_ops needs epochs in training form, at least 1, not 0")
        if not 0 <= self.target_skip < 1:
            raise ConfigError(f"target_skip must be at least 0 and below 1, not {self.target_skip!r}")
        if self.target_skip > 0 and self.epochs < 2:
            raise ConfigError(f"target_skip needs epochs in training form, at least 2, not {self.epochs}")
        if self.finetune_epochs and not quant.integer:
            raise ConfigError("finetune_epochs needs weights and state of 1.58 to 8 bits, not floating point")

    @property
    def quant(self) -> QuantConfig:
        return QuantConfig(self.weight_bits, self.state_bits, self.timesteps, self.weight_quantizer)

    @property
    def goals(self) -> Goals:
        return Goals(
            self.target_ops,
            self.target_rate,
            self.target_synops,
            self.target_skip,
            self.rate_weight,
            self.channel_choice,
            self.seed,
        )


_RANGES = (
    ("epochs", 0, 1e6),
    ("finetune_epochs", 0, 1e6),
    ("batch_size", 0, 1e6),
    ("accumulate", 1, 1e6),
    ("check_every", 1, 1e6),
    ("learning_rate", 1e-12, 1e3),
    ("weight_decay", 0, 1e3),
    ("label_smoothing", 0, 0.999),
    ("tet_weight", 0, 0.999),
    ("clip_norm", 0, 1e9),
    ("validation", 0, 1e9),
    ("input_range", 0, 1e19),
    ("workers", -1, 256),
    ("steps_per_epoch", 0, 1e9),
    ("seed", 0, 2**31 - 1),
    ("distill_weight", 0, 1),
    ("distill_temperature", 1e-3, 1e3),
    ("target_synops", 0, 1e15),
    ("rate_weight", 0, 1e6),
)
_CHOICES = {  # of every option that is a choice
    name: get_args(hint) for name, hint in get_type_hints(TrainOptions).items() if get_origin(hint) is Literal
}


def _check_length(name: str, value: object) -> None:
    most = 16 if name == "state_bits" else _LONGEST_TEXT
    if isinstance(value, str) and len(value) > most:
        raise ConfigError(f"{name} must be at most {most} characters, not {len(value)}")


def _check_type(name: str, value: object, wanted: type) -> None:
    good = isinstance(value, wanted) or (wanted is float and isinstance(value, int))
    if wanted is int and name in ("weight_bits", "state_bits"):
        good = isinstance(value, int | float) or (name == "weight_bits" and isinstance(value, str))
    if not good or (isinstance(value, bool) and wanted is not bool):
        kinds = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
        raise ConfigError(f"{name} must be {kinds[wanted]}, not {short(value)}")


def with_options(options: dict[str, Any]) -> TrainConfig:
    """A configuration of the given fields and the defaults; numbers may be those of NumPy.

    Raises:
        ConfigError: there is no such field, or a value does not exist.
    """
    known = [field.name for field in fields(TrainConfig)]
    for name in options:
        if name not in known:
            near = did_you_mean(name, [*known, "quantization_bits"], ": ")
            raise ConfigError(f"there is no option {short(name)}" + (near or f"; the options are {', '.join(known)}"))
    plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in options.items()}
    return TrainConfig(**plain)


def what_and_on(config: TrainConfig) -> str:
    """Model and data set of a training in words."""
    model = "own model" if config.model == CUSTOM else config.model
    return f"{model} on {'own data' if config.dataset == CUSTOM else config.dataset}"


def refuse_neuron_options(options: dict[str, Any]) -> None:
    """Raise ConfigError if there are options of neurons, where the model was given in Python and says them itself."""
    for name in NEURON_OPTIONS:
        if name in options:
            raise ConfigError(f"{name} is said by the LIF layers of the model that was given: set it there")


def save_config(config: TrainConfig, path: Path) -> None:
    """Write a configuration as TOML; JSON writes texts and numbers as TOML does."""
    lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in asdict(config).items()]
    replace_file(path, "\n".join(lines) + "\n")


def load_config(path: Path) -> TrainConfig:
    """Read a configuration, which holds every field.

    Raises:
        RunError: there is no such file.
        FileFormatError: it is not a configuration.
    """
    if not os.path.exists(path):
        raise RunError(f"{path.parent} is not the folder of a run: it holds no {path.name}")
    wrong = "is not the configuration of a run"
    with guarded(path, "copy it again, or train again", wrong=wrong, unread=RunError):
        options = parse_toml(read_bytes(path, _LONGEST))
        missing = [field.name for field in fields(TrainConfig) if field.name not in options]
        if missing:
            raise Flaw(f"it holds no {missing[0]}")
        try:
            return with_options(options)
        except ConfigError as error:
            raise Flaw(str(error)) from error


def anchored(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options in which folders of other runs and of images are named from the root on, so that a training can go on
    from any folder.

    Raises:
        ConfigError: the working folder is no longer there.
    """
    named = {name: value for name in RUNS if (value := options.get(name)) not in (None, "", CUSTOM)}
    try:
        found = dict(options) | {
            name: os.path.abspath(value) for name, value in named.items() if isinstance(value, str | os.PathLike)
        }
        if isinstance(dataset := options.get("dataset"), str):
            found["dataset"] = anchored_name(dataset)
        return found
    except OSError as error:
        raise ConfigError(
            f"{next(iter(named), 'dataset')} is a path from the working folder, which is not there ({error.strerror}): "
            "go to another folder"
        ) from error


def differences(old: TrainConfig, new: TrainConfig) -> list[str]:
    """The fields in which two configurations differ, as "name: old, not new"."""
    a, b = asdict(old), asdict(new)
    return [f"{name}: {a[name]!r}, not {b[name]!r}" for name in a if a[name] != b[name]]


def departures(held: TrainConfig, asked: dict[str, Any]) -> list[str]:
    """In what the configuration of a run departs from options, as ``differences`` words it; options that leave a value
    to the training agree with whatever it found."""
    decided = {name: value for name, value in asked.items() if (name, value) not in UNRESOLVED}
    return differences(held, with_options(asdict(held) | anchored(decided)))
