"""Verification finds what was changed, and names it: layer, time step, image, place and both values."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from general_graphs import general_graph, general_inputs
from spquant_snn.errors import ModelError
from spquant_snn.integer import reference
from spquant_snn.integer.compare import Difference, Trace, compare_backends, first_difference, reference_trace
from spquant_snn.nn import LeNetSNN
from spquant_snn.quant.frozen_trace import frozen_trace
from spquant_snn.quant.lower import lower
from spquant_snn.quant.prepare import prepare
from spquant_snn.quant.quant_config import QuantConfig

SHAPE = (1, 12, 12)


@pytest.fixture
def net(calibrate, noise):
    torch.manual_seed(0)
    images = noise(20, *SHAPE)
    network = prepare(LeNetSNN(SHAPE, width=(4, 6), hidden=16), QuantConfig(4, 4, 3), SHAPE)
    return calibrate(network, images).freeze(), images.numpy()


def on(graph):
    return lambda *given: reference_trace(graph, *given)


def with_layer(graph, index, connection=None, **neuron):
    layer = graph.layers[index]
    (term,) = layer.terms
    terms = (replace(term, connection=connection or term.connection),)
    changed = replace(layer, terms=terms, neuron=replace(layer.neuron, **neuron))
    return replace(graph, layers=(*graph.layers[:index], changed, *graph.layers[index + 1 :]))


def test_the_torch_network_and_the_reference_are_equal(net):
    network, images = net
    seen = []
    verdict = compare_backends(
        on(lower(network)), lambda x: frozen_trace(network, x), images, batch=8, progress=seen.append
    )
    assert verdict.equal
    assert seen == [8, 16, 20]
    neurons = 4 * 36 + 6 * 9 + 16
    assert (verdict.images, verdict.spikes, verdict.codes, verdict.logits) == (20, 60 * neurons, 60 * neurons, 200)
    assert str(verdict) == "equal on 20 images: 12,840 spikes, 12,840 stored codes, 200 logits"
    assert repr(verdict) == f"Verdict({verdict})"
    assert f">{verdict}</p>" in verdict._repr_html_()


@pytest.mark.parametrize("index", [0, 1, 2])
def test_one_weight_changed_is_found_in_its_layer(net, index):
    network, images = net
    graph = lower(network)
    connection = graph.layers[index].terms[0].connection
    codes = connection.codes.copy()
    codes[2] = -codes[2].clip(-7, 7)  # one output channel
    verdict = compare_backends(on(graph), on(with_layer(graph, index, replace(connection, codes=codes))), images)
    assert not verdict.equal
    assert not verdict
    assert verdict.difference.layer == graph.layers[index].name
    assert verdict.difference.index[1] == 2
    assert verdict.difference.timestep == 0


def test_one_threshold_changed_is_found_at_its_channel(net):
    network, images = net
    graph = lower(network)
    fire = graph.layers[1].neuron.fire.copy()
    fire[3] = -(1 << 30)  # fires at every step
    difference = compare_backends(on(graph), on(with_layer(graph, 1, fire=fire)), images).difference
    assert (difference.layer, difference.what, difference.index[1]) == ("conv2", "spike", 3)
    assert (difference.expected, difference.found) == (0, 1)


def test_a_change_in_what_is_stored_is_found_before_the_spikes_it_leads_to(net):
    network, images = net
    graph = lower(network)
    store = graph.layers[0].neuron.store
    edges = store.edges.copy()
    edges[:, 1] += 40
    difference = compare_backends(
        on(graph), on(with_layer(graph, 0, store=replace(store, edges=edges))), images
    ).difference
    assert (difference.layer, difference.what, difference.timestep, difference.index[1]) == ("conv1", "code", 0, 1)
    assert difference.found < difference.expected


def test_a_bias_changed_is_found_in_the_logits(net):
    network, images = net
    graph = lower(network)
    bias = graph.readout.bias.copy()
    bias[7] += 1
    found = replace(graph, readouts=(replace(graph.readout, bias=bias),))
    difference = compare_backends(on(graph), on(found), images).difference
    assert (difference.layer, difference.what, difference.timestep, difference.index) == (
        "logits",
        "logit",
        None,
        (0, 7),
    )
    assert difference.found == difference.expected + 3  # once for each time step
    assert str(difference) == (
        f"logit of layer 'logits', image 0, at (7): expected {difference.expected}, found {difference.found}"
    )


@pytest.mark.parametrize("what", ["spike", "code"])
@pytest.mark.parametrize(("layer", "place"), [(0, (2, 13, 1, 5, 0)), (2, (1, 7, 15))])
def test_a_single_value_is_named_with_its_image_in_the_whole_set(net, what, layer, place):
    network, images = net
    graph = lower(network)

    def spoilt(part):
        trace = reference_trace(graph, part)
        first = int(np.argmax((images == part[0]).all((1, 2, 3))))
        if first <= place[1] < first + len(part):
            array = trace.layers[layer][1 if what == "spike" else 2]
            at = (place[0], place[1] - first, *place[2:])
            array[at] = not array[at] if what == "spike" else array[at] + 1
        return trace

    verdict = compare_backends(on(graph), spoilt, images, batch=6)
    difference = verdict.difference
    assert (difference.layer, difference.what) == (graph.layers[layer].name, what)
    assert (difference.timestep, difference.index) == (place[0], place[1:])
    assert abs(difference.found - difference.expected) == 1
    assert str(verdict).startswith(f"different: {what} of layer")
    assert f"time step {place[0]}, image {place[1]}, at ({', '.join(map(str, place[2:]))})" in str(verdict)
    assert verdict.images == 6 * (place[1] // 6 + 1)


def trace(*layers, logits=((0, 0),)):
    return Trace([(name, np.array(s, np.bool_), np.array(c)) for name, s, c in layers], [np.array(logits)])


def test_the_first_difference_is_the_first_computed():
    equal = ("a", [[[0]], [[0]]], [[[0]], [[0]]])
    late_spike = ("a", [[[0]], [[1]]], [[[0]], [[0]]])
    both = ("a", [[[0]], [[1]]], [[[1]], [[0]]])
    assert first_difference(trace(equal), trace(late_spike)) == Difference("a", "spike", 1, (0, 0), 0, 1)
    assert first_difference(trace(equal), trace(both)) == Difference("a", "code", 0, (0, 0), 0, 1)
    assert first_difference(trace(equal, equal), trace(equal, late_spike), numbers=np.array([5])).index == (5, 0)
    assert first_difference(trace(equal), trace(equal, logits=((0, 2),))) == Difference(
        "logits", "logit", None, (0, 1), 0, 2
    )
    assert first_difference(trace(equal), trace(equal)) is None


def test_traces_of_other_shapes_are_not_compared():
    one, two = ("a", [[[0]]], [[[0]]]), ("a", [[[0, 0]]], [[[0, 0]]])
    with pytest.raises(ValueError, match="different shapes"):
        first_difference(trace(one), trace(two))
    with pytest.raises(ValueError, match="zip"):
        first_difference(trace(one), trace(one, one))


def test_a_network_in_training_form_is_not_lowered(net):
    network, _ = net
    network.frozen = False
    with pytest.raises(ModelError, match=r"still in training form: call freeze\(\) before lower\(\)"):
        lower(network)


def test_sequences_are_compared_along_the_images(net):
    network, images = net
    frames = np.stack([images[:7], images[7:14]])  # [T, N, C, H, W]
    seen = []
    verdict = compare_backends(
        on(lower(network)), lambda x: frozen_trace(network, x), frames, batch=3, progress=seen.append
    )
    assert verdict.equal
    assert verdict.images == 7
    assert seen == [3, 6, 7]


def test_a_network_in_training_form_has_no_trace(calibrate, noise):
    network = prepare(LeNetSNN(SHAPE, width=(4, 6), hidden=16), QuantConfig(4, 4, 3), SHAPE)
    with pytest.raises(ModelError, match="call freeze"):
        frozen_trace(network, noise(2, *SHAPE).numpy())


# Graphs of several inputs and readouts.


def of_two(wanted):
    """Graphs of two inputs, or with a second readout, and images for each."""
    for seed in range(99):
        graph = general_graph(seed)
        if len(getattr(graph, wanted)) > 1:
            yield graph, general_inputs(graph, 5, seed)


def test_each_input_is_cut_into_the_same_batches():
    graph, given = next(of_two("inputs"))
    seen = []

    def counting(*parts):
        seen.append([part.shape[-4] for part in parts])
        return reference_trace(graph, *parts)

    assert compare_backends(counting, on(graph), tuple(given), batch=2).equal
    assert seen == [[2, 2], [2, 2], [1, 1]]


def test_every_readout_is_compared_and_named():
    for graph, given in itertools.islice(of_two("readouts"), 8):
        bias = graph.readouts[1].bias.copy()
        bias[-1] += 1
        other = replace(graph, readouts=(graph.readouts[0], replace(graph.readouts[1], bias=bias), *graph.readouts[2:]))
        verdict = compare_backends(on(graph), on(other), tuple(given), batch=3)
        few = [x[..., :3, :, :, :] for x in given]
        assert verdict.logits == sum(answer.size for answer in reference_trace(graph, *few).answers)
        assert (verdict.difference.layer, verdict.difference.what) == ("readout 1", "logit")
        assert "logit of layer 'readout 1', image 0, at" in str(verdict)
        same = replace(graph, readouts=graph.readouts[:1])
        assert compare_backends(on(same), on(same), tuple(given)).equal


def test_answers_of_every_step_have_the_images_first():
    graph, given = next((g, x) for g, x in of_two("readouts") if any(r.over_time == "all" for r in g.readouts))
    trace, plain = reference_trace(graph, *given), reference.answers(graph, *given)
    for readout, answer, said in zip(graph.readouts, trace.answers, plain, strict=True):
        assert len(answer) == 5
        assert np.array_equal(answer, said.swapaxes(0, 1) if readout.over_time == "all" else said)
