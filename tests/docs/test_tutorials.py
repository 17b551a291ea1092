"""The tutorials run from top to bottom, and print what they say that they print; `make outputs` writes it anew."""

import importlib.util
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
NEEDS = {"snntorch": "snntorch"}  # what is not in requirements.txt: `make test-exchange` runs these


def _outputs():
    spec = importlib.util.spec_from_file_location("outputs", DOCS / "outputs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


outputs = _outputs()


def test_there_are_six():
    assert len(outputs.PAGES) == 6


@pytest.mark.slow
@pytest.mark.parametrize("page", outputs.PAGES, ids=lambda page: page.stem)
def test_a_tutorial_runs(page, tmp_path, monkeypatch):
    if page.stem in NEEDS:
        pytest.importorskip(NEEDS[page.stem], reason=f"needs {NEEDS[page.stem]}: make test-exchange")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    for block, told, said in outputs.run_page(page):
        if said is not None:
            assert said.strip(), f"no output is written behind {block}"
            assert outputs.same(told, said), f"{block}\nprints\n{told}\nand not\n{said}"
    for picture in tmp_path.glob("*.svg"):
        assert (DOCS / "images" / picture.name).exists()
        assert f"../images/{picture.name}" in page.read_text("utf-8")


def test_numbers_and_best_epochs_may_differ_and_words_may_not():
    assert outputs.same("epoch 1/8  val 62.94%*  2 s\n", "epoch 1/8  val  9.1%   1 s\n")
    assert not outputs.same("equal on 360 images", "unequal on 360 images")
    assert not outputs.same("1 step\n2 steps", "1 step")


def test_a_block_that_fails_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("page.md").write_text("```sh\nspquant eval nothing.spq\n```\n", "utf-8")
    with pytest.raises(RuntimeError, match=r"spquant eval nothing\.spq\nended with 2: spquant: "):
        list(outputs.run_page(Path("page.md")))
