"""Load for a text model: every user posts the next text as soon as the last answer has arrived.

    locust -f loadtest/locustfile.py --headless -H http://127.0.0.1:8080 --model NAME -u 16 -r 16 -t 10s

It needs only the standard library and Locust, and is one file, because Locust sends that one file to workers on other
machines (`locust -f - --worker`). Without --model and a token it uses those of the server that
`lexport serve` started, if one runs at that host.

Locust keeps response times in coarse steps (1 ms, and two digits from 100 ms on). With --result FILE every
time is kept as measured, and exact percentiles, failures and the client's own CPU time go to FILE as JSON: of all
processes together where Locust runs several (--processes, --master and --worker).
"""

from __future__ import annotations

import gc
import ipaddress
import itertools
import json
import math
import os
import random
import re
import sys
import time
from array import array
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, NoReturn
from urllib.parse import quote, urlsplit

import gevent  # type: ignore[import-untyped]
import psutil  # Locust itself requires it
from geventhttpclient import HTTPClient
from locust import FastHttpUser, constant, constant_throughput, events, task
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.rpc import Message
from locust.runners import MasterRunner, WorkerRunner

POOL = 2_000  # different bodies, sent in turn
POOL_BYTES = 64_000_000
TIMEOUT = 60.0  # seconds for one answer
PATIENCE = 10.0  # seconds to wait for the last answers
PART = "lexport-part"  # the message in which a worker process sends its measurements

hooks: Any = events  # Locust's hooks carry no types

TEXTS = (
    "A warm, quietly funny film that trusts its actors and never raises its voice.",
    "Two hours of noise and not one scene anybody will remember tomorrow.",
    "The first half drags, but the ending is worth the wait.",
    "I wanted to like it; the script would not let me.",
    "Beautifully shot, badly cut, and saved by a wonderful leading performance.",
    "It is the kind of comedy that explains every joke twice.",
)

UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
WORD = re.compile(f"[{UNSPACED}]|[^\\W_{UNSPACED}]+")  # scripts without spaces: each character is a token


def add_options(parser: LocustArgumentParser) -> None:
    """Add this file's options to Locust's own."""
    add = parser.add_argument_group("Text model").add_argument
    add("--model", default="", help="name of the served model (NAME or NAME/VERSION)")
    add("--token-file", default="", help="the inference token, plain or key_file.json; else $LEXPORT_TOKEN")
    add("--texts", default="", help='to send: JSON lines with "text" ("lang") or "image" (.jsonl), or a text a line')
    add("--unknown-share", type=float, default=0.1, help="share of tokens replaced by invented words")
    add("--seed", type=int, default=0, help="same seed, same bodies in the same order")
    add("--content-type", choices=("text", "json"), default="text", help="how a text without lang is sent")
    add("--any-answer", action="store_true", help="count every 2xx as an answer, of a model lexport did not make")
    add("--rate", type=float, default=0.0, help="requests a second of all users together; 0: as fast as they can")
    add("--warmup", type=float, default=0.0, help="seconds not measured once all users have started")
    add("--measure", type=float, default=10.0, help="seconds to measure, with --result")
    add("--result", default="", help="measure exactly, write the figures to this JSON file, end the run")


def refuse(message: str) -> NoReturn:
    """End with one line and exit code 2."""
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()
    raise SystemExit(2)


def check_host(host: str) -> None:
    """Refuse any host but this machine: a closed loop at full speed is an attack on anyone else's server."""
    name = urlsplit(host).hostname or ""
    try:
        local = ipaddress.ip_address(name).is_loopback
    except ValueError:
        local = name == "localhost"
    if not local and os.environ.get("LEXPORT_ALLOW_REMOTE") != "1":
        refuse(
            f"The host {host!r} is not this machine. Load tests go to loopback addresses only "
            "(such as http://127.0.0.1:8080); set LEXPORT_ALLOW_REMOTE=1 if that server is yours to load."
        )


def running_server(host: str) -> tuple[str, Path | None]:
    """Return the model and key file of the server `lexport serve` started at `host`; empty where there is none."""
    try:
        folder = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "lexport"
        server = json.loads((folder / "server.json").read_text(encoding="utf-8"))
        if urlsplit(server["inference_url"]).port == urlsplit(host).port:
            return next(iter(server["models"]), ""), folder / "key_file.json"
    except (OSError, ValueError, KeyError, TypeError, RuntimeError):  # RuntimeError: there is no home folder
        pass
    return "", None


