"""Export a run: write every variant, measure it on the held-out texts, apply the gates."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..errors import InputError, RefusedError
from ..evaluation.tasks import TASKS
from ..models.run import Run, versions
from ..storage import atomic as files
from ..storage.progress import Progress, Say, silent
from .evidence.collect import Baseline, collect_evidence
from .evidence.evidence import Evidence, VariantEvidence
from .evidence.machine import machine
from .formats.files import GOLDENS, SYNTHETIC
from .formats.goldens import choose_goldens, read_golden_requests, synthetic_goldens
from .formats.variants import PLAIN, Variant, families
from .formats.writer import VariantWriter, WrittenVariant
from .textgraph import reason_against


def export(
    run: Run,
    variants: Sequence[Variant],
    *,
    goldens: Path | None = None,
    say: Say = silent,
    progress: Progress = silent,
) -> Evidence:
    """Write `RUN/export/` again, with a folder for each variant and `evidence.json`, completely or not at all.

    The folder of a variant is complete before it is measured, with every file that an archive copies. A variant is
    opened once, as a worker opens it, and measured on the held-out texts of the run, those of lower precision beside
    the fp32 one of the same engine and input. The gates use the validation texts, the test texts are for the report.
    Variants that the model does not support are left out, with the reason. `goldens` is a file of further golden
    requests (`goldens.read_golden_requests`). Raises RefusedError, after writing, if no variant passes, InputError if
    the model supports none, or not one that was named, or if the goldens cannot be read.
    """
    left_out = _left_out(run, variants)
    validation, test = run.held_out("validation"), run.held_out("test")
    baseline = Baseline(run, validation, test)
    own = read_golden_requests(run, goldens) if goldens is not None else []
    usual = dict.fromkeys([*choose_goldens(run, validation), *own])
    asked = {GOLDENS: list(usual), SYNTHETIC: synthetic_goldens(run, validation)}
    with files.new_folder(run.folder / "export", replace=True) as folder:
        writer = VariantWriter(run, folder, asked, validation.batch[:64])
        made = [variant for variant in variants if variant.name not in left_out]
        by_name: dict[str, VariantEvidence] = {}
        for family in families(made):
            plain: WrittenVariant | None = None
            for variant in family:
                started = time.monotonic()
                progress(len(by_name), len(made), variant.name)
                written = writer.write(variant)
                one = collect_evidence(run, written, plain, validation, test, baseline)
                by_name[variant.name] = one
                plain = written if variant.precision == PLAIN else plain
                del written  # while the next one is written, none but the plain one is open
                say(f"{variant.name}: exported and checked in {time.monotonic() - started:.1f} s")
                if one.warning is not None:
                    say(f"{variant.name}: {one.warning}")
        found = [by_name[variant.name] for variant in made]
        evidence = Evidence(
            run={
                "recipe": run.recipe.name,
                "task": run.recipe.task,
                "metric": TASKS[run.recipe.task].METRIC,
                "threshold": run.threshold,
                "seed": run.info.seed,
                "data": run.info.data,
                "warnings": run.info.warnings,
                "teacher": run.info.training.get("teacher"),
                "final": _final(run),
                "cross_validation": run.info.cross_validation or None,
                "imported": run.info.imported or None,
                "weights": run.digest,
                "digests": {name: files.sha256_file(run.folder / name) for name in _packed(run)},
            },
            trained={part: run.own_metrics[part] for part in ("validation", "test")},
            gates=asdict(run.recipe.gates),
            variants=found,
            left_out=left_out,
            versions=versions(),
            machine=machine(),
            created=int(time.time()),
        )
        evidence.write(folder / "evidence.json")
    if all(variant.refused for variant in found):
        reasons = "; ".join(f"{variant.name}: {variant.refused}" for variant in found)
        raise RefusedError(f"No variant passes the gates. {reasons}.", code="LX-EXPORT-005")
    return evidence


def _final(run: Run) -> dict[str, Any] | None:
    """Return what a model that was fitted on all texts at the end scored before that; None for others."""
    if "final" not in run.metrics:
        return None
    metric = TASKS[run.recipe.task].METRIC
    return {
        **run.info.training["final"],
        "before": {part: run.metrics[part][metric] for part in ("validation", "test")},
    }


def _left_out(run: Run, variants: Sequence[Variant]) -> dict[str, str]:
    """Return the variants that the run does not support, with the reason. Raises InputError if that is an error."""
    left_out = {}
    for variant in variants:
        reason = variant.unsupported_reason(run.model)
        if reason is None and variant.takes == "text":
            reason = reason_against(run.encoder.spec)
        if reason is not None:
            left_out[variant.name] = reason
    if len(left_out) == len(variants) or any(variant.named for variant in variants if variant.name in left_out):
        raise InputError(
            f"{run.folder} cannot be exported in this way: "
            + "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
            + ".",
            code="LX-EXPORT-006",
        )
    return left_out


def _packed(run: Run) -> list[str]:
    """Return the files that an archive takes from the run folder."""
    return [*run.encoder.files(), "labels.json", "README.md"]
