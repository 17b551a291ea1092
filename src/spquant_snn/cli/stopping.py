"""Ctrl-C in a process of the command: at any moment it ends with one line and exit code 130."""

import atexit
import os
import signal
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn

from ..errors import RunError
from ..io.output import finish, open_streams, say_error

STOPPED = 130  # exit code, as shells have it for SIGINT
_AGAIN = 0.01  # seconds after which a Ctrl-C comes again that Python could not deliver


def stopped() -> int:
    """Say that the command was stopped, and return its exit code; of several processes that train together, the first
    says it."""
    if os.environ.get("RANK", "0") == "0":
        say_error("spquant: stopped")
    return STOPPED


def leave() -> NoReturn:
    """Say so and end the process at once."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stopped()
    os._exit(STOPPED)


class CtrlC:
    """Ctrl-C in a process of its own. While the command runs it raises KeyboardInterrupt, and again where Python can
    only report that and goes on, as in a ``__del__``; whatever else arises from it is taken for it. Before and after
    the command there is nothing to tidy up, and it ends the process at once.

    Attributes:
        asked: whether there was one.
    """

    def __init__(self) -> None:
        self.asked = self.running = False
        self._report: Callable[[Any], object] = sys.unraisablehook

    def heed(self) -> None:
        """Answer it from now on; where the process was started to ignore it, it stays so."""
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            sys.unraisablehook = self._swallowed
            signal.signal(signal.SIGINT, self._come)

    def _come(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        if self.running:
            raise KeyboardInterrupt
        leave()

    def _swallowed(self, found: Any) -> None:
        if not isinstance(found.exc_value, KeyboardInterrupt):
            self._report(found)
            return
        from _thread import interrupt_main
        from threading import Timer

        again = Timer(_AGAIN, interrupt_main)
        again.daemon = True
        again.start()

    def end(self) -> None:
        """What Python does last but tidy itself up, in which it hears no Ctrl-C; of one that it heard while it carried
        out a text, as the makers of data classes do, it would make a death by SIGINT."""
        if self.asked:
            os._exit(STOPPED)
        if signal.getsignal(signal.SIGINT) == self._come:
            signal.signal(signal.SIGINT, signal.SIG_IGN)


def _warn(message: Warning | str, *about: Any, **more: Any) -> None:
    """A warning as a line for the user of a command, to whom the place in the source says nothing."""
    say_error(f"spquant: warning: {message}")


def run_as_process(main: Callable[[], int]) -> int:
    """The exit code of a command that is all that its process does: its standard streams are open, warnings are lines,
    and Ctrl-C stops it at any moment."""
    ctrl_c = CtrlC()
    atexit.register(ctrl_c.end)  # the first, and so the last to be called
    ctrl_c.heed()
    open_streams()
    warnings.showwarning = _warn
    ctrl_c.running, code = True, STOPPED
    try:
        code = main()
    except Exception:
        if not ctrl_c.asked:
            raise
        stopped()  # a library met the KeyboardInterrupt and made it something else
    else:
        if ctrl_c.asked and code != STOPPED:  # ... or went on
            stopped()
    finally:
        ctrl_c.running = False
        with suppress(BrokenPipeError, RunError):  # told already
            finish()
    return STOPPED if ctrl_c.asked else code
