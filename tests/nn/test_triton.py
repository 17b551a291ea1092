"""The fused neuron in Triton: on a GPU where there is one, elsewhere under Triton's interpreter; and compiled."""

import os
import subprocess
import sys

import pytest
import torch
from hypothesis import given

import fused_checks
from spquant_snn.nn import fused
from spquant_snn.nn.fused import FusedRecurrence
from spquant_snn.nn.recurrence import Dynamics, Recurrence
from spquant_snn.nn.surrogate import SURROGATES

triton = pytest.importorskip("triton", reason="Triton is not installed: pip install triton")

INTERPRETED = not torch.cuda.is_available()  # as tests/conftest.py asks for
DEVICE = "cpu" if INTERPRETED else "cuda"


@pytest.fixture(scope="module", autouse=True)
def form():
    """The form in Triton, also for a CPU."""
    from spquant_snn.nn import triton_neuron

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fused, "form_on", lambda device: triton_neuron)
        yield triton_neuron


@given(**fused_checks.DRAWS)
def test_spikes_are_equal_and_gradients_within_rounding(**drawn):
    fused_checks.agrees(DEVICE, **drawn)


@pytest.mark.parametrize("surrogate", SURROGATES)
@pytest.mark.parametrize("reset", ["zero", "subtract"])
@pytest.mark.parametrize("levels", fused_checks.LEVELS, ids=lambda x: "float" if x is None else f"{x.low}..{x.high}")
def test_every_membrane_reset_and_surrogate(levels, reset, surrogate):
    fused_checks.agrees(DEVICE, levels, reset, surrogate, 0.5, 0.9, 4, 700, False, 0)


@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_ties_are_decided_alike(reset):
    fused_checks.decides_ties_alike(DEVICE, reset)


def test_a_surrogate_known_in_closed_form():
    fused_checks.knows_the_triangle(DEVICE)


def test_any_layout_of_the_currents_is_read_right():
    fused_checks.reads_any_layout(DEVICE)


def test_it_keeps_nothing_but_its_input():
    fused_checks.keeps_nothing_but_its_input(DEVICE)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # of the interpreter's arithmetic
def test_what_is_no_number_fires_as_in_the_plain_form(value):
    fused_checks.fires_as_the_plain_form_on(value, DEVICE)


def test_no_neurons_at_all_are_no_trouble():
    fused_checks.takes_no_neurons_at_all(DEVICE)


def _rounds_twice():
    return INTERPRETED and tuple(map(int, triton.__version__.split(".")[:2])) < (3, 9)


@pytest.mark.skipif(_rounds_twice(), reason="this Triton's interpreter rounds a multiply-add twice")
def test_a_potential_is_rounded_once():
    """Potentials a rounding away from the threshold: there the product's own rounding would turn spikes."""
    draw, leak, threshold = torch.Generator().manual_seed(0), 255 / 256, 1.0
    first = torch.rand(4000, generator=draw) * 0.9
    second = threshold - first * leak
    second = torch.nextafter(second, torch.where(torch.rand(4000, generator=draw) < 0.5, -1.0, 2.0) * torch.ones(4000))
    exact = (first.double() * leak + second.double()).float() >= threshold  # double holds the sum exactly
    assert not torch.equal(exact, first * leak + second >= threshold)
    current, theta = torch.stack((first, second)).to(DEVICE), torch.tensor(threshold, device=DEVICE)
    dynamics = Dynamics(leak, "zero", SURROGATES["triangle"])
    spikes = FusedRecurrence.apply(current, theta, dynamics, None)
    assert torch.equal(spikes[1].cpu() > 0, exact)
    if not INTERPRETED:  # torch's own sum there is what the form repeats
        assert torch.equal(spikes, Recurrence.apply(current, theta, None, dynamics, None, False, None)[0])


def test_the_gradient_of_the_threshold_is_the_same_every_time():
    current = torch.randn(4, 5000, generator=torch.Generator().manual_seed(0)).to(DEVICE)
    dynamics = Dynamics(0.5, "subtract", SURROGATES["sigmoid"], fused_checks.LEVELS[3])
    found = set()
    for _ in range(3):
        threshold = torch.tensor(0.9, device=DEVICE, requires_grad=True)
        FusedRecurrence.apply(current, threshold, dynamics, None).sum().backward()
        found.add(float(threshold.grad))
    assert len(found) == 1


def test_it_is_tried_before_it_is_taken(form):
    """As on a GPU, where what Triton lacks is found out by the first launch."""
    assert fused.in_triton(torch.device(DEVICE)) is form


_COMPILE = """
import re
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from spquant_snn.nn import triton_neuron

def build(kernel, arch, **constants):
    names = kernel.arg_names
    scalars = {"leak": "fp32", "step": "fp32", "neurons": "i32"}
    types = {name: "constexpr" if name in constants else scalars.get(name, "*fp32") for name in names}
    values = {(names.index(name),): value for name, value in constants.items()}
    aligned = {(names.index(name),): [["tt.divisibility", 16]] for name in names if types[name] in ("*fp32", "i32")}
    source = ASTSource(fn=kernel, signature=types, constexprs=values, attrs=aligned)
    return triton.compile(source, target=GPUTarget("cuda", arch, 32), options=dict(triton_neuron.OPTIONS))

for arch in (80, 90):
    for low, high, steps, static_input in ((0, 0, 1, False), (-2, 1, 4, False), (-128, 127, 100, True)):
        common = dict(steps=steps, static_input=static_input, low=low, high=high)
        common |= dict(subtract=static_input, block=triton_neuron._BLOCK)
        forward = build(triton_neuron._forward, arch, **common).asm
        backward = build(triton_neuron._backward, arch, surrogate="sigmoid", learned=True, **common).asm
        assert "barrier" in backward["ttgir"], "a thread may read what no other has written yet"
        for asm in (forward, backward):
            assert "ld.global.v4" in asm["ptx"] and "st.global.v4" in asm["ptx"], "narrow accesses"
            assert "convert_layout" not in asm["ttgir"], "threads exchange what they read"
            assert not re.search(r"(mul|add|sub)\\.f32", asm["ptx"]), "products and sums may be contracted"
            assert low == high or "div.rn.f32" in asm["ptx"], "divisions are not to the nearest"
            assert steps == 1 or "fma.rn.f32" in asm["ptx"], "potentials are rounded twice"
"""


def test_it_compiles_for_gpus_that_are_not_here(tmp_path):
    """Without the interpreter, hence in a process of its own: the widest accesses, and arithmetic as it is written."""
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    environment |= {"TRITON_CACHE_DIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    call = [sys.executable, "-c", _COMPILE]
    ended = subprocess.run(call, capture_output=True, text=True, check=False, env=environment)
    assert ended.returncode == 0, ended.stderr
