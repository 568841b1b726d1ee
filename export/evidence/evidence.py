"""`evidence.json`: what was measured of every exported variant of a run, and what the gate said."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...storage.atomic import json_bytes


@dataclass(frozen=True)
class VariantEvidence:
    """One variant; docs/evidence.md explains every field.

    validation decides, test reports. size, peak_memory in bytes; latency in milliseconds by threads and batch size.
    parallel: whether a worker should give it more than one thread. dense: "fp32", or "int8" where the encoder's
    layers are quantized too. gates: each `gates.Gate` with limit, value and whether it was held. refused: why the
    gates do not let it into an archive, or None; warning: what is to be known if they do. worst: of a refused one the
    ten texts that differ most. image_file: the image tower of a joint model. vector_bytes, takes: as `model.json` has
    them.
    """

    name: str
    engine: str
    precision: str
    dense: str
    file: str
    parallel: bool
    validation: dict[str, Any]
    test: dict[str, Any]
    size: int
    size_ratio: float
    peak_memory: int | None
    latency: dict[str, dict[str, Any]]
    batch_sensitivity: dict[str, dict[str, Any]]
    neighbours: dict[str, Any]
    calibration: dict[str, Any] | None
    robustness: dict[str, Any]
    digests: dict[str, str]
    gates: list[dict[str, Any]]
    refused: str | None
    warning: str | None
    worst: list[dict[str, Any]]
    image_file: str | None = None
    vector_bytes: int = 0
    takes: str = "ids"

    def time(self, batch: int, threads: int = 1) -> float:
        """The median time from texts to answers, in milliseconds."""
        return float(self.latency[str(threads)][str(batch)]["median_ms"])


@dataclass(frozen=True)
class Evidence:
    """All variants of a run with what they were measured against, on what machine and when (seconds since 1970).

    gates: the limits, as the recipe has them. run: its recipe, task, metric (what the gates read), seed, data, the
    digest of its weights and the digests of what an archive takes of it. left_out: variants that cannot be made of
    this model, each with the reason.
    """

    run: dict[str, Any]
    trained: dict[str, Any]
    gates: dict[str, Any]
    variants: list[VariantEvidence]
    left_out: dict[str, str]
    versions: dict[str, str]
    machine: dict[str, Any]
    created: int
    schema: int = 1

    def variant(self, name: str) -> VariantEvidence:
        """The evidence of one variant. Raises InputError naming those there are."""
        for variant in self.variants:
            if variant.name == name:
                return variant
        if name in self.left_out:
            raise InputError(f"{name} cannot be made of this model: {self.left_out[name]}.")
        known = ", ".join(variant.name for variant in self.variants)
        raise InputError(
            f"The variant {name!r} was not exported; there are: {known}. `lexport export RUN` makes more."
        )

    def write(self, path: Path) -> None:
        """Write JSON in the order of the fields."""
        path.write_bytes(json_bytes(asdict(self)))


def without_texts(evidence: Evidence) -> Evidence:
    """The evidence with the SHA-256 of every text of the data in its place."""
    variants = [
        replace(
            variant,
            worst=[
                one | {"text": f"sha256:{hashlib.sha256(one['text'].encode()).hexdigest()}"} for one in variant.worst
            ],
        )
        for variant in evidence.variants
    ]
    return replace(evidence, variants=variants)


def read_evidence(run: Path) -> Evidence:
    """The evidence of a run's last export. Raises InputError if there is none or it cannot be read."""
    path = run / "export" / "evidence.json"
    if not path.is_file():
        raise InputError(f"{run} has not been exported yet: no {path}. Run: lexport export {run}")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values.get("schema") != 1:
            raise InputError(
                f"{path} has schema {values.get('schema')}, this version reads schema 1; update lexport."
            )
        variants = [VariantEvidence(**variant) for variant in values.pop("variants")]
        if not {"data", "digests", "task", "metric", "weights"} <= values["run"].keys():
            raise ValueError("it does not say what it was measured on")
        return Evidence(variants=variants, **values)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{path} is damaged ({error}). Export the run again.") from None
