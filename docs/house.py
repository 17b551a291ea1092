"""Draws which part of the package imports which, from the imports themselves, into CONTRIBUTING.md.

    python docs/house.py            or `make house`

An arrow that follows from others is left out: a part may import whatever can be reached from it.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "spquant_snn"
PAGE = ROOT / "CONTRIBUTING.md"
EVERYWHERE = {"errors", "dtypes", "lazy", "io"}  # small parts that nearly all others import
_DRAWN = re.compile(r"```mermaid\n.*?```\n", re.DOTALL)


def imports() -> dict[str, set[str]]:
    """For each part (a folder, or a file beside them) the parts that it imports."""
    found: dict[str, set[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        inside = path.relative_to(PACKAGE).parts
        part = inside[0].removesuffix(".py")
        if part.startswith("__") or part in EVERYWHERE:
            continue
        own = found.setdefault(part, set())
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level == len(inside):
                names = [node.module] if node.module else [alias.name for alias in node.names]
                own |= {name.split(".")[0] for name in names}
    return {part: {name for name in names if name in found and name != part} for part, names in found.items()}


def reduced(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """The same without arrows that follow from others."""

    def reach(part: str) -> set[str]:
        return graph[part].union(*map(reach, graph[part]))

    return {part: names - set().union(*map(reach, names)) for part, names in graph.items()}


def drawn() -> str:
    """The picture, a block of mermaid."""
    arrows = [f"    {part} --> {name}" for part, names in sorted(reduced(imports()).items()) for name in sorted(names)]
    return "\n".join(["```mermaid", "graph TD", *arrows, "```", ""])


def page() -> str:
    """The page with the picture as it should be."""
    return _DRAWN.sub(lambda _: drawn(), PAGE.read_text("utf-8"), count=1)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
