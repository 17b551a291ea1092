"""``spquant calibrate``: a trained float network, quantised without training."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import tyro

from ..errors import ConfigError, RunError
from ..io.output import say, say_json
from .options import AsJson, DataDir, Flag, FolderOrFile, Threads, unset, use_threads
from .source import open_run

if TYPE_CHECKING:
    from torch import Tensor

    from ..data.input_format import InputFormat
    from ..dtypes import Array
    from ..integer.grids import Bits
    from ..quant.bit_search import MakeNetwork

_UNITS = {"": 1, "b": 1, "kb": 1 << 10, "kib": 1 << 10, "mb": 1 << 20, "mib": 1 << 20}


def command(
    source: FolderOrFile,
    out: Annotated[Path, tyro.conf.arg(metavar="FILE")],
    images: Annotated[Path | None, unset(metavar="FILE")] = None,
    count: Annotated[int, tyro.conf.arg(metavar="N")] = 256,
    weight_bits: Annotated[str, tyro.conf.arg(metavar="BITS")] = "8",
    state_bits: Annotated[str, tyro.conf.arg(metavar="BITS")] = "8",
    budget: Annotated[str | None, unset(metavar="SIZE")] = None,
    agreement: Annotated[float | None, unset(metavar="PERCENT")] = None,
    timesteps: int = 10,
    sequences: Flag = False,
    dt: Annotated[float | None, unset()] = None,
    data_dir: DataDir = None,
    threads: Threads = 0,
    as_json: AsJson = False,
) -> int:
    """Quantise a trained float network without training.

    Args:
        source: folder of a run in floating point, or a NIR file.
        out: the .spq file to write; without a budget it keeps a few of the images, to be verified with.
        images: some of what the network is used on, .npy or .npz, of a NIR file; of a run, its training images by
            default.
        count: how many of them it sees; the first ones.
        weight_bits: 1.58 (or ternary), 2 to 8; or one for each layer by its path, as conv1=8,*=2.
        state_bits: the same for the potential stored between time steps.
        budget: largest size of the file, as 64KB; the widths of weights, one for each layer, are searched.
        agreement: percent of the answers that have to be those of floating point; the narrowest weights that keep them
            are searched.
        timesteps: steps for which an image is shown, of a NIR file.
        sequences: each item of images is a sequence, time first.
        dt: seconds of a time step, of a NIR file that does not say.
    """
    if budget is not None and agreement is not None:
        raise ConfigError("give either --budget or --agreement")
    if count < 1:
        raise ConfigError(f"count must be at least 1, not {count}")
    use_threads(threads)
    if os.path.isdir(source):
        make, inputs = _of_run(source, images, count, data_dir, state_bits)
    else:
        make, inputs = _of_nir(source, images, count, sequences, timesteps, dt, state_bits)
    from ..integer.file import save
    from ..quant.bit_search import find_bits
    from ..quant.calibration import calibrate
    from ..quant.lower import lower

    widths: Bits | Mapping[str, Bits] = weight_bits
    if budget is None and agreement is None:
        network = make(weight_bits)
        found = calibrate(network, inputs)
    else:
        share = None if agreement is None else agreement / 100
        size = None if budget is None else bytes_in(budget)
        best = find_bits(make, inputs, size, share)
        network, found, widths = best.network, best.calibration, best.widths
    shown = None if budget is not None else inputs.swapaxes(0, 1) if inputs.dim() == 5 else inputs
    save(lower(network.eval().freeze()), out, shown)
    written = out.stat().st_size
    if as_json:
        plain = widths if isinstance(widths, str) else dict(widths)  # type: ignore[arg-type]
        say_json(asdict(found) | {"out": str(out), "bytes": written, "weight_bits": plain})
        return 0
    for line in str(found).splitlines():
        say(line)
    say(f"{out}: {written:,} bytes; spquant eval {out} --images ... --labels ... measures it")
    return 0


def bytes_in(text: str) -> int:
    """A size in bytes: 65536, 64KB, 1.5 MB.

    Raises:
        ConfigError: it is none.
    """
    number = text.strip().rstrip("BbKkMmIi ")
    unit = text.strip()[len(number) :].strip().lower()
    try:
        found = float(number) * _UNITS[unit]
    except (ValueError, KeyError):
        raise ConfigError(f"a size is a number of bytes, as 65536 or 64KB, not {text!r}") from None
    if not 1 <= found < 2**40:
        raise ConfigError(f"a size is at least one byte, not {text!r}")
    return int(found)


def _of_run(
    folder: Path, images: Path | None, count: int, data_dir: Path | None, state_bits: str
) -> tuple[MakeNetwork, Tensor]:
    """What makes the network of a run at any bits, and training images."""
    found = open_run(folder)
    config = found.config
    assert config is not None
    if not found.floating:
        raise ConfigError(f"{folder} has integers already: calibrate a run of --weight-bits 32 --state-bits 32")
    from ..train.loading import load_network, named_model
    from ..train.start import start_from

    free = load_network(folder)
    if images is not None:
        values = _as_inputs(_values(images, count), cast("InputFormat", free.config.input_format), False)
    else:
        import numpy as np
        import torch

        from ..data import load
        from ..train.config import CUSTOM

        if config.dataset == CUSTOM:
            raise RunError(f"the data set of {folder} was given in Python: name some of its images by --images")
        data = load(config.dataset, data_dir, timesteps=config.timesteps)
        values = torch.from_numpy(np.array(data.train.inputs(slice(count))))

    def make(bits: Bits | Mapping[str, Bits]) -> Any:
        from ..quant.prepare import prepare

        quant = replace(free.config, weight_bits=bits, state_bits=state_bits)
        network = prepare(named_model(config, free.input_shape, free.outputs), quant, free.input_shape)
        start_from(folder, network)
        return network

    return make, values


def _of_nir(
    file: Path,
    images: Path | None,
    count: int,
    sequences: bool,
    timesteps: int,
    dt: float | None,
    state_bits: str,
) -> tuple[MakeNetwork, Tensor]:
    """What makes the network of a NIR file at any bits, and a user's images."""
    if images is None:
        raise ConfigError(f"{file} brings no data: name some of what it is used on by --images x.npy")
    from ..data.input_format import InputFormat
    from ..exchange.from_nir import from_nir
    from ..quant.prepare import prepare
    from ..quant.quant_config import QuantConfig

    module, given = from_nir(file, dt=dt), _values(images, count)
    measured, shape = InputFormat.measured(given), given.shape[2 if sequences else 1 :]

    def make(bits: Bits | Mapping[str, Bits]) -> Any:
        return prepare(module, QuantConfig(bits, state_bits, timesteps, input_format=measured), shape)

    return make, _as_inputs(given, measured, sequences)


def _values(images: Path, count: int) -> Array:
    """The first values of a file."""
    from ..data.own_files import read_own

    return read_own(images)[0][:count]


def _as_inputs(values: Array, form: InputFormat, sequences: bool) -> Tensor:
    """Values as inputs of a network; sequences with time first."""
    import numpy as np
    import torch

    inputs = form.quantize(values)[0]
    return torch.from_numpy(np.array(inputs.swapaxes(0, 1) if sequences else inputs))  # its own, to be written to
