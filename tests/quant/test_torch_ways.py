"""Networks under what torch offers: another default type, copies, files, the compiler."""

import copy
import io
import pickle

import pytest
import torch
from torch import nn

from spquant_snn import LIF, QuantConfig, SpQuantTrainer, lower, prepare
from spquant_snn.integer import reference
from spquant_snn.nn.models import build_model
from spquant_snn.sparsity.block_skipping import block_sizes, insert_skipping
from spquant_snn.sparsity.budget import layer_work
from spquant_snn.sparsity.choices import magnitude_scores, random_scores
from spquant_snn.sparsity.gates import channel_gates, insert_gates
from spquant_snn.train.augment import Augmentation

FORMS = [(2, False), (2, True), (8, True), (32, False)]  # bits, frozen
MODELS = {"row": ("6C3-8C3-P2-FC20-FC10", (1, 8, 8)), "residual": ("resnet11-snn:0.0625", (1, 16, 16))}
IMAGES = {kind: torch.randint(0, 256, (4, *shape), dtype=torch.uint8) for kind, (_, shape) in MODELS.items()}


@pytest.fixture
def double():
    """torch's default type is float64."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def model_of(kind, neuron=LIF):
    torch.manual_seed(0)
    name, shape = MODELS[kind]
    return build_model(name, shape, 10, neuron), shape


def network_of(kind, bits, frozen, model=None):
    made, shape = model_of(kind) if model is None else (model, MODELS[kind][1])
    network = prepare(made, QuantConfig(bits, bits, 3), shape).eval()
    return network.freeze() if frozen else network


def results(network, images):
    """Logits and gradients in training, and what the integers say."""
    network.train()
    logits = network(images)
    nn.functional.cross_entropy(logits.float().mean(0), torch.arange(4)).backward()
    found = [logits.detach(), *(p.grad for p in network.parameters() if p.grad is not None)]
    if network.frozen:
        found.append(torch.from_numpy(reference.run(lower(network), images.numpy())))
    return found


def types(module):
    return {value.dtype for value in module.state_dict().values() if value.is_floating_point()}


@pytest.mark.slow
@pytest.mark.parametrize(("bits", "frozen"), FORMS)
@pytest.mark.parametrize("kind", MODELS)
def test_the_default_type_changes_nothing(kind, bits, frozen, double):
    model, _ = model_of(kind)
    assert types(model) == {torch.float64}
    network = network_of(kind, bits, frozen, model)
    assert types(network) == {torch.float32}
    found = results(network, IMAGES[kind])
    torch.set_default_dtype(torch.float32)
    meant = results(network_of(kind, bits, frozen, model), IMAGES[kind])
    for one, other in zip(found, meant, strict=True):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)


def test_nothing_of_sparsity_takes_the_default_type(double):
    network = network_of("row", 2, False)
    insert_gates(network)
    insert_skipping(network)
    assert types(network) == {torch.float32}
    gates = channel_gates(network)
    numbers = [work.usage for work in layer_work(network)]
    numbers += [*random_scores(gates, 0), *magnitude_scores(network), block_sizes(40, (2, 1))]
    assert {number.dtype for number in numbers} == {torch.float32}


def test_augmentation_draws_the_same_numbers(double):
    ways = Augmentation(rotate=10, translate=1, scale=0.1, shear=0.1, cutout=2, flip=True)
    images = IMAGES["row"]
    found = ways(images, torch.Generator().manual_seed(1))
    torch.set_default_dtype(torch.float32)
    assert torch.equal(found, ways(images, torch.Generator().manual_seed(1)))


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [{}, {"target_ops": 0.6, "target_rate": 0.2}, {"target_skip": 0.3, "finetune_epochs": 1}], ids=str
)
@pytest.mark.filterwarnings("ignore:.*:UserWarning:torch")
def test_a_training_with_another_default_type(options, double, tmp_path):
    images = torch.randint(0, 256, (96, 1, 8, 8), dtype=torch.uint8)
    data = (images, (images.flatten(1).float().mean(1) > 127).long())
    places = {"out": tmp_path / "run", "device": "cpu", "quiet": True}
    trainer = SpQuantTrainer(
        "6C3-8C3-P2-FC2", (data, data), 2, timesteps=2, epochs=2, validation=32, batch_size=32, **options, **places
    )
    trainer.train()
    assert types(trainer.network) == {torch.float32}
    assert 0 <= trainer.evaluate() <= 100
    trainer.export(tmp_path / "model.spq")
    trainer.report(tmp_path / "report.html", count=8, raster=(0,))
    trainer.early_exit()


def saved(network):
    buffer = io.BytesIO()
    torch.save(network, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=False)


def state_of(network):
    other = copy.deepcopy(network)
    for part in other.parameters():
        part.data.mul_(-2)
    other.load_state_dict(network.state_dict())
    return other


@pytest.mark.slow
@pytest.mark.parametrize("again", [copy.deepcopy, lambda network: pickle.loads(pickle.dumps(network)), saved, state_of])
@pytest.mark.parametrize(("bits", "frozen"), FORMS)
@pytest.mark.parametrize("kind", MODELS)
def test_a_copy_is_the_same_network(kind, bits, frozen, again):
    network = network_of(kind, bits, frozen)
    if kind == "row" and bits != 32:
        insert_gates(network)
        insert_skipping(network)
    other = again(network)
    assert other.frozen == frozen
    for one, two in zip(results(network, IMAGES[kind]), results(other, IMAGES[kind]), strict=True):
        assert torch.equal(one, two)


@pytest.mark.slow
def test_a_frozen_network_is_left_as_it_is_by_the_compiler():
    network = network_of("row", 2, True)
    with torch.no_grad():
        logits, mean = network(IMAGES["row"]), network.mean_logits(IMAGES["row"])
        assert torch.equal(torch.compile(network, backend="eager")(IMAGES["row"]), logits)
        assert torch.equal(torch.compile(network.mean_logits, backend="eager")(IMAGES["row"]), mean)
    compiled, plain = copy.deepcopy(network), copy.deepcopy(network)
    compiled.compile(backend="eager")
    for one, two in zip(results(compiled, IMAGES["row"]), results(plain, IMAGES["row"]), strict=True):
        assert torch.equal(one, two)
