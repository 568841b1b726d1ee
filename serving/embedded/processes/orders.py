"""What a supervisor of the embedded engine is told at its start, as plain JSON and parsed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from ....export.archive.trust.keys import PublicKey
from ... import state
from ...state import Server
from ...tokens import Tokens

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
"""The variables of the environment of which one says that traces are made, and where they go."""

_NUMBERS = {
    "largest": "batchSize",
    "delay": "maxBatchDelay",
    "seconds": "responseTimeout",
    "startup": "startupTimeout",
    "queue": "jobQueueSize",
}


def of_numbers(settings: Mapping[str, int]) -> dict[str, int]:
    """Return batch size, delay, timeouts and queue in the words of `registry.Served`, of an archive's settings."""
    return {ours: settings[theirs] for ours, theirs in _NUMBERS.items() if theirs in settings}


@dataclass(frozen=True)
class Orders:
    """See `supervisor`."""

    server: Server
    """The server, without process numbers."""
    tokens: Tokens | None
    """Tokens that requests must carry; None if they need none."""
    addresses: dict[str, tuple[str, int]]
    """Host and port of `inference`, `management`, `metrics`, and of `health` if probes are answered."""
    models: dict[str, dict[str, int]]
    """By file name in the store: workers, largest, delay, seconds, startup, queue as `registry.Served` has them."""
    defaults: dict[str, int]
    """The same for archives that are registered later."""
    limits: dict[str, Any]
    """Values of `http.Limits` other than its defaults."""
    keys: tuple[PublicKey, ...]
    """If there are any, one of them must have signed what is registered."""
    model_api: bool
    """Whether models may be registered and unregistered over HTTP."""
    cores: int
    """Cores that the processes divide."""
    gpus: int
    """CUDA devices that the processes are spread over; 0 for the CPU."""
    timeout: float
    """Seconds that the server may take to be ready."""
    bound: bool
    """Whether the server ends when the process ends that started it."""
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    """The environment of the processes that answer: that of the supervisor."""

    @property
    def most_workers(self) -> int:
        """Processes that a model may be scaled to: four for each core, and 16 on any machine."""
        return max(16, 4 * self.cores)

    def to_json(self) -> dict[str, Any]:
        """Return the orders without the server, which `launch.start` adds."""
        facts = {name: value for name, value in vars(self).items() if name not in ("server", "environment")}
        return facts | {
            "tokens": None if self.tokens is None else asdict(self.tokens),
            "keys": [[key.raw.hex(), key.name] for key in self.keys],
        }

    @classmethod
    def parse(cls, orders: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote and `launch.start` completed."""
        tokens = orders["tokens"]
        return cls(
            **{
                **orders,
                "server": state.parse(orders["server"]),
                "tokens": None if tokens is None else Tokens(**tokens),
                "keys": tuple(PublicKey(bytes.fromhex(raw), name) for raw, name in orders["keys"]),
                "addresses": {purpose: (host, port) for purpose, (host, port) in orders["addresses"].items()},
            }
        )
