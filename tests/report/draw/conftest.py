"""Reading the SVG of a chart."""

from xml.etree import ElementTree

import pytest


class Drawing:
    """The elements of a chart by their class, and what its marks say."""

    def __init__(self, chart):
        self.chart = chart
        self.root = ElementTree.fromstring(chart.svg)

    def of(self, kind):
        """Elements with a class, in order; attributes that are numbers are numbers."""
        found = [e for e in self.root.iter() if kind in e.get("class", "").split()]
        return [
            (e, {name: float(v) for name, v in e.attrib.items() if v.replace(".", "").lstrip("-").isdigit()})
            for e in found
        ]

    @property
    def says(self):
        """What each mark says."""
        return [element.get("aria-label") for element, _ in self.of("mark")]

    @property
    def texts(self):
        """All texts that are always seen."""
        return [e.text for e in self.root.iter("text") if e.text]


@pytest.fixture(scope="session")
def drawing():
    """``drawing(chart)``"""
    return Drawing
