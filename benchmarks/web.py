"""A page in a headless Chromium: its size, its self-test, its answers on test images, and the time of an inference.

    spquant export runs/x --target web --out site/
    python -m benchmarks web site/ runs/x/model.spq --count 200
    python -m benchmarks web site/ runs/x/model.spq --count 0 --picture docs/images/web.png   # and a picture

Logits, spikes and stored codes of each image are compared with those of the reference, on the data set that the page
was made for. The time is what the page itself shows, the median of rounds of inferences of one image; here the median
over its samples, each once.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from base64 import b64encode
from pathlib import Path

import numpy as np

from chromium import Chromium, Page
from page_trace import CRC, READY, seen_by_reference
from spquant_snn.data import load
from spquant_snn.integer.file import load_graph
from strokes import DIGITS


def times(page: Page) -> list[float]:
    """Microseconds of an inference of each sample, as the page measures them."""
    found: list[float] = page.value(
        "(async () => { const found = []; for (const { pixels } of spquant.about.samples) {"
        " const image = Uint8Array.from(atob(pixels), (letter) => letter.charCodeAt(0));"
        " found.push((await timed(spquant, image, () => true)).median) } return found })()"
    )
    return found


def take_picture(page: Page, path: Path, draw: int) -> None:
    """The top of the page with a digit drawn."""
    page.press("#clear")
    for stroke in DIGITS[draw]:
        page.press("#pad", stroke)
    page.value("new Promise((go) => setTimeout(go, 2000))")
    page.value("scrollTo(0, 0)")
    page.screenshot(path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("site", type=Path)
    parser.add_argument("network", type=Path, help="the .spq file that the page was made of")
    parser.add_argument("--count", type=int, default=200, help="of the test set, 0 for all")
    parser.add_argument("--picture", type=Path, help="where to write one")
    parser.add_argument("--draw", type=int, default=4, help="the digit on it")
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--width", type=int, default=1120)
    parser.add_argument("--height", type=int, default=1240)
    options = parser.parse_args()
    print(f"folder: {sum(path.stat().st_size for path in options.site.iterdir()):,} bytes")
    graph, name = load_graph(options.network), json.loads((options.site / "web.json").read_text("utf-8"))["dataset"]
    test = load(name).test
    images = test.images[: options.count or None]
    labels = test.labels[: len(images)]
    with Chromium() as browser:
        address = (options.site / "index.html").resolve().as_uri()
        page = browser.open(address, width=options.width, height=options.height, dark=options.dark)
        page.until(READY)
        print(page.text("#selftest"))
        page.value(CRC)
        equal = right = 0
        for start in range(0, len(images), 250):
            part = images[start : start + 250]
            given = json.dumps([b64encode(image.tobytes()).decode() for image in part])
            found = page.value(f"{given}.map(see)")
            equal += sum(a == b for a, b in zip(found, seen_by_reference(graph, part), strict=True))
            right += sum(
                int(np.argmax(logits)) == label for (logits, _), label in zip(found, labels[start:], strict=False)
            )
        print(f"equal to the reference: {equal:,} of {len(images):,}; right: {100 * right / len(images):.2f} %")
        found = times(page)
        print(
            f"microseconds of an inference: median {statistics.median(found):.1f}, {min(found):.1f} to {max(found):.1f}"
        )
        if options.picture:
            take_picture(page, options.picture, options.draw)
    return 0 if equal == len(images) else 1


if __name__ == "__main__":
    sys.exit(main())
