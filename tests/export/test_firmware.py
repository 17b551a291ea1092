"""Firmware on emulated boards: equal to the reference, counted, measured, and refused in a sentence."""

import json
import re
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from torch import nn

from general_graphs import general_graph, general_inputs
from random_graphs import EXPORTED, GATED
from residual_graphs import EXPORTED as RESIDUAL
from rows import Last, Part, around, row, square
from spquant_snn.errors import (
    ConfigError,
    DataError,
    FileFormatError,
    MissingDependencyError,
    ModelError,
    RunError,
    UnequalError,
)
from spquant_snn.export import firmware as module
from spquant_snn.export import qemu, toolchain, unicorn
from spquant_snn.export.boards import BOARDS, board_of
from spquant_snn.export.c import VERSION, export_c
from spquant_snn.export.firmware import load_manifest, run_firmware
from spquant_snn.export.outcome import outcome_json, outcome_table
from spquant_snn.export.unicorn import _count
from spquant_snn.integer import reference
from spquant_snn.integer.graph import Connection
from spquant_snn.integer.neuron import fold_neuron
from spquant_snn.nn import LIF
from spquant_snn.quant.lower import lower
from spquant_snn.quant.prepare import prepare
from spquant_snn.quant.quant_config import QuantConfig
from toolchains import needs

SEEDS = [(16, 1.58, 1.58, "zero"), (17, 2, 2, "zero"), (9, 8, 8), (3,)]


@pytest.mark.device
@pytest.mark.parametrize("name", [name for name, board in BOARDS.items() if not board.small])
@pytest.mark.parametrize("drawn", SEEDS, ids=str)
def test_every_board_runs_as_the_reference(firmware, name, drawn):
    board = board_of(name)
    needs(board)
    outcome = run_firmware(*_given(firmware(*drawn), board))
    assert (outcome.equal, outcome.images) == (6, 6)
    assert outcome.instructions > 1000
    assert 0 < outcome.stores < outcome.loads < outcome.instructions
    assert 0 < outcome.stack <= outcome.stack_bound + 256  # of what calls the network


@pytest.mark.device
@pytest.mark.parametrize("name", ["cortex-m0", "cortex-m4", "rv32"])
@pytest.mark.parametrize("drawn", GATED, ids=str)
def test_boards_pass_over_blocks_as_the_reference(firmware, name, drawn):
    board = board_of(name)
    needs(board)
    made = firmware(*drawn, gated=True)
    assert any(layer.gate is not None for layer in made[1].layers)
    assert run_firmware(*_given(made, board)).equal == 6


@pytest.mark.device
@pytest.mark.parametrize("name", ["cortex-m0", "cortex-m4", "cortex-m55", "rv32"])
@pytest.mark.parametrize("drawn", RESIDUAL[:3], ids=str)
def test_boards_run_residual_networks_as_the_reference(firmware, name, drawn):
    board = board_of(name)
    needs(board)
    assert run_firmware(*_given(firmware(*drawn, residual=True), board)).equal == 6


@pytest.mark.device
@pytest.mark.parametrize("name", ["cortex-m4", "cortex-m0"])
def test_packages_of_python_alone_run_as_the_reference(firmware, name):
    board = board_of(name)
    needs(board, "zig", "unicorn")
    outcome = run_firmware(*_given(firmware(16, 1.58, 1.58, "zero"), board), compiler="zig", emulator="unicorn")
    assert (outcome.equal, outcome.emulator, outcome.compiler) == (6, "unicorn", "zig")
    assert outcome.instructions > 1000


@pytest.mark.device
@pytest.mark.parametrize(("name", "compiler"), [("cortex-m0", "zig"), ("cortex-m7", "zig"), ("cortex-m4", "gcc")])
@pytest.mark.parametrize(("drawn", "gated"), [*((drawn, False) for drawn in EXPORTED), (GATED[0], True)], ids=str)
def test_no_word_is_read_or_written_where_none_starts(firmware, monkeypatch, name, compiler, drawn, gated):
    """As a processor demands that is set to trap such an access, or knows none."""
    board = board_of(name)
    needs(board, compiler, "unicorn")
    odd = []

    def seen(self, machine, access, address, size, *rest):
        if self._counting and address % min(size, 4):
            odd.append((hex(address), size))

    monkeypatch.setattr(unicorn._Counter, "_loaded", seen)
    monkeypatch.setattr(unicorn._Counter, "_stored", seen)
    outcome = run_firmware(*_given(firmware(*drawn, gated=gated), board), compiler=compiler, emulator="unicorn")
    assert outcome.equal == 6
    assert odd == []


def _given(made, board):
    folder, _, images, labels = made
    return folder, board, images, labels


