"""Servers of TorchServe with an archive or settings of their own."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import httpx

from lexport.errors import SystemProblem
from lexport.serving import serve, stop

from ..refusals import refused
from .cases import JSON


def test_an_archive_whose_labels_changed_is_not_served(
    archives: dict[str, Path], repack: Callable[..., Path], tmp_path: Path
) -> None:
    damaged = repack(archives["onnx"], {"labels.json": b'["kitchen", "weather", "sport"]'})
    with refused(SystemProblem, "LX-SERVE-072") as caught:
        serve([damaged], workers="cpu:1", state_dir=tmp_path / "state", port=0)
    message = str(caught.value)
    assert "A worker of onnx 1.0 could not start: ValueError:" in message
    assert "golden answers of onnx 1.0 (onnx-int8) differ: golden " in message
    assert "recorded" in message
    assert sorted(path.name for path in (tmp_path / "state").iterdir()) == [".lexport-state", "logs"]


def test_the_limits_of_a_body_are_those_of_the_server(archives: dict[str, Path], tmp_path: Path) -> None:
    config = tmp_path / "own.properties"
    config.write_text("max_request_size=60000\nmax_response_size=9000\n")
    server = serve([archives["onnx"]], workers="cpu:1", state_dir=tmp_path / "state", port=0, config=config)
    try:
        headers = {"Authorization": f"Bearer {server.token()}", "Content-Type": JSON}

        def post(texts: list[str], **more: str) -> httpx.Response:
            body = json.dumps({"texts": texts}).encode()
            packed = gzip.compress(body) if more else body
            return httpx.post(f"{server.inference_url}/predictions/onnx", content=packed, headers=headers | more)

        assert post(["goal"] * 20).status_code == 200
        reply = post(["goal"] * 200)
        assert (reply.status_code, "at most 9,000 can be sent" in reply.json()["error"]) == (413, True)
        reply = post(["goal " * 20_000], **{"Content-Encoding": "gzip"})
        assert (reply.status_code, "more than 60,000 bytes uncompressed" in reply.json()["error"]) == (413, True)
        assert post(["goal"]).status_code == 200
    finally:
        stop(tmp_path / "state")
