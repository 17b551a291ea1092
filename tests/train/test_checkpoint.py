"""Checkpoints: what is written comes back, what is damaged is refused in one sentence, and nothing in one is run."""

import errno
import hashlib
import io
import itertools
import random
import zipfile
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from cases import case
from spquant_snn import FileFormatError, RunError
from spquant_snn.train.checkpoint import (
    NONE,
    Best,
    Progress,
    load_checkpoint,
    load_weights,
    save_checkpoint,
    save_weights,
)


def trained(seed=0, width=6):
    """A small model and its optimizer after three steps."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(5, width), nn.BatchNorm1d(width), nn.Linear(width, 2))
    optimizer = torch.optim.AdamW(model.parameters())
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.randn(7, 5)).square().sum().backward()
        optimizer.step()
    return model, optimizer


def numbers(value):
    """All tensors and numbers in nested containers, as one comparable list."""
    if isinstance(value, dict):
        return [(key, numbers(inner)) for key, inner in value.items()]
    if isinstance(value, list | tuple):
        return [numbers(inner) for inner in value]
    return value.tolist() if isinstance(value, torch.Tensor) else value


def signed(data):
    """A checkpoint's bytes around this content, as if it had been written so."""
    return data + hashlib.sha256(data).digest()


def test_all_of_a_training_comes_back(tmp_path):
    model, optimizer = trained()
    progress = Progress(4, Best(3, 98.5, 0.25))
    save_checkpoint(tmp_path / "c.pt", model, optimizer, progress)
    other, other_optimizer = trained(seed=1)
    assert load_checkpoint(tmp_path / "c.pt", other, other_optimizer) == progress
    assert numbers(other.state_dict()) == numbers(model.state_dict())
    assert numbers(other_optimizer.state_dict()) == numbers(optimizer.state_dict())
    assert torch.load(tmp_path / "c.pt", weights_only=True)["epochs"] == 4  # torch alone reads it too


def test_the_best_is_the_most_accurate_then_the_least_loss():
    best = Best(2, 90.0, 0.5)
    assert best.beaten_by(90.1, 9.0)
    assert best.beaten_by(90.0, 0.4)
    assert not best.beaten_by(90.0, 0.5)
    assert not best.beaten_by(89.0, 0.1)
    assert NONE.beaten_by(0.0, 1e9)


def test_a_damaged_checkpoint_is_refused(tmp_path):
    path, draw = tmp_path / "c.pt", random.Random(0)
    model, optimizer = trained()
    save_checkpoint(path, model, optimizer, Progress(1))
    whole = path.read_bytes()
    for _ in range(200):
        data = bytearray(whole)
        how = draw.randrange(3)
        if how == 0:
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        elif how == 1:
            del data[draw.randrange(len(data)) :]
        else:
            data[draw.randrange(len(data)) : draw.randrange(len(data))] = draw.randbytes(draw.randrange(40))
        path.write_bytes(data)
        with pytest.raises(FileFormatError, match=r"c\.pt is damaged or belongs to another network") as refused:
            load_checkpoint(path, model, optimizer)
        assert "\n" not in str(refused.value)


def test_nonsense_with_a_good_checksum_is_refused_or_read_but_nothing_else(tmp_path):
    path, draw = tmp_path / "c.pt", random.Random(1)
    model, optimizer = trained()
    save_checkpoint(path, model, optimizer, Progress(1))
    content = path.read_bytes()[:-32]
    refused = []
    for _ in range(200):
        data = bytearray(content)
        for _ in range(draw.choice([1, 1, 8])):
            data[draw.randrange(len(data))] = draw.randrange(256)
        path.write_bytes(signed(bytes(data)))
        try:
            load_checkpoint(path, model, optimizer)
        except FileFormatError as error:
            refused.append(str(error))
    assert len(refused) > 50
    assert "\n" not in "".join(refused)


@pytest.mark.parametrize("content", [None, 3, [], {}, {"version": 1}, {"version": "1"}, {"version": None}])
def test_another_content_is_refused(tmp_path, content):
    buffer = io.BytesIO()
    torch.save(content, buffer)
    (tmp_path / "c.pt").write_bytes(signed(buffer.getvalue()))
    with pytest.raises(FileFormatError, match="is damaged"):
        load_checkpoint(tmp_path / "c.pt", *trained())


