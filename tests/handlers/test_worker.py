"""The worker without TorchServe: batches, what it proves before it is ready, and what it may import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lexport.errors import InputError
from lexport.export.archive.inprocess import Context as InProcess
from lexport.export.archive.inprocess import LoadedArchive, load_archive
from lexport.handlers.engine.engines import Counts, Scores
from lexport.handlers.model.predictor import MAX_BATCH, Predictor
from lexport.handlers.request import explain as explaining
from lexport.handlers.text.batch import Batch
from lexport.handlers.text.spec import Layout
from lexport.handlers.worker import Worker

from ..refusals import refused
from .models import predictor

JSON = "application/json"
Archives = Callable[[str], Path]
Repack = Callable[..., Path]


class Context:
    """TorchServe's context, as far as a handler uses it."""

    def __init__(self, folder: Path, headers: Sequence[Mapping[str, Any]] = ()) -> None:
        self.system_properties = {"model_dir": str(folder), "gpu_id": None}
        self.headers = headers
        self.types: dict[int, str] = {}
        self.told: dict[int, dict[str, str]] = {}
        self.statuses: dict[int, int] = {}

    def get_all_request_header(self, idx: int) -> Mapping[str, Any]:
        return self.headers[idx]

    def set_response_content_type(self, idx: int, value: str) -> None:
        self.types[idx] = value

    def set_response_header(self, idx: int, key: str, value: str) -> None:
        self.told.setdefault(idx, {})[key] = value

    def set_response_status(self, code: int = 200, phrase: str = "", idx: int = 0) -> None:
        self.statuses[idx] = code


@pytest.fixture(scope="module")
def loaded(unpacked: Path) -> Worker:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TS_DECODE_INPUT_REQUEST", "true")
        worker = Worker(Context(unpacked))
        assert os.environ["TS_DECODE_INPUT_REQUEST"] == "true", "outside of TorchServe the process stays as it is"
    return worker


@pytest.fixture
def worker(loaded: Worker, monkeypatch: pytest.MonkeyPatch) -> Worker:
    monkeypatch.setattr(loaded, "predictor", loaded.predictor)
    return loaded


