"""``spquant export``: the integer model as an .spq file, as C firmware, or as a web page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from ..errors import ConfigError
from ..io.output import say, visible
from .options import DataDir, Flag, FolderOrFile, OptionalName
from .source import Source, open_source
from .test_set import TestSet

Target = Literal["spq", "c", "web"]
Prefer = Literal["speed", "flash"]
FolderLayout = Literal["plain", "platformio"]
_VECTORS = 2  # images of a firmware's self-test


def command(
    source: FolderOrFile,
    out: Annotated[Path, tyro.conf.arg(metavar="PATH")],
    target: Target = "spq",
    dataset: OptionalName = None,
    data_dir: DataDir = None,
    force: Flag = False,
    prefer: Prefer = "speed",
    amalgamate: Flag = False,
    layout: FolderLayout = "plain",
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
        name = next(name for name, is_given in of_firmware.items() if is_given)
        raise ConfigError(f"{name} is for firmware, not for --target {target}: add --target c, or leave it out")
    if target == "spq":
        size = write_integers(source, out)
        say(f"{out}: {size:,} bytes")
    elif target == "web":
        size = write_page(source, out, TestSet(dataset, 0, data_dir), force)
        say(f"{out}: {size:,} bytes; open {out / 'index.html'} in a browser")
    else:
        small = prefer == "flash"
        write_firmware(source, out, TestSet(dataset, _VECTORS, data_dir), force, small, amalgamate, layout)
        say(f"{out}: spquant run-firmware {out} --board cortex-m4 runs it")
    return 0


def write_integers(run: Path, out: Path) -> int:
    """Write the integer model of a run, over no file of another kind; returns the file's size in bytes."""
    from ..integer.file import MAGIC, save
    from ..io.writing import refuse_other
    from ..quant.lower import lower
    from ..train.loading import load_network

    refuse_other(out, MAGIC, "an .spq file")
    save(lower(load_network(run).eval().freeze()), out)
    return out.stat().st_size


def write_page(path: Path, out: Path, test_set: TestSet, force: bool) -> int:
    """Write a web page; returns the size of its folder in bytes."""
    from ..data import of_events
    from ..export.web import export_web

    source = _integers_of(path)
    name = test_set.name_for(path, source.dataset)
    if of_events(name):
        raise ConfigError(f"a page shows still images, {name} is of recordings: name images by --dataset")
    graph = source.graph()
    test = test_set.load(name, graph.timesteps)
    return export_web(graph, test.images, test.labels, out, _title(path, name), name, force)


def write_firmware(
    path: Path, out: Path, test_set: TestSet, force: bool, small: bool, amalgamate: bool, layout: FolderLayout
) -> None:
    """Write a folder of C99."""
    import numpy as np

    from ..export.c import export_c
    from ..export.packaging import Packaging

    source = _integers_of(path)
    name, graph = test_set.name_for(path, source.dataset), source.graph()
    test = test_set.load(name, graph.timesteps)
    images = np.ascontiguousarray(test.images[:, 0] if test.frames else test.images)
    export_c(graph, images, out, _title(path, name), name, force, small, Packaging(amalgamate, layout))


def _integers_of(path: Path) -> Source:
    source = open_source(path)
    source.need_integers("export a run of 1.58 to 8 bits")
    return source


def _title(path: Path, dataset: str) -> str:
    return f"{visible(path.resolve().name)}, trained on {dataset}"
