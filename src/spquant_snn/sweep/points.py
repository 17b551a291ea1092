"""A sweep: trainings that share options and differ in others, as a TOML file lists them.

model = "lenet-snn"             # options of all points, as in the config.toml of a run
dataset = "mnist"
seeds = [0, 1, 2]               # each point is trained with each of them

[cross]                         # every combination of these is a point
quantization_bits = [1.58, 2]   # of weights and state; or weight_bits and state_bits, each by itself
timesteps = [2, 4]

[[point]]                       # and so is this
quantization_bits = 32

[[point]]
weight_bits = "conv1=8,*=2"     # of each layer
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import product
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..io.reading import guarded, read_bytes
from ..io.texts import did_you_mean, parse_toml, short
from ..train.config import TrainConfig, with_options

_BOTH, _WIDTHS = "quantization_bits", ("weight_bits", "state_bits")
_KNOWN = (_BOTH, *(field.name for field in fields(TrainConfig)))
_LONGEST = 1 << 21  # bytes of a file
_MOST = 10_000  # points
_LETTERS = {"weight_bits": "w", "state_bits": "s", "timesteps": "T", "model": "", "dataset": ""}


@dataclass(frozen=True)
class Point:
    """A training of a sweep.

    Args:
        name: of its folder; tells in what it differs from the others.
        options: of its configuration, as far as the file gives them.
        config: all of it.
    """

    name: str
    options: dict[str, Any]
    config: TrainConfig


def read_sweep(path: Path) -> tuple[Point, ...]:
    """The points of a sweep: for each seed the combinations, the first list changing slowest, then the others.

    Raises:
        ConfigError: the file is not there, is no TOML, holds an option or a value that does not exist, the same
            training twice, too many, or nothing to train.
    """
    remedy = "name the TOML file of a sweep"
    with guarded(path, remedy, wrong="is no TOML file", unread=ConfigError, damaged=ConfigError):
        content = parse_toml(read_bytes(path, _LONGEST))
    try:
        return _points(content)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _points(content: dict[str, Any]) -> tuple[Point, ...]:
    seeds, cross, listed = (content.pop(name, None) for name in ("seeds", "cross", "point"))
    if seeds is not None and not (isinstance(seeds, list) and seeds):
        raise ConfigError(f"seeds must be a list of whole numbers, as [0, 1, 2], not {short(seeds)}")
    if cross is not None and not isinstance(cross, dict):
        raise ConfigError("cross must be a table of lists: write [cross] on a line, and the lists below it")
    if listed is not None and not (isinstance(listed, list) and all(isinstance(each, dict) for each in listed)):
        raise ConfigError("point must be a table for each point: write [[point]] on a line, and its options below it")
    if not (seeds or cross or listed):
        raise ConfigError("there is nothing to train: give lists below [cross], options below [[point]], or seeds")
    common = _widths(content)
    count = math.prod(map(len, _lists(cross).values())) if cross else 0
    count = max(1, count + len(listed or ())) * len(seeds or [0])
    if count > _MOST:
        raise ConfigError(f"there are more than {_MOST:,} points: write several sweeps")
    ways = [*(_combinations(cross) if cross else ()), *map(_widths, listed or ())] or [{}]
    if seeds and any("seed" in options for options in (common, *ways)):
        raise ConfigError("seeds are of all points: give either seeds or seed")
    points = [_point(common, way | seed) for seed in _seeds(seeds) for way in ways]
    named, trained = dict[str, Point](), dict[TrainConfig, Point]()
    for point in points:
        same = trained.setdefault(point.config, point)
        same = named.setdefault(point.name, point) if same is point else same
        if same is not point:
            both = same.name if same.name == point.name else f"{same.name} and {point.name}"
            raise ConfigError(f"two points are the same training, {both}: leave one out")
    return tuple(points)


def _lists(cross: Mapping[str, Any]) -> Mapping[str, list[Any]]:
    for name, values in cross.items():
        if not (isinstance(values, list) and values):
            raise ConfigError(f"{short(name)[1:-1]} below [cross] must be a list of values, not {short(values)}")
    return cross


def _seeds(seeds: list[Any] | None) -> list[dict[str, Any]]:
    return [{}] if seeds is None else [{"seed": seed} for seed in seeds]


def _combinations(cross: Mapping[str, list[Any]]) -> Iterator[dict[str, Any]]:
    for values in product(*cross.values()):
        yield _widths(dict(zip(cross, values, strict=True)))


def _widths(options: dict[str, Any]) -> dict[str, Any]:
    """The options with both widths in place of ``quantization_bits``."""
    for name, value in options.items():
        if name not in _KNOWN:
            known = f"; the options are seeds, [cross], [[point]], {', '.join(_KNOWN)}"
            raise ConfigError(f"there is no option {short(name)}{did_you_mean(name, _KNOWN, ': ') or known}")
        if isinstance(value, list | dict):
            raise ConfigError(f"{name} must be one value, not {short(value)}: lists stand below [cross]")
    if _BOTH not in options:
        return options
    if any(name in options for name in _WIDTHS):
        raise ConfigError(f"{_BOTH} stands for weight_bits and state_bits: give either that or these")
    bits = options[_BOTH]
    return dict.fromkeys(_WIDTHS, bits) | {name: value for name, value in options.items() if name != _BOTH}


def _point(common: dict[str, Any], own: dict[str, Any]) -> Point:
    config = with_options(common | own)
    return Point(_name(own, config), common | own, config)


def _name(own: dict[str, Any], config: TrainConfig) -> str:
    """What a folder is called for its own options: widths first, as in w1.58s2-T4-target_ops0.2-seed0."""
    widths = "".join(_part(name, getattr(config, name)) for name in _WIDTHS if name in own)
    parts = [widths, *(_part(name, getattr(config, name)) for name in own if name not in _WIDTHS)]
    return "-".join(filter(None, parts)).lstrip(".") or "base"


def _part(name: str, value: object) -> str:
    if isinstance(value, bool):
        return name if value else f"no-{name}"
    if isinstance(value, str):
        value = re.sub(r"[^\w.+-]", "_", value.replace(":", "x"), flags=re.ASCII)
        return f"{_LETTERS[name]}{value}" if name in _LETTERS else f"{name}-{value}"
    return f"{_LETTERS.get(name, name)}{value}"
