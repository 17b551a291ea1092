"""A Chromium without a window, driven over its own pipe (the DevTools protocol), with nothing but Python.

    with Chromium() as browser:
        page = browser.open(path.as_uri(), width=360, height=740, dark=True)
        page.press("#pad", [(0.2, 0.2), (0.8, 0.8)])     # a stroke by mouse, in shares of the element
        page.value("document.title")
        page.screenshot(path)

What a page says on its console and whatever goes wrong in it is kept in ``page.complaints``, addresses that it asks for
in ``page.requests``.
"""

import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from base64 import b64decode

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",  # it reaches nobody but servers of tests
)
_PATIENCE = 120  # seconds
_KEYS = {" ": ("Space", 32), "Enter": ("Enter", 13), "Tab": ("Tab", 9), "Backspace": ("Backspace", 8)}
_TYPED = {" ": " ", "Enter": "\r"}


class Chromium:
    """The browser; closed at the end of a ``with``."""

    def __enter__(self):
        self._profile = tempfile.TemporaryDirectory(prefix="spquant-chromium-", ignore_cleanup_errors=True)
        down, self._commands = os.pipe()
        self._answers, up = os.pipe()
        call = f'exec "$@" 3<&{down} 4>&{up}'  # where the browser looks for its pipe
        switches = (*SWITCHES, f"--user-data-dir={self._profile.name}", "--remote-debugging-pipe", "about:blank")
        self._process = subprocess.Popen(
            ["bash", "-c", call, "bash", BROWSER, *switches],
            pass_fds=(down, up),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(down)
        os.close(up)
        self._buffer, self._count, self.events = b"", 0, []
        return self

    def __exit__(self, *_):
        try:
            self.send("Browser.close")
            self._process.wait(10)
        except (OSError, AssertionError, subprocess.TimeoutExpired):
            self._process.kill()
        self._process.wait()
        os.close(self._commands)
        os.close(self._answers)
        self._profile.cleanup()

    def send(self, method, session=None, **parameters):
        """What the browser answers to a command."""
        self._count += 1
        number, message = self._count, {"id": self._count, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + _PATIENCE
        while True:
            answer = self._read(end)
            if answer.get("id") == number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            if "method" in answer:
                self.events.append(answer)

    def _read(self, end):
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._answers], [], [], max(0, end - time.monotonic()))
            assert ready, "the browser does not answer"
            part = os.read(self._answers, 1 << 20)
            assert part, "the browser has ended"
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def open(self, address, width=1200, height=900, dark=False, still=False, script=""):
        """A page in a window of its own, once it is loaded.

        Args:
            dark: the reader prefers dark colours.
            still: the reader prefers reduced motion.
            script: run before those of the page.
        """
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, target, session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.send(f"{domain}.enable")
        if script:
            page.send("Page.addScriptToEvaluateOnNewDocument", source=script)
        page.resize(width, height)
        wished = {"prefers-color-scheme": "dark" if dark else "light"}
        wished["prefers-reduced-motion"] = "reduce" if still else "no-preference"
        page.send("Emulation.setEmulatedMedia", features=[{"name": key, "value": wish} for key, wish in wished.items()])
        page.send("Page.bringToFront")  # events wait for pages that are not seen
        page.send("Page.navigate", url=address)
        page.until("document.readyState === 'complete' && location.href !== 'about:blank'")
        return page


class Page:
    """One page of a browser."""

    def __init__(self, browser, target, session):
        self._browser, self._target, self._session = browser, target, session

    def send(self, method, **parameters):
        return self._browser.send(method, self._session, **parameters)

    def close(self):
        self._browser.send("Target.closeTarget", targetId=self._target)

    def _events(self, method):
        own = [event for event in self._browser.events if event.get("sessionId") == self._session]
        return [event["params"] for event in own if event["method"] == method]

    @property
    def complaints(self):
        """What was said on the console or went wrong."""
        logged = [event["entry"]["text"] for event in self._events("Log.entryAdded")]
        thrown = [event["exceptionDetails"]["text"] for event in self._events("Runtime.exceptionThrown")]
        said = [str(event["args"]) for event in self._events("Runtime.consoleAPICalled")]
        return logged + thrown + said

    @property
    def requests(self):
        """Addresses that were asked for, the page's own first."""
        return [event["request"]["url"] for event in self._events("Network.requestWillBeSent")]

    def value(self, expression):
        """What an expression of JavaScript, or its promise, comes to."""
        found = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def until(self, expression):
        """Wait until an expression holds."""
        end = time.monotonic() + _PATIENCE
        while not self.value(expression):
            assert time.monotonic() < end, f"it never came to {expression}"
            time.sleep(0.02)

    def text(self, selector):
        """The text of an element as it is shown."""
        return self.value(f"document.querySelector({json.dumps(selector)}).innerText").strip()

    def resize(self, width, height, sharp=1):
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=sharp,
            mobile=width < 600,
        )

    def _places(self, selector, shares):
        """Points in an element, given in shares of its width and height, as the window sees them."""
        name = json.dumps(selector)
        left, top, width, height = self.value(
            f"(() => {{ const e = document.querySelector({name}); e.scrollIntoView({{block: 'center'}});"
            " const b = e.getBoundingClientRect(); return [b.left, b.top, b.width, b.height] })()"
        )
        return [(left + x * width, top + y * height) for x, y in shares]

    def press(self, selector, shares=((0.5, 0.5),)):
        """Press the mouse at the first place, move it over the others, let it go."""
        places = self._places(selector, shares)
        held = {"button": "left", "clickCount": 1}
        for kind, (x, y) in (
            ("mousePressed", places[0]),
            *(("mouseMoved", place) for place in places[1:]),
            ("mouseReleased", places[-1]),
        ):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, buttons=1, **held)

    def touch(self, selector, shares):
        """The same by a finger."""
        places = self._places(selector, shares)
        for kind, points in (("touchStart", places[:1]), *(("touchMove", [p]) for p in places[1:]), ("touchEnd", [])):
            self.send("Input.dispatchTouchEvent", type=kind, touchPoints=[{"x": x, "y": y} for x, y in points])

    def type(self, *keys, shift=False):
        """Press keys, by their names."""
        for key in keys:
            code, number = _KEYS.get(key, (key, 0))
            given = {"key": key, "code": code, "windowsVirtualKeyCode": number, "modifiers": 8 if shift else 0}
            text = {"text": _TYPED[key]} if key in _TYPED else {}
            self.send("Input.dispatchKeyEvent", type="keyDown", **given, **text)
            self.send("Input.dispatchKeyEvent", type="keyUp", **given)

    def screenshot(self, path, whole=False):
        """Write what is seen, or the whole page, as a PNG."""
        found = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(b64decode(found["data"]))
