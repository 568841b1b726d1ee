"""Every shipped recipe, from real texts to an answer over HTTP, through the commands that a user types."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from lexport.__main__ import run as command_line
from lexport.data.columns import Row
from lexport.data.load import Columns, load
from lexport.data.samples import SAMPLES
from lexport.export.archive.inprocess import load_archive
from lexport.export.formats.variants import DEFAULT, DYNAMIC, IDS_IN
from lexport.handlers.model.goldens import Golden, differences, read_goldens
from lexport.models import recipes
from lexport.models.recipes import GateOptions
from lexport.serving import running
from lexport.serving.engines import ENGINES

# Texts of the languages in the data, one nobody has seen, one without a token.
ASKED = {
    "en": ["A gripping film, and the best of the year.", "The minister said that shares fell.", "qxzvkj wqpfzx", ""],
    "zh": ["很好 的 房间", "太 差 了!", "qxzvkj", ""],
}
BOUND = {"fp32": 1e-5, "fp16": 5e-3, "int8": 0.05, "int4": 0.3}
FP32 = BOUND["fp32"]


@dataclass(frozen=True)
class Case:
    """What a recipe is trained on, for how many epochs, which variant is served, and how good it has to be.

    above: by how much the test metric must exceed that of blind answers: the largest class, or chance.
    """

    data: str
    epochs: int
    variant: str
    above: float
    options: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()


CASES = {
    "bag": Case("rotten-tomatoes", 3, "onnx-int8", 0.15),
    "linear": Case("news", 8, "torchscript-int8", 0.3),
    "bag-glove": Case("news", 3, "onnx-int8-text", 0.3),
    "hashed": Case("news", 4, "onnx-int4", 0.3),
    "char-ngrams": Case("chinese", 4, "onnx-fp32-text", 0.1),
    "cnn": Case("news", 6, "torchscript-fp16", 0.3),
    "lstm": Case("news", 8, "onnx-fp16", 0.3),
    "transformer": Case("news", 3, "pt2-fp32", 0.3),
    "char": Case("chinese", 5, "torchscript-fp32", 0.1),
    "multilingual": Case(
        "two-languages", 3, "torchscript-int8", 0.15, ("--language-column", "language"), ("en", "zh")
    ),
    "joint": Case("digit-captions", 8, "onnx-fp32", 0.5),
    "vectors": Case("bbc-news", 3, "torchscript-int4", 0.2),
}


def exported(case: Case) -> tuple[str, ...]:
    """The usual variants that every model can have, and that which is served."""
    return tuple(dict.fromkeys((*(name for name in DEFAULT if name not in DYNAMIC), case.variant)))


def lexport(*arguments: str | Path) -> str:
    """Run a command of lexport in this process and return what it printed; fail if it fails."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = command_line([str(argument) for argument in arguments])
    assert code == 0, f"lexport {arguments}: exit code {code}, {err.getvalue()}"
    return out.getvalue()


def write_subset(path: Path, sample: str, keep: Callable[[Row], Row | None], every: int) -> str:
    """Some rows of a sample set as JSONL: each `every`th of those that `keep` takes, as it changes them."""
    rows = [row for row in map(keep, SAMPLES[sample].rows().rows) if row is not None]
    lines = []
    for row in rows[::every]:
        values = {"text": row.text, "label": row.label, "language": row.language}
        lines.append(json.dumps({name: value for name, value in values.items() if value is not None}) + "\n")
    path.write_text("".join(lines), encoding="utf-8")
    return str(path)


def first_words(row: Row) -> Row:
    """An encoder that reads word after word learns from the begin of an article in seconds."""
    return row._replace(text=" ".join(str(row.text).split()[:25]))


def short_if_chinese(row: Row) -> Row | None:
    return row if row.language == "en" or 5 < len(str(row.text)) <= 40 else None


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What DATA is for each name of a case: a file written here, or the sample set of that name."""
    folder = tmp_path_factory.mktemp("data")
    return {
        "news": write_subset(folder / "news.jsonl", "bbc-news", first_words, 1),
        "chinese": write_subset(folder / "chinese.jsonl", "chinese-reviews", short_if_chinese, 5),
        "two-languages": write_subset(folder / "two.jsonl", "multilingual-reviews", short_if_chinese, 3),
        **{name: name for name in SAMPLES},
    }


@dataclass(frozen=True)
class Made:
    """A recipe's run folder, exported, and an archive of every variant."""

    name: str
    case: Case
    run: Path
    source: str
    metrics: dict[str, Any]
    evidence: dict[str, Any]
    archives: dict[str, Path]

    @property
    def task(self) -> str:
        return str(self.evidence["run"]["task"])


