"""The tensors of an answer in the Open Inference Protocol v2: which are asked for, and how they are written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

from ..model.decoders import Decoder
from .refusals import Refusal, kind, shorten, show

DATATYPES = {
    "label": "BYTES",
    "score": "FP32",
    "scores": "FP32",
    "vector": "FP32",
    "tokens": "INT64",
    "unknown": "INT64",
    "truncated": "BOOL",
}
"""The datatype of each tensor that an answer may have."""
OF_IMAGES = ("vector",)
"""The tensors of an answer to images."""
_EXPECTED = '`outputs` as [{"name": "…"}, …], each name once; without it all are answered'
_WITHOUT_EFFECT = {"binary_data"}


def read_outputs(asked: Any) -> tuple[str, ...] | None:
    """Return the names in a request's `outputs`, in their order; None where it asks for all. Raises Refusal."""
    if asked is None or asked == []:
        return None
    if not isinstance(asked, list) or not all(
        isinstance(one, dict) and type(one.get("name")) is str for one in asked
    ):
        raise Refusal(400, "`outputs` is not a list of objects with a `name`.", _EXPECTED, code="LX-HTTP-130")
    names = tuple(one["name"] for one in asked)
    [(most, times)] = Counter(names).most_common(1)
    if times > 1:
        raise Refusal(400, f"The output {show(most)} is asked for {times:,} times.", _EXPECTED, code="LX-HTTP-131")
    for one in asked:
        _check_parameters(one["name"], one.get("parameters", {}))
    return names


def check_outputs(asked: Sequence[str] | None, decoder: Decoder, *, of_images: bool) -> None:
    """Raise Refusal for an output that a model does not have."""
    known = OF_IMAGES if of_images else decoder.TENSORS
    unknown = [name for name in asked or () if name not in known]
    if unknown:
        named = ", ".join(map(show, unknown[:8]))
        raise Refusal(
            400,
            f"The request asks for outputs that are not known here: {named}.",
            f"one or more of: {', '.join(known)}",
            code="LX-HTTP-132",
        )


def tensors_of(
    answers: Sequence[dict[str, Any]], asked: Sequence[str] | None, shape: list[int] | None
) -> list[dict[str, Any]]:
    """Return the tensors of answers, those that are `asked` for in their order, None: all of them.

    `shape` is that of the request's tensor, which tensors with one element for each text have, too.
    """
    return [
        _matrix(name, answers) if name in ("scores", "vector") else _tensor(name, answers, shape)
        for name in asked or [key for key in answers[0] if key in DATATYPES]
    ]


def _tensor(name: str, answers: Sequence[dict[str, Any]], shape: list[int] | None) -> dict[str, Any]:
    return {"name": name, "shape": shape, "datatype": DATATYPES[name], "data": [answer[name] for answer in answers]}


def _matrix(name: str, answers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    first = answers[0][name]
    rows: list[Collection[float]]
    if isinstance(first, dict):
        parameters = {"parameters": {"labels": list(first)}}
        rows = [answer[name].values() for answer in answers]
    else:
        parameters, rows = {}, [answer[name] for answer in answers]
    data = [value for row in rows for value in row]
    shape = [len(rows), len(first)]
    return {"name": name, "shape": shape, "datatype": DATATYPES[name], **parameters, "data": data}


def _check_parameters(output: str, given: Any) -> None:
    if isinstance(given, dict) and given.keys() <= _WITHOUT_EFFECT:
        return
    named = ", ".join(f"`{shorten(name)}`" for name in list(given)[:8]) if isinstance(given, dict) else kind(given)
    raise Refusal(
        400,
        f"The parameters of the output {show(output)} are {named}.",
        "`binary_data`, which changes nothing, or none",
        code="LX-HTTP-133",
    )
