"""A measured run: its beginning, its requests and its end, in one process or in several that a master leads."""

from __future__ import annotations

import json
import math
import time
from array import array
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gevent  # type: ignore[import-untyped]
from locust import events
from locust.env import Environment
from locust.rpc import Message
from locust.runners import MasterRunner, WorkerRunner

if TYPE_CHECKING or __package__:
    from .arrivals import Plan
    from .dispatcher import Dispatcher
    from .recorder import Recorder, merged
    from .session import Session
    from .telling import Teller
else:  # Locust loads a locustfile by its path, with its folder on the path of modules
    from arrivals import Plan
    from dispatcher import Dispatcher
    from recorder import Recorder, merged
    from session import Session
    from telling import Teller

PATIENCE = 10.0  # seconds to wait for the last answers
PART = "lexport-part"  # the message in which a worker process sends its measurements
SHARE = "lexport-share"  # the message that tells worker processes who they are, so that each sends its share

hooks: Any = events  # Locust's hooks carry no types


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
