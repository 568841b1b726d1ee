"""Collect the evidence of a variant that was just written and opened. Nothing is written or changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch

from ...data.load import Dataset
from ...evaluation.metrics import Outputs
from ...evaluation.tasks import TASKS
from ...handlers.model.goldens import golden_problems, read_goldens
from ...models.predict import outputs as trained_outputs
from ...models.run import Run
from ...storage.cores import cores
from ..formats.files import GOLDENS, SYNTHETIC
from ..formats.writer import WrittenVariant
from . import measure
from .evidence import VariantEvidence
from .gates import evaluate_gates, refusal, warning
from .neighbours import NearestWords
from .probes import Vectors, compare_vectors, trained_probe, variant_probe

# Lower limit for the size of a run's weights: a graph and a vocabulary are larger than a tiny table.
_SMALL = 1_000_000


class Baseline:
    """The trained model's results, computed once. Every variant of the run is compared with them.

    outputs, vectors: its outputs and its encoder's outputs, by part. calibration_error: on the test texts.
    """

    def __init__(self, run: Run, validation: Dataset, test: Dataset) -> None:
        """Run the trained model."""
        probe = trained_probe(run)
        self.outputs: dict[str, Outputs] = {
            part.name: trained_outputs(run.model, run.encoder, part) for part in (validation, test)
        }
        self.vectors: dict[str, Vectors] = {part.name: probe(part) for part in (validation, test)}
        self.calibration_error = measure.calibration_error(run, test, self.outputs["test"])
        self.neighbourhood = NearestWords(run, validation)


def collect_evidence(
    run: Run,
    written: WrittenVariant,
    plain: WrittenVariant | None,
    validation: Dataset,
    test: Dataset,
    baseline: Baseline,
) -> VariantEvidence:
    """Measure a variant and apply the gates; only a refused one keeps its worst texts.

    plain: the fp32 variant of the same engine and input, if it is another one and was exported too.
    """
    variant, predictor, parts = written.variant, written.predictor, (validation, test)
    metric = TASKS[run.recipe.task].METRIC
    seen = measure.counting(predictor)
    outputs = {part.name: measure.predict_batched(predictor, part, seen) for part in parts}
    encoders = _encoder_differences(run, written, parts, baseline)
    quality = {
        part.name: measure.quality(run, part, baseline.outputs[part.name], outputs[part.name])
        | {"encoder": encoders[part.name]}
        for part in parts
    }
    size = measure.size(written.folder)
    size_ratio = size / max((run.folder / "weights.safetensors").stat().st_size, _SMALL)
    batch_sensitivity = {
        part.name: measure.batch_sensitivity(run, predictor, part, outputs[part.name]) for part in parts
    }
    gates = evaluate_gates(
        run.recipe.gates,
        metric,
        run.own_metrics["validation"][metric],
        quality["validation"],
        batch_sensitivity["validation"],
        size_ratio,
        None if plain is None else measure.speedup(predictor, plain.predictor, validation),
    )
    refused = "; ".join(one for one in (refusal(gates), _failed_goldens(written)) if one is not None) or None
    worst: list[dict[str, Any]] = []
    if refused is not None:
        worst = measure.worst_texts(run, validation, baseline.outputs["validation"], outputs["validation"])
    return VariantEvidence(
        name=variant.name,
        engine=variant.engine,
        precision=variant.precision,
        dense="int8" if variant.dense else "fp32",
        takes=variant.takes,
        file=variant.file,
        validation=quality["validation"],
        test=quality["test"],
        size=size,
        size_ratio=size_ratio,
        peak_memory=written.peak_memory,
        latency={"1": measure.latency(predictor, validation)} | _on_all_cores(written, validation),
        batch_sensitivity=batch_sensitivity,
        neighbours=baseline.neighbourhood.overlap(variant.form(run.model)),
        calibration=_calibration(baseline.calibration_error, measure.calibration_error(run, test, outputs["test"])),
        robustness=measure.on_unknown_words(run, predictor, test),
        digests=dict(written.digests),
        gates=[asdict(gate) for gate in gates],
        refused=refused,
        warning=warning(gates),
        worst=worst,
        reference=seen.to_json(),
    )


def _encoder_differences(
    run: Run, written: WrittenVariant, parts: Sequence[Dataset], baseline: Baseline
) -> dict[str, dict[str, Any]]:
    """Return how far the encoder's outputs are from the trained model's, by part."""
    probe = variant_probe(run, written)
    return {part.name: compare_vectors(baseline.vectors[part.name], probe(part)) for part in parts}


def _calibration(trained: float | None, found: float | None) -> dict[str, float] | None:
    if trained is None or found is None:
        return None
    return {"trained": trained, "variant": found, "shift": found - trained}


def _on_all_cores(written: WrittenVariant, part: Dataset) -> dict[str, dict[str, Any]]:
    """Return the latency with a thread for every core; empty with one core."""
    threads = cores()
    if threads == 1:
        return {}
    try:
        return {str(threads): measure.latency(written.on_threads(threads), part)}
    finally:
        torch.set_num_threads(1)  # torch has one setting for all; every other variant is opened with one thread


def _failed_goldens(written: WrittenVariant) -> str | None:
    """Return why a worker would not become ready (predictions in a batch differ from the goldens), or None."""
    goldens = [golden for name in (GOLDENS, SYNTHETIC) for golden in read_goldens(written.folder / name)]
    problems = golden_problems(written.predictor, goldens)
    if not problems:
        return None
    return (
        f"goldens: {len(problems)} of {2 * len(goldens)} answers differ from the recorded ones ({problems[0]}), so "
        "no worker would become ready"
    )
