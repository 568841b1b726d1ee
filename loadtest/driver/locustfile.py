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
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import gevent  # type: ignore[import-untyped]
from locust import FastHttpUser, User, constant, events, task
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

if TYPE_CHECKING or __package__:
    from .answers import Expectation
    from .arrivals import CHOICES, plan
    from .bodies import SHARES, TEXTS, Bodies, Template, parse_mix, read_requests
    from .conducting import begin, follow, give_up, lead
    from .hosts import check_host, headers_of, read_token, refuse, running_server
    from .session import HOST, Session
else:  # Locust loads a locustfile by its path, with its folder on the path of modules
    from answers import Expectation
    from arrivals import CHOICES, plan
    from bodies import SHARES, TEXTS, Bodies, Template, parse_mix, read_requests
    from conducting import begin, follow, give_up, lead
    from hosts import check_host, headers_of, read_token, refuse, running_server
    from session import HOST, Session

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


class ClosedUser(FastHttpUser):
    """One user in a closed loop: text, answer, next text."""

    host = HOST
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


def end_with(parent: int) -> None:
    """End this process when its parent is no longer `parent`, which was killed then."""
    while os.getppid() == parent:
        gevent.sleep(0.5)
    os._exit(1)


hooks.init_command_line_parser.add_listener(add_options)
hooks.init.add_listener(prepare)
