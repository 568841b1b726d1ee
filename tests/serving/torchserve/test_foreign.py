"""A stranger's model behind the real TorchServe: asked, recorded and load-tested in its own answers' shape."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import lexport
from lexport.__main__ import run
from lexport.client import UnexpectedAnswer
from lexport.client.once import predict
from lexport.errors import RefusedError
from lexport.export.archive.recordings import read_recording
from lexport.loadtest.record import record
from lexport.loadtest.runner import loadtest
from lexport.serving import Server, serve, stop

from ...refusals import refused
from ...stranger_cases import stock_archive

pytestmark = pytest.mark.usefixtures("java")

GOAL = {"sport": 0.75, "kitchen": 0.25}
BUTTER = {"sport": 0.25, "kitchen": 0.75}


@pytest.fixture(scope="module")
def mar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stock_archive(tmp_path_factory.mktemp("stock"), "my_tc")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, mar: Path) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("served") / "state"
    server = serve([mar], workers="cpu:1", state_dir=folder, port=0, trust_code=True)
    yield server
    stop(folder)


def test_predict_prints_its_answers_as_they_are(server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    where = ["--state-dir", str(server.state_dir)]
    assert run(["predict", "my_tc", "a goal", "bare butter", *where]) == 0
    first, second = capfd.readouterr().out.splitlines()
    assert json.loads(first) == GOAL
    assert second == "kitchen"
    assert run(["predict", "my_tc", "a goal", "--json", *where]) == 0
    assert json.loads(capfd.readouterr().out) == [GOAL]


def test_another_servers_models_are_told_by_their_first_answer(server: Server) -> None:
    host, keys = server.inference_url.removeprefix("http://"), server.state_dir / "key_file.json"
    assert predict("my_tc", ["a goal", "list goal"], host=host, token_file=keys) == [
        GOAL,
        [{"label": "sport", "score": 0.75}],
    ]


def test_the_client_has_a_way_to_its_answers_and_predict_names_it(server: Server) -> None:
    with lexport.Client(state_dir=server.state_dir) as client:
        with refused(UnexpectedAnswer, "LX-CLIENT-019", 'client.ask("my_tc", "a text")'):
            client.predict("my_tc", "a goal")
        assert client.ask("my_tc", "a goal") == GOAL
        assert client.ask("my_tc", "bare goal") == "sport"

    async def asked() -> object:
        async with lexport.AsyncClient(state_dir=server.state_dir) as client:
            return await client.ask("my_tc", "butter", version="1.0")

    assert asyncio.run(asked()) == BUTTER


def test_a_served_models_answers_are_recorded_by_name_and_by_url(server: Server, tmp_path: Path) -> None:
    texts = ["a goal", "bare butter", "odd goal"]
    answers = [GOAL, "kitchen", {"rows": [1, 2]}]
    kept = record("my_tc", texts, tmp_path / "name.jsonl", state_dir=server.state_dir)
    assert (kept.answers, kept.refused, kept.made_by_lexport) == (3, 0, False)
    url = f"{server.inference_url}/predictions/my_tc"
    record(url, texts, tmp_path / "url.jsonl", token_file=server.state_dir / "key_file.json")
    for name in ("name.jsonl", "url.jsonl"):
        found = read_recording(tmp_path / name)
        assert [(line.text, line.answer) for line in found.lines] == list(zip(texts, answers, strict=True))
        assert (found.head["source"], found.head["sha256"]) == (url, None)


def test_a_strangers_archive_is_not_recorded_without_trust(mar: Path, tmp_path: Path) -> None:
    with refused(RefusedError, "LX-TRUST-001", "my_tc.mar", "lexport inspect", "--trust-code"):
        record(str(mar), ["a goal"], tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.long
def test_with_trust_a_server_is_started_for_it(mar: Path, tmp_path: Path) -> None:
    kept = record(str(mar), ["a goal", "butter"], tmp_path / "out.jsonl", trust_code=True)
    assert (kept.answers, kept.source) == (2, "my_tc.mar")
    assert [line.answer for line in read_recording(tmp_path / "out.jsonl").lines] == [GOAL, BUTTER]


@pytest.mark.long
def test_a_load_test_counts_its_answers_and_says_so(mar: Path) -> None:
    report = loadtest([mar], worker_sets=["cpu:1"], users=[2], duration=1.0, warmup=0.0, trust_code=True)
    assert report.rows[0].answered > 10
    assert report.rows[0].failures == 0
    assert "Not made by lexport: my_tc-1.0. Every answer with a status of 2xx was counted" in report.warnings[0]