def altered(change):
    """The content of a checkpoint with a change in it, as torch writes it."""
    model, optimizer = trained()
    content = {
        "version": 1,
        "epochs": 1,
        "best": [0, 90.0, 0.5],
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    change(content)
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return signed(buffer.getvalue())


def deep(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


CHANGES = {
    "none": lambda c: None,
    "version": lambda c: c.update(version=0),
    "version text": lambda c: c.update(version="1"),
    "epochs": lambda c: c.update(epochs=10**400),
    "epochs float": lambda c: c.update(epochs=1.0),
    "epochs less": lambda c: c.update(epochs=-1),
    "best infinite": lambda c: c.update(best=[float("inf"), 90.0, 0.5]),
    "best text": lambda c: c.update(best=[0, "90", 0.5]),
    "best nan": lambda c: c.update(best=[0, 90.0, float("nan")]),
    "best short": lambda c: c.update(best=[0]),
    "best large": lambda c: c.update(best=[0, 10**400, 0.5]),
    "best deep": lambda c: c.update(best=deep(100)),
    "no model": lambda c: c.pop("model"),
    "model list": lambda c: c.update(model=[]),
    "model null": lambda c: c.update(model=dict.fromkeys(c["model"])),
    "model whole": lambda c: c.update(model={name: t.to(torch.int64) for name, t in c["model"].items()}),
    "model complex": lambda c: c.update(model={name: t.to(torch.complex64) for name, t in c["model"].items()}),
    "model wide": lambda c: c.update(model={name: t[None] for name, t in c["model"].items()}),
    "optimizer": lambda c: c.update(optimizer=3),
    "state": lambda c: c["optimizer"].update(state=None),
    "state key": lambda c: c["optimizer"].update(state={99: {}}),
    "state text": lambda c: c["optimizer"]["state"].update({0: {"step": "x"}}),
    "state null": lambda c: c["optimizer"]["state"].update({0: None}),
    "state shape": lambda c: c["optimizer"]["state"][0].update(exp_avg=torch.zeros(2, 7)),
    "state type": lambda c: c["optimizer"]["state"][0].update(exp_avg=torch.zeros(6, 5, dtype=torch.int8)),
    "state step": lambda c: c["optimizer"]["state"][0].update(step=torch.zeros(6)),
    "state negative": lambda c: c["optimizer"]["state"][0].update(step=torch.tensor(-1e9)),
    "state infinite": lambda c: c["optimizer"]["state"][0].update(exp_avg=torch.full((6, 5), float("inf"))),
    "state lacks": lambda c: c["optimizer"]["state"][0].pop("exp_avg"),
    "groups": lambda c: c["optimizer"].update(param_groups=[]),
    "group": lambda c: c["optimizer"].update(param_groups=[7]),
    "parameters": lambda c: c["optimizer"]["param_groups"][0].update(params=[0, 1]),
    "rate": lambda c: c["optimizer"]["param_groups"][0].update(lr="fast", weight_decay=float("nan")),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_checkpoint_of_other_types_is_refused_or_harmless(tmp_path, change):
    (tmp_path / "c.pt").write_bytes(altered(change))
    model, optimizer = trained(seed=1)
    try:
        load_checkpoint(tmp_path / "c.pt", model, optimizer)
    except FileFormatError as error:
        assert str(error).isprintable()  # noqa: PT017
        assert change not in (CHANGES["none"], CHANGES["rate"])
    else:  # options of the optimizer are those of the configuration, not of the file
        assert change in (CHANGES["none"], CHANGES["rate"])
        assert (optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["weight_decay"]) == (1e-3, 1e-2)
        model(torch.randn(7, 5)).square().sum().backward()
        optimizer.step()


def test_a_checkpoint_that_unpacks_to_more_than_it_has_is_refused(tmp_path):
    whole, packed = io.BytesIO(altered(CHANGES["none"])[:-32]), io.BytesIO()
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.infolist():
            new.writestr(member.filename, old.read(member))
        new.writestr("archive/data/99", bytes(16 << 20))
    (tmp_path / "c.pt").write_bytes(signed(packed.getvalue()))
    with pytest.raises(FileFormatError, match="its members are larger than the file"):
        load_checkpoint(tmp_path / "c.pt", *trained())


class Planted:
    """An object whose pickle makes a file when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_nothing_in_a_checkpoint_is_run(tmp_path):
    buffer = io.BytesIO()
    torch.save({"version": 1, "epochs": Planted(tmp_path / "trap")}, buffer)
    (tmp_path / "c.pt").write_bytes(signed(buffer.getvalue()))
    with pytest.raises(FileFormatError):
        load_checkpoint(tmp_path / "c.pt", *trained())
    assert not (tmp_path / "trap").exists()
    torch.load(tmp_path / "c.pt", weights_only=False)
    assert (tmp_path / "trap").exists()  # the trap works


def test_a_newer_version_says_so(tmp_path):
    buffer = io.BytesIO()
    torch.save({"version": 2}, buffer)
    (tmp_path / "c.pt").write_bytes(signed(buffer.getvalue()))
    with pytest.raises(FileFormatError, match="newer version of spquant-snn: upgrade"):
        load_checkpoint(tmp_path / "c.pt", *trained())


def test_the_checkpoint_of_another_network_is_refused(tmp_path):
    save_checkpoint(tmp_path / "c.pt", *trained(width=6), Progress(1))
    with pytest.raises(FileFormatError, match="belongs to another network"):
        load_checkpoint(tmp_path / "c.pt", *trained(width=7))


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    path = tmp_path / "c.pt"
    model, optimizer = trained()
    save_checkpoint(path, model, optimizer, Progress(1))
    before = path.read_bytes()

    def full(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(RunError, match="No space left on device"):
        save_checkpoint(path, model, optimizer, Progress(2))
    assert path.read_bytes() == before
    assert [child.name for child in tmp_path.iterdir()] == ["c.pt"]


def test_weights_come_back_and_are_the_same_bytes_each_time(tmp_path):
    model, _ = trained()
    save_weights(tmp_path / "a.safetensors", model)
    save_weights(tmp_path / "b.safetensors", model)
    other, _ = trained(seed=1)
    load_weights(tmp_path / "a.safetensors", other)
    assert numbers(other.state_dict()) == numbers(model.state_dict())
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_damaged_weights_are_refused(tmp_path):
    path, draw = tmp_path / "m.safetensors", random.Random(2)
    model, _ = trained()
    save_weights(path, model)
    whole = path.read_bytes()
    wanted = numbers(model.state_dict())
    refused = []
    for _ in range(300):
        data = bytearray(whole)
        if draw.random() < 0.5:
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        else:
            del data[draw.randrange(len(data)) :]
        path.write_bytes(data)
        try:
            load_weights(path, model)
        except FileFormatError as error:
            refused.append(str(error))
        assert numbers(model.state_dict()) == wanted
    assert len(refused) > 250
    assert "\n" not in "".join(refused)


def weights_of(header, data=b""):
    """A file of weights with this header, bytes."""
    return len(header).to_bytes(8, "little") + header + data


STRANGE = [
    b'{"__metadata__":null}',
    b'{"__metadata__":[]}',
    b'{"__metadata__":{"sha256":null}}',
    b'{"__metadata__":{"sha256":3}}',
    b"[]",
    b"null",
    b"{",
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"weight":{"dtype":"F32","shape":[' + b"1" * 5000 + b'],"data_offsets":[0,4]}}',
    b'{"weight":{"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,4]}}',
    b'{"weight":{"dtype":"F32","shape":[1,1],"data_offsets":[0,1e400]}}',
    b'{"weight":{"dtype":"I64","shape":[1,1],"data_offsets":[0,8]}}',
    b'{"weight":{"dtype":"F8_E4M3","shape":[1,1],"data_offsets":[0,1]}}',
    b'{"weight":{"dtype":"C64","shape":[1,1],"data_offsets":[0,8]}}',
    b'{"weight":{"dtype":"F4","shape":[1,2],"data_offsets":[0,1]}}',
    b'{"weight":null}',
    b"\xff",
]


def test_weights_of_a_strange_header_are_refused(tmp_path):
    for header, size in itertools.product(STRANGE, (0, 1, 4, 8)):
        with case(header[:80], size):
            path = tmp_path / "m.safetensors"
            path.write_bytes(weights_of(header, bytes(size)))
            with pytest.raises(
                FileFormatError, match=r"m\.safetensors is damaged or belongs to another network"
            ) as refused:
                load_weights(path, nn.Linear(1, 1, bias=False))
            assert str(refused.value).isprintable()


def test_missing_weights_say_what_to_do(tmp_path):
    with pytest.raises(RunError, match=r"holds no m\.safetensors: train at least one epoch first"):
        load_weights(tmp_path / "m.safetensors", nn.Linear(1, 1))


def test_weights_of_another_network_are_refused(tmp_path):
    save_weights(tmp_path / "m.safetensors", trained(width=6)[0])
    with pytest.raises(FileFormatError, match="belongs to another network"):
        load_weights(tmp_path / "m.safetensors", trained(width=7)[0])


def test_weights_without_a_checksum_are_refused(tmp_path):
    model = nn.Linear(2, 2)
    (tmp_path / "m.safetensors").write_bytes(safetensors.torch.save(model.state_dict()))
    with pytest.raises(FileFormatError, match="its checksum does not hold"):
        load_weights(tmp_path / "m.safetensors", model)
