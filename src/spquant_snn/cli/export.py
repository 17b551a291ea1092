"""``spquant export``: the integer model as an .spq, ONNX or NIR file, as C firmware, or as a web page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from ..errors import ConfigError
from ..exchange.onnx_model import OnnxKind
from ..export.naming import DEFAULT
from ..export.packaging import Layout, Prefer, Target
from ..io.output import say, say_error, visible
from ..train.config import CUSTOM
from .options import Flag, FolderOrFile, unset
from .source import Source, open_source
from .test_set import TestSet

if TYPE_CHECKING:
    from ..data.items import Items
    from ..export.targets import ExportOptions
    from ..integer.graph import Graph

_ALL = TestSet()


def command(
    source: FolderOrFile,
    out: Annotated[Path, tyro.conf.arg(metavar="PATH")],
    target: Target = "spq",
    test_set: tyro.conf.OmitArgPrefixes[TestSet] = _ALL,
    force: Flag = False,
    prefer: Prefer = "speed",
    amalgamate: Flag = False,
    layout: Layout = "plain",
    name: str = DEFAULT,
    share_runtime: Flag = False,
    remember_sample: bool = True,
    timesteps: Annotated[int | None, unset(metavar="N")] = None,
    onnx_kind: Annotated[OnnxKind | None, unset(metavar="{images,sequence,step}")] = None,
    ram: Annotated[int | Literal["smallest"] | None, unset(metavar="BYTES")] = None,
    flash: Annotated[int | Literal["smallest"] | None, unset(metavar="BYTES")] = None,
    board: Annotated[str | None, unset(metavar="NAME")] = None,
) -> int:
    """Write the integers: .spq, C firmware, a web page, ONNX or NIR.

    Args:
        source: folder of a run, or an .spq file.
        out: the file to write, or the folder of the firmware or the page.
        target: spq, onnx or nir (a file), c (a folder of C99 with its own self-test), or web (a folder with a page that
            runs it).
        test_set: what the self-test and the page show the network.
        force: replace an earlier export of the same kind in the same folder, or a NIR file of another program.
        prefer: of firmware, few instructions (speed) or few bytes (flash).
        amalgamate: firmware as one header and one source.
        layout: of the folder of firmware: all files side by side (plain), or a library for CMake, Zephyr, ESP-IDF,
            PlatformIO, the Arduino IDE, or as a CMSIS-Pack.
        name: of the network in firmware: every file, macro, type and function begins with it, so that several
            networks link into one program.
        share_runtime: firmware whose runtime, in a folder of its own, runs all networks of a program that were
            exported so by one version.
        remember_sample: keep a few of the test items in the .spq file, also in that of firmware, so that it can be
            exported, verified and reported on without a data set.
        timesteps: for which an image is shown, where that is not to be as in training: more cost more and may be right
            more often.
        onnx_kind: of ONNX: images, sequence (of frames), or step (one frame and what is stored); by what the network
            was trained on, if it is not given.
        ram: bytes that the program of firmware may take, with stack and input; the fastest form that fits is chosen,
            or with smallest the one that takes the fewest.
        flash: bytes that the program of firmware may take, or smallest.
        board: that these are measured for, cortex-m4 if it is not given; ch32v003, ch32v002 and cortex-m0plus set them.
    """
    of_firmware = {
        "--prefer": prefer != "speed",
        "--amalgamate": amalgamate,
        "--layout": layout != "plain",
        "--name": name != DEFAULT,
        "--share-runtime": share_runtime,
        "--ram": ram is not None,
        "--flash": flash is not None,
        "--board": board is not None,
    }
    if target != "c" and any(of_firmware.values()):
        option = next(name for name, is_given in of_firmware.items() if is_given)
        raise ConfigError(f"{option} is for firmware, not for --target {target}: add --target c, or leave it out")
    test_set.check()
    from ..integer.inputs import check_count

    found = open_source(source)
    graph = _lowered(found) if target == "spq" and found.config is not None else _read(found, target)
    if timesteps is not None:
        graph = replace(graph, timesteps=check_count("timesteps", timesteps))
    test = _items(found, graph, test_set, target)
    if timesteps is not None and test is not None and test.frames not in (None, timesteps):
        say_error(
            f"spquant: recordings of {test.name} keep their {test.frames} frames: --dataset divides those of a data set"
        )
    from ..data.catalog import title_of
    from ..export.targets import ExportOptions, export_graph

    named = test_set.dataset or found.dataset
    known = None if named == CUSTOM else named
    trained_on = title_of(known) if known else "data given in Python"
    title = visible(source.resolve().name) + ("" if named is None else f", trained on {trained_on}")
    options = ExportOptions(
        target, force, prefer, amalgamate, layout, name, share_runtime, remember_sample, onnx_kind, ram, flash, board
    )
    size = export_graph(graph, out, options, title, known, test)
    if target == "spq":
        kept = 0 if test is None or not remember_sample else len(test)
        say(f"{out}: {size:,} bytes" + (f", a sample of {kept} test items among them" if kept else ""))
    elif target == "c":
        for line in _sizes(graph, out, options, test):
            say(line)
    elif target in ("onnx", "nir"):
        say(f"{out}: {size:,} bytes")
    else:
        say(f"{out}: {size:,} bytes; open {out / 'index.html'} in a browser")
    return 0


def _sizes(graph: Graph, out: Path, options: ExportOptions, test: Items | None) -> list[str]:
    """What firmware takes of memory, and which boards hold it."""
    from ..export.board_sizes import exported_size
    from ..export.firmware import load_manifest

    manifest, frames = load_manifest(out), test is not None and test.frames is not None
    if manifest["chosen"]:
        return [*manifest["chosen"], f"spquant run-firmware {out} --board {options.board or 'cortex-m4'} runs it"]
    lines = exported_size(graph, out, manifest, options.packaging(), frames, options.board).lines(out)
    return lines if len(graph.inputs) == 1 else lines[:1]  # emulated boards are given one input


def _lowered(run: Source) -> Graph:
    """The integer model of a run's weights, whether it is finished or not."""
    from ..quant.lower import lower
    from ..train.loading import load_network

    return lower(load_network(run.path).eval().freeze())


def _read(source: Source, target: Target) -> Graph:
    """The integer model in an .spq file or in the folder of a run."""
    from ..export.page_answers import check_shown

    source.need_integers("export a run of 1.58 to 8 bits")
    if target == "web":
        check_shown(source.graph())
    return source.graph()


def _items(source: Source, graph: Graph, test_set: TestSet, target: Target) -> Items | None:
    """What the self-test and the page show the network, and of what an .spq file keeps a sample; None where nothing is
    known, or a network of several inputs is tested on noise."""
    from ..integer.own_items import Interface
    from ..integer.sample import choose_sample

    if len(graph.inputs) > 1:
        return None
    if target in ("onnx", "nir"):  # which only need to know whether it is of recordings
        return source.sample()
    if target == "spq":
        named = test_set.images is not None or test_set.dataset is not None
        return choose_sample(test_set.items(source, Interface.of(graph))) if named else source.sample()
    if target == "c" and test_set.unknown(source):
        test_set.check()
        say_error(f"spquant: the self-test is of noise, for no data of {source.path} are known: --images names yours")
        return None
    return test_set.items(source, Interface.of(graph), "a page" if target == "web" else "", "first")
