"""The way of a model of fastText to a server: imported, exported, packed, verified, served by both engines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import lexport
from lexport.api.archive import Archive
from lexport.cli.app import app
from lexport.client.answers import Answer, Prediction

from .test_fasttext import HERE, answered, texts

LINES = texts()


def label_of(answer: Answer) -> str:
    assert isinstance(answer, Prediction)
    return answer.label


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("asked") / "texts.jsonl"
    rows = [json.dumps({"text": line}) for line in LINES[20:220]]
    file.write_text("\n".join(rows), encoding="utf-8")
    return file


@pytest.fixture(scope="module", params=["grams.bin", "pruned.ftz", "tree.bin"])
def model(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def archive(model: str, asked: Path, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    out = tmp_path_factory.mktemp("store") / "topics-1.0.mar"
    made = lexport.import_model(HERE / model, texts=asked, out=out, variant="onnx-fp32")
    assert isinstance(made, Archive)
    return made


@pytest.mark.long
def test_an_archive_answers_what_fasttext_answers(archive: Archive, model: str) -> None:
    assert archive.verify().variant == "onnx-fp32"
    found = archive.inspect().evidence["run"]["imported"]
    assert (found["file"], found["proof"]["proven"]) == (model, True)
    expected = answered(model)
    with archive:
        answers = archive.predict(LINES)
    assert [label_of(one) for one in answers] == expected.best
    for one, scores in zip(answers, expected.scores, strict=True):
        assert isinstance(one, Prediction)
        assert all(abs(one.scores[label] - score) < 1e-4 for label, score in scores.items())
    assert (answers[0].tokens, answers[0].unknown) == (0, 0)


@pytest.mark.long
@pytest.mark.parametrize("engine", ["embedded", "torchserve"])
def test_a_server_answers_what_fasttext_answers(archive: Archive, model: str, engine: str, tmp_path: Path) -> None:
    if engine == "torchserve" and model != "pruned.ftz":
        pytest.skip("one model is enough for the second engine")
    expected = answered(model)
    with lexport.serve(archive, engine=engine, workers="cpu:1", port=0, state_dir=tmp_path / "state") as server:
        answers = server.predict(LINES)
    assert [label_of(one) for one in answers] == expected.best


@pytest.mark.long
def test_the_command_makes_a_run_that_can_be_exported(
    asked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["import", str(HERE / "versus.bin"), "--texts", str(asked), "--out", str(tmp_path / "topics"), "--json"]
    app(words, standalone_mode=False)
    found = json.loads(capsys.readouterr().out)
    assert (found["loss"], found["proof"]["proven"]) == ("one-vs-all", True)
    run = lexport.load(tmp_path / "topics")
    assert isinstance(run, lexport.Run)
    assert run.task == "multilabel"
    evidence = run.export("onnx-int8,torchscript-fp32")
    assert [one.refused for one in evidence.variants] == [None, None]
    assert evidence.run["imported"]["file"] == "versus.bin"
    answer = run.predict(["goal team match player"])[0]
    assert [one.label for one in answer.labels] == ["sport"]  # type: ignore[union-attr]
    moved = run.expand(tmp_path / "more", words=["zorkmid"])
    assert "zorkmid" in moved._run.encoder.vocabulary
