"""A layer as one operation: on a GPU where there is one, elsewhere under Triton's interpreter, against the operations
one by one."""

import os
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

from spquant_snn import QuantConfig, prepare
from spquant_snn.nn import fused_layer
from spquant_snn.nn.fused_layer import LayerForm, layer, takes_layers
from spquant_snn.nn.geometry import Geometry
from spquant_snn.nn.lif import LIF
from spquant_snn.nn.models import build_model
from spquant_snn.nn.recurrence import Dynamics, Levels
from spquant_snn.nn.sums import convolutions_in
from spquant_snn.nn.surrogate import SURROGATES
from spquant_snn.quant.stage import Stage

triton = pytest.importorskip("triton", reason="Triton is not installed: pip install triton")

INTERPRETED = not torch.cuda.is_available()  # as tests/conftest.py asks for
DEVICE = "cpu" if INTERPRETED else "cuda"

pytestmark = pytest.mark.skipif(
    INTERPRETED and tuple(map(int, triton.__version__.split(".")[:2])) < (3, 9),
    reason="this Triton's interpreter cannot count with this NumPy",
)


@pytest.fixture(autouse=True)
def on_this_device(monkeypatch):
    monkeypatch.setattr(fused_layer, "triton_on", lambda device: True)


def recording(calls, fire=Stage.fire):
    def recorded(*arguments):
        spikes = fire(*arguments)
        calls.append(None if spikes is None else spikes.shape)
        return spikes

    return recorded


def whole_network(
    weight_bits, state_bits, low, model="16C3-24C3-P2-20C3-FC40-FC10", shape=(3, 8, 8), steps=3, seed=1, **neuron
):
    """Logits, gradients and running statistics of one network by layers as one operation, and by several."""
    found = []
    for together in (True, False):
        torch.manual_seed(seed)
        made = build_model(model, shape, 10, lambda: LIF(**neuron))
        network = prepare(made, QuantConfig(weight_bits, state_bits, steps), shape).to(DEVICE)
        images = torch.randint(0, 256, (5, *shape), dtype=torch.uint8).to(DEVICE)
        with pytest.MonkeyPatch.context() as patch, torch.autocast(DEVICE, torch.bfloat16, enabled=low):
            calls = []
            patch.setattr(Stage, "fire", recording(calls) if together else lambda *arguments: None)
            logits = network(images)
        assert not together or (calls and None not in calls)
        F.cross_entropy(logits.float().mean(0), torch.arange(5, device=DEVICE)).backward()
        gradients = {n: p.grad for n, p in network.named_parameters() if p.grad is not None}
        found.append((logits.detach(), gradients, dict(network.named_buffers())))
    return found


def apart(found, meant):
    """Of the length of what is meant."""
    return float((found - meant).norm() / meant.norm())


@pytest.mark.parametrize(
    ("weight_bits", "state_bits", "neuron"),
    [
        ("ternary", "ternary", {}),
        (2, 2, {"reset": "subtract", "surrogate": "atan"}),
        (4, 3, {"learn_threshold": True, "leak": 0.75, "surrogate": "sigmoid"}),
        (8, 2, {"surrogate": "rectangle", "v_threshold": 0.5}),
        (2, 32, {}),
    ],
    ids=str,
)
def test_a_network_in_float32_is_the_same(weight_bits, state_bits, neuron):
    furthest = []
    for seed in (1, 2, 3):
        found, wanted = whole_network(weight_bits, state_bits, False, seed=seed, **neuron)
        (logits, gradients, statistics), (meant, slopes, running) = found, wanted
        torch.testing.assert_close(logits, meant, rtol=1e-4, atol=1e-5)
        assert gradients.keys() == slopes.keys()
        for name in running:
            torch.testing.assert_close(statistics[name], running[name], rtol=1e-4, atol=1e-5, msg=name)
        furthest.append(max(apart(gradients[name], slopes[name]) for name in slopes))
    assert sorted(furthest)[1] < 1e-3  # a potential at a corner of the surrogate may fall on its other side in one


@pytest.mark.parametrize("weight_bits", ["ternary", 2, 4])
def test_bf16_rounds_gradients_alone(weight_bits):
    """Sums of codes are exact in whatever type they have: forward, nothing differs from float32."""
    (logits, gradients, _), (meant, slopes, _) = whole_network(weight_bits, 2, True)
    torch.testing.assert_close(logits, meant, rtol=1e-4, atol=1e-5)
    for name, slope in slopes.items():
        assert apart(gradients[name], slope) < 0.05, name


