"""``spquant export``: the integer model as an .spq file, as C firmware, or as a web page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from ..errors import ConfigError
from ..export.packaging import Layout, Prefer, Target
from ..io.output import say, visible
from .options import DataDir, Flag, FolderOrFile, OptionalName
from .source import open_run, open_source
from .test_set import TestSet

if TYPE_CHECKING:
    from ..data import Labelled
    from ..integer.graph import Graph


def command(
    source: FolderOrFile,
    out: Annotated[Path, tyro.conf.arg(metavar="PATH")],
    target: Target = "spq",
    dataset: OptionalName = None,
    data_dir: DataDir = None,
    force: Flag = False,
    prefer: Prefer = "speed",
    amalgamate: Flag = False,
    layout: Layout = "plain",
) -> int:
    """Write the integer model: an .spq file, C firmware, or a web page.

    Args:
        source: folder of a run, or for firmware and pages an .spq file (then with --dataset).
        out: the file to write, or the folder of the firmware or the page.
        target: spq (a file), c (a folder of C99 with its own self-test), or web (a folder with a page that runs it).
        dataset: whose test images the self-test and the page hold; that of the run by default.
        force: replace an earlier export of the same kind in the same folder.
        prefer: of firmware, few instructions (speed) or few bytes (flash).
        amalgamate: firmware as one header and one source.
        layout: of the folder of firmware: all files side by side (plain), or as a library of PlatformIO and the Arduino
            IDE (platformio).
    """
    of_firmware = {"--prefer": prefer != "speed", "--amalgamate": amalgamate, "--layout": layout != "plain"}
    if target != "c" and any(of_firmware.values()):
        option = next(name for name, is_given in of_firmware.items() if is_given)
        raise ConfigError(f"{option} is for firmware, not for --target {target}: add --target c, or leave it out")
    graph, name = _lowered(source) if target == "spq" else _read(source, TestSet(dataset), target)
    from ..export.targets import ExportOptions, export_graph

    def test() -> Labelled:
        assert name is not None  # where images are asked for
        return TestSet(name, 0, data_dir).load(name, graph.timesteps)

    title = visible(source.resolve().name) + ("" if name is None else f", trained on {name}")
    options = ExportOptions(target, force, prefer, amalgamate, layout)
    size = export_graph(graph, out, options, title, name, test)
    if target == "c":
        say(f"{out}: spquant run-firmware {out} --board cortex-m4 runs it")
    else:
        say(f"{out}: {size:,} bytes" + (f"; open {out / 'index.html'} in a browser" if target == "web" else ""))
    return 0


def _lowered(run: Path) -> tuple[Graph, str | None]:
    """The integer model of a run's weights, whether it is finished or not, and its data set."""
    source = open_run(run)
    from ..quant.lower import lower
    from ..train.loading import load_network

    return lower(load_network(run).eval().freeze()), source.dataset


def _read(path: Path, test_set: TestSet, target: Target) -> tuple[Graph, str | None]:
    """The integer model in an .spq file or in the folder of a run, and the data set whose images go with it, if they
    do."""
    from ..data import of_events
    from ..integer.inputs import check_classifies, takes_images

    source = open_source(path)
    source.need_integers("export a run of 1.58 to 8 bits")
    if source.config is None and target == "c" and not takes_images(source.graph()):
        return source.graph(), None
    if target == "web":
        check_classifies(source.graph(), "a page")
    name = test_set.name_for(path, source.dataset)
    if target == "web" and of_events(name):
        raise ConfigError(f"a page shows still images, {name} is of recordings: name images by --dataset")
    return source.graph(), name
