"""Checkpoints: everything that a training needs to go on as if it had never stopped.

The order of the images, their augmentation and dropout are drawn afresh each epoch from the seed and the epoch's
number, and the learning rate is a function of the step: so weights, optimizer and epoch are all there is to keep.

Neither torch nor safetensors notices a flipped bit in a tensor. So a checkpoint ends with its SHA-256, and weights
carry the one of their tensors among their metadata; both stay readable by ``torch.load`` and by safetensors.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from ..errors import FileFormatError, RunError, SpQuantError
from ..files import replace_file
from .distributed import ALONE, World

_VERSION = 1
_DIGEST = hashlib.sha256().digest_size


@dataclass(frozen=True)
class Best:
    """The best epoch so far, by the accuracy on the validation images."""

    epoch: int
    accuracy: float
    loss: float

    def beaten_by(self, accuracy: float, loss: float) -> bool:
        return (accuracy, -loss) > (self.accuracy, -self.loss)


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
        "best": [best.epoch, best.accuracy, best.loss],
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
    try:
        data = world.from_first(lambda: _bytes(path))
        if hashlib.sha256(data[:-_DIGEST]).digest() != data[-_DIGEST:]:
            raise ValueError("its checksum does not hold")
        content: dict[str, Any] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        version = content["version"]
        if version > _VERSION:
            raise FileFormatError(f"{path} was written by a newer version of spquant-snn: upgrade to resume it")
        epoch, accuracy, loss = content["best"]
        model.load_state_dict(content["model"])
        optimizer.load_state_dict(content["optimizer"])
        return Progress(int(content["epochs"]), Best(int(epoch), float(accuracy), float(loss)))
    except SpQuantError:
        raise
    except (
        RuntimeError,
        KeyError,
        TypeError,
        ValueError,
        EOFError,
        AttributeError,
        IndexError,
        pickle.UnpicklingError,
    ) as error:
        raise _lost(path, error) from None


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _lost(path, error) from None


def _lost(path: Path, error: Exception) -> FileFormatError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return FileFormatError(f"{path} is damaged or belongs to another network ({reason[:120]}): start the training anew")


def save_weights(path: Path, model: nn.Module) -> None:
    """Write a model's parameters and buffers as safetensors, into a folder that is there.

    Raises:
        RunError: the file cannot be written; the weights before it are kept.
    """
    state: dict[str, Tensor] = {  # copies: gates of partners share a parameter, and the format knows no sharing
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
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise _unusable(path, error) from None


def read_weights(path: Path) -> dict[str, Tensor]:
    """What ``save_weights`` wrote, by its names.

    Raises:
        RunError: there is no such file.
        FileFormatError: it is damaged.
    """
    try:
        data = path.read_bytes()
        state: dict[str, Tensor] = load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        if header.get("__metadata__", {}).get("sha256", digest := _digest(state)) != digest:
            raise ValueError("its checksum does not hold")
        return state
    except OSError:
        raise RunError(f"{path.parent} holds no {path.name}: train at least one epoch first") from None
    except (SafetensorError, RuntimeError, KeyError, ValueError) as error:
        raise _unusable(path, error) from None


def _unusable(path: Path, error: Exception) -> FileFormatError:
    return FileFormatError(
        f"{path} is damaged or belongs to another network ({str(error).splitlines()[0][:120]}): "
        "copy it again, or train again"
    )


def _digest(state: dict[str, Tensor]) -> str:
    return hashlib.sha256(save(state)).hexdigest()
