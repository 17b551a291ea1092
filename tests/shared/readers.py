"""Every reader of the package but that of .spq files: a small good file, how it may be damaged, and what reads it.

``outcome(reader, folder, case)`` damages and reads: nothing but an error of the package may come out, in one sentence
that can be printed, soon and in little memory.
"""

import gzip
import hashlib
import io
import json
import pickle
import random
import struct
import tarfile
import time
import tracemalloc
import wave
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import h5py
import numpy as np
import torch
from PIL import Image
from torch import nn

import recorded
from benchmarks.harness.variant_results import LayerResult, variant_result
from damage import of_bytes, of_hdf5, of_json, of_lines, of_members, of_packed, of_toml
from mutations import walk
from spquant_snn.data.aedat import read_aedat2, read_aedat3
from spquant_snn.data.archive import unpack
from spquant_snn.data.cifar import read_binary, read_python
from spquant_snn.data.dvs_gesture import find_dvs_gesture, read_labels
from spquant_snn.data.events import Events, read_array, read_nmnist
from spquant_snn.data.frames import Framing
from spquant_snn.data.idx import read_idx
from spquant_snn.data.image_file import read_image
from spquant_snn.data.own_files import read_own
from spquant_snn.data.recordings import Recordings, framed
from spquant_snn.data.sound import read_wav
from spquant_snn.data.spike_file import SpikeFile
from spquant_snn.data.tar_shards import TarShards
from spquant_snn.errors import SpQuantError
from spquant_snn.export.c import VERSION
from spquant_snn.export.firmware import load_manifest
from spquant_snn.report.curves import read_epochs
from spquant_snn.report.page import _origin
from spquant_snn.sweep.points import read_sweep
from spquant_snn.sweep.status import PointRun
from spquant_snn.train.checkpoint import Progress, load_checkpoint, load_weights, save_checkpoint, save_weights
from spquant_snn.train.config import TrainConfig, load_config, save_config
from spquant_snn.train.fingerprint import model_print
from spquant_snn.train.loading import build_network, load_network
from spquant_snn.train.metrics import LayerActivity, Metrics
from spquant_snn.train.run import RunFolder

READ = "is read"
CONFIG = TrainConfig(model="lenet-snn:0.1", dataset="digits", weight_bits=2, state_bits=2)

_PATIENCE = 5.0  # seconds of processor time
_MEMORY = 64 << 20
_LONGEST = 6000  # of a message, which may name all options and a path of 4,096 characters


@dataclass(frozen=True)
class Reader:
    """Args:
    file: its name in a folder.
    make: writes it, and all that it needs beside it, into an empty folder.
    damage: of its bytes, by a random generator.
    read: what reads it, given its path.
    """

    file: str
    make: Callable[[Path], object]
    damage: Callable[[bytes, random.Random], bytes]
    read: Callable[[Path], object]


def outcome(reader, folder, good, case, traced=True):
    """What becomes of a damaged file.

    Args:
        folder: where ``reader.make`` has been.
        good: the bytes of its file.
        case: text that decides the damage.
        traced: bound the memory too, which takes several times as long.

    Returns:
        ``READ``, or the kind of the error.

    Raises:
        AssertionError: it takes too long or too much memory, or a message is no sentence.
        Exception: any error but those of the package is a defect.
    """
    path = folder / reader.file
    path.write_bytes(reader.damage(good, random.Random(case)))
    if traced:
        tracemalloc.start()
    try:
        start = time.process_time()
        try:
            reader.read(path)
        except SpQuantError as error:
            text, said = str(error), type(error).__name__
            assert text.isprintable(), repr(text)
            assert len(text) < _LONGEST, f"{len(text)} characters: {text[:200]}"
        else:
            said = READ
        seconds, peak = time.process_time() - start, tracemalloc.get_traced_memory()[1] if traced else 0
    finally:
        tracemalloc.stop()
    assert seconds < _PATIENCE, f"{seconds:.1f} s"
    assert peak < _MEMORY, f"{peak:,} bytes"
    return said


