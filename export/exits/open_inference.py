"""The goldens as requests of the Open Inference Protocol v2, and the answers to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...errors import RefusedError
from ...handlers.model.decoders import labels_above
from ...handlers.model.goldens import Golden
from .packed import Packed

Ask = Callable[[Mapping[str, Any]], tuple[int, Any]]
"""Sends a request to a server and returns the status and the answer."""


def answers_of_all(
    packed: Packed, ask: Ask, *, texts_alone: bool = False
) -> tuple[list[Golden], list[dict[str, Any]]]:
    """Ask each golden by itself, and all texts in batches, those of a language together.

    Return the goldens, once for each answer, and the answers. With `texts_alone` images are not asked. Raises
    RefusedError for an answer that is no answer.
    """
    texts = [golden for golden in packed.goldens if golden.image is None]
    asked = [[golden] for golden in packed.goldens if not texts_alone or golden.image is None]
    for lang in dict.fromkeys(golden.lang for golden in texts):
        own = [golden for golden in texts if golden.lang == lang]
        asked += [own[first : first + packed.batch] for first in range(0, len(own), packed.batch)]
    goldens: list[Golden] = []
    answers: list[dict[str, Any]] = []
    for some in asked:
        status, answer = ask(request(some))
        if status != 200:
            raise RefusedError(
                f"The server answered goldens with the status {status}: {str(answer)[:300]}. Nothing was written; "
                "see whether the archive itself answers them, with: lexport run",
                code="LX-EXPORT-105",
            )
        goldens += some
        answers += read_answers(packed, answer, len(some))
    return goldens, answers


def request(goldens: Sequence[Golden]) -> dict[str, Any]:
    """Return the request that asks for texts, all of one language, or for one image."""
    [first, *_] = goldens
    if first.image is not None:
        shape = [1, len(first.image)]
        return {"inputs": [{"name": "image", "shape": shape, "datatype": "FP32", "data": first.image}]}
    shape, data = [len(goldens), 1], [golden.text for golden in goldens]
    asked: dict[str, Any] = {"inputs": [{"name": "text", "shape": shape, "datatype": "BYTES", "data": data}]}
    if first.lang is not None:
        asked["parameters"] = {"lang": first.lang}
    return asked


def read_answers(packed: Packed, answer: Mapping[str, Any], count: int) -> list[dict[str, Any]]:
    """Return `count` answers as a model gives them, from the tensors of one."""
    tensors = {one["name"]: one["data"] for one in answer["outputs"]}
    rows = [{name: _row(data, row, count) for name, data in tensors.items()} for row in range(count)]
    return [answer_of_row(packed, row) for row in rows]


def answer_of_row(packed: Packed, row: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Return the answer of one text or image, from the values of its tensors by name."""
    found: dict[str, Any] = {}
    if "vector" in row:
        found["vector"] = list(row["vector"])
    if "scores" in row:
        scores = dict(zip(packed.labels, row["scores"], strict=True))
        if "label" in row:
            label = row["label"][0]
            found |= {"label": label, "score": row["score"][0] if "score" in row else scores[label]}
        else:
            found["labels"] = labels_above(packed.model.threshold, scores)
        found["scores"] = scores
    return found | {name: row[name][0] for name in ("tokens", "unknown", "truncated") if name in row}


def _row(data: Sequence[Any], row: int, count: int) -> Sequence[Any]:
    width = len(data) // count
    return data[row * width : (row + 1) * width]
