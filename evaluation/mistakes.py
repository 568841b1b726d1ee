"""The worst mistakes of a model: the texts to read first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..data.load import Dataset, label_sets
from ..handlers.text.encoder import TextEncoder
from .bootstrap import target_ranks
from .metrics import label_matrix
from .tasks import Outputs, group_ids


def mistakes(
    task: str,
    part: Dataset,
    outputs: Outputs,
    labels: Sequence[str],
    encoder: TextEncoder,
    *,
    threshold: float = 0.5,
    most: int = 10,
) -> list[dict[str, Any]]:
    """Return the `most` worst mistakes in `outputs` for `part`, as JSON can hold them, the worst first.

    "classify": wrong predictions, by their score; each has `truth`, `answer`, `score`, `truth_score`. "multilabel":
    wrong decisions on one `label`, by the distance of its `score` from 1 if the text has the label (`carried`), else
    from 0; `truth` and `answer` are sets. "vector" and "joint": texts by the `rank` of the first correct pair or
    image; `score` is its product with the text, `found` and `found_score` are the nearest one (a pair, or an image by
    its label or row). All have `text`, `tokens`, `unknown` and `truncated`.
    """
    if task == "classify":
        found = _answers(part, outputs, labels)
    elif task == "multilabel":
        found = _decisions(part, outputs, labels, threshold)
    else:
        found = _searches(task, part, outputs)
    worst = sorted(found, key=lambda one: (-one[0], one[1]))[:most]
    rows = [row for _, row, _ in worst]
    languages = None if part.languages is None else [part.languages[row] for row in rows]
    tokens = encoder.look_up([part.texts[row] for row in rows], languages)
    return [
        {"text": part.texts[row], **facts, "tokens": count, "unknown": unknown, "truncated": cut}
        for (_, row, facts), count, unknown, cut in zip(
            worst, tokens.lengths.tolist(), tokens.unknown.tolist(), tokens.truncated, strict=True
        )
    ]


# How bad the mistake is, the row of the text, and the facts to report.
_Found = Iterator[tuple[float, int, dict[str, Any]]]


def _answers(part: Dataset, scores: Outputs, labels: Sequence[str]) -> _Found:
    place = {label: index for index, label in enumerate(labels)}
    for row, (truth, answer) in enumerate(zip(part.labels, scores.argmax(axis=1).tolist(), strict=True)):
        if labels[answer] != truth:
            score, own = float(scores[row, answer]), float(scores[row, place[truth]])
            yield score, row, {"truth": truth, "answer": labels[answer], "score": score, "truth_score": own}


def _decisions(part: Dataset, scores: Outputs, labels: Sequence[str], threshold: float) -> _Found:
    truth, predicted = label_matrix(label_sets(part.labels), labels), scores >= threshold

    def names(chosen: npt.NDArray[np.bool_]) -> list[str]:
        return [label for label, one in zip(labels, chosen.tolist(), strict=True) if one]

    for row, column in zip(*(places.tolist() for places in np.nonzero(truth != predicted)), strict=True):
        score, own = float(scores[row, column]), bool(truth[row, column])
        facts = {"label": labels[column], "carried": own, "score": score}
        yield abs(own - score), row, facts | {"truth": names(truth[row]), "answer": names(predicted[row])}


def _searches(task: str, part: Dataset, outputs: Outputs) -> _Found:
    texts, others, groups = outputs[: len(part)], outputs[len(part) :], group_ids(task, part)
    ranks = target_ranks(task, part, outputs)
    for row in np.flatnonzero(ranks > 1).tolist():
        products = others @ texts[row]
        right = groups == groups[row]
        first = int(np.where(right, -np.inf, products).argmax())
        facts = {"rank": int(ranks[row]), "targets": len(others), "score": float(products[right].max())}
        yield ranks[row], row, facts | {"found": _named(task, part, first), "found_score": float(products[first])}


def _named(task: str, part: Dataset, row: int) -> str:
    if task == "vector":
        assert part.pairs is not None
        return part.pairs[row]
    return part.labels[row] or f"image {row + 1:,}"
