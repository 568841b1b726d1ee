"""A trained run or an archive's own variant, judged on any labelled data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import InputError
from ..models import data as data_
from ..models.metrics import score, wilson
from ..models.splits import part_of
from .reader import EVIDENCE, read_json

PARTS = ("all", "train", "validation", "test")


def evaluate(
    target: Path, source: str, *, text_column: str = "text", label_column: str = "label", part: str = "all"
) -> dict[str, Any]:
    """Metrics of the run folder or `.mar` at `target` on `source`.

    accuracy, its 95 % interval, macro_f1 (0 to 1), per_class, confusion (rows truth, columns answers), labels,
    count, and `seen`: how many of the texts the model was trained on, as far as the data are the run's own.
    `part` keeps only the texts of one part of the hash split. Raises InputError for data that do not fit.
    """
    if part not in PARTS:
        raise InputError(f"--part {part!r} is not known; expected one of: {', '.join(PARTS)}.")
    dataset = data_.load(source, text_column=text_column, label_column=label_column)
    rows = [
        (text, label)
        for text, label in zip(dataset.texts, dataset.labels, strict=True)
        if part in ("all", part_of(text))
    ]
    if not rows:
        raise InputError(f"{dataset.name} has no texts in the part {part!r}.")
    texts, truth = [text for text, _ in rows], [label for _, label in rows]
    labels, predicted, trained_on = _answers(target, texts)
    unknown = sorted(set(truth) - set(labels))
    if unknown:
        raise InputError(
            f"{dataset.name} has labels that {target} does not know: {', '.join(unknown[:5])}; it knows: "
            f"{', '.join(labels[:20])}. Check --label-column."
        )
    result = score(truth, predicted, labels)
    low, high = wilson(sum(a == b for a, b in zip(truth, predicted, strict=True)), len(truth))
    seen = sum(part_of(text) == "train" for text in texts) if dataset.digest == trained_on else 0
    return {
        "accuracy": result["accuracy"],
        "accuracy_interval": [low, high],
        "macro_f1": result["macro_f1"],
        "count": len(texts),
        "seen": seen,
        "data": dataset.name,
        "part": part,
        "labels": labels,
        "per_class": result["per_class"],
        "confusion": result["confusion"],
    }


def _answers(target: Path, texts: list[str]) -> tuple[list[str], list[str], str]:
    """Labels, an answer per text, and the digest of the data it was trained on."""
    if target.is_dir():
        from ..models.run import open_run
        from ..models.train import predict

        run = open_run(target)
        return run.labels, predict(run.model, run.encoder, run.labels, texts), str(run.info.data["digest"])
    from .inprocess import opened

    try:
        digest = str(read_json(target, EVIDENCE)["run"]["data"]["digest"])
    except (KeyError, TypeError):
        raise InputError(f"{target}: {EVIDENCE} does not name its data. Make the archive again.") from None
    with opened(target) as archive:
        answers = archive.predict(texts)
    return list(answers[0]["scores"]), [answer["label"] for answer in answers], digest
