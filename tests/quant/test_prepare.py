"""Reading a user's module: what it computes is kept."""

import copy

import pytest
import torch
from torch import nn

from spquant_snn.data import InputFormat
from spquant_snn.nn import LIF, VGGSNN, LeNetSNN, SpikingSequential
from spquant_snn.quant.network import SpikingNetwork
from spquant_snn.quant.prepare import prepare
from spquant_snn.quant.quant_config import QuantConfig

FLOAT = QuantConfig(32, 32, timesteps=4)
CASES = {}


def case(*shape):
    """Register a function that returns layers in a row, for images of ``shape``."""

    def register(make):
        CASES[make.__name__] = (shape, make)
        return make

    return register


@case(1, 12, 12)
def the_lenet_of_the_house():
    return list(LeNetSNN((1, 12, 12), width=(4, 6), hidden=20))


@case(3, 16, 16)
def the_vgg_of_the_house():
    return list(VGGSNN((3, 16, 16), width=0.1))


@case(2, 9, 13)
def pools_on_spikes_of_images_that_are_not_square():
    return [
        nn.Conv2d(2, 6, (3, 2)),
        nn.BatchNorm2d(6),
        LIF(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        LIF(leak=0.75),
        nn.AvgPool2d(2, stride=1),
        nn.Flatten(),
        nn.Linear(4 * 2 * 5, 8),
        nn.BatchNorm1d(8),
        LIF(),
        nn.Linear(8, 3),
    ]


@case(4, 10, 8)
def groups_strides_and_subtraction():
    return [
        nn.Conv2d(4, 8, 3, stride=(1, 2), padding=(2, 1), groups=4, bias=False),
        nn.BatchNorm2d(8),
        LIF(reset="subtract"),
        nn.Conv2d(8, 6, 3, padding="same", groups=2),
        nn.BatchNorm2d(6),
        LIF(v_threshold=0.7),
        nn.Flatten(),
        nn.Linear(6 * 12 * 4, 5),
    ]


@case(1, 10, 10)
def normalisation_before_its_pool():
    return [
        nn.Conv2d(1, 6, 5, padding=2),
        nn.BatchNorm2d(6),
        nn.AvgPool2d(2),
        LIF(),
        nn.Conv2d(6, 6, 3),
        nn.BatchNorm2d(6),
        nn.AvgPool2d(3, stride=2),
        LIF(),
        nn.Flatten(),
        nn.Linear(6, 4),
    ]


@case(1, 8, 8)
def pools_and_dropout_before_the_first_weights():
    return [
        nn.AvgPool2d(2),
        nn.Dropout(0.3),
        nn.Conv2d(1, 8, 3),
        nn.BatchNorm2d(8, affine=False),
        nn.Dropout(0.2),
        LIF(),
        nn.Dropout(0.5),
        nn.Identity(),
        nn.Flatten(),
        nn.Linear(32, 3),
        nn.Dropout(0.1),
    ]


@case(1, 6, 6)
def no_normalisation_at_all():
    return [
        nn.Flatten(),
        nn.Linear(36, 30),
        LIF(v_threshold=0.1),
        nn.Linear(30, 20, bias=False),
        LIF(v_threshold=0.05),
        nn.Linear(20, 3),
    ]


@pytest.fixture(params=CASES, ids=str)
def ready(request, fit_norms, noise):
    """Layers with settled statistics, half of their normalisations turned negative, images, and the shape."""
    torch.manual_seed(3)
    shape, make = CASES[request.param]
    images = noise(16, *shape)
    layers = make()
    for layer in layers:
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) and layer.affine:
            with torch.no_grad():
                layer.weight.uniform_(0.6, 1.4).mul_(torch.where(torch.arange(len(layer.weight)) % 2 == 0, 1.0, -1.0))
                layer.bias.normal_(0.1, 0.3)
    return fit_norms(layers, images), images, shape


def rates(network, images):
    found = []
    with torch.no_grad():
        network.eval()(images, lambda name, spikes, codes: found.append(spikes.mean().item()))
    return found