def test_floating_point_weights_take_it_too():
    (logits, gradients, _), (meant, slopes, _) = whole_network(32, 32, False)
    torch.testing.assert_close(logits, meant, rtol=1e-3, atol=1e-4)
    for name, slope in slopes.items():
        assert apart(gradients[name], slope) < 2e-3, name


def test_channels_and_images_of_any_number():
    """One channel, more than a block, sides that are odd; one step of time."""
    (logits, _, _), (meant, _, _) = whole_network(2, 2, False, "1C3-70C3-3C1-FC7-FC10", (1, 5, 3), steps=1)
    torch.testing.assert_close(logits, meant, rtol=1e-4, atol=1e-5)


def form_of(**changes):
    given = {
        "geometry": Geometry(padding=(1, 1)),
        "whole": 1,
        "narrow": True,
        "short": True,
        "dynamics": Dynamics(0.5, "zero", SURROGATES["triangle"], Levels(-2, 1, 1.0)),
        "steps": 4,
        "static_input": False,
        "training": True,
        "momentum": 0.1,
        "eps": 1e-5,
        "spikes": torch.bfloat16,
    }
    return LayerForm(**given | changes)


def parameters(channels):
    ones, zeros = torch.ones(channels, device=DEVICE), torch.zeros(channels, device=DEVICE)
    # scale, weight, bias, mean, variance, largest
    return ones.clone(), ones.clone(), zeros.clone(), zeros.clone(), ones.clone(), torch.zeros(1, device=DEVICE)


def test_sums_beyond_what_float16_holds_are_exact_as_well():
    """4608 inputs, all of which spike, times one: an odd sum above 2048."""
    x = torch.ones(4, 512, 3, 3, device=DEVICE, dtype=torch.bfloat16)
    kernel = torch.ones(1, 512, 3, 3, device=DEVICE)
    kernel[0, 0, 1, 1] = 0
    scale, weight, bias, mean, variance, largest = parameters(1)
    form = form_of(training=False, dynamics=Dynamics(0.0, "zero", SURROGATES["triangle"]), eps=0.0)
    for threshold, fires in ((4607.0, 1), (4608.0, 0)):
        theta = torch.tensor(threshold, device=DEVICE)
        spikes = layer(x, kernel, scale, weight, bias, mean, variance, largest, theta, form)
        assert float(spikes[0, 0, 0, 1, 1]) == fires


def test_statistics_in_evaluation_stay():
    draw = torch.Generator().manual_seed(0)
    x = torch.randint(0, 2, (8, 3, 4, 4), generator=draw).to(DEVICE, torch.bfloat16)
    kernel = torch.randint(-1, 2, (5, 3, 3, 3), generator=draw).float().to(DEVICE)
    scale, weight, bias, mean, variance, largest = parameters(5)
    theta = torch.tensor(1.0, device=DEVICE)
    spikes = layer(x, kernel, scale, weight, bias, mean, variance, largest, theta, form_of(training=False))
    assert spikes.shape == (4, 2, 5, 4, 4)
    assert (mean.tolist(), variance.tolist()) == ([0.0] * 5, [1.0] * 5)
    layer(x, kernel, scale, weight, bias, mean, variance, largest, theta, form_of())
    assert mean.tolist() != [0.0] * 5


def test_a_network_in_evaluation_is_the_same():
    torch.manual_seed(0)
    network = prepare(build_model("16C3-24C3-P2-FC10", (3, 8, 8), 10), QuantConfig(2, 2, 3), (3, 8, 8)).to(DEVICE)
    images = torch.randint(0, 256, (6, 3, 8, 8), dtype=torch.uint8).to(DEVICE)
    network.train()(images)
    found = []
    for together in (True, False):
        with pytest.MonkeyPatch.context() as patch, torch.no_grad():
            if not together:
                patch.setattr(Stage, "fire", lambda *arguments: None)
            found.append(network.eval()(images))
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-5)


