"""Each benchmark runs with tiny settings and prints its tables; the figures themselves mean nothing here."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lexport.benchmarks import accuracy, baselines, figures, soak, training
from lexport.export.formats.variants import IDS_IN
from lexport.models import recipes

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def run(script: str, *options: str) -> str:
    command = [sys.executable, str(BENCHMARKS / script), "--quick", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.long
def test_accuracy(tiny_csv: Path, tmp_path: Path) -> None:
    options = ("--data", str(tiny_csv), "--recipes", "bag,cnn", "--seeds", "2", "--keep", str(tmp_path / "kept"))
    printed = run("accuracy.py", *options)
    for name in ("`bag`", "`cnn`", "TF-IDF + LR, words (words 1-2, C=", "TF-IDF + LR, characters (characters 1-"):
        assert f"| {name}" in printed
    kept = sorted((tmp_path / "kept").iterdir())
    assert [file.name.rsplit("-", 1)[0] for file in kept] == ["bag-0", "bag-1", "cnn-0", "cnn-1"]
    before = [file.stat().st_mtime_ns for file in kept]
    again = run("accuracy.py", *options)
    assert [line for line in again.splitlines() if line.startswith("| `")] == [
        line for line in printed.splitlines() if line.startswith("| `")
    ]
    assert [file.stat().st_mtime_ns for file in kept] == before


def test_accuracy_judges_what_is_best_on_validation_of_a_set_and_over_both() -> None:
    def result(name: str, validation: float, test: list[float]) -> accuracy.Result:
        held = np.array([[validation]])
        return accuracy.Result(replace(recipes.load("bag"), name=name), held, np.array([test]), 1.0)

    theirs = {baselines.WORDS: np.array([[1.0, 0.0]]), baselines.CHARACTERS: np.array([[1.0, 0.0]])}
    every = [
        accuracy.Judged("rotten-tomatoes", [result("a", 0.9, [1, 1]), result("b", 0.7, [1, 0])], theirs),
        accuracy.Judged("bbc-news", [result("a", 0.8, [0, 1]), result("b", 0.9, [0, 0])], theirs),
        accuracy.Judged("chinese-reviews", [result("bag", 0.9, [1, 1]), result("char", 0.5, [1, 0])], theirs),
    ]
    verdicts = accuracy.verdicts_of(every)
    asked = [tuple(verdict.asked.split(", ")[:2]) for verdict in verdicts]
    assert [name for name, _ in asked] == ["`a`", "`b`", "`a`", "`char`"]
    assert ["over both sets" in as_what for _, as_what in asked] == [False, False, True, False]
    assert [verdict.held for verdict in verdicts] == [True, False, True, False]  # above, below, level, not above


def test_the_stages_of_training_are_functions_that_there_are() -> None:
    sources = [*(BENCHMARKS.parent / "training").rglob("*.py"), *(BENCHMARKS.parent / "models").rglob("*.py")]
    for _, file, function in training.STAGES:
        found = [path.read_text(encoding="utf-8") for path in sources if path.name == file]
        assert any(f"def {function}(" in text for text in found), (file, function)


@pytest.mark.long
def test_robustness(tiny_csv: Path) -> None:
    printed = run("robustness.py", "--data", str(tiny_csv), "--seeds", "2")
    assert "| seed | trained | torchscript-fp32 | torchscript-int8 | onnx-fp32 | onnx-int8 |" in printed
    assert "| 30% |" in printed
    assert "| no variant more than 0.5 points below the trained model |" in printed


@pytest.mark.long
def test_label_errors() -> None:
    pytest.importorskip("cleanlab")
    printed = run("label_errors.py", "--seeds", "1")
    for judge in ("**linear and naive Bayes**", "linear", "naive Bayes", "bag", "TF-IDF + LR, scikit-learn"):
        assert f"| {judge} |" in printed
    assert "### Several labels to a text" in printed
    assert "### A label with 20 texts" in printed
    assert "| rotten-tomatoes: no fewer than cleanlab |" in printed


@pytest.mark.long
def test_inference() -> None:
    printed = run("inference.py")
    for variant in IDS_IN:
        assert f"| `{variant}` |" in printed
    for recipe in ("cnn", "transformer"):
        assert f"| `{recipe}`, onnx-int8-dynamic |" in printed
    assert "| `lstm`, onnx-int8 |" in printed
    assert "`lstm`, onnx-int8-dynamic" not in printed  # its layers are too narrow
    for asked in (
        "`torchscript-int8`, whole classifier, batch 64: at least 1.7 ×",
        "`torchscript-int8`, look-up, batch 64: at least 2.1 ×",
        "`torchscript-int4`, look-up, batch 64: at least 2.5 ×",
        "`onnx-int8`, whole classifier, batch 1: at least 1.3 ×",
        "`cnn`, onnx-int8-dynamic: not slower than fp32",
    ):
        assert f"| {asked}" in printed


@pytest.mark.long
def test_precision(tiny_csv: Path, tmp_path: Path) -> None:
    options = ("--data", str(tiny_csv), "--seeds", "2", "--keep", str(tmp_path))
    printed = run("precision.py", *options)
    for variant in IDS_IN:
        assert f"| `{variant}` |" in printed
    for asked in ("`torchscript-int8`: at most 0.3 points", "`onnx-int4`: at most 1.0 points"):
        assert f"| {asked} of accuracy lost, pooled |" in printed
    kept = sorted(folder.name for folder in tmp_path.iterdir())
    assert kept == ["topics-bag-0", "topics-bag-1"]
    before = [(tmp_path / name).stat().st_mtime_ns for name in kept]
    run("precision.py", *options)
    assert [(tmp_path / name).stat().st_mtime_ns for name in kept] == before


@pytest.mark.long
def test_vectors() -> None:
    printed = run("vectors.py")
    for row in ("| `similar`, fp32 |", "| `similar`, int8 |", "| wordsim353 |", "| of ten neighbours the same |"):
        assert row in printed
    for asked in (
        "int8: at most 2.0 × the product",
        "simlex999: 0.265, within 0.01",
        "wordsim353: int8 within 0.005 of fp32",
        "index: at least 9.5 of ten neighbours",
        "at most 60 s for a map",
    ):
        assert f"| {asked} |" in printed


@pytest.mark.long
def test_serving(run_folder: Path) -> None:
    printed = run("serving.py", "--run", str(run_folder), "--variants", "onnx-fp32", "--workers", "1", "--users", "2")
    assert "### 1 worker a model of ours" in printed
    rows = [line.split(" | ") for line in printed.splitlines() if line.startswith("| 2 |")]
    assert [row[1] for row in rows] == [
        "onnx-fp32, throughput",
        "onnx-fp32, latency",
        "no-op, throughput",
        "no-op that reads as ours, throughput",
        "plain handler, TorchServe's defaults",
    ]
    assert all(row[8] == "0" for row in rows), printed  # failed requests
    assert all(float(row[2].replace(",", "")) > 0 for row in rows)
    assert sum(line.endswith((" yes |", " NO |")) for line in printed.splitlines()) == 3


@pytest.mark.long
def test_rivals() -> None:
    archive = Path(__file__).parents[1] / "export" / "archive" / "kept" / "schema-2.mar"
    printed = run("rivals.py", str(archive), "--servers", "embedded", "--connections", "1,4", "--wrk", "")
    assert "| embedded |" in printed
    assert "first answer, s" in printed


@pytest.mark.long
def test_embedded() -> None:
    archive = Path(__file__).parents[1] / "export" / "archive" / "kept" / "schema-2.mar"
    printed = run("embedded.py", str(archive), "--wrk", "")
    assert "| 2 ÷ 1 |" in printed
    assert "| beside them |" in printed


@pytest.mark.long
def test_grpc_calls() -> None:
    archive = Path(__file__).parents[1] / "export" / "archive" / "kept" / "schema-2.mar"
    printed = run("grpc_calls.py", str(archive))
    rows = [line.split(" | ") for line in printed.splitlines() if line.startswith("| ") and line.endswith("% |")]
    assert [row[0].strip("| ") for row in rows] == ["/predictions", "Predictions", "/v2 … /infer", "ModelInfer"] * 3
    assert all(float(row[1].replace(",", "")) > 0 for row in rows)


@pytest.mark.long
def test_mixed(tmp_path: Path) -> None:
    printed = run("mixed.py", "--keep", str(tmp_path))
    rows = [line.strip("| ").split(" | ") for line in printed.splitlines() if line.startswith("| ")]
    for name in ("bag", "linear", "cnn", "lstm", "transformer", "bag 2.0"):
        found = [row[1:] for row in rows if row[0] == name]
        assert len(found) == 2, printed  # an engine each
        assert all(float(cell.replace(",", "")) > 0 for row in found for cell in row), printed
    assert "Processes that compute: 6, with 6 threads together" in printed


@pytest.mark.long
def test_http_servers() -> None:
    archive = BENCHMARKS.parent / "tests" / "export" / "archive" / "kept" / "schema-2.mar"
    printed = run("http_servers.py", "--servers", "ours", "--connections", "1,4", "--archive", str(archive))
    for name in ("ours, at once", "ours, by turns", "a model, in the loop", "a model, in a thread"):
        assert f"| {name} |" in printed


def test_request_path(run_folder: Path) -> None:
    printed = run("request_path.py", "--run", str(run_folder), "--variant", "onnx-fp32", "--batches", "1,16")
    rows = [line.strip("| ").split(" | ") for line in printed.splitlines() if line.startswith(("| 1 |", "| 16 |"))]
    assert len(rows) == 2
    for row in rows:
        theirs, ours, handler, *parts, rest = map(float, row[1:])
        assert len(parts) == 4
        assert min(theirs, ours, handler, rest, *parts) > 0


@pytest.mark.long
def test_open_loop() -> None:
    printed = run("open_loop.py")
    assert "| planned | 300 | 900 | 1,100 | 1,260 |" in printed
    for name in ("open, equal gaps", "open, random gaps", "closed, 1 user", "closed, 100 users"):
        assert f"| {name} |" in printed


@pytest.mark.long
@pytest.mark.parametrize(("engine", "frontend"), [("torchserve", "frontend"), ("embedded", "supervisor")])
def test_soak(run_folder: Path, engine: str, frontend: str) -> None:
    options = ["--engine", engine, "--variant", "onnx-fp32", "--workers", "2"]
    printed = run("soak.py", "--run", str(run_folder), *options)
    rows = [line.strip("| ").split(" | ") for line in printed.splitlines() if line.startswith("| ")][2:]
    assert [row[0] for row in rows[:4]] == ["worker 1", "worker 2", frontend, "all workers"]
    assert all(float(row[1]) > 20 for row in rows[:4])
    assert " 0 failed" in printed


def test_growth_is_found_through_noise_and_jumps() -> None:
    draw = np.random.default_rng(0)
    seconds = np.arange(0.0, 300.0, 2.0)
    noise = draw.normal(0, 0.3, len(seconds)) + 20 * (draw.random(len(seconds)) < 0.05)
    for growth in (0.0, 2.5):
        slope, low, high = soak.slope_of(seconds, 300 + growth * seconds / 60 + noise)
        assert low < growth < high
        assert slope == pytest.approx(growth, abs=0.1)
    slope, low, high = soak.slope_of(seconds, np.full(len(seconds), 250.0))
    assert (slope, low, high) == (0.0, 0.0, 0.0)


@pytest.mark.long
def test_tune(tmp_path: Path) -> None:
    archive = Path(__file__).parents[1] / "export" / "archive" / "kept" / "schema-2.mar"
    printed = run("tune.py", str(archive), "--slo", "p99=5s", "--keep", str(tmp_path))
    for name in ("tuned from the defaults", "tuned from a poor start", "best of the grid", "defaults", "poor start"):
        assert f"| {name} |" in printed
    assert printed.count(" of the grid's time |") == 2
    journals = {path: path.read_text() for path in tmp_path.rglob("journal.jsonl")}
    assert len(journals) == 3
    run("tune.py", str(archive), "--slo", "p99=5s", "--keep", str(tmp_path))
    assert {path: path.read_text() for path in journals} == journals  # nothing was measured again


@pytest.mark.long
def test_memory() -> None:
    printed = run("memory.py", "--variants", "onnx-int8,torchscript-int8")
    rows = [line.split(" | ") for line in printed.splitlines() if line.startswith("| `")]
    assert [row[0] for row in rows].count("| `torchscript-int8`") == 3  # two starts, and four workers
    assert any(line.startswith("| 60,000 |") for line in printed.splitlines())  # look-ups


@pytest.mark.long
def test_text_in(tiny_csv: Path) -> None:
    printed = run("text_in.py", "--data", str(tiny_csv))
    assert "### `bag` on" in printed
    for precision in ("fp32", "int8"):
        assert [f"| {precision} | {size} |" in printed for size in (1, 16, 64)] == [True] * 3
    assert "### 10,000 words × 8, int8, texts of 50 of them" in printed
    rows = [line.split(" | ") for line in printed.splitlines() if line.startswith(("| ids |", "| text |"))]
    assert float(rows[1][1]) > float(rows[0][1])  # the vocabulary is in the file


def test_a_table_in_markdown() -> None:
    assert figures.table(["a", "b"], [["1", "2"]]) == "| a | b |\n| -- | --: |\n| 1 | 2 |\n"


def test_intervals_hold_what_they_are_of() -> None:
    values = np.random.default_rng(1).normal(0.5, 1.0, (5, 400))
    for low, high in (
        figures.interval(values[0]),
        figures.crossed_interval(values),
        figures.paired_interval(values.mean(axis=1)),
    ):
        assert low < 0.5 < high
        assert high - low < 0.5
