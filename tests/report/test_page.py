"""The page: well-formed, complete by itself, readable without colour or pointer, and never more than text in it."""

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest

from spquant_snn.data.items import Items
from spquant_snn.errors import ConfigError
from spquant_snn.report.comparison import make_comparison
from spquant_snn.report.curves import Epoch
from spquant_snn.report.page import comparison_page, page_place, run_page, write_page
from spquant_snn.report.pareto import measure_run
from spquant_snn.report.run_report import ReportInput, build_report
from spquant_snn.train.config import TrainConfig

NASTY = "<script>alert(1)</script><img src=//x onerror=y>&\"'"
VOID = {"meta", "img", "br", "link", "input"}
EMPTY = {"path", "line", "rect", "circle"}  # of SVG, which close themselves


class Reader(HTMLParser):
    """The elements of a page, and the first fault of its nesting."""

    def __init__(self, page):
        super().__init__()
        self.open, self.elements, self.texts, self.fault = [], [], [], None
        self.feed(page)
        self.close()
        if self.open:
            self.fault = self.fault or f"{self.open} never end"

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID | EMPTY:
            self.fault = self.fault or f"{tag} cannot close itself"

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.fault = self.fault or f"{tag} ends, though it was not the last to begin"

    def handle_data(self, data):
        if not {"script", "style"} & set(self.open):
            self.texts.append(data)

    def of(self, *tags):
        return [attributes for tag, attributes in self.elements if tag in tags]


@pytest.fixture(scope="module")
def subject(random_graph, random_images):
    """A run whose every name is nasty."""
    graph = next(g for g in map(random_graph, range(60)) if len(g.layers) == 2)
    layers = []
    for layer, name in zip(graph.layers, (NASTY, NASTY + "2"), strict=True):
        layers.append(replace(layer, name=name))
    readout = replace(graph.readout, name=NASTY + "3")
    names = [layer.name for layer in layers]
    epochs = tuple(
        Epoch(n, 2 / n, 50.0 + n, 1 / n, 40.0 + n, *(dict.fromkeys(names, 0.1 * n),) * 3, {}, None) for n in (1, 2, 3)
    )
    record = {
        "command": [NASTY, "--x"],
        "versions": {NASTY: NASTY},
        "best": {"epoch": 2},
        "test_accuracy": 12.5,
        "seed": 0,
    }
    graph = replace(graph, layers=tuple(layers), readouts=(readout,))
    images = random_images(graph, 6)
    labels = np.arange(6) % graph.classes
    config = TrainConfig(model="lenet-snn", dataset=NASTY)
    return ReportInput(NASTY, NASTY, NASTY, graph, Items(NASTY, images, labels), None, config, epochs, record)


@pytest.fixture(scope="module")
def page(subject):
    return run_page(build_report(subject, 0, (0, 3)))


@pytest.fixture(scope="module")
def comparison(subject):
    images, labels = subject.test.images, subject.test.labels
    runs = [measure_run(f"{NASTY}{i}", subject.graph, images[: 3 + i], labels[: 3 + i]) for i in range(3)]
    return comparison_page(make_comparison(runs, NASTY))


@pytest.fixture(params=["run", "runs"])
def any_page(request, page, comparison):
    return page if request.param == "run" else comparison


def test_it_is_well_formed(any_page):
    assert any_page.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert Reader(any_page).fault is None


def test_the_reader_sees_faults():
    assert Reader("<p><b></p></b>").fault == "p ends, though it was not the last to begin"
    assert Reader("<p>").fault == "['p'] never end"
    assert Reader("<div/>").fault == "div cannot close itself"


def test_names_are_text_wherever_they_stand(any_page):
    reader = Reader(any_page)
    assert len(reader.of("script")) == 1
    assert not [attributes for attributes in reader.of("img") if not attributes["src"].startswith("data:")]
    assert not [name for _, attributes in reader.elements for name in attributes if name.startswith("on")]
    text = "".join(reader.texts)
    assert text.count(NASTY) >= 5
    assert not re.search(r"&(amp|lt|gt|#\d+);", text)  # nothing is escaped twice


