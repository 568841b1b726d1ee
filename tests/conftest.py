"""Fixtures that several test files share: a small trained run, its exports, archives, made once for all workers."""

from __future__ import annotations

import fcntl
import json
import os
import random
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler.loadfile import LoadFileScheduling

from lexport.data.load import Columns
from lexport.export.archive.pack import archive
from lexport.export.evidence import measure
from lexport.export.export import export
from lexport.export.formats.variants import choose
from lexport.models import recipes
from lexport.models.run import Run, open_run
from lexport.training.train import train

# The same examples on every run; how long one takes says something of the machine alone.
settings.register_profile(
    "lexport", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("lexport")

# Nothing here reads how fast a variant is, and hundreds are measured.
measure._SECONDS_A_BATCH_SIZE = 0.01

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Under nohup and in some runners' background jobs Ctrl-C is ignored, and with it every test of it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Each file starts servers of its own, TorchServe's in ten times the seconds: `make test` asks the embedded engine
# what both must do, and `make test-full` both. What TorchServe does with an archive, its start and end, and versions
# that change under load are in other files of tests/handlers, serving/torchserve and
# serving/operations/test_operations.py always.
TORCHSERVE_IN_FULL_RUNS = {
    "cli/test_log_format.py",
    "handlers/request/test_compression.py",
    "handlers/request/test_openapi.py",
    "handlers/test_grpc.py",
    "serving/generated/test_watching.py",
    "serving/monitoring/test_drift.py",
    "serving/operations/test_canary.py",
    "serving/operations/test_mixed.py",
    "serving/operations/test_tokens.py",
}


# Files that ask servers, or a browser, which are started once a session: all of them by the same worker.
TOGETHER = {
    "browser/": "browser",
    "handlers/request/test_compression.py": "served",
    "handlers/request/test_fuzzed_requests.py": "served",
    "handlers/request/test_inference_protocol.py": "served",
    "handlers/request/test_openapi.py": "served",
    "handlers/runtime/test_metrics.py": "served",
    "handlers/test_frontend.py": "served",
    "handlers/test_own_server.py": "served",
    "handlers/test_served.py": "served",
}

# While one worker trains the run that most files read, the others have files that read none.
FIRST = ("api/test_doctor.py", "data/", "models/")


def _file(item: pytest.Item) -> str:
    return item.path.relative_to(Path(__file__).parent).as_posix()


def _turn(item: pytest.Item) -> int:
    return next((turn for turn, name in enumerate(FIRST) if _file(item).startswith(name)), len(FIRST))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that ask TorchServe in some files as long, and order them."""
    for item in items:
        call = getattr(item, "callspec", None)  # of parametrized tests
        if _file(item) in TORCHSERVE_IN_FULL_RUNS and call and "torchserve" in call.params.values():
            item.add_marker(pytest.mark.long)
    items.sort(key=_turn)


class FilesTogether(LoadFileScheduling):  # type: ignore[misc]
    """Gives each file to a worker as a whole, and those of TOGETHER to the same one."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return next((group for name, group in TOGETHER.items() if file.startswith(f"tests/{name}")), file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> FilesTogether | None:
    """Return how tests are given to workers where files are asked for."""
    return FilesTogether(config, log) if config.getvalue("dist") == "loadfile" else None


TOPICS = {
    "sport": "match goal team player league coach referee stadium season cup".split(),
    "kitchen": "pan oven butter recipe flour sugar knife salt soup bread".split(),
    "weather": "rain storm wind cloud sun snow frost heat fog thunder".split(),
}
FILLER = "the a of and with some very today about near".split()


def write_rows(path: Path, rows: int = 600, seed: int = 1) -> Path:
    """A CSV of made-up but learnable texts on three topics; a tenth of their words occur once only."""
    draw = random.Random(seed)
    lines = ["text,label"]
    for row in range(rows):
        label = draw.choice(sorted(TOPICS))
        words = [draw.choice(TOPICS[label] if draw.random() < 0.5 else FILLER) for _ in range(draw.randint(3, 14))]
        if draw.random() < 0.5:
            words.insert(draw.randrange(len(words)), f"rare{row}")
        lines.append(f"{' '.join(words)},{label}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_task_rows(path: Path, rows: int = 240, seed: int = 2) -> Path:
    """A JSONL of rows for every task: texts on a topic, several labels, a language, a second text, an image.

    A pair shares a word that no other pair has; an image is bright where its topic stands in the alphabet. The words
    of the second language are those of the first in capitals, written backwards.
    """
    draw = random.Random(seed)
    lines = []
    for row in range(rows):
        label = draw.choice(sorted(TOPICS))
        words = [[draw.choice(TOPICS[label]) for _ in range(draw.randint(3, 6))] for _ in range(2)]
        lang = draw.choice(["en", "ne"])
        if lang == "ne":
            words = [[word[::-1].upper() for word in own] for own in words]
        image = [draw.random() / 4 + (topic == label) for topic in sorted(TOPICS)]
        labels = [label] + (["long"] if len(words[0]) > 4 else [])
        line = {"text": " ".join([*words[0], f"own{row}"]), "pair": " ".join([f"own{row}", *words[1]])}
        lines.append(json.dumps(line | {"label": label, "labels": labels, "lang": lang, "image": image}))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


Once = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """The folder of a name, filled by the first worker that asks for it while others wait. Tests only read it."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    shared.mkdir(exist_ok=True)

    def made(name: str, fill: Callable[[Path], object]) -> Path:
        folder, whole = shared / name, shared / f"{name}.made"
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not whole.exists():
                # What a worker that failed has left.
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                fill(folder)
                whole.touch()
        return folder

    return made


@pytest.fixture(scope="session")
def tasks_jsonl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_task_rows(tmp_path_factory.mktemp("data") / "tasks.jsonl")


# By name, the recipe and the columns of `tasks_jsonl` that it learns from.
TASKS: dict[str, tuple[str, Columns]] = {
    "multilabel": ("bag", Columns(label="labels")),
    "vector": ("vectors", Columns(label=None, pair="pair")),
    "joint": ("joint", Columns(label=None, image="image")),
    "languages": ("multilingual", Columns(language="lang")),
}


def task_recipe(name: str) -> recipes.Recipe:
    recipe = recipes.load(TASKS[name][0]).changed("embedding", dim=8).changed("training", epochs=4)
    if recipe.text.grams:
        recipe = recipe.changed("text", buckets=256)
    if name == "multilabel":
        recipe = recipe.changed("head", multi_label=True, threshold=0.4)
    return recipe.changed("text", min_count=1)


@pytest.fixture(scope="session")
def task_run(once: Once, tasks_jsonl: Path) -> Callable[[str], Path]:
    """A run of one of TASKS, exported to onnx-fp32 and made once. Tests only read it."""

    def make(name: str) -> Path:
        def fill(folder: Path) -> None:
            run = train(str(tasks_jsonl), folder / name, recipe=task_recipe(name), columns=TASKS[name][1])
            export(run, choose("onnx-fp32"))

        return once(f"task-{name}", fill) / name

    return make


@pytest.fixture(scope="session")
def task_archive(task_run: Callable[[str], Path], once: Once) -> Callable[[str], Path]:
    """The onnx-fp32 archive of one of TASKS, packed once."""

    def pack(name: str) -> Path:
        def fill(folder: Path) -> None:
            archive(task_run(name), version="1.0", variant="onnx-fp32", out=folder)

        return once(f"store-of-{name}", fill) / f"{name}-1.0.mar"

    return pack


@pytest.fixture(scope="session")
def tiny_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rows(tmp_path_factory.mktemp("data") / "topics.csv")


@pytest.fixture(scope="session")
def run_folder(once: Once, tiny_csv: Path) -> Path:
    """A run trained on `tiny_csv` and exported to every variant. Tests only read it."""

    def fill(folder: Path) -> None:
        recipe = recipes.load("bag").changed("text", buckets=4096, min_count=2).changed("embedding", dim=16)
        run = train(str(tiny_csv), folder / "topics", recipe=recipe, seed=0)
        export(run, choose("*"))

    return once("run", fill) / "topics"


@pytest.fixture(scope="session")
def short_run(once: Once, tiny_csv: Path) -> Path:
    """A run on the data of `run_folder` that learned too little, in onnx-int8. Tests only read it."""

    def fill(folder: Path) -> None:
        recipe = recipes.load("bag").changed("text", ngrams=1, buckets=0).changed("embedding", dim=4)
        recipe = recipe.changed("training", epochs=1, learning_rate=0.001)
        export(train(str(tiny_csv), folder / "short", recipe=recipe, seed=0), choose("onnx-int8"))

    return once("short run", fill) / "short"


@pytest.fixture(scope="session")
def trained_run(run_folder: Path) -> Run:
    return open_run(run_folder)


@pytest.fixture(scope="session")
def archive_of(run_folder: Path, once: Once) -> Callable[[str], Path]:
    """The archive `topics-1.0.mar` of a variant by name, packed once."""

    def pack(variant: str) -> Path:
        def fill(folder: Path) -> None:
            archive(run_folder, version="1.0", variant=variant, out=folder)

        return once(f"store-{variant}", fill) / "topics-1.0.mar"

    return pack
