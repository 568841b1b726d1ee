"""`lexport generate prometheus|grafana|alerts`: all metrics that are emitted are shown, alerts fire as they say."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml

import lexport
from lexport.__main__ import run
from lexport.client import Client
from lexport.errors import InputError
from lexport.serving import Server, serve, status, stop
from lexport.serving.embedded.addresses import metrics
from lexport.serving.generated import grafana
from lexport.serving.generated.files import alerts_file, dashboard_file, scrape_file
from lexport.serving.generated.models import Model, models_of
from lexport.serving.generated.watching import Alerts, Scrape

from ...refusals import refused

promql = pytest.importorskip("promql_parser", reason="the package promql-parser reads the expressions")

ENGINES = ("embedded", "torchserve")
each_engine = pytest.mark.parametrize("engine", ENGINES)


@pytest.fixture(scope="module")
def archive(archive_of: Callable[[str], Path]) -> Path:
    return archive_of("onnx-int8")


@pytest.fixture(scope="module", params=ENGINES)
def server(
    request: pytest.FixtureRequest, archive: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp(request.param) / "state"
    started = serve([archive], engine=request.param, workers="cpu:1", port=0, state_dir=folder)
    with Client(state_dir=folder) as client:
        client.predict("topics", ["goal team", "zzz"])
    yield started
    stop(folder)


def promtool() -> str:
    path = shutil.which("promtool")
    if path is None:
        pytest.skip("promtool is not installed; Debian's package prometheus has it")
    return path


def names_in(expression: str) -> set[str]:
    """The metrics that an expression reads. Raises ValueError for what is no PromQL."""
    found: set[str] = set()

    def look(node: Any) -> bool:
        if isinstance(node, promql.VectorSelector):
            found.add(node.name)
        return True

    tree = promql.parse(expression.replace("$__rate_interval", "5m").replace("$job", ".*").replace("$instance", ".*"))
    promql.walk(tree, look)
    return found


def base(name: str) -> str:
    return re.sub("_(bucket|sum|count)$", "", name)


def emitted(server: Server) -> set[str]:
    """The metrics that a server declares."""
    text = httpx.get(f"{server.metrics_url}/metrics").text
    return set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))


def shown() -> set[str]:
    panels = json.loads(dashboard_file())["panels"]
    return {base(name) for one in panels for target in one.get("targets", ()) for name in names_in(target["expr"])}


def test_the_dashboard_shows_every_metric_that_an_engine_emits(server: Server) -> None:
    deadline = time.monotonic() + 30
    # The handler's are there a second after the first request.
    while "lexport_unknown_ratio" not in (found := emitted(server)):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert len(found) > 20
    assert {base(name) for name in found} - shown() == set()


def test_the_dashboard_shows_nothing_that_no_engine_emits() -> None:
    torchserve = yaml.safe_load((Path(str(_torchserve())) / "configs" / "metrics.yaml").read_text(encoding="utf-8"))
    declared = {
        one["name"] for part in ("ts_metrics", "model_metrics") for kind in torchserve[part].values() for one in kind
    }
    ours = {
        base(name)
        for name in re.findall(r"^# TYPE (\S+)", metrics.render({"connections": 0}, 1, 0).decode(), re.MULTILINE)
    }
    assert shown() - declared - ours == {"up"}


def _torchserve() -> Path:
    from importlib.metadata import distribution

    return Path(str(distribution("torchserve").locate_file("ts")))


def test_grafanas_own_types_read_the_dashboard_and_lose_nothing() -> None:
    sdk = pytest.importorskip(
        "grafana_foundation_sdk.models.dashboard", reason="grafana-foundation-sdk has the types"
    )
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins

    register_default_plugins()
    ours = json.loads(dashboard_file())
    theirs = json.loads(JSONEncoder().encode(sdk.Dashboard.from_json(ours)))
    assert theirs["schemaVersion"] == ours["schemaVersion"] == grafana.SCHEMA
    assert _missing(ours, theirs, "dashboard") == []


def _missing(ours: Any, theirs: Any, where: str) -> list[str]:
    """What of a JSON value another one has not, or has otherwise."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        lost = [f"{where}.{key}" for key in ours if key not in theirs]
        return lost + [
            line for key in ours if key in theirs for line in _missing(ours[key], theirs[key], f"{where}.{key}")
        ]
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        return [
            line for n, pair in enumerate(zip(ours, theirs, strict=True)) for line in _missing(*pair, f"{where}[{n}]")
        ]
    return [] if ours == theirs else [f"{where}: {ours!r} is {theirs!r}"]


