"""An integer graph as C: the runtime's own source, constant tables and static memory, for devices without a library."""

from __future__ import annotations

import json
import math
import re
import zlib
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from ..data.items import Items
from ..dtypes import Array
from ..errors import DataError, ModelError
from ..integer.early_stop import decides
from ..integer.file import to_bytes
from ..integer.graph import Graph
from ..integer.inputs import check_images, check_inputs, says_classes, takes_images
from ..io.output import in_file, visible
from ..io.texts import package_version
from ..runtime.connection_plan import LayerParts
from ..runtime.layout import plan_connections, plan_network
from ..runtime.neuron_plan import short_plan
from ..runtime.plan import DENSE, IDENTITY, SLICED, Body, NetworkPlan, Region
from .compact.compact_firmware import compact_files
from .compact.compact_plan import CompactPlan
from .compact.compact_source import compact_values
from .feature_flags import SOURCES, WIDE_CONSTANT, WIDE_EVENT, Used
from .fit import Limits, fit
from .folder import MANIFEST, write_folder
from .frame_meaning import frame_meaning
from .interface import FirstOutputs, answers_of, commentable, layer_names, readouts_of
from .microcontrollers import families_for
from .naming import Names
from .packaging import LICENCE, PLAIN, Packaging, amalgamated, licensed
from .render import ConstantTable, Model, identifiers
from .vectors import make_vectors

VERSION = 6  # of the folder
INTEGERS = "model.spq"  # in it

_HEADERS = (
    "spq.h", "compilers.h", "blocks.h", "events.h", "sums.h", "shortcut.h", "packed.h", "packed_lanes.h",
    "packed_mve.h", "packed_words.h", "packed_simd32.h", "packed_plain.h", "neuron.h", "neuron_single.h", "lanes.h",
    "scaled.h", "dense.h", "quads.h", "sliced.h", "sliced_layer.h", "windows.h", "current.h", "term_rows.h",
    "terms.h", "turn.h", "general.h", "run.h",
)  # fmt: skip
_CONFIG = "spq_config.h"
_INT32 = (1 << 31) - 1
_SHORT_CONSTANT = 2  # bytes of a neuron's constant


@dataclass(frozen=True, eq=False)
class Plans:
    """A graph laid out for a device: for images, and for frames one by one."""

    images: NetworkPlan
    frames: NetworkPlan
    event: int
    constant: int  # bytes of a neuron's constant

    @classmethod
    def of(cls, graph: Graph, small: bool = False, shared: bool = False) -> Plans:
        """Lay out a graph.

        Args:
            small: rather for little flash than for few instructions.
            shared: for a runtime that runs other networks too.

        Raises:
            ModelError: it is too large for the runtime.
        """
        layers = plan_connections(graph, Body.PACKED, small)
        listed = [c for part in layers for c in part.connections if c.form not in (DENSE, SLICED, IDENTITY)]
        plain = all(part.terms is None for part in layers)
        short = _short(layers) if small and not shared else None
        layers, constant = (layers, WIDE_CONSTANT) if short is None else (short, _SHORT_CONSTANT)
        event = (
            2 if plain and not shared and all(c.width * c.channels * c.row < 1 << 16 for c in listed) else WIDE_EVENT
        )
        images = plan_network(graph, 0, Body.PACKED, layers, event=event)
        frames = plan_network(replace(graph, timesteps=1), 0, Body.PACKED, layers, streams=True, event=event)
        bias = None if images.bias is None else images.bias[: graph.classes]  # which C reads no further
        return cls(replace(images, bias=bias), replace(frames, bias=bias), event, constant)


