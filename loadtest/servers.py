"""The servers of a load test: started for it or running, each under its loads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from .. import serving
from ..errors import SystemProblem
from ..export.archive.trust.rule import Trust
from ..serving.engines import TITLES
from ..serving.plan import find_gpus, parse_workers
from ..serving.temporary import STATE, temporary_folder
from ..storage.progress import Say
from .cells import Loads, measured_runs
from .locust_process import Load, Target
from .measuring.repeats import Run
from .results import workers_in_words
from .targets import Endpoint, Subject


@dataclass(frozen=True)
class Setup:
    """A server of a load test, and its loads."""

    subject: Subject
    engine: str
    """Empty for a server that runs."""
    workers: str
    """The worker set; of a server that runs, its address."""
    asked: Target
    loads: Loads

    @property
    def name(self) -> str:
        """The worker set as results name it."""
        return workers_in_words(self.engine, self.workers) if self.engine else self.workers

    @property
    def place(self) -> tuple[str, str]:
        """Archive and worker set."""
        return self.subject.label, self.name


def runs_of(
    setup: Setup, endpoint: Endpoint | None, trust: Trust, scratch: Path, say: Say, number: int
) -> Iterator[tuple[Load, Run]]:
    """Yield what each load measures on a server that is started for it, or that runs."""
    subject, asked = setup.subject, setup.asked
    if endpoint is not None:
        target = replace(asked, url=endpoint.url, model=endpoint.model, token=endpoint.token, remote=endpoint.remote)
        yield from measured_runs(target, subject.label, setup.name, setup.loads, scratch, say, number)
        return
    on_gpu = parse_workers(setup.workers)[0] == "gpu"
    if on_gpu:
        if subject.cpu_alone is not None:
            raise CannotRun(subject.cpu_alone)
        try:
            find_gpus()
        except SystemProblem:
            raise CannotRun("no CUDA device") from None
    measured = False
    try:
        with open_server(subject, setup.engine, setup.workers, trust, say) as served:
            target = replace(served, expect=asked.expect, headers=asked.headers, body=asked.body)
            for found in measured_runs(target, subject.label, setup.name, setup.loads, scratch, say, number):
                measured = True
                yield found
    except SystemProblem as problem:
        if on_gpu and not measured:
            raise CannotRun(str(problem).splitlines()[0]) from None
        raise


class CannotRun(Exception):
    """A GPU worker set that this machine or this archive does not allow."""


@contextmanager
def open_server(subject: Subject, engine: str, workers: str, trust: Trust, say: Say) -> Iterator[Target]:
    """Start a server with one archive, on free ports and with a private state folder; stop it at the end."""
    assert subject.path is not None
    say(f"{subject.label} {workers}: starting {TITLES[engine]}")
    with started(subject.path, engine, workers, trust) as server:
        yield Target(
            server.inference_url,
            subject.model,
            server.token(),
            subject.expect,
            server.id,
            metrics_url=server.metrics_url,
            reports_late=engine == "torchserve",
        )


@contextmanager
def started(
    archive: Path, engine: str, workers: str, trust: Trust, *, config: Path | None = None
) -> Iterator[serving.Server]:
    """Start a server for a test, on free ports and with a private state folder; stop it at the end.

    It ends with this process even if this process is killed; the next start then removes its folder.
    """
    with temporary_folder() as folder:
        state_dir = folder / STATE
        server = serving.serve(
            [archive],
            engine=engine,
            workers=workers,
            state_dir=state_dir,
            port=0,
            config=config,
            trusted=trust.keys,
            trust_code=trust.insist,
            bound=True,
        )
        try:
            yield server
        finally:
            serving.stop(state_dir)
