"""A load test in the evidence of an archive: what was measured of this very model, read from a results.json."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...storage.validation import build
from .evidence import Evidence, VariantEvidence
from .load_results import SCHEMA, load_in_words, read_results

_SETTINGS = ("arrivals", "duration_seconds", "warmup_seconds", "unknown_share", "mix", "expect", "seed", "driver")
_MACHINE = ("system", "processor", "cores", "memory_gib")


@dataclass(frozen=True)
class LoadRow:
    """What was measured of a worker set under a load. Times are in ms; None where nothing was answered."""

    workers: str
    arrivals: str
    users: int
    rate: float
    runs: int
    """How often it was measured."""
    seconds: float
    answered: int
    failures: int
    requests_per_second: float
    p50_ms: float | None
    p90_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    p99_9_ms: float | None
    max_ms: float | None
    spread: dict[str, dict[str, float]]
    """Of each figure of several runs the median, an interval of it (`low`, `high`) and its confidence, 0 to 1."""
    client_cpu: float
    machine_cpu: float
    other_cpu: float | None
    server_cpu: float | None
    server_memory: int | None
    client_limit: str | None
    other_work: str | None
    batch_texts: float | None
    """Texts of a batch, on average."""
    queue_ms: float | None
    """Time that a request waited for its batch, on average."""
    inference_ms: float | None
    """Time of a batch, on average."""

    @property
    def cell(self) -> str:
        """The worker set and load in words, such as `cpu:2, 16 users`."""
        return f"{self.workers}, {load_in_words(self.arrivals, self.users or self.rate)}"

    @property
    def limited(self) -> str:
        """What may have set the figures beside the server: `client`, `other work`, or nothing."""
        return "client" if self.client_limit else "other work" if self.other_work else ""


@dataclass(frozen=True)
class LoadCheck:
    """The verdict on an objective in one of the rows."""

    objective: str
    workers: str
    arrivals: str
    users: int
    rate: float
    value: str
    passed: bool
    doubt: str | None


@dataclass(frozen=True)
class LoadEvidence:
    """A load test of the variant in an archive, without its texts, names of files and hosts, and headers."""

    model: str
    """`model_digest` of what was measured."""
    started: str
    """ISO 8601, UTC."""
    settings: dict[str, Any]
    machine: dict[str, Any]
    versions: dict[str, str]
    objectives: list[str]
    """All of them, judged or not."""
    rows: list[LoadRow]
    checks: list[LoadCheck]
    """Those that were judged."""

    @property
    def place(self) -> str:
        """The machine in words."""
        return f"{self.machine.get('processor')}, {self.machine.get('cores')} cores"


def model_digest(evidence: Mapping[str, Any]) -> str | None:
    """Return a SHA-256 that stands for what an archive copies of its run and variant; None of another archive.

    `evidence` is MAR-INF/EVIDENCE.json. Archives of one export have the same digest whatever their name and version.
    """
    try:
        [own] = [one for one in evidence["variants"] if one["name"] == evidence["variant"]]
        return _digest(evidence["run"]["digests"], own["digests"])
    except (KeyError, TypeError, ValueError):
        return None


def _digest(run: Mapping[str, str], variant: Mapping[str, str]) -> str:
    files = {"run": dict(run), "variant": dict(variant)}
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def load_evidence(path: Path, evidence: Evidence, variant: VariantEvidence) -> dict[str, Any]:
    """Return what a load test (results.json) has measured of this variant, as the JSON of a `LoadEvidence`.

    Raises InputError if the file cannot be read, is of an earlier version, or was measured on another model.
    """
    digest = _digest(evidence.run["digests"], variant.digests)
    try:
        report = read_results(path)
        schema, tested = report.get("schema"), report.get("tested", {})
        digests = {label: one["digest"] for label, one in tested.items()}
        rows = [row for row in report["rows"] if digests.get(row["archive"]) == digest]
        if schema == SCHEMA and rows:
            found = {
                "model": digest,
                "started": report["started"],
                "settings": {name: report["settings"][name] for name in _SETTINGS if name in report["settings"]},
                "machine": {name: report["machine"][name] for name in _MACHINE if name in report["machine"]},
                "versions": report["versions"],
                "objectives": report["objectives"],
                "rows": [_row(row) for row in rows],
                "checks": [
                    _part(LoadCheck, one) for one in report["verdicts"] if digests.get(one["archive"]) == digest
                ],
            }
            return asdict(read_load(found))
        others = ", ".join(f"{label} ({one['variant']})" for label, one in tested.items()) or "nothing"
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"{path} cannot be read as the results of a load test ({type(error).__name__}: {error}). Expected the "
            "results.json of: lexport loadtest MAR --out FOLDER",
            code="LX-ARCHIVE-300",
        ) from None
    if schema != SCHEMA:
        raise InputError(
            f"{path} has the results' schema {schema}, and those of schema {SCHEMA} say of which model they are. "
            "Measure it again with this version.",
            code="LX-ARCHIVE-301",
        )
    raise InputError(
        f"{path} was not measured on this export of {variant.name}: it has {others}, and the digests of the model "
        "are others. Load-test an archive of this export, or name its variant with --variant.",
        code="LX-ARCHIVE-302",
    )


def read_load(values: Mapping[str, Any]) -> LoadEvidence:
    """Return the load test in an archive's evidence. Raises ValueError or TypeError for what is not one."""
    rows = [build(LoadRow, row) for row in values["rows"]]
    checks = [build(LoadCheck, one) for one in values["checks"]]
    found = build(LoadEvidence, {**values, "rows": [], "checks": []})
    return LoadEvidence(**{**vars(found), "rows": rows, "checks": checks})


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    served = row["server"] or dict.fromkeys(("batch_texts", "queue_ms", "inference_ms"))
    return _part(LoadRow, {**row, **served, "runs": len(row["repeats"])})


def _part(kind: type[LoadRow | LoadCheck], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a dataclass's fields. Raises KeyError if one is missing."""
    return {name: values[name] for name in kind.__dataclass_fields__}
