"""A program in the place of Locust: what it is asked to send, how it is run, and what is the same of all of them.

Such a program confirms a figure of which Locust was the limit, or shows that the server has more. It knows a closed
loop or a constant rate, and checks less of the answers than Locust does.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote, urlsplit

import numpy as np
import psutil

from ...errors import InputError, SystemProblem
from ..driver.bodies import TEXTS, Bodies, Body, Template, read_requests
from ..driver.hosts import headers_of
from ..driver.recorder import Recorder
from ..locust_process import Load, Target

PATIENCE = 10  # seconds to wait for the last answers
ANSWER = 60  # seconds for one answer
_GRACE = 60  # seconds beyond the run's own before a program is ended
_EVERY = 0.1  # seconds between two readings of a program's processor time
_LONGEST = 200  # characters of what a program said


@dataclass(frozen=True)
class Asked:
    """What is sent: the bodies in turn, as Locust's locustfile sends them."""

    url: str
    headers: Mapping[bool, Mapping[str, str]]
    """Those of a plain text and of JSON."""
    bodies: Sequence[Body]
    tokens: int
    unknown: int
    """Of the tokens, the invented words."""


class Program(ABC):
    """A program that loads a server, as it was found on this machine."""

    NAME: ClassVar[str]
    ARRIVALS: ClassVar[Sequence[str]]
    """The arrivals that it knows."""
    VERSION: ClassVar[tuple[str, str]]
    """The option that prints its version, and a pattern of it."""
    HINT: ClassVar[str]
    """How it is installed."""
    UNCHECKED: ClassVar[str]
    """What of the answers it does not check, and how else its figures differ from Locust's."""
    VERIFIES: ClassVar[bool]
    """Whether it verifies the certificate of a server that is asked by https."""

    def __init__(self) -> None:
        """Find the program and its version. Raises SystemProblem where it is not installed or does not run."""
        path = shutil.which(self.NAME)
        if path is None:
            raise SystemProblem(
                f"--driver {self.NAME} needs the program {self.NAME}, which is not on the PATH. Install it "
                f"({self.HINT}), or leave --driver out for Locust.",
                code="LX-LOAD-150",
            )
        self.path = path
        option, pattern = self.VERSION
        try:
            done = subprocess.run([path, option], capture_output=True, text=True, timeout=30, check=False)
            said = done.stdout + done.stderr
        except (OSError, subprocess.TimeoutExpired) as error:
            said = str(error)
        found = re.search(pattern, said)
        if found is None:
            raise SystemProblem(
                f"{path} does not say which version it is ({said.strip()[:_LONGEST]!r}); expected {self.NAME}. "
                f"Install it anew ({self.HINT}), or leave --driver out for Locust.",
                code="LX-LOAD-151",
            )
        self.version = found[1]

    @abstractmethod
    def prepare(self, asked: Asked, target: Target, load: Load, folder: Path) -> tuple[list[str], dict[str, str]]:
        """Write what it reads into `folder`, and return its arguments and environment variables."""

    @abstractmethod
    def figures(self, printed: str, folder: Path, load: Load) -> dict[str, Any]:
        """Return what it measured, by the names of `recorder.merged`. Raises ValueError or KeyError for no figures.

        These are seconds, answered, failures, reasons, requests_per_second, the percentiles, and max_ms and curve.
        """

    def settle(self, load: Load) -> float:
        """Return the seconds at the beginning of its run that it does not measure."""
        return load.warmup

    def run(self, target: Target, load: Load, folder: Path) -> dict[str, Any]:
        """Load `target` and return what `locust_process.run` does, but for the single times, which it does not say.

        `folder` is for files. On any exception the program is ended. Raises SystemProblem if it gives no figures.
        """
        asked = _asked(target, load)
        arguments, variables = self.prepare(asked, target, load, folder)
        known = {name: value for name, value in os.environ.items() if not name.startswith("K6_")}
        environment = known | {"HOME": str(folder)} | variables
        settle = self.settle(load)
        recorder = Recorder()
        with (folder / "printed").open("w+b") as printed, (folder / "said").open("w+b") as said:
            process = subprocess.Popen(
                [self.path, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=said,
                cwd=folder,
                env=environment,
                start_new_session=True,
            )
            try:
                taken = _watch(process, recorder, settle, load.duration)
            except subprocess.TimeoutExpired:
                raise SystemProblem(
                    f"{self.NAME} did not end {_GRACE} s after its {load.duration:g} s run was over and was stopped. "
                    "Try again with fewer --users or a lower --rate.",
                    code="LX-LOAD-152",
                ) from None
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
        text = (folder / "printed").read_text(encoding="utf-8", errors="replace")
        try:
            found = self.figures(text, folder, load)
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            last = (folder / "said").read_text(encoding="utf-8", errors="replace").strip() or text.strip()
            raise SystemProblem(
                f"{self.NAME} {self.version} ended with code {process.returncode} and no figures that can be read "
                f"({type(error).__name__}): {(last or 'it printed nothing')[-_LONGEST:]}. Check that the server "
                "answers, or leave --driver out for Locust.",
                code="LX-LOAD-153",
            ) from None
        none = np.zeros(0)
        return found | {
            "began": recorder.began,
            "client_seconds": taken,
            "busiest_client": taken / found["seconds"] / load.processes,
            "machine_share": recorder.machine_share,
            "interrupt_share": recorder.interrupt_share,
            "processes": load.processes,
            "due_per_second": (found["answered"] + found["failures"]) / found["seconds"],
            "lag_p99_ms": None,
            "slowest_failure_ms": None,
            "series": [],
            "tokens": asked.tokens,
            "unknown_tokens": asked.unknown,
            "due": none,
            "times": none,
        }


def check_driver(program: Program | None, arrivals: str, url: str, **others: object) -> None:
    """Raise InputError for arrivals or a server that a program is not for, and for options that only Locust has.

    `url` is that of a server that runs, empty for one that is started; `others` are these options by name, empty
    where they were not given.
    """
    if program is None:
        return
    if arrivals not in program.ARRIVALS:
        raise InputError(
            f"--driver {program.NAME} knows --arrivals {' and '.join(program.ARRIVALS)}; {arrivals!r} was given. "
            "Leave --driver out: Locust knows all arrivals.",
            code="LX-LOAD-154",
        )
    if url.startswith("https:") and not program.VERIFIES:
        raise InputError(
            f"--driver {program.NAME} does not verify certificates, so {url} may be another server than it seems. "
            "Leave --driver out, or take k6.",
            code="LX-LOAD-157",
        )
    given = [f"--{name.replace('_', '-')}" for name, value in others.items() if value]
    if given:
        raise InputError(
            f"--driver {program.NAME} was given with {', '.join(given)}, for which only Locust measures enough. "
            f"Leave out {'it' if len(given) == 1 else 'them'}, or --driver.",
            code="LX-LOAD-155",
        )


def _asked(target: Target, load: Load) -> Asked:
    """Return what the locustfile would send."""
    parts = urlsplit(target.url)
    url = target.url if parts.path not in ("", "/") else f"{target.url.rstrip('/')}/predictions/{quote(target.model)}"
    bodies = Bodies(
        read_requests(load.texts) if load.texts else [{"text": text} for text in TEXTS],
        load.unknown_share,
        load.seed,
        load.content_type,
        Template(target.body) if target.body else None,
        {},
    )
    kinds = {False: "text/plain; charset=utf-8", True: "application/json"}
    headers = {as_json: headers_of(kind, target.token, list(target.headers)) for as_json, kind in kinds.items()}
    return Asked(url, headers, bodies.all, bodies.tokens, bodies.unknown)


def _watch(process: subprocess.Popen[bytes], recorder: Recorder, settle: float, seconds: float) -> float:
    """Wait for a program, and return the processor time that it took in the measured seconds.

    `recorder` reads the machine meanwhile. Raises subprocess.TimeoutExpired.
    """
    start = time.monotonic()
    first = taken = 0.0
    begun = ended = False
    while process.poll() is None:
        past = time.monotonic() - start
        if past > settle + seconds + _GRACE:
            raise subprocess.TimeoutExpired(process.args, past)
        try:
            times = psutil.Process(process.pid).cpu_times()
        except psutil.Error:
            break
        if not ended:
            taken = times.user + times.system
        if not begun and past >= settle:
            first, begun = taken, True
            recorder.begin()
        if begun and not ended and past >= settle + seconds:
            recorder.end()
            ended = True
        time.sleep(_EVERY)
    process.wait()
    if not begun:
        recorder.begin()
    if not ended:
        recorder.end()
    return taken - first