def test_a_prepared_network_computes_what_the_module_computes(ready, by_hand):
    layers, images, shape = ready
    network = prepare(nn.Sequential(*layers), FLOAT, shape).eval()
    with torch.no_grad():
        torch.testing.assert_close(network(images), by_hand(layers, images, 4), atol=2e-4, rtol=1e-3)
    assert all(0.02 < rate < 0.8 for rate in rates(network, images))


def test_the_given_module_is_not_changed(ready):
    layers, images, shape = ready
    model = nn.Sequential(*layers)
    before = copy.deepcopy(model.state_dict())
    network = prepare(model, QuantConfig(2, 2), shape)
    network(images).sum().backward()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1.0)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(layer.levels is None for layer in layers if isinstance(layer, LIF))
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("quantizer", ["normalized", "learned"])
def test_every_parameter_of_a_quantised_network_is_trained(ready, quantizer):
    layers, images, shape = ready
    network = prepare(nn.Sequential(*layers), QuantConfig(4, 4, weight_quantizer=quantizer), shape).train()
    logits = network(images).sum(0)
    nn.functional.cross_entropy(logits, torch.arange(16) % logits.shape[1]).backward()
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.abs().max() > 0, name


def test_a_slope_that_is_negative_is_turned_with_its_weights(ready):
    layers, _, shape = ready
    network = prepare(nn.Sequential(*layers), QuantConfig(2, 2), shape)
    for stage in network.hidden:
        assert stage.norm is None or (stage.norm.weight > 0).all()
        gain, offset = stage.affine()
        assert (gain > 0).all()
        assert offset.isfinite().all()


def test_nested_rows_are_one_row(fit_norms, noise):
    torch.manual_seed(0)
    images = noise(4, 1, 12, 12)
    layers = fit_norms(the_lenet_of_the_house(), images)
    flat = prepare(nn.Sequential(*layers), FLOAT, (1, 12, 12)).eval()
    for inner in (nn.Sequential, SpikingSequential):
        for outer in (nn.Sequential, SpikingSequential):
            nested = outer(inner(*layers[:3]), inner(*layers[3:6], inner(*layers[6:8])), *layers[8:])
            assert torch.equal(prepare(nested, FLOAT, (1, 12, 12)).eval()(images), flat(images))


class Written(nn.Module):
    """A module with its own forward; ``flatten`` says how it flattens."""

    def __init__(self, flatten):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), LIF())
        self.head = nn.Linear(4 * 16, 3)
        self.flatten = flatten

    def forward(self, x):
        return self.head(self.flatten(self.features(x)))


@pytest.mark.parametrize(
    "flatten",
    [
        lambda x: x.flatten(1),
        lambda x: x.flatten(start_dim=1),
        lambda x: torch.flatten(x, 1),
        lambda x: torch.flatten(x, start_dim=1),
        nn.Flatten(),
    ],
)
def test_a_forward_method_is_read(flatten, noise, fit_norms):
    torch.manual_seed(0)
    images, model = noise(4, 1, 6, 6), Written(flatten)
    fit_norms(list(model.features), images)
    expected = prepare(nn.Sequential(model.features, nn.Flatten(), model.head), FLOAT, (1, 6, 6)).eval()
    network = prepare(model, FLOAT, (1, 6, 6)).eval()
    assert torch.equal(network(images), expected(images))
    assert [stage.name for stage in network.stages] == ["features.0", "head"]


def test_a_neuron_called_in_two_places_becomes_two():
    lif = LIF(learn_threshold=True)
    row = nn.Sequential(nn.Flatten(), nn.Linear(9, 5), lif, nn.Linear(5, 4), lif, nn.Linear(4, 2))
    with pytest.warns(UserWarning, match="layers of their own, trained apart: '2' in 2 places$"):
        network = prepare(row, FLOAT, (1, 3, 3))
    first, second = network.hidden
    assert first.lif is not second.lif
    assert first.name != second.name
    assert first.lif.v_threshold.data_ptr() != second.lif.v_threshold.data_ptr()


def test_a_double_precision_model_is_taken_as_float(noise):
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), LIF(), nn.Flatten(), nn.Linear(32, 2)).double()
    network = prepare(model, FLOAT, (1, 6, 6))
    assert network(noise(2, 1, 6, 6)).dtype == torch.float32
    assert model[0].weight.dtype == torch.float64


