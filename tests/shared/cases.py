"""Many small cases in one test."""

from contextlib import contextmanager

import pytest


@contextmanager
def case(*what):
    """What fails in here is told with the case it fails in."""
    try:
        yield
    except (Exception, pytest.fail.Exception) as error:
        raise AssertionError(f"in the case {', '.join(map(repr, what))}: {error}") from error
