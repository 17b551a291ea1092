"""A training step that is recorded once and replayed on a GPU, against the same steps launched one by one."""

import pytest
import torch

from spquant_snn import QuantConfig, prepare
from spquant_snn.nn.models import build_model
from spquant_snn.train.config import TrainConfig
from spquant_snn.train.step import _FIRST, Step

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
SHAPE = (3, 8, 8)


def steps(device, sizes, records=True, teacher=False, **options):
    """What some steps on batches of these sizes told, the network after them and what computed them."""
    config = TrainConfig(precision="bf16" if device == "cuda" else "fp32", timesteps=3, **options)
    torch.manual_seed(0)

    def network():
        return prepare(build_model("16C3-24C3-P2-20C3-FC10", SHAPE, 10), QuantConfig(2, 2, 3), SHAPE).to(device)

    taught = network()
    step = Step(taught, config, network().eval().requires_grad_(False) if teacher else None, None, whole=records)
    optimizer = torch.optim.AdamW([p for p in taught.parameters() if p.requires_grad], lr=1e-3)
    draw = torch.Generator().manual_seed(0)
    told = []
    for size in sizes:
        x = torch.randint(0, 256, (size, *SHAPE), dtype=torch.uint8, generator=draw).to(device)
        y = torch.randint(0, 10, (size,), generator=draw).to(device)
        optimizer.zero_grad(set_to_none=True)
        told.append(step(x, y, 0.0, 1.0).tolist())
        optimizer.step()
    return told, taught, step


@gpu
@pytest.mark.parametrize("teacher", [False, True])
def test_replayed_steps_are_those_launched_one_by_one(teacher):
    sizes = [32, 31] * 8
    told, network, step = steps("cuda", sizes, teacher=teacher, label_smoothing=0.1)
    assert len(step._recorded) == 2
    meant, other, plain = steps("cuda", sizes, records=False, teacher=teacher, label_smoothing=0.1)
    assert not plain._recorded
    for found, wanted in zip(told[: 2 * _FIRST + 4], meant, strict=False):
        assert found[0] == pytest.approx(wanted[0], rel=1e-2)
        assert found[1] == pytest.approx(wanted[1], abs=1)
    assert told[-1][0] == pytest.approx(meant[-1][0], rel=0.1)
    for name, running in other.named_buffers():
        torch.testing.assert_close(dict(network.named_buffers())[name], running, rtol=0.2, atol=0.2)


@gpu
def test_a_replayed_step_gives_the_gradients_of_one_that_is_launched():
    _, network, step = steps("cuda", [16] * 4, learning_rate=1e-6)
    plain = Step(network, step._config, None, None, whole=False)
    x = torch.randint(0, 256, (16, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(7)).to("cuda")
    y = torch.arange(16, device="cuda") % 10
    found = []
    for compute in (step, plain):
        network.zero_grad(set_to_none=True)
        told = compute(x, y, 0.0, 1.0).tolist()
        found.append((told[:2], [p.grad.clone() for p in network.parameters() if p.grad is not None]))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-4)
    for a, b in zip(found[0][1], found[1][1], strict=True):
        assert float((a - b).norm()) <= 0.02 * float(b.norm()) + 1e-7


@gpu
def test_what_changes_the_network_records_anew():
    _, _, step = steps("cuda", [16] * 4)
    (before,) = step._recorded.values()
    step.forget()
    assert not step._recorded
    x = torch.zeros(16, *SHAPE, dtype=torch.uint8, device="cuda")
    for _ in range(_FIRST + 1):
        step(x, torch.zeros(16, dtype=torch.int64, device="cuda"), 0.0, 1.0)
    (after,) = step._recorded.values()
    assert after is not before


@gpu
def test_what_cannot_be_recorded_is_launched_and_said_once(monkeypatch):
    from spquant_snn.quant.network import SpikingNetwork

    forward = SpikingNetwork.forward
    monkeypatch.setattr(SpikingNetwork, "forward", lambda self, x, **more: forward(self, x * int(x.max() > -1), **more))
    with pytest.warns(UserWarning, match="launched kernel by kernel, slower"):
        told, _, step = steps("cuda", [16] * 6)
    assert not step._recorded
    assert all(loss > 0 for loss, _, _ in told)


def test_a_cpu_records_nothing():
    told, _, step = steps("cpu", [8] * 5)
    assert not step._recorded
    assert [largest for _, _, largest in told] == [0.0] * 5
    assert all(0 <= hits <= 8 for _, hits, _ in told)
