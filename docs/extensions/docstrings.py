"""Docstrings of the package as reStructuredText: they are written to be read as they stand.

- What stands indented behind a line that ends with a colon, or first in an example, is shown as it is.
- Pages that are named as files of ``docs/`` are links.
- What is no class and no function is described by the text behind it, in the file of the package that it stands in.
"""

import importlib
import pkgutil
import re
from typing import Any

from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer

_SECTIONS = re.compile(r"(Args|Attributes|Example|Raises|Returns|Yields|References?):\s*")


def shown(lines: list[str]) -> list[str]:
    """The lines of a docstring, what is to be shown as it is marked as such."""
    out: list[str] = []
    for number, line in enumerate(lines):
        following = next((later for later in lines[number + 1 :] if later.strip()), "")
        deeper = _indent(following) > _indent(line)
        gap = number + 1 < len(lines) and not lines[number + 1].strip()
        section = _SECTIONS.fullmatch(line.strip())
        if section and section[1] == "Example" and not following.lstrip().startswith(">>>"):
            inner = " " * _indent(following)
            out += [line, f"{inner}.. code-block:: python", ""]
            lines[number + 1 :] = _pushed(lines[number + 1 :], _indent(line))
        elif line.rstrip().endswith(":") and not section and deeper and gap:
            out.append(line.rstrip() + ":")
        else:
            out.append(line)
    return out


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _pushed(lines: list[str], least: int) -> list[str]:
    """Lines whose first block, which is indented by more than some columns, is indented by three more."""
    inside, out = True, []
    for line in lines:
        inside = inside and (not line.strip() or _indent(line) > least)
        out.append("   " + line if inside and line.strip() else line)
    return out


def _behind(name: str) -> list[str]:
    """The lines of the text behind an assignment in one of the files of a package, which has it as its own."""
    package, _, own = name.rpartition(".")
    for file in pkgutil.iter_modules(importlib.import_module(package).__path__):
        found = ModuleAnalyzer.for_module(f"{package}.{file.name}").find_attr_docs()
        if ("", own) in found:
            return [*found["", own]]
    return []


def _docstring(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    if what in ("property", "attribute") and lines:  # where napoleon reads a type in front of a colon
        lines[0] = lines[0].replace(": ", " – ", 1)
    if what == "data":
        lines[:] = _behind(name)
    lines[:] = [re.sub(r"docs/([\w/]+)\.md", r":doc:`/\1`", line) for line in shown(list(lines))]


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", _docstring, priority=100)  # before napoleon
    return {"parallel_read_safe": True, "parallel_write_safe": True}
