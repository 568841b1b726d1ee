"""What a worker counts: added up, told once a second, and seen at TorchServe's /metrics."""

from __future__ import annotations

import re
import time
from typing import Any

import numpy as np
import pytest

from lexport.handlers.engine.engines import Counts, Scores
from lexport.handlers.model.decoders import DECODERS
from lexport.handlers.model.distributions import LENGTHS, Distributions
from lexport.handlers.runtime import metrics as meters
from lexport.handlers.runtime import periodic
from lexport.handlers.runtime.metrics import Metrics
from lexport.serving.torchserve import http as api

from ..cases import FORM


def texts() -> Distributions:
    return Distributions(DECODERS["classify"], ["rain, sun", "snow"], 0.5)


def answered(*labels: int, tokens: int = 3, unknown: int = 1) -> tuple[Counts, Scores]:
    """Texts with the same counts, the last one cut, and a score of 0.75 for these labels."""
    count = len(labels)
    scores = np.full((count, 2), 0.25, np.float32)
    scores[range(count), labels] = 0.75
    return Counts(np.full(count, tokens), np.full(count, unknown), np.arange(count) == count - 1), scores


def values(lines: str) -> dict[str, float]:
    pattern = r"\[METRICS\](\w+)\.\w+:([0-9.]+)\|#ModelName:(\S+?),ModelVersion:([^,|]+)(\S*?)\|#type:(\w+)\|"
    found = re.findall(pattern, lines)
    assert len(found) == len(lines.splitlines())
    assert {(name, version) for _, _, name, version, *_ in found} == {("my_model", "1.0")}
    return {f"{name}{dimension}": float(value) for name, value, _, _, dimension, _ in found}


def test_counts_are_added_up_and_told_once() -> None:
    told: list[str] = []
    counted = Metrics("my model", "1.0", texts(), told.append)
    counted.report()
    assert told == []
    for _ in range(2):
        counted.record_batch(answered(0, 1), 3, 0.25)
        counted.record_requests(2, 1)
    counted.record_batch(answered(0, tokens=9, unknown=0), 0, 0.25)
    counted.report()
    assert values(told[0]) == {
        "lexport_requests": 4,
        "lexport_refused": 2,
        "lexport_batches": 3,
        "lexport_texts": 5,
        "lexport_images": 6,
        "lexport_tokens": 21,
        "lexport_unknown_tokens": 4,
        "lexport_unknown_texts": 4,
        "lexport_truncated_texts": 3,
        "lexport_inference_seconds": 0.75,
        "lexport_unknown_ratio": pytest.approx(4 / 21),
        "lexport_text_tokens_bucket,le:4": 4,
        "lexport_text_tokens_bucket,le:8": 4,
        **{
            f"lexport_text_tokens_bucket,le:{upper}": 5
            for upper in (*(f"{bound}" for bound in LENGTHS if bound > 8), "+Inf")
        },
        **{f"lexport_confidence_bucket,le:{upper}": 5 for upper in (0.8, 0.9, 0.95, 0.99, "+Inf")},
        "lexport_predictions,Label:rain%2C%20sun": 3,
        "lexport_predictions,Label:snow": 2,
    }
    counted.record_requests(1, 0)
    counted.report()
    assert values(told[1]) == {"lexport_requests": 1}
    assert len(told) == 2


def test_the_thread_tells_the_last_count_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(periodic, "INTERVAL", 0.05)
    told: list[str] = []
    counted = Metrics("my model", "1.0", texts(), told.append)
    counted.start()
    for _ in range(100):
        counted.record_requests(1, 0)
        time.sleep(0.001)
    deadline = time.monotonic() + 10
    while sum(values(lines)["lexport_requests"] for lines in told) < 100:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert len(told) < 100


def scraped(client: Any, model: str) -> dict[str, float]:
    status, text = api.request("GET", client.server.metrics_url, "/metrics", token="")
    assert status == 200
    lines = re.findall(r'^(lexport_\w+)\{ModelName="(\w+)",ModelVersion="1\.0",[^}]*\} (\S+)$', text, re.MULTILINE)
    told = {*meters.COUNTERS, meters.RATIO}
    return {name: float(value) for name, owner, value in lines if owner == model and name in told}


def settled(client: Any, model: str) -> dict[str, float]:
    """The metrics, once no more arrive."""
    before = scraped(client, model)
    while True:
        time.sleep(periodic.INTERVAL + 1)
        after = scraped(client, model)
        if after == before:
            return after
        before = after


@pytest.mark.usefixtures("unharmed")
def test_the_server_shows_what_was_counted(client: Any) -> None:
    before = settled(client, "torchscript")
    path = "/predictions/torchscript"
    assert client.json(path, {"texts": ["goal zzz rain", "", "goal " * 2000]}).status == 200
    assert client.post(path, b"zzzz zzz").status == 200
    assert client.json(path, {"text": None}).status == 400
    assert client.post(path, b"x=1", FORM).status == 400
    after = settled(client, "torchscript")
    # TorchServe has no counters that are 0.
    added = {name: more for name in after if (more := after[name] - before.get(name, 0))}
    assert added.pop("lexport_inference_seconds") > 0
    added.pop("lexport_unknown_ratio", None)
    assert 0 < after["lexport_unknown_ratio"] <= 1
    assert added == {
        "lexport_requests": 4,
        "lexport_refused": 2,
        "lexport_batches": 2,
        "lexport_texts": 4,
        "lexport_tokens": 3 + 1024 + 2,
        "lexport_unknown_tokens": 3,
        "lexport_unknown_texts": 2,
        "lexport_truncated_texts": 1,
    }
