"""The embedded engine over gRPC and over HTTP: the same texts, the same archive, one process, side by side.

    python benchmarks/grpc_calls.py MAR [--rounds 5] [--seconds 4] [--quick]

Four ways to ask, in turns: TorchServe's HTTP path and its gRPC call `Predictions`, the Open Inference Protocol's HTTP
path and its gRPC call `ModelInfer`. Over HTTP each request in flight has a connection; all calls share one. Both
clients are Python's and run beside the server: their processor time is measured, too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import grpc.aio
import psutil

from lexport.benchmarks.connections import Cell, load, spent
from lexport.benchmarks.figures import say
from lexport.benchmarks.report import Report, add_options
from lexport.data.load import Columns
from lexport.data.load import load as load_data
from lexport.serving import Server, serve, stop
from lexport.serving.embedded.grpc.messages import message
from lexport.serving.embedded.http import new_event_loop
from lexport.serving.store import read

IN_FLIGHT = (1, 16, 64)
TEXTS = 500
_PAIRS = (("Predictions", "/predictions"), ("ModelInfer", "/v2 … /infer"))
_HTTP, _OIP = "/predictions", "/v2 … /infer"
_PREDICTIONS = "/org.pytorch.serve.grpc.inference.InferenceAPIsService/Predictions"
_INFER = "/inference.GRPCInferenceService/ModelInfer"


class Asked(NamedTuple):
    """A server, and what it is asked."""

    server: Server
    grpc_port: int
    model: str
    texts: list[str]


def main() -> int:
    """Measure and print Markdown tables."""
    options = _options()
    report = Report(options)
    rounds, seconds = (1, 0.5) if options.quick else (options.rounds, options.seconds)
    ways: dict[str, Callable[[Asked, int, float], Cell]] = {
        _HTTP: lambda asked, count, took: _over_http(asked, f"/predictions/{asked.model}", _json_of, count, took),
        "Predictions": lambda asked, count, took: _over_grpc(asked, _PREDICTIONS, _prediction_of, count, took),
        _OIP: lambda asked, count, took: _over_http(asked, f"/v2/models/{asked.model}/infer", _v2_of, count, took),
        "ModelInfer": lambda asked, count, took: _over_grpc(asked, _INFER, _infer_of, count, took),
    }
    found: dict[tuple[str, int], list[Cell]] = {}
    with _served(options.archive) as asked:
        for turn in range(rounds):
            for name in ways if turn % 2 == 0 else [*ways][::-1]:
                say(f"round {turn + 1} of {rounds}: {name}")
                for count in IN_FLIGHT:
                    found.setdefault((name, count), []).append(ways[name](asked, count, seconds))
    _show(report, [*ways], found)
    return report.close()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("archive", type=Path, help="an archive of an ONNX variant")
    add_options(parser)
    add("--seconds", type=float, default=4.0, help="for each cell")
    add("--rounds", type=int, default=5)
    add("--quick", action="store_true", help="one short round: does it run at all?")
    return parser.parse_args()


@contextmanager
def _served(archive: Path) -> Iterator[Asked]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    with tempfile.TemporaryDirectory(prefix="lexport-grpc-", dir="/tmp") as scratch:
        settings, state = Path(scratch) / "own.properties", Path(scratch) / "s"
        settings.write_text(f"grpc_inference_port={port}\n", encoding="utf-8")
        server = serve(
            [archive], engine="embedded", workers="cpu:1", port=0, state_dir=state, config=settings, bound=True
        )
        try:
            texts = load_data("rotten-tomatoes", Columns()).texts
            yield Asked(server, port, read(archive).name, list(texts[:TEXTS]))
        finally:
            stop(state)


def _json_of(text: str) -> bytes:
    return json.dumps({"text": text}).encode()


def _v2_of(text: str) -> bytes:
    return json.dumps({"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": [text]}]}).encode()


def _prediction_of(model: str, text: str) -> bytes:
    made = message("org.pytorch.serve.grpc.inference.PredictionsRequest")(model_name=model)
    made.input["data"] = text.encode()
    return bytes(made.SerializeToString())


def _infer_of(model: str, text: str) -> bytes:
    made = message("inference.ModelInferRequest")(model_name=model)
    made.inputs.add(name="text", datatype="BYTES", shape=[1]).contents.bytes_contents.append(text.encode())
    return bytes(made.SerializeToString())


def _over_http(asked: Asked, path: str, body_of: Callable[[str], bytes], count: int, seconds: float) -> Cell:
    """Ask over so many connections."""
    host, port = asked.server.inference_url.removeprefix("http://").rsplit(":", 1)
    head = f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {asked.server.token()}\r\n"
    head += "Content-Type: application/json\r\nContent-Length: "
    requests = [f"{head}{len(body)}\r\n\r\n".encode() + body for body in (body_of(text) for text in asked.texts)]
    return load((host, int(port)), requests, count, seconds, psutil.Process(asked.server.supervisor))


def _over_grpc(
    asked: Asked, method: str, message_of: Callable[[str, str], bytes], count: int, seconds: float
) -> Cell:
    """Ask by so many calls at once, over one connection."""
    messages = [message_of(asked.model, text) for text in asked.texts]
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(_calls(asked, method, messages, count, seconds))


async def _calls(asked: Asked, method: str, messages: Sequence[bytes], count: int, seconds: float) -> Cell:
    process = psutil.Process(asked.server.supervisor)
    metadata = (("authorization", f"Bearer {asked.server.token()}"),)
    took: list[float] = []
    clock = time.perf_counter
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{asked.grpc_port}", options) as channel:
        call: Any = channel.unary_unary(method)

        async def ask(place: int, ends: float, times: list[float]) -> None:
            while (began := clock()) < ends:
                await call(messages[place % len(messages)], metadata=metadata)
                times.append(clock() - began)
                place += count

        async def everybody(lasts: float, times: list[float]) -> None:
            ends = clock() + lasts
            await asyncio.gather(*[ask(place, ends, times) for place in range(count)])

        await everybody(min(1.0, seconds / 3), [])
        server, client, began = spent(process), time.process_time(), clock()
        await everybody(seconds, took)
        passed, client, server = clock() - began, time.process_time() - client, spent(process) - server
    took.sort()
    number = len(took)
    return Cell(
        number / passed,
        took[number // 2] * 1e3,
        took[number * 99 // 100] * 1e3,
        server / number * 1e6,
        client=client / number * 1e6,
    )


def _show(report: Report, names: Sequence[str], found: dict[tuple[str, int], list[Cell]]) -> None:
    for count in IN_FLIGHT:
        report.part(f"{count} in flight" if count > 1 else "One at a time")
        rows = []
        for name in names:
            cells = found[name, count]
            share = statistics.median(cell.client / (cell.client + cell.cpu) for cell in cells)
            figures = [f"{_median(cells, field):{form}}" for field, form in _FIGURES]
            rows.append([name, *figures, f"{share:.0%}"])
        report.table(
            ["asked by", "requests/s", "median, ms", "p99, ms", "server, µs a request", "client, µs a request",
             "client's share of the processor time"],
            rows,
        )  # fmt: skip
        for call, path in _PAIRS:
            rates, times = (_ratios(found[call, count], found[path, count], field) for field in ("rate", "cpu"))
            report.text(
                f"{call} ÷ {path}, side by side: {statistics.median(rates):.2f} of the requests a second "
                f"({rates[0]:.2f} to {rates[-1]:.2f}), {statistics.median(times):.2f} times the server's processor "
                f"time ({times[0]:.2f} to {times[-1]:.2f})."
            )


_FIGURES = (("rate", ",.0f"), ("median", ".2f"), ("p99", ".2f"), ("cpu", ".0f"), ("client", ".0f"))


def _median(cells: Sequence[Cell], field: str) -> float:
    return float(statistics.median(getattr(cell, field) for cell in cells))


def _ratios(cells: Sequence[Cell], others: Sequence[Cell], field: str) -> list[float]:
    return sorted(getattr(one, field) / getattr(other, field) for one, other in zip(cells, others, strict=True))


if __name__ == "__main__":
    sys.exit(main())