@pytest.fixture(scope="module")
def make(data: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Made]:
    """Train, export and pack a recipe, once."""
    folder = tmp_path_factory.mktemp("chains")
    made: dict[str, Made] = {}

    def chain(name: str) -> Made:
        if name not in made:
            case, run, store = CASES[name], folder / name, folder / "store"
            source = data[case.data]
            options = ["--epochs", str(case.epochs), *case.options]
            # Replaced, so that a chain that broke off breaks off again in the next test, for the same reason.
            trained = lexport("train", source, "--model", name, "--out", run, "--force", "--json", *options)
            metrics = json.loads(trained)
            evidence = json.loads(lexport("export", run, "--json", "--variants", ",".join(exported(case))))
            passed = [one["name"] for one in evidence["variants"] if one["refused"] is None]
            for variant in passed:
                # That which is served answers every request by itself.
                profile = "latency" if variant == case.variant else "throughput"
                options = ["--version", "1.0", "--variant", variant, "--profile", profile]
                lexport("archive", run, *options, "--out", store / variant)
            archives = {variant: store / variant / f"{name}-1.0.mar" for variant in passed}
            made[name] = Made(name, case, run, source, metrics, evidence, archives)
        return made[name]

    return chain


# It takes seconds; the others are minutes long together.
_QUICK = ("bag",)


@pytest.fixture(params=[pytest.param(name, marks=[] if name in _QUICK else [pytest.mark.long]) for name in CASES])
def made(request: pytest.FixtureRequest, make: Callable[[str], Made]) -> Made:
    return make(request.param)


def test_no_shipped_recipe_is_forgotten_and_every_variant_of_ids_is_served() -> None:
    assert sorted(CASES) == recipes.names()
    assert {case.variant for case in CASES.values()} >= set(IDS_IN)


def test_a_recipe_learns_from_real_data(made: Made) -> None:
    found = made.metrics
    assert found["count"] > 150
    if made.task == "classify":
        largest = max(one["support"] for one in found["per_class"].values()) / found["count"]
        assert found["accuracy"] > largest + made.case.above
    else:
        assert found["recall_at_1"] > found["chance_at_1"] + made.case.above


def test_every_variant_gives_the_trained_models_answers(made: Made) -> None:
    assert [one["name"] for one in made.evidence["variants"]] == list(exported(made.case))
    metric = made.evidence["run"]["metric"]
    for one in made.evidence["variants"]:
        lost = made.evidence["trained"]["validation"][metric] - one["validation"][metric]
        assert lost <= GateOptions().max_metric_drop, f"{one['name']}: {one['refused']}"
        for part in ("validation", "test"):
            assert one[part]["largest_difference"] <= BOUND[one["precision"]]


def test_every_variant_of_every_recipe_passes_the_gate_into_an_archive(made: Made) -> None:
    assert {one["name"]: one["refused"] for one in made.evidence["variants"]} == dict.fromkeys(exported(made.case))
    assert list(made.archives) == list(exported(made.case))
    assert all(path.is_file() for path in made.archives.values())


def test_every_archive_loads_in_process_and_answers_its_goldens(made: Made) -> None:
    for variant, path in made.archives.items():
        lines = (made.run / "export" / variant / "golden.jsonl").read_text(encoding="utf-8").splitlines()
        goldens = [json.loads(line) for line in lines]
        texts = [golden for golden in goldens if "text" in golden]
        images = [golden for golden in goldens if "image" in golden]
        assert len(texts) >= 16
        assert bool(images) == (made.task == "joint")
        languages = [golden["lang"] for golden in texts] if made.case.languages else None
        with load_archive(path) as archived:
            found = archived.predict([golden["text"] for golden in texts], languages)
            if images:
                found += archived.predict_images([golden["image"] for golden in images])
        for golden, answer in zip(texts + images, found, strict=True):
            key = "scores" if made.task == "classify" else "vector"
            assert answer[key] == pytest.approx(golden["variant"][key], abs=FP32)
            bound = BOUND[variant.split("-")[1]]
            assert answer[key] == pytest.approx(golden["trained"][key], abs=bound)


def test_evaluating_the_run_and_its_archive_agree(made: Made) -> None:
    def judged(target: Path) -> dict[str, Any]:
        arguments: list[str | Path] = ["evaluate", target, made.source, *made.case.options, "--part", "test"]
        found: dict[str, Any] = json.loads(lexport(*arguments, "--json"))
        return found

    run = judged(made.run)
    metric = made.evidence["run"]["metric"]
    assert (run["metric"], run["seen"], run["count"]) == (metric, 0, made.metrics["count"])
    assert run[metric] == made.metrics[metric]
    assert judged(made.archives["onnx-fp32"])[metric] == pytest.approx(run[metric], abs=1e-9)
    served = next(one for one in made.evidence["variants"] if one["name"] == made.case.variant)
    assert judged(made.archives[made.case.variant])[metric] == pytest.approx(served["test"][metric], abs=1e-9)


@pytest.fixture(scope="module", params=ENGINES)
def state(make: Callable[[str], Made], request: pytest.FixtureRequest) -> Iterator[Path]:
    """The state folder of one server, of either engine, that serves a variant of every recipe."""
    archives = [make(name).archives[case.variant] for name, case in CASES.items()]
    with tempfile.TemporaryDirectory(prefix="lr-", dir="/tmp") as folder:  # short enough for sockets
        state = Path(folder).resolve() / "state"
        options = ["--engine", request.param, "--workers", "cpu:1", "--port", "0", "--state-dir", state]
        lexport("serve", *archives, *options)
        try:
            yield state
        finally:
            lexport("stop", "--state-dir", state)