def test_it_loads_nothing(any_page):
    reader = Reader(any_page)
    for _, attributes in reader.elements:
        for name in ("src", "href", "action", "data", "poster", "srcset", "style"):
            assert attributes.get(name, "#").startswith(("#", "data:image/png;base64,"))
    assert not re.search(r"url\(|@import|@font-face", any_page)
    assert not {tag for tag, _ in reader.elements} & {
        "link",
        "iframe",
        "object",
        "embed",
        "base",
        "form",
        "use",
        "image",
    }


def test_its_policy_allows_its_own_script_and_style_and_no_other(any_page):
    (policy,) = (m["content"] for m in Reader(any_page).of("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; img-src data:; ")
    for tag in ("script", "style"):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", any_page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_every_place_is_named_once_and_every_link_leads_to_one(any_page):
    reader = Reader(any_page)
    names = [attributes["id"] for _, attributes in reader.elements if "id" in attributes]
    assert len(set(names)) == len(names)
    links = [attributes["href"] for attributes in reader.of("a")]
    assert {link.removeprefix("#") for link in links} <= set(names)
    assert links[0] == "#main"
    for _, attributes in reader.elements:
        assert attributes.get("aria-labelledby", names[0]) in names


def test_it_can_be_read_without_seeing_it(any_page):
    reader = Reader(any_page)
    assert len(reader.of("h1")) == len(reader.of("main")) == 1
    assert all(attributes["alt"] for attributes in reader.of("img"))
    assert all(attributes.get("aria-label") for attributes in reader.of("svg"))
    scrolls = [attributes for attributes in reader.of("div") if attributes.get("class") == "scroll"]
    assert len(scrolls) == len(reader.of("table")) == len(reader.of("caption"))
    assert all(attributes["tabindex"] == "0" and attributes["aria-label"] for attributes in scrolls)
    assert all(attributes["scope"] in ("row", "col") for attributes in reader.of("th"))
    assert len(reader.of("svg")) == len([a for a in reader.of("details") if a.get("class") == "numbers"])
    levels = [int(tag[1]) for tag, _ in reader.elements if re.fullmatch("h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_a_run_s_page_holds_all_its_parts(page):
    text = " ".join("".join(Reader(page).texts).split())
    for part in (
        "In short",
        "Learning",
        "Layers",
        "Spikes",
        "Ledger",
        "Assumptions",
        "Origin",
        "ISSCC 2014",
        "12.50 %",
    ):
        assert part in text
    for chart in (
        "Loss",
        "Accuracy",
        "Firing rate",
        "Saturation",
        f"Stored codes of {NASTY}",
        "Energy of an inference",
    ):
        assert chart in text
    assert "Image 3: class" in text
    assert "only its integers could be run" in text


def test_what_is_not_there_has_no_section(subject):
    bare = replace(subject, config=None, epochs=(), record={})
    reader = Reader(run_page(build_report(bare, 0, ())))
    text = "".join(reader.texts)
    assert reader.fault is None
    assert "without the record of a run" in text
    places = {attributes.get("id") for _, attributes in reader.elements}
    assert places & {"learning", "spikes", "drift"} == set()
    assert {"headline", "layers", "ledger", "assumed", "origin"} <= places


def test_the_same_run_gives_the_same_page(subject, page):
    assert run_page(build_report(subject, 0, (0, 3))) == page


def test_a_page_is_written_whole(tmp_path, page):
    assert write_page(page, tmp_path / "new" / "x.html") == len(page.encode())
    assert (tmp_path / "new" / "x.html").read_text("utf-8") == page
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["x.html"]


def test_where_a_page_goes(tmp_path):
    for name in ("runs/a", "runs/b", "c"):
        (tmp_path / name).mkdir(parents=True)
    a, b, c, file = (tmp_path / name for name in ("runs/a", "runs/b", "c", "c/model.spq"))
    assert page_place([a], None) == a / "report.html"
    assert page_place([file], None) == tmp_path / "c" / "model.html"
    assert page_place([a, b], None) == tmp_path / "runs" / "report.html"
    assert page_place([a, c], tmp_path / "x.html") == tmp_path / "x.html"
    with pytest.raises(ConfigError, match="different folders: say with --out"):
        page_place([a, c], None)
