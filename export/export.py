"""Exporting a run: write every variant, answer the held-out texts with it, time it, judge it."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import files
from ..errors import RefusedError
from ..handlers.engines import open_engine
from ..handlers.predictor import ModelFile, Predictor
from ..handlers.text import TextEncoder, load_encoder
from ..handlers.vocabulary import INDEX, INDEXED_FROM, index_of
from ..models.data import Dataset
from ..models.heads import Joint
from ..models.lessons import outputs
from ..models.run import Run, versions
from ..models.tasks import METRIC, Outputs
from ..progress import Say, silent
from . import measure
from .evidence import MAX_METRIC_DROP, Evidence, VariantEvidence, gate
from .goldens import Asked, choose_goldens, golden_lines
from .variants import Variant


def export(run: Run, variants: Sequence[Variant], *, say: Say = silent) -> Evidence:
    """Write `RUN/export/` anew with a folder a variant and `evidence.json`, whole or not at all.

    Every variant is opened as a worker opens it and judged on the run's own held-out texts: the gate decides
    on the validation texts, the test texts are for the report. Raises RefusedError, after writing, if no
    variant passes.
    """
    validation, test = run.held_out("validation"), run.held_out("test")
    reference = {part.name: outputs(run.model, run.encoder, part) for part in (validation, test)}
    goldens = choose_goldens(run, validation)
    with files.new_folder(run.folder / "export", replace=True) as folder:
        found = []
        for variant in variants:
            started = time.monotonic()
            target = folder / variant.name
            target.mkdir()
            variant.write(run.model, run.encoder.spec.inputs, target)
            found.append(_examine(run, variant, target, validation, test, reference, goldens))
            say(f"{variant.name}: exported and checked in {time.monotonic() - started:.1f} s")
        evidence = Evidence(
            run={
                "recipe": run.recipe.name,
                "task": run.recipe.task,
                "metric": METRIC[run.recipe.task],
                "threshold": run.threshold,
                "seed": run.info.seed,
                "data": run.info.data,
                "digests": {name: files.sha256_file(run.folder / name) for name in _packed(run)},
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


def _packed(run: Run) -> list[str]:
    """What an archive takes from the run itself."""
    return [*run.encoder.files(), "labels.json", "README.md"]


def _examine(
    run: Run,
    variant: Variant,
    folder: Path,
    validation: Dataset,
    test: Dataset,
    reference: dict[str, Outputs],
    goldens: Sequence[Asked],
) -> VariantEvidence:
    predictor = _opened(run, variant, folder)
    (folder / "golden.jsonl").write_bytes(golden_lines(run, predictor, goldens))
    parts = {
        part.name: measure.quality(run, part, reference[part.name], measure.served(predictor, part))
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
        latency=measure.latency(predictor, validation),
        digests={file.name: files.sha256_file(file) for file in sorted(folder.iterdir())},
        refused=gate(METRIC[run.recipe.task], run.metrics["validation"], parts["validation"]),
        image_file=predictor.model.image_file,
        vector_bytes=predictor.model.vector_bytes,
    )


def _opened(run: Run, variant: Variant, folder: Path) -> Predictor:
    """The variant as a worker opens it, on one CPU thread."""
    joint = isinstance(run.model.head, Joint)
    model = ModelFile(
        run.folder.name,
        "0",
        variant.name,
        variant.engine,
        variant.precision,
        variant.file,
        run.model.PARALLEL,
        task=run.recipe.task,
        threshold=run.threshold,
        image_file=variant.image_file if joint else None,
        image_values=run.info.data["image_values"],
        vector_bytes=_vector_bytes(run, variant),
    )
    engine = open_engine(variant.engine, folder / variant.file, threads=1, device="cpu")
    tower = None
    if joint:
        tower = open_engine(variant.engine, folder / variant.image_file, threads=1, device="cpu", feed="image")
    return Predictor(model, _encoder(run, folder), run.labels, engine, tower)


def _vector_bytes(run: Run, variant: Variant) -> int:
    """Of the float32 vector of an id; 0 for torch's bags, which add rows to a sum as they read them."""
    return 0 if variant.engine != "onnx" and not run.model.PARALLEL else 4 * run.model.embedding.dim


def _encoder(run: Run, folder: Path) -> TextEncoder:
    """The run's encoder as a worker has it: of many words by an index, which is written into `folder`."""
    words = run.encoder.vocabulary
    if len(words) < INDEXED_FROM:
        return run.encoder
    (folder / INDEX).write_bytes(index_of(run.encoder.spec, words))
    return load_encoder(run.folder, folder / INDEX)


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