def close(found: Any, expected: Any) -> bool:
    """Equal but for the last bits of numbers: a worker may use more threads."""
    if isinstance(expected, float):
        return bool(abs(found - expected) <= 1e-6)
    if isinstance(expected, dict):
        return list(found) == list(expected) and all(close(found[key], expected[key]) for key in expected)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(close, found, expected))
    return bool(found == expected)


@pytest.mark.long
def test_one_server_answers_for_every_recipe_as_its_archive_does_in_process(
    made: Made, state: Path, tmp_path: Path
) -> None:
    archive = made.archives[made.case.variant]
    questions: list[list[str]] = [["--", *ASKED["en"], *ASKED["zh"]]]
    if made.case.languages:
        questions = [["--lang", language, "--", *ASKED[language]] for language in made.case.languages]
    if made.task == "joint":
        images = load("digit-captions", Columns()).images
        assert images is not None
        (tmp_path / "images.jsonl").write_text("".join(f"{json.dumps(image.tolist())}\n" for image in images[:5]))
        questions.append(["--images", str(tmp_path / "images.jsonl")])
    for question in questions:
        expected = json.loads(lexport("run", archive, "--json", *question))
        found = json.loads(lexport("predict", made.name, "--state-dir", state, "--json", *question))
        assert close(found, expected)
        if made.task == "classify":
            assert all(sum(one["scores"].values()) == pytest.approx(1, abs=1e-5) for one in found)
        else:
            lengths = [float(np.linalg.norm(one["vector"])) for one in found]
            # A text without a known token points nowhere.
            assert all(length == pytest.approx(1, abs=1e-5) or length == 0 for length in lengths)


@pytest.mark.long
def test_served_answers_are_byte_for_byte_those_in_process(
    made: Made, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One list of texts, no batches of several requests, as many threads."""
    server = running(state)
    monkeypatch.setenv("LEXPORT_THREADS", str(server.threads))
    bodies: list[dict[str, Any]] = [{"texts": [*ASKED["en"], *ASKED["zh"], *["A long film . " * 9] * 9]}]
    if made.case.languages:
        bodies = [{"texts": ASKED[language] * 5, "lang": language} for language in made.case.languages]
    with load_archive(made.archives[made.case.variant]) as archived:
        for body in bodies:
            sent = json.dumps(body).encode()
            [(status, expected)] = archived.request([(sent, "application/json")])
            assert status == 200
            connection = http.client.HTTPConnection(server.inference_url.removeprefix("http://"), timeout=60)
            headers = {"Authorization": f"Bearer {server.token()}", "Content-Type": "application/json"}
            connection.request("POST", f"/predictions/{made.name}", sent, headers)
            reply = connection.getresponse()
            found = reply.read()
            connection.close()
            assert reply.status == 200
            assert found == expected


@pytest.mark.long
def test_every_golden_is_answered_byte_for_byte_alone_and_within_tolerance_among_others(
    made: Made, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = running(state)
    monkeypatch.setenv("LEXPORT_THREADS", str(server.threads))
    headers = {"Authorization": f"Bearer {server.token()}", "Content-Type": "application/json"}
    url = f"{server.inference_url}/predictions/{made.name}"
    with load_archive(made.archives[made.case.variant]) as archived:
        goldens, predictor = read_goldens(archived.folder / "golden.jsonl"), archived.worker.predictor
        assert len(goldens) >= 10
        bodies = [json.dumps(question(golden)).encode() for golden in goldens]
        with httpx.Client(headers=headers, trust_env=False, timeout=60) as client:
            for body in bodies:
                [(status, expected)] = archived.request([(body, "application/json")])
                assert status == 200
                assert client.post(url, content=body).content == expected
            with ThreadPoolExecutor(16) as several:
                mixed = list(several.map(lambda body: client.post(url, content=body).json(), bodies * 3))
        model = predictor.model
        for golden, answer in zip(goldens * 3, mixed, strict=True):
            assert differences(golden, answer, model.precision, model.threshold) == []


def question(golden: Golden) -> dict[str, Any]:
    if golden.image is not None:
        return {"image": golden.image}
    return {"text": golden.text} | ({} if golden.lang is None else {"lang": golden.lang})


@pytest.mark.long
def test_a_text_longer_than_a_transformer_reads_is_answered_as_truncated(
    make: Callable[[str], Made], state: Path
) -> None:
    kept = recipes.load("transformer").text.max_tokens
    texts = ["film " * (kept + 44), "film " * kept]
    archive = make("transformer").archives[CASES["transformer"].variant]
    expected = json.loads(lexport("run", archive, "--json", "--", *texts))
    found = json.loads(lexport("predict", "transformer", "--state-dir", state, "--json", "--", *texts))
    assert close(found, expected)
    for answers in (found, expected):
        assert [(one["tokens"], one["truncated"]) for one in answers] == [(kept, True), (kept, False)]


@pytest.mark.long
def test_status_names_all_of_them(state: Path) -> None:
    found = json.loads(lexport("status", "--state-dir", state, "--json"))
    assert sorted(model["name"] for model in found["models"]) == sorted(CASES)
