"""Export a run: write every variant, measure it on the held-out texts, apply the gates."""

from __future__ import annotations

import platform
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ..errors import InputError, RefusedError
from ..evaluation.tasks import TASKS
from ..models.run import Run, versions
from ..storage import atomic as files
from ..storage.cores import cores
from ..storage.progress import Say, silent
from .evidence.collect import Baseline, apply_gates, collect_evidence
from .evidence.evidence import Evidence, VariantEvidence
from .evidence.files import GOLDENS, SYNTHETIC
from .evidence.goldens import choose_goldens, read_golden_requests, synthetic_goldens
from .formats.variants import Variant
from .textgraph import make_text_in, reason_against

# Instructions that make int8, fp16 and sums of rows fast, as Linux names them on x86 and ARM.
_X86 = ("avx", "avx2", "f16c", "fma", "avx512f", "avx512bw", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8")
_ARM = ("asimd", "asimddp", "i8mm", "bf16", "sve")


def export(run: Run, variants: Sequence[Variant], *, goldens: Path | None = None, say: Say = silent) -> Evidence:
    """Write `RUN/export/` again, with a folder for each variant and `evidence.json`, completely or not at all.

    Every variant is opened as a worker opens it and measured on the held-out texts of the run: the gates use the
    validation texts, the test texts are for the report. Variants that the model does not support are left out, with
    the reason. `goldens` is a file of further golden requests (`goldens.read_golden_requests`). Raises RefusedError,
    after writing, if no variant passes, InputError if the model supports none, or not one that
    was named, or if the goldens cannot be read.
    """
    left_out = _left_out(run, variants)
    validation, test = run.held_out("validation"), run.held_out("test")
    baseline = Baseline(run, validation, test)
    own = read_golden_requests(run, goldens) if goldens is not None else []
    usual = dict.fromkeys([*choose_goldens(run, validation), *own])
    asked = {GOLDENS: list(usual), SYNTHETIC: synthetic_goldens(run, validation)}
    with files.new_folder(run.folder / "export", replace=True) as folder:
        found = []
        for variant in (one for one in variants if one.name not in left_out):
            started = time.monotonic()
            target = folder / variant.name
            target.mkdir()
            _write(run, variant, target)
            found.append(collect_evidence(run, variant, target, validation, test, baseline, asked))
            say(f"{variant.name}: exported and checked in {time.monotonic() - started:.1f} s")
        written = {variant.name: variant for variant in variants if variant.name not in left_out}
        found = [apply_gates(run, one, written[one.name], _plain(written, one), folder, validation) for one in found]
        for one in found:
            if one.warning is not None:
                say(f"{one.name}: {one.warning}")
        evidence = Evidence(
            run={
                "recipe": run.recipe.name,
                "task": run.recipe.task,
                "metric": TASKS[run.recipe.task].METRIC,
                "threshold": run.threshold,
                "seed": run.info.seed,
                "data": run.info.data,
                "warnings": run.info.warnings,
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
        raise RefusedError(f"No variant passes the gates. {reasons}.", code="LX-EXPORT-005")
    return evidence


def _plain(written: dict[str, Variant], found: VariantEvidence) -> Variant | None:
    """Return the fp32 variant of the same engine and input, if it was written and is another one."""
    plain = (found.engine, "fp32", found.takes)
    others = (one for one in written.values() if (one.engine, one.precision, one.takes) == plain)
    return next(others, None) if found.precision != "fp32" else None


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


def _write(run: Run, variant: Variant, folder: Path) -> None:
    """Write the variant's model files; a text-in one from the ids-in form if that was written before."""
    ids_in = folder.with_name(replace(variant, takes="ids").name)
    if variant.takes == "text" and ids_in.is_dir():
        for file in ids_in.glob("*.onnx*"):
            shutil.copyfile(file, folder / file.name)
    else:
        variant.write(run.model, run.encoder.spec.inputs, folder)
    if variant.takes == "text":
        make_text_in(folder / variant.file, run.encoder, TASKS[run.recipe.task].ANSWERS, run.labels, run.threshold)


def _packed(run: Run) -> list[str]:
    """Return the files that an archive takes from the run folder."""
    return [*run.encoder.files(), "labels.json", "README.md"]


def machine() -> dict[str, Any]:
    """Describe this machine: processor, cores, instructions that matter for low precision, operating system."""
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
        "cores": cores(),
        "features": sorted(features),
        "system": f"{platform.system()} {platform.machine()}",
    }
