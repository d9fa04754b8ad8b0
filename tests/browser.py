"""A real Chromium without a window, spoken to over a pipe in its own protocol (Chrome DevTools): no driver, no port, no network."""

import base64
import fcntl
import itertools
import json
import os
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from debian import program
from patience import until

CHROMIUM = (("chromium", "chromium-browser", "google-chrome"), "chromium fonts-dejavu-core")
OPTIONS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
)
NOWHERE, LOOPBACK = "MAP * ~NOTFOUND", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
KEYS = {"Tab": 9, "Enter": 13, " ": 32, "ArrowDown": 40, "ArrowUp": 38}


class Browser:
    """One page. errors: what its console complained about; requests: every address that it asked for."""

    def __init__(self, process: subprocess.Popen, read: int, write: int):
        self._process, self._read, self._write = process, read, write
        self._buffer, self._numbers, self._session = b"", itertools.count(1), None
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.loaded = False
        target = self._send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self._send(f"{domain}.enable")

    def open(self, address: str) -> None:
        """Returns with the page's load event."""
        self.loaded = False
        self._send("Page.navigate", url=address)
        while not self.loaded:
            self._next()

    def size(self, width: int, height: int) -> None:
        self._send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)

    def dark(self, on: bool) -> None:
        self._send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if on else "light"}])

    def do(self, script: str) -> Any:
        """The value of a JavaScript expression, promises awaited."""
        found = self._send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def until(self, script: str) -> None:
        """Waits for an expression to become true."""
        until(lambda: self.do(script), script)

    def press(self, key: str) -> None:
        """A key, as a hand presses it."""
        text = {"Enter": "\r", " ": " "}.get(key)
        for kind in ("keyDown", "keyUp"):
            more = {"text": text} if text and kind == "keyDown" else {}
            self._send("Input.dispatchKeyEvent", type=kind, key=key, code=key.strip() or "Space", windowsVirtualKeyCode=KEYS[key], **more)

    def picture(self, path: Path) -> Path:
        path.write_bytes(base64.b64decode(self._send("Page.captureScreenshot", format="png")["data"]))
        return path

    def printed(self, path: Path) -> Path:
        """The page as a PDF of A4 sheets."""
        found = self._send("Page.printToPDF", paperWidth=8.27, paperHeight=11.69, printBackground=False)
        path.write_bytes(base64.b64decode(found["data"]))
        return path

    def _send(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params} | ({"sessionId": self._session} if self._session else {})
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == number:
                assert "error" not in answer, answer["error"]
                return answer["result"]

    def _next(self) -> dict[str, Any]:
        """The next message, noted where it is an event."""
        while b"\0" not in self._buffer:
            part = os.read(self._read, 1 << 20)
            assert part, "the browser is gone"
            self._buffer += part
        text, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(text)
        method, params = message.get("method"), message.get("params", {})
        if method == "Page.loadEventFired":
            self.loaded = True
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.errors.append(str(params["exceptionDetails"].get("exception", params["exceptionDetails"])))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.errors.append(params["entry"]["text"])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.errors.append(" ".join(str(a.get("value", a.get("description"))) for a in params["args"]))
        return message


@contextmanager
def browser(profile: Path, reaches: str = NOWHERE):
    """A Browser whose files are in `profile`, gone afterwards. reaches: the hosts that it finds, in Chromium's words."""
    (their_in, our_out), (our_in, their_out) = os.pipe(), os.pipe()
    theirs = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (their_in, their_out)]  # out of the way of 3 and 4, where it listens
    command = ["bash", "-c", f'exec "$@" 3<&{theirs[0]} 4>&{theirs[1]}', "bash", program(*CHROMIUM), *OPTIONS]
    command += [f"--host-resolver-rules={reaches}", f"--user-data-dir={profile}"]
    with open(profile / "log", "wb") as log:
        streams = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
        process = subprocess.Popen(command, pass_fds=theirs, env={**os.environ, "HOME": str(profile)}, **streams)
    for end in (their_in, their_out, *theirs):
        os.close(end)
    try:
        yield Browser(process, our_in, our_out)
    finally:
        process.terminate()
        process.wait()
        os.close(our_in)
        os.close(our_out)
