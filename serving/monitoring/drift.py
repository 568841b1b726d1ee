"""Drift: what a server's requests have counted, held against the texts that the model was measured on."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from ...errors import InputError, RefusedError, SystemProblem
from ...evaluation.drift import Limits, Measure, Texts, compare
from ...handlers.model.distributions import NO_LABEL, SUMS
from ...handlers.runtime.metrics import HISTOGRAMS, LABEL, LABELS
from .. import folders, record
from .. import server as servers
from ..state import Server
from . import figures
from .figures import Figures
from .reference import reference_of


@dataclass(frozen=True)
class Drift:
    """The requests to one version of a model, compared with its held-out texts."""

    model: str
    version: str
    variant: str
    seconds: float | None
    """The time in which the requests were counted; None for since the engine's start."""
    texts: int
    """Texts of the requests."""
    reference_texts: int
    least: int
    """Texts that are needed to judge."""
    enough: bool
    measures: list[Measure]
    """Empty without any texts."""
    labels: dict[str, tuple[float, float]]
    """By predicted label its share of the held-out texts and of the requests; "(none)" for no label at all."""

    @property
    def drifted(self) -> list[str]:
        """The names of the measures that are beyond their limits; none if there are too few texts."""
        return [one.name for one in self.measures if one.beyond and self.enough]

    def to_json(self) -> dict[str, Any]:
        """Return everything, with the names that have `drifted`."""
        return asdict(self) | {"drifted": self.drifted}

    def require(self) -> None:
        """Raise RefusedError if the requests have drifted."""
        if self.drifted:
            raise RefusedError(
                f"The requests to {self.model} {self.version} are not like the texts that it was measured on; beyond "
                f"their limits: {', '.join(self.drifted)}. Look at what is sent; docs/drift.md says what helps.",
                code="LX-SERVE-215",
            )


def drift(
    model: str | None = None,
    version: str | None = None,
    *,
    state_dir: Path | None = None,
    limits: Limits | None = None,
    seconds: float | None = None,
) -> Drift:
    """Compare what was asked of a version of a model with the texts that it was measured on.

    `model` may be left out if one is served, `version` is the default one for None. Requests count since the engine
    was started, or those of the next `seconds`, which are waited for. Raises SystemProblem if no server runs or it
    does not say what it counted, InputError for a model that is not served, or whose evidence has no reference.
    """
    limits = limits or Limits()
    limits.check()
    server = servers.running(state_dir)
    served = find(server, model, version)
    reference, variant = reference_of(server.state_dir / folders.STORE / served.file, str(served))
    now = _counted(_read(server), served.name, served.version)
    if seconds is not None:
        time.sleep(seconds)
        now = _since(now, _counted(_read(server), served.name, served.version), str(served))
    enough = now.count >= max(limits.least, 1)
    labels = {
        unquote(name) if name != NO_LABEL else name: (_share(reference.labels, name), _share(now.labels, name))
        for name in sorted({*reference.labels, *now.labels})
    }
    measures = compare(reference, now, limits) if now.count else []
    return Drift(
        served.name,
        served.version,
        variant,
        seconds,
        now.count,
        reference.count,
        limits.least,
        enough,
        measures,
        labels if now.count else {},
    )


def find(server: Server, model: str | None, version: str | None) -> record.Deployed:
    """Return a version that a server serves, the default one of the only model for None. Raises InputError."""
    versions = (record.load(server.state_dir) or record.Record()).versions
    names = sorted({one.name for one in versions})
    if model is None and len(names) != 1:
        raise InputError(
            f"The server serves {len(names)} models: {', '.join(names)}. Name one of them.", code="LX-SERVE-211"
        )
    found = [
        one
        for one in versions
        if one.name == (model or names[0]) and (one.default if version is None else one.version == version)
    ]
    if not found:
        asked = model if version is None else f"{model or names[0]} {version}"
        raise InputError(f"{asked} is not served; served are {', '.join(map(str, versions))}.", code="LX-SERVE-210")
    return found[0]


def _read(server: Server) -> Figures:
    found = figures.read(server)
    if not found.samples:
        raise SystemProblem(
            f"The server's metrics address {server.metrics_url} does not say what was counted. Look with: lexport "
            "status",
            code="LX-SERVE-213",
        )
    return found


def _counted(found: Figures, model: str, version: str) -> Texts:
    """Return how the texts of a version are distributed by the counters of the metrics address."""
    labels = {"ModelName": model, "ModelVersion": version}
    parts: dict[str, list[int]] = {}
    for name, (part, bounds) in HISTOGRAMS.items():
        upto = found.by(f"{name}_bucket", labels, "le")
        below = [0, *(int(upto.get(bound, 0)) for bound in (*(f"{one:g}" for one in bounds), "+Inf"))]
        parts[part] = [most - least for least, most in pairwise(below)]
    return Texts(
        {name: int(sum(found.by(f"lexport_{name}", labels, "ModelName").values())) for name in SUMS},
        parts["lengths"],
        parts["confidence"],
        {label: int(count) for label, count in found.by(LABELS, labels, LABEL).items()},
    )


def _since(before: Texts, now: Texts, model: str) -> Texts:
    """Return the texts that came after `before`. Raises SystemProblem if counting has begun again."""
    added = Texts(
        {name: count - before.sums[name] for name, count in now.sums.items()},
        [after - earlier for after, earlier in zip(now.lengths, before.lengths, strict=True)],
        [after - earlier for after, earlier in zip(now.confidence, before.confidence, strict=True)],
        {label: count - before.labels.get(label, 0) for label, count in now.labels.items()},
    )
    if min(*added.sums.values(), *added.lengths) < 0:
        raise SystemProblem(
            f"The engine was started again meanwhile, and counts {model} from 0. Ask again.",
            code="LX-SERVE-219",
        )
    return added


def _share(counts: Mapping[str, int], name: str) -> float:
    return counts.get(name, 0) / max(sum(counts.values()), 1)
