"""Every refusal has a code of its own in its answer, which clients can rely on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lexport.handlers.request.answers import render_refusal
from lexport.handlers.request.compatibility import validate_for_model
from lexport.handlers.request.compression import unpacked
from lexport.handlers.request.protocol import parse
from lexport.handlers.request.refusals import Refusal

from ..models import predictor

JSON = "application/json"


def code_of(body: Any, content_type: str = JSON, **headers: str) -> str:
    """The code with which a model for one label refuses a request, as the answer carries it."""
    model = predictor("classify").model
    with pytest.raises(Refusal) as refused:
        validate_for_model(parse(unpacked({"body": body}, headers), content_type), model, ())
    return str(json.loads(render_refusal(refused.value))["code"])


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "LX-HTTP-007"),
        (b'{"text": ', "LX-HTTP-015"),
        (b'{"text": NaN}', "LX-HTTP-017"),
        (b"[1]", "LX-HTTP-018"),
        (b'{"text": "a", "texts": ["b"]}', "LX-HTTP-020"),
        (b'{"sentence": "a"}', "LX-HTTP-021"),
        (b'{"text": 1}', "LX-HTTP-022"),
        (b'{"texts": ["a", 1]}', "LX-HTTP-024"),
        (b'{"texts": []}', "LX-HTTP-031"),
        (b'{"text": "a", "top_k": 0}', "LX-HTTP-033"),
        (b'{"text": "a", "threshold": 0.5}', "LX-HTTP-055"),
        (b'{"image": [0.5]}', "LX-HTTP-056"),
        (b'{"text": "a", "lang": "en"}', "LX-HTTP-058"),
        (b'{"inputs": []}', "LX-HTTP-035"),
    ],
)
def test_a_bad_body_is_refused_with_its_code(body: bytes, code: str) -> None:
    assert code_of(body) == code


def test_other_types_and_encodings_have_codes_too() -> None:
    assert code_of(b"a", "image/png") == "LX-HTTP-008"
    assert code_of(b"\xff", "text/plain") == "LX-HTTP-013"
    assert code_of(b"a", "text/plain; charset=utf-32") == "LX-HTTP-012"
    assert code_of(b"a", "text/plain", **{"Content-Encoding": "br"}) == "LX-HTTP-001"
