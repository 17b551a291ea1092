"""Programs without Python: a plan written out as C, with arrays and a ``main`` behind it."""

import ctypes
import subprocess

import numpy as np

from spquant_snn.runtime.library import sources
from spquant_snn.runtime.structs import STRUCTS

C_FILES = [str(path) for path in sources() if path.suffix == ".c"]
CLEAN = ("-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror", "-Wshadow", "-Wundef", "-Wvla", "-Wcast-align")

# Behind a plan, its images and their logits: whether C finds these. ARENA, COUNT, IMAGE and CLASSES are to be defined,
# and MARGIN where images stop when they are decided.
MAIN = """
#include <stdio.h>
static int32_t arena[ARENA];
int main(void) {
    int32_t wrong = spq_check(&network, sizeof arena);
    for (int n = 0; n < COUNT && !wrong; n++) {
#ifdef MARGIN
        spq_until(&network, arena, images + n * IMAGE, network.timesteps, MARGIN);
        const int32_t *found = arena + network.logits.offset / 4;
#else
        const int32_t *found = spq_image(&network, arena, images + n * IMAGE, 0);
#endif
        for (int i = 0; i < CLASSES; i++) wrong |= found[i] != logits[n * CLASSES + i];
    }
    return wrong ? 1 : 0;
}
"""


def executable(target, code, linked, command, sizes):
    """Compile C source, which ``as_c`` may have begun, to the file ``target``.

    Args:
        linked: the files of the runtime, as source or compiled.
        command: the compiler, with its options.
        sizes: what to define, by name.
    """
    main = target.with_suffix(".c")
    main.write_text(code)
    defined = [f"-D{name}={value}" for name, value in sizes.items()]
    folder = str(sources()[0].parent)
    subprocess.run([*command, "-std=c99", *defined, "-I", folder, str(main), *linked, "-o", str(target)], check=True)
    return target


def constants(**arrays):
    """C source that defines arrays."""
    return "".join(
        f"static const {_DTYPES[array.dtype.name]} {name}[] = {{{', '.join(map(str, array.ravel().tolist()))}}};\n"
        for name, array in arrays.items()
    )


def as_c(plan):
    """C source that defines ``static const spq_network network``."""
    lines = ['#include "spq.h"']
    value = _struct(plan, lines)
    return "\n".join([*lines, f"static const spq_network network = {value};", ""])


def _struct(plan, lines):
    """The initialiser of a struct; what its pointers point to is defined in lines before."""
    parts = []
    for name, field in STRUCTS[type(plan)].ctype._fields_:
        value = getattr(plan, name)
        if value is None:
            parts.append("0")
        elif isinstance(value, int):
            parts.append(str(value))
        elif isinstance(value, np.ndarray):
            text = ", ".join(f"{x}LL" if abs(x) > 1 << 30 else str(x) for x in value.ravel().tolist())
            parts.append(_constant(_C_TYPES[field._type_], f"[] = {{{text}}}", lines))
        elif issubclass(field, ctypes.Array):
            parts.append("{" + ", ".join(_struct(item, lines) for item in value) + "}")
        elif isinstance(value, tuple):
            items = ", ".join(_struct(item, lines) for item in value)
            parts.append(_constant(field._type_.__name__, f"[] = {{{items}}}", lines) if value else "0")
        elif hasattr(field, "_type_"):
            parts.append("&" + _constant(field._type_.__name__, f" = {_struct(value, lines)}", lines))
        else:
            parts.append(_struct(value, lines))
    return "{" + ", ".join(parts) + "}"


def _constant(kind, rest, lines):
    name = f"constant_{len(lines)}"
    lines.append(f"static const {kind} {name}{rest};")
    return name


_C_TYPES = {
    ctypes.c_int8: "int8_t",
    ctypes.c_int16: "int16_t",
    ctypes.c_int32: "int32_t",
    ctypes.c_uint32: "uint32_t",
    ctypes.c_int64: "int64_t",
}
_DTYPES = {"uint8": "uint8_t", "int32": "int32_t"}
