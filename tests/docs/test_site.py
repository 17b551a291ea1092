"""The site has all that it promises; `make docs` builds it."""

import ast
import importlib
import importlib.util
import re
import shlex
from pathlib import Path

import pytest

from cases import case
from spquant_snn.cli.main import COMMANDS, command_of
from spquant_snn.cli.parse import parse

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(DOCS.rglob("*.md"))


@pytest.mark.parametrize("module", ["spquant_snn", "spquant_snn.data", "spquant_snn.plot"])
def test_every_public_name_has_its_place_in_the_reference(module):
    text = "".join(page.read_text("utf-8") for page in (DOCS / "reference/api").glob("*.md"))
    described = re.findall(r"\.\. auto\w+:: (\S+)", text)
    assert len(described) == len(set(described))
    names = {f"{module}.{name}" for name in importlib.import_module(module).__all__}
    assert names - set(described) - {"spquant_snn.InputFormat"} == set()  # which is that of spquant_snn.data


def test_every_command_has_its_page():
    for command in COMMANDS:
        with case(command):
            text = (DOCS / f"reference/cli/{command}.md").read_text("utf-8")
            assert text.startswith(f"# spquant {command}\n")
            assert f".. options:: {command}\n" in text
            assert f"spquant {command} " in text


def test_every_page_is_in_a_table_of_contents():
    listed = {DOCS / "index.md"}
    for page in PAGES:
        for block in re.findall(r"```\{toctree\}\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
            names = [line for line in block.splitlines() if line and not line.startswith(":")]
            listed |= {(page.parent / f"{name}.md").resolve() for name in names}
    assert set(PAGES) - listed == set()


def test_links_between_pages_and_to_files_of_the_repository_lead_somewhere():
    root, missing = DOCS.parent, []
    home = "https://github.com/spquant-snn/spquant-snn/(?:blob|tree)/main/"
    for page in [*PAGES, root / "README.md"]:
        text = page.read_text("utf-8")
        missing += [
            (page.name, path) for path in re.findall(home + r"([^)\s#>\"]+)", text) if not (root / path).exists()
        ]
        for path in re.findall(r"\]\(((?!http)[^)\s#]+)", text):
            missing += [(page.name, path)] if not (page.parent / path).exists() else []
    assert missing == []


def test_python_in_pages_can_be_parsed():
    found = 0
    for page in PAGES:
        with case(str(page.relative_to(DOCS))):
            for block in re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
                ast.parse(block)
                found += 1
    assert found > 10


def test_commands_in_pages_are_parsed():
    found = 0
    for page in PAGES:
        text = page.read_text("utf-8")
        blocks = re.findall(r"```sh\n(.*?)```|```\n(spquant .*?)```", text, re.DOTALL)
        lines = "".join(map("".join, blocks)).replace("\\\n", " ").splitlines()
        lines += re.findall(r"^    (spquant .*)$", text, re.MULTILINE)
        for line in lines:
            words = shlex.split(line, comments=True)
            if words[:1] == ["spquant"] and words[1] in COMMANDS and "-h" not in words and "--help" not in words:
                with case(f"{page.relative_to(DOCS)}: {line}"):
                    assert callable(parse(command_of(words[1]), words[2:], f"spquant {words[1]}"))
                    found += 1
    assert found > 60
