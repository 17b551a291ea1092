"""The command ``spquant``: the first word says which command, the others are its.

Exit codes:
    0: done; also where the reader of standard output, as ``head`` does, has seen enough.
    1: a check failed, a training diverged, or points of a sweep failed.
    2: the call was wrong, or a file or standard output cannot be read or written.
    130: stopped by Ctrl-C.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module

from ..errors import ConfigError, DivergedError, SpQuantError, UnequalError
from ..io.output import finish, say, say_error
from ..io.texts import did_you_mean, package_version

# Each is the function ``command`` in the file of its name, whose parameters are the options and whose docstring is the
# help; it is imported when it is asked for.
COMMANDS = {
    "train": "Train a network into a folder of weights, integers and metrics.",
    "calibrate": "Quantise a trained float network without training.",
    "eval": "Accuracy of a run, or of an .spq file, on the test set.",
    "export": "Write the integers: .spq, C firmware, a web page, ONNX or NIR.",
    "run-firmware": "Run exported C on an emulated board, beside the reference.",
    "verify": "Compare torch and integer model in every spike, code and logit.",
    "report": "What an inference costs and what neurons do: tables, and a page.",
    "sweep": "Train the points of a sweep, each in a process, and compare them.",
    "doctor": "Say what is installed, and which data; or how a network runs.",
}
_LET_REPORT = 1.0  # seconds for the process that reports an error: torchrun stops all when one has ended with it


def main() -> int:
    """Answer the command line; returns the exit code.

    Raises:
        KeyboardInterrupt: it was stopped.
    """
    return answer(lambda: run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """The exit code of what a command line asks for.

    Raises:
        SpQuantError: there is no such command, or as the command.
    """
    if not arguments:
        raise ConfigError(f"name a command: {', '.join(COMMANDS)}; spquant --help says what they do")
    name, *options = arguments
    if name in ("-h", "--help"):
        for line in _overview():
            say(line)
        return 0
    if name == "--version":
        say(f"spquant {package_version()}")
        return 0
    if name not in COMMANDS:
        raise ConfigError(
            f"there is no command {name!r}: choose one of {', '.join(COMMANDS)}{did_you_mean(name, COMMANDS)}"
        )
    from .parse import parse

    return parse(command_of(name), options, f"spquant {name}")()


def command_of(name: str) -> Callable[..., int]:
    """The function of a command."""
    command: Callable[..., int] = import_module(f".{name.replace('-', '_')}", __package__).command
    return command


def answer(command: Callable[[], int]) -> int:
    """The exit code of a command, whose errors are each one sentence.

    Raises:
        KeyboardInterrupt: it was stopped.
    """
    try:
        code = command()
        finish()
        return code
    except SpQuantError as error:
        if error.reported:
            time.sleep(_LET_REPORT)
        else:
            say_error(f"spquant: {error}")
        return 1 if isinstance(error, DivergedError | UnequalError) else 2
    except BrokenPipeError:  # the reader has seen enough
        return 0
    except OSError as error:  # of a path on which a command did not expect it
        place = "a file" if error.filename is None else str(error.filename)
        say_error(f"spquant: {place} cannot be used ({error.strerror or error}): choose another path")
        return 2


def _overview() -> list[str]:
    """The lines of --help."""
    width = 2 + max(map(len, COMMANDS))
    return [
        "usage: spquant COMMAND ...",
        "",
        "Spiking networks of a few bits, from training to exact integers.",
        "",
        *(f"{name:{width}}{line}" for name, line in COMMANDS.items()),
        "",
        "spquant COMMAND --help lists what a command takes; spquant --version.",
    ]
