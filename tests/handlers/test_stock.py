"""Stock TorchServe, started by its own command with its own settings, loads and runs our archive."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lexport.export.inprocess import opened
from lexport.serving import api
from lexport.serving.java import find_java
from lexport.serving.ports import pick_free
from lexport.serving.settings import addresses, read_settings


@pytest.mark.parametrize("variant", ["torchscript-int8", "onnx-int8", "onnx-int8-text"])
def test_stock_torchserve_serves_the_archive(archive_of: Callable[[str], Path], tmp_path: Path, variant: str) -> None:
    mar = archive_of(variant)
    doors = pick_free(addresses(read_settings(), 0))
    lines = [f"{purpose}_address={doors[purpose].url}" for purpose in ("inference", "management", "metrics")]
    # Nothing but ports: everything else is TorchServe's own default.
    (tmp_path / "ports.properties").write_text("\n".join([*lines, "grpc_inference_port=0", "grpc_management_port=0"]))
    (tmp_path / "tmp").mkdir()
    command = [sys.executable, "-m", "ts.model_server"]
    environment = os.environ | {"JAVA_HOME": str(find_java().path.parents[1]), "TEMP": str(tmp_path / "tmp")}
    environment |= {"TMPDIR": str(tmp_path / "tmp"), "LOG_LOCATION": "logs", "METRICS_LOCATION": "logs"}
    start = ["--start", "--foreground", "--ncs", "--disable-token-auth", "--ts-config", "ports.properties"]
    start += ["--model-store", str(mar.parent), "--models", f"topics={mar.name}"]
    texts = ["the goal and the referee", "qqqq zzzz", "", "好 👍"]
    url = doors["inference"].url
    with subprocess.Popen(command + start, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL) as child:
        try:
            status, answer, deadline = 0, None, time.monotonic() + 90
            while status != 200:
                assert time.monotonic() < deadline, answer
                time.sleep(0.3)
                with contextlib.suppress(OSError):
                    body = json.dumps({"texts": texts}).encode()
                    status, answer = api.request("POST", url, "/predictions/topics", token="", body=body)
            status, refused = api.request("POST", url, "/predictions/topics", token="", body=b'{"text": NaN}')
        finally:
            subprocess.run([*command, "--stop"], cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, check=True)
            child.wait(30)
    with opened(mar) as own:
        assert answer == own.predict(texts)
    assert status == 400
    assert "NaN" in refused["error"]
