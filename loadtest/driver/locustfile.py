"""Load for a text model or any other endpoint that takes texts, in a closed or an open loop.

    locust -f loadtest/driver/locustfile.py --headless -H http://127.0.0.1:8080 --model NAME -u 16 -r 16 -t 10s

It and the modules beside it need only the standard library and Locust: `lexport loadtest --locustfile` prints its
path, and a master that is given the whole folder (`locust -f loadtest/driver --master`) sends it to workers on other
machines (`locust -f - --worker`). Without --model and a token it uses those of the server that `lexport serve`
started, if one runs at that host.

In the closed loop every user sends the next text as soon as the last answer has arrived. In an open one (--arrivals)
requests are sent when they are due, whatever became of those before, and a latency begins when its request was due.

Locust keeps response times in coarse steps (1 ms, and two digits from 100 ms on). With --result FILE every
time is kept as measured, and exact percentiles, failures and the client's own CPU time go to FILE as JSON: of all
processes together where Locust runs several (--processes, --master and --worker).
"""

from __future__ import annotations

import gc
import json
import math
import os
import time
from array import array
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import gevent  # type: ignore[import-untyped]
from geventhttpclient import HTTPClient
from locust import FastHttpUser, User, constant, events, task
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.rpc import Message
from locust.runners import MasterRunner, WorkerRunner

if TYPE_CHECKING or __package__:
    from .answers import Expectation
    from .arrivals import CHOICES, Plan, plan
    from .bodies import SHARES, TEXTS, Bodies, Template, parse_mix, read_requests
    from .dispatcher import Dispatcher
    from .hosts import check_host, headers_of, read_token, refuse, running_server
    from .recorder import Recorder, merged
    from .telling import Teller
else:  # Locust loads a locustfile by its path, with its folder on the path of modules
    from answers import Expectation
    from arrivals import CHOICES, Plan, plan
    from bodies import SHARES, TEXTS, Bodies, Template, parse_mix, read_requests
    from dispatcher import Dispatcher
    from hosts import check_host, headers_of, read_token, refuse, running_server
    from recorder import Recorder, merged
    from telling import Teller

TIMEOUT = 60.0  # seconds for one answer
PATIENCE = 10.0  # seconds to wait for the last answers
PART = "lexport-part"  # the message in which a worker process sends its measurements
SHARE = "lexport-share"  # the message that tells worker processes who they are, so that each sends its share

hooks: Any = events  # Locust's hooks carry no types


def add_options(parser: LocustArgumentParser) -> None:
    """Add this file's options to Locust's own."""
    add = parser.add_argument_group("Text model").add_argument
    add("--model", default="", help="name of the served model (NAME or NAME/VERSION), if -H has no path")
    add("--header", action="append", default=[], help="'Name: value' to send with every request; may be repeated")
    add("--token-file", default="", help="the inference token, plain or key_file.json; else $LEXPORT_TOKEN")
    add("--remote", action="store_true", help="load a server on another machine, which must be yours to load")
    add("--texts", default="", help='to send: JSON lines with "text" ("lang") or "image" (.jsonl), or a text a line')
    add("--body", default="", help="the body, JSON or not, with {text} where the text goes, escaped as JSON")
    add("--content-type", choices=("text", "json"), default="text", help="how a text without lang and body is sent")
    add("--expect", default="label", help="what counts: label (of lexport's models), status (2xx), or a JSONPath")
    add("--unknown-share", type=float, default=0.0, help="share of tokens replaced by invented words")
    add("--mix", default="", help=f"shares of {', '.join(SHARES)} requests, such as long=5%%,bad=1%%")
    add("--seed", type=int, default=0, help="same seed, same bodies in the same order, same arrivals")
    add("--arrivals", default="closed", help=f"the pattern: {CHOICES}")
    add("--rate", type=float, default=0.0, help="requests/s of a pattern, of all processes together")
    add("--most-unanswered", type=int, default=800, help="what a process leaves unanswered before it sends no more")
    add("--warmup", type=float, default=0.0, help="seconds not measured once all users have started")
    add("--measure", type=float, default=10.0, help="seconds of a pattern, and to measure, with --result")
    add("--result", default="", help="measure exactly, write the figures to this JSON file, end the run")
    add("--times", default="", help="with --result: a file for each answer's due time and latency, as doubles")
    add("--tell", default="", help="folder for a small file of each process, with the figures of the last second")


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
        host = self.environment.host or ClosedUser.host
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


