"""Stock TorchServe, started by its own command with its own settings, loads and runs our archive."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lexport.export.archive.archiver_inputs import write_archiver_inputs
from lexport.export.archive.inprocess import load_archive
from lexport.serving.settings.addresses import addresses
from lexport.serving.settings.files import read_settings
from lexport.serving.settings.ports import pick_free
from lexport.serving.torchserve import http as api
from lexport.serving.torchserve.java import find_java

from .interpreters import all_but

TEXTS = ["the goal and the referee", "qqqq zzzz", "", "好 👍"]


@contextlib.contextmanager
def stock_torchserve(mar: Path, tmp_path: Path, python: str = sys.executable) -> Iterator[str]:
    """The URL of a server that has been started with `mar` as the model topics; it may not be ready yet."""
    endpoints = pick_free(addresses(read_settings(), 0))
    lines = [f"{purpose}_address={endpoints[purpose].url}" for purpose in ("inference", "management", "metrics")]
    # Nothing but ports: everything else is TorchServe's own default.
    (tmp_path / "ports.properties").write_text("\n".join([*lines, "grpc_inference_port=0", "grpc_management_port=0"]))
    (tmp_path / "tmp").mkdir()
    command = [python, "-m", "ts.model_server"]
    environment = os.environ | {"PATH": f"{Path(python).parent}:{os.environ['PATH']}"}
    environment |= {"JAVA_HOME": str(find_java().path.parents[1]), "TEMP": str(tmp_path / "tmp")}
    environment |= {"TMPDIR": str(tmp_path / "tmp"), "LOG_LOCATION": "logs", "METRICS_LOCATION": "logs"}
    start = ["--start", "--foreground", "--ncs", "--disable-token-auth", "--ts-config", "ports.properties"]
    start += ["--model-store", str(mar.parent), "--models", f"topics={mar.name}"]
    with subprocess.Popen(command + start, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL) as child:
        try:
            yield endpoints["inference"].url
        finally:
            subprocess.run([*command, "--stop"], cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, check=True)
            child.wait(30)


def ask(url: str, texts: list[str]) -> Any:
    """The answers, once there are some."""
    status, answer, deadline = 0, None, time.monotonic() + 90
    while status != 200:
        assert time.monotonic() < deadline, answer
        time.sleep(0.3)
        with contextlib.suppress(OSError):
            body = json.dumps({"texts": texts}).encode()
            status, answer = api.request("POST", url, "/predictions/topics", token="", body=body)
    return answer


@pytest.mark.parametrize(
    "variant",
    [*(pytest.param(one, marks=pytest.mark.long) for one in ("torchscript-int8", "onnx-int8")), "onnx-int8-text"],
)
def test_stock_torchserve_serves_the_archive(archive_of: Callable[[str], Path], tmp_path: Path, variant: str) -> None:
    mar = archive_of(variant)
    with stock_torchserve(mar, tmp_path) as url:
        answer = ask(url, TEXTS)
        status, refused = api.request("POST", url, "/predictions/topics", token="", body=b'{"text": NaN}')
    with load_archive(mar) as own:
        assert answer == own.predict(TEXTS)
    assert status == 400
    assert "NaN" in refused["error"]


@pytest.mark.parametrize("variant", [pytest.param("torchscript-int8", marks=pytest.mark.long), "onnx-int8"])
def test_stock_torchserve_serves_what_the_stock_archiver_packed(
    run_folder: Path, archive_of: Callable[[str], Path], tmp_path: Path, variant: str
) -> None:
    """The command line that `lexport handler` prints, run as it is printed."""
    store = tmp_path / "store"
    store.mkdir()
    command = write_archiver_inputs(run_folder, version="1.0", variant=variant, out=tmp_path / "a folder")
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "TMPDIR": str(store)}
    subprocess.run(shlex.join(command), shell=True, cwd=store, env=environment, check=True, timeout=60)
    with stock_torchserve(store / "topics.mar", tmp_path) as url:
        answer = ask(url, TEXTS)
    with load_archive(archive_of(variant)) as own:
        assert answer == own.predict(TEXTS)


@pytest.mark.long
def test_stock_torchserve_logs_which_package_is_missing_and_its_pip_line(
    archive_of: Callable[[str], Path], tmp_path: Path
) -> None:
    python = all_but(tmp_path / "env", "mmh3")
    wanted = (
        "RuntimeError: The worker of topics cannot import mmh3: No module named 'mmh3'. Install it where TorchServe "
        "runs: pip install mmh3"
    )
    log, deadline = tmp_path / "logs" / "model_log.log", time.monotonic() + 90
    with stock_torchserve(archive_of("onnx-int8"), tmp_path, str(python)):
        while not (log.is_file() and wanted in log.read_text()):
            assert time.monotonic() < deadline, log.read_text() if log.is_file() else "no log"
            time.sleep(0.3)
