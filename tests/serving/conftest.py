"""Tiny archives for the real TorchServe, and what a server may not leave behind."""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from lexport.serving.torchserve.java import find_java

ECHO = """
import json, logging, os

# What the client knows lexport's answers by.
ANSWER = {"label": "echo", "score": 1.0, "scores": {"echo": 1.0}, "tokens": 1, "unknown": 0, "truncated": False}

class Echo:
    def initialize(self, context):
        logging.getLogger().setLevel(logging.WARNING)
        model = context.manifest["model"]
        report(ready=True, goldens=18, model=model["modelName"], version=model["modelVersion"], device="cpu")

    def handle(self, data, context):
        answers = []
        for position, item in enumerate(data):
            texts = json.loads(item.get("body"))["texts"]
            if texts == ["refuse me"]:
                context.set_response_status(code=422, idx=position)
                answers.append({"error": "Refused on purpose.", "expected": "another text"})
            elif texts == ["no list"]:
                answers.append({"tokens": 2})
            else:
                answers.append([
                    {"text": text, "pid": os.getpid(), "threads": os.environ.get("LEXPORT_THREADS"),
                     "omp": os.environ.get("OMP_NUM_THREADS"), **ANSWER}
                    for text in texts
                ])
        return answers

def report(**facts):
    folder = os.environ.get("LEXPORT_REPORT_DIR")
    if folder:
        path = os.path.join(folder, f"{os.getpid()}.json")
        with open(path + ".partial", "w") as partial:
            json.dump({"pid": os.getpid(), **facts}, partial)
        os.replace(path + ".partial", path)
"""

MakeArchive = Callable[..., Path]


@pytest.fixture(scope="session")
def make_archive() -> MakeArchive:
    """Write an archive: folder, name, version, `handler` source, `made_by_lexport` or foreign, `config` YAML."""

    def make(
        folder: Path,
        name: str,
        version: str = "1.0",
        *,
        handler: str = ECHO,
        made_by_lexport: bool = True,
        config: str = "batchSize: 8\nmaxBatchDelay: 1\n",
    ) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}-{version}.mar"
        manifest = {
            "createdOn": "01/01/2025 00:00:00",
            "runtime": "python",
            "archiverVersion": "0.12.0",
            "model": {
                "modelName": name,
                "modelVersion": version,
                "handler": "handler.py",
                "configFile": "model-config.yaml",
            },
        }
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("MAR-INF/MANIFEST.json", json.dumps(manifest))
            if made_by_lexport:
                archive.writestr("MAR-INF/EVIDENCE.json", "{}")
            archive.writestr("handler.py", handler)
            archive.writestr("model-config.yaml", config)
        return path

    return make


@pytest.fixture(scope="session")
def java() -> None:
    """Skip where no Java can be found."""
    find_java()


class Traces:
    """What servers started inside one test have left: temporary files and processes."""

    def __init__(self, here: Path, private: Path) -> None:
        """State folders lie in `here`; the temporary folder is `private`, which no other test uses."""
        self.here = here
        self.private = private

    def folders(self) -> list[Path]:
        """The servers' temporary folders, and whatever lies in the system's."""
        return sorted([*self.here.rglob("run"), *self.private.iterdir()])

    def processes(self) -> list[int]:
        """Living processes of servers started here."""
        found = []
        for process in psutil.process_iter():
            try:
                mine = process.environ().get("LEXPORT_REPORT_DIR", "").startswith(str(self.here))
                if mine and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process.pid)
            except psutil.Error:
                continue
        return found


@pytest.fixture
def traces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Traces]:
    """Give this test a temporary folder of its own."""
    private = Path(tempfile.mkdtemp(prefix="lt-", dir="/tmp")).resolve()
    monkeypatch.setattr(tempfile, "tempdir", str(private))
    monkeypatch.setenv("TMPDIR", str(private))
    yield Traces(tmp_path.resolve(), private)
    shutil.rmtree(private)
