"""Chromium without a window, driven over two pipes (Chrome DevTools Protocol): no package, no port, no network."""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from select import select
from time import monotonic
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
VARIABLE = "DEEP_LOCK_BROWSER"
AXE_VARIABLE = "DEEP_LOCK_AXE"
"""The path of axe.min.js, of the npm package axe-core."""
PATIENCE = 60.0
"""Seconds for one answer."""


def find_browser() -> str | None:
    """Return the command of a Chromium: the one that the environment names, or one on PATH."""
    if sys.platform == "win32":
        return None  # the pipes are handed over as descriptors 3 and 4
    named = os.environ.get(VARIABLE)
    return named or next((found for name in NAMES if (found := shutil.which(name))), None)


def find_axe() -> Path | None:
    """Return axe-core: the file that the environment names; None without one."""
    named = os.environ.get(AXE_VARIABLE)
    return Path(named) if named and Path(named).is_file() else None


class Page:
    """One tab."""

    def __init__(self, write: int, read: int) -> None:
        self._write, self._read = write, read
        self._buffer = b""
        self._count = 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        """What came unasked: loads, exceptions, log entries, requests."""

    def _message(self, until: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select([self._read], [], [], max(0.0, until - monotonic()))
            piece = os.read(self._read, 1 << 16) if ready else b""
            if not piece:
                raise RuntimeError("the browser does not answer")
            self._buffer += piece
        text, _, self._buffer = self._buffer.partition(b"\0")
        found: dict[str, Any] = json.loads(text)
        return found

    def call(self, method: str, **values: Any) -> dict[str, Any]:
        """Call a method of the protocol."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": values}
        if self._session:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._write, data) :]
        until = monotonic() + PATIENCE
        while (answer := self._message(until)).get("id") != self._count:
            self.events.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    def attach(self) -> None:
        """Open a tab, and hear what happens in it."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Page.setLifecycleEventsEnabled", enabled=True)

    def open(self, url: str) -> None:
        """Go there, and wait until it is loaded."""
        self.events.clear()
        loader = self.call("Page.navigate", url=url).get("loaderId")
        if loader is None:
            return  # another place in the same page
        until = monotonic() + PATIENCE
        while not any(_is_load(event, loader) for event in self.events):
            self.events.append(self._message(until))

    def ask(self, expression: str) -> Any:
        """Return the value of an expression, a promise's too, after what is waiting to be drawn."""
        settled = f"try {{ done({expression}) }} catch (error) {{ failed(error) }}"
        drawn = f"new Promise((done, failed) => requestAnimationFrame(() => setTimeout(() => {{ {settled} }})))"
        found = self.call("Runtime.evaluate", expression=drawn, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in found:
            raise RuntimeError(f"{expression}: {found['exceptionDetails']}")
        return found["result"].get("value")

    def violations(self, axe: Path) -> list[str]:
        """Return what axe-core finds in the page, each with the first element."""
        self.call("Runtime.evaluate", expression=axe.read_text(encoding="utf-8"))
        found = self.ask("axe.run().then(own => own.violations.map(each => `${each.id}: ${each.nodes[0].html}`))")
        return [str(own) for own in found]

    def press(self, key: str, *, text: str = "") -> None:
        """Press a key as a person does."""
        codes = {"Enter": 13, "Escape": 27, "Tab": 9, "ArrowRight": 39, "ArrowLeft": 37, "ArrowDown": 40, "ArrowUp": 38}
        own: dict[str, Any] = {"key": key, "windowsVirtualKeyCode": codes.get(key, ord(key[0].upper()))}
        written = text or ("\r" if key == "Enter" else key if len(key) == 1 else "")
        self.call("Input.dispatchKeyEvent", type="keyDown" if written else "rawKeyDown", text=written, **own)
        self.call("Input.dispatchKeyEvent", type="keyUp", **own)

    def write(self, text: str) -> None:
        """Type a text into what has the focus."""
        self.call("Input.insertText", text=text)

    def click(self, selector: str) -> None:
        """Click the middle of the first element that fits."""
        place = self.ask(
            f"(() => {{ const own = document.querySelector({json.dumps(selector)}); own.scrollIntoView({{block: 'center'}});"
            " const box = own.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)

    def faults(self) -> list[str]:
        """Return what went wrong in the page so far: exceptions, and what its policy refused."""
        bad = [event for event in self.events if event["method"] == "Runtime.exceptionThrown"]
        bad += [
            event
            for event in self.events
            if event["method"] == "Log.entryAdded" and event["params"]["entry"]["level"] in {"error", "warning"}
        ]
        return [json.dumps(event["params"]) for event in bad]

    def requests(self) -> list[str]:
        """Return the addresses that were asked for so far."""
        return [
            event["params"]["request"]["url"] for event in self.events if event["method"] == "Network.requestWillBeSent"
        ]

    def picture(self, width: int, height: int, *, dark: bool = False) -> bytes:
        """Return a PNG of the window."""
        self.window(width, height, dark=dark)
        self.ask("1")
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def window(self, width: int, height: int, *, dark: bool = False) -> None:
        """Give the window a size, and a colour scheme."""
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=scheme)
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)


def _is_load(event: dict[str, Any], loader: str | None) -> bool:
    own = event["params"]
    return event["method"] == "Page.lifecycleEvent" and (own["name"], own["loaderId"]) == ("load", loader)


@contextlib.contextmanager
def open_browser(command: str, folder: Path) -> Iterator[Page]:
    """Start a browser with an empty profile in the folder; end it afterwards. Raises RuntimeError if it does not start."""
    to_read, to_write = os.pipe()
    from_read, from_write = os.pipe()
    # a shell puts the two descriptors where the browser looks for them
    script = f'exec 3<&{to_read} 4>&{from_write}; exec "$@"'
    flags = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run")
    quiet = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-proxy-server")
    place = ("--remote-debugging-pipe", f"--user-data-dir={folder / 'profile'}")
    process = subprocess.Popen(
        ["/bin/bash", "-c", script, "browser", command, *flags, *quiet, *place],
        pass_fds=(to_read, from_write),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # a library that changes the clock can keep the browser busy for ever
        env={name: value for name, value in os.environ.items() if name != "LD_PRELOAD"} | {"HOME": str(folder)},
    )
    os.close(to_read)
    os.close(from_write)
    page = Page(to_write, from_read)
    try:
        page.attach()
        yield page
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(to_write)
        os.close(from_read)
