"""What a process of the locustfile sends where, and what it records of each request."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import gevent  # type: ignore[import-untyped]
from geventhttpclient import HTTPClient
from locust import events
from locust.env import Environment

if TYPE_CHECKING or __package__:
    from .answers import Expectation
    from .arrivals import Plan, plan
    from .bodies import TEXTS, Bodies, Template, parse_mix, read_requests
    from .hosts import check_host, headers_of, read_token, running_server
    from .recorder import Recorder
else:  # Locust loads a locustfile by its path, with its folder on the path of modules
    from answers import Expectation
    from arrivals import Plan, plan
    from bodies import TEXTS, Bodies, Template, parse_mix, read_requests
    from hosts import check_host, headers_of, read_token, running_server
    from recorder import Recorder

HOST = "http://127.0.0.1:8080"
"""What is asked unless another host is named."""
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


def opened(environment: Environment, options: Any) -> Session:
    """Return what the options ask for. Raises ValueError for what they cannot mean."""
    host = environment.host or HOST
    check_host(host, remote=options.remote)
    if not 0 <= options.unknown_share <= 1:
        raise ValueError(f"--unknown-share {options.unknown_share} is not a share; expected 0 to 1, such as 0.1.")
    url = urlsplit(host)
    path = url.path + (f"?{url.query}" if url.query else "")
    model, key_file = running_server(host)
    if path in ("", "/"):
        model = options.model or model
        if not model:
            raise ValueError(
                f"Which model? No server of lexport's was found for {host}: give --model NAME, or a path with -H."
            )
        path = "/predictions/" + quote(model)
    if options.token_file:
        token = read_token(Path(options.token_file))
    else:
        token = os.environ.get("LEXPORT_TOKEN") or (read_token(key_file) if key_file else "")
    kinds = {False: "text/plain; charset=utf-8", True: "application/json"}
    seconds = float(options.measure if options.result else options.run_time or options.measure)
    return Session(
        environment=environment,
        path=path,
        headers={as_json: headers_of(kind, token, options.header) for as_json, kind in kinds.items()},
        bodies=Bodies(
            read_requests(Path(options.texts)) if options.texts else [{"text": text} for text in TEXTS],
            options.unknown_share,
            options.seed,
            options.content_type,
            Template(options.body) if options.body else None,
            parse_mix(options.mix),
        ),
        expectation=Expectation(options.expect),
        plan=None if options.arrivals == "closed" else plan(options.arrivals, options.rate, seconds, options.seed),
    )
