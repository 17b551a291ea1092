"""Checkpoints: everything that a training needs to go on as if it had never stopped.

The order of the images, their augmentation and dropout are drawn afresh each epoch from the seed and the epoch's
number, and the learning rate is a function of the step: so weights, optimizer and epoch are all there is to keep.

Neither torch nor safetensors notices a flipped bit in a tensor. So a checkpoint ends with its SHA-256, and weights
carry the one of their tensors among their metadata; both stay readable by ``torch.load`` and by safetensors.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import zipfile
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from ..data.scores import ACCURACY, Metric
from ..errors import FileFormatError, RunError
from ..io.fields import Fields
from ..io.reading import Flaw, guarded, read_bytes
from ..io.texts import parse_object, short
from ..io.writing import replace_file
from .distributed import ALONE, World

_VERSION = 1
_MOST = 1 << 36  # bytes of a file
_LONGEST_HEADER = 1 << 24  # bytes, of weights
_REAL = {torch.float16, torch.bfloat16, torch.float32, torch.float64}
_STEP, _FIRST = "step", "exp_avg"
_MOMENTS = (_STEP, _FIRST, "exp_avg_sq")  # of AdamW; the first alone may be negative
_DIGEST = hashlib.sha256().digest_size


@dataclass(frozen=True)
class Best:
    """The best epoch so far, by its score on the validation set, the value of a metric."""

    epoch: int
    score: float
    loss: float

    def beaten_by(self, score: float, loss: float, metric: Metric = ACCURACY) -> bool:
        if self.epoch < 0 or math.isnan(self.score):
            return self.epoch < 0 or not math.isnan(score)
        sign = 1 if metric.larger_is_better else -1
        return (sign * score, -loss) > (sign * self.score, -self.loss)


NONE = Best(-1, -1.0, float("inf"))


@dataclass(frozen=True)
class Progress:
    """How far a training has come: epochs done, and the best of them."""

    epochs: int = 0
    best: Best = NONE


def save_checkpoint(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress) -> None:
    """Write the state after an epoch, into a folder that is there.

    Raises:
        RunError: the file cannot be written; the checkpoint before it is kept.
    """
    best = progress.best
    content = {
        "version": _VERSION,
        "epochs": progress.epochs,
        "best": [best.epoch, best.score, best.loss],
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    data = buffer.getvalue()
    replace_file(path, data + hashlib.sha256(data).digest(), make_folders=False)


def load_checkpoint(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, world: World = ALONE) -> Progress:
    """Restore the state after an epoch; of several processes, the first reads it for all.

    Raises:
        FileFormatError: the file is damaged, newer, or of another network.
    """
    data = world.from_first(lambda: _bytes(path))
    with _guarded(path, "start the training anew"):
        archive = data[:-_DIGEST]
        if hashlib.sha256(archive).digest() != data[-_DIGEST:]:
            raise Flaw("its checksum does not hold")
        _check_members(archive)
        content = torch.load(io.BytesIO(archive), map_location="cpu", weights_only=True)
        if not isinstance(content, dict):
            raise Flaw(f"it holds {short(content)}")
        fields = Fields(content)
        version = fields.integer("version", 1, 1 << 31)
        if version > _VERSION:
            raise FileFormatError(f"{path} was written by a newer version of spquant-snn: upgrade to resume it")
        progress = Progress(fields.integer("epochs", 0, 1 << 31), _best(fields.row("best", 3)))
        _put(fields.value("model"), model)
        _resume(fields.inner("optimizer"), optimizer)
        return progress


def _bytes(path: Path) -> bytes:
    with _guarded(path, "start the training anew"):
        return read_bytes(path, _MOST)


def _guarded(path: Path, remedy: str) -> AbstractContextManager[None]:
    return guarded(path, remedy, wrong="is damaged or belongs to another network")


def _check_members(data: bytes) -> None:
    """Refuse an archive that unpacks to more than it has; torch packs nothing."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if sum(member.file_size for member in archive.infolist()) > len(data):
            raise Flaw("its members are larger than the file")


def _best(row: list[object]) -> Best:
    """The best epoch; before the first, its loss is infinite."""
    epoch, score, loss = row
    if type(epoch) is not int or type(score) is not float or type(loss) is not float:
        raise Flaw(f"its best epoch is {short(epoch)}, {short(score)}, {short(loss)}")
    if not (-1 <= epoch <= 1 << 31 and not math.isnan(loss)):
        raise Flaw(f"its best epoch is {epoch}, {score}, {loss}")
    return Best(epoch, score, loss)


