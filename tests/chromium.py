"""A headless Chromium driven over a pipe by its DevTools protocol; for tests and for the pictures in the README."""

import base64
import itertools
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--remote-debugging-pipe",
)  # fmt: skip


def chromium() -> str | None:
    """Where Chromium is; None where there is none."""
    return next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)


class Browser:
    """One browser with one page, within a `with` block.

    Attributes:
        complaints: What the page wrote to the console, and what the browser logged of it.
        requests: The address of everything that pages asked for.
    """

    def __init__(self) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self._numbers = itertools.count(1)
        self._events: list[dict[str, Any]] = []
        self._buffer = b""

    def __enter__(self) -> Self:
        binary = chromium()
        assert binary is not None
        self._profile = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
        ours_in, theirs_out = os.pipe()
        theirs_in, self._out = os.pipe()
        self._in = ours_in
        command = f'exec "$0" "$@" 3<&{theirs_in} 4>&{theirs_out}'  # the protocol wants descriptors 3 and 4
        self._process = subprocess.Popen(
            ["bash", "-c", command, binary, *FLAGS, f"--user-data-dir={self._profile.name}", "about:blank"],
            pass_fds=(theirs_in, theirs_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        targets = self._ask("Target.getTargets")["targetInfos"]
        page = next(each["targetId"] for each in targets if each["type"] == "page")
        self._session = self._ask("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._in)
        os.close(self._out)
        self._profile.cleanup()

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command to the page, and its answer."""
        return self._ask(method, self._session, **parameters)

    def open(self, path: Path, width: int, height: int = 900, scheme: str = "light", scale: float = 1) -> float:
        """Open a file in a window of some pixels and a colour scheme; the seconds until it was loaded."""
        return self.open_url(path.resolve().as_uri(), width, height, scheme, scale)

    def open_url(self, url: str, width: int, height: int = 900, scheme: str = "light", scale: float = 1) -> float:
        """Open an address in a window of some pixels and a colour scheme; the seconds until it was loaded."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=width < 600)
        self.show_in(scheme)
        self._events.clear()
        begun = time.perf_counter()
        self.ask("Page.navigate", url=url)
        while not any(event["method"] == "Page.loadEventFired" for event in self._events):
            self._read()
        return time.perf_counter() - begun

    def show_in(self, scheme: str) -> None:
        """Let the system prefer a colour scheme: `light` or `dark`."""
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def value(self, expression: str) -> Any:
        """What a JavaScript expression gives in the page; None for undefined."""
        return self.ask("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def awaited(self, expression: str) -> Any:
        """What a promise in the page is fulfilled with; made as if by a person's click, without which a page copies nothing."""
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True, userGesture=True)
        return answer["result"].get("value")

    def screenshot(self, path: Path, height: int | None = None, top: int = 0) -> None:
        """Write a PNG of the window, or of some pixels of the page from the top."""
        clip = {}
        if height is not None:
            clip = {
                "clip": {"x": 0, "y": top, "width": self.value("innerWidth"), "height": height, "scale": 1},
                "captureBeyondViewport": True,
            }
        path.write_bytes(base64.b64decode(self.ask("Page.captureScreenshot", **clip)["data"]))

    def _ask(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters, **({"sessionId": session} if session else {})}
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return dict(answer["result"])

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            chunk = os.read(self._in, 2**20)
            assert chunk, "Chromium has gone"
            self._buffer += chunk
        text, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        if "method" in message:
            self._events.append(message)
            if message["method"] in ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown"):
                self.complaints.append(json.dumps(message["params"]))
            if message["method"] == "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"]["url"])
        return message
