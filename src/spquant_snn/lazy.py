"""Names of a package that are imported when they are first used, so that what needs no torch runs without it."""

from __future__ import annotations

from importlib import import_module

from .errors import MissingDependencyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any


def importer(package: str, homes: Mapping[str, str], modules: Sequence[str] = ()) -> Callable[[str], Any]:
    """A ``__getattr__`` for a package, which imports a name when it is first used.

    Args:
        package: its name.
        homes: for each name the module below ``package`` that defines it, as ".quant.config".
        modules: names of modules below ``package`` that are found in the same way.

    Returns:
        A function of a name, which raises AttributeError for others, and MissingDependencyError where the name needs
        torch and there is none.
    """

    def find(name: str) -> Any:
        if name in modules:
            return import_module(f".{name}", package)
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            return getattr(import_module(homes[name], package), name)
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            raise MissingDependencyError(f"{package}.{name} needs torch: pip install torch") from None

    return find
