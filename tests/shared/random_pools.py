"""Pools that hypothesis draws for layers in a row."""

from hypothesis import assume
from hypothesis import strategies as st


def draw_pool(draw, kinds, size):
    """A pool of one of the kinds of modules for images of ``size`` (height, width), and the size that it leaves."""
    kernel, stride = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    assume(kernel <= min(size))
    height, width = ((side - kernel) // stride + 1 for side in size)
    return draw(st.sampled_from(kinds))(kernel, stride), (height, width)
