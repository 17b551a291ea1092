"""What CONTRIBUTING.md shows and names is there; workflows, templates and citation agree with the package."""

import importlib.util
import re
from pathlib import Path

import pytest

import spquant_snn
from spquant_snn.io.texts import tomllib

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def house():
    spec = importlib.util.spec_from_file_location("house", ROOT / "docs" / "house.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_picture_of_the_house_is_up_to_date(house):
    assert house.page() == house.PAGE.read_text("utf-8"), "run `make house`"
    assert "    quant --> nn\n" in house.drawn()


def test_arrows_that_follow_from_others_are_left_out(house):
    assert house.reduced({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == {"a": {"b"}, "b": {"c"}, "c": set()}


def test_the_files_and_commands_that_are_named_are_there():
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    names = set(re.findall(r"`((?:src|tests|docs)/[\w./]+|\.github/\w+|\.ci/run)`", text))
    assert len(names) > 30
    assert [name for name in sorted(names) if not (ROOT / name).exists()] == []
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert set(re.findall(r"`make ([\w-]+)`", text)) <= targets


def test_the_citation_and_the_package_name_one_version_and_licence():
    with open(ROOT / "pyproject.toml", "rb") as file:
        project = tomllib.load(file)["project"]
    text = (ROOT / "CITATION.cff").read_text("utf-8")
    assert f"\nversion: {spquant_snn.__version__}\n" in text
    assert f"\nlicense: {project['license']}\n" in text
    assert f'\nrepository-code: "{project["urls"]["Repository"]}"\n' in text
    assert "doi: 10.3389/fnins.2024.1440000" in text


def test_a_fault_is_reported_with_what_doctor_says():
    templates = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
    assert len(templates) == 2
    assert all("Output of `spquant doctor`" in path.read_text("utf-8") for path in templates)
