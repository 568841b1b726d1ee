"""Where a worker's time goes between the frontend's bytes and the answer's: microseconds a request, by batch size.

    python benchmarks/request_path.py [--run RUN] [--variant onnx-fp32] [--batches 1,8,32,64] [--quick]

A batch as TorchServe's frontend sends it lies in a socket. It is read with TorchServe's own code and with ours
(handlers/runtime/torchserve_patch.py), answered by the archive's own handler through TorchServe's service, and the
handler's parts are timed each alone on the same batch. All in this process, one after the other, so that nothing
waits for anything else: medians over rounds of many batches of held-out texts.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import struct
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ts.context import Context
from ts.protocol import otf_message_handler as frontend
from ts.service import Service

from lexport.benchmarks.figures import say
from lexport.benchmarks.report import Report
from lexport.benchmarks.small import add_options, run_of
from lexport.export.archive.inprocess import load_archive
from lexport.export.archive.pack import archive
from lexport.handlers.model.loading import load
from lexport.handlers.request.answers import render
from lexport.handlers.request.protocol import Request, parse
from lexport.handlers.runtime.torchserve_patch import Reader
from lexport.handlers.text.batch import Batch
from lexport.models.run import open_run

JSON = "application/json"
# What a client sends with every request, about.
HEADERS = {
    "Host": "127.0.0.1:8080",
    "Authorization": "Bearer fmyTpSKv",
    "Content-Type": JSON,
    "Content-Length": "140",
    "Accept": "*/*",
    "Accept-Encoding": "gzip, deflate",
    "User-Agent": "benchmark",
    "Connection": "keep-alive",
}
COLUMNS = (
    "batch",
    "read, TorchServe's code",
    "read, ours",
    "the handler",
    "parse",
    "text to ids",
    "model",
    "write the answer",
    "TorchServe's rest",
)
_END = struct.pack("!i", -1)
_OWN_READER = frontend._retrieve_buffer


def main() -> int:
    """Measure and print a Markdown table."""
    options = _options()
    # As the worker sets it in TorchServe: bodies stay bytes.
    os.environ["TS_DECODE_INPUT_REQUEST"] = "false"
    report = Report(options)
    rounds, requests = (2, 128) if options.quick else (options.rounds, options.requests)
    rows = []
    with tempfile.TemporaryDirectory(prefix="lexport-path-") as scratch:
        folder = Path(scratch)
        run = run_of(options, folder)
        texts = open_run(run).held_out("test").texts
        path = archive(run, version="1.0", variant=options.variant, out=folder)
        for batch in (int(one) for one in options.batches.split(",")):
            say(f"batches of {batch}")
            found = _measure(path, texts, batch, rounds, max(1, requests // batch))
            rows.append([str(batch), *(f"{statistics.median(found[column]):.1f}" for column in COLUMNS[1:])])
        report.part(f"{path.name}, microseconds a request")
    report.table(COLUMNS, rows, dict.fromkeys(COLUMNS[1:], "µs"))
    return report.close()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add_options(parser)
    add("--variant", default="auto")
    add("--batches", default="1,8,32,64", help="requests in a batch")
    add("--rounds", type=int, default=15)
    add("--requests", type=int, default=3000, help="in each round")
    add("--quick", action="store_true", help="two rounds of a few batches: does it run at all?")
    return parser.parse_args()


def _measure(path: Path, texts: Sequence[str], size: int, rounds: int, batches: int) -> dict[str, list[float]]:
    """Microseconds a request by column, a value a round."""
    bodies = [
        [json.dumps({"text": texts[(size * number + place) % len(texts)]}).encode() for place in range(size)]
        for number in range(batches)
    ]
    messages = [_message(batch) for batch in bodies]
    found: dict[str, list[float]] = defaultdict(list)
    with load_archive(path) as archived:
        service, spent = _service(archived.worker, archived.folder)
        predictor = load(archived.folder)
        parsed = [[parse({"body": body}, JSON) for body in batch] for batch in bodies]
        asked = [[request.texts[0] for request in batch] for batch in parsed]
        for turn in range(rounds + 1):  # the first one warms up
            taken = dict.fromkeys(COLUMNS[1:], 0.0)
            for name, reader in (("read, TorchServe's code", _OWN_READER), ("read, ours", Reader().read)):
                frontend._retrieve_buffer = reader
                with _connected() as (ours, theirs):
                    for message in messages:
                        ours.sendall(message)
                        began = time.perf_counter()
                        _, batch = frontend.retrieve_msg(theirs)
                        taken[name] += time.perf_counter() - began
                        if reader is not _OWN_READER:
                            before, began = spent.seconds, time.perf_counter()
                            service.predict(batch)
                            taken["TorchServe's rest"] += time.perf_counter() - began - (spent.seconds - before)
                            taken["the handler"] += spent.seconds - before
            frontend._retrieve_buffer = _OWN_READER
            for raw, requests, words in zip(bodies, parsed, asked, strict=True):
                for name, seconds in _parts(predictor, raw, requests, words):
                    taken[name] += seconds
            if turn:
                for name, seconds in taken.items():
                    found[name].append(seconds / (size * batches) * 1e6)
    return found


def _parts(
    predictor: Any, bodies: Sequence[bytes], requests: Sequence[Request], texts: Sequence[str]
) -> Iterator[tuple[str, float]]:
    """The parts of a batch's answer, each with its seconds."""
    model = predictor.model
    answers = predictor.predict(texts)
    call = predictor.engine_call(Batch(texts))

    def write() -> None:
        for request, answer in zip(requests, answers, strict=True):
            render(request, [answer], model.name, model.version)

    parts: dict[str, Callable[[], object]] = {
        "parse": lambda: [parse({"body": body}, JSON) for body in bodies],
        "text to ids": lambda: predictor.engine_call(Batch(texts)),
        "model": call,
        "write the answer": write,
    }
    for name, part in parts.items():
        began = time.perf_counter()
        part()
        yield name, time.perf_counter() - began


def _service(worker: Any, folder: Path) -> tuple[Service, SimpleNamespace]:
    """TorchServe's service around a worker, and the seconds that are spent in the latter."""
    spent = SimpleNamespace(seconds=0.0)

    def handle(data: list[dict[str, Any]], context: Context) -> list[bytes]:
        began = time.perf_counter()
        answers: list[bytes] = worker.handle(data, context)
        spent.seconds += time.perf_counter() - began
        return answers

    metrics = SimpleNamespace(request_ids=None, add_time=lambda *_: None)
    service = Service("model", str(folder), None, handle, None, 1, metrics_cache=metrics)
    service.set_cl_socket(None)
    return service, spent


def _message(bodies: Sequence[bytes]) -> bytes:
    """A batch as the frontend sends it."""
    headers = b"".join(_packed(name) + _packed(value) for name, value in HEADERS.items()) + _END
    content = b"I"
    for number, body in enumerate(bodies):
        content += _packed(f"5e0c2b6e-8f1d-4c55-9d0f-{number:012}") + headers
        content += _packed("body") + _packed(JSON) + _packed(body) + _END
    return content + _END


def _packed(value: str | bytes) -> bytes:
    content = value.encode() if isinstance(value, str) else value
    return struct.pack("!i", len(content)) + content


@contextmanager
def _connected() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a connection that holds a whole batch without anybody reading."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        yield ours, theirs


if __name__ == "__main__":
    raise SystemExit(main())
