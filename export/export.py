"""Exporting a run: write every variant, answer the held-out texts with it, time it, judge it."""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

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
from .evidence import Evidence, VariantEvidence
from .gates import judge, refusal, warning
from .goldens import Asked, choose_goldens, given_goldens, golden_lines, made_goldens
from .probes import Vectors, likeness, trained_vectors, variant_vectors
from .reader import GOLDENS, MADE
from .textgraph import make_text_in, reason_against
from .variants import Variant

# A run's weights count as so many bytes at least: a graph and a vocabulary are larger than a tiny table.
_SMALL = 1_000_000
# Instructions that make int8, fp16 and sums of rows fast, as Linux names them on x86 and ARM.
_X86 = ("avx", "avx2", "f16c", "fma", "avx512f", "avx512bw", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8")
_ARM = ("asimd", "asimddp", "i8mm", "bf16", "sve")


def export(run: Run, variants: Sequence[Variant], *, goldens: Path | None = None, say: Say = silent) -> Evidence:
    """Write `RUN/export/` anew with a folder a variant and `evidence.json`, whole or not at all.

    Every variant is opened as a worker opens it and judged on the run's own held-out texts: the gates decide on the
    validation texts, the test texts are for the report. What cannot be made of the model is left out, with the
    reason. `goldens` is a file of further golden requests (`goldens.given_goldens`). Raises RefusedError, after
    writing, if no variant passes, InputError if none can be made, one that was asked for by name cannot, or the
    goldens cannot be read.
    """
    left_out = _left_out(run, variants)
    validation, test = run.held_out("validation"), run.held_out("test")
    reference = {
        part.name: (outputs(run.model, run.encoder, part), trained_vectors(run, part)) for part in (validation, test)
    }
    own = given_goldens(run, goldens) if goldens is not None else []
    asked = {GOLDENS: [*choose_goldens(run, validation), *own], MADE: made_goldens(run, validation)}
    with files.new_folder(run.folder / "export", replace=True) as folder:
        found = []
        for variant in (one for one in variants if one.name not in left_out):
            started = time.monotonic()
            target = folder / variant.name
            target.mkdir()
            _write(run, variant, target)
            found.append(_examine(run, variant, target, validation, test, reference, asked))
            say(f"{variant.name}: exported and checked in {time.monotonic() - started:.1f} s")
        found = [_judged(run, one, found) for one in found]
        for one in found:
            if one.warning is not None:
                say(f"{one.name}: {one.warning}")
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
    reference: dict[str, tuple[Outputs, Vectors]],
    goldens: dict[str, list[Asked]],
) -> VariantEvidence:
    """Everything that is measured of a variant, not judged yet."""
    parts = (validation, test)
    predictor, memory = measure.peak_memory(lambda: _answering(run, variant, folder, validation))
    for name, asked in goldens.items():
        (folder / name).write_bytes(golden_lines(run, predictor, list(dict.fromkeys(asked))))
    outputs = {part.name: measure.served(predictor, part) for part in parts}
    quality = {
        part.name: measure.quality(run, part, reference[part.name][0], outputs[part.name])
        | {"encoder": likeness(reference[part.name][1], variant_vectors(run, variant, folder, part))}
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
        neighbours=measure.neighbour_overlap(run.model, variant.form(run.model), run.encoder, validation),
        calibration=measure.calibration_shift(run, test, reference["test"][0], outputs["test"]),
        robustness=measure.on_unknown_words(run, predictor, test),
        digests={file.name: files.sha256_file(file) for file in sorted(folder.iterdir())},
        gates=[],
        refused=_unlike_goldens(predictor, [folder / name for name in goldens]),
        warning=None,
        worst=measure.worst_texts(run, validation, reference["validation"][0], outputs["validation"]),
        image_file=predictor.model.image_file,
        vector_bytes=predictor.model.vector_bytes,
        takes=variant.takes,
    )


def _answering(run: Run, variant: Variant, folder: Path, part: Dataset) -> Predictor:
    """The variant opened, after its first batch."""
    predictor = opened(run, variant, folder)
    predictor.answers_raw(part.texts[:64], part.languages and part.languages[:64])
    return predictor


def _on_all_cores(run: Run, variant: Variant, folder: Path, part: Dataset) -> dict[str, dict[str, Any]]:
    """Latency with a thread for every core, where there are several."""
    cores = os.cpu_count() or 1
    if cores == 1:
        return {}
    try:
        return {str(cores): measure.latency(opened(run, variant, folder, threads=cores), part)}
    finally:
        torch.set_num_threads(1)  # as every variant is opened otherwise; torch has one setting for all


def _judged(run: Run, found: VariantEvidence, every: Sequence[VariantEvidence]) -> VariantEvidence:
    """The variant's evidence with what the gates say of it; the worst texts are kept of a refused one alone."""
    metric = METRIC[run.recipe.task]
    gates = judge(
        run.recipe.gates,
        metric,
        run.metrics["validation"][metric],
        found.validation,
        found.batch_sensitivity["validation"],
        found.size_ratio,
        _speedup(found, every),
    )
    refused = "; ".join(one for one in (refusal(gates), found.refused) if one is not None) or None
    return replace(
        found,
        gates=[asdict(gate) for gate in gates],
        refused=refused,
        warning=warning(gates),
        worst=found.worst if refused is not None else [],
    )


def _speedup(found: VariantEvidence, every: Sequence[VariantEvidence]) -> float | None:
    """How many times as fast as the fp32 variant of the same engine and input, in batches of 8 on one thread."""
    plain = f"{found.engine}-fp32" + ("-text" if found.takes == "text" else "")
    for one in every:
        if one.name == plain and one is not found:
            return one.time(8) / found.time(8)
    return None


def _unlike_goldens(predictor: Predictor, files: Sequence[Path]) -> str | None:
    """Why a worker would not become ready, where an answer in a batch is too far from the one recorded alone."""
    goldens = [golden for file in files for golden in read_goldens(file)]
    problems = golden_problems(predictor, goldens)
    if not problems:
        return None
    return (
        f"goldens: {len(problems)} of {2 * len(goldens)} answers are not as recorded ({problems[0]}), so that no "
        "worker would become ready"
    )


def opened(run: Run, variant: Variant, folder: Path, threads: int = 1) -> Predictor:
    """The variant as a worker opens it, on the CPU."""
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
        tower = open_engine(variant.engine, folder / variant.image_file, threads=threads, device="cpu", feed="image")
    if variant.takes == "text":
        text_engine = open_text_engine(file, threads=threads, device="cpu")
        return TextIn(model, run.encoder.spec, run.labels, text_engine, tower)
    engine = open_engine(variant.engine, file, threads=threads, device="cpu")
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
    """The machine that measured: processor, cores, what its instructions do for small numbers, operating system."""
    model, features = platform.processor() or platform.machine(), set()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                model = value.strip()
            elif name.strip() in ("flags", "Features"):
                features = set(value.split()).intersection({*_X86, *_ARM})
    except OSError:
        pass
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "features": sorted(features),
        "system": f"{platform.system()} {platform.machine()}",
    }
