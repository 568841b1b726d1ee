"""docs/openapi.json: a valid description, and true of what models of every task answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import validate

from lexport.export.inprocess import Archived, opened

from .cases import REFUSED

PAGE = Path(__file__).parents[2] / "docs" / "openapi.json"
DESCRIPTION: dict[str, Any] = json.loads(PAGE.read_text(encoding="utf-8"))
JSON = "application/json"
TASKS = ("topics", "multilabel", "vector", "joint", "languages")


def check(value: Any, schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator({**schema, "components": DESCRIPTION["components"]}).validate(value)


def of(path: str, status: int) -> dict[str, Any]:
    """The schema of an answer."""
    found: dict[str, Any] = DESCRIPTION["paths"][path]["post"]["responses"][str(status)]["content"][JSON]["schema"]
    return found


def asked(path: str) -> dict[str, Any]:
    found: dict[str, Any] = DESCRIPTION["paths"][path]["post"]["requestBody"]["content"][JSON]["schema"]
    return found


PREDICT, INFER, EXPLAIN = "/predictions/{model}", "/v2/models/{model}/infer", "/explanations/{model}"


@pytest.fixture(params=TASKS, scope="module")
def served(
    request: pytest.FixtureRequest, archive_of: Callable[[str], Path], task_archive: Callable[[str], Path]
) -> Iterator[tuple[str, Archived]]:
    task = str(request.param)
    with opened(archive_of("onnx-int8") if task == "topics" else task_archive(task)) as archived:
        yield task, archived


def ask(archived: Archived, body: Any, *, explain: bool = False) -> tuple[int, Any]:
    [(status, answer)] = archived.request([(json.dumps(body).encode(), JSON)], explain=explain)
    return status, json.loads(answer)


def test_the_description_is_valid() -> None:
    validate(DESCRIPTION)
    assert DESCRIPTION["openapi"].startswith("3.1")


def test_answers_of_every_task_are_as_described(served: tuple[str, Archived]) -> None:
    task, archived = served
    lang = {"lang": "en"} if task == "languages" else {}
    questions: list[Any] = [{"text": "match rain"} | lang, {"texts": ["match", "", "zz 很"]} | lang]
    if task in ("topics", "multilabel", "languages"):
        questions.append({"text": "match", "top_k": 2} | lang)
    if task == "multilabel":
        questions.append({"texts": ["match"], "threshold": 0.0})
    if task == "joint":
        questions += [{"image": [0.5, 0.25, 1.0]}, {"images": [[0.5, 0.25, 1.0]] * 2}]
    for question in questions:
        status, answer = ask(archived, question)
        assert status == 200, answer
        check(question, asked(PREDICT))
        check(answer, of(PREDICT, 200))
    tensor = {"name": "text", "shape": [2], "datatype": "BYTES", "data": ["match", ""]}
    bodies: list[Any] = [{"id": "7", "inputs": [tensor], "parameters": lang}]
    if task == "joint":
        bodies.append({"inputs": [{"name": "image", "shape": [1, 3], "datatype": "FP32", "data": [0.5, 0.25, 1]}]})
    for body in bodies:
        status, answer = ask(archived, body)
        assert status == 200, answer
        check(body, asked(INFER))
        check(answer, of(INFER, 200))


def test_explanations_are_as_described(served: tuple[str, Archived]) -> None:
    task, archived = served
    lang = {"lang": "en"} if task == "languages" else {}
    for question in ({"text": "match rain"} | lang, {"texts": ["match", ""], "top_k": 1} | lang):
        status, answer = ask(archived, question, explain=True)
        if task in ("vector", "joint"):
            assert status == 400
            check(answer, of(EXPLAIN, 400))
        else:
            assert status == 200, answer
            check(question, asked(EXPLAIN))
            check(answer, of(EXPLAIN, 200))


def test_refusals_are_as_described(served: tuple[str, Archived]) -> None:
    _, archived = served
    seen = set()
    for status, _, body, content_type in REFUSED.values():
        if content_type is not None and "form" in content_type:
            continue
        [(found, answer)] = archived.request([(body, content_type or "")])
        if found != 200:
            check(json.loads(answer), of(PREDICT, found))
            seen.add(found)
        assert found in (status, 200, 400)
    assert seen == {400, 415}


def test_what_is_no_answer_does_not_pass() -> None:
    for wrong in ({}, {"label": "a"}, {"vector": []}, [], {"vector": [1.0], "extra": 1}, {"label": 1, "score": 2}):
        with pytest.raises(jsonschema.ValidationError):
            check(wrong, of(PREDICT, 200))