def _put(state: object, model: nn.Module) -> None:
    """Load tensors into a model, which must be of its shapes and of like numbers."""
    if not isinstance(state, dict):
        raise Flaw(f"its model is {short(state)}")
    for name, wanted in model.state_dict().items():
        found = state.get(name)
        if isinstance(found, Tensor) and not _alike(found, wanted):
            raise Flaw(f"{name} is {found.dtype}, not {wanted.dtype}")
    model.load_state_dict(state)


def _resume(state: Fields, optimizer: torch.optim.Optimizer) -> None:
    """Load the moments of an optimizer; its options are those of the configuration, or of who gave it."""
    own = optimizer.state_dict()
    groups, wanted = (
        [[*group["params"]] if isinstance(group, dict) else None for group in part]
        for part in (state.row("param_groups", 1 << 16), own["param_groups"])
    )
    if groups != wanted:
        raise Flaw("its optimizer is of other parameters")
    moments = state.value("state")
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    if not isinstance(moments, dict) or not set(moments) <= set(range(len(parameters))):
        raise Flaw("its optimizer is of other parameters")
    for index, held in moments.items() if type(optimizer) is torch.optim.AdamW else ():  # others keep what they like
        if not isinstance(held, dict) or set(held) != set(_MOMENTS):
            raise Flaw(f"its optimizer holds {short(held)} for parameter {index}")
        for name, moment in held.items():
            shape = torch.Size() if name == _STEP else parameters[index].shape
            if not isinstance(moment, Tensor) or moment.shape != shape or moment.dtype not in _REAL:
                raise Flaw(f"{name} of parameter {index} is {short(moment)} of another form")
            if not bool(moment.isfinite().all()) or (name != _FIRST and bool((moment < 0).any())):
                raise Flaw(f"{name} of parameter {index} holds a number that it cannot hold")
    optimizer.load_state_dict({"state": moments, "param_groups": own["param_groups"]})


def _alike(found: Tensor, wanted: Tensor) -> bool:
    """Whether the numbers of one can be those of the other."""
    return found.dtype == wanted.dtype or {found.dtype, wanted.dtype} <= _REAL


def save_weights(path: Path, model: nn.Module) -> None:
    """Write a model's parameters and buffers as safetensors, into a folder that is there.

    Raises:
        RunError: the file cannot be written; the weights before it are kept.
    """
    state: dict[str, Tensor] = {  # copies: gates of tied layers share a parameter, and the format knows no sharing
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in model.state_dict().items()
    }
    replace_file(path, save(state, {"sha256": _digest(state)}), make_folders=False)


def load_weights(path: Path, model: nn.Module) -> None:
    """Put into a model what ``save_weights`` wrote.

    Raises:
        RunError: there is no such file.
        FileFormatError: it is damaged or of another network.
    """
    state = read_weights(path)
    with _guarded(path, "copy it again, or train again"):
        _put(state, model)


def weights_size(path: Path) -> int:
    """Bytes of a file of weights.

    Raises:
        RunError: there is no such file.
    """
    try:
        return path.stat().st_size
    except OSError:
        raise _missing(path) from None


def read_weights(path: Path) -> dict[str, Tensor]:
    """What ``save_weights`` wrote, by its names.

    Raises:
        RunError: there is no such file.
        FileFormatError: it is damaged.
    """
    if not os.path.exists(path):
        raise _missing(path)
    with _guarded(path, "copy it again, or train again"):
        data = read_bytes(path, _MOST)
        length = int.from_bytes(data[:8], "little")
        if length > min(len(data), _LONGEST_HEADER):
            raise Flaw(f"its header claims {length} bytes")
        metadata = parse_object(data[8 : 8 + length]).get("__metadata__")
        state: dict[str, Tensor] = load(data)
        if not isinstance(metadata, dict) or metadata.get("sha256") != _digest(state):
            raise Flaw("its checksum does not hold")
        return state


def _missing(path: Path) -> RunError:
    return RunError(f"{path.parent} holds no {path.name}: train at least one epoch first")


def _digest(state: dict[str, Tensor]) -> str:
    return hashlib.sha256(save(state)).hexdigest()
