"""spquant export --target c and --target web, and spquant run-firmware."""

import json
import re
import shutil
from importlib.util import find_spec

import numpy as np
import pytest

from rows import Last, Part, around, row
from spquant_snn.errors import RunError
from spquant_snn.integer.file import load_both, save
from spquant_snn.integer.graph import Connection
from spquant_snn.integer.neuron import fold_neuron


@pytest.fixture
def network(tmp_path):
    """An .spq file that takes the bundled digits."""
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(3)
    connection = Connection("conv", rng.integers(-1, 2, (16, 1, 3, 3)).astype(np.int8), 1.58, padding=around(1, 1))
    reach = connection.reach(255)
    neuron, _ = fold_neuron(1.58, 4.0 / reach, 0.0 * reach, 1.0, 0.5, "zero", reach)
    last = Connection("readout", rng.integers(-1, 2, (10, 16 * 64)).astype(np.int8), 1.58)
    path = tmp_path / "small.spq"
    save(row((1, 8, 8), 2, (Part(connection, neuron),), Last(last, 0, np.zeros(10, np.int32), 1.0)), path)
    return path


def test_a_network_is_exported_as_c(spquant, network, tmp_path):
    out = tmp_path / "firmware"
    code, said, _ = spquant("export", network, "--target", "c", "--out", out, "--dataset", "digits")
    assert code == 0
    assert re.match(rf"{re.escape(str(out))}: (about )?[\d,]+ bytes of flash and [\d,]+ of RAM", said)
    assert said.endswith(f"\nspquant run-firmware {out} --board cortex-m4 runs it\n")
    assert (out / "model.c").is_file()
    code, _, said = spquant("export", network, "--target", "c", "--out", out, "--dataset", "digits")
    assert code == 2
    assert "is not empty" in said
    assert spquant("export", network, "--target", "c", "--out", out, "--dataset", "digits", "--force")[0] == 0


def test_the_self_test_of_a_network_of_which_no_data_are_known_is_of_noise(spquant, network, tmp_path):
    out = tmp_path / "firmware"
    code, _, said = spquant("export", network, "--target", "c", "--out", out)
    assert code == 0
    assert said == f"spquant: the self-test is of noise, for no data of {network} are known: --images names yours\n"
    assert load_both(out / "model.spq")[1] is None


def test_firmware_of_which_no_data_are_known_runs_on_noise(spquant, network, tmp_path, monkeypatch):
    spquant("export", network, "--target", "c", "--out", tmp_path / "firmware")
    given = []

    def run(folder, board, images, labels, *more):
        given.append(images)
        assert labels is None
        raise RunError("stop here")

    monkeypatch.setattr("spquant_snn.export.firmware.run_firmware", run)
    code, _, said = spquant("run-firmware", tmp_path / "firmware")
    assert (code, given[0].shape, given[0].dtype) == (2, (10, 1, 8, 8), np.uint8)
    assert "noise is used, for no data of this network are known: --images names yours" in said


@pytest.mark.web
@pytest.mark.skipif(find_spec("ziglang") is None, reason="the extra web is not installed")
def test_a_network_is_exported_as_a_page(spquant, network, tmp_path):
    out = tmp_path / "site"
    code, said, _ = spquant("export", network, "--target", "web", "--out", out, "--dataset", "digits")
    size = sum(path.stat().st_size for path in out.iterdir())
    assert (code, said) == (0, f"{out}: {size:,} bytes; open {out / 'index.html'} in a browser\n")
    page = (out / "index.html").read_text("utf-8")
    assert "<h1>small.spq, trained on digits</h1>" in page
    assert not re.search('(src|href)="(?!#|data:)', page)  # nothing is loaded
    code, _, said = spquant("export", network, "--target", "web", "--out", out, "--dataset", "digits")
    assert code == 2
    assert "is not empty" in said
    assert spquant("export", network, "--target", "web", "--out", out, "--dataset", "digits", "--force")[0] == 0
    code, _, said = spquant("export", network, "--target", "c", "--out", out, "--dataset", "digits", "--force")
    assert code == 2
    assert "holds no earlier export, and --force replaces nothing else" in said


def test_a_page_needs_a_data_set_that_fits(spquant, network, tmp_path):
    code, _, said = spquant("export", network, "--target", "web", "--out", tmp_path / "site")
    assert code == 2
    assert "does not say what it was trained on: add --images, for your own, or --dataset" in said
    code, _, said = spquant("export", network, "--target", "web", "--out", tmp_path / "site", "--dataset", "letters")
    assert code == 2
    assert "unknown data set 'letters'" in said


@pytest.mark.parametrize("target", ["spq", "web"])
@pytest.mark.parametrize(
    "option",
    [("--prefer", "flash"), ("--amalgamate",), ("--layout", "platformio"), ("--name", "kws"), ("--share-runtime",)],
)
def test_what_is_for_firmware_alone_is_refused_elsewhere(spquant, network, tmp_path, target, option):
    code, _, said = spquant("export", network, "--target", target, "--out", tmp_path / "x", *option)
    assert code == 2
    assert f"{option[0]} is for firmware, not for --target {target}: add --target c" in " ".join(said.split())
    assert not (tmp_path / "x").exists()


@pytest.mark.device
def test_firmware_runs_on_a_board(spquant, network, tmp_path):
    if not all(map(shutil.which, ("arm-none-eabi-gcc", "qemu-system-arm", "cc"))):
        pytest.skip("arm-none-eabi-gcc or qemu-system-arm is not installed")
    out = tmp_path / "firmware"
    assert spquant("export", network, "--target", "c", "--out", out, "--dataset", "digits")[0] == 0
    code, said, _ = spquant("run-firmware", out, "--board", "cortex-m4", "--count", "20", "--json")
    found = json.loads(said)
    assert code == 0
    assert (found["images"], found["equal"]) == (20, 20)
    assert found["instructions"] < 80_000  # gcc 12 gives 73,607
    assert found["flash"] < 20_000
    code, said, _ = spquant("run-firmware", out, "--board", "cortex-m4", "--count", "5", "--margin", "0", "--json")
    stopped = json.loads(said)
    assert (code, stopped["taken"], stopped["equal"]) == (0, 1.0, 5)
    assert stopped["instructions"] < found["instructions"]
    code, said, _ = spquant("run-firmware", out, "--count", "5", "--no-instructions")
    assert code == 0
    assert "5 of 5" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--board", "avr"), "there is no board 'avr': choose one of cortex-m0"),
        (("--board", "cortex-m4"), "holds no firmware: make it with spquant export RUN --target c"),
    ],
)
def test_bad_calls_are_answered_in_a_sentence(spquant, tmp_path, arguments, said):
    code, _, error = spquant("run-firmware", tmp_path, *arguments)
    assert code == 2
    assert said in error
    assert error.count("\n") == 1
