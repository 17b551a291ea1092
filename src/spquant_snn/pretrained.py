"""A folder that holds a trained network for others, as model hubs have it: its integers, its weights, and a card."""

from __future__ import annotations

import copy
import hashlib
import json
import os
from pathlib import Path

from safetensors.torch import save as to_safetensors

from .data.items import Items
from .errors import ConfigError, FileFormatError, MissingDependencyError, RunError
from .integer.file import to_bytes
from .integer.graph import Graph
from .integer.program import Program
from .integer.sample import items_of, sample_of
from .io.reading import guarded, open_file, read_up_to
from .io.texts import package_version, parse_object
from .io.writing import path_text, replace_file
from .quant.lower import lower
from .quant.network import SpikingNetwork, as_network
from .report.ledger import make_ledger
from .report.ledger_tables import ledger_markdown
from .runtime.native import load

CONFIG, INTEGERS, WEIGHTS, CARD = "config.json", "model.spq", "model.safetensors", "README.md"
_LARGEST = 1 << 32  # bytes of a file
_COUNTED = 1000  # inputs for a ledger


def save_pretrained(
    network: SpikingNetwork,
    folder: str | os.PathLike[str],
    accuracy: float | None = None,
    description: str = "",
    sample: object = None,
) -> Path:
    """Write a network as a folder that can be published: config.json with hashes, model.safetensors with the weights
    of training, model.spq with the integers, and README.md, a card of bits, accuracy and what an inference costs.
    Pushing it anywhere is the user's.

    Args:
        network: of ``prepare`` or a trainer, in training or frozen; it stays as it is.
        folder: a new or empty one, or one of an earlier call.
        accuracy: in percent, for the card, as ``trainer.evaluate()`` gives it.
        description: a paragraph for the card: what it was trained on.
        sample: test inputs, or a pair of these and their labels, as ``save`` takes them: the card has the ledger of the
            first 1,000, operations and energies, and model.spq keeps a few.

    Raises:
        DataError: the sample is not what the network takes.
        ConfigError: ``folder`` is no path.
        ModelError: the network has no integer form, or is none.
        RunError: the folder holds something else, or cannot be written.

    Example:
        test = trainer.data.test
        save_pretrained(
            trainer.network, "lenet-2bit", trainer.evaluate(), "Trained on MNIST.", (test.images, test.labels)
        )
    """
    network, out = as_network(network), Path(path_text(folder))
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / CONFIG).exists())):
        raise RunError(f"{out} is there and holds something else, so it is kept: choose another folder")
    frozen = copy.deepcopy(network).eval().freeze()
    graph = lower(frozen)
    items = None if sample is None else items_of(graph, sample)
    weights = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    files = {
        INTEGERS: to_bytes(graph, None if items is None else sample_of(graph, items)),
        WEIGHTS: to_safetensors({name: value.clone() for name, value in weights.items()}),
        CARD: _card(graph, accuracy, description, out.resolve().name, items).encode(),
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


def from_pretrained(source: str | os.PathLike[str], revision: str | None = None) -> Program:
    """The integers in a folder of ``save_pretrained``, ready to run.

    Args:
        source: the folder, or the id of a model on the Hugging Face hub ("owner/name"), which needs huggingface-hub.
        revision: branch, tag or commit of the model on the hub.

    Raises:
        ConfigError: the hub does not give a model of this id, a folder is given a revision, or ``source`` is no path.
        FileFormatError: a file is missing, or is not what config.json says.
        MissingDependencyError: there is no such folder, and huggingface-hub is not installed.

    Example:
        program = from_pretrained("lenet-2bit")
    """
    name = path_text(source)
    if os.path.isdir(name):
        if revision is not None:
            raise ConfigError(f"{name} is a folder, and revision is of a model on the hub: leave it out")
        return _read_all(Path(name), name, "copy or download the whole folder again")
    folder = _downloaded(name, revision)
    return _read_all(folder, f"{name} on the hub", f"remove {folder}, and it is downloaded again; or tell its owner")


def _read_all(folder: Path, whose: str, remedy: str) -> Program:
    """The program in a folder, whose files are those that its config.json says."""
    found = {name: _read(folder, name, whose, remedy) for name in (CONFIG, INTEGERS, WEIGHTS)}
    with guarded(folder / CONFIG, remedy):
        hashes = parse_object(found[CONFIG]).get("sha256")
    for name in (INTEGERS, WEIGHTS):
        wanted = hashes.get(name) if isinstance(hashes, dict) else None
        if hashlib.sha256(found[name]).hexdigest() != wanted:
            raise FileFormatError(f"{name} of {whose} is not the file that {CONFIG} says: {remedy}")
    return load(folder / INTEGERS)


def _read(folder: Path, name: str, whose: str, remedy: str) -> bytes:
    path = folder / name
    if not path.exists():
        raise FileFormatError(f"{whose} holds no {name}, as each folder of save_pretrained does: {remedy}")
    with guarded(path, remedy), open_file(path) as file:
        return bytes(read_up_to(file, _LARGEST))


def _downloaded(name: str, revision: str | None) -> Path:
    """The folder in which the hub's package keeps a model, downloaded if it is not there.

    Raises:
        ConfigError: there is none, none that may be read, or the hub cannot be reached.
        MissingDependencyError: there is no package.
    """
    if name.count("/") != 1 or name.startswith(("/", ".")) or name.endswith("/"):
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
        return Path(snapshot_download(name, revision=revision, allow_patterns=[CONFIG, INTEGERS, WEIGHTS]))
    except Exception as error:  # of many classes, those of its network too
        raise ConfigError(_refused(name, revision, error)) from None


def _refused(name: str, revision: str | None, error: Exception) -> str:
    """Why the hub does not give a model; its classes lie in other places from version to version."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if "GatedRepoError" in kinds:
        return f"the owner of {name} lets nobody read it who has not asked: ask on its page, then hf auth login"
    if "RepositoryNotFoundError" in kinds:
        return f"the hub has no model {name} that you may read: check the id, or log in by hf auth login"
    if "RevisionNotFoundError" in kinds:
        return f"{name} on the hub has no revision {revision}: give a branch, a tag or a commit of it"
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    if "HFValidationError" in kinds:
        return f"{name} is no folder, and no id that the hub knows ({reason}): give owner/name of a model"
    return f"the hub does not give {name} ({reason}): check the network, or download its folder another way"


def _bits(graph: Graph) -> dict[str, float]:
    """Of the weights of each connection."""
    return {connection.name: connection.bits for connection in graph.connections}


def _card(graph: Graph, accuracy: float | None, description: str, title: str, items: Items | None) -> str:
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
    ledger = ""
    if items is not None:
        few = items.of_one_length().first(_COUNTED)
        ledger = f"\n## Ledger\n\n{ledger_markdown(make_ledger(graph, few.inputs(), few.classes))}\n"
    return (
        "---\nlibrary_name: spquant-snn\ntags: [spiking-neural-network, quantized]\n---\n\n"
        f"# {title}\n\n{description + chr(10) * 2 if description else ''}| | |\n|---|---|\n{table}\n\n"
        "```python\nfrom spquant_snn import from_pretrained\n\n"
        'program = from_pretrained("...")  # this folder, or its id on the hub\n'
        "classes = program.predict(images)\n```\n"
        f"{ledger}"
    )
