"""The layer of neurons: streaming equals forward, nothing is remembered, and bad arguments are refused in words."""

import numpy as np
import pytest
import torch

from spquant_snn.errors import ConfigError, DataError, SpQuantError
from spquant_snn.nn import LIF, Feedback, LeakyIntegrator, OneToOne
from spquant_snn.nn.lif import plain_path_note
from spquant_snn.nn.recurrence import Levels

LEVELS = [None, Levels(-1, 1, 1.0), Levels(-8, 7, 0.25)]


def neuron(levels=None, **options):
    lif = LIF(**options)
    lif.levels = levels
    return lif


def current(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)) + 0.4


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("reset", ["zero", "subtract"])
@pytest.mark.parametrize("steps", [1, 6])
def test_steps_one_by_one_equal_forward(levels, reset, steps):
    lif, x = neuron(levels, reset=reset, leak=0.75), current(steps, 2, 3, 4)
    state, spikes = lif.initial_state(x[0]), []
    for drive in x:
        fired, state = lif.step(drive, state)
        spikes.append(fired)
    assert torch.equal(torch.stack(spikes), lif(x))
    assert 0.1 < lif(x).mean() < 0.9


def test_gradients_through_steps_equal_those_of_forward():
    lif, x = neuron(LEVELS[2], learn_threshold=True), current(5, 40)
    weights = current(5, 40).flip(0)
    at_once = x.clone().requires_grad_()
    (lif(at_once) * weights).sum().backward()
    expected, lif.v_threshold.grad = lif.v_threshold.grad, None
    streamed = x.clone().requires_grad_()
    state, loss = lif.initial_state(x[0]), 0
    for drive, weight in zip(streamed, weights, strict=True):
        fired, state = lif.step(drive, state)
        loss = loss + (fired * weight).sum()
    loss.backward()
    torch.testing.assert_close(streamed.grad, at_once.grad)
    torch.testing.assert_close(lif.v_threshold.grad, expected)
    assert expected.abs() > 0.1


def test_every_forward_starts_fresh():
    lif, x = neuron(leak=1.0), torch.full((3, 1, 5), 0.4)
    first = lif(x)
    assert first.sum(0).eq(1).all()  # 0.4, 0.8, 1.2: only the third step fires
    assert torch.equal(lif(x), first)
    assert not list(lif.buffers())


def test_a_still_current_equals_its_repetition():
    lif, x = neuron(LEVELS[1]), current(2, 3, 4, 4)
    assert torch.equal(lif.forward_static(x, 5), lif(x.expand(5, *x.shape)))


def test_the_input_is_left_as_it_was():
    x = current(3, 2, 5)
    kept = x.clone()
    neuron(LEVELS[2], reset="subtract")(x)
    assert torch.equal(x, kept)


@pytest.mark.parametrize(
    ("layer", "name"),
    [(LIF(), "LIF"), (LeakyIntegrator(), "LeakyIntegrator"), (Feedback(LIF(), OneToOne(3)), "Feedback")],
)
@pytest.mark.parametrize(
    ("x", "found"),
    [
        (torch.zeros(0, 2, 3), r"torch.float32 of shape \(0, 2, 3\)"),
        (torch.ones(4, 2, 3, dtype=torch.int64), r"torch.int64 of shape \(4, 2, 3\)"),
        (torch.tensor(1.0), r"torch.float32 of shape \(\)"),
        (np.ones((4, 2, 3), np.float32), "a ndarray"),
        ([[1.0]], "a list"),
    ],
)
def test_what_is_no_sequence_is_refused_in_words(layer, name, x, found):
    with pytest.raises(DataError, match=f"{name} takes a floating-point tensor .* not {found}"):
        layer(x)


def test_the_leak_in_use_is_not_set_past_its_checks():
    with pytest.raises(AttributeError):
        LIF().leak = 7


def test_a_batch_of_nothing_gives_nothing():
    assert LIF()(torch.zeros(4, 0, 3)).shape == (4, 0, 3)


