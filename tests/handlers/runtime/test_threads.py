"""Workers divide the cores among themselves anew when a model is scaled or another one registered."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lexport.client.once import predict
from lexport.export.archive.format.reader import extracted
from lexport.export.archive.pack import archive
from lexport.export.export import export
from lexport.export.formats.variants import choose
from lexport.handlers.model.loading import load, reopen
from lexport.handlers.runtime import threads as sharing
from lexport.handlers.runtime.threads import ThreadAllocator, count_workers, from_environment
from lexport.handlers.text.batch import Batch
from lexport.models import recipes
from lexport.serving import serve, start, status, stop
from lexport.serving.torchserve import http as api
from lexport.training.train import train

TEXTS = ["goal keeper team rain", "", "storm", "butter and flour and sugar", "unheard"]


@given(st.lists(st.integers(0, 20), max_size=30), st.integers(1, 64), st.integers(1, 64))
def test_two_looks_in_a_row_decide(counts: list[int], cores: int, threads: int) -> None:
    asked = iter(counts)
    share = ThreadAllocator(cores, threads, lambda: next(asked))
    expected, before = threads, 0
    for count in counts:
        found = share.poll()
        if count and count == before and max(1, cores // count) != expected:
            expected = max(1, cores // count)
            assert found == expected
        else:
            assert found is None
        assert share.threads == expected
        before = count


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_the_children_of_one_process_that_are_workers_are_counted() -> None:
    sleep = "import time; time.sleep(60)"
    before = count_workers(os.getpid())
    commands = [["model_service_worker.py", "--sock-name"], ["model_service_worker.py"], ["metric_collector.py"]]
    children = [subprocess.Popen([sys.executable, "-c", sleep, *command]) for command in commands]
    try:
        deadline = time.monotonic() + 20  # a child is a copy of this process until it runs its own program
        while count_workers(os.getpid()) != before + 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert count_workers(os.getpid()) == before + 2
        assert count_workers(os.getpid() + 10**6) == 0
    finally:
        for child in children:
            child.kill()
            child.wait()
    assert count_workers(os.getpid()) == before


def test_what_serve_says_and_what_holds_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LEXPORT_CORES", "LEXPORT_THREADS"):
        monkeypatch.delenv(name, raising=False)
    assert from_environment() == (1, 1)
    monkeypatch.setenv("LEXPORT_THREADS", "3")
    assert from_environment() == (1, 3)  # nothing to divide: a plain TorchServe's workers keep what they were given
    monkeypatch.setenv("LEXPORT_CORES", "8")
    assert from_environment() == (8, 3)


def test_a_change_that_fails_is_logged_and_the_watch_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sharing, "PAUSE", 0.01)
    asked = iter([1, 1, 2, 2])
    tried: list[int] = []
    done = threading.Event()

    def change(threads: int) -> None:
        tried.append(threads)
        if len(tried) == 1:
            raise RuntimeError("the file is gone")
        done.set()

    ThreadAllocator(8, 1, lambda: next(asked, 2)).watch(change)
    assert done.wait(20)
    assert tried == [8, 4]
    assert "The worker keeps its threads: it cannot use 8." in caplog.text


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny_csv: Path) -> Path:
    """A small run whose encoder is worth several threads."""
    folder = tmp_path_factory.mktemp("sharing") / "run"
    recipe = recipes.load("cnn").changed("embedding", dim=8).changed("training", epochs=2)
    export(train(str(tiny_csv), folder, recipe=recipe), choose("onnx-fp32,onnx-fp32-text,torchscript-fp32,pt2-fp32"))
    return folder


@pytest.mark.long
@pytest.mark.parametrize("variant", ["onnx-fp32", "onnx-fp32-text", "torchscript-fp32", "pt2-fp32"])
def test_reopened_engines_answer_alike(run: Path, variant: str, tmp_path: Path) -> None:
    with extracted(archive(run, version="1.0", variant=variant, out=tmp_path)) as folder:
        predictor = load(folder, threads=1)
        assert predictor.model.parallel
        before = predictor.raw_outputs(Batch(TEXTS))
        running = psutil.Process().num_threads()
        reopen(predictor, folder, threads=3, device="cpu")
        started = psutil.Process().num_threads() - running
        after = predictor.raw_outputs(Batch(TEXTS))
    # onnxruntime starts its threads with a session, beside the one that calls; torch keeps a number.
    assert (started == 2) if variant.startswith("onnx") else (torch.get_num_threads() == 3)
    torch.set_num_threads(1)
    np.testing.assert_array_equal(before[0].lengths, after[0].lengths)
    np.testing.assert_allclose(before[1], after[1], rtol=0, atol=1e-6)


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="workers are found in /proc, which is Linux's")
def test_scaled_and_registered_models_share_the_cores(
    run: Path, run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "cores", lambda: 4)
    own = tmp_path / "own.properties"
    own.write_text("enable_model_api=true\n")
    state = tmp_path / "state"
    first = archive(run, version="1.0", name="first", variant="onnx-fp32", out=tmp_path)
    second = archive(run_folder, version="1.0", name="second", variant="auto", out=tmp_path)
    server = serve([first], workers="cpu:1", state_dir=state, port=0, config=own, trust_code=True)

    def threads() -> list[int]:
        models = status(state)["models"]
        return [worker["threads"] for model in models if model["name"] == "first" for worker in model["workers"]]

    def manage(method: str, path: str) -> None:
        token = server.token("management")
        code, answer = api.request(method, server.management_url, path, token=token, timeout=120)
        assert code == 200, answer

    def settled(expected: list[int]) -> None:
        deadline = time.monotonic() + 60
        while threads() != expected and time.monotonic() < deadline:
            time.sleep(0.2)
        assert threads() == expected
        answers = predict("first", TEXTS, state_dir=state)
        assert [answer["scores"] for answer in answers] == [
            pytest.approx(answer["scores"], abs=1e-6) for answer in before
        ]

    try:
        before = predict("first", TEXTS, state_dir=state)
        settled([4])
        manage("PUT", "/models/first?min_worker=2&max_worker=2&synchronous=true")
        settled([2, 2])
        shutil.copy(second, state / "store" / second.name)
        manage("POST", f"/models?url={second.name}&initial_workers=2&synchronous=true")
        settled([1, 1])
        manage("DELETE", "/models/second/1.0")
        manage("PUT", "/models/first?min_worker=1&max_worker=1&synchronous=true")
        settled([4])
    finally:
        stop(state)
