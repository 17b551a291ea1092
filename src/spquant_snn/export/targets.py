"""An integer graph as a target takes it: an .spq, ONNX or NIR file, a folder of C, or one with a web page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np

from ..data.items import Items
from ..dtypes import Array
from ..errors import ConfigError, RunError
from ..exchange.nir_file import holds_integers, to_nir
from ..exchange.onnx_model import OnnxKind, to_onnx
from ..integer.file import MAGIC, save
from ..integer.graph import Graph
from ..integer.inputs import says_classes
from ..integer.sample import choose_sample
from ..io.texts import short
from ..io.writing import refuse_other
from .boards import board_of
from .c import export_c
from .fit import Limit, Limits
from .naming import DEFAULT
from .packaging import Layout, Packaging, Prefer, Target
from .page_answers import check_shown
from .web import export_web

_BOARD = "cortex-m4"  # that a program is measured for where none is named
_VECTORS = 2  # images of a firmware's self-test


@dataclass(frozen=True)
class ExportOptions:
    """How a graph is written.

    Args:
        target: "spq", "onnx" or "nir", a file; "c", a folder of C99 with its own self-test; "web", a folder with a page
            that runs it.
        force: replace an earlier export of the same kind in the same folder, or a NIR file of another program.
        prefer: of C, few instructions ("speed") or few bytes ("flash").
        amalgamate: C as one header and one source.
        layout: of the folder of C: all files side by side ("plain"), or a library for CMake ("cmake"), Zephyr
            ("zephyr"), ESP-IDF ("esp-idf"), PlatformIO ("platformio"), the Arduino IDE ("arduino") or as a CMSIS-Pack
            ("cmsis-pack").
        name: of the network in C, with which every file, macro, type and function of it begins.
        share_runtime: C whose runtime runs all networks that were exported so, by one version, in one program.
        remember_sample: keep a few of the test items in the .spq file, also in that of C.
        onnx_kind: what an ONNX file takes, see ``to_onnx``; None: images, or sequences where recordings are tested on.
        ram, flash: bytes that the program of C may take, its stack and input included; None: any. Then the form is
            chosen by them; by "smallest", for one of them, it is the one that takes the fewest.
        board: that it is measured for; the smallest set limits by themselves.

    Raises:
        ConfigError: there is no such choice, or an option is of another target.
    """

    target: Target = "spq"
    force: bool = False
    prefer: Prefer = "speed"
    amalgamate: bool = False
    layout: Layout = "plain"
    name: str = DEFAULT
    share_runtime: bool = False
    remember_sample: bool = True
    onnx_kind: OnnxKind | None = None
    ram: Limit | None = None
    flash: Limit | None = None
    board: str | None = None

    def __post_init__(self) -> None:
        for name, choices in (("target", Target), ("prefer", Prefer), ("layout", Layout)):
            if getattr(self, name) not in get_args(choices):
                found = short(getattr(self, name))
                raise ConfigError(f"{name} must be one of {', '.join(get_args(choices))}, not {found}")
        of_c = {
            "prefer": self.prefer != "speed",
            "amalgamate": self.amalgamate,
            "layout": self.layout != "plain",
            "name": self.name != DEFAULT,
            "share_runtime": self.share_runtime,
            "ram": self.ram is not None,
            "flash": self.flash is not None,
            "board": self.board is not None,
        }
        for name, given in of_c.items():
            if given and self.target != "c":
                raise ConfigError(
                    f"{name} is for firmware, not for target {self.target}: take target c, or leave it out"
                )
        if self.target == "c":
            self.packaging()
            self.limits()
        if self.onnx_kind is not None and self.target != "onnx":
            raise ConfigError(f"onnx_kind is not for target {self.target}: take target onnx, or leave it out")

    def packaging(self) -> Packaging:
        """Of a folder of C."""
        return Packaging(self.amalgamate, self.layout, self.name, self.share_runtime)

    def limits(self) -> Limits | None:
        """Of the program of C; None where there are none."""
        board = board_of(self.board or _BOARD)
        implied = (board.ram, board.flash) if board.small else (None, None)
        ram = implied[0] if self.ram is None else self.ram
        flash = implied[1] if self.flash is None else self.flash
        return Limits.of(ram, flash, board) if (ram, flash) != (None, None) else None


def export_graph(
    graph: Graph, out: Path, options: ExportOptions, title: str, dataset: str | None, test: Items | None
) -> int:
    """Write a graph.

    Args:
        out: the file, or the folder.
        title: a line that says what it is, for C and pages.
        dataset: name of what it was trained on; None where it has none.
        test: what the self-test of C and the page show the network, and of which the file keeps a sample; None:
            nothing, and the self-test noise. Of sequences of several lengths, those of the commonest one.

    Returns:
        The bytes of the file, or of all files in the folder.

    Raises:
        ConfigError: a page shows neither what the network takes nor what it says, or is given no labels.
        DataError: the images do not fit the graph.
        MissingDependencyError: a page needs ziglang, ONNX onnx, NIR nir.
        ModelError: the graph is too large for the target, or NIR has no nodes for it.
        RunError: something else is there, or it cannot be written.
    """
    test = None if test is None else test.of_one_length()
    sample = None if test is None or not options.remember_sample else choose_sample(test)
    if options.target == "spq":
        refuse_other(out, MAGIC, "an .spq file")
        save(graph, out, sample)
        return out.stat().st_size
    if options.target == "c":
        packaging, small = options.packaging(), options.prefer == "flash"
        export_c(
            graph,
            _vectors(graph, test),
            out,
            title,
            dataset,
            options.force,
            small,
            packaging,
            sample,
            test.frames if test else None,
            options.limits(),
        )
        return sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    if options.target == "onnx":
        refuse_other(out, b"spquant", "an ONNX file of this package")
        recorded = test is not None and test.frames is not None
        to_onnx(graph, out, options.onnx_kind or ("sequence" if recorded else "images"))
        return out.stat().st_size
    if options.target == "nir":
        refuse_other(out, b"\x89HDF", "a NIR file")
        if not options.force and not holds_integers(out):
            raise RunError(
                f"{out} is a NIR file that this package did not write, so it is kept: choose another name, or replace "
                "it with --force (in Python force=True)"
            )
        to_nir(graph, out)
        return out.stat().st_size
    check_shown(graph)
    if test is None or test.labels is None or (says_classes(graph) and test.classes is None):
        what = "classes" if says_classes(graph) else "labels"
        raise ConfigError(f"a page shows test images with their {what}: give some with labels")
    return export_web(graph, test.images, test.labels, out, title, dataset or "custom", options.force)


def _vectors(graph: Graph, test: Items | None) -> Array | tuple[Array, ...]:
    """What a self-test gives the network: test images, or the first frames of recordings; or noise."""
    if test is not None:
        return np.ascontiguousarray(test.images[:_VECTORS, 0] if test.frames else test.images[:_VECTORS])
    rng = np.random.default_rng(0)
    return tuple(
        rng.integers(-127, 128, (_VECTORS, *given.shape), np.int8)
        if given.signed
        else rng.integers(0, 256, (_VECTORS, *given.shape), np.uint8)
        for given in graph.inputs
    )
