"""``python -m benchmarks``: lists the benchmarks, or runs one."""

from __future__ import annotations

import ast
import importlib
import sys
from pathlib import Path
from textwrap import fill

from spquant_snn.cli.main import answer
from spquant_snn.cli.stopping import run_as_process, stopped
from spquant_snn.errors import ConfigError, MissingDependencyError
from spquant_snn.io.output import say

FOLDER = Path(__file__).parent
SHARED_WITH_TESTS = FOLDER.parent / "tests" / "shared"

_INDENT = 16


def names() -> list[str]:
    """All benchmarks, by name."""
    return sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_"))


def headline(name: str) -> str:
    """The first sentence of what a benchmark says of itself; it is not imported."""
    said = ast.get_docstring(ast.parse((FOLDER / f"{name}.py").read_text("utf-8"))) or ""
    return " ".join(said.partition("\n\n")[0].split())


def listing() -> str:
    """A paragraph for each benchmark."""
    told = (fill(f"{name:{_INDENT}}{headline(name)}", 80, subsequent_indent=" " * _INDENT) for name in names())
    return "\n".join(["usage: python -m benchmarks NAME ..., --help for what each takes", "", *told])


def run(arguments: list[str]) -> int:
    """Run the benchmark that the first argument names on the others; its exit code.

    Raises:
        ConfigError: there is no such benchmark.
        MissingDependencyError: it needs a package that is not installed.
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        for line in listing().splitlines():
            say(line)
        return 0
    name, *rest = arguments
    if name not in names():
        raise ConfigError(f"there is no benchmark {name!r}: choose one of {', '.join(names())}")
    if str(SHARED_WITH_TESTS) not in sys.path:
        sys.path.append(str(SHARED_WITH_TESTS))
    sys.argv = [f"python -m benchmarks {name}", *rest]  # as runpy does: benchmarks read it
    try:
        return importlib.import_module(f"benchmarks.{name}").main() or 0
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "spquant_snn", "benchmarks"):
            raise
        raise MissingDependencyError(f"this benchmark needs {package}: pip install {package}") from None


def main() -> int:
    """Answer the command line; returns the exit code."""
    try:
        return answer(lambda: run(sys.argv[1:]))
    except KeyboardInterrupt:
        return stopped()


if __name__ == "__main__":
    sys.exit(run_as_process(main))
