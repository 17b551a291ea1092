"""Numbers that are not finite are refused, by the layer that holds them, before and after training."""

import copy
import itertools

import pytest
import torch
from torch import nn

from cases import case
from spquant_snn import LIF, ModelError, QuantConfig, lower, prepare
from spquant_snn.nn.models import build_model
from spquant_snn.quant.frozen_trace import frozen_trace
from spquant_snn.sparsity.block_skipping import insert_skipping
from spquant_snn.sparsity.compact import compact
from spquant_snn.sparsity.gates import insert_gates

SHAPE = (2, 8, 8)
BAD = [float("nan"), float("inf"), -float("inf")]


class Model(nn.Module):
    """Every kind of parameter: biases, shortcuts with and without weights, a threshold that is trained."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.one, self.norm, self.lif1 = nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), LIF()
        self.two, self.lif2 = nn.Conv2d(4, 4, 3, padding=1), LIF(learn_threshold=True)
        self.three, self.around, self.lif3 = nn.Conv2d(4, 6, 3, 2, 1), nn.Conv2d(4, 6, 1, 2), LIF()
        self.four, self.norm4, self.lif4 = nn.Linear(96, 5), nn.BatchNorm1d(5), LIF()
        self.last = nn.Linear(5, 3)

    def forward(self, x):
        x = self.lif1(self.norm(self.one(x)))
        y = self.lif2(self.two(x) + x)
        x = self.lif3(self.three(y) + self.around(x))
        return self.last(self.lif4(self.norm4(self.four(x.flatten(1)))))


def tensors(module):
    """Names of the floating-point parameters and buffers of a network, or of a model's layers."""
    named = (*module.named_parameters(), *module.named_buffers())
    return [name for name, value in named if value.is_floating_point() and not name.endswith(".largest")]


def spoil(module, name, value):
    dict((*module.named_parameters(), *module.named_buffers()))[name].data.view(-1)[-1] = value


def network():
    made = prepare(Model(), QuantConfig(4, 4, 2), SHAPE).eval()
    insert_skipping(made)
    return made


NETWORK, GIVEN = network(), Model()
IMAGES = torch.zeros(1, *SHAPE, dtype=torch.uint8)
TAKEN_OUT = {
    "freeze": lambda made: made.freeze(),
    "lower": lower,
    "logits": lambda made: made(IMAGES),
    "trace": lambda made: frozen_trace(made, IMAGES.numpy()),
    "compact": lambda made: lower(compact(made)),
}


@pytest.mark.slow
def test_no_integers_are_taken_from_what_is_not_finite():
    for name, value in itertools.product(tensors(NETWORK), BAD):
        with case(name, value):
            if name.endswith("skipping.threshold") and value < 0:
                continue  # no block is skipped
            made = copy.deepcopy(NETWORK)
            stage = made.stages[int(name.split(".")[1])].name
            frozen = copy.deepcopy(made).freeze()
            spoil(made, name, value)
            spoil(frozen, name, value)
            words = f"^layer '{stage}': its .* holds {value:g}( .*)?, which is not a finite number: train again"
            for what, take in TAKEN_OUT.items():
                with pytest.raises(ModelError, match=words):
                    take(made if what == "freeze" else frozen)
            assert not made.frozen


@pytest.mark.parametrize("name", ["logits", "density"])
def test_gates_that_are_not_finite_close_nothing_in_silence(name):
    torch.manual_seed(0)
    made = prepare(build_model("8C3-8C3-P2-FC10", SHAPE, 10), QuantConfig(2, 2, 2), SHAPE)
    insert_gates(made)
    spoil(made, f"stages.0.gate.{name}", float("nan"))
    with pytest.raises(ModelError, match=r"layer '.*': its .* holds nan"):
        made.freeze()


def test_weights_that_are_not_finite_do_not_become_codes_when_channels_go():
    torch.manual_seed(0)
    made = prepare(build_model("8C3-8C3-P2-FC10", SHAPE, 10), QuantConfig(2, 2, 2), SHAPE)
    insert_gates(made)
    spoil(made, "stages.0.gate.logits", -1.0)
    spoil(made, "stages.1.synapse.weight", float("nan"))
    with pytest.raises(ModelError, match=r"layer '.*': its weight holds nan \(1 of 576 numbers\)"):
        compact(made)


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize(("part", "name", "setting"), [("lif1", "fixed_leak", "leak"), ("norm4", "eps", "eps")])
def test_settings_are_numbers_too(part, name, setting, value):
    model, made = Model(), network()
    setattr(getattr(model, part), name, value)
    torchs_own = "|layer 'norm4' .*: batch_norm eps must be non-negative, but got -inf"
    with pytest.raises(ModelError, match=f"layer '{part}': its {setting} holds {value:g}, which{torchs_own}"):
        prepare(model, QuantConfig(2, 2, 2), SHAPE)
    stage = made.hidden[0 if part == "lif1" else 3]
    setattr(getattr(stage, "lif" if part == "lif1" else "norm"), name, value)
    with pytest.raises(ModelError, match=f"layer '{stage.name}': its .*{setting} holds {value:g}, which"):
        made.freeze()


def test_what_is_not_finite_is_not_prepared():
    for name, bits in itertools.product(tensors(GIVEN), (2, 32)):
        with case(name, bits):
            path, _, part = name.partition(".")
            for value in BAD:
                model = Model()
                spoil(model, name, value)
                with pytest.raises(
                    ModelError, match=f"^layer '{path}': its {part} holds {value:g}( .*)?, which is not"
                ):
                    prepare(model, QuantConfig(bits, bits, 2), SHAPE)
            large = Model().double()
            spoil(large, name, 1e300)
            with pytest.raises(
                ModelError, match=rf"^layer '{path}': its {part} holds 1e\+300, which is too large for float32"
            ):
                prepare(large, QuantConfig(bits, bits, 2), SHAPE)


def test_weights_whose_scale_is_not_finite_are_not_prepared():
    model = Model()
    with torch.no_grad():
        model.one.weight[0] = 3e38  # their sum is no number of 32 bits
    with pytest.raises(ModelError, match=r"layer 'one': its weight scale holds nan \(1 of 4 numbers\)"):
        prepare(model, QuantConfig(2, 2, 2), SHAPE)


def test_what_no_layer_uses_may_hold_anything():
    model = Model()
    model.unused = nn.Linear(3, 3)
    nn.init.constant_(model.unused.weight, float("nan"))
    network = prepare(model, QuantConfig(2, 2, 2), SHAPE).freeze()
    assert all(bool(value.isfinite().all()) for value in network.state_dict().values())
