"""A folder that holds a trained network for others, as model hubs have it: its integers, its weights, and a card."""

from __future__ import annotations

import copy
import hashlib
import json
import os
from pathlib import Path

from safetensors.torch import save as to_safetensors

from ..errors import ConfigError, FileFormatError, MissingDependencyError, RunError
from ..integer.file import to_bytes
from ..integer.graph import Graph
from ..integer.program import Program
from ..io.reading import guarded, open_file, read_up_to
from ..io.texts import package_version, parse_object
from ..io.writing import replace_file
from ..quant.lower import lower
from ..quant.network import SpikingNetwork
from ..runtime.native import load

CONFIG, INTEGERS, WEIGHTS, CARD = "config.json", "model.spq", "model.safetensors", "README.md"
_LARGEST = 1 << 32  # bytes of a file
_AGAIN = "copy or download the whole folder again"


def save_pretrained(
    network: SpikingNetwork, folder: str | os.PathLike[str], accuracy: float | None = None, description: str = ""
) -> Path:
    """Write a network as a folder that can be published: config.json with hashes, model.safetensors with the weights
    of training, model.spq with the integers, and README.md, a card. Pushing it anywhere is the user's.

    Args:
        network: of ``prepare`` or a trainer, in training or frozen; it stays as it is.
        folder: a new or empty one, or one of an earlier call.
        accuracy: in percent, for the card, as ``trainer.evaluate()`` gives it.
        description: a paragraph for the card: what it was trained on.

    Raises:
        ModelError: the network has no integer form.
        RunError: the folder holds something else, or cannot be written.

    Example:
        save_pretrained(trainer.network, "lenet-2bit", trainer.evaluate(), "Trained on MNIST.")
    """
    out = Path(folder)
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / CONFIG).exists())):
        raise RunError(f"{out} is there and holds something else, so it is kept: choose another folder")
    frozen = copy.deepcopy(network).eval().freeze()
    graph = lower(frozen)
    weights = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    files = {
        INTEGERS: to_bytes(graph),
        WEIGHTS: to_safetensors({name: value.clone() for name, value in weights.items()}),
        CARD: _card(graph, accuracy, description, out.name).encode(),
    }
    config = {
        "library_name": "spquant-snn",
        "version": package_version(),
        "accuracy": accuracy,
        "input_shapes": [list(given.shape) for given in graph.inputs],
        "timesteps": graph.timesteps,
        "outputs": [list(shape) for shape in graph.outputs],
        "weight_bits": _bits(graph),
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in files.items() if name != CARD},
    }
    for name, data in files.items():
        replace_file(out / name, data)
    replace_file(out / CONFIG, json.dumps(config, indent=2) + "\n")
    return out


def from_pretrained(source: str | os.PathLike[str]) -> Program:
    """The integers in a folder of ``save_pretrained``, ready to run.

    Args:
        source: the folder, or the id of a model on the Hugging Face hub ("owner/name"), which needs huggingface-hub.

    Raises:
        ConfigError: the hub does not give a model of this id.
        FileFormatError: a file is missing, or is not what config.json says.
        MissingDependencyError: there is no such folder, and huggingface-hub is not installed.

    Example:
        program = from_pretrained("lenet-2bit")
    """
    folder = Path(source) if os.path.isdir(source) else _downloaded(os.fspath(source))
    said = _read(folder, CONFIG)
    with guarded(folder / CONFIG, _AGAIN):
        hashes = parse_object(said).get("sha256")
    for name in (INTEGERS, WEIGHTS):
        wanted = hashes.get(name) if isinstance(hashes, dict) else None
        if hashlib.sha256(_read(folder, name)).hexdigest() != wanted:
            raise FileFormatError(f"{folder / name} is not the file that {CONFIG} says: copy or download it again")
    return load(folder / INTEGERS)


def _read(folder: Path, name: str) -> bytes:
    path = folder / name
    with guarded(path, _AGAIN), open_file(path) as file:
        return bytes(read_up_to(file, _LARGEST))


def _downloaded(name: str) -> Path:
    if name.count("/") != 1 or name.startswith(("/", ".")):
        raise ConfigError(
            f"there is no folder {name}: give one of save_pretrained, or owner/name of a model on the hub"
        )
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise MissingDependencyError(
            f"there is no folder {name}, and the hub needs huggingface-hub: pip install 'spquant-snn[hub]'"
        ) from None
    try:
        return Path(snapshot_download(name, allow_patterns=[CONFIG, INTEGERS, WEIGHTS]))
    except Exception as error:  # of many classes, those of its network too
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ConfigError(f"the hub does not give {name} ({reason}): check the id and the network") from None


def _bits(graph: Graph) -> dict[str, float]:
    """Of the weights of each connection."""
    return {connection.name: connection.bits for connection in graph.connections}


def _card(graph: Graph, accuracy: float | None, description: str, title: str) -> str:
    rows = [
        ("weights", ", ".join(sorted({f"{bits:g} bits" for bits in _bits(graph).values()}))),
        ("membranes", ", ".join(sorted({f"{layer.neuron.bits:g} bits" for layer in graph.layers}))),
        ("accuracy", "not given" if accuracy is None else f"{accuracy:.2f} %"),
        ("time steps", str(graph.timesteps)),
        ("weights in memory", f"{graph.weight_bytes:,.0f} bytes"),
        ("stored codes of one input", f"{graph.state_bytes:,.0f} bytes"),
        ("synapses", f"{sum(connection.codes.size for connection in graph.connections):,}"),
    ]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    return (
        "---\nlibrary_name: spquant-snn\ntags: [spiking-neural-network, quantized]\n---\n\n"
        f"# {title}\n\n{description + chr(10) * 2 if description else ''}| | |\n|---|---|\n{table}\n\n"
        "```python\nfrom spquant_snn import from_pretrained\n\n"
        'program = from_pretrained("...")  # this folder, or its id on the hub\n'
        "classes = program.predict(images)\n```\n"
    )