def _write(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def _run(folder):
    """A folder of a run that has come to its end."""
    run = RunFolder(folder)
    network = build_network(CONFIG, (1, 8, 8), 10)
    run.create(CONFIG, (1, 8, 8), 10, fingerprint={"model": model_print(network)})
    for epoch in (1, 2):
        _log(run, epoch)
    save_weights(run.weights, network)
    layer = asdict(LayerResult("conv1", 4, 10.0, 5.0, 5.0, 1.0, 3))
    note = {"images": 3, "accuracy": 90.0, "layers": [layer, layer]}
    run.note(best={"epoch": 2, "val_accuracy": 90.0, "val_loss": 0.5}, test_accuracy=90.0, deployed=note)


def _read_run(path):
    load_network(path.parent)


def _read_record(path):
    """All that is taken from a record; what is written into it stays out."""
    run = RunFolder(path.parent)
    _origin(run.read_record())
    for take in (lambda: PointRun(None, run).shown, lambda: variant_result("dense", 0, run, None)):
        with suppress(SpQuantError):
            take()
    _read_run(path)


def _log(run, epoch):
    layers = (LayerActivity("conv1", 0.2, 0.1, 0.0), LayerActivity("conv2", 0.2, 0.1, 0.0))
    run.log_epoch(epoch, 0.5, 80.0, Metrics(90.0, 0.5, layers), {"channels": {"conv1": [3, 4]}, "ops_share": 0.5})


def _read_metrics(path):
    """As a training that goes on and a report read them."""
    run = RunFolder(path.parent)
    with suppress(SpQuantError):
        read_epochs(run)
    _log(run, 2)
    read_epochs(run)


def _model():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.Linear(6, 2))
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.randn(7, 5)).square().sum().backward()
    optimizer.step()
    return model, optimizer


def _checkpoint(folder):
    save_checkpoint(folder / "checkpoint.pt", *_model(), Progress(1))


def _read_checkpoint(path):
    model, optimizer = _model()
    load_checkpoint(path, model, optimizer)
    optimizer.step()


def _of_checkpoint(data, rng):
    """The content changed, and written and signed as a training does; or the bytes changed, and signed or not."""
    kind, body = rng.randrange(4), data[:-32]
    if kind == 0:
        return of_bytes(data, rng)
    if kind == 1:
        body = of_bytes(body, rng)
    elif kind == 2:
        body = of_members(body, rng)
    else:
        content = [torch.load(io.BytesIO(body), weights_only=True)]
        for _ in range(rng.choice([1, 1, 2])):
            places = list(walk(content))
            inner, key = rng.choice(places)
            other, place = rng.choice(places)
            odd = [
                None,
                10**400,
                -1,
                float("nan"),
                "x",
                [],
                {},
                [[[[]]]],
                torch.zeros(3),
                torch.zeros(6, 5).int(),
                True,
            ]
            inner[key] = rng.choice([*odd, other[place]])
        buffer = io.BytesIO()
        try:
            torch.save(content[0], buffer)
        except RecursionError:  # a container within itself
            return data
        body = buffer.getvalue()
    return body + hashlib.sha256(body).digest()


def _of_weights(data, rng):
    """The header changed, with a length that is right or not; or any bytes."""
    if rng.random() < 0.3:
        return of_bytes(data, rng)
    length = int.from_bytes(data[:8], "little")
    header = of_json(data[8 : 8 + length], rng)
    return rng.choice([len(header), len(header), length]).to_bytes(8, "little") + header + data[8 + length :]


def _read_weights(path):
    load_weights(path, _model()[0])


