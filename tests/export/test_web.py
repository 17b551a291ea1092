"""Pages, in a browser without a window: they compute and count as the reference does."""

import json
from base64 import b64encode

import numpy as np
import pytest

from page_trace import CRC, SEE, seen_by_reference
from random_graphs import EXPORTED, GATED, RARE
from residual_graphs import EXPORTED as RESIDUAL
from residual_graphs import residual_graph
from spquant_snn.export.web import choose_samples, export_web, page_network
from spquant_snn.integer import reference
from spquant_snn.integer.compare import reference_trace
from spquant_snn.integer.early_stop import MOST_MARGIN, decides, leads, stop_early
from spquant_snn.report.counts import count
from toolchains import NEEDS_A_BROWSER

pytestmark = NEEDS_A_BROWSER


def as_text(image):
    return json.dumps(b64encode(image.tobytes()).decode())


@pytest.mark.parametrize(
    ("drawn", "gated"), [*((drawn, False) for drawn in EXPORTED), *((drawn, True) for drawn in GATED)], ids=str
)
def test_a_page_computes_and_counts_as_the_reference(
    open_page, random_graph, with_gates, random_images, tmp_path, drawn, gated
):
    graph = with_gates(random_graph(*drawn), drawn[0]) if gated else random_graph(*drawn)
    assert any(layer.gate is not None for layer in graph.layers) == gated
    check_page(open_page, graph, random_images, tmp_path, drawn)


@pytest.mark.parametrize("drawn", RESIDUAL[:3], ids=str)
def test_a_page_adds_shortcuts_as_the_reference(open_page, random_images, tmp_path, drawn):
    check_page(open_page, residual_graph(*drawn), random_images, tmp_path, drawn)


def check_page(open_page, graph, random_images, tmp_path, drawn):
    images = random_images(graph, 6, drawn[0])
    export_web(graph, images, np.zeros(6, np.int64), tmp_path / "x", f"random graph {drawn}", "digits")
    page = open_page(tmp_path / "x")
    assert page.text("#selftest") == "Self-test passed: bit for bit as the reference."
    page.value(SEE)
    for image, expected in zip(
        images, seen_by_reference(graph, images, lambda part: part.ravel().tolist()), strict=True
    ):
        assert page.value(f"see({as_text(image)})") == expected
        work = page.value(
            f"(() => {{ const pixels = Uint8Array.from(atob({as_text(image)}), (x) => x.charCodeAt(0));"
            "return operations(spquant.about, pixels, spquant.run(pixels).layers).map((w) => [w.dense, w.done]) })()"
        )
        assert work == [[layer.dense, layer.done] for layer in count(graph, image[None]).rows]
    if decides(graph):
        check_stops(page, graph, images)
    assert page.complaints == []


def check_stops(page, graph, images):
    leading = leads(reference.answers_by_step(graph, images)[0].reshape(-1, len(images), graph.classes))
    for margin in (0, int(np.median(leading[0])) + 1, MOST_MARGIN):
        stopped = stop_early(graph, images, margin)
        for n, image in enumerate(images):
            found = page.value(
                f"(() => {{ const pixels = Uint8Array.from(atob({as_text(image)}), (x) => x.charCodeAt(0));"
                f"const {{ answer, logits, steps }} = spquant.until(pixels, {margin});"
                "return [answer, steps, ...logits] })()"
            )
            assert found == [stopped.classes[n], stopped.steps[n], *stopped.logits[n]]


@pytest.mark.parametrize("seed", [4, 24, 33, RARE + 4, RARE + 8, RARE + 11])
def test_operations_that_gates_leave_out_are_not_counted(
    open_page, site, random_graph, with_gates, random_images, seed
):
    graph = with_gates(random_graph(seed, 2, 4), seed)
    images = random_images(graph, 2, seed)
    page = open_page(site)
    about = json.dumps(page_network(graph, choose_samples(images, np.zeros(2, np.int64)), "digits"))
    for image in images:
        parts = [
            f"{{spikes: Uint8Array.from({spikes.astype(int).ravel().tolist()}), "
            f"codes: Int8Array.from({codes.ravel().tolist()})}}"
            for _, spikes, codes in reference_trace(graph, image[None]).layers
        ]
        pixels = f"Uint8Array.from({image.ravel().tolist()})"
        work = page.value(f"operations({about}, {pixels}, [{', '.join(parts)}]).map((w) => [w.dense, w.done])")
        counted = count(graph, image[None]).layers
        assert work == [[layer.dense, layer.done] for layer in counted]
        assert any(layer.done < layer.reached for layer in counted)


@pytest.mark.mnist
def test_200_test_images_are_seen_bit_for_bit_as_by_the_reference(open_page, trained_site, trained, mnist):
    images, labels = mnist[0][:200], mnist[1][:200]
    page = open_page(trained_site)
    page.value(CRC)
    found = [page.value(f"see({as_text(image)})") for image in images]
    assert found == list(seen_by_reference(trained, images))
    assert (np.array([logits for logits, _ in found]).argmax(1) == labels).mean() > 0.9
