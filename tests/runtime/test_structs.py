"""The structs of the C header are those of the plan: where they differ in any field, nothing is built."""

import dataclasses
import shutil
import subprocess
from typing import Annotated

import numpy as np
import pytest

from spquant_snn.build import Library, compiler
from spquant_snn.dtypes import Int64, UInt32
from spquant_snn.errors import MissingDependencyError
from spquant_snn.runtime import structs
from spquant_snn.runtime.layout import plan_network
from spquant_snn.runtime.library import RUNTIME, sources
from spquant_snn.runtime.plan import Region
from spquant_snn.runtime.structs import STRUCTS, TRACE, CPlan, CStruct, CType, assertions

EVERY = {struct.name: struct for struct in (*STRUCTS.values(), TRACE)}
FOLDER = sources()[0].parent


@pytest.fixture
def told(tmp_path):
    """``told(source, folder)``: the first error of the compiler and all that it says of a source, ("", "") if it takes
    it; ``folder`` is that of the headers."""

    def ask(source, folder=FOLDER):
        path = tmp_path / "asserted.c"
        path.write_text(source)
        call = [compiler(), "-std=c99", "-I", str(folder), "-fsyntax-only", str(path)]
        ended = subprocess.run(call, capture_output=True, text=True, check=False)
        first = next((line for line in ended.stderr.splitlines() if "error" in line), "")
        assert (ended.returncode == 0) == (first == "")
        return first, ended.stderr

    return ask


@pytest.fixture
def header(tmp_path):
    """``header(old, new)``: a folder with the headers, where ``spq.h`` has something else at one place."""

    def changed(old, new):
        folder = tmp_path / "changed"
        folder.mkdir()
        for path in FOLDER.glob("*.h"):
            shutil.copy(path, folder)
        text = (folder / "spq.h").read_text("utf-8")
        assert text.count(old) == 1
        (folder / "spq.h").write_text(text.replace(old, new), "utf-8")
        return folder

    return changed


def test_the_structs_of_the_header_are_those_of_the_plan(told):
    assert told(assertions()) == ("", "")


def test_every_struct_of_the_header_is_one_of_the_plan():
    text = (FOLDER / "spq.h").read_text("utf-8")
    assert sorted(line.strip("} ;") for line in text.splitlines() if line.startswith("} spq_")) == sorted(EVERY)


# One side has another field: here Python, in every struct.


def dropped(types):
    """Without the last field, and its name."""
    *others, last = types
    return {name: types[name] for name in others}, last


def renamed(types):
    first, *others = types
    return {f"{first}s": types[first], **{name: types[name] for name in others}}, f"{first}s"


def retyped(types):
    """The last field of another type, as far as C is told."""
    last = list(types)[-1]
    other = "uint32_t {}" if types[last].declared == "int32_t {}" else "int32_t {}"
    return {**types, last: dataclasses.replace(types[last], declared=other)}, last


def swapped(types):
    """The first two fields of one type, which lie in each other's place."""
    pairs = zip(types.items(), list(types.items())[1:], strict=False)
    one, other = next(((a, b) for (a, kind), (b, same) in pairs if kind == same), list(types)[:2])
    order = [{one: other, other: one}.get(name, name) for name in types]
    return {name: types[name] for name in order}, other


def added(types):
    return {**types, "more": CType(structs.c_int32, "int32_t {}")}, "more"


@pytest.mark.parametrize("change", [dropped, renamed, retyped, swapped, added])
@pytest.mark.parametrize("name", EVERY)
def test_a_field_that_python_has_otherwise_is_named(told, name, change):
    types, field = change(EVERY[name].types)
    lines = assertions().replace("\n".join(EVERY[name].assertions()), "\n".join(CStruct.of(name, types).assertions()))
    assert lines != assertions()
    first, said = told(lines)
    assert field in first or f"{name} of spq.h has another size" in first
    assert name in said