@pytest.mark.device
def test_counts_are_the_same_each_time_and_by_either_emulator(firmware):
    board = board_of("cortex-m4")
    needs(board)
    given = _given(firmware(16, 1.58, 1.58, "zero"), board)
    first, second = run_firmware(*given), run_firmware(*given)
    assert outcome_json(first) == outcome_json(second)
    if find_spec("unicorn") is not None:
        other = run_firmware(*given, emulator="unicorn")
        assert other.instructions == pytest.approx(first.instructions, rel=0.01)
        assert (other.loads, other.stack, other.flash) == (
            pytest.approx(first.loads, rel=0.01),
            first.stack,
            first.flash,
        )


@pytest.mark.device
@pytest.mark.parametrize("emulator", ["qemu", "unicorn"])
def test_sequences_are_run_frame_by_frame(firmware, emulator):
    board = board_of("cortex-m4")
    needs(board, "gcc", emulator)
    folder, graph, images, labels = firmware(16, 1.58, 1.58, "zero")
    silent = np.zeros_like(images)
    frames = np.stack([images, silent, images[::-1], silent], 1)
    outcome = run_firmware(folder, board, frames, labels, emulator=emulator)
    assert (outcome.images, outcome.equal, outcome.steps) == (6, 6, 4)
    said = reference.run(graph, np.ascontiguousarray(frames.swapaxes(0, 1)))
    assert outcome.correct == (said.argmax(1) == labels).sum()
    assert 100 < outcome.least < outcome.instructions / 4 < outcome.most
    what, found = (list(column.cells) for column in outcome_table(outcome).columns)
    assert found[what.index("equal to the reference")] == "6 of 6, behind every frame"
    assert f"from {outcome.least:,} to {outcome.most:,}" in found[what.index("instructions per step")]


@pytest.mark.device
def test_signed_numbers_and_answers_that_are_no_classes_are_run(tmp_path):
    board = board_of("cortex-m4")
    needs(board)
    ran = 0
    for seed in range(40):
        graph = general_graph(seed)
        if len(graph.inputs) > 1:
            continue
        given = general_inputs(graph, 2, seed, (None, 3)[ran % 2])[0]
        images = given if given.ndim == 4 else given.swapaxes(0, 1)
        export_c(graph, images[:2, 0] if images.ndim == 5 else images, tmp_path / str(seed), "x")
        assert run_firmware(tmp_path / str(seed), board, np.ascontiguousarray(images), count=False).equal == 2
        ran += 1
        if ran == 3:
            return


@pytest.mark.device
def test_an_edited_folder_fails_by_name_of_layer(firmware):
    board = board_of("cortex-m4")
    needs(board)
    folder, graph, images, labels = firmware(16, 1.58, 1.58, "zero")
    source = (folder / "model.c").read_text()
    word = re.search(r"_words\[\d+\] = \{\n    0x([0-9A-F]{8})", source)
    (folder / "model.c").write_text(source[: word.start(1)] + f"{int(word[1], 16) ^ 1:08X}" + source[word.end(1) :])
    name = graph.layers[0].name
    with pytest.raises(
        UnequalError, match=f"the self-test fails on cortex-m4: layer '{name}' is not what was exported"
    ):
        run_firmware(folder, board, images, labels)
    (folder / "model.c").write_text(source + "nonsense\n")
    with pytest.raises(RunError, match=r"model.c of the firmware does not compile .*: export it again"):
        run_firmware(folder, board, images, labels)


@pytest.mark.device
@pytest.mark.parametrize("compiler", ["gcc", "zig"])
def test_a_network_too_large_for_a_board_is_refused(tmp_path, random_images, compiler):
    board = board_of("cortex-m0")
    needs(board, compiler)
    graph = _of_size(24)
    export_c(graph, random_images(graph, 1), tmp_path / "x", "large")
    with pytest.raises(
        ModelError, match=r"too large for cortex-m0, it needs [\d,]+ bytes of RAM and there are 16,384, "
    ):
        run_firmware(tmp_path / "x", board, random_images(graph, 1), np.zeros(1), compiler=compiler)


def _of_size(channels):
    codes = np.ones((channels, 1, 3, 3), np.int8)
    connection = Connection("conv", codes, 2)
    reach = connection.reach(255)
    neuron, _ = fold_neuron(2, 5.0 / reach, 0.0 * reach, 1.0, 0.5, "zero", reach)
    last = Connection("readout", np.ones((10, channels * 4), np.int8), 2, pools=(square("max", 31, 31),))
    return row((1, 64, 64), 2, (Part(connection, neuron),), Last(last, 0, np.zeros(10, np.int32), 1.0))


