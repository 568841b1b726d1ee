"""What the files for Prometheus and Grafana share: names of jobs, and what is to be watched."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import InputError
from ..proxies.rules import parse_address
from .models import Model

JOB, READY_JOB = "lexport", "lexport-ready"
"""The names under which Prometheus asks for metrics, and asks whether a server is ready."""


@dataclass(frozen=True)
class Scrape:
    """Where Prometheus finds servers."""

    targets: tuple[str, ...]
    """The metrics addresses, HOST:PORT."""
    health: tuple[str, ...] = ()
    """The addresses of `lexport serve --health`, to be asked for /readyz."""
    blackbox: str | None = None
    """The address of a blackbox exporter, which does that; Prometheus itself cannot."""
    rules: str | None = None
    """The file with the alerts."""
    interval: int = 15
    """Seconds between two looks."""

    def check(self) -> None:
        """Raise InputError for what is no address, and for one of --health and --blackbox without the other."""
        for address in (*self.targets, *self.health, *([self.blackbox] if self.blackbox else [])):
            parse_address(address)
        if bool(self.health) != bool(self.blackbox):
            given, missing = ("--health", "--blackbox") if self.health else ("--blackbox", "--health")
            raise InputError(
                f"{given} was given without {missing}. Expected both: a blackbox exporter asks /readyz, since "
                "Prometheus reads metrics alone.",
                code="LX-SERVE-145",
            )
        if self.interval < 1:
            raise InputError(f"--interval {self.interval} is too short. Expected 1 or more.", code="LX-SERVE-146")


@dataclass(frozen=True)
class Alerts:
    """When somebody is to be told."""

    engine: str
    models: tuple[Model, ...] = ()
    """Archives whose evidence says how many unknown words there were."""
    p99_ms: float | None = None
    """The objective for the 99th percentile of the latency."""
    error_share: float = 0.01
    """Share of the requests that may fail through the server's fault."""

    def check(self) -> None:
        """Raise InputError for an objective that cannot be."""
        if self.p99_ms is not None and not 0 < self.p99_ms <= 3_600_000:
            raise InputError(
                f"--p99 {self.p99_ms:g}ms is no objective for a latency. Expected more than 0, such as 50ms or 1s.",
                code="LX-SERVE-147",
            )
        if not 0 < self.error_share < 1:
            raise InputError(
                f"--error-share {self.error_share:g} is not possible. Expected between 0 and 1, such as 0.01.",
                code="LX-SERVE-148",
            )
