"""The way of a model with a tokenizer.json to servers: imported, exported, packed, verified, served, taken along."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

import lexport
from lexport.api.archive import Archive
from lexport.client.answers import Vector
from lexport.errors import InputError

from ... import tokenizer_files as files
from ...refusals import refused
from .test_model2vec import FURTHER, write

TEXTS = [*files.reviews()[300:500], *FURTHER]


@pytest.fixture(scope="module", params=files.KINDS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("models") / "potion", str(request.param))


@pytest.fixture(scope="module")
def archive(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    store = tmp_path_factory.mktemp("store")
    data = files.write_texts(store / "texts.jsonl", files.reviews()[:200])
    made = lexport.import_model(folder, texts=data, out=store / "potion-1.0.mar", variant="onnx-fp32")
    assert isinstance(made, Archive)
    return made


def goldens(archive: Archive) -> list[dict[str, object]]:
    with zipfile.ZipFile(archive.path) as members:
        lines = members.read("golden.jsonl").decode().splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.long
def test_an_archive_has_the_file_and_says_what_a_worker_needs(archive: Archive, folder: Path) -> None:
    assert archive.verify().variant == "onnx-fp32"
    with zipfile.ZipFile(archive.path) as members:
        assert members.read("tokenizer.json") == (folder / "tokenizer.json").read_bytes()
        assert "tokenizer.json" in members.read("MAR-INF/DIGESTS").decode()
        assert "vocabulary.txt" not in members.namelist()
        assert "\ntokenizers==" in members.read("requirements.txt").decode()
        parts = json.loads(members.read("MAR-INF/SBOM.cdx.json"))["components"]
    assert {"tokenizers", "tokenizer.json"} <= {one["name"] for one in parts}
    assert archive.inspect().evidence["run"]["imported"]["proof"]["proven"]


@pytest.mark.long
@pytest.mark.parametrize("engine", ["embedded", "torchserve"])
def test_a_server_answers_every_golden_to_the_last_bit(archive: Archive, engine: str, tmp_path: Path) -> None:
    with lexport.serve(archive, engine=engine, workers="cpu:1", port=0, state_dir=tmp_path / "state") as server:
        for golden in goldens(archive):
            [found] = server.predict([str(golden["text"])])
            expected = golden["variant"]
            assert isinstance(expected, dict)
            assert isinstance(found, Vector)
            assert list(found.vector) == expected["vector"]
            assert (found.tokens, found.unknown, found.truncated) == tuple(
                expected[name] for name in ("tokens", "unknown", "truncated")
            )
        answers = server.predict(TEXTS)
    with archive:
        assert answers == archive.predict(TEXTS)


@pytest.mark.long
def test_every_precision_keeps_directions(folder: Path, tmp_path: Path) -> None:
    data = files.write_texts(tmp_path / "texts.jsonl", files.reviews()[:200])
    run = lexport.import_model(folder, texts=data, out=tmp_path / "potion")
    assert isinstance(run, lexport.Run)
    names = "onnx-fp32,onnx-fp16,onnx-int8,torchscript-fp32,torchscript-int8,pt2-fp32"
    evidence = run.export(names)
    assert [one.refused for one in evidence.variants] == [None] * len(names.split(","))
    with refused(InputError, "LX-EXPORT-006", "onnx-int8-text", "tokenizer.json"):
        run.export("onnx-int8-text")


@pytest.mark.long
@pytest.mark.parametrize("folder", ["wordpiece"], indirect=True)
def test_variants_that_take_texts_are_left_out_with_the_reason(folder: Path, tmp_path: Path) -> None:
    data = files.write_texts(tmp_path / "texts.jsonl", files.reviews()[:60])
    run = lexport.import_model(folder, texts=data, out=tmp_path / "potion")
    assert isinstance(run, lexport.Run)
    evidence = run.export("onnx-fp32*")
    assert [one.name for one in evidence.variants] == ["onnx-fp32"]
    assert "tokenizer.json" in evidence.left_out["onnx-fp32-text"]


@pytest.mark.parametrize("folder", ["wordpiece"], indirect=True)
def test_no_words_can_be_added(folder: Path, tmp_path: Path) -> None:
    data = files.write_texts(tmp_path / "texts.jsonl", files.reviews()[:60])
    run = lexport.import_model(folder, texts=data, out=tmp_path / "potion")
    assert isinstance(run, lexport.Run)
    with refused(InputError, "LX-TRAIN-300", "potion", "tokenizer.json"):
        run.expand(tmp_path / "more", words=["zorkmid"])


@pytest.mark.parametrize("folder", ["wordpiece"], indirect=True)
def test_its_tokens_are_word_vectors(folder: Path, tmp_path: Path) -> None:
    data = files.write_texts(tmp_path / "texts.jsonl", files.reviews()[:60])
    lexport.import_model(folder, texts=data, out=tmp_path / "potion")
    vectors = lexport.vectors(tmp_path / "potion")
    assert len(vectors) == 2000
    assert np.isfinite([near.similarity for near in vectors.similar("film")]).all()