EVENTS = [(10, 0, 0, 1), (10, 33, 33, 0), (25, 3, 20, 1), (400, 6, 2, 0)]
STRUCTURED = np.array(EVENTS, [("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "u1")])
RESET = recorded.aedat3_packet(0, [recorded.special(0, 1)])
PACKETS = recorded.in_packets(EVENTS, [2])
HEADING, GESTURES = "class,startTime_usec,endTime_usec\n", "1,0,20\n3,20,500\n"
LIST, WEIGHTS = "trials_to_train.txt", "model.safetensors"


def _npy(array):
    packed = io.BytesIO()
    np.save(packed, array)
    return packed.getvalue()


def _npz(**arrays):
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)
    return packed.getvalue()


def _dvs_gesture(folder):
    for name in ("user01_led", "user02_led"):
        (folder / f"{name}.aedat").write_bytes(recorded.aedat3(*recorded.in_packets(EVENTS, [2])))
        (folder / f"{name}_labels.csv").write_text(HEADING + GESTURES)
    (folder / "trials_to_test.txt").write_text("user01_led.aedat\n")
    (folder / "trials_to_train.txt").write_text("user01_led.aedat\nuser02_led.aedat\n")


def _frames(folder):
    """The frames of two recordings in a cache."""
    columns = (np.array([column], kind) for column, kind in zip(EVENTS[0], ("i8", "u1", "u1", "u1"), strict=True))
    one = Events(*columns, (6, 8))
    recordings = Recordings("toy", (6, 8), (0, 1), {"seed": 3}, lambda: iter([one, one]))
    return framed(recordings, Framing(steps=2), folder, progress=False)


def _cache(name):
    """The file ``name`` of such a cache, brought out of its folder."""

    def make(folder):
        _frames(folder)
        (held,) = (path for path in folder.iterdir() if path.is_dir())
        (folder / name).write_bytes((held / name).read_bytes())

    def read(path):
        (held,) = (each for each in path.parent.iterdir() if each.is_dir())
        (held / name).write_bytes(path.read_bytes())
        return _frames(path.parent)

    return make, read


def _idx():
    return struct.pack(">HBB3I", 0, 8, 3, 2, 3, 4) + bytes(range(24))


def _read_idx(path):
    return read_idx(path, (3, 4))


def _batch():
    return pickle.dumps({b"labels": [3, 4], b"data": np.arange(6144, dtype=np.uint8).reshape(2, 3072)}, protocol=2)


def _tar():
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as archive:
        for name in ("d/a.bin", "d/b.bin"):
            member = tarfile.TarInfo(name)
            member.size = 700
            archive.addfile(member, io.BytesIO(bytes(700)))
    return packed.getvalue()


def _unpack(path):
    unpack(path, ("d/a.bin", "d/b.bin"), path.parent / "out", 1 << 20)


def _sound():
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", "not compressed"))
        file.writeframes(bytes(range(200)))
    return content.getvalue()


def _spikes(folder):
    with h5py.File(folder / "x.h5", "w") as file:
        for name, kind in (("times", "f4"), ("units", "u2")):
            file.create_dataset(f"spikes/{name}", (3,), h5py.vlen_dtype(np.dtype(kind)))
        for number in range(3):
            file["spikes/times"][number] = np.linspace(0, 0.05, 3 + number, dtype="f4")
            file["spikes/units"][number] = np.arange(3 + number, dtype="u2")
        file["labels"] = np.arange(3) % 2
        file["extra/keys"] = np.array([b"left", b"right"])


def _read_spikes(path):
    recordings = SpikeFile(path, steps=4, units=8)
    for number in range(len(recordings)):
        recordings[number]


def _image(kind):
    packed = io.BytesIO()
    Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(packed, kind)
    return packed.getvalue()


def _shard():
    packed = io.BytesIO()
    members = {
        "1.png": _image("PNG"),
        "1.cls": b"1",
        "2.npy": _npy(np.zeros((2, 3), np.int8)),
        "2.json": b'{"label": 0}',
    }
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size, member.pax_headers = len(content), {"comment": "x"}
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


MANIFEST = {
    "version": VERSION,
    "name": "model",
    "title": "x",
    "dataset": "digits",
    "input_shape": [1, 8, 8],
    "classes": 10,
    "answers": 10,
    "timesteps": 2,
    "small": False,
    "form": "general",
    "chosen": [],
    "layers": ["conv1", "fc"],
    "sources": ["model.c", "layers.c"],
    "files": {"model.c": "00"},
}
SWEEP = """
dataset = "digits"
seeds = [0, 7]
epochs = 3
[cross]
weight_bits = ["ternary", 4]
target_ops = [0.2, 1.0]
[[point]]
quantization_bits = 32
timesteps = 1
"""


def _single(name, content, read, damage=of_bytes):
    """Of a file that needs nothing beside it."""
    return Reader(name, _write(name, content), damage, read)


RUNS = {
    "config": Reader("config.toml", lambda folder: save_config(CONFIG, folder / "config.toml"), of_toml, load_config),
    "run-config": Reader("config.toml", _run, of_toml, _read_run),
    "run-record": Reader("run.json", _run, of_json, _read_record),
    "metrics": Reader("metrics.jsonl", _run, of_lines, _read_metrics),
    "weights": Reader(WEIGHTS, lambda folder: save_weights(folder / WEIGHTS, _model()[0]), _of_weights, _read_weights),
    "checkpoint": Reader("checkpoint.pt", _checkpoint, _of_checkpoint, _read_checkpoint),
    "sweep": Reader("sweep.toml", _write("sweep.toml", SWEEP.encode()), of_toml, read_sweep),
    "manifest": Reader(
        "firmware.json",
        _write("firmware.json", json.dumps(MANIFEST).encode()),
        of_json,
        lambda path: load_manifest(path.parent),
    ),
}
DATA = {
    "npy": _single("x.npy", _npy(STRUCTURED), read_array),
    "npz": _single("x.npz", _npz(**{name: STRUCTURED[name] for name in "txyp"}), read_array, of_members),
    "own-npy": _single("x.npy", _npy(np.arange(24, dtype=np.uint8).reshape(2, 3, 4)), read_own),
    "own-npz": _single("x.npz", _npz(images=np.zeros((2, 1, 3), np.uint8), labels=np.arange(2)), read_own, of_members),
    "npz-one": _single("x.npz", _npz(events=STRUCTURED), read_array, of_members),
    "aedat3": _single("x.aedat", recorded.aedat3(*PACKETS, RESET, *PACKETS), read_aedat3),
    "aedat2": _single("x.aedat", recorded.aedat2(EVENTS), read_aedat2),
    "nmnist": _single("x.bin", recorded.nmnist(EVENTS), read_nmnist),
    "gesture-labels": _single("x.csv", (HEADING + GESTURES).encode(), read_labels),
    "gesture-list": Reader(LIST, _dvs_gesture, of_bytes, lambda path: find_dvs_gesture(path.parent)),
    "frames-about": Reader("about.json", _cache("about.json")[0], of_json, _cache("about.json")[1]),
    "frames": Reader("frames.npy", _cache("frames.npy")[0], of_bytes, _cache("frames.npy")[1]),
    "idx": _single("x", _idx(), _read_idx),
    "idx-gzip": _single("x.gz", gzip.compress(_idx(), mtime=0), _read_idx, of_packed(of_bytes)),
    "cifar-binary": _single("x.bin", bytes(2 * 3073), lambda path: read_binary(path, 2)),
    "cifar-python": _single("x", _batch(), lambda path: read_python(path, 2)),
    "hdf5": Reader("x.h5", _spikes, of_hdf5, _read_spikes),
    "wav": _single("x.wav", _sound(), read_wav),
    "png": _single("x.png", _image("PNG"), read_image),
    "jpeg": _single("x.jpg", _image("JPEG"), read_image),
    "tar": _single("x.tar", _shard(), lambda path: list(TarShards(path))),
    "tar-gzip": _single(
        "x.tgz", gzip.compress(_shard(), mtime=0), lambda path: list(TarShards(path)), of_packed(of_bytes)
    ),
    "cifar-archive": _single("x.tar.gz", _tar(), _unpack, of_packed(of_bytes)),
}
READERS = RUNS | DATA
