"""What ``prepare`` takes of a module whose parameters are not plain, and what it refuses."""

import re
import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune, spectral_norm, weight_norm

from spquant_snn import LIF, ModelError, QuantConfig, prepare
from spquant_snn.nn.layers import SpikingSequential

SHAPE = (1, 8, 8)
CONFIG = QuantConfig(32, 32, 2)  # weights as they are


def model_of(*first, row=nn.Sequential):
    torch.manual_seed(0)
    rest = (nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), LIF(), nn.Flatten(), nn.Linear(256, 3))
    return row(*(first or (nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), LIF())), *rest)


class Doubled(nn.Module):
    def forward(self, weight):
        return 2 * weight


class Refusing(nn.Module):
    def forward(self, weight):
        raise RuntimeError("no weight today")


def doubled_statistics(model):
    parametrize.register_parametrization(model[1], "running_var", Doubled())


def several(model):
    prune.l1_unstructured(model[0], "weight", 0.5)
    prune.random_unstructured(model[0], "weight", 0.5)
    prune.l1_unstructured(model[7], "bias", 0.3)
    parametrizations.weight_norm(model[3])


def old_after_a_step(model):
    """The attribute is that of the last pass; what counts are the parameters."""
    weight_norm(model[0])
    with torch.no_grad():
        model[0].weight_g.mul_(3)


def old_after_a_pass(model):
    spectral_norm(model[0])
    model(torch.rand(2, *SHAPE))


COMPUTED = {
    "weight_norm": lambda model: parametrizations.weight_norm(model[0]),
    "spectral_norm": lambda model: parametrizations.spectral_norm(model[3]),
    "orthogonal": lambda model: parametrizations.orthogonal(model[7]),
    "of the user": lambda model: parametrize.register_parametrization(model[0], "weight", Doubled()),
    "of a threshold": lambda model: parametrize.register_parametrization(model[2], "v_threshold", Doubled()),
    "of a buffer": doubled_statistics,
    "old weight_norm": lambda model: weight_norm(model[0]),
    "old weight_norm after a step": old_after_a_step,
    "old spectral_norm": lambda model: spectral_norm(model[7]),
    "old spectral_norm after a pass": old_after_a_pass,
    "a mask": lambda model: prune.l1_unstructured(model[3], "weight", 0.7),
    "a mask of channels": lambda model: prune.ln_structured(model[0], "weight", 0.5, n=2, dim=0),
    "several": several,
}


@pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated:FutureWarning")
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("kind", COMPUTED)
def test_computed_weights_come_in_as_what_they_are(kind, training, by_hand):
    model = model_of().train(training)
    COMPUTED[kind](model)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.warns(UserWarning, match="come in with the weights that they have now") as said:
        network = prepare(model, CONFIG, SHAPE).eval()
    assert len(said) == 1
    assert ("zeros of a mask may move" in str(said[0].message)) == ("mask" in kind or kind == "several")
    after = model.state_dict()  # the user's own is as it was
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    images = torch.randint(0, 256, (4, *SHAPE), dtype=torch.uint8)
    with torch.no_grad():
        found, meant = network(images), by_hand(model.eval(), images, 2)
    torch.testing.assert_close(found, meant, rtol=1e-5, atol=1e-5)
    assert all(type(part.weight) is nn.Parameter for part in network.modules() if hasattr(part, "weight"))


def test_zeros_of_a_mask_are_in_the_weights():
    model = model_of()
    prune.l1_unstructured(model[0], "weight", 0.5)
    with pytest.warns(UserWarning, match=r"so that zeros of a mask may move: '0' \(a pruning mask\)$"):
        network = prepare(model, QuantConfig(4, 4, 2), SHAPE)
    assert torch.equal(network.hidden[0].synapse.weight == 0, model[0].weight_mask == 0)


def test_a_parametrisation_that_fails_is_named():
    model = model_of()
    parametrize.register_parametrization(model[3], "weight", Refusing(), unsafe=True)
    with pytest.raises(
        ModelError, match=r"layer '3': its parametrisation gives no plain weight .no weight today.: rem"
    ):
        prepare(model, CONFIG, SHAPE)


@pytest.mark.parametrize("row", [nn.Sequential, SpikingSequential])
def test_lazy_layers_get_their_shapes_from_the_images(row):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, of what is under development
        first = (nn.LazyConv2d(4, 3, padding=1), nn.LazyBatchNorm2d(), LIF())
        model = row(
            *model_of(*first)[:6], nn.Flatten(), nn.LazyLinear(5), nn.LazyBatchNorm1d(), LIF(), nn.LazyLinear(3)
        )
    network = prepare(model, QuantConfig(2, 2, 2), SHAPE)
    shapes = [tuple(stage.synapse.weight.shape) for stage in network.stages]
    assert shapes == [(4, 1, 3, 3), (4, 4, 3, 3), (5, 256), (3, 5)]
    assert network(torch.zeros(2, *SHAPE, dtype=torch.uint8)).shape == (2, 2, 3)
    assert model[0].has_uninitialized_params()  # the user's own is as it was


