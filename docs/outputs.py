"""Runs pages from top to bottom, and writes what their blocks print behind them, and their pictures into images/.

    python docs/outputs.py [PAGE ...]     or `make outputs`: all tutorials

A page's Python runs in one namespace; of a block of shell commands those that begin with ``spquant``. A block of plain
text that follows is what was printed.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from shlex import split

DOCS = Path(__file__).parent
PAGES = sorted(path for path in (DOCS / "tutorials").glob("*.md") if path.stem != "index")
_BLOCK = re.compile(r"```(python|sh)\n(.*?)```\n(?:(\n```text\n)(.*?)```\n)?", re.DOTALL)


def run_page(page: Path) -> Iterator[tuple[str, str, str | None]]:
    """(a block, what it prints, what the page says that it prints) for each block, run in the present folder.

    Raises:
        RuntimeError: a command fails.
    """
    names: dict[str, object] = {"__name__": "__main__"}
    for found in _BLOCK.finditer(page.read_text("utf-8")):
        kind, block, _, said = found.groups()
        told = io.StringIO()
        with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
            if kind == "python":
                exec(compile(block, page.name, "exec"), names)
                code = 0
            else:
                code = run_commands(block)
        if code:
            raise RuntimeError(f"{block}ended with {code}: {told.getvalue()}")
        yield block, tidy(told.getvalue()), said


def run_commands(block: str) -> int:
    """Run the commands of a block that are ``spquant``; returns the exit code of the first that fails, or 0."""
    from spquant_snn.cli.main import answer, run

    for line in block.splitlines():
        command, *words = split(line, comments=True) or [""]
        if command == "spquant" and (code := answer(lambda words=words: run(words))):
            return code
    return 0


def tidy(text: str) -> str:
    """Lines without spaces at their ends and without escapes of terminals."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace(str(Path.cwd()) + os.sep, "")
    return "".join(f"{line.rstrip()}\n" for line in text.split("\n")).strip("\n") + "\n" if text.strip() else ""


def same(told: str, said: str) -> bool:
    """Whether two outputs are of one form: numbers, marks of best epochs and spaces differ from machine to machine."""
    return _form(told) == _form(said)


def _form(text: str) -> list[str]:
    return re.sub(r"[\d.,]*\d|─+", "0", text.replace("*", "")).split()


def written(page: Path) -> str:
    """A page with the outputs that it should have; what it saves as pictures goes into images/."""
    results = iter(list(run_page(page)))
    text = page.read_text("utf-8")
    for name in set(re.findall(r"\(\.\./images/([\w-]+\.(?:svg|png))\)", text)):
        if Path(name).exists():
            shutil.copy(name, DOCS / "images" / name)

    def replaced(found: re.Match[str]) -> str:
        kind, block, fence, _ = found.groups()
        _, told, _ = next(results)
        return f"```{kind}\n{block}```\n" + (f"{fence}{told}```\n" if fence else "")

    return _BLOCK.sub(replaced, text)


def main() -> None:
    warnings.simplefilter("error")
    os.environ["COLUMNS"] = "100"
    for page in [Path(name).resolve() for name in sys.argv[1:]] or PAGES:
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            page.write_text(written(page), "utf-8")


if __name__ == "__main__":
    main()