class ClosedUser(FastHttpUser):
    """One user in a closed loop: text, answer, next text."""

    host = "http://127.0.0.1:8080"
    wait_time = constant(0)
    session: Session

    def on_start(self) -> None:
        """Open this user's own connection."""
        self.http = self.session.connect()

    def on_stop(self) -> None:
        """Close the connection."""
        self.http.close()

    @task
    def predict(self) -> None:
        """Send the next text and wait for the answer."""
        self.session.ask(self.http)


class OpenUser(User):
    """The user of an open loop, who only keeps Locust running: the requests are sent by a `Dispatcher`."""

    wait_time = constant(1)

    @task
    def wait(self) -> None:
        """Send nothing."""


def prepare(environment: Environment, **_: Any) -> None:
    """Check the options, make every body, and arrange for what is sent and measured."""
    runner, options = environment.runner, environment.parsed_options
    if "LEXPORT_PARENT" in os.environ:
        forked = isinstance(runner, WorkerRunner)  # --processes
        gevent.spawn(end_with, os.getppid() if forked else int(os.environ["LEXPORT_PARENT"]))
    assert options is not None
    try:
        session = opened(environment, options)
    except ValueError as error:
        refuse(str(error))
    ClosedUser.session = session
    environment.user_classes[:] = [OpenUser if session.plan else ClosedUser]
    gc.collect()
    gc.freeze()  # else a collection walks all of Locust's modules and shows up as latency
    hooks.test_stopping.add_listener(lambda **_: session.stop())
    if isinstance(runner, MasterRunner):
        lead(runner, session)
    elif isinstance(runner, WorkerRunner):
        follow(runner, session)
    else:
        begins = hooks.test_start if session.plan else hooks.spawning_complete
        begins.add_listener(lambda **_: begin(session))
    if options.result and not options.headless and not isinstance(runner, WorkerRunner):
        hooks.test_stop.add_listener(lambda **_: give_up(session, "was stopped before its end"))


def opened(environment: Environment, options: Any) -> Session:
    """Return what the options ask for. Raises ValueError for what they cannot mean."""
    host = environment.host or ClosedUser.host
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


def end_with(parent: int) -> None:
    """End this process when its parent is no longer `parent`, which was killed then."""
    while os.getppid() == parent:
        gevent.sleep(0.5)
    os._exit(1)


def begin(session: Session) -> None:
    """Begin to measure; in Locust's page somebody may have changed the users since."""
    if session.begun and session.options.result:
        give_up(session, "had its number of users changed")
        return
    session.begun = True
    gevent.spawn(conduct, session)


def give_up(session: Session, reason: str) -> None:
    """Write why there are no figures, unless there are, and end Locust."""
    if session.done:
        return
    session.done = True
    put(Path(session.options.result), {"stopped": reason})
    gevent.spawn(finish, session.environment)  # the end of a run kills the greenlet that spawns users, maybe this one


def finish(environment: Environment) -> None:
    """End the run and Locust, with its page where it has one."""
    assert environment.runner is not None
    environment.runner.quit()
    page: Any = environment.web_ui
    if page is not None:
        page.stop()