def test_dropout_acts_in_training_alone(noise):
    torch.manual_seed(0)
    images = noise(4, 1, 8, 8)
    network = prepare(nn.Sequential(*pools_and_dropout_before_the_first_weights()), FLOAT, (1, 8, 8))
    network.stages[0].norm.momentum = 0.0
    with torch.no_grad():
        assert not torch.equal(network.train()(images), network.train()(images))
        assert torch.equal(network.eval()(images), network.eval()(images))


def test_two_dropouts_leave_what_both_leave():
    row = [nn.Flatten(), nn.Dropout(0.5), nn.Dropout(0.2), nn.Linear(9, 4), nn.Dropout(0.5), LIF(), nn.Linear(4, 2)]
    stage = prepare(nn.Sequential(*row), FLOAT, (1, 3, 3)).hidden[0]
    assert stage.drop_spikes == pytest.approx(0.6)
    assert stage.drop_current == pytest.approx(0.5)


@pytest.mark.parametrize("kernel", [(1, 3, 5), (3, 2, 2)])
def test_a_pool_folds_where_that_takes_fewer_additions(kernel):
    size, pool, expected = kernel[1], 2, kernel[0] == 1
    row = [nn.Conv2d(1, 2, size, padding=size // 2), nn.AvgPool2d(pool), LIF(), nn.Flatten(), nn.LazyLinear(2)]
    del row[-1]
    out = (8 + 2 * (size // 2) - size + 1) // 2
    network = prepare(nn.Sequential(*row, nn.Linear(2 * out * out, 2)), FLOAT, (1, 8, 8))
    synapse = network.hidden[0].synapse
    grown = (size + pool - 1) ** 2
    assert synapse.folds == (grown < size**2 * pool**2)
    assert expected or synapse.folds


def test_a_network_comes_back_ready_to_train():
    network = prepare(
        nn.Sequential(nn.Conv2d(1, 4, 3), LIF(), nn.Flatten(), nn.Linear(64, 2)), QuantConfig(2, 3), (1, 6, 6)
    )
    assert isinstance(network, SpikingNetwork)
    assert network.training
    assert not network.frozen
    assert (network.hidden[0].lif.levels.low, network.hidden[0].lif.levels.high) == (-4, 3)


def test_the_weights_of_a_floating_point_network_are_those_of_the_model():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), LIF(), nn.Flatten(), nn.Linear(64, 2))
    plain = prepare(model, QuantConfig(32, 32), (1, 6, 6))
    assert torch.equal(plain.hidden[0].synapse.codes(), model[0].weight)
    assert float(plain.hidden[0].synapse.scale()) == 1


@pytest.mark.parametrize("form", ["row", "branches"])
def test_an_untrained_network_does_of_small_inputs_what_it_does_of_others(form):
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.lif = (
                nn.Sequential(nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4)),
                nn.Sequential(nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4)),
                LIF(),
            )
            self.out = nn.Sequential(nn.Flatten(), nn.Linear(24, 2))

        def forward(self, x):
            return self.out(self.lif(self.a(x) + (self.b(x) if form == "branches" else 0)))

    torch.manual_seed(0)
    model, x = Two(), torch.randint(-127, 128, (16, 2, 8), dtype=torch.int8)
    found = {}
    for scale in (1.0, 1e-4, 1e-8):
        config = QuantConfig(2, 2, timesteps=2, input_format=InputFormat(True, scale / 127))
        found[scale] = prepare(model, config, (2, 8)).train()(x)
    assert torch.allclose(found[1e-4], found[1e-8])
    near = torch.isclose(found[1.0], found[1e-8]).float().mean()
    assert near > 0.9  # a spike or two at the threshold: eps is another part of the variance
    for norm in (model.a[1], model.b[1]):
        norm.running_var.mul_(1e-9)  # trained, elsewhere
    kept = prepare(model, QuantConfig(2, 2, input_format=InputFormat(True, 1e-4 / 127)), (2, 8))
    assert {module.eps for module in kept.modules() if hasattr(module, "eps")} == {1e-5}