def test_spikes_in_a_large_pool_are_counted_exactly():
    """Two bytes of a spike hold whole numbers up to 256, and a pool may hold more spikes."""
    torch.manual_seed(0)
    layers = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3, padding=1, bias=False),
        torch.nn.BatchNorm2d(4),
        LIF(v_threshold=0.1),
        torch.nn.AvgPool2d(40),
        torch.nn.Flatten(),
        torch.nn.Linear(4, 10),
    )
    network = prepare(layers, QuantConfig(2, 2, 2), (1, 40, 40)).to(DEVICE)
    images = torch.randint(0, 256, (3, 1, 40, 40), dtype=torch.uint8).to(DEVICE)
    with torch.autocast(DEVICE, torch.bfloat16):
        found = network(images)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stage, "fire", lambda *arguments: None)
        torch.testing.assert_close(found, network(images), rtol=1e-5, atol=1e-6)


def test_statistics_measured_anew_are_those_of_all_processes():
    """Normalisation in training inside a network in evaluation, as at the end of an epoch."""
    torch.manual_seed(0)
    network = prepare(build_model("4C3-FC10", (1, 6, 6), 10), QuantConfig(2, 2, 2), (1, 6, 6)).to(DEVICE).eval()
    (stage,) = network.hidden
    images = torch.zeros(2, 1, 6, 6, device=DEVICE)
    assert stage.fire(images, 2, True, True, True) is not None
    stage.norm.train()
    stage.norm.shard = object()
    assert stage.fire(images, 2, True, True, True) is None


@pytest.mark.skipif(not hasattr(torch.backends.cudnn, "conv"), reason="this torch has no switch for convolutions alone")
def test_the_precision_that_a_user_has_set_stays():
    switch = torch.backends.cudnn.conv
    before = switch.fp32_precision
    try:
        for chosen in ("ieee", "tf32"):
            switch.fp32_precision = chosen
            with convolutions_in("tf32"):
                assert switch.fp32_precision == "tf32"
            assert switch.fp32_precision == chosen
    finally:
        switch.fp32_precision = before


def test_the_same_gradients_every_time():
    draw = torch.Generator().manual_seed(0)
    x = torch.randint(0, 2, (8, 16, 9, 9), generator=draw).to(DEVICE, torch.bfloat16)
    kernel = torch.randint(-1, 2, (16, 16, 3, 3), generator=draw).float().to(DEVICE)
    found = set()
    for _ in range(3):
        scale, weight, bias, mean, variance, largest = parameters(16)
        weight.requires_grad_()
        theta = torch.tensor(0.9, device=DEVICE, requires_grad=True)
        spikes = layer(x, kernel, scale, weight, bias, mean, variance, largest, theta, form_of())
        spikes.float().square().sum().backward()
        found.add((float(weight.grad.sum()), float(theta.grad)))
    assert len(found) == 1


def test_what_does_not_fit_the_kernels_takes_several_operations():
    device, triangle = torch.device(DEVICE), SURROGATES["triangle"]
    assert takes_layers(device, Dynamics(0.5, "zero", triangle), 8)
    assert not takes_layers(device, Dynamics(0.5, "zero", triangle), 9)
    assert not takes_layers(device, Dynamics(0.5, "zero", torch.sigmoid), 4)


def test_a_sum_that_two_bytes_do_not_hold_is_noted():
    x = torch.ones(4, 512, 3, 3, device=DEVICE, dtype=torch.bfloat16)
    kernel = torch.ones(1, 512, 3, 3, device=DEVICE)
    for inputs, met in ((227, False), (228, True)):  # 9 * 227 = 2043
        kernel[:, inputs:] = 0
        kernel[:, :inputs] = 1
        scale, weight, bias, mean, variance, largest = parameters(1)
        theta = torch.tensor(1.0, device=DEVICE)
        layer(x, kernel, scale, weight, bias, mean, variance, largest, theta, form_of())
        assert (float(largest) >= fused_layer.EXACT) == met
        assert float(mean) == pytest.approx(0.1 * 49 / 9 * inputs)  # of 9 places, whose edges see fewer inputs


