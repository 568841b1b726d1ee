"""What one process of Locust sends where, and what becomes of each request."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import gevent  # type: ignore[import-untyped]
from geventhttpclient import HTTPClient
from locust import events
from locust.env import Environment

if TYPE_CHECKING or __package__:
    from .answers import Expectation
    from .arrivals import Plan
    from .bodies import Bodies
    from .hosts import check_host
    from .recorder import Recorder
else:  # Locust loads a locustfile by its path, with its folder on the path of modules
    from answers import Expectation
    from arrivals import Plan
    from bodies import Bodies
    from hosts import check_host
    from recorder import Recorder

HOST = "http://127.0.0.1:8080"
"""The server, where no other is named."""
TIMEOUT = 60.0  # seconds for one answer

hooks: Any = events  # Locust's hooks carry no types


@dataclass
class Session:
    """What this process sends where, and what it has measured."""

    environment: Environment
    path: str
    headers: dict[bool, dict[str, str]]
    """The headers of a plain text and of JSON."""
    bodies: Bodies
    expectation: Expectation
    plan: Plan | None
    """None for a closed loop."""
    recorder: Recorder = field(default_factory=Recorder)
    waiting: dict[int, tuple[float, float]] = field(default_factory=dict)
    """When each unanswered request was due and sent."""
    sending: gevent.Greenlet | None = None
    """What sends the requests of an open loop."""
    begun: bool = False
    """Whether a measurement has begun."""
    done: bool = False
    """Whether its figures, or why there are none, were written."""

    def connect(self) -> HTTPClient:
        """Return a client with a connection of its own; the host may have been changed in the web page."""
        host = self.environment.host or HOST
        check_host(host, remote=self.options.remote)
        # FastHttpUser.post() costs twice the CPU of its own HTTP client, and the server may share these cores.
        return HTTPClient.from_url(host, network_timeout=TIMEOUT, connection_timeout=TIMEOUT)

    @property
    def options(self) -> Any:
        """The options of the command line."""
        return self.environment.parsed_options

    def stop(self) -> None:
        """Send nothing more of an open loop."""
        if self.sending is not None:
            self.sending.kill(block=False)

    def ask(self, http: HTTPClient, due: float | None = None) -> None:
        """Send the next body, which was `due` then (None: now), and record how that ended."""
        body = next(self.bodies.turn)
        content = b""
        sent = time.perf_counter()
        due = sent if due is None else due
        key = id(http)
        self.waiting[key] = due, sent
        try:
            response = http.request("POST", self.path, body.content, self.headers[body.json])
            content = bytes(response.read())
            answered = time.perf_counter()
            problem = self.expectation.fault(response.status_code, content, bad=body.bad)
        except Exception as error:  # whatever kept the answer away makes this one request a failure
            answered = time.perf_counter()
            problem = f"no answer: {type(error).__name__}"
        del self.waiting[key]
        self.keep(due, sent, answered, problem, len(content))

    def keep(self, due: float, sent: float, answered: float, problem: str | None, size: int = 0) -> None:
        """Record one request, here and in Locust's own statistics."""
        self.recorder.request(due, sent, answered, problem)
        hooks.request.fire(
            request_type="POST",
            name=self.path,
            response_time=(answered - due) * 1000,
            response_length=size,
            exception=RuntimeError(problem) if problem else None,
            context={},
        )
