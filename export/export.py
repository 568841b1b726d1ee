"""Exporting a run: write every variant, answer the held-out texts with it, time it, judge it."""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import files
from ..errors import InputError, RefusedError
from ..handlers.engines import open_engine, open_text_engine
from ..handlers.goldens import golden_problems, read_goldens
from ..handlers.predictor import IdsIn, ModelFile, Predictor
from ..handlers.text import TextEncoder, load_encoder
from ..handlers.textin import TextIn
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
from .textgraph import make_text_in, reason_against
from .variants import Variant


def export(run: Run, variants: Sequence[Variant], *, say: Say = silent) -> Evidence:
    """Write `RUN/export/` anew with a folder a variant and `evidence.json`, whole or not at all.

    Every variant is opened as a worker opens it and judged on the run's own held-out texts: the gate decides
    on the validation texts, the test texts are for the report. What cannot be made of the model is left out, with
    the reason. Raises RefusedError, after writing, if no variant passes, InputError if none can be made, or one that
    was asked for by name cannot.
    """
    left_out = _left_out(run, variants)
    validation, test = run.held_out("validation"), run.held_out("test")
    reference = {part.name: outputs(run.model, run.encoder, part) for part in (validation, test)}
    goldens = choose_goldens(run, validation)
    with files.new_folder(run.folder / "export", replace=True) as folder:
        found = []
        for variant in (one for one in variants if one.name not in left_out):
            started = time.monotonic()
            target = folder / variant.name
            target.mkdir()
            _write(run, variant, target)
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
                "weights": run.digest,
                "digests": {name: files.sha256_file(run.folder / name) for name in _packed(run)},
            },
            trained={part: run.metrics[part] for part in ("validation", "test")},
            gates={"max_metric_drop": MAX_METRIC_DROP},
            variants=found,
            left_out=left_out,
            versions=versions(),
            machine=machine(),
            created=int(time.time()),
        )
        evidence.write(folder / "evidence.json")
    if all(variant.refused for variant in found):
        reasons = "; ".join(f"{variant.name}: {variant.refused}" for variant in found)
        raise RefusedError(f"No variant passes the gates. {reasons}.")
    return evidence


def _left_out(run: Run, variants: Sequence[Variant]) -> dict[str, str]:
    """The variants that cannot be made of the run, each with the reason. Raises InputError if that is an error."""
    left_out = {}
    for variant in variants:
        reason = variant.unsuited(run.model)
        if reason is None and variant.takes == "text":
            reason = reason_against(run.encoder.spec)
        if reason is not None:
            left_out[variant.name] = reason
    if len(left_out) == len(variants) or any(variant.named for variant in variants if variant.name in left_out):
        raise InputError(
            f"{run.folder} cannot be exported like that: "
            + "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
            + "."
        )
    return left_out


def _write(run: Run, variant: Variant, folder: Path) -> None:
    """Write the variant's model files; text-in from the ids-in form where that was written before."""
    ids_in = folder.with_name(variant.name.removesuffix("-text"))
    if variant.takes == "text" and ids_in.is_dir():
        for file in ids_in.glob("*.onnx*"):
            shutil.copyfile(file, folder / file.name)
    else:
        variant.write(run.model, run.encoder.spec.inputs, folder)
    if variant.takes == "text":
        make_text_in(folder / variant.file, run.encoder, run.recipe.task, run.labels, run.threshold)


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
    predictor = opened(run, variant, folder)
    (folder / "golden.jsonl").write_bytes(golden_lines(run, predictor, goldens))
    outputs = {part.name: measure.served(predictor, part) for part in (validation, test)}
    parts = {
        part.name: measure.quality(run, part, reference[part.name], outputs[part.name]) for part in (validation, test)
    }
    return VariantEvidence(
        name=variant.name,
        engine=variant.engine,
        precision=variant.precision,
        dense="int8" if variant.dense else "fp32",
        file=variant.file,
        parallel=run.model.PARALLEL,
        validation=parts["validation"],
        test=parts["test"],
        size=measure.size(folder),
        latency=measure.latency(predictor, validation),
        batch_sensitivity=measure.batch_sensitivity(run, predictor, test, outputs["test"]),
        digests={file.name: files.sha256_file(file) for file in sorted(folder.iterdir())},
        refused=gate(METRIC[run.recipe.task], run.metrics["validation"], parts["validation"])
        or _unlike_goldens(predictor, folder / "golden.jsonl"),
        image_file=predictor.model.image_file,
        vector_bytes=predictor.model.vector_bytes,
        takes=variant.takes,
    )


def _unlike_goldens(predictor: Predictor, file: Path) -> str | None:
    """Why a worker would not become ready, where an answer in a batch is too far from the one recorded alone."""
    goldens = read_goldens(file)
    problems = golden_problems(predictor, goldens)
    if not problems:
        return None
    return (
        f"goldens: {len(problems)} of {2 * len(goldens)} answers are not as recorded ({problems[0]}), so that no "
        "worker would become ready"
    )


def opened(run: Run, variant: Variant, folder: Path) -> Predictor:
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
        takes=variant.takes,
    )
    file, tower = folder / variant.file, None
    if joint:
        tower = open_engine(variant.engine, folder / variant.image_file, threads=1, device="cpu", feed="image")
    if variant.takes == "text":
        text_engine = open_text_engine(file, threads=1, device="cpu")
        return TextIn(model, run.encoder.spec, run.labels, text_engine, tower)
    engine = open_engine(variant.engine, file, threads=1, device="cpu")
    return IdsIn(model, _encoder(run, folder), run.labels, engine, tower)


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
