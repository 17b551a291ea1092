"""Pictures: charts as SVG and maps of pixels as PNG, as text that stands in a page."""
