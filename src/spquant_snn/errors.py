"""The exceptions of the package: one tree, so that a caller can catch all of them or just the kind that it can answer.

Every message is one sentence that says what was wrong, what was found and what to do.
"""

from __future__ import annotations


class SpQuantError(Exception):
    """Anything that a user of the package can put right.

    Attributes:
        reported: whether another process, of several that train together, reports it to the user.
    """

    reported: bool = False


class ConfigError(SpQuantError, ValueError):
    """An option has a value that it cannot have."""


class DataError(SpQuantError, ValueError):
    """A data set, an image or a label is missing, malformed or out of range."""


class ModelError(SpQuantError, ValueError):
    """A model holds something that cannot be quantised or lowered to integers."""


class FileFormatError(SpQuantError, ValueError):
    """A file is truncated, corrupted, of another kind or of a newer version."""


class RunError(SpQuantError, RuntimeError):
    """A run folder cannot be written, read or resumed, or a training cannot go on."""


class DivergedError(RunError):
    """The loss of a training is no longer a finite number."""


class UnequalError(RunError):
    """Two backends that must give the same integers do not."""


class MissingDependencyError(SpQuantError, ImportError):
    """An optional package is not installed; the message holds the line that installs it."""
