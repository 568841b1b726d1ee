"""Exporting a run: write every variant, answer the held-out texts with it, time it, judge it."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .. import files
from ..errors import RefusedError
from ..handlers.engines import Scores, open_engine
from ..handlers.predictor import ModelFile, Predictor
from ..models.data import Dataset
from ..models.run import Run, versions
from ..models.train import scores
from . import measure
from .evidence import MAX_METRIC_DROP, Evidence, VariantEvidence, gate
from .goldens import choose_goldens, golden_lines
from .variants import Variant

Say = Callable[[str], None]

# What an archive takes from the run itself.
PACKED = ("text.json", "vocabulary.txt", "labels.json", "README.md")


def _silent(_: str) -> None:
    return


def export(run: Run, variants: Sequence[Variant], *, say: Say = _silent) -> Evidence:
    """Write `RUN/export/` anew with a folder a variant and `evidence.json`, whole or not at all.

    Every variant is opened as a worker opens it and judged on the run's own held-out texts: the gate decides
    on the validation texts, the test texts are for the report. Raises RefusedError, after writing, if no
    variant passes.
    """
    validation, test = run.held_out("validation"), run.held_out("test")
    reference = {part.name: scores(run.model, run.encoder, part.texts) for part in (validation, test)}
    goldens = choose_goldens(run, validation)
    with files.new_folder(run.folder / "export", replace=True) as folder:
        found = []
        for variant in variants:
            started = time.monotonic()
            target = folder / variant.name
            target.mkdir()
            variant.write(variant.form(run.model), target / variant.file)
            found.append(_examine(run, variant, target, validation, test, reference, goldens))
            say(f"{variant.name}: exported and checked in {time.monotonic() - started:.1f} s")
        evidence = Evidence(
            run={
                "recipe": run.info.recipe["name"],
                "seed": run.info.seed,
                "data": run.info.data,
                "digests": {name: files.sha256_file(run.folder / name) for name in PACKED},
            },
            trained={part: run.metrics[part] for part in ("validation", "test")},
            gates={"max_metric_drop": MAX_METRIC_DROP},
            variants=found,
            versions=versions(),
            machine=machine(),
            created=int(time.time()),
        )
        evidence.write(folder / "evidence.json")
    if all(variant.refused for variant in found):
        reasons = "; ".join(f"{variant.name}: {variant.refused}" for variant in found)
        raise RefusedError(f"No variant passes the gates. {reasons}.")
    return evidence


def _examine(
    run: Run,
    variant: Variant,
    folder: Path,
    validation: Dataset,
    test: Dataset,
    reference: dict[str, Scores],
    goldens: Sequence[str],
) -> VariantEvidence:
    # As a worker opens it, on one CPU thread.
    model = ModelFile(run.folder.name, "0", variant.name, variant.engine, variant.precision, variant.file)
    engine = open_engine(variant.engine, folder / variant.file, threads=1, device="cpu")
    predictor = Predictor(model, run.encoder, run.labels, engine)
    (folder / "golden.jsonl").write_bytes(golden_lines(run, predictor, goldens))
    parts = {
        part.name: measure.quality(predictor, part, reference[part.name], measure.answers(predictor, part.texts))
        for part in (validation, test)
    }
    return VariantEvidence(
        name=variant.name,
        engine=variant.engine,
        precision=variant.precision,
        file=variant.file,
        parallel=run.model.PARALLEL,
        validation=parts["validation"],
        test=parts["test"],
        size=measure.size(folder),
        latency=measure.latency(predictor, validation.texts),
        digests={file.name: files.sha256_file(file) for file in sorted(folder.iterdir())},
        refused=gate(run.metrics["validation"], parts["validation"]),
    )


def machine() -> dict[str, Any]:
    """The machine that measured: processor, cores, operating system."""
    model = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    return {"processor": model, "cores": os.cpu_count(), "system": f"{platform.system()} {platform.machine()}"}
