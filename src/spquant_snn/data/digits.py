"""Digits: the 1,797 images of 8x8 that scikit-learn carries with it, for a first run without any download.

Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998.
"""

from __future__ import annotations

import numpy as np

from ..errors import MissingDependencyError
from .arrays import Labelled, Splits, permutation

_TEST = 360


def load_digits() -> Splits:
    """1,437 training and 360 test images, uint8 [N, 1, 8, 8], their 17 grey levels spread over 0 .. 255.

    The split is always the same and keeps the share of every class to within one image.

    Raises:
        MissingDependencyError: scikit-learn is not installed.
    """
    try:
        from sklearn import datasets
    except ImportError as error:
        raise MissingDependencyError(
            "the digits come with scikit-learn, which is not installed: pip install scikit-learn"
        ) from error
    values, classes = datasets.load_digits(return_X_y=True)
    images = (values.astype(np.int64) * 255 // 16).astype(np.uint8).reshape(-1, 1, 8, 8)
    labels = classes.astype(np.int64)

    count = len(labels)
    shuffled = permutation(count, seed=0)
    by_class = shuffled[labels[shuffled].argsort(kind="stable")]
    test = np.zeros(count, np.bool_)
    test[by_class[np.arange(_TEST) * count // _TEST]] = True  # evenly spaced, hence every class by its share
    return Splits("digits", Labelled(images[~test], labels[~test]), Labelled(images[test], labels[test]), classes=10)
