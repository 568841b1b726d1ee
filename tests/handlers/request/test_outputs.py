"""The outputs that a request of the Open Inference Protocol asks for: read, checked, and answered in their order."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexport.handlers.engine.engines import Counts
from lexport.handlers.model.decoders import DECODERS, vectors
from lexport.handlers.request.answers import render
from lexport.handlers.request.compatibility import validate_for_model
from lexport.handlers.request.outputs import DATATYPES, OF_IMAGES
from lexport.handlers.request.protocol import Request, parse
from lexport.handlers.request.refusals import Refusal

from ...refusals import refused
from ..models import PIXELS, predictor

TEXT = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["goal"]}
IMAGE = {"name": "image", "shape": [PIXELS], "datatype": "FP32", "data": [0.5] * PIXELS}


def asked(outputs: Any, tensor: dict[str, Any] | None = None, task: str = "classify") -> Request:
    """A request for these outputs, read and found to fit a model."""
    body = json.dumps({"inputs": [tensor or TEXT], "outputs": outputs}).encode()
    request = parse({"body": body}, "application/json")
    validate_for_model(request, predictor(task).model, ())
    return request


def named(*names: str) -> list[dict[str, Any]]:
    return [{"name": name} for name in names]


@pytest.mark.parametrize("nothing", [None, []])
def test_without_names_all_are_answered(nothing: Any) -> None:
    assert asked(nothing).outputs is None


def test_names_are_kept_in_their_order() -> None:
    assert asked(named("scores", "label")).outputs == ("scores", "label")
    without_effect = [{"name": "score", "parameters": {"binary_data": True}}]
    assert asked(without_effect).outputs == ("score",)


@pytest.mark.parametrize("task", DECODERS)
def test_a_models_tensors_are_those_of_its_answers(task: str) -> None:
    one = Counts(np.array([3]), np.array([1]), np.array([False]))
    [answer] = DECODERS[task].decode(np.array([[0.25, 0.75]], np.float32), one, ("a", "b"), 0.5)
    assert tuple(name for name in answer if name in DATATYPES) == DECODERS[task].TENSORS
    assert asked(named(*DECODERS[task].TENSORS), task=task).outputs == DECODERS[task].TENSORS
    assert tuple(vectors(np.array([[0.5]], np.float32))[0]) == OF_IMAGES


ANSWER = {
    "label": "a",
    "score": 0.75,
    "scores": {"a": 0.75, "b": 0.25},
    "tokens": 3,
    "unknown": 1,
    "truncated": False,
}


@given(st.permutations(DECODERS["classify"].TENSORS), st.integers(1, 6))
def test_what_is_answered_is_cut_out_of_the_whole_answer(order: list[str], count: int) -> None:
    names = tuple(order[:count])
    request = Request(["x"] * 2, many=True, v2=True, id="7", shape=[2, 1])
    whole = json.loads(render(request, [ANSWER] * 2, "m", "1"))
    cut = json.loads(render(request._replace(outputs=names), [ANSWER] * 2, "m", "1"))
    tensors = {one["name"]: one for one in whole["outputs"]}
    assert cut == whole | {"outputs": [tensors[name] for name in names]}


@pytest.mark.parametrize(
    ("outputs", "tensor", "task", "error"),
    [
        (named("what"), TEXT, "classify", ("LX-HTTP-132", "'what'")),
        (named("label", "vector"), TEXT, "classify", ("LX-HTTP-132", "'vector'")),
        (named("label"), TEXT, "multilabel", ("LX-HTTP-132", "'label'")),
        (named("scores"), TEXT, "vector", ("LX-HTTP-132", "'scores'")),
        (named("tokens"), IMAGE, "joint", ("LX-HTTP-132", "'tokens'")),
        (named(*map(str, range(1_000))), TEXT, "classify", ("LX-HTTP-132", "'0'", "'7'")),
        (named("label", "score", "label"), TEXT, "classify", ("LX-HTTP-131", "'label'", "2 times")),
        ("label", TEXT, "classify", ("LX-HTTP-130", "`outputs`")),
        (["label"], TEXT, "classify", ("LX-HTTP-130", "`outputs`")),
        ([{}], TEXT, "classify", ("LX-HTTP-130", "`outputs`")),
        ([{"name": 7}], TEXT, "classify", ("LX-HTTP-130", "`outputs`")),
        ({}, TEXT, "classify", ("LX-HTTP-130", "`outputs`")),
        (
            [{"name": "label", "parameters": {"classification": 2}}],
            TEXT,
            "classify",
            ("LX-HTTP-133", "'label'", "`classification`"),
        ),
        ([{"name": "label", "parameters": []}], TEXT, "classify", ("LX-HTTP-133", "'label'", "a list")),
    ],
    ids=str,
)
def test_outputs_that_cannot_be_answered_are_refused(
    outputs: Any, tensor: dict[str, Any], task: str, error: tuple[str, ...]
) -> None:
    with refused(Refusal, *error) as caught:
        asked(outputs, tensor, task)
    assert caught.value.status == 400
    assert len(caught.value.body["error"]) < 500


def test_a_refusal_names_the_outputs_there_are() -> None:
    with refused(Refusal, "LX-HTTP-132") as caught:
        asked(named("what"))
    assert caught.value.body["expected"] == "one or more of: label, score, scores, tokens, unknown, truncated"
    with refused(Refusal, "LX-HTTP-132") as caught:
        asked(named("what"), IMAGE, "joint")
    assert caught.value.body["expected"] == "one or more of: vector"