def test_a_learned_threshold_moves_and_stays_positive():
    lif = LIF(learn_threshold=True)
    assert [name for name, p in lif.named_parameters() if p.requires_grad] == ["v_threshold"]
    with torch.no_grad():
        lif.v_threshold.fill_(-3.0)
    assert lif.threshold.item() == pytest.approx(0.01)
    assert not any(p.requires_grad for p in LIF().parameters())


def test_the_surrogate_is_the_one_asked_for():
    x = torch.tensor([[0.8]])
    for choice, slope in (("triangle", 0.8), ("rectangle", 1.0), (lambda v: torch.full_like(v, 7.0), 7.0)):
        y = x.clone().requires_grad_()
        LIF(surrogate=choice)(y).sum().backward()
        assert y.grad.item() == pytest.approx(slope)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_spikes_have_the_type_of_the_current(dtype):
    x = current(3, 10).to(dtype).requires_grad_()
    spikes = neuron(LEVELS[1])(x)
    spikes.sum().backward()
    assert spikes.dtype == x.grad.dtype == dtype
    assert set(spikes.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"v_threshold": 0.0}, "v_threshold must be a number from 0.01, or one for each channel, not 0.0"),
        ({"v_threshold": float("nan")}, "v_threshold must be .* not nan"),
        ({"v_threshold": float("inf")}, "v_threshold must be .* not inf"),
        ({"v_threshold": [1.0, 0.001]}, "v_threshold must be .* not 0.001 of channel 1"),
        ({"v_threshold": "high"}, "v_threshold must be .* not 'high'"),
        ({"v_threshold": True}, "v_threshold must be .* not True"),
        ({"v_threshold": None}, "v_threshold must be .* not None"),
        ({"v_threshold": []}, r"v_threshold must be .* not \[\]"),
        (
            {"v_threshold": torch.ones(2, 2)},
            "v_threshold must be a number from 0.01, or one for each channel, not tensor",
        ),
        ({"leak": 1.5}, "leak must be a number from 0 to 1, or one for each channel, not 1.5"),
        ({"leak": -0.5}, "leak must be .* not -0.5"),
        ({"leak": float("nan")}, "leak must be .* not nan"),
        ({"leak": [0.5, [0.5]]}, "leak must be .* not "),
        ({"leak": [0.5, 2.0]}, "leak must be .* not 2.0 of channel 1"),
        ({"leak": 1.0, "learn_leak": True}, "learn_leak needs a leak between 0 and 1 to begin with, not 1.0"),
        ({"leak": [0.5, 0.0], "learn_leak": True}, "learn_leak needs a leak between 0 and 1"),
        ({"learn_leak": 1}, "learn_leak must be True or False, not 1"),
        ({"learn_threshold": None}, "learn_threshold must be True or False, not None"),
        ({"reset": "hard"}, "reset must be 'zero', 'subtract' or 'none', not 'hard'"),
        ({"reset": None}, "reset must be .* not None"),
        ({"reset_by": 1.0}, "reset_by is what reset='subtract' subtracts: leave it out with reset='zero'"),
        ({"reset": "subtract", "reset_by": -1.0}, "reset_by must be a number from 0, .* not -1.0"),
        ({"synaptic_leak": 1.5}, "synaptic_leak must be a number from 0 to 1, .* not 1.5"),
        ({"leak": [0.5] * 3, "v_threshold": [1.0] * 4}, "constants are given for 3 and for 4 channels: which?"),
        ({"surrogate": "relu"}, "surrogate must be one of"),
    ],
)
def test_a_bad_argument_is_refused_in_words(options, message):
    with pytest.raises(ConfigError, match=message) as caught:
        LIF(**options)
    assert isinstance(caught.value, SpQuantError)


def test_constants_of_another_number_of_channels_are_refused():
    for shape in ((2, 5, 4), (2, 5)):
        with pytest.raises(ConfigError, match=r"constants of 3 channels meet currents of shape \(5"):
            LIF(leak=[0.5] * 3)(torch.zeros(*shape))


