"""How an answer is written: answers in, JSON out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from .protocol import Refusal, Request

# TorchServe ends a worker whose answer to one request is longer than its `max_response_size`.
MAX_ANSWER = 6_553_500

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False).encode


def render(request: Request, answers: Sequence[dict[str, Any]], model: str, version: str) -> bytes:
    """The response body, JSON in UTF-8: one object for a text, a list for texts, v2's shape for v2.

    Raises Refusal for an answer that TorchServe would not deliver.
    """
    if request.v2:
        body = _dump(_to_v2(request, answers, model, version))
    else:
        if request.top_k is not None:
            answers = [{**answer, "scores": _best(answer["scores"], request.top_k)} for answer in answers]
        body = _dump(answers if request.many else answers[0])
    if len(body) > MAX_ANSWER:
        raise Refusal(
            413,
            f"The answer has {len(body):,} bytes; at most {MAX_ANSWER:,} can be sent.",
            "fewer texts in one request, or `top_k`",
        )
    return body


def _best(scores: dict[str, float], count: int) -> dict[str, float]:
    return dict(sorted(scores.items(), key=lambda item: -item[1])[:count])


def _to_v2(request: Request, answers: Sequence[dict[str, Any]], model: str, version: str) -> dict[str, Any]:
    def tensor(name: str, datatype: str) -> dict[str, Any]:
        data = [answer[name] for answer in answers]
        return {"name": name, "shape": request.shape, "datatype": datatype, "data": data}

    labels = list(answers[0]["scores"])
    scores = {
        "name": "scores",
        "shape": [len(answers), len(labels)],
        "datatype": "FP32",
        "parameters": {"labels": labels},
        "data": [score for answer in answers for score in answer["scores"].values()],
    }
    outputs = [tensor("label", "BYTES"), tensor("score", "FP32"), scores]
    outputs += [tensor("tokens", "INT64"), tensor("unknown", "INT64"), tensor("truncated", "BOOL")]
    body: dict[str, Any] = {"model_name": model, "model_version": version, "outputs": outputs}
    return {"id": request.id, **body} if request.id is not None else body


def _dump(value: Any) -> bytes:
    return _encode(value).encode()


def render_refusal(refusal: Refusal) -> bytes:
    """The body of a 4xx: `error`, `expected` and further details."""
    return json.dumps(refusal.body, ensure_ascii=True).encode()