def _for_devices(seed=0):
    """A random ternary network of 16C5-P2-32C5-P2-FC10 that takes images of 28x28, for two steps."""
    rng, layers, shape = np.random.default_rng(seed), [], (1, 28, 28)
    for channels, most in ((16, 255), (32, 1)):
        codes = rng.integers(-1, 2, (channels, shape[0], 5, 5)).astype(np.int8)
        connection = Connection(f"conv{channels}", codes, 1.58, padding=around(2, 2), sum_pool=square("sum", 2, 2))
        gain = 1 / np.sqrt(np.square(codes.astype(float)).sum((1, 2, 3))) / most
        neuron, _ = fold_neuron(1.58, gain, 0 * gain, 1.0, 0.5, "zero", connection.reach(most))
        layers.append(Part(connection, neuron))
        shape = connection.output_shape(shape)
    last = Connection("readout", rng.integers(-1, 2, (10, int(np.prod(shape)))).astype(np.int8), 1.58)
    return row((1, 28, 28), 2, tuple(layers), Last(last, 0, np.zeros(10, np.int32), 1.0))


@pytest.mark.device
@pytest.mark.parametrize(
    ("name", "small", "flash", "instructions"),
    [
        ("cortex-m0", False, 23_500, 2_000_000),
        ("cortex-m4", False, 23_100, 1_000_000),
        ("cortex-m4", True, 18_000, 2_000_000),
    ],
)
def test_a_network_for_devices_stays_within_its_bounds(tmp_path, random_images, name, small, flash, instructions):
    """The bounds hold for gcc 12; half of the pixels of a test image are noise."""
    board, graph = board_of(name), _for_devices()
    needs(board)
    images = random_images(graph, 2)
    images[:, :, :, 14:] = 0
    export_c(graph, images, tmp_path / "x", "small", small=small)
    outcome = run_firmware(tmp_path / "x", board, images, np.zeros(2))
    assert outcome.equal == 2
    assert outcome.flash <= flash
    assert outcome.ram <= 12 * 1024
    assert outcome.instructions <= instructions


@pytest.mark.device
def test_weights_on_pixels_take_their_bits(tmp_path):
    """198,500 bytes of 784-1000-10, which snnTorch's tutorials train, and all else."""
    board = board_of("cortex-m4")
    needs(board)
    torch.manual_seed(0)
    layers = nn.Flatten(), nn.Linear(784, 1000), LIF(leak=0.95), nn.Linear(1000, 10), LIF(leak=0.95)
    graph = lower(prepare(nn.Sequential(*layers), QuantConfig(2, 2, 10), (1, 28, 28)).eval().freeze())
    image = np.zeros((1, 1, 28, 28), np.uint8)
    image[:, :, 14] = 255
    export_c(graph, image, tmp_path / "x", "pixels", small=True)
    outcome = run_firmware(tmp_path / "x", board, image)
    assert outcome.equal == 1
    assert outcome.flash <= 230_000


def test_images_of_another_size_are_refused(firmware):
    folder, *_ = firmware(12)
    with pytest.raises(
        DataError, match=r"this firmware takes images \[N, .*\] of uint8, or .*, not \[2, 1, 3, 3\] of uint8"
    ):
        run_firmware(folder, board_of("cortex-m4"), np.zeros((2, 1, 3, 3), np.uint8), np.zeros(2))


def test_what_is_no_firmware_is_refused(tmp_path, firmware):
    with pytest.raises(RunError, match="holds no firmware: make it with spquant export RUN --target c"):
        load_manifest(tmp_path)
    folder, *_ = firmware(12)
    manifest = json.loads((folder / "firmware.json").read_text())
    (folder / "firmware.json").write_text(json.dumps({**manifest, "version": 99}))
    with pytest.raises(FileFormatError, match="is of version 99, not 6: export the firmware again"):
        load_manifest(folder)
    for text in ("{", "", "[]", "null", "{}", "[" * 100_000, "\xff"):
        (folder / "firmware.json").write_bytes(text.encode("latin1"))
        with pytest.raises(FileFormatError, match=r"is damaged.*: export the firmware again"):
            load_manifest(folder)


