"""Settings of a search as people write them, and as `lexport serve` and `lexport archive` take them."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...export.archive.batching import Batches
from ...export.archive.format.reader import read_json
from ...handlers.model.predictor import ModelFile
from ...serving.settings.properties import render
from ...serving.store import Archive, read
from ..targets import Subject
from .space import TORCHSERVE_OWN, Candidate, Served

PROPERTIES = "tuned.properties"
_MODEL = "model.json"
_NUMBERS = {"workers": "workers", "threads": "threads", "batch": "batch_size", "delay": "batch_delay"}
_MOST = 10_000
EXAMPLE = "engine=torchserve,workers=4,batch=1,delay=100"


@dataclass(frozen=True)
class Tunable:
    """An archive under test."""

    subject: Subject
    archive: Archive
    served: Served

    @property
    def path(self) -> Path:
        """Its file."""
        return self.archive.path

    @property
    def variant(self) -> str:
        """The variant that it was packed with, else its label."""
        return self.archive.variant or self.served.label


def tunable_of(subject: Subject, engines: Sequence[str]) -> Tunable:
    """Return what a search must know of an archive, and which of `engines` serve it. Raises InputError."""
    assert subject.path is not None
    archive = read(subject.path)
    own = archive.made_by_lexport
    named = archive.setting_names or ()
    return Tunable(
        subject,
        archive,
        Served(
            subject.label,
            Batches(
                archive.numbers.get("batchSize", TORCHSERVE_OWN.size),
                archive.numbers.get("maxBatchDelay", TORCHSERVE_OWN.delay),
            ),
            can_change=own or not {"batchSize", "maxBatchDelay"} & set(named),
            parallel=own and bool(read_json(subject.path, _MODEL).get("parallel", ModelFile.parallel)),
            engines=tuple(engine for engine in engines if own or engine != "embedded"),
            workers=archive.workers,
        ),
    )


def parse_start(text: str, default: Candidate, tested: Mapping[str, Tunable]) -> Candidate:
    """Return the settings of `--start`, such as `engine=torchserve,workers=4,batch=1,delay=100`.

    What it leaves out is as in `default`. `variant` names a variant of a run. Raises InputError for anything else,
    and for settings that the archive or the engine does not take.
    """
    found = default
    for part in (one.strip() for one in text.split(",")):
        name, _, value = part.partition("=")
        if name == "engine" and value in ("torchserve", "embedded"):
            found = replace(found, engine=value)
        elif name == "variant" and (labels := [key for key, one in tested.items() if one.variant == value]):
            found = replace(found, archive=labels[0])
        elif name in _NUMBERS and re.fullmatch(r"[1-9][0-9]{0,4}", value) and int(value) <= _MOST:
            number: dict[str, Any] = {_NUMBERS[name]: int(value)}
            found = replace(found, **number)
        else:
            variants = ", ".join(one.variant for one in tested.values())
            raise InputError(
                f"--start {part!r} is not understood. Expected engine=torchserve or embedded, variant=one of "
                f"{variants}, and workers, threads, batch and delay (ms) from 1 to {_MOST:,}, with commas: {EXAMPLE}",
                code="LX-LOAD-137",
            )
    served = tested[found.archive].served
    if found.engine == "embedded":
        found = replace(found, batch_delay=0)
    elif found.batch_delay == 0:
        found = replace(found, batch_delay=served.batches.delay)
    fixed = not served.can_change and found.batches(served.batches) != served.batches
    if fixed or found.engine not in served.engines or served.workers not in (None, found.workers):
        raise InputError(
            f"--start {text} cannot be served: {found.archive} is served by {' or '.join(served.engines)}"
            f"{f' with {served.workers} workers, which it fixes' if served.workers else ''}"
            f"{', and its own settings fix its batches' if not served.can_change else ''}. Give other settings.",
            code="LX-LOAD-138",
        )
    return found


def properties_of(archive: Archive, batches: Batches) -> str:
    """Return a config.properties with the batches of an archive whose own settings name none."""
    entry = {"batchSize": batches.size, "maxBatchDelay": batches.delay}
    models = json.dumps({archive.name: {archive.version: entry}})
    return render({"models": models}, "Written by lexport tune, for: lexport serve MAR --config FILE")


def commands(winner: Candidate, tested: Tunable, run: Path | None, out: Path, *, trust_code: bool) -> list[str]:
    """Return the command lines that serve a model with the settings of the winner.

    `run` is the run of which the archive is a variant, None: it is an archive of its own; `out` is the folder where
    `tuned_file` says that a file with its settings lies.
    """
    serve = ["lexport", "serve", str(tested.path), "--engine", winner.engine, "--workers", winner.worker_set]
    file = tuned_file(winner, tested, run)
    if run is not None:
        batches = winner.batches(tested.served.batches)
        pack = ["lexport", "archive", str(run), "--version", "1.0", "--variant", tested.variant]
        if batches != tested.served.batches:
            pack += ["--batch-size", str(batches.size), "--batch-delay", str(batches.delay)]
        serve[2] = str(Path("model_store") / f"{run.resolve().name}-1.0.mar")
        return [shlex.join(pack), shlex.join(serve)]
    if file == PROPERTIES:
        serve += ["--config", str(out / file)]
    elif file is not None:
        serve[2] = str(out / file)
    return [shlex.join([*serve, *(["--trust-code"] if trust_code else [])])]


def tuned_file(winner: Candidate, tested: Tunable, run: Path | None) -> str | None:
    """Return the name of the file with the winner's batches: an archive, or settings of one that is not ours.

    None where the archive has these batches, and of a run, from which one with them is packed.
    """
    if run is not None or winner.batches(tested.served.batches) == tested.served.batches:
        return None
    if tested.archive.made_by_lexport:
        return f"{tested.archive.name}-{tested.archive.version}.mar"
    return PROPERTIES
