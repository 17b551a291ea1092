"""Checkpoints: what is written comes back, what is damaged is refused in one sentence, and nothing in one is run."""

import errno
import hashlib
import io
import random
from pathlib import Path

import pytest
import torch
from torch import nn

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


def test_missing_weights_say_what_to_do(tmp_path):
    with pytest.raises(RunError, match=r"holds no m\.safetensors: train at least one epoch first"):
        load_weights(tmp_path / "m.safetensors", nn.Linear(1, 1))


def test_weights_of_another_network_are_refused(tmp_path):
    save_weights(tmp_path / "m.safetensors", trained(width=6)[0])
    with pytest.raises(FileFormatError, match="belongs to another network"):
        load_weights(tmp_path / "m.safetensors", trained(width=7)[0])
