"""Directives that write what the package itself knows.

.. options:: train          the options of a command, from its --help
.. names:: spquant_snn      the names of a module with the first sentence of each
.. boards::                 the boards that are emulated
.. format::                 the docstring of the file format
"""

import contextlib
import importlib
import inspect
import io
import os
import re
from collections.abc import Iterator
from unittest.mock import patch

from docstrings import shown
from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from links import places
from sphinx.application import Sphinx

from spquant_snn.cli import main
from spquant_snn.cli.parse import parse
from spquant_snn.export.boards import BOARDS
from spquant_snn.integer import file


def help_of(command: str) -> list[str]:
    """The lines of a command's help, without frames."""
    told = io.StringIO()
    with patch.dict(os.environ, {"COLUMNS": "120"}), contextlib.redirect_stdout(told):
        parse(main.command_of(command), ["--help"], f"spquant {command}")()
    return [line.strip("│").rstrip() for line in told.getvalue().splitlines() if not line.startswith("╰")]


def options_of(command: str) -> Iterator[tuple[str, str]]:
    """(heading, "") for each group of options, (words, what they do) for each option."""
    entry: list[str] = []
    group: list[tuple[str, str]] = []
    for line in [*help_of(command), "╭─ end ─"]:
        starts = re.match(r" (-|[A-Z|]+(?: |$)|\[)", line) is not None
        if (starts or line.startswith("╭")) and entry:
            group.append(_option(entry))
            entry = []
        if line.startswith("╭"):
            yield from group
            group = []
            yield line.strip("╭─╮ "), ""
        elif starts:
            entry = [line]
        elif entry:
            entry.append(line)


def _option(lines: list[str]) -> tuple[str, str]:
    """An option's words, and what it does; a default that says nothing is left out."""
    words, _, text = lines[0].strip().partition("  ")
    said = " ".join([text.strip(), *map(str.strip, lines[1:])]).strip()
    return words, re.sub(r" \(default: (None|False)\)$", "", said)


class _Written(Directive):
    """A directive that writes lines of reStructuredText."""

    def lines(self) -> list[str]:
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        inside = nodes.container()
        self.state.nested_parse(StringList(self.lines(), "generated"), 0, inside)
        return inside.children


def _escaped(text: str) -> str:
    return re.sub(r"([\\*`|_])", r"\\\1", text)


class Options(_Written):
    required_arguments = 1

    def lines(self) -> list[str]:
        (command,) = self.arguments
        out = []
        for words, text in options_of(command):
            if not text and words != "end":
                out += ["", f".. rubric:: {words.capitalize()}", ""]
            elif text:
                said = re.sub(r"(--[a-z][a-z-]*)", r"``\1``", _escaped(text))  # else a dash is made of two
                out += [f"``{words}``", f"    {said}", ""]
        return out


class Names(_Written):
    required_arguments = 1

    def lines(self) -> list[str]:
        (module,) = self.arguments
        home, known = importlib.import_module(module), places()
        out = [".. list-table::", "   :widths: 30 70", ""]
        for name in home.__all__:
            place = known[name if module == "spquant_snn" else f"{module.split('.')[1]}.{name}"]
            out += [f"   * - :py:obj:`{name} <{place}>`", f"     - {_sentence(getattr(home, name))}"]
        return out


def _sentence(value: object) -> str:
    """The first sentence of a docstring."""
    text = (inspect.getdoc(value) or "") if callable(value) else ""
    return re.split(r"(?<=[.:])\s", " ".join(text.split("\n\n")[0].split()))[0].rstrip(":")


class Boards(_Written):
    def lines(self) -> list[str]:
        out = [".. list-table::", "   :header-rows: 1", ""]
        for row in [("board", "flash", "RAM", "emulated by", "without QEMU"), *map(_board, BOARDS)]:
            out += [f"   {'* -' if number == 0 else '  -'} {cell}" for number, cell in enumerate(row)]
        return out


def _board(name: str) -> tuple[str, ...]:
    board = BOARDS[name]
    sizes = [f"{size // 1024:,} KiB" for size in (board.flash, board.ram)]
    return f"``{name}``", *sizes, f"``{board.qemu} -machine {board.machine}``", "unicorn" if board.unicorn else "no"


class Format(_Written):
    def lines(self) -> list[str]:
        return shown((file.__doc__ or "").splitlines())


def setup(app: Sphinx) -> dict[str, bool]:
    made: dict[str, type[Directive]] = {"options": Options, "names": Names, "boards": Boards, "format": Format}
    for name, directive in made.items():
        app.add_directive(name, directive)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
