"""`evidence.json`: what was measured of every exported variant of a run, and what the gate said."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import json_bytes

# A variant may lose this much of its metric against the trained model on the validation texts.
MAX_METRIC_DROP = 0.005


@dataclass(frozen=True)
class VariantEvidence:
    """One variant. validation decides, test reports; size in bytes; latency in milliseconds by batch size.

    parallel: whether a worker should give it more than one thread. dense: "fp32", or "int8" where the encoder's
    layers are quantized too. batch_sensitivity: how far a text's answer depends on its batch
    (`measure.batch_sensitivity`). refused: why the gate does not let it into an archive, or None. image_file: the
    image tower of a joint model. vector_bytes, takes: as `model.json` has them.
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
    latency: dict[str, Any]
    batch_sensitivity: dict[str, Any]
    digests: dict[str, str]
    refused: str | None
    image_file: str | None = None
    vector_bytes: int = 0
    takes: str = "ids"


@dataclass(frozen=True)
class Evidence:
    """All variants of a run with what they were measured against, on what machine and when (seconds since 1970).

    run: its recipe, task, metric (what the gate reads), seed, data, the digest of its weights and the digests of what
    an archive takes of it. left_out: variants that cannot be made of this model, each with the reason.
    """

    run: dict[str, Any]
    trained: dict[str, Any]
    gates: dict[str, float]
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


def gate(metric: str, trained: dict[str, Any], validation: dict[str, Any]) -> str | None:
    """Why a variant is refused, judged by `metric` on the validation texts, or None."""
    drop = trained[metric] - validation[metric]
    # Written so that a NaN is refused.
    if not drop <= MAX_METRIC_DROP:
        return (
            f"max_metric_drop: {metric} on the validation texts fell by {drop:.4f} "
            f"({trained[metric]:.4f} to {validation[metric]:.4f}); at most {MAX_METRIC_DROP} is allowed"
        )
    return None


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
