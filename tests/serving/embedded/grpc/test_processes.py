"""gRPC on several processes, and at the end of a server."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from lexport.serving import serve, stop

from .conftest import Served, free_ports

grpc = pytest.importorskip("grpc", reason='no grpcio: pip install "lexport[dev]"')

from .test_open_inference import Plain, request  # noqa: E402


def test_every_process_answers_and_a_stop_loses_no_request(archive_of: Callable[[str], Path], tmp_path: Path) -> None:
    inference, _ = free_ports()
    settings = tmp_path / "own.properties"
    settings.write_text(f"grpc_inference_port={inference}\n")
    server = serve(
        [archive_of("onnx-int8")],
        engine="embedded",
        workers="cpu:2",
        port=0,
        state_dir=tmp_path / "s",
        config=settings,
    )
    answered, outcomes = Counter[int](), Counter[str]()
    everywhere = threading.Barrier(17)

    def ask(number: int) -> None:
        plain = Plain(Served(server, f"127.0.0.1:{inference}", ""))
        while True:
            try:
                plain.infer(request(b"goal rain"))
            except grpc.RpcError as error:
                outcomes[error.code().name] += 1
                return
            answered[number] += 1
            if answered[number] == 20:
                everywhere.wait(30)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
    try:
        for thread in threads:
            thread.start()
        everywhere.wait(30)
    finally:
        stop(server.state_dir)
    for thread in threads:
        thread.join(30)
    assert outcomes == {"UNAVAILABLE": 16}
    logs = [path.read_text().splitlines() for path in sorted(server.logs.glob("access_log.[01].jsonl"))]
    statuses = [Counter(json.loads(line)["status"] for line in lines) for lines in logs]
    assert len(statuses) == 2
    assert all(one[200] for one in statuses)
    assert sum(one[200] for one in statuses) == sum(answered.values())
    assert set().union(*statuses) <= {200, 503}  # calls that came after the stop
