"""What tests of pages in a browser need."""

from importlib.util import find_spec

import pytest

from chromium import BROWSER

NEEDS_A_BROWSER = [
    pytest.mark.web,
    pytest.mark.skipif(BROWSER is None, reason="there is no Chromium"),
    pytest.mark.skipif(find_spec("ziglang") is None, reason="the extra web is not installed"),
]
