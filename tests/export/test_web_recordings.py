"""Pages of recordings, signals and vectors: what they are given is drawn, frame by frame, and the answers as they grow
are those of the reference."""

import json
from base64 import b64encode

import numpy as np
import pytest

from one_layer import one_layer
from page_trace import SEE
from spquant_snn.export.web import export_web
from spquant_snn.integer import reference
from spquant_snn.integer.compare import reference_trace
from spquant_snn.report.counts import count
from toolchains import NEEDS_A_BROWSER

pytestmark = NEEDS_A_BROWSER

FRAMES = 11


def site_of(shape, frames, tmp_path):
    graph, rng = one_layer(shape), np.random.default_rng(1)
    items = rng.integers(0, 256, (4, *frames, *shape)).astype(np.uint8)
    export_web(graph, items, np.arange(4) % 3, tmp_path / "site", "own data", "custom")
    return graph, items


@pytest.mark.parametrize("shape", [(2, 5, 4), (3, 1, 9), (12, 1, 1)], ids=["images", "signals", "vectors"])
def test_a_recording_is_played_as_the_reference_does(open_page, tmp_path, shape):
    graph, items = site_of(shape, (FRAMES,), tmp_path)
    page = open_page(tmp_path / "site")
    page.value(SEE)
    first = json.dumps(b64encode(items[0].tobytes()).decode())
    given = np.ascontiguousarray(items[:1].swapaxes(0, 1))
    trace = reference_trace(graph, given)
    parts = [[part[:, 0].astype(int).ravel().tolist() for part in pair] for _, *pair in trace.layers]
    assert page.value(f"see({first})") == [trace.logits[0].tolist(), parts]
    pixels = f"Uint8Array.from(atob({first}), (x) => x.charCodeAt(0))"
    said = page.value(f"spquant.run({pixels}).said.map((logits) => [...logits])")
    assert said == reference.answers_by_step(graph, given)[0][:, 0].tolist()
    for wrong in ("new Float32Array(8)", "[1, 2]", "'pixels'"):
        caught = page.value(f"(() => {{ try {{ spquant.run({wrong}) }} catch (error) {{ return error.message }} }})()")
        assert caught.startswith("pixels are bytes: give a Uint8Array")
    work = page.value(
        f"operations(spquant.about, {pixels}, spquant.run({pixels}).layers).map((w) => [w.dense, w.done])"
    )
    assert work == [[layer.dense, layer.done] for layer in count(graph, given).rows]
    assert page.text("#moment-says") == f"frame {FRAMES} of {FRAMES}"
    assert page.text("#class") == str(np.argmax(said[-1]))
    page.value(
        "(() => { const m = document.querySelector('#moment'); m.value = 2; m.dispatchEvent(new Event('input')) })()"
    )
    assert page.text("#moment-says") == f"frame 2 of {FRAMES}"
    assert page.text("#class") == str(np.argmax(said[1]))
    scores = page.value("[...document.querySelectorAll('#scores td.number')].map((cell) => cell.textContent)")
    assert [int(score.replace(",", "").replace("−", "-")) for score in scores] == said[1]
    assert page.text("#layers figcaption").startswith("step 1: ")
    page.until("document.querySelector('#time').textContent.endsWith('µs')")
    page.value("document.querySelector('#play').click()")
    page.until(f"document.querySelector('#moment-says').textContent === 'frame {FRAMES} of {FRAMES}'")
    assert page.text("#class") == str(np.argmax(said[-1]))
    assert page.text("#layers figcaption").startswith("step 4: ")
    assert page.complaints == []


@pytest.mark.parametrize(("shape", "what"), [((3, 1, 9), "signal"), ((12, 1, 1), "vector")])
def test_a_signal_is_drawn_as_lines(open_page, tmp_path, shape, what):
    graph, items = site_of(shape, (), tmp_path)
    page = open_page(tmp_path / "site")
    assert page.text("#samples-name") == f"Test {what}s"
    assert page.text("#class") == str(reference.run(graph, items[:1])[0].argmax())
    inked = """(() => {
      const canvas = document.querySelector("#pad"), { width, height } = canvas;
      const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
      return data.filter((value, i) => i % 4 === 3 && value > 200).length;
    })()"""
    assert page.value(inked) > 200
    assert page.value("document.querySelector('#play') === null")
    assert page.complaints == []
