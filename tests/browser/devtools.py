"""Headless Chromium, driven by its DevTools protocol over a pair of pipes: no driver, no port, no other package."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROGRAMS = (
    *("chromium-headless-shell", "chrome-headless-shell", "chromium", "chromium-browser"),
    *("google-chrome-stable", "google-chrome", "chrome"),
)
PATIENCE = 60.0  # seconds for one answer; a busy machine may start a browser slowly
_READ, _WRITE = 3, 4  # the descriptors that --remote-debugging-pipe reads and writes
_ABOVE = 10  # our ends of the pipes are moved above those

# What an expression answers whose page is left meanwhile.
_LEFT = ("Inspected target navigated or closed", "Execution context was destroyed", "Cannot find context")

Message = dict[str, Any]


def find() -> str | None:
    """The path of a Chromium on this machine; None where there is none."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


class Failed(AssertionError):
    """The browser ended, did not answer in time, or answered with an error."""


class Browser:
    """A running Chromium with a profile of its own in `folder`."""

    def __init__(self, program: str, folder: Path) -> None:
        to_browser, self._out = map(_moved, os.pipe())
        self._in, from_browser = map(_moved, os.pipe())
        arguments = [program, "--headless", "--remote-debugging-pipe", f"--user-data-dir={folder}", "--disable-gpu"]
        arguments += ["--no-first-run", "--disable-dev-shm-usage", "--hide-scrollbars"]
        arguments += ["--disable-background-networking"]
        if os.geteuid() == 0:
            arguments.append("--no-sandbox")  # Chromium refuses to be root's otherwise
        actions: list[tuple[Any, ...]] = [
            (os.POSIX_SPAWN_DUP2, to_browser, _READ),
            (os.POSIX_SPAWN_DUP2, from_browser, _WRITE),
            (os.POSIX_SPAWN_OPEN, 2, folder / "stderr.txt", os.O_WRONLY | os.O_CREAT, 0o600),
        ]
        environment = os.environ | {"HOME": str(folder)}
        # A group of its own, so that its processes are ended with it.
        self._pid = os.posix_spawn(program, arguments, environment, file_actions=actions, setpgroup=0)
        os.close(to_browser)
        os.close(from_browser)
        self._number = 0
        self._unread = b""
        self._listeners: dict[str, Callable[[Message], None]] = {}

    def page(self) -> Page:
        """A new page that shares nothing with others."""
        context = self.send("Target.createBrowserContext")["browserContextId"]
        target = self.send("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session, context)
        self._listeners[session] = page.hear
        for domain in ("Page", "Runtime", "Network", "Log"):
            page.send(f"{domain}.enable")
        return page

    def send(self, method: str, session: str | None = None, **parameters: Any) -> Message:
        """The result of a command."""
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        os.write(self._out, json.dumps(message).encode() + b"\0")
        answer = self.wait(lambda heard: heard.get("id") == number)
        if "error" in answer:
            raise Failed(f"{method}: {answer['error']}")
        result: Message = answer["result"]
        return result

    def wait(self, wanted: Callable[[Message], bool]) -> Message:
        """The next message that is wanted; pages hear the others."""
        until = time.monotonic() + PATIENCE
        while True:
            while b"\0" not in self._unread:
                if not select.select([self._in], [], [], max(0.0, until - time.monotonic()))[0]:
                    raise Failed(f"The browser said nothing for {PATIENCE:g} s.")
                found = os.read(self._in, 1 << 20)
                if not found:
                    raise Failed("The browser ended.")
                self._unread += found
            line, _, self._unread = self._unread.partition(b"\0")
            message: Message = json.loads(line)
            if (listener := self._listeners.get(message.get("sessionId", ""))) and "method" in message:
                listener(message)
            if wanted(message):
                return message

    def forget(self, session: str) -> None:
        """Hear no more of a page."""
        self._listeners.pop(session, None)

    def close(self) -> None:
        """End it and all of its processes."""
        os.close(self._out)
        os.close(self._in)
        os.killpg(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)


@dataclass
class Page:
    """One page, with what it said and asked for since it was opened."""

    browser: Browser
    session: str
    context: str
    problems: list[str] = field(default_factory=list)
    """Errors and warnings of the console, and what no script caught."""
    requests: list[str] = field(default_factory=list)
    """Addresses, of the page itself too."""

    def send(self, method: str, **parameters: Any) -> Message:
        """The result of a command to this page."""
        return self.browser.send(method, self.session, **parameters)

    def hear(self, message: Message) -> None:
        """Keep what the page says."""
        method, told = message["method"], message["params"]
        if method == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])
        elif method == "Log.entryAdded":
            self.problems.append(f"{told['entry']['level']}: {told['entry']['text']}")
        elif method == "Runtime.exceptionThrown":
            self.problems.append(told["exceptionDetails"]["text"])
        elif method == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning", "assert"):
            self.problems.append(f"{told['type']}: {[one.get('value') for one in told['args']]}")

    def open(self, address: str | Path) -> Page:
        """Load a file or a URL, to its end."""
        url = address.resolve().as_uri() if isinstance(address, Path) else address
        found = self.send("Page.navigate", url=url)
        if "errorText" in found:
            raise Failed(f"{url}: {found['errorText']}")
        self.until("document.readyState == 'complete' && location.href != 'about:blank'")
        return self

    def size(self, width: int, height: int = 800, scale: float = 1.0) -> Page:
        """Show it in a window of so many CSS pixels; below 640 as on a phone."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=width < 640,
        )
        return self

    def show_as(self, medium: str = "screen", colours: str = "light") -> Page:
        """Show it on a `screen` or as in `print`, with colours for `light` or `dark` rooms."""
        features = [{"name": "prefers-color-scheme", "value": colours}]
        self.send("Emulation.setEmulatedMedia", media=medium, features=features)
        return self

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression, or of the promise that it is."""
        found = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise Failed(f"{script}: {found['exceptionDetails']}")
        return found["result"].get("value")

    def until(self, condition: str) -> None:
        """Wait until a JavaScript expression is true."""
        end = time.monotonic() + PATIENCE
        while not self._is(condition):
            if time.monotonic() > end:
                raise Failed(f"Not within {PATIENCE:g} s: {condition}")
            time.sleep(0.05)

    def _is(self, condition: str) -> bool:
        try:
            return bool(self.evaluate(condition))
        except Failed as failed:
            if not any(one in str(failed) for one in _LEFT):
                raise
            return False  # the page that was asked has been left for the one that is waited for

    def window(self) -> bytes:
        """A PNG of what the window shows."""
        return base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"])

    def close(self) -> None:
        """Forget it and what it stored."""
        self.browser.forget(self.session)
        self.browser.send("Target.disposeBrowserContext", browserContextId=self.context)


def _moved(descriptor: int) -> int:
    """The same end of a pipe under a number that is not one of the browser's own two."""
    above = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _ABOVE)
    os.close(descriptor)
    return above
