"""How a page names, in its Content-Security-Policy, the scripts and styles that it may run."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256


def digest(text: str) -> str:
    """The name of a script or a style that stands in the page."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
