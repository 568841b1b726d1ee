"""Cores and memory of a generated server: from a load test's results.json, or stated defaults."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lexport.errors import InputError
from lexport.loadtest.objectives import judge, parse
from lexport.loadtest.results import LoadReport, Row
from lexport.loadtest.runner import loadtest
from lexport.serving.generated import compose, kubernetes, systemd
from lexport.serving.generated.deployment import Deployment
from lexport.serving.generated.files import deployment_file
from lexport.serving.generated.models import Model
from lexport.serving.generated.resources import MIB, from_loadtest, usual

from ...loadtest.samples import REPORT, ROW
from ...refusals import refused
from . import containers

FILMS = Model(Path("films-1.0.mar"), "films", "1.0", 5 * MIB, True)
BOOKS = Model(Path("books-2.0.mar"), "books", "2.0", 7 * MIB + 1, True)
# Of the embedded engine with one worker: 0.37 cores and 96.5 MiB.
FAST = replace(ROW, workers="embedded cpu:1", server_cpu=0.37, server_memory=int(96.5 * MIB))


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """Write the results.json of a load test with these rows and objectives."""

    def write(*rows: Row, slo: tuple[str, ...] = ()) -> Path:
        report: LoadReport = replace(REPORT, rows=rows, verdicts=judge(parse(slo), rows))
        path = tmp_path / "results.json"
        path.write_text(json.dumps(report.as_dict()), encoding="utf-8")
        return path

    return write


def test_what_a_load_test_measured_is_rounded_up_with_room_above(written: Callable[..., Path]) -> None:
    found = from_loadtest(written(FAST), "embedded", [FILMS], None)
    assert (found.workers, found.cpu, found.cpu_limit, found.memory, found.memory_limit) == (
        "cpu:1",
        0.4,
        1,
        128,
        192,
    )
    said = " ".join(found.why)
    for part in ("2026-01-02T03:04:05", "results.json", "films-1.0 with 16 users", "1,000 requests/s", "0.37 cores"):
        assert part in said


def test_the_fastest_worker_set_without_failures_and_missed_objectives_counts(written: Callable[..., Path]) -> None:
    rows = (
        FAST,
        replace(FAST, workers="embedded cpu:2", requests_per_second=1500.0, server_cpu=1.9),
        replace(FAST, workers="embedded cpu:3", requests_per_second=1800.0, failures=1),
        replace(FAST, workers="embedded cpu:4", requests_per_second=1700.0, p99_ms=90.0),
        replace(FAST, workers="embedded gpu:1", requests_per_second=9000.0),
        replace(ROW, workers="cpu:4", requests_per_second=9000.0, server_cpu=3.0, server_memory=900 * MIB),
        replace(FAST, workers="embedded cpu:5", requests_per_second=9000.0, server_memory=None),
    )
    path = written(*rows, slo=("p99=50ms",))
    assert from_loadtest(path, "embedded", [FILMS], None).workers == "cpu:2"
    assert from_loadtest(path, "embedded", [FILMS], "cpu").cpu_limit == 3
    assert from_loadtest(path, "embedded", [FILMS], "cpu:1").workers == "cpu:1"
    assert from_loadtest(path, "torchserve", [FILMS], None).memory == 928 - 928 % 32
    with refused(InputError, "LX-SERVE-134", "results.json", "films 1.0 on embedded with cpu:4"):
        from_loadtest(path, "embedded", [FILMS], "cpu:4")


def test_runs_at_a_rate_are_judged_each_by_its_own_objectives(written: Callable[..., Path]) -> None:
    at_rate = replace(FAST, users=0, arrivals="open")
    rows = (
        replace(at_rate, rate=200.0, requests_per_second=200.0),
        replace(at_rate, rate=400.0, requests_per_second=390.0, p99_ms=90.0, server_cpu=0.9),
        replace(at_rate, rate=800.0, requests_per_second=800.0, client_limit="Locust took 97% of a core"),
    )
    found = from_loadtest(written(*rows, slo=("p99=50ms",)), "embedded", [FILMS], None)
    assert "films-1.0 with 200.0 requests/s planned: 200 requests/s" in " ".join(found.why)
    assert "with 800.0 requests/s planned" in " ".join(from_loadtest(written(*rows), "embedded", [FILMS], None).why)


def test_a_report_of_an_older_version_is_read(written: Callable[..., Path]) -> None:
    path = written(FAST, slo=("p99=50ms",))
    report = json.loads(path.read_text(encoding="utf-8"))
    del report["schema"]
    newer = ("arrivals", "rate", "due_per_second", "lag_p99_ms", "slowest_failure_ms", "processes", "client_limit")
    for one in (*report["rows"], *report["verdicts"]):
        for name in (*newer, "knee", "recovery", "series"):
            one.pop(name, None)
    path.write_text(json.dumps(report), encoding="utf-8")
    assert from_loadtest(path, "embedded", [FILMS], None).workers == "cpu:1"


def test_several_models_are_added_up(written: Callable[..., Path]) -> None:
    path = written(FAST, replace(FAST, archive="books-2.0", server_cpu=0.5, server_memory=100 * MIB))
    found = from_loadtest(path, "embedded", [FILMS, BOOKS], None)
    assert (found.cpu, found.memory) == (0.9, 224)
    with refused(InputError, "LX-SERVE-134", "films 1.0, books 2.0"):
        from_loadtest(written(FAST), "embedded", [FILMS, BOOKS], None)


def test_a_model_is_known_by_its_file_where_two_have_the_same_name(written: Callable[..., Path]) -> None:
    path = written(replace(FAST, archive="films-int8"))
    assert from_loadtest(path, "embedded", [replace(FILMS, path=Path("films-int8.mar"))], None).workers == "cpu:1"


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"[]", b"{}", b'{"rows": []}', b"\xff", b"[" * 100_000),
        b'{"rows": [{"archive": 1}], "verdicts": [], "started": ""}',
    ],
)
def test_another_file_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_bytes(content)
    with refused(InputError, "LX-SERVE-135", "other.json"):
        from_loadtest(tmp_path / "other.json", "embedded", [FILMS], None)
    with refused(InputError, "LX-SERVE-135", "none.json"):
        from_loadtest(tmp_path / "none.json", "embedded", [FILMS], None)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=3),
        lambda one: (
            st.lists(one)
            | st.dictionaries(st.sampled_from(["rows", "verdicts", "started", "archive", "workers", "users"]), one)
        ),
        max_leaves=8,
    )
)
def test_no_json_is_a_bug(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps(value))
    with pytest.raises(InputError):
        from_loadtest(path, "embedded", [FILMS], None)


def test_what_a_report_says_is_no_line_of_a_file_that_runs_a_server(tmp_path: Path) -> None:
    report = replace(REPORT, rows=(replace(FAST, users=0, rate=100.0),), verdicts=()).as_dict()
    report["started"] = "2026\nUser=root\n---\nkind: Secret\n"
    report["rows"][0]["rate"] = "1\nExecStartPre=/bin/sh -c own\n---\nkind: Pod\n#"
    path = tmp_path / "results.json"
    path.write_text(json.dumps(report), encoding="utf-8")
    deployment = Deployment("embedded", (FILMS,), from_loadtest(path, "embedded", [FILMS], None))
    unit = systemd.unit(deployment, Path("/opt/lexport/bin/lexport"))
    assert "\\nExecStartPre=/bin/sh -c own" in unit
    assert not re.search(r"^(ExecStartPre|User)=", unit, re.MULTILINE)
    assert [one["kind"] for one in yaml.safe_load_all(kubernetes.manifests(deployment))] == [
        *("ServiceAccount", "Deployment", "Service", "NetworkPolicy", "PodDisruptionBudget")
    ]
    [composed] = yaml.safe_load_all(compose.compose(deployment))
    assert composed["name"] == "lexport"


def test_defaults_are_stated_and_grow_with_workers_and_archives() -> None:
    one, two = usual("embedded", [FILMS], "cpu"), usual("embedded", [FILMS, BOOKS], "cpu:2")
    assert (one.workers, one.cpu, one.cpu_limit, one.memory, one.memory_limit) == ("cpu:1", 1, 1, 120, 256)
    assert (two.workers, two.cpu, two.memory) == ("cpu:2", 2, 75 + 2 * 40 + 13)
    java = usual("torchserve", [FILMS, BOOKS], "cpu:2")
    assert (java.cpu, java.memory) == (5, 400 + 4 * 200 + 13)
    assert "Defaults, since no load test was given" in one.why[0]
    assert "one for TorchServe's Java" in java.why[1]


def test_the_figures_are_in_every_kind_of_file_with_their_reason(
    written: Callable[..., Path], archive_of: Callable[[str], Path]
) -> None:
    archive = archive_of("onnx-int8")
    options: dict[str, Any] = {"engine": "embedded", "loadtest": written(replace(FAST, archive="topics-1.0"))}
    unit = deployment_file("systemd", [archive], **options)
    assert "\nCPUQuota=100%\n" in unit
    assert "\nMemoryMax=192M\n" in unit
    compose = deployment_file("compose", [archive], **options)
    assert yaml.safe_load(compose)["services"]["lexport"]["deploy"]["resources"] == {
        "limits": {"cpus": "1", "memory": "192M"},
        "reservations": {"cpus": "0.4", "memory": "128M"},
    }
    manifests = deployment_file("kubernetes", [archive], **options)
    [container] = list(yaml.safe_load_all(manifests))[1]["spec"]["template"]["spec"]["containers"]
    assert container["resources"] == {
        "requests": {"cpu": "400m", "memory": "128Mi"},
        "limits": {"cpu": "1", "memory": "192Mi"},
    }
    for text in (unit, compose, manifests):
        assert "# From the load test of 2026-01-02T03:04:05+00:00 (results.json)" in text


@pytest.mark.long
def test_a_real_load_test_says_what_its_server_took(archive_of: Callable[[str], Path], tmp_path: Path) -> None:
    archive = archive_of("onnx-int8")
    report = loadtest(
        [archive],
        worker_sets=["cpu:2"],
        engines=["embedded"],
        users=[4],
        duration=1.0,
        warmup=0.0,
        out=tmp_path / "out",
    )
    [row] = report.rows
    assert row.server_cpu is not None
    assert row.server_memory is not None
    assert 0.02 < row.server_cpu < 3
    assert 50 * MIB < row.server_memory < 1024 * MIB
    text = deployment_file("dockerfile", [archive], engine="embedded", loadtest=tmp_path / "out" / "results.json")
    words = containers.parsed(text).entrypoint
    assert words[words.index("--workers") + 1] == "cpu:2"