def read_token(path: Path) -> str:
    """Return the inference token in `path`: the text itself, or the field of TorchServe's key_file.json."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        refuse(f"Cannot read the token file {path}: {error}. Give --token-file FILE or set LEXPORT_TOKEN.")
    try:
        return str(json.loads(text)["inference"]["key"])
    except (ValueError, KeyError, TypeError):
        return text


def read_requests(path: Path) -> list[dict[str, Any]]:
    """Return a file's requests without blank texts: JSON lines with "text" ("lang") or "image", or lines of text."""
    try:
        lines = [line for line in path.read_text(encoding="utf-8-sig").split("\n") if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        refuse(f"Cannot read the texts {path}: {error}. Expected UTF-8, one text or JSON object a line.")
    if path.suffix in {".jsonl", ".ndjson"}:
        try:
            found = [request(json.loads(line)) for line in lines]
        except (ValueError, KeyError, TypeError) as error:
            refuse(f'{path} has a line that is not a JSON object with a "text" or "image": {error!r}.')
    else:
        found = [{"text": line.strip()} for line in lines]
    asked = [one for one in found if one.get("text") != ""]
    if not asked:
        refuse(f"{path} has no text. Expected one text a line, or JSON lines with a field text or image.")
    return asked


def request(line: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a line that make a request."""
    if line.get("image") is not None:
        return {"image": line["image"]}
    text = str(line["text"]).strip()
    return {"text": text} if line.get("lang") is None else {"text": text, "lang": line["lang"]}


def invent(random_: random.Random) -> str:
    """Return a word of 8 to 12 letters that is in no vocabulary."""
    return "".join(random_.choice("zxqvkj") + random_.choice("aeiou") for _ in range(random_.randint(4, 6)))


class Bodies:
    """The request bodies of a run, made before it starts; `next(pool.turn)` is the next one to send."""

    def __init__(self, requests: list[dict[str, Any]], unknown_share: float, seed: int, content_type: str) -> None:
        """Shuffle `requests` and replace `unknown_share` of their tokens, the same way for the same `seed`.

        All are sent as JSON where `content_type` is "json" or one is more than a text.
        """
        self.tokens = self.unknown = 0
        self.json = content_type == "json" or any(one.keys() != {"text"} for one in requests)
        self._random = random.Random(seed)
        self._share = unknown_share
        self.all: list[bytes] = []
        order = requests[:]
        self._random.shuffle(order)
        size = 0
        for one in itertools.islice(itertools.cycle(order), POOL):
            if "text" in one:
                one = one | {"text": WORD.sub(self._word, one["text"])}
            body = (json.dumps(one) if self.json else one["text"]).encode("utf-8", "replace")
            self.all.append(body)
            size += len(body)
            if size > POOL_BYTES:
                break
        self.turn: Iterator[bytes] = itertools.cycle(self.all)

    def _word(self, match: re.Match[str]) -> str:
        self.tokens += 1
        if self._random.random() >= self._share:
            return match.group()
        self.unknown += 1
        word = invent(self._random)
        return word if match.group().isascii() or len(match.group()) > 1 else f" {word} "


class Recorder:
    """The requests started in a measured window: each answer's time in ms, failures by reason, CPU used."""

    def __init__(self, bodies: Bodies) -> None:
        """Record nothing until `begin`."""
        self.bodies = bodies
        self.times = array("d")
        self.reasons: Counter[str] = Counter()
        self.started = self.ended = math.inf
        self.finished = 0  # answers that arrived inside the window, whenever asked for
        self.client_seconds = self.machine_share = 0.0

    def begin(self) -> None:
        """Open the window."""
        self._cpu, self._machine = time.process_time(), psutil.cpu_times()
        self.started = time.perf_counter()

    def end(self) -> None:
        """Close the window; answers to what was asked inside it are still recorded."""
        self.ended = time.perf_counter()
        self.client_seconds = time.process_time() - self._cpu
        now = psutil.cpu_times()
        spent = sum(now) - sum(self._machine)
        idle = now.idle - self._machine.idle + getattr(now, "iowait", 0) - getattr(self._machine, "iowait", 0)
        self.machine_share = min(1.0, max(0.0, 1 - idle / spent)) if spent > 0 else 0.0

    def request(self, asked: float, answered: float, problem: str | None) -> None:
        """Keep one request, by its times on the clock of `time.perf_counter`."""
        if problem is None and self.started <= answered < self.ended:
            self.finished += 1
        if not self.started <= asked < self.ended:
            return
        if problem is None:
            self.times.append((answered - asked) * 1000)
        else:
            self.reasons[problem] += 1

    def part(self) -> dict[str, Any]:
        """Return what this process measured, to be merged: times in ms, CPU in seconds and shares."""
        return {
            "times": list(self.times),
            "reasons": dict(self.reasons),
            "seconds": self.ended - self.started,
            "finished": self.finished,
            "client_seconds": self.client_seconds,
            "machine_share": self.machine_share,
            "tokens": self.bodies.tokens,
            "unknown_tokens": self.bodies.unknown,
        }


def merged(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the measurements of all processes: times in ms (nearest rank, of answered requests), CPU in seconds."""
    times = sorted(time for part in parts for time in part["times"])
    count = len(times)
    reasons: Counter[str] = Counter()
    for part in parts:
        reasons.update(part["reasons"])

    def percentile(percent: float) -> float | None:
        return times[max(0, math.ceil(percent / 100 * count - 1e-9) - 1)] if count else None

    # A percentile is drawn only if at least one request is above it.
    points = [*range(1, 100), *(99 + step / 10 for step in range(1, 10)), 99.95, 99.99]
    curve = [[point, percentile(point)] for point in points if count * (100 - point) >= 100]
    return {
        "answered": count,
        "failures": reasons.total(),
        "reasons": dict(reasons.most_common()),
        "seconds": max(part["seconds"] for part in parts),
        "requests_per_second": sum(part["finished"] / part["seconds"] for part in parts),
        "p50_ms": percentile(50),
        "p95_ms": percentile(95),
        "p99_ms": percentile(99),
        "max_ms": times[-1] if times else None,
        "curve": curve,
        "client_seconds": sum(part["client_seconds"] for part in parts),
        "machine_share": max(part["machine_share"] for part in parts),
        "tokens": sum(part["tokens"] for part in parts),
        "unknown_tokens": sum(part["unknown_tokens"] for part in parts),
        "processes": len(parts),
    }


def prepare(environment: Environment, **_: Any) -> None:
    """Check the options, make every body, and arrange for the measured window."""
    if "LEXPORT_PARENT" in os.environ:
        gevent.spawn(end_with, int(os.environ["LEXPORT_PARENT"]))
    options = environment.parsed_options
    assert options is not None
    host = environment.host or TextUser.host
    check_host(host)
    if not 0 <= options.unknown_share <= 1:
        refuse(f"--unknown-share {options.unknown_share} is not a share; expected 0 to 1, such as 0.1.")
    model, key_file = running_server(host)
    model = options.model or model
    if not model:
        refuse(f"Which model? No server of lexport's was found for {host}: give --model NAME.")
    if options.token_file:
        token = read_token(Path(options.token_file))
    else:
        token = os.environ.get("LEXPORT_TOKEN") or (read_token(key_file) if key_file else "")
    asked = read_requests(Path(options.texts)) if options.texts else [{"text": text} for text in TEXTS]
    if options.rate:
        TextUser.wait_time = constant_throughput(options.rate / options.num_users)
    TextUser.bodies = Bodies(asked, options.unknown_share, options.seed, options.content_type)
    TextUser.recorder = Recorder(TextUser.bodies)
    TextUser.any_answer = options.any_answer
    TextUser.path = "/predictions/" + quote(model)
    kind = "application/json" if TextUser.bodies.json else "text/plain; charset=utf-8"
    TextUser.headers = {"Content-Type": kind} | ({"Authorization": f"Bearer {token}"} if token else {})

    gc.collect()
    gc.freeze()  # else a collection walks all of Locust's modules and shows up as latency
    if options.result and isinstance(environment.runner, MasterRunner):
        collect(environment, environment.runner)
    elif options.result:
        hooks.spawning_complete.add_listener(lambda **_: gevent.spawn(measure, environment))
    elif options.warmup:
        hooks.spawning_complete.add_listener(
            lambda **_: gevent.spawn_later(options.warmup, environment.stats.reset_all)
        )


def end_with(parent: int) -> None:
    """End this process when its parent is no longer `parent`, which was killed then."""
    while os.getppid() == parent:
        gevent.sleep(0.5)
    os._exit(1)


def measure(environment: Environment) -> None:
    """Warm up, measure, wait for what is still unanswered, write the figures and end the run."""
    options, runner, recorder = environment.parsed_options, environment.runner, TextUser.recorder
    assert options is not None
    assert runner is not None
    gevent.sleep(options.warmup)
    recorder.begin()
    gevent.sleep(options.measure)
    recorder.end()
    # The load continues during this time: without the slowest answers the percentiles would be too good.
    limit = recorder.ended + PATIENCE
    while TextUser.asked and min(TextUser.asked.values()) < recorder.ended and time.perf_counter() < limit:
        gevent.sleep(0.02)
    for asked in TextUser.asked.values():
        recorder.request(asked, math.inf, f"no answer {PATIENCE:g} s after the end")
    if isinstance(runner, WorkerRunner):
        runner.send_message(PART, recorder.part())
        return  # the master ends the run once it has all parts
    write(Path(options.result), [recorder.part()])
    runner.quit()


def collect(environment: Environment, runner: MasterRunner) -> None:
    """Wait in the master for the measurements of each worker process, write the figures and end the run."""
    options = environment.parsed_options
    assert options is not None
    parts: dict[str, dict[str, Any]] = {}

    def take(msg: Message, **_: Any) -> None:
        parts[msg.node_id] = msg.data
        if len(parts) == runner.worker_count:
            write(Path(options.result), list(parts.values()))
            runner.quit()

    runner.register_message(PART, take)


def write(path: Path, parts: list[dict[str, Any]]) -> None:
    """Write the figures, whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(merged(parts)), encoding="utf-8")
    partial.replace(path)


def fault(status: int, content: bytes, *, any_answer: bool = False) -> str | None:
    """Return why an answer counts as failed, in a few words; None for 200 with a label, labels or a vector.

    With `any_answer`, for models that lexport did not make, every status of 2xx counts as an answer.
    """
    if any_answer and 200 <= status < 300:
        return None
    try:
        answer = json.loads(content)
    except ValueError:
        return f"HTTP {status}, not JSON"
    if status != 200:
        kind = answer.get("type") if isinstance(answer, dict) else None
        return f"HTTP {status} {kind}" if isinstance(kind, str) else f"HTTP {status}"
    if isinstance(answer, dict) and not answer.keys().isdisjoint(("label", "labels", "vector")):
        return None
    return "no label or vector in the answer"


class TextUser(FastHttpUser):
    """One user in a closed loop: text, answer, next text."""

    host = "http://127.0.0.1:8080"
    wait_time = constant(0)
    path: str
    headers: dict[str, str]
    bodies: Bodies
    recorder: Recorder
    any_answer: bool
    asked: ClassVar[dict[int, float]] = {}  # when each waiting user sent its request

    def on_start(self) -> None:
        """Open this user's own connection; the host may have been changed in the web page."""
        check_host(self.host)
        # FastHttpUser.post() costs twice the CPU of its own HTTP client, and the server shares these cores.
        self.http = HTTPClient.from_url(self.host, network_timeout=TIMEOUT, connection_timeout=TIMEOUT)

    def on_stop(self) -> None:
        """Close the connection."""
        self.http.close()

    @task
    def predict(self) -> None:
        """Send the next text and report its time, in ms, to Locust."""
        body = next(self.bodies.turn)
        content = b""
        started = self.asked[id(self)] = time.perf_counter()
        try:
            response = self.http.request("POST", self.path, body, self.headers)
            content = bytes(response.read())
            answered = time.perf_counter()
            problem = fault(response.status_code, content, any_answer=self.any_answer)
        except Exception as error:  # whatever kept the answer away makes this one request a failure
            answered = time.perf_counter()
            problem = f"no answer: {type(error).__name__}"
        del self.asked[id(self)]
        self.recorder.request(started, answered, problem)
        self.environment.events.request.fire(
            request_type="POST",
            name=self.path,
            response_time=(answered - started) * 1000,
            response_length=len(content),
            exception=RuntimeError(problem) if problem else None,
            context={},
        )


hooks.init_command_line_parser.add_listener(add_options)
hooks.init.add_listener(prepare)
