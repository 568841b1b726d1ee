"""`evidence.json`: the measurements of every exported variant of a run, and the results of the gates."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...storage.atomic import json_bytes
from ...storage.validation import build
from ..formats.files import GOLDENS, MODEL, REQUIREMENTS, SYNTHETIC

# Since 2 the variant's folder has `model.json` and `requirements.txt`.
SCHEMA = 2


@dataclass(frozen=True)
class VariantEvidence:
    """The evidence of one variant; docs/evidence.md explains every field."""

    name: str
    """Name of the variant, such as `onnx-int8`."""
    engine: str
    """`onnx`, `torchscript` or `pt2`."""
    precision: str
    """Precision of the table: `fp32`, `fp16`, `int8` or `int4`."""
    dense: str
    """`int8` if the encoder's wide layers are quantized too, as in `onnx-int8-dynamic`; else `fp32`."""
    takes: str
    """Its input: `ids` or `text`."""
    file: str
    """The model file."""
    validation: dict[str, Any]
    """Quality on the validation texts, which the gates read."""
    test: dict[str, Any]
    """Quality on the test texts, for the report."""
    size: int
    """Bytes of the model files."""
    size_ratio: float
    """Size divided by that of the trained weights (at least 1 MB)."""
    peak_memory: int | None
    """Bytes of memory to open it and answer the first batch; None if the system does not tell."""
    latency: dict[str, dict[str, Any]]
    """Milliseconds by threads and batch size."""
    batch_sensitivity: dict[str, dict[str, Any]]
    """How much outputs depend on the batch, by part."""
    neighbours: dict[str, Any]
    """How many nearest words of the table stay the same."""
    calibration: dict[str, Any] | None
    """Calibration error of the trained model and of the variant; None for vectors."""
    robustness: dict[str, Any]
    """The metric on texts with unseen words."""
    digests: dict[str, str]
    """SHA-256 of each file of the variant, which are those that an archive copies."""
    gates: list[dict[str, Any]]
    """Each `gates.Gate` with its limit, value and whether the variant passed it (`held`)."""
    refused: str | None
    """Why the variant may not be archived; None if it may."""
    warning: str | None
    """A gate that failed without refusing the variant; None if there is none."""
    worst: list[dict[str, Any]]
    """The ten texts that differ most, if the variant is refused."""
    reference: dict[str, Any] | None = None
    """How the validation and test texts are distributed, as `Distributions.to_json` has it, for `lexport drift`.

    Evidence of earlier versions lacks it.
    """

    def time(self, batch: int, threads: int = 1) -> float:
        """Return the median time from texts to answers, in milliseconds."""
        return float(self.latency[str(threads)][str(batch)]["median_ms"])


@dataclass(frozen=True)
class Evidence:
    """The evidence of all variants of a run."""

    run: dict[str, Any]
    """Recipe, task, metric (which the gates read), seed, data, digests of the weights and of the files to archive."""
    trained: dict[str, Any]
    """Metrics of the trained model, by part."""
    gates: dict[str, Any]
    """The limits in the recipe."""
    variants: list[VariantEvidence]
    """One for each exported variant."""
    left_out: dict[str, str]
    """Variants that the model does not support, with the reason."""
    versions: dict[str, str]
    """Versions of the packages that exported and measured."""
    machine: dict[str, Any]
    """The machine that measured."""
    created: int
    """Seconds since 1970."""
    schema: int = SCHEMA

    def variant(self, name: str) -> VariantEvidence:
        """Return the evidence of one variant. Raises InputError with the known names."""
        for variant in self.variants:
            if variant.name == name:
                return variant
        if name in self.left_out:
            raise InputError(f"{name} is not supported for this model: {self.left_out[name]}.", code="LX-EXPORT-009")
        known = ", ".join(variant.name for variant in self.variants)
        raise InputError(
            f"The variant {name!r} was not exported; known variants: {known}. `lexport export RUN` makes more.",
            code="LX-EXPORT-010",
        )

    def write(self, path: Path) -> None:
        """Write JSON in the order of the fields."""
        path.write_bytes(json_bytes(asdict(self)))


def without_texts(evidence: Evidence) -> Evidence:
    """Return the evidence with every text of the data replaced by its SHA-256."""
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
    """Return the evidence of a run's last export. Raises InputError if there is none or it cannot be read."""
    path = run / "export" / "evidence.json"
    if not path.is_file():
        raise InputError(
            f"{run} has not been exported yet: no {path}. Run: lexport export {run}", code="LX-EXPORT-011"
        )
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        schema = values.get("schema")
        if schema == 1:
            raise InputError(
                f"{path} was written by an earlier lexport, which did not export everything that an archive needs "
                f"(schema 1, this version reads schema {SCHEMA}). Export the run again: lexport export {run}",
                code="LX-EXPORT-016",
            )
        if schema != SCHEMA:
            raise InputError(
                f"{path} has schema {schema}, this version reads schema {SCHEMA}; update lexport.",
                code="LX-EXPORT-012",
            )
        variants = [build(VariantEvidence, variant) for variant in values.pop("variants")]
        found = build(Evidence, {**values, "variants": []})
        if not {"data", "digests", "task", "metric", "weights"} <= found.run.keys():
            raise ValueError("it does not name the data it was measured on")
        for one in variants:
            if missing := sorted({MODEL, REQUIREMENTS, GOLDENS, SYNTHETIC} - one.digests.keys()):
                raise ValueError(f"it has no digest of the {missing[0]} of {one.name}")
        return replace(found, variants=variants)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{path} is damaged ({error}). Export the run again.", code="LX-EXPORT-013") from None