def export_c(
    graph: Graph,
    images: Array | tuple[Array, ...],
    out: Path,
    title: str,
    dataset: str | None = None,
    force: bool = False,
    small: bool = False,
    shape: Packaging = PLAIN,
    sample: Items | None = None,
    steps: int | None = None,
    limits: Limits | None = None,
) -> dict[str, Any]:
    """Write the folder of a graph's firmware.

    Args:
        images: [N, C, H, W], uint8 or int8 as the graph takes them, or a tuple of such for each of its inputs; for the
            self-test, where each takes its size in flash if that is linked.
        out: the folder, which may not hold anything.
        title: a line that says what it is.
        dataset: that it was trained on, to be run on by default.
        force: replace an earlier export.
        small: rather for little flash than for few instructions.
        shape: of the folder.
        sample: that the model.spq in the folder keeps.
        steps: frames of a recording that it was trained on; None of images, or where that is not known.
        limits: what its program may take: then the form is chosen by them, not by ``small``.

    Returns:
        What ``firmware.json`` holds.

    Raises:
        ConfigError: the folder has another shape than the compact form can have.
        DataError: the images do not fit the graph.
        ModelError: the graph is too large, or has no neurons.
        RunError: the folder is not empty, or cannot be written.
    """
    if isinstance(images, tuple):
        check_inputs(graph, images)
    else:
        check_images(graph, images)
    given = images if isinstance(images, tuple) else (images,)
    if any(x.ndim != 4 for x in given):
        raise DataError("a self-test takes still images [N, C, H, W], not sequences: give frames of them")
    frame = frame_meaning(graph, dataset, steps)

    def general(small: bool) -> dict[str, bytes]:
        return firmware_files(graph, given, title, small, shape, frame=frame, steps=steps)

    found = None
    if limits is not None:
        shape.check_plain()
        found = fit(
            graph,
            limits,
            shape.name,
            general,
            lambda plan: compact_firmware(graph, given[0], title, plan, shape),
            steps,
        )
    plan, small = (None, small) if found is None else (found.plan, found.small)
    files = general(small) if found is None else dict(found.files)
    files[INTEGERS] = to_bytes(graph, sample)
    manifest = {
        "version": VERSION,
        "name": shape.name,
        "title": title,
        "dataset": dataset,
        "input_shape": list(graph.input_shape),
        "classes": graph.classes,
        "answers": answers_of(graph),
        "timesteps": graph.timesteps,
        "small": small,
        "form": "general" if plan is None else "compact",
        "layout": None if plan is None else asdict(plan.form),
        "chosen": [] if found is None else list(found.said),
        "layers": layer_names(graph),
        "sources": _sources(files),
        "files": {name: sha256(data).hexdigest() for name, data in sorted(files.items())},
    }
    files[MANIFEST] = (json.dumps(manifest, indent=2) + "\n").encode()
    write_folder(out, files, force)
    return manifest


