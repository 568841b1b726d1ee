"""Write answers as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ..model.decoders import labels_above
from .limits import MAX_RESPONSE
from .outputs import tensors_of
from .protocol import Request
from .refusals import Refusal

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False).encode


def render(request: Request, answers: Sequence[dict[str, Any]], model: str, version: str) -> bytes:
    """Return the response body, JSON in UTF-8: one object for a text or image, a list for several, v2's shape for v2.

    Raises Refusal for an answer that TorchServe would not deliver.
    """
    if request.v2:
        body = _dump(_to_v2(request, answers, model, version))
    else:
        if request.top_k is not None or request.threshold is not None:
            answers = [_cut(answer, request) for answer in answers]
        body = _dump(answers if request.many else answers[0])
    if len(body) > MAX_RESPONSE:
        raise Refusal(
            413,
            f"The answer has {len(body):,} bytes; at most {MAX_RESPONSE:,} can be sent.",
            "fewer texts or images in one request" + ("" if "vector" in answers[0] else ", or `top_k`"),
            code="LX-HTTP-065",
        )
    return body


def _cut(answer: dict[str, Any], request: Request) -> dict[str, Any]:
    """Return an answer with only the labels above the request's threshold, and only its best labels and scores."""
    scores, count = answer["scores"], request.top_k
    cut = {**answer, "scores": scores if count is None else _best(scores, count)}
    if "labels" in answer:
        above = answer["labels"] if request.threshold is None else labels_above(request.threshold, scores)
        cut["labels"] = above[:count]
    return cut


def _best(scores: dict[str, float], count: int) -> dict[str, float]:
    return dict(sorted(scores.items(), key=lambda item: -item[1])[:count])


def _to_v2(request: Request, answers: Sequence[dict[str, Any]], model: str, version: str) -> dict[str, Any]:
    outputs = tensors_of(answers, request.outputs, request.shape)
    body: dict[str, Any] = {"model_name": model, "model_version": version, "outputs": outputs}
    return {"id": request.id, **body} if request.id is not None else body


def _dump(value: Any) -> bytes:
    return _encode(value).encode()


def render_refusal(refusal: Refusal) -> bytes:
    """Return the body of a 4xx: `error`, `expected` and further details."""
    return json.dumps(refusal.body, ensure_ascii=True).encode()
