"""Bring a foreign model in: recognise it, read it, compare its answers, write the run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from dataclasses import replace as changed
from pathlib import Path

from ...data.load import Columns, Dataset, Source, dataset_of, load
from ...data.part_record import PartRecord
from ...data.reading.options import USUAL_READING, Reading
from ...data.splits import PARTS
from ...errors import InputError, RefusedError
from ...evaluation.metrics import Outputs
from ...evaluation.tasks import Task, task_of
from ...models import run
from ...models.predict import outputs, text_outputs
from ...storage import atomic
from ...storage.compression import shown
from ...storage.progress import Say, silent
from ...training.save import check_replaceable, unknown_share
from .card import write_card
from .kind import Imported, ImportOptions, Kind
from .kinds import kind_of
from .proof import Proof, compare

MOST_TEXTS = 2000
"""So many of the user's texts are asked, those that come first."""
_LEAST_TEXTS = 2
_HELD_OUT = PARTS[1:]


def import_run(
    path: Path | object,
    out: Path,
    texts: Source,
    *,
    text_column: str = "text",
    reading: Reading = USUAL_READING,
    options: ImportOptions = ImportOptions(),  # noqa: B008  (it is immutable)
    replace: bool = False,
    say: Say = silent,
) -> run.Run:
    """Make the run `out` of the foreign model at `path`, or in memory, completely or not at all, and return it.

    Both answer the texts of `texts`, which the run then keeps as its validation and test texts, a half each, with the
    foreign model's answers as their labels: its metrics say how far it agrees with the foreign model. Raises
    InputError for a model or texts that cannot be used, RefusedError if the answers differ.
    """
    check_replaceable(out, replace=replace)
    atomic.check_folder(out, replace=replace)
    kind = kind_of(path)
    source = str(path) if isinstance(path, Path) else type(path).__name__
    say(f"{source}: {kind.NAME}")
    data = _read_texts(texts, text_column, reading, say)
    imported = kind.read(path, options)
    for note in imported.notes:
        say(note)
    _check_labels(source, imported.labels)
    imported.model.eval()
    with atomic.new_folder(out, replace=replace) as folder:
        _write(folder, out.name, kind, path, source, imported, data, say)
    del imported  # its table, before that of the run is read
    return run.open_run(out)


def _read_texts(source: Source, text_column: str, reading: Reading, say: Say) -> Dataset:
    """Return the user's texts, without labels, at most MOST_TEXTS. Raises InputError."""
    found = load(source, Columns(text_column, label=None), reading=reading)
    for note in found.notes:
        say(note)
    if len(found) < _LEAST_TEXTS:
        raise InputError(
            f"{found.name} has {len(found)} different texts; at least {_LEAST_TEXTS} are needed to compare the "
            "answers before and after. Name texts as your model meets them, some hundreds of them.",
            code="LX-IMPORT-003",
        )
    kept = found.take(range(min(len(found), MOST_TEXTS)), found.name)
    return changed(kept, dropped=found.dropped, languages=None, pairs=None, images=None)


def _check_labels(source: str, labels: Sequence[str]) -> None:
    """Raise InputError for a label that no file can have."""
    for label in labels:
        try:
            label.encode()
        except UnicodeEncodeError:
            raise InputError(
                f"{source} has the label {shown(repr(label))}, which is no valid Unicode: half of a surrogate pair "
                "stands alone. Rename it in the model that is brought in.",
                code="LX-IMPORT-901",
            ) from None


def _write(
    folder: Path,
    name: str,
    kind: Kind,
    path: Path | object,
    source: str,
    imported: Imported,
    data: Dataset,
    say: Say,
) -> None:
    """Write the run's files to the empty `folder`. Raises RefusedError if the answers differ."""
    recipe, model, encoder = imported.recipe, imported.model, imported.encoder
    task = task_of(recipe.task, imported.labels, getattr(recipe.head, "threshold", 0.5))
    try:
        before = imported.before(data.texts)
        after = text_outputs(model, encoder, data.texts)
    except ValueError as error:
        raise InputError(
            f"{source} was read as {kind.NAME}, and does not answer every text of {data.name}: {shown(error)}. Leave "
            "out texts that the model cannot read, or fix the model.",
            code="LX-IMPORT-904",
        ) from None
    proof = compare(task, imported.within, data.texts, before, after)
    if not proof.proven:
        raise RefusedError(
            f"{source} was read as {kind.NAME}, but the run does not answer as it did: {proof.why}. Nothing is "
            "written; please report it with the texts that differ.",
            code="LX-IMPORT-004",
        )
    say(_told(proof))
    parts = _parts(task, data, before)
    looked_up = {part: encoder.look_up(one.texts) for part, one in parts.items()}
    metrics = {part: task.metrics(one, outputs(model, encoder, one)) for part, one in parts.items()}
    origin = {
        "kind": kind.NAME,
        "file": path.name if isinstance(path, Path) else source,
        "digest": atomic.sha256_file(path) if isinstance(path, Path) and path.is_file() else None,
        **imported.facts,
        "proof": asdict(proof),
    }
    info = run.RunInfo(
        recipe=recipe.to_json(),
        seed=0,
        data={
            "name": data.name,
            "digest": data.digest,
            "split": {"by": "import", "own": True},
            "dropped": dict(data.dropped),
            "train": 0,
            **{part: len(one) for part, one in parts.items()},
            "unknown_share": unknown_share(looked_up["validation"]),
            "untested_labels": [],
            "image_values": 0,
        },
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        training={"epochs": 0, "best_epoch": 0, "validation_losses": [], "seconds": 0.0},
        versions=run.versions(),
        created=int(time.time()),
        imported=origin,
    )
    card = write_card(name, info, recipe, task, encoder.spec)
    run.write(folder, info, model, encoder, imported.labels, metrics, parts, card, _record(parts))


def _parts(task: Task, data: Dataset, answers: Outputs) -> dict[str, Dataset]:
    """Return the validation and test texts, every other text each, with the answers as labels."""
    labels = ["|".join(found) for found in task.predictions(answers)] or [""] * len(data)
    whole = dataset_of(
        data.texts,
        labels,
        data.name,
        dropped=data.dropped,
        parts=[_HELD_OUT[row % 2] for row in range(len(data))],
    )
    whole = type(task).prepare(whole, Columns(label=None))
    found: dict[str, Dataset] = {}
    for part in _HELD_OUT:
        rows = [row for row, own in enumerate(whole.parts or []) if own == part]
        if not rows:
            raise InputError(
                f"{data.name} leaves no {part} texts: {len(whole):,} of its {len(data):,} texts are long enough for "
                "a model of text vectors. Name more texts, or longer ones.",
                code="LX-IMPORT-005",
            )
        found[part] = whole.take(rows, part)
    return found


def _record(parts: dict[str, Dataset]) -> PartRecord | None:
    every = list(parts.values())
    return PartRecord.of(
        dataset_of(
            [text for one in every for text in one.texts],
            [""] * sum(map(len, every)),
            "",
            parts=[part for part, one in parts.items() for _ in range(len(one))],
        )
    )


def _told(proof: Proof) -> str:
    """Return what the proof found, in a line."""
    measure = (
        f"largest difference of a score {proof.largest_difference:.2g}"
        if proof.least_cosine is None
        else f"least cosine {proof.least_cosine:.6f}"
    )
    return f"{proof.same:,} of {proof.texts:,} texts are answered as before; {measure}"