def test_images_that_give_no_shape_are_named():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = model_of(nn.LazyConv2d(4, 30), nn.BatchNorm2d(4), LIF())
    with pytest.raises(
        ModelError, match=r"layer '0' does not fit what comes in, 1x8x8 of the input 'input': .* Kernel size"
    ):
        prepare(model, CONFIG, SHAPE)


HOOKS = {
    "forward": lambda module: module.register_forward_hook(lambda *_: None),
    "before": lambda module: module.register_forward_pre_hook(lambda *_: None),
}


@pytest.mark.parametrize("kind", HOOKS)
@pytest.mark.parametrize(("at", "named"), [(0, "layer '0'"), (5, "layer '5'"), (None, "the model, Sequential,")])
def test_hooks_are_refused_by_name(kind, at, named):
    model = model_of()
    handle = HOOKS[kind](model if at is None else model[at])
    with pytest.raises(ModelError, match=f"^{named} has the forward hook '.*lambda>', which may change"):
        prepare(model, CONFIG, SHAPE)
    handle.remove()
    prepare(model, CONFIG, SHAPE)


class OwnConvolution(nn.Conv2d):
    def _conv_forward(self, input, weight, bias):
        return 2 * super()._conv_forward(input, weight, bias)


def test_what_a_layer_computes_in_its_own_way_is_refused():
    model = model_of()
    model[0].forward = lambda x: x
    with pytest.raises(ModelError, match="layer '0' has a forward method of its own instance"):
        prepare(model, CONFIG, SHAPE)
    with pytest.raises(ModelError, match=r"the call of 'mul' in the forward method of '0' multiplies with 2"):
        prepare(model_of(OwnConvolution(1, 4, 3, padding=1), nn.BatchNorm2d(4), LIF()), CONFIG, SHAPE)


def tied_weights():
    model = model_of(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), LIF(), nn.Conv2d(4, 4, 3, padding=2), LIF())
    model[5].weight = model[3].weight
    return model, "'3' and '5' in 2 places"


def tied_memory():
    model, said = tied_weights()
    model[5].weight = nn.Parameter(model[3].weight.data)
    return model, said


def tied_before_a_parametrisation():
    model, said = tied_weights()
    for place in (3, 5):
        parametrize.register_parametrization(model[place], "weight", Doubled())
    return model, said


def tied_thresholds():
    lif = LIF(learn_threshold=True)
    model = model_of(nn.Conv2d(1, 4, 3, padding=1), lif, nn.Conv2d(4, 4, 3, padding=1), lif)
    return model, "'1' in 2 places"


@pytest.mark.filterwarnings("ignore:layers whose weights are computed")
@pytest.mark.parametrize("make", [tied_weights, tied_memory, tied_before_a_parametrisation, tied_thresholds])
def test_layers_that_share_a_parameter_are_said_to_part(make):
    model, named = make()
    with pytest.warns(UserWarning, match=f"share a parameter become layers of their own, trained apart: {named}$"):
        prepare(model, CONFIG, SHAPE)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # what torch.compile imports
@pytest.mark.parametrize(
    ("wrap", "said"),
    [
        (torch.compile, "wrapped in OptimizedModule: give the model inside, model._orig_mod"),
        (nn.DataParallel, "wrapped in DataParallel: give the model inside, model.module"),
        (lambda model: model.to("meta"), "on the device 'meta', without numbers"),
    ],
)
def test_what_is_not_the_model_itself_is_named(wrap, said):
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 4), LIF(), nn.Linear(4, 2))
    with pytest.raises(ModelError, match=re.escape(said)):
        prepare(wrap(model), QuantConfig(2, 2, 2), (1, 4, 4))


def test_a_threshold_that_is_not_trained_may_be_in_several_places():
    lif = LIF()
    model = model_of(nn.Conv2d(1, 4, 3, padding=1), lif, nn.Conv2d(4, 4, 3, padding=1), lif)
    network = prepare(model, CONFIG, SHAPE)  # without a warning, which would be an error here
    assert [stage.name for stage in network.hidden] == ["0", "2", "4"]
    assert network.hidden[0].lif is not network.hidden[1].lif


def test_what_a_module_keeps_of_earlier_passes_is_no_hindrance():
    model = model_of()
    model.last = model(torch.rand(2, *SHAPE))
    prepare(model, CONFIG, SHAPE)
    model.last = [model.last]
    with pytest.raises(ModelError, match=r"Sequential cannot be copied .Only Tensors created explicitly"):
        prepare(model, CONFIG, SHAPE)


def test_a_layer_that_nothing_trains_is_named():
    model = model_of()
    nn.init.zeros_(model[1].weight)
    with pytest.warns(UserWarning, match="layer '0': all weights of its batch normalisation are 0, and its neurons"):
        prepare(model, QuantConfig(2, 2, 2), SHAPE)
    for part, value in ((model[1].bias, 0.5), (model[1].weight[:1], 0.1)):
        before = part.detach().clone()
        nn.init.constant_(part, value)
        prepare(model, QuantConfig(2, 2, 2), SHAPE)
        with torch.no_grad():
            part.copy_(before)