def test_panels_have_numbers_and_places_of_their_own() -> None:
    panels = json.loads(dashboard_file())["panels"]
    assert len({one["id"] for one in panels}) == len(panels) > 20
    taken: set[tuple[int, int]] = set()
    for one in panels:
        where = one["gridPos"]
        cells = {
            (x, y)
            for x in range(where["x"], where["x"] + where["w"])
            for y in range(where["y"], where["y"] + where["h"])
        }
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells


@each_engine
def test_every_rule_is_promql_on_metrics_that_are_emitted(engine: str, archive: Path) -> None:
    for p99 in (None, 50.0):
        rules = yaml.safe_load(alerts_file([archive], engine=engine, p99_ms=p99))["groups"][0]["rules"]
        names = {base(name) for one in rules for name in names_in(one["expr"])}
        assert names <= shown() | {"probe_success"}
        assert all(one["annotations"]["summary"] and one["labels"]["severity"] for one in rules)
        wanted = {"LexportDown", "LexportNotReady", "LexportErrors", "LexportQueueWait", "LexportRestarts"}
        wanted |= {"LexportUnknownWords", "LexportLabels"} | ({"LexportQueueFull"} if engine == "embedded" else set())
        latency = {"LexportP99"} if engine == "embedded" else {"LexportMeanLatency"}
        assert {one["alert"] for one in rules} == wanted | (latency if p99 else set())


