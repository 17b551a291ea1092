"""The variants of an experiment on sparsity: trainings that differ in what is done for sparsity, and in nothing else.

Each variant of each seed is one ordinary run, in a folder of its own.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from spquant_snn.errors import ConfigError, RunError
from spquant_snn.train.config import TrainConfig, TrainOptions, departures, load_config
from spquant_snn.train.run import RunFolder, refuse_as_parent

_NEAR = 0.02  # how far, relatively, the target of a run that is there already may lie from the one that is needed
_BY_CHANNELS = 0.5  # of the way to target_ops, in its logarithm, that channels go where rates go the rest


@dataclass(frozen=True)
class Variant:
    """One way to come to a sparse network.

    Args:
        name: of its folder.
        title: in tables.
        options: of its training, in place of those that all share.
    """

    name: str
    title: str
    options: dict[str, Any] = field(default_factory=dict)


DENSE = Variant("dense", "dense", {"target_ops": 1.0, "target_skip": 0.0})
GATES = Variant("gates", "trained gates")  # of channels; and of blocks, where a share to skip is given
BOTH = Variant("both", "gates and rates")  # half of the way by each, of the operations of the dense variant
RANDOM = Variant("random", "random masks", {"channel_choice": "random", "target_skip": 0.0})
MAGNITUDE = Variant("magnitude", "magnitude pruning", {"channel_choice": "magnitude", "target_skip": 0.0})
RATES = Variant(
    "rates", "rate regulation", {"target_ops": 1.0, "target_skip": 0.0}
)  # with the target_synops that the gates come to
VARIANTS = (DENSE, GATES, BOTH, RANDOM, MAGNITUDE, RATES)
OURS = (GATES, BOTH)
CONTROLS = (RANDOM, MAGNITUDE, RATES)
REGULATED = (BOTH, RATES)  # have a target_synops, which is known when another variant has been trained


@dataclass(frozen=True)
class SparsityPlan:
    """What is to be trained.

    Args:
        config: of the variant of trained gates, at the first seed.
        more_seeds: that all variants are trained with as well.
        out: the folder of the runs' folders.

    Raises:
        ConfigError: there would be nothing to compare, nothing to count, or a seed that is none or is there twice.
    """

    config: TrainConfig
    more_seeds: tuple[int, ...]
    out: Path

    def __post_init__(self) -> None:
        config = self.config
        if config.target_ops == 1:
            raise ConfigError(
                "target_ops 1 prunes no channels, so there is nothing to compare: give a share below 1, as 0.2"
            )
        for name, default in (("channel_choice", "learned"), ("target_rate", 1.0), ("target_synops", 0.0)):
            if getattr(config, name) != default:
                raise ConfigError(f"{name} is what the variants differ in, not {getattr(config, name)!r}: leave it out")
        if not config.quant.integer:
            raise ConfigError("operations are counted on integers, not floating point: choose 1.58 to 8 bits")
        if len(set(self.seeds)) < len(self.seeds):
            raise ConfigError(f"seeds must differ, not {', '.join(map(str, self.seeds))}")
        for seed in self.seeds:
            replace(config, seed=seed)  # refuses what is no seed

    @property
    def seeds(self) -> tuple[int, ...]:
        return (self.config.seed, *self.more_seeds)

    def folder(self, variant: Variant, seed: int) -> RunFolder:
        """OUT/<variant> for the first seed, OUT/<variant>-s<seed> for others."""
        return RunFolder(self.out / (variant.name if seed == self.config.seed else f"{variant.name}-s{seed}"))

    def training(self, variant: Variant, seed: int, synops: float | None = None) -> TrainConfig:
        """The configuration of a variant's run; that of one which is there already, if it is this one.

        Args:
            synops: operations that rates are to be regulated to, as far as they are known.

        Raises:
            ConfigError: there is no such training.
            RunError: the folder holds a run of another configuration.
        """
        wanted = replace(self.config, seed=seed, **variant.options)
        if variant is BOTH:
            wanted = replace(wanted, target_ops=self.config.target_ops**_BY_CHANNELS)
        if variant not in REGULATED:  # for others it means nothing, and must not keep their runs from being taken over
            wanted = replace(wanted, rate_weight=TrainOptions.rate_weight)
        elif synops is not None:
            wanted = replace(wanted, target_synops=float(synops))
        run = self.folder(variant, seed)
        if not run.config.exists():
            return wanted
        held = load_config(run.config)
        asked = asdict(wanted)
        if variant in REGULATED and (synops is None or abs(held.target_synops - synops) <= _NEAR * synops):
            del asked["target_synops"]
        changed = departures(held, asked)
        if changed:
            raise RunError(
                f"{run.path} was started with {'; '.join(changed)}: choose another --out, or the options of that run"
            )
        return held

    def check(self) -> None:
        """Refuse folders that hold something else, before anything is trained.

        Raises:
            ConfigError, RunError: as ``training`` does; or the folder is itself a run, or a file.
        """
        refuse_as_parent(self.out, "variants")
        for seed in self.seeds:
            for variant in VARIANTS:
                self.training(variant, seed)
