"""docs/openapi.json: a valid OpenAPI 3.1 document, and the shape of what is really answered."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lexport.export.archive.inprocess import load_archive

from ... import json_schema
from ..cases import FORM, JSON, REFUSED

FILE = Path(__file__).resolve().parents[3] / "docs" / "openapi.json"
DOCUMENT: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))


def problems(schema: str, value: Any) -> list[str]:
    """What is wrong with a value by one of the document's schemas."""
    whole = {"$ref": f"#/components/schemas/{schema}", "components": DOCUMENT["components"]}
    return json_schema.problems(whole, value)


def test_the_document_is_valid() -> None:
    from openapi_spec_validator import OpenAPIV31SpecValidator  # it imports jsonschema (tests/json_schema.py)

    assert list(OpenAPIV31SpecValidator(DOCUMENT).iter_errors()) == []


# The questions of each task, and the schema that alone describes the answer.
TEXT, TEXTS = {"text": "goal rain"}, {"texts": ["goal", ""]}
V2 = {"inputs": [{"name": "text", "shape": [2], "datatype": "BYTES", "data": ["goal", ""]}], "id": "7"}
V2_OUTPUTS = V2 | {"outputs": [{"name": "truncated"}, {"name": "scores", "parameters": {"binary_data": True}}]}
IMAGE = {"image": [0.5, 0.25, 1]}
V2_IMAGE = {"inputs": [{"name": "image", "shape": [1, 3], "datatype": "FP32", "data": [0.5, 0.25, 1.0]}]}
LANG = {"lang": "en"}
ASKED: dict[str, list[tuple[dict[str, Any], str]]] = {
    "topics": [
        (TEXT, "OneLabel"),
        (TEXT | {"top_k": 1}, "OneLabel"),
        (TEXTS, "Answers"),
        (V2, "V2Answer"),
        (V2_OUTPUTS, "V2Answer"),
    ],
    "multilabel": [(TEXT | {"threshold": 0.1}, "SeveralLabels"), (TEXTS, "Answers"), (V2, "V2Answer")],
    "vector": [(TEXT, "TextVector"), (TEXTS, "Answers"), (V2, "V2Answer")],
    "joint": [(TEXT, "TextVector"), (IMAGE, "ImageVector"), (V2, "V2Answer"), (V2_IMAGE, "V2Answer")],
    "languages": [(TEXT | LANG, "OneLabel"), (TEXTS | LANG, "Answers"), (V2 | {"parameters": LANG}, "V2Answer")],
}


@pytest.mark.parametrize("task", ASKED)
def test_questions_and_answers_of_every_task_are_as_it_says(
    archive_of: Callable[[str], Path], task_archive: Callable[[str], Path], task: str
) -> None:
    with load_archive(archive_of("onnx-int8") if task == "topics" else task_archive(task)) as archived:
        for question, schema in ASKED[task]:
            assert problems("Question", question) == []
            [(status, body)] = archived.request([(json.dumps(question).encode(), JSON)])
            assert status == 200
            answer = json.loads(body)
            assert problems(schema, answer) == []
            assert problems("Answers", answer) == []
            for other in {"OneLabel", "SeveralLabels", "TextVector", "ImageVector", "V2Answer"} - {schema}:
                assert schema == "Answers" or problems(other, answer)
        if task in ("topics", "multilabel"):
            for one in archived.explain(["goal rain", ""]):
                assert problems("Explanation", one) == []


def test_explanations_by_sampling_are_as_it_says(archive_of: Callable[[str], Path]) -> None:
    with load_archive(archive_of("onnx-int8-text")) as archived:
        [one] = archived.explain(["goal rain"])
    assert one["method"] == "shapley"
    assert problems("Explanation", one) == []


def test_refusals_are_as_it_says(archive_of: Callable[[str], Path]) -> None:
    with load_archive(archive_of("onnx-int8")) as archived:
        for name, (status, _, sent, content_type) in REFUSED.items():
            if content_type in (FORM,) or (content_type or "").startswith("multipart"):
                continue  # TorchServe reads these, not the handler
            [(found, body)] = archived.request([(sent, content_type or "")])
            assert found in (status, 400), name
            assert problems("Refusal", json.loads(body)) == [], name
            assert str(found) in DOCUMENT["paths"]["/predictions/{model}"]["post"]["responses"]


@pytest.mark.parametrize(
    "path", ["/predictions/onnx", "/predictions/onnx/1.0", "/explanations/onnx", "/v2/models/onnx/infer"]
)
def test_every_path_is_served_and_carries_its_headers(client: Any, path: str) -> None:
    template = path.replace("onnx", "{model}").replace("1.0", "{version}")
    described = DOCUMENT["paths"][template]["post"]["responses"]["200"]
    reply = client.json(path, TEXT)
    assert reply.status == 200
    schema = described["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    assert problems(schema, reply.json) == []
    assert {name.lower() for name in described["headers"]} <= reply.headers.keys()
    assert problems("ServerError", client.post("/predictions/nobody", b"goal").json) == []
    assert problems("ServerError", client.post(path, b"goal", token="wrong").json) == []