@each_engine
def test_promtool_finds_nothing_wrong(engine: str, archive: Path, tmp_path: Path) -> None:
    program = promtool()
    (tmp_path / "alerts.yml").write_text(alerts_file([archive], engine=engine, p99_ms=50.0))
    scrape = Scrape(("127.0.0.1:8082", "10.0.0.7:8082"), ("127.0.0.1:8083",), "127.0.0.1:9115", "alerts.yml")
    (tmp_path / "prometheus.yml").write_text(scrape_file(scrape))
    for words in (["check", "rules", "alerts.yml"], ["check", "config", "prometheus.yml"]):
        done = subprocess.run([program, *words], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


SHARES = {"positive": 0.6, "negative": 0.3, "mixed": 0.1}
MODEL = Model(Path("reviews-1.0.mar"), "reviews", "1.0", 1, True, unknown_share=0.08, labels=SHARES)
UNKNOWN = '{job="lexport",instance="a",ModelName="reviews",ModelVersion="1.0"}'
LABEL = 'lexport_predictions{{job="lexport",instance="a",ModelName="reviews",ModelVersion="1.0",Label="{}"}}'
# By alert: the engine, series with a value a minute, the minute in which it fires, series with which it does not.
FIRING: dict[str, tuple[str, dict[str, str], str, dict[str, str]]] = {
    "LexportDown": (
        "embedded",
        {'up{job="lexport",instance="a"}': "1 1 0 0 0 0"},
        "5m",
        {'up{job="lexport",instance="a"}': "1 1 1 1 0 1"},
    ),
    "LexportNotReady": (
        "embedded",
        {'lexport_workers{job="lexport",instance="a"}': "1 0 0 0 0 0"},
        "5m",
        {'lexport_workers{job="lexport",instance="a"}': "1 1 1 1 1 0"},
    ),
    "LexportNotReady of TorchServe": (
        "torchserve",
        {'probe_success{job="lexport-ready",instance="a"}': "1 0 0 0 0 0"},
        "5m",
        {'probe_success{job="lexport-ready",instance="a"}': "1 1 1 1 1 1"},
    ),
    "LexportRestarts": (
        "embedded",
        {'lexport_worker_restarts{job="lexport",instance="a"}': "0 0 0 1 1 1"},
        "5m",
        {'lexport_worker_restarts{job="lexport",instance="a"}': "1 1 1 1 1 1"},
    ),
    "LexportRestarts of TorchServe": (
        "torchserve",
        {'WorkerLoadTime{job="lexport",instance="a",WorkerName="W-9000-m_1.0"}': "2500 2500 2500 2611 2611 2611"},
        "5m",
        {'WorkerLoadTime{job="lexport",instance="a",WorkerName="W-9000-m_1.0"}': "2500 2500 2500 2500 2500 2500"},
    ),
    "LexportErrors": (
        "embedded",
        {'Requests2XX{job="lexport",instance="a"}': "0+98x15", 'Requests5XX{job="lexport",instance="a"}': "0+2x15"},
        "15m",
        {
            'Requests2XX{job="lexport",instance="a"}': "0+98x15",
            'Requests5XX{job="lexport",instance="a"}': "0+0x15",
            'Requests4XX{job="lexport",instance="a"}': "0+50x15",
        },
    ),
    "LexportP99": (
        "embedded",
        {
            'lexport_request_seconds_bucket{job="lexport",instance="a",ModelName="m",le="0.05"}': "0+98x15",
            'lexport_request_seconds_bucket{job="lexport",instance="a",ModelName="m",le="0.1"}': "0+100x15",
            'lexport_request_seconds_bucket{job="lexport",instance="a",ModelName="m",le="+Inf"}': "0+100x15",
        },
        "15m",
        {
            'lexport_request_seconds_bucket{job="lexport",instance="a",ModelName="m",le="0.05"}': "0+100x15",
            'lexport_request_seconds_bucket{job="lexport",instance="a",ModelName="m",le="0.1"}': "0+100x15",
            'lexport_request_seconds_bucket{job="lexport",instance="a",ModelName="m",le="+Inf"}': "0+100x15",
        },
    ),
    "LexportMeanLatency": (
        "torchserve",
        {
            'ts_inference_latency_microseconds{job="lexport",instance="a",model_name="m"}': "0+6000000x15",
            'ts_inference_requests_total{job="lexport",instance="a",model_name="m"}': "0+100x15",
        },
        "15m",
        {
            'ts_inference_latency_microseconds{job="lexport",instance="a",model_name="m"}': "0+4000000x15",
            'ts_inference_requests_total{job="lexport",instance="a",model_name="m"}': "0+100x15",
        },
    ),
    "LexportQueueWait": (
        "torchserve",
        {
            'ts_queue_latency_microseconds{job="lexport",instance="a",model_name="m"}': "0+3000000x15",
            'ts_inference_requests_total{job="lexport",instance="a",model_name="m"}': "0+100x15",
        },
        "15m",
        {
            'ts_queue_latency_microseconds{job="lexport",instance="a",model_name="m"}': "0+2000000x15",
            'ts_inference_requests_total{job="lexport",instance="a",model_name="m"}': "0+100x15",
        },
    ),
    "LexportQueueFull": (
        "embedded",
        {'lexport_queue_requests{job="lexport",instance="a",ModelName="m"}': "501x5"},
        "5m",
        {'lexport_queue_requests{job="lexport",instance="a",ModelName="m"}': "499x5"},
    ),
    "LexportUnknownWords": (
        "torchserve",
        {f"lexport_tokens{UNKNOWN}": "0+1000x120", f"lexport_unknown_tokens{UNKNOWN}": "0+170x120"},
        "120m",
        {f"lexport_tokens{UNKNOWN}": "0+1000x120", f"lexport_unknown_tokens{UNKNOWN}": "0+150x120"},
    ),
    # One label is 0.3 away, the others less than 0.25.
    "LexportLabels": (
        "embedded",
        {
            LABEL.format("positive"): "0+30x120",
            LABEL.format("negative"): "0+50x120",
            LABEL.format("mixed"): "0+20x120",
        },
        "120m",
        {
            LABEL.format("positive"): "0+40x120",
            LABEL.format("negative"): "0+50x120",
            LABEL.format("mixed"): "0+10x120",
        },
    ),
    "LexportLabels of few": (
        "torchserve",
        {LABEL.format("positive"): "0+3x120", LABEL.format("negative"): "0+5x120", LABEL.format("mixed"): "0+2x120"},
        "120m",
        {LABEL.format("negative"): "0+1x120", LABEL.format("positive"): "0+0x120"},
    ),
    "LexportUnknownWords of few": (
        "torchserve",
        {f"lexport_tokens{UNKNOWN}": "0+20x120", f"lexport_unknown_tokens{UNKNOWN}": "0+10x120"},
        "120m",
        {f"lexport_tokens{UNKNOWN}": "0+10x120", f"lexport_unknown_tokens{UNKNOWN}": "0+5x120"},
    ),
}


@pytest.mark.parametrize("case", FIRING)
def test_an_alert_fires_and_stays_silent(case: str, tmp_path: Path) -> None:
    from lexport.serving.generated import alerts

    program = promtool()
    engine, loud, when, quiet = FIRING[case]
    name = case.partition(" ")[0]
    (tmp_path / "rules.yml").write_text(alerts.rules(Alerts(engine, (MODEL,), p99_ms=50.0)))
    for series, fires in ((loud, True), (quiet, False)):
        count = f'count(ALERTS{{alertname="{name}",alertstate="firing"}}) or vector(0)'
        (tmp_path / "test.yml").write_text(
            yaml.safe_dump(
                {
                    "rule_files": ["rules.yml"],
                    "evaluation_interval": "1m",
                    "tests": [
                        {
                            "interval": "1m",
                            "input_series": [{"series": one, "values": values} for one, values in series.items()],
                            "promql_expr_test": [
                                {
                                    "expr": count,
                                    "eval_time": when,
                                    "exp_samples": [{"value": int(fires), "labels": "{}"}],
                                }
                            ],
                        }
                    ],
                }
            )
        )
        done = subprocess.run(
            [program, "test", "rules", "test.yml"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_worker_that_dies_changes_what_the_rule_on_restarts_watches(
    archive: Path, tmp_path: Path, server: Server
) -> None:
    def value() -> dict[str, float]:
        text = httpx.get(f"{server.metrics_url}/metrics").text
        name = "lexport_worker_restarts" if server.engine == "embedded" else "WorkerLoadTime"
        return {
            line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
            for line in text.splitlines()
            if line.startswith(name)
        }

    before = value()
    assert before
    [model] = status(server.state_dir)["models"]
    psutil.Process(model["workers"][0]["pid"]).send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 60
    while (after := value()) == before:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert after.keys() == before.keys()


def test_scrape_jobs_have_their_targets(server: Server, tmp_path: Path) -> None:
    alone = yaml.safe_load(scrape_file(Scrape(()), server.state_dir))
    [job] = alone["scrape_configs"]
    [[target]] = [one["targets"] for one in job["static_configs"]]
    assert httpx.get(f"http://{target}{job['metrics_path']}").status_code == 200
    assert "rule_files" not in alone
    both = yaml.safe_load(scrape_file(Scrape((), ("10.0.0.1:8083",), "127.0.0.1:9115", "r.yml", 30)))
    assert both["global"]["scrape_interval"] == "30s"
    assert both["rule_files"] == ["r.yml"]
    assert both["scrape_configs"][0]["static_configs"] == [{"targets": ["127.0.0.1:8082"]}]
    assert both["scrape_configs"][1]["static_configs"] == [{"targets": ["http://10.0.0.1:8083/readyz"]}]


def test_alerts_take_what_is_usual_from_evidence_or_a_server(archive: Path, server: Server) -> None:
    [model] = models_of([archive], None)
    assert model.unknown_share is not None
    assert f"> {2 * model.unknown_share:.4f}" in alerts_file([archive], engine="embedded").replace("\n     ", "")
    assert alerts_file(state_dir=server.state_dir) == alerts_file([archive], engine=server.engine)
    without = alerts_file(engine="embedded")
    assert "LexportUnknownWords" not in without
    assert "no archive was given" in without


@pytest.mark.parametrize(
    ("make", "code", "values"),
    [
        (lambda: alerts_file(p99_ms=0.0), "LX-SERVE-147", ["0ms"]),
        (lambda: alerts_file(error_share=1.0), "LX-SERVE-148", ["1"]),
        (lambda: alerts_file(engine="triton"), "LX-SERVE-103", ["'triton'"]),
        (lambda: scrape_file(Scrape(("here",))), "LX-PROXY-009", ["'here'"]),
        (lambda: scrape_file(Scrape((), ("127.0.0.1:1",))), "LX-SERVE-145", ["--health", "--blackbox"]),
        (lambda: scrape_file(Scrape((), (), "127.0.0.1:1")), "LX-SERVE-145", ["--blackbox", "--health"]),
        (lambda: scrape_file(Scrape((), interval=0)), "LX-SERVE-146", ["0"]),
    ],
)
def test_what_cannot_be_watched_is_refused(make: Callable[[], str], code: str, values: list[str]) -> None:
    with refused(InputError, code, *values):
        make()


def test_the_commands_print_what_python_returns(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, text in (
        (["grafana"], lexport.generate("grafana")),
        (
            ["prometheus", "--target", "10.0.0.1:8082", "--rules", "r.yml"],
            lexport.generate("prometheus", targets=("10.0.0.1:8082",), rules="r.yml"),
        ),
        (
            ["alerts", str(archive), "--engine", "embedded", "--p99", "0.05s"],
            lexport.generate("alerts", [archive], engine="embedded", p99_ms=50.0),
        ),
    ):
        assert run(["generate", *words]) == 0
        assert capsys.readouterr().out == text
    assert run(["generate", "alerts", "--p99", "soon"]) == 2
    assert "LX-CLI-061" in capsys.readouterr().err