WRONG = {
    "version": (None, []),
    "name": (None, 1, "", "2nd", "a-b", "../a", "a__b", "x" * 40, "spq", "string"),
    "dataset": (1, []),
    "input_shape": (None, [1, 2], [1, 2, 0], [1, 2, 3.0], "123", [1, 2, True]),
    "classes": (0, -1, "2", 2.0, None, True, 1 << 40),
    "timesteps": (0, None),
    "small": (0, "no", None),
    "layers": (None, [], "conv", [1], {"conv": 1}),
    "sources": (
        None,
        [],
        "model.c",
        [1],
        ["../model.c"],
        ["/tmp/model.c"],
        ["src/../model.c"],
        ["-o.c"],
        ["model.h"],
        ["a/b/c/d.c"],
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_manifest_of_which_something_is_wrong_or_missing_is_refused(tmp_path, firmware, name):
    folder, *_ = firmware(12)
    manifest = load_manifest(folder)
    others = {key: value for key, value in manifest.items() if key != name}
    for content in (others, *(manifest | {name: value} for value in WRONG[name])):
        (tmp_path / "firmware.json").write_text(json.dumps(content))
        with pytest.raises(FileFormatError, match=rf"is (damaged \(.*{name}.*\)|of version .*): export"):
            load_manifest(tmp_path)


def test_manifests_are_checked_where_assertions_are_left_out(tmp_path):
    (tmp_path / "firmware.json").write_text(json.dumps({"version": VERSION, "layers": 1, "sources": 2}))
    program = (
        "import sys; from pathlib import Path; from spquant_snn.errors import FileFormatError\n"
        "from spquant_snn.export.firmware import load_manifest\n"
        "try: load_manifest(Path(sys.argv[1]))\n"
        "except FileFormatError: sys.exit(7)"
    )
    ended = subprocess.run([sys.executable, "-O", "-c", program, str(tmp_path)], check=False)
    assert ended.returncode == 7


def test_an_unknown_board_is_refused():
    with pytest.raises(ConfigError, match="there is no board 'avr': choose one of cortex-m0, "):
        board_of("avr")


@pytest.mark.parametrize("name", ["cortex-m4", "rv32"])
def test_a_missing_compiler_is_named_with_its_package(monkeypatch, name):
    board = board_of(name)
    monkeypatch.setattr(toolchain.shutil, "which", lambda *_, **__: None)
    with pytest.raises(
        MissingDependencyError,
        match=f"there is no compiler for {name}, .*gcc or .*ziglang.*'apt-get install {board.compilers[1]}'",
    ):
        toolchain.compiler_command(board, "auto")
    with pytest.raises(
        MissingDependencyError, match=r"the package ziglang: install it by 'pip install .spquant-snn\[mcu\]"
    ):
        toolchain.compiler_command(board, "zig")


def test_a_missing_emulator_is_named_with_its_package(monkeypatch, firmware):
    folder, *_ = firmware(12)
    monkeypatch.setattr(qemu.shutil, "which", lambda *_, **__: None)
    for name, package in (("cortex-m55", "qemu-system-arm"), ("rv32", "qemu-system-misc")):
        with pytest.raises(
            MissingDependencyError, match=f"there is no qemu-.* install it by 'apt-get install {package}'"
        ):
            module._runner(board_of(name), "auto")
    monkeypatch.setattr("importlib.import_module", lambda name: (_ for _ in ()).throw(ImportError(name)))
    with pytest.raises(MissingDependencyError, match=r"neither qemu-system-arm nor .* unicorn .*: install one"):
        module._runner(board_of("cortex-m4"), "auto")[0](board_of("cortex-m4"), None, folder, False)


@pytest.mark.parametrize(
    ("said", "memory"),
    [
        ("ld: region `RAM' overflowed by 1234 bytes", "RAM"),
        ("ld: region `FLASH' overflowed by 1234 bytes", "flash"),
        ("ld.lld: error: section '.bss' will not fit in region 'RAM': overflowed by 1234 bytes", "RAM"),
    ],
)
def test_linkers_are_understood(said, memory):
    with pytest.raises(
        ModelError, match=rf"bytes of {memory} and there are [\d,]+, 1,234 fewer: choose a board with more"
    ):
        toolchain._check_fits(said, board_of("cortex-m0"))


def test_instructions_of_a_block_are_counted_by_their_length():
    assert _count(bytes.fromhex("0068 7047".replace(" ", ""))) == 2
    assert _count(bytes.fromhex("d0f80000" + "0047")) == 2  # ldr.w, then a short one


def test_an_outcome_can_be_read():
    outcome = module.Outcome("b", "qemu", "gcc", 10, 9, 10, 1234.5, 5.0, 2.0, 10, 20, 30, 40)
    assert outcome_json(outcome)["accuracy"] == 90.0
    assert [len(list(column.cells)) for column in outcome_table(outcome).columns] == [8, 8]


@pytest.mark.parametrize(
    ("prediction", "shown"),
    [({"predicted": 1111.0}, ["1,111 (-10.0 %)"]), ({"unpredicted": "layer 'x' is wide"}, [])],
)
def test_a_prediction_stands_beside_what_was_counted(prediction, shown):
    outcome = module.Outcome("b", "qemu", "gcc", 10, 9, 10, 1234.5, 5.0, 2.0, 10, 20, 30, 40, **prediction)
    what, found = (list(column.cells) for column in outcome_table(outcome).columns)
    assert [value for name, value in zip(what, found, strict=True) if name == "instructions predicted"] == shown