# And C.


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        (
            "int32_t step_height, step_width; ",
            "int32_t step_height, between, step_width; ",
            "spq_connection.step_width",
        ),
        ("    int32_t wide;  ", "    uint32_t wide;  ", "spq_connection.wide"),
        ("    int32_t wide;  ", "    float wide;  ", "spq_connection.wide"),
        ("    const int8_t *codes8;  ", "    const uint8_t *codes8;  ", "spq_connection.codes8"),
        ("    const spq_constant *decay;  ", "    const int16_t *decay;  ", "spq_neuron.decay"),
        ("    const spq_slices *slices;", "    const spq_packed *slices;", "spq_connection.slices"),
        ("    uint32_t offset, size;\n", "    uint32_t size, offset;\n", "spq_region.offset"),
        ("    spq_region pooled[2];", "    spq_region pooled[3];", "spq_scratch.pooled"),
        ("    int32_t source, shift;\n", "    int32_t shift;\n", "source"),
        ("    int32_t layer_count;\n", "    int32_t layer_count;\n    int32_t more[2];\n", "spq_network.layers"),
        ("    uint32_t arena_size;\n}", "    uint32_t arena_size;\n    int32_t more[2];\n}", "more"),
        ("void (*seen)(void *context, int32_t layer,", "void (*seen)(void *context, int64_t layer,", "spq_trace.seen"),
        ("#define SPQ_LANES 32 ", "#define SPQ_LANES 64 ", "SPQ_LANES"),
        ("SPQ_DENSE,    /*", "SPQ_BETWEEN, SPQ_DENSE, /*", "SPQ_DENSE"),
    ],
)
def test_a_field_that_c_has_otherwise_is_named(told, header, old, new, field):
    assert field in told(assertions(), header(old, new))[0]


@pytest.mark.parametrize(
    ("old", "new", "struct"),
    [
        ("    int32_t channels;\n    /* [tiles] a", "    int32_t channels, more;\n    /* [tiles] a", "spq_blocks"),
        ("    int32_t fraction, subtract, scaled;", "    int32_t fraction, subtract, scaled, more;", "spq_neuron"),
        ("    uint32_t arena_size;\n}", "    uint32_t arena_size;\n    uint8_t more;\n}", "spq_network"),
    ],
)
def test_a_field_in_the_padding_of_another_is_seen(told, header, old, new, struct):
    first, said = told(assertions(), header(old, new))
    assert "missing" in first
    assert struct in said


def test_nothing_is_built_where_they_differ(header, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = header("    int32_t kernel, stride, height, width;\n", "    int32_t stride, kernel, height, width;\n")
    (folder / "one.c").write_text("int one(void) { return 1; }")
    one = Library("thing", folder, "another", ("one",), assertions=RUNTIME.assertions)
    said = r"^the C source of the thing is not the one that is needed \(.*spq_pool\.kernel .*\): repair it, or use an"
    with pytest.raises(MissingDependencyError, match=said) as error:
        one.load()
    assert "\n" not in str(error.value)


# What an annotation stands for.


@dataclasses.dataclass(frozen=True)
class OtherPlan:
    number: int
    byte: Annotated[int, np.int8]
    array: UInt32
    perhaps: Int64 | None
    inside: Region
    two: tuple[Region, Region]
    beyond: Region | None
    several: tuple[Region, ...]


def test_an_annotation_says_what_a_field_is():
    known = structs._structs_of(OtherPlan, {})
    assert [struct.name for struct in known.values()] == ["spq_region", "spq_other"]
    assert [kind.declared.format(name) for name, kind in known[OtherPlan].types.items()] == [
        "int32_t number",
        "int8_t byte",
        "const uint32_t *array",
        "const int64_t *perhaps",
        "spq_region inside",
        "spq_region two[2]",
        "const spq_region *beyond",
        "const spq_region *several",
    ]
    assert [getattr(known[OtherPlan].ctype, name).offset for name in ("byte", "array", "two", "several")] == [
        4,
        8,
        32,
        56,
    ]


def test_an_annotation_without_a_type_in_c_is_refused():
    with pytest.raises(TypeError, match="<class 'float'> stands for no type of C"):
        structs._type_of(float, {})


def test_an_array_of_another_type_is_not_handed_to_c(random_graph):
    plan = plan_network(random_graph(0))
    for wrong in (np.int64, np.uint32, np.float32):
        with pytest.raises(AssertionError):
            CPlan(dataclasses.replace(plan, bias=plan.bias.astype(wrong)))
