"""Names of a package that are imported when they are first used, so that what needs no torch runs without it."""

from __future__ import annotations

from importlib import import_module

from .errors import MissingDependencyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any


def importer(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """What a package looks up a name with that it does not hold itself.

    Args:
        homes: the module below ``package`` in which each name lives, as ".quant.config".
    """

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            return getattr(import_module(homes[name], package), name)
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            raise MissingDependencyError(f"{package}.{name} needs torch: pip install torch") from None

    return find
