"""The exceptions of the package: one tree, so that a caller can catch all of them or just the kind that it can answer.

Every message is one sentence that says what was wrong, what was found and what to do.
"""

from __future__ import annotations


class SpQuantError(Exception):
    """Anything that a user of the package can put right.

    Attributes:
        reported: whether another process, of several that train together, reports it to the user.

    Example:
        >>> try:
        ...     load("nothing.spq")
        ... except SpQuantError as error:
        ...     print(type(error).__name__)
        FileFormatError
    """

    reported: bool = False


class ConfigError(SpQuantError, ValueError):
    """An option has a value that it cannot have.

    Example:
        >>> QuantConfig(weight_bits=9)
        Traceback (most recent call last):
        spquant_snn.errors.ConfigError: ...
    """


class DataError(SpQuantError, ValueError):
    """A data set, an image or a label is missing, malformed or out of range.

    Example:
        >>> load("model.spq").predict(numpy.zeros((2, 3, 9, 9), numpy.uint8))
        Traceback (most recent call last):
        spquant_snn.errors.DataError: ...
    """


class ModelError(SpQuantError, ValueError):
    """A model holds something that cannot be quantised or lowered to integers.

    Example:
        >>> relu = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 8), torch.nn.ReLU())
        >>> prepare(relu, QuantConfig(), input_shape=(1, 8, 8))
        Traceback (most recent call last):
        spquant_snn.errors.ModelError: ...
    """


class FileFormatError(SpQuantError, ValueError):
    """A file is truncated, corrupted, of another kind or of a newer version.

    Example:
        >>> load("nothing.spq")
        Traceback (most recent call last):
        spquant_snn.errors.FileFormatError: ...
    """


class RunError(SpQuantError, RuntimeError):
    """A run folder cannot be written, read or resumed, or a training cannot go on.

    Example:
        >>> SpQuantTrainer.resume("runs/nothing")
        Traceback (most recent call last):
        spquant_snn.errors.RunError: ...
    """


class DivergedError(RunError):
    """The loss of a training is no longer a finite number.

    Example:
        >>> try:
        ...     trainer.train()
        ... except DivergedError:
        ...     trainer = SpQuantTrainer(model, data, 2, learning_rate=1e-4)
    """


class UnequalError(RunError):
    """Two backends that must give the same integers do not.

    Example:
        >>> issubclass(UnequalError, RunError)  # ``spquant run-firmware`` exits with 1 then
        True
    """


class MissingDependencyError(SpQuantError, ImportError):
    """An optional package is not installed; the message holds the line that installs it.

    Example:
        >>> try:
        ...     to_onnx(graph, "model.onnx")
        ... except MissingDependencyError as error:
        ...     print(error)  # with the line that installs it
    """