def handle(worker: Worker, batch: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> list[tuple[int, Any]]:
    """(parameters, headers) of requests → (status, answer)."""
    context = Context(Path(), [headers for _, headers in batch])
    bodies = worker.handle([parameters for parameters, _ in batch], context)
    assert context.types == dict.fromkeys(range(len(batch)), JSON)
    told = {"Lexport-Version": worker.predictor.model.version, "Lexport-Variant": worker.predictor.model.variant}
    for number in range(len(batch)):
        later = {"Retry-After": "1"} if context.statuses.get(number) == 503 else {}
        assert context.told[number] == told | later
    return [(context.statuses.get(number, 200), json.loads(body)) for number, body in enumerate(bodies)]


def as_json(value: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    return {"body": bytearray(json.dumps(value).encode())}, {"Content-Type": JSON, "body": {"content-type": JSON}}


def test_every_request_of_a_batch_gets_its_own_answer(worker: Worker) -> None:
    batch = [
        as_json({"text": "goal"}),
        as_json({"texts": ["goal", 1]}),
        as_json({"texts": ["goal rain", "", "goal"]}),
        ({"body": b""}, {}),
        ({"body": b"goal"}, {"explain": "True"}),
        as_json({"inputs": [{"datatype": "BYTES", "data": ["goal"]}]}),
        ({"data": b"goal"}, {"content-type": "multipart/form-data; boundary=x"}),
        ({"body": b"goal"}, {"cOnTent-tYpe": "image/png"}),
        ({"body": b"goal"}, {}),
    ]
    found = handle(worker, batch)
    assert [status for status, _ in found] == [200, 400, 200, 400, 200, 200, 200, 415, 200]
    one = found[0][1]
    assert (found[4][1]["label"], found[4][1]["score"]) == (one["label"], one["score"])
    assert found[6][1] == found[8][1] == found[2][1][2] == one
    assert found[5][1]["outputs"][0]["data"] == [one["label"]]
    assert found[1][1]["positions"] == [1]
    assert handle(worker, batch[1:2]) == found[1:2]
    assert handle(worker, []) == []


def test_a_batch_larger_than_a_turn_is_answered_in_order(worker: Worker) -> None:
    texts = ["goal " * (number % 7) for number in range(2 * MAX_BATCH + 5)]
    found = handle(worker, [as_json({"texts": texts})])[0][1]
    assert [answer["tokens"] for answer in found] == [number % 7 for number in range(len(texts))]


def test_values_torchserve_has_decoded_are_read_alike(worker: Worker) -> None:
    """TS_DECODE_INPUT_REQUEST unset: JSON arrives as its value, text/* as str, what it could not decode as bytes."""
    header = {"Content-Type": JSON}
    found = handle(
        worker,
        [
            as_json({"text": "goal"}),
            ({"body": {"text": "goal"}}, header),
            ({"body": "goal"}, {"Content-Type": "text/plain"}),
            ({"body": ["goal"]}, header),
            ({"body": {"text": float("nan")}}, header),
            ({"body": {"text": "\ud800"}}, header),
            ({"body": "goal"}, header),
            ({"body": None}, header),
            ({"body": bytearray(b"{")}, header),
        ],
    )
    assert [status for status, _ in found] == [200, 200, 200, 400, 400, 400, 400, 400, 400]
    assert found[0] == found[1] == found[2]


def test_requests_that_do_not_fit_the_model_are_refused_alone(worker: Worker) -> None:
    worker.predictor = predictor("multilabel", Layout.LANGUAGES)
    bodies: list[Any] = [
        {"text": "goal", "lang": "en"},
        {"text": "goal"},
        {"texts": ["goal", "tor"], "lang": ["en", "de"]},
        {"texts": ["goal", "tor", "but"], "lang": ["en", "de", "fr"]},
        {"image": [1, 2, 3, 4]},
        {"text": "goal", "lang": "de", "threshold": 0, "top_k": 2},
        {"inputs": [{"datatype": "BYTES", "data": ["goal"]}], "parameters": {"lang": "en"}},
        {"inputs": [{"datatype": "BYTES", "data": ["goal"]}], "parameters": {"lang": "english"}},
    ]
    found = handle(worker, [*map(as_json, bodies), ({"data": b"goal", "lang": b"en"}, {}), ({"body": b"goal"}, {})])
    assert [status for status, _ in found] == [200, 400, 200, 400, 400, 200, 200, 400, 200, 400]
    answers = [answer for _, answer in found]
    assert answers[0] == answers[2][0] == answers[8]
    assert (answers[0]["unknown"], answers[2][1]["unknown"], answers[5]["unknown"]) == (0, 0, 1)
    assert (len(answers[5]["labels"]), len(answers[5]["scores"])) == (2, 2)
    assert answers[6]["outputs"][0]["data"] == list(answers[0]["scores"].values())
    assert answers[1]["error"] == answers[9]["error"] == "The request does not say the language of its text."
    assert answers[3]["error"] == "`lang` names languages the model does not know (2: 'fr')."
    assert answers[3]["positions"] == [2]
    assert answers[7]["expected"].endswith("under `parameters`; one of: en, de")
    assert answers[4]["error"] == "This model takes no images."
    assert handle(worker, [as_json(bodies[1])]) == found[1:2]


def test_texts_and_images_of_a_joint_model_share_a_batch(worker: Worker) -> None:
    worker.predictor = predictor("joint", labels=())
    tensor = {"name": "image", "datatype": "FP32", "shape": [2, 4], "data": [1, 2, 3, 4, 5, 6, 7, 8]}
    bodies: list[Any] = [
        {"image": [1, 2, 3, 4]},
        {"text": "goal"},
        {"images": [[1, 2, 3, 4], [5, 6, 7, 8]]},
        {"images": [[1, 2, 3, 4], [5, 6, 7], [1]]},
        {"texts": ["goal", "rain"]},
        {"inputs": [tensor]},
        {"text": "goal", "top_k": 1},
        {"image": [1, 2, 3, 4], "threshold": 0.5},
        {"text": "goal", "lang": "en"},
    ]
    found = handle(worker, [as_json(body) for body in bodies])
    assert [status for status, _ in found] == [200, 200, 200, 400, 200, 200, 400, 400, 400]
    answers = [answer for _, answer in found]
    assert answers[0] == answers[2][0] == {"vector": [2.0, 4.0, 6.0]}
    assert answers[2][1] == {"vector": [10.0, 12.0, 14.0]}
    assert answers[1] == answers[4][0] != answers[4][1]
    assert list(answers[1]) == ["vector", "tokens", "unknown", "truncated"]
    assert answers[5]["outputs"] == [
        {"name": "vector", "shape": [2, 3], "datatype": "FP32", "data": [2, 4, 6, 10, 12, 14]}
    ]
    assert answers[3]["error"] == "An image has 4 values here; given are others (1: 3 values; 2: 1 values)."
    assert answers[3]["positions"] == [1, 2]
    assert answers[6]["error"] == "`top_k` is 1; this model answers vectors, not scores."
    assert answers[7]["error"] == "`threshold` is 0.5; this model does not answer several labels."
    assert answers[8]["error"] == "`lang` is given; this model has no languages."


def test_an_archive_in_this_process_is_asked_in_languages_and_with_images(worker: Worker) -> None:
    archived = LoadedArchive(worker, InProcess(Path()))
    worker.predictor = several = predictor("vector", Layout.LANGUAGES)
    texts, languages = ["goal", "tor"] * 300, ["en", "de"] * 300
    assert archived.predict(texts, languages) == several.predict(texts, languages)
    with refused(InputError, "LX-ARCHIVE-009", "texts", "en, de"):
        archived.predict(texts)
    worker.predictor = predictor("joint")
    images = np.arange(1200, dtype=np.float32).reshape(300, 4)
    assert archived.predict_images(images.tolist()) == worker.predictor.predict_images(images)
    with refused(InputError, "LX-ARCHIVE-009", "images", "4 values"):
        archived.predict_images([[1.0]])


def test_the_explanations_of_a_batch_share_one_time_and_come_after_its_predictions(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    outputs, of_text = worker.predictor.raw_outputs, explaining._Explaining.explain

    def predicted(*arguments: Any) -> Any:
        calls.append("predict")
        return outputs(*arguments)

    def explained(self: Any, request: Any, seconds: float) -> Any:
        calls.append("explain")
        found = of_text(self, request, seconds)
        time.sleep(0.06)
        return found

    monkeypatch.setattr(worker.predictor, "raw_outputs", predicted)
    monkeypatch.setattr(explaining._Explaining, "explain", explained)
    monkeypatch.setattr(explaining, "SECONDS", 0.1)
    body, headers = as_json({"text": "goal"})
    asked = (body, headers | {"explain": "True"})
    found = handle(worker, [asked, asked, as_json({"text": "goal"}), asked, asked])
    assert [status for status, _ in found] == [200, 200, 200, 503, 503]
    assert calls[:2] == ["predict", "explain"], "the prediction comes first"
    assert found[0] == found[1]
    assert found[3][1]["error"] == "Other explanations used the 0.1 s that this batch of requests has for them."
    assert [status for status, _ in handle(worker, [asked])] == [200], "the first of a batch is always explained"


class Stumbling:
    """A predictor that fails on one word, with any exception."""

    def __init__(self, predictor: Predictor, error: Exception) -> None:
        self.model, self.languages = predictor.model, predictor.languages
        self.answers = predictor.answers
        self._predictor, self._error = predictor, error

    def raw_outputs(self, batch: Batch) -> tuple[Counts, Scores]:
        if any("stumble" in text for text in batch.texts):
            raise self._error
        return self._predictor.raw_outputs(batch)


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), MemoryError(), RecursionError()])
def test_an_engine_that_fails_for_one_request_answers_the_others(
    worker: Worker, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    good = handle(worker, [as_json({"text": "goal"})])[0]
    worker.predictor = Stumbling(worker.predictor, error)  # type: ignore[assignment]
    batch = [as_json({"text": "goal"}), as_json({"texts": ["goal", "stumble over this"]}), as_json({"text": "goal"})]
    found = handle(worker, [*batch, ({"body": b""}, {})])
    assert found[0] == found[2] == good
    assert found[1] == (
        500,
        {
            "error": f"The model failed: {type(error).__name__}.",
            "expected": found[1][1]["expected"],
            "code": "LX-HTTP-067",
        },
    )
    assert found[3][0] == 400
    assert "A batch of 3 requests failed" in caplog.text
    assert "stumble over this" not in caplog.text


def test_a_request_nobody_foresaw_harms_itself_alone(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    headers: Any = {"Content-Type": JSON}
    found = handle(worker, [as_json({"text": "goal"}), (None, headers), ({"body": {1: 2}}, headers)])  # type: ignore[list-item]
    assert [status for status, _ in found] == [200, 500, 400]
    assert "A request failed." in caplog.text


@pytest.mark.parametrize("variant", ["onnx-int8", "torchscript-fp32"])
def test_a_ready_worker_says_so(
    archive_of: Archives, variant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEXPORT_REPORT_DIR", str(tmp_path))
    monkeypatch.setenv("LEXPORT_THREADS", "3")
    with load_archive(archive_of(variant)):
        pass
    [report] = [json.loads(path.read_text()) for path in tmp_path.glob("*.json")]
    assert report.pop("goldens") >= 16
    # A bag's worker uses one thread, whatever it is given.
    expected = {"model": "topics", "version": "1.0", "device": "cpu", "ready": True, "threads": 1, "chunked": False}
    assert report == {"pid": os.getpid()} | expected


IMPORTS = """
import json, sys
before = set(sys.modules)
sys.path.insert(0, sys.argv[1])
class Context:
    system_properties = {"model_dir": sys.argv[1], "gpu_id": None}
    def get_all_request_header(self, idx): return {}
    def set_response_content_type(self, idx, value): pass
    def set_response_header(self, idx, key, value): pass
    def set_response_status(self, code=200, phrase="", idx=0): pass
import handler
assert not {"numpy", "regex", "mmh3", "lexport_handlers"} & set(sys.modules)
one = handler.Handler()
one.initialize(Context())
assert json.loads(one.handle([{"body": b"goal"}], Context())[0])["tokens"] == 1
import importlib, pathlib
for path in pathlib.Path(sys.argv[1], "lexport_handlers").rglob("*.py"):
    importlib.import_module(".".join(path.relative_to(sys.argv[1]).with_suffix("").parts))
roots = {name.partition(".")[0] for name in set(sys.modules) - before}
print(json.dumps(sorted(root for root in roots if root not in sys.stdlib_module_names)))
"""


def run(program: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-c", program, str(folder)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, env=os.environ | environment, cwd=folder, check=False
    )


@pytest.mark.parametrize("engine", ["onnx", "torchscript"])
def test_a_worker_imports_the_archives_own_code_and_one_engine(
    archive_of: Archives, engine: str, tmp_path: Path
) -> None:
    with zipfile.ZipFile(archive_of(f"{engine}-int8")) as archive:
        archive.extractall(tmp_path)
    done = run(IMPORTS, tmp_path)
    assert done.returncode == 0, done.stderr
    found = set(json.loads(done.stdout))
    own = {"handler", "lexport_handlers", "numpy", "regex", "mmh3"}
    if engine == "onnx":
        assert found == own | {"onnxruntime"}
    else:
        assert own | {"torch"} <= found
        assert not {"lexport", "onnx", "onnxruntime", "ts"} & found
    listed = {line.partition("==")[0] for line in (tmp_path / "requirements.txt").read_text().splitlines()}
    assert listed == {"numpy", "regex", "mmh3", "onnxruntime" if engine == "onnx" else "torch"}


BLOCKED = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[2]: raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Block())
sys.path.insert(0, sys.argv[1])
class Context:
    system_properties = {"model_dir": sys.argv[1], "gpu_id": None}
import handler
handler.Handler().initialize(Context())
"""


@pytest.mark.parametrize("package", ["numpy", "regex", "mmh3", "onnxruntime"])
def test_a_missing_package_is_named_with_its_pip_line(unpacked: Path, package: str, tmp_path: Path) -> None:
    program = BLOCKED.replace("sys.argv[2]", repr(package))
    done = run(program, unpacked, LEXPORT_REPORT_DIR=str(tmp_path), PYTHONDONTWRITEBYTECODE="1")
    assert done.returncode == 1
    [report] = [json.loads(path.read_text()) for path in tmp_path.iterdir()]
    assert report["ready"] is False
    assert report["model"] == "topics"
    assert report["error"].endswith(f"Install it where TorchServe runs: pip install {package}")
    assert f"The worker of topics cannot import {package}" in report["error"]
    assert report["traceback"].count("\n") == 1, "the line says it all"
    assert "No module named" in done.stderr
