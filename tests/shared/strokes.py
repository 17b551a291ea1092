"""Digits as a hand may draw them: strokes on a pad, points in shares of its width and height."""

from itertools import pairwise
from math import cos, pi, sin


def _arc(x, y, across, down, start, end, count=12):
    """Part of an ellipse around (x, y), by turns clockwise from the right."""
    turns = [2 * pi * (start + (end - start) * i / count) for i in range(count + 1)]
    return [(x + across * cos(turn), y + down * sin(turn)) for turn in turns]


def _line(*corners, count=5):
    points = [corners[0]]
    for (x0, y0), (x1, y1) in pairwise(corners):
        points += [(x0 + (x1 - x0) * i / count, y0 + (y1 - y0) * i / count) for i in range(1, count + 1)]
    return points


DIGITS = {
    0: [_arc(0.5, 0.5, 0.19, 0.28, -0.25, 0.75)],
    1: [_line((0.53, 0.2), (0.48, 0.8))],
    2: [_arc(0.5, 0.36, 0.17, 0.16, -0.5, 0.1) + _line((0.62, 0.46), (0.32, 0.79), (0.72, 0.78))],
    3: [_arc(0.48, 0.35, 0.17, 0.14, -0.42, 0.25) + _arc(0.48, 0.64, 0.19, 0.15, -0.25, 0.42)],
    4: [_line((0.36, 0.22), (0.32, 0.52), (0.68, 0.5)), _line((0.64, 0.2), (0.62, 0.8))],
    5: [_line((0.66, 0.22), (0.4, 0.22), (0.37, 0.45)) + _arc(0.47, 0.61, 0.19, 0.17, -0.3, 0.42)],
    6: [_line((0.6, 0.2), (0.45, 0.38), (0.36, 0.6)) + _arc(0.49, 0.64, 0.14, 0.14, 0.5, 1.5)],
    7: [_line((0.3, 0.24), (0.7, 0.23), (0.47, 0.8))],
    8: [_arc(0.5, 0.36, 0.14, 0.14, 0.25, -0.75) + _arc(0.5, 0.65, 0.17, 0.15, -0.25, 0.75)],
    9: [_arc(0.5, 0.37, 0.15, 0.15, 0.0, -1.0) + _line((0.65, 0.38), (0.62, 0.6), (0.58, 0.8))],
}
