"""The comparison of graphs, field by field."""

import dataclasses

import numpy as np
import pytest


@pytest.fixture(scope="session")
def difference():
    """``difference(a, b)``: where two graphs differ, or None; types, dtypes and shapes count too."""
    return _difference


def _difference(a, b, place="graph"):
    if type(a) is not type(b):
        return f"{place}: {type(a).__name__} and {type(b).__name__}"
    if isinstance(a, np.ndarray):
        same = a.dtype == b.dtype and a.shape == b.shape and (a == b).all()
        return None if same else place
    if dataclasses.is_dataclass(a):
        pairs = [(f"{place}.{f.name}", getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a)]
    elif isinstance(a, tuple):
        if len(a) != len(b):
            return place
        pairs = [(f"{place}[{i}]", x, y) for i, (x, y) in enumerate(zip(a, b, strict=True))]
    else:
        return None if a == b else place
    return next((found for name, x, y in pairs if (found := _difference(x, y, name))), None)
