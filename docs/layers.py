"""Writes the tables of reference/layers.md, from those in the package.

python docs/layers.py           or `make layers`
"""

from __future__ import annotations

import re
from pathlib import Path

from spquant_snn.quant.layer_support import refused_table, supported_table

PAGE = Path(__file__).parent / "reference" / "layers.md"


def page() -> str:
    """The page with the tables as they should be."""
    text = PAGE.read_text("utf-8")
    for first, table in (("in torch", supported_table()), ("refused", refused_table())):
        text = re.sub(rf"(?m)^\| {first} \|.*\n(?:\|.*\n)+", lambda _, table=table: table, text, count=1)
    return text


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
