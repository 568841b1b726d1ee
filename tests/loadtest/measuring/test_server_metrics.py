"""What a server counts during a run, of its metrics address."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lexport.loadtest.measuring import server_metrics
from lexport.loadtest.measuring.server_metrics import Counters, between, read_counters, together
from lexport.loadtest.runner import loadtest

BEFORE = Counters(100, 0.5, 10, 80, 0.2, {"1": 4, "2": 8, "+Inf": 10})
AFTER = Counters(300, 1.5, 60, 280, 0.45, {"1": 14, "2": 48, "+Inf": 60})
TEXT = """# TYPE ts_inference_requests_total counter
ts_inference_requests_total{{model_name="m",model_version="default",hostname="h"}} {requests}
# TYPE ts_queue_latency_microseconds counter
ts_queue_latency_microseconds{{model_name="m",model_version="default",hostname="h"}} 2500.0
# TYPE lexport_batches counter
lexport_batches{{ModelName="m",ModelVersion="1.0"}} {batches}
lexport_batches{{ModelName="m",ModelVersion="1.0",other="w"}} 1
# TYPE lexport_texts counter
lexport_texts{{ModelName="m",ModelVersion="1.0"}} 9
# TYPE lexport_images counter
"""


@pytest.fixture
def published() -> Iterator[tuple[str, list[str]]]:
    """A metrics address, and the texts that it answers, the last one again and again."""
    texts: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = (texts.pop(0) if len(texts) > 1 else texts[0]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", texts
        server.shutdown()
        thread.join()


def test_the_difference_of_two_readings_is_the_runs() -> None:
    found = between(BEFORE, AFTER)
    assert found is not None
    assert (found.requests, found.batches, found.texts) == (200, 50, 200)
    assert found.batch_texts == 4.0
    assert found.queue_ms == pytest.approx(5.0)
    assert found.inference_ms == pytest.approx(5.0)
    assert found.batch_requests == ((1.0, 10), (2.0, 30), (None, 10))


def test_runs_are_added_up_before_their_means_are_taken() -> None:
    one, other = between(BEFORE, AFTER), between(AFTER, Counters(400, 1.5, 160, 380, 0.95, AFTER.sizes))
    assert one is not None
    assert other is not None
    both = together([one, other])
    assert (both.requests, both.batches, both.batch_texts) == (300, 150, 2.0)
    assert both.queue_ms == pytest.approx(1000 / 300)
    assert both.batch_requests == one.batch_requests


def test_a_model_of_others_has_no_batches_that_are_counted() -> None:
    found = between(Counters(1, 0.0, None, None, None, {}), Counters(5, 0.02, None, None, None, {}))
    assert found is not None
    assert (found.queue_ms, found.batch_texts, found.inference_ms, found.batch_requests) == (5.0, None, None, None)


def test_what_began_again_or_is_not_known_is_not_counted() -> None:
    assert between(AFTER, BEFORE) is None
    assert between(None, AFTER) is None
    assert between(BEFORE, None) is None
    assert read_counters("", at_rest=True) is None
    assert read_counters("http://127.0.0.1:9", at_rest=False) is None


def test_counters_of_all_workers_are_added_up(published: tuple[str, list[str]]) -> None:
    url, texts = published
    texts.append(TEXT.format(requests=7, batches=3))
    assert read_counters(url, at_rest=False) == Counters(7, 0.0025, 4, 9, None, {})


def test_counters_that_come_late_are_waited_for(
    published: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_metrics, "INTERVAL", 0.001)
    url, texts = published
    texts += [TEXT.format(requests=7, batches=batches) for batches in (1, 2, 5, 5, 9)]
    found = read_counters(url, at_rest=True)
    assert found is not None
    assert found.batches == 6


@pytest.mark.long
@pytest.mark.parametrize("engine", ["embedded", "torchserve"])
def test_both_engines_say_how_large_their_batches_were_and_how_long_requests_waited(
    engine: str, archive_of: Callable[[str], Path], tmp_path: Path
) -> None:
    report = loadtest(
        [archive_of("onnx-int8")],
        engines=[engine],
        worker_sets=["cpu:1"],
        users=[1, 8],
        duration=3.0,
        warmup=1.0,
        trusted=(),
    )
    alone, several = report.rows
    for row in (alone, several):
        served = row.server
        assert served is not None
        # What was counted includes the second before the window and the answers after it.
        assert served.requests >= row.answered
        assert served.texts is not None
        assert served.texts >= row.answered
        assert served.batches is not None
        assert served.queue_ms is not None
        assert row.p99_ms is not None
        assert 0 <= served.queue_ms <= row.p99_ms
        assert served.inference_ms is not None
        assert 0 < served.inference_ms <= row.p99_ms
        assert (served.batch_requests is not None) == (engine == "embedded")
        if served.batch_requests is not None:
            assert sum(count for _, count in served.batch_requests) == served.batches
    assert alone.server is not None
    assert several.server is not None
    assert alone.server.batch_texts == pytest.approx(1.0)
    assert several.server.batch_texts is not None
    assert several.server.batch_texts > 1.2