def test_a_layer_whose_sums_are_large_goes_over_to_four_bytes():
    network = prepare(build_model("4C3-400C3-6C3-FC10", (1, 6, 6), 10), QuantConfig(8, 2, 2), (1, 6, 6)).to(DEVICE)
    images = torch.full((3, 1, 6, 6), 255, dtype=torch.uint8, device=DEVICE)
    with torch.autocast(DEVICE, torch.bfloat16):
        network(images)
        largest = float(network.largest_narrow_sum())
        assert largest >= fused_layer.EXACT
        wider = network.widen(largest)
        assert wider
        assert set(wider) <= {"conv2", "conv3"}
        assert network.widen(largest) == []
        network(images)
    assert float(network.largest_narrow_sum()) < fused_layer.EXACT


_COMPILE = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from spquant_snn.nn import triton_layer, triton_norm
from spquant_snn.quant import triton_normalize

WHOLE = {"rows": "i32", "channels": "i32", "size": "i32", "blocks": "i32", "programs": "i32", "n": "i32"}
REAL = dict.fromkeys(("leak", "step", "momentum", "eps", "count", "factor", "least", "low", "high"), "fp32")

def build(kernel, arch, sums="*fp16", pull="*bf16", **constants):
    names = kernel.arg_names
    known = WHOLE | REAL | {"y": sums, "spikes": "*bf16", "grad_spikes": pull, "gradient": pull}
    types = {name: "constexpr" if name in constants else known.get(name, "*fp32") for name in names}
    values = {(names.index(name),): value for name, value in constants.items()}
    even = [name for name in names if types[name].startswith("*") or name in ("rows", "channels", "size")]
    aligned = {(names.index(name),): [["tt.divisibility", 16]] for name in even}
    source = ASTSource(fn=kernel, signature=types, constexprs=values, attrs=aligned)
    return triton.compile(source, target=GPUTarget("cuda", arch, 32), options=dict(triton_layer.OPTIONS)).asm["ptx"]

tile = dict(block_p=16, block_c=64)
for arch in (80, 90):
    for sums in ("*fp16", "*fp32"):
        for low, high, steps, static_input in ((0, 0, 1, False), (-2, 1, 4, False), (-8, 7, 8, True)):
            common = dict(steps=steps, static_input=static_input, low=low, high=high, subtract=static_input, **tile)
            forward = build(triton_layer._forward, arch, sums, **common)
            backward = build(triton_layer._backward, arch, sums, surrogate="atan", learned=static_input, **common)
            for ptx in (forward, backward):
                assert "ld.global.v4" in ptx and "st.global.v4" in ptx, "narrow accesses"
            assert ".local" not in backward, "potentials do not stay in registers"
        assert "ld.global.v4" in build(triton_norm._moments, arch, sums, noted=True, **tile)
        assert "st.global.v4" in build(triton_norm._finish, arch, sums, **tile)
    for training in (False, True):
        build(triton_norm._settle, arch, training=training, block_g=32, block_c=64)
        build(triton_norm._settle_back, arch, training=training, block_g=32, block_c=64)
    build(triton_norm._reach, arch, block=1024)
    build(triton_normalize._forward, arch, block=1024)
    build(triton_normalize._backward, arch, pull="*fp32", block=1024)
"""


def test_its_kernels_compile_for_gpus_that_are_not_here(tmp_path):
    """Without the interpreter, hence in a process of its own: the widest accesses, and no memory for potentials."""
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    environment |= {"TRITON_CACHE_DIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    call = [sys.executable, "-c", _COMPILE]
    ended = subprocess.run(call, capture_output=True, text=True, check=False, env=environment)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("training", [False, True])
def test_a_weight_of_zero_has_the_gradient_of_the_positive_side(training):
    found = []
    for value in (0.0, 1e-20):
        torch.manual_seed(2)
        scale, weight, bias, mean, variance, largest = parameters(4)
        weight, bias = (weight * value).requires_grad_(), bias + 0.6
        x = torch.randint(0, 2, (8, 4, 4, 4), device=DEVICE).to(torch.bfloat16)
        kernel = torch.randint(-1, 2, (4, 4, 3, 3), device=DEVICE).float().requires_grad_()
        x, threshold = x.contiguous(memory_format=torch.channels_last), torch.ones((), device=DEVICE)
        spikes = layer(x, kernel, scale, weight, bias, mean, variance, largest, threshold, form_of(training=training))
        spikes.backward(torch.randn(spikes.shape, device=DEVICE).to(spikes.dtype))
        found.append(weight.grad)
    assert bool((found[0] != 0).all())
    torch.testing.assert_close(found[0], found[1], rtol=1e-5, atol=0)