def test_constants_are_numbers_of_any_kind():
    for leak in (np.float32(0.25), torch.tensor(0.25), np.array(0.25)):
        assert LIF(leak=leak).fixed_leak == 0.25
    for leaks in ((0.25, 1), np.array([0.25, 1.0], np.float32), torch.tensor([0.25, 1.0], dtype=torch.float16)):
        assert LIF(leak=leaks).leak.tolist() == [0.25, 1.0]
    with torch.device("meta"):
        assert LIF([0.5, 1.0], [0.5, 0.7], learn_leak=True).leak_logit.is_meta


def test_channels_that_are_kept_keep_their_constants():
    x, mask = current(4, 2, 4, 3), torch.tensor([True, False, True, True])
    leaks = torch.tensor([0.2, 0.4, 0.6, 0.8])
    lif = LIF(leak=leaks, v_threshold=leaks + 0.3, synaptic_leak=leaks, learn_leak=True, learn_threshold=True)
    whole = lif(x)
    lif.keep(mask)
    assert torch.equal(lif(x[:, :, mask]), whole[:, :, mask])
    assert [p.shape for p in lif.parameters() if p.requires_grad] == [(3,), (3,)]


def test_neurons_with_a_synaptic_current_are_not_skipped():
    with pytest.raises(ConfigError, match="neurons with a synaptic current cannot be skipped"):
        neuron(LEVELS[2], synaptic_leak=0.5)(current(3, 2, 4), lambda *_: None)


def test_a_network_says_once_which_neurons_have_no_kernel():
    assert plain_path_note(torch.nn.Sequential(LIF(), LIF(leak=0.3), LIF(reset="subtract"))) is None
    slower = [LIF(reset="none"), LIF(learn_leak=True), LIF(leak=[0.5] * 2), LIF(synaptic_leak=0.5)]
    slower += [LIF(reset="subtract", reset_by=2.0), LIF(v_threshold=[1.0] * 2)]
    for lif in slower:
        assert not lif.has_kernel
        assert plain_path_note(torch.nn.Sequential(LIF(), lif)).startswith(
            "a layer of neurons trains by the plain path"
        )
    assert plain_path_note(torch.nn.Sequential(LIF(), *slower)).startswith(
        "6 layers of neurons train by the plain path"
    )


def test_its_print_says_what_is_stored():
    assert "v_threshold=[2], leak=0.25, reset='subtract', reset_by=2, synaptic_leak=[2], float" in repr(
        LIF([1.0, 2.0], 0.25, "subtract", learn_leak=True, reset_by=2, synaptic_leak=torch.tensor([0.5, 0.5]))
    )
    assert "leak=0.5, reset='zero', float state" in repr(LIF())
    assert "codes -8..7" in repr(neuron(LEVELS[2]))


@pytest.mark.parametrize(
    ("options", "leak"), [({}, 0.5), ({"beta": 0.9}, 0.9), ({"tau": 4.0}, 0.75), ({"tau": 1}, 0.0), ({"leak": 1}, 1.0)]
)
def test_a_leak_by_any_of_its_names(options, leak):
    assert LIF(**options).leak == leak


def test_time_constants_of_channels():
    assert LIF(tau=[2, 4]).leak.tolist() == [0.5, 0.75]


def test_inputs_that_decay_too_are_a_higher_threshold():
    """v' = v + (x - v) / tau, as SpikingJelly's decay_input=True has it."""
    x, tau, v, expected = current(8, 2, 3).double(), 4.0, torch.zeros(2, 3).double(), []
    for frame in x:
        v = v + (frame - v) / tau
        expected.append((v >= 0.25).double())
        v = torch.where(v >= 0.25, 0, v)
    assert torch.equal(LIF(v_threshold=tau * 0.25, tau=tau)(x), torch.stack(expected))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"leak": 0.5, "beta": 0.5}, "leak and beta say the same of a neuron: give one of leak, beta and tau"),
        ({"beta": 0.5, "tau": 2.0}, "beta and tau say the same"),
        ({"tau": 0.5}, "tau must be a number from 1, or one for each channel, not 0.5"),
        ({"beta": 1.5}, "beta must be a number from 0 to 1, or one for each channel, not 1.5"),
    ],
)
def test_names_of_a_leak_that_contradict_or_are_out_of_range(options, said):
    with pytest.raises(ConfigError, match=said):
        LIF(**options)