def conduct(session: Session, share: slice = slice(None)) -> None:
    """Send this process's share of an open loop, and measure, until the run is over."""
    options, runner = session.options, session.environment.runner
    assert runner is not None
    seconds = session.plan.seconds if session.plan else options.measure
    start = time.perf_counter()
    session.recorder = Recorder(start + options.warmup, start + options.warmup + seconds)
    if session.plan:
        session.sending = gevent.spawn(dispatcher(session).run, all_times(session.plan, options.warmup, share), start)
    if options.warmup:
        gevent.sleep(options.warmup)
        session.environment.stats.reset_all()
    if not options.result and not session.plan:
        return
    measure(session)
    if options.result and isinstance(runner, WorkerRunner):
        runner.send_message(PART, measured(session))  # the master ends the run once it has all parts
    elif options.result:
        write(session, [measured(session)])
    elif options.headless and not isinstance(runner, WorkerRunner):
        runner.quit()


def dispatcher(session: Session) -> Dispatcher:
    """Return what sends the requests of an open loop."""
    most = session.options.most_unanswered

    def overload(due: float) -> None:
        session.keep(due, math.inf, due, f"not sent: {most} requests were unanswered")

    return Dispatcher(session.connect, session.ask, overload, most)


def all_times(planned: Plan, warmup: float, share: slice) -> list[float]:
    """Return when this process sends: at the pattern's first rate in the warm-up, then as planned."""
    before = [place / planned.first_rate for place in range(int(warmup * planned.first_rate))]
    return (before + [warmup + at for at in planned.times])[share]


def measure(session: Session) -> None:
    """Record what is due in the window that begins now, and wait for the answers."""
    recorder = session.recorder
    recorder.begin()
    tell = session.options.tell
    telling = gevent.spawn(Teller(recorder, Path(tell)).run, gevent.sleep) if tell else None
    gevent.sleep(recorder.ended - time.perf_counter())
    recorder.end()
    if telling is not None:
        telling.kill()
    # A closed loop continues during this time: without the slowest answers the percentiles would be too good.
    limit = recorder.ended + PATIENCE
    while any(due < recorder.ended for due, _ in session.waiting.values()) and time.perf_counter() < limit:
        gevent.sleep(0.02)
    for due, sent in session.waiting.values():
        recorder.request(due, sent, math.inf, f"no answer {PATIENCE:g} s after the end")


def measured(session: Session) -> dict[str, Any]:
    """Return what this process measured."""
    return session.recorder.part() | {"tokens": session.bodies.tokens, "unknown_tokens": session.bodies.unknown}


def follow(runner: WorkerRunner, session: Session) -> None:
    """Begin when the master says so, with this worker's share of the arrivals."""

    def take(msg: Message, **_: Any) -> None:
        workers: list[str] = msg.data["workers"]
        gevent.spawn(conduct, session, slice(workers.index(runner.client_id), None, len(workers)))

    runner.register_message(SHARE, take)


def lead(runner: MasterRunner, session: Session) -> None:
    """Tell the workers to begin, and put their measurements together."""
    parts: dict[str, dict[str, Any]] = {}

    def take(msg: Message, **_: Any) -> None:
        parts[msg.node_id] = msg.data
        if len(parts) == runner.worker_count and session.options.result:
            write(session, list(parts.values()))

    def share(**_: Any) -> None:
        if session.begun and session.options.result:
            give_up(session, "had its number of users or workers changed")
            return
        session.begun = True
        runner.send_message(SHARE, {"workers": sorted(runner.clients)})

    runner.register_message(PART, take)
    hooks.spawning_complete.add_listener(share)


def write(session: Session, parts: list[dict[str, Any]]) -> None:
    """Write the figures of all processes, unless the run was given up, and end Locust.

    Before them the times are written: all that are due, then all latencies.
    """
    if session.done:
        return
    session.done = True
    if session.options.times:
        with Path(session.options.times).open("wb") as file:
            for name in ("due", "times"):
                for part in parts:
                    array("d", part[name]).tofile(file)
    figures = merged(parts) | {name: sum(part[name] for part in parts) for name in ("tokens", "unknown_tokens")}
    put(Path(session.options.result), figures)
    finish(session.environment)


def put(path: Path, values: dict[str, Any]) -> None:
    """Write a JSON file, whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(values), encoding="utf-8")
    partial.replace(path)


hooks.init_command_line_parser.add_listener(add_options)
hooks.init.add_listener(prepare)