def firmware_files(
    graph: Graph,
    images: tuple[Array, ...],
    title: str,
    small: bool = False,
    shape: Packaging = PLAIN,
    traced: bool = False,
    frame: tuple[str, ...] = (),
    steps: int | None = None,
) -> dict[str, bytes]:
    """The content of each file of a firmware folder but its manifest, by name.

    Args:
        images: [N, C, H, W] for each input, for the self-test.
        small, shape: as for ``export_c``.
        frame: sentences on what a frame is.
        steps: as for ``export_c``.
        traced: the source can show every spike and code of every step, as ``spq_trace`` says; devices cannot.

    Raises:
        ModelError: the graph is too large.
    """
    if not graph.layers:
        raise ModelError("a network without neurons has no firmware: give it a layer of them")
    called = Names(shape.name, shape.share_runtime)
    plans, names = Plans.of(graph, small, shape.share_runtime), layer_names(graph)
    if plans.images.arena_size > _INT32 >> 1:
        raise ModelError(
            f"the network needs {plans.images.arena_size:,} bytes of memory, no device has them: train one with fewer "
            "neurons, bits of state or time steps"
        )
    model = Model(called)
    networks = {
        kind: model.network(plan, identifiers(names), kind)
        for kind, plan in (("images", plans.images), ("frames", plans.frames))
    }
    runtime = _runtime()
    digest = sha256(to_bytes(graph)).hexdigest()
    values: dict[str, Any] = {
        **_named(called, shape),
        "title": commentable(title),
        "version": package_version(),
        "numbers": _numbers(package_version()),
        "hash": digest,
        "runtime_hash": sha256("".join(runtime.values()).encode()).hexdigest()[:8].upper(),
        "shape": graph.input_shape,
        "inputs": graph.inputs,
        "pixels": sum(math.prod(given.shape) for given in graph.inputs),
        "events": len(graph.inputs) == 1,
        "frame": frame,
        "classes": graph.classes,
        "answers": answers_of(graph),
        "readouts": readouts_of(graph),
        "outputs": FirstOutputs.of(graph),
        "plain": len(graph.readouts) == 1 and says_classes(graph) and takes_images(graph),
        "decides": decides(graph),
        "currents": any(layer.neuron.current is not None for layer in graph.layers),
        "timesteps": graph.timesteps,
        "longest": graph.longest,
        "names": names,
        "used": Used.all() if shape.share_runtime else Used.by(plans.images, plans.event, plans.constant),
        "traced": traced,
        "tables": list(model.tables.values()),
        "parts": model.parts,
        **networks,
        "arenas": [-(-plan.arena_size // 4) * 4 for plan in (plans.images, plans.frames)],
        "compact": False,
        "recorded": steps,
        "image_words": -(-plans.images.arena_size // 4),
        "frame_words": -(-plans.frames.arena_size // 4),
        "vectors": make_vectors(graph, plans.images, images),
        "crc": _crc,
        "regions": _regions(plans.images, names),
    }
    environment = c_environment()

    def rendered(template: str) -> bytes:
        return environment.get_template(f"{template}.j2").render(values).encode()

    parts = (".h", ".c", "_tables.h", "_selftest.c")
    files = {f"{called.name}{part}": rendered(f"model{part}") for part in parts}
    files |= {name: text.encode() for name, text in called.runtime_files(runtime).items()}
    files[called.runtime_file(_CONFIG)] = rendered(_CONFIG)
    if shape.amalgamate:
        files = amalgamated(files, _sources(files), called.name)
    files = shape.laid_out(files)
    values["sources"] = _sources(files)
    if shape.layout in ("platformio", "arduino"):
        memory = min(plans.images.arena_size, plans.frames.arena_size) + values["pixels"] + 4 * values["answers"]
        values["families"] = families_for(sum(table.array.nbytes for table in values["tables"]), memory)
    files |= {name: rendered(f"layouts/{template}") for name, template in shape.descriptions.items()}
    files["README.md"] = rendered("README.md")
    files["LICENSE"] = (resources(__package__) / "templates" / "layouts" / "LICENSE").read_bytes()
    return licensed(files)


def _short(layers: tuple[LayerParts, ...]) -> tuple[LayerParts, ...] | None:
    """Layers with constants of neurons in 16 bits; None where they do not fit in all of them."""
    found = []
    for part in layers:
        neuron, terms, outputs = part.neuron, part.terms, part.connection.outputs
        if neuron is not None and not part.connection.decides and (neuron := short_plan(neuron, outputs)) is None:
            return None
        if terms is not None and terms.current is not None:
            if (current := short_plan(terms.current, outputs)) is None:
                return None
            terms = replace(terms, current=current)
        found.append(replace(part, neuron=neuron, terms=terms))
    return tuple(found)


def compact_firmware(graph: Graph, images: Array, title: str, plan: CompactPlan, shape: Packaging) -> dict[str, bytes]:
    """The same of the compact form."""
    called, environment = Names(shape.name), c_environment()
    names = layer_names(graph)
    values: dict[str, Any] = {
        **_named(called, shape),
        "title": commentable(title),
        "version": package_version(),
        "numbers": _numbers(package_version()),
        "hash": sha256(to_bytes(graph)).hexdigest(),
        "outputs": FirstOutputs.of(graph),
        "names": names,
        "crc": _crc,
        "compact": True,
        "recorded": None,
        "plain": says_classes(graph),
        "arenas": [plan.image_arena, plan.rows_arena],
    }

    def rendered(template: str, given: dict[str, Any]) -> str:
        return environment.get_template(f"{template}.j2").render(given)

    values["objects"] = [f"{called.name}.o", f"{called.name}_selftest.o"]
    values["fast"] = shape.folder + (f"{called.name}_selftest.c" if plan.form.tight else f"{called.name}.c")
    files = shape.laid_out(compact_files(graph, plan, images, identifiers(names), values, rendered))
    values["sources"] = _sources(files)
    memory = plan.rows_arena + math.prod(plan.shape) + 4 * len(plan.bias)
    values["families"] = families_for(plan.constants, memory)
    signed = graph.inputs[0].signed
    given = values | {
        "signed": signed,
        "plan": plan,
        "shape": plan.shape,
        "answers": len(plan.bias),
        "timesteps": plan.steps,
    }
    given["tables"] = compact_values(plan, identifiers(names), called.name)["tables"]
    files |= {name: rendered(f"layouts/{template}", given).encode() for name, template in shape.descriptions.items()}
    files["README.md"] = rendered("compact_README.md", given).encode()
    files["LICENSE"] = (resources(__package__) / "templates" / "layouts" / "LICENSE").read_bytes()
    return licensed(files)


def _runtime() -> dict[str, str]:
    """The source of the runtime that devices need, by name."""
    folder = resources("spquant_snn.runtime") / "csrc"
    return {name: (folder / name).read_text("utf-8") for name in (*SOURCES, *_HEADERS)}


def _named(called: Names, shape: Packaging) -> dict[str, Any]:
    """What templates call things."""
    objects = [*map(called.runtime_file, SOURCES), f"{called.name}.c", f"{called.name}_selftest.c"]
    one = f"{called.name}.c"
    return {
        "name": called.name,
        "NAME": called.macro,
        "rt": called.runtime,
        "RT": called.runtime.upper(),
        "shared": called.shared,
        "headers": {"spq": called.runtime_file("spq.h").rpartition("/")[2]},
        "fast": shape.folder + (one if shape.amalgamate else called.runtime_file("packed.c")),
        "objects": [file.replace(".c", ".o") for file in ([one] if shape.amalgamate else objects)],
        "whole": f"{called.name}_all.o",
        "layout": shape.layout,
        "folder": shape.folder,
        "licence": LICENCE,
    }


def _numbers(version: str) -> tuple[int, ...]:
    """Major, minor and patch; zeros where there is no version."""
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", version)
    return (0, 0, 0) if found is None else tuple(int(part or 0) for part in found.groups())


def _sources(files: dict[str, bytes]) -> list[str]:
    return sorted(name for name in files if name.endswith(".c"))


def c_environment() -> Environment:
    """What fills in the templates of C."""
    environment = Environment(
        loader=PackageLoader("spquant_snn.export"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
        finalize=in_file,
    )
    environment.filters["c_string"] = _c_string
    environment.filters["hexadecimal"] = lambda values: ", ".join(f"0x{value:08X}u" for value in values)
    return environment


def _c_string(text: str) -> str:
    """A string literal; what is not plain ASCII is written in octal."""
    return (
        '"'
        + "".join(chr(b) if 32 <= b < 127 and b not in b'"\\?' else f"\\{b:03o}" for b in visible(text).encode())
        + '"'
    )


def _crc(table: ConstantTable) -> int:
    return zlib.crc32(np.ascontiguousarray(table.array).tobytes())


def _regions(plan: NetworkPlan, names: list[str]) -> list[tuple[str, Region]]:
    """Every part of an arena, with what it is for."""
    layers = [(name, layer) for name, layer in zip(names, plan.layers, strict=False) if layer.neuron is not None]
    parts = [(f"stored codes of {name}", layer.state) for name, layer in layers]
    parts += [(f"spikes of {name}", layer.spikes) for name, layer in layers]
    parts += [("logits", plan.logits)]
    for name, region in vars(plan.scratch).items():
        both = region if isinstance(region, tuple) else (region,)
        parts += [(f"scratch: {name}", part) for part in both]
    return [(name, region) for name, region in parts if region.size]
