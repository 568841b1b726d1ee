"""Collect the evidence of one variant that was just written, and apply the gates to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from ...data.load import Dataset
from ...evaluation.metrics import Outputs
from ...evaluation.tasks import TASKS
from ...handlers.model.goldens import golden_problems, read_goldens
from ...handlers.model.predictor import Predictor
from ...models.predict import outputs as trained_outputs
from ...models.run import Run
from ...storage import atomic as files
from ...storage.cores import cores
from ..formats.variants import Variant
from . import measure
from .evidence import VariantEvidence
from .gates import evaluate_gates, refusal, warning
from .goldens import GoldenRequest, golden_lines
from .neighbours import NearestWords
from .open import open_variant
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
    variant: Variant,
    folder: Path,
    validation: Dataset,
    test: Dataset,
    baseline: Baseline,
    goldens: dict[str, list[GoldenRequest]],
) -> VariantEvidence:
    """Measure a variant; the gates are not applied yet. goldens: requests by file; the files are written too."""
    parts = (validation, test)
    predictor, memory = measure.peak_memory(lambda: _opened_and_warm(run, variant, folder, validation))
    for name, asked in goldens.items():
        (folder / name).write_bytes(golden_lines(run, predictor, asked))
    outputs = {part.name: measure.predict_batched(predictor, part) for part in parts}
    with variant_probe(run, variant, folder) as probe:
        quality = {
            part.name: measure.quality(run, part, baseline.outputs[part.name], outputs[part.name])
            | {"encoder": compare_vectors(baseline.vectors[part.name], probe(part))}
            for part in parts
        }
    size = measure.size(folder)
    return VariantEvidence(
        name=variant.name,
        engine=variant.engine,
        precision=variant.precision,
        dense="int8" if variant.dense else "fp32",
        file=variant.file,
        parallel=run.model.PARALLEL,
        validation=quality["validation"],
        test=quality["test"],
        size=size,
        size_ratio=size / max((run.folder / "weights.safetensors").stat().st_size, _SMALL),
        peak_memory=memory,
        latency={"1": measure.latency(predictor, validation)} | _on_all_cores(run, variant, folder, validation),
        batch_sensitivity={
            part.name: measure.batch_sensitivity(run, predictor, part, outputs[part.name]) for part in parts
        },
        neighbours=baseline.neighbourhood.overlap(variant.form(run.model)),
        calibration=_calibration(baseline.calibration_error, measure.calibration_error(run, test, outputs["test"])),
        robustness=measure.on_unknown_words(run, predictor, test),
        digests={file.name: files.sha256_file(file) for file in sorted(folder.iterdir())},
        gates=[],
        refused=_failed_goldens(predictor, [folder / name for name in goldens]),
        warning=None,
        worst=measure.worst_texts(run, validation, baseline.outputs["validation"], outputs["validation"]),
        image_file=predictor.model.image_file,
        vector_bytes=predictor.model.vector_bytes,
        takes=variant.takes,
    )


def _calibration(trained: float | None, found: float | None) -> dict[str, float] | None:
    if trained is None or found is None:
        return None
    return {"trained": trained, "variant": found, "shift": found - trained}


def _opened_and_warm(run: Run, variant: Variant, folder: Path, part: Dataset) -> Predictor:
    """Return the opened variant after its first batch."""
    predictor = open_variant(run, variant, folder)
    predictor.raw_outputs(part.batch[:64])
    return predictor


def _on_all_cores(run: Run, variant: Variant, folder: Path, part: Dataset) -> dict[str, dict[str, Any]]:
    """Return the latency with a thread for every core; empty with one core."""
    threads = cores()
    if threads == 1:
        return {}
    try:
        return {str(threads): measure.latency(open_variant(run, variant, folder, threads=threads), part)}
    finally:
        torch.set_num_threads(1)  # torch has one setting for all; every other variant is opened with one thread


def apply_gates(
    run: Run, found: VariantEvidence, variant: Variant, plain: Variant | None, folder: Path, part: Dataset
) -> VariantEvidence:
    """Return the variant's evidence with the results of the gates; only a refused one keeps its worst texts.

    plain: the fp32 variant of the same engine and input, if it was written too, also into a folder in `folder`.
    part: the validation texts.
    """
    metric = TASKS[run.recipe.task].METRIC
    speedup = None
    if plain is not None:
        both = [open_variant(run, one, folder / one.name) for one in (variant, plain)]
        speedup = measure.speedup(both[0], both[1], part)
    gates = evaluate_gates(
        run.recipe.gates,
        metric,
        run.metrics["validation"][metric],
        found.validation,
        found.batch_sensitivity["validation"],
        found.size_ratio,
        speedup,
    )
    refused = "; ".join(one for one in (refusal(gates), found.refused) if one is not None) or None
    return replace(
        found,
        gates=[asdict(gate) for gate in gates],
        refused=refused,
        warning=warning(gates),
        worst=found.worst if refused is not None else [],
    )


def _failed_goldens(predictor: Predictor, files: Sequence[Path]) -> str | None:
    """Return why a worker would not become ready (predictions in a batch differ from the goldens), or None."""
    goldens = [golden for file in files for golden in read_goldens(file)]
    problems = golden_problems(predictor, goldens)
    if not problems:
        return None
    return (
        f"goldens: {len(problems)} of {2 * len(goldens)} answers differ from the recorded ones ({problems[0]}), so "
        "no worker would become ready"
    )
