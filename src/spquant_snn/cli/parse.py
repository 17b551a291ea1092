"""From the words of a command line to what is to be done; nothing is done here."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from functools import partial, wraps
from inspect import cleandoc, signature
from typing import Any, TextIO, cast, get_type_hints

import tyro

from ..errors import ConfigError
from ..io.output import Outlet, lines, styled

Action = Callable[[], int]


def later(command: Callable[..., int]) -> Callable[..., Action]:
    """A command that, called, only says what it would do: of the same arguments."""

    @wraps(command)
    def bind(*args: Any, **options: Any) -> Action:
        return partial(command, *args, **options)

    del bind.__wrapped__  # which would be looked at in its place
    bind.__signature__ = signature(command)  # type: ignore[attr-defined]
    bind.__annotations__ = get_type_hints(command, include_extras=True)
    bind.__doc__ = re.sub(r"\n {8,}", " ", cleandoc(command.__doc__ or ""))  # else help breaks lines as the source does
    return bind


def parse(command: Callable[..., int], arguments: Sequence[str], prog: str) -> Action:
    """What a command does with its arguments; of arguments that cannot be understood, or ask for help, the exit code.

    Args:
        prog: how the command is called.

    Raises:
        ConfigError: an argument is empty, or holds what no argument can hold.
    """
    _refuse_empty(arguments)
    clean = lines if any("\x1b" in argument for argument in arguments) else styled  # no colours but the parser's own
    out, err = Outlet(sys.stdout, clean), Outlet(sys.stderr, clean, lossy=True)
    try:
        with redirect_stdout(cast(TextIO, out)), redirect_stderr(cast(TextIO, err)):
            action: Action = tyro.cli(later(command), prog=prog, args=list(arguments))
            return action
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 2
        return lambda: code


def _refuse_empty(arguments: Sequence[str]) -> None:
    """Refuse empty texts, which a shell makes of variables that are not set, and which a path would take for the
    current folder."""
    option = ""
    for argument in arguments:
        name, assigned, value = argument.partition("=")
        flag = name.startswith("--") and bool(assigned)
        if not argument or (flag and not value):
            where = f"{name if flag else option} is empty" if flag or option else "an argument is empty"
            raise ConfigError(f"{where}: give a value, or leave it out")
        if "\0" in argument:
            raise ConfigError(f"{argument!r} holds a character of number 0, which no path can hold: leave it out")
        option = name if argument.startswith("--") and not assigned else ""
