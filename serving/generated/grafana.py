"""A dashboard for Grafana with every metric of both engines."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from .watching import JOB

SCHEMA = 41  # of Grafana 11.6; later ones read it
_WHERE = '{job=~"$job",instance=~"$instance"}'
_SPAN = "[$__rate_interval]"
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_WIDTH, _HEIGHT = 8, 8


@dataclass(frozen=True)
class Panel:
    """A chart: its title, the unit as Grafana calls it, what it says, and expressions with their legends."""

    title: str
    unit: str
    about: str
    queries: tuple[tuple[str, str], ...]


def _rate(name: str, *by: str) -> str:
    return f"sum by ({', '.join(('instance', *by))}) (rate({name}{_WHERE}{_SPAN}))"


def _quantile(share: float, name: str) -> str:
    return f"histogram_quantile({share:g}, {_rate(f'{name}_bucket', 'ModelName', 'le')})"


def _gauges(*names: str, legend: str = "{{instance}}") -> tuple[tuple[str, str], ...]:
    return tuple((f"{name}{_WHERE}", f"{name} {legend}") for name in names)


_MODEL = ("ModelName", "ModelVersion")
_NAMED = "{{ModelName}} {{ModelVersion}} {{instance}}"
_COUNTED = ("model_name", "model_version")
_COUNTED_AS = "{{model_name}} {{model_version}} {{instance}}"

ROWS: dict[str, tuple[Panel, ...]] = {
    "Requests": (
        Panel(
            "Requests answered by models",
            "reqps",
            "TorchServe calls a version `default` where a request names none.",
            ((_rate("ts_inference_requests_total", *_COUNTED), _COUNTED_AS),),
        ),
        Panel(
            "Answers by status",
            "reqps",
            "Of all addresses, pings too.",
            tuple((_rate(f"Requests{n}XX"), f"{n}XX {{{{instance}}}}") for n in (2, 4, 5)),
        ),
        Panel(
            "Share of failed requests",
            "percentunit",
            "5XX of 2XX and 5XX.",
            ((f"{_rate('Requests5XX')} / ({_rate('Requests2XX')} + {_rate('Requests5XX')})", "{{instance}}"),),
        ),
        Panel(
            "Requests that models took and refused",
            "reqps",
            "Refused: the request was wrong.",
            (
                (_rate("lexport_requests", *_MODEL), f"taken {_NAMED}"),
                (_rate("lexport_refused", *_MODEL), f"refused {_NAMED}"),
            ),
        ),
        Panel(
            "Requests that the embedded engine refused by itself",
            "reqps",
            "By the code in docs/errors.md.",
            ((_rate("lexport_refused_requests", "code"), "{{code}} {{instance}}"),),
        ),
        Panel("Open connections", "short", "Of the embedded engine.", _gauges("lexport_connections")),
    ),
    "Latency": (
        Panel(
            "Latency: p50, p95, p99",
            "s",
            "From the last byte of a request to its answer, in the embedded engine.",
            tuple(
                (
                    _quantile(share, "lexport_request_seconds"),
                    f"p{round(share * 100)} {{{{ModelName}}}} {{{{instance}}}}",
                )
                for share in (0.5, 0.95, 0.99)
            ),
        ),
        Panel(
            "Mean latency",
            "µs",
            "On both engines.",
            (
                (
                    f"{_rate('ts_inference_latency_microseconds', *_COUNTED)} / "
                    f"{_rate('ts_inference_requests_total', *_COUNTED)}",
                    _COUNTED_AS,
                ),
            ),
        ),
        Panel(
            "Mean wait in the queue",
            "µs",
            "Before the batch of a request began.",
            (
                (
                    f"{_rate('ts_queue_latency_microseconds', *_COUNTED)} / "
                    f"{_rate('ts_inference_requests_total', *_COUNTED)}",
                    _COUNTED_AS,
                ),
            ),
        ),
        Panel(
            "Time of a batch in the model",
            "s",
            "The p99 in the embedded engine, the mean on both.",
            (
                (_quantile(0.99, "lexport_batch_seconds"), "p99 {{ModelName}} {{instance}}"),
                (
                    f"{_rate('lexport_inference_seconds', *_MODEL)} / {_rate('lexport_batches', *_MODEL)}",
                    f"mean {_NAMED}",
                ),
            ),
        ),
        Panel(
            "Requests of a batch",
            "short",
            "The p99 in the embedded engine, the mean on both.",
            (
                (_quantile(0.99, "lexport_batch_requests"), "p99 {{ModelName}} {{instance}}"),
                (f"{_rate('lexport_requests', *_MODEL)} / {_rate('lexport_batches', *_MODEL)}", f"mean {_NAMED}"),
            ),
        ),
        Panel(
            "Requests that wait",
            "short",
            "In the embedded engine.",
            _gauges("lexport_queue_requests", legend=_NAMED),
        ),
    ),
    "What is asked": (
        Panel(
            "Texts, images and tokens",
            "cps",
            "Tokens are what texts are split into.",
            tuple((_rate(f"lexport_{name}", *_MODEL), f"{name} {_NAMED}") for name in ("texts", "images", "tokens")),
        ),
        Panel(
            "Share of unknown words",
            "percentunit",
            "Compare it with the evidence: lexport inspect MAR. Both engines count tokens; the gauge is of the last "
            "second on TorchServe and of all since the start in the embedded engine.",
            (
                (f"{_rate('lexport_unknown_tokens', *_MODEL)} / {_rate('lexport_tokens', *_MODEL)}", _NAMED),
                *_gauges("lexport_unknown_ratio", legend=_NAMED),
            ),
        ),
        Panel(
            "Shares of texts with unknown words, and of those that were cut",
            "percentunit",
            "Cut are those longer than the model's longest text.",
            tuple(
                (f"{_rate(f'lexport_{name}_texts', *_MODEL)} / {_rate('lexport_texts', *_MODEL)}", f"{name} {_NAMED}")
                for name in ("unknown", "truncated")
            ),
        ),
        Panel(
            "Tokens of a text: p50, p95",
            "short",
            "Compare them with the held-out texts: lexport drift.",
            tuple(
                (_quantile(share, "lexport_text_tokens"), f"p{round(share * 100)} {{{{ModelName}}}} {{{{instance}}}}")
                for share in (0.5, 0.95)
            ),
        ),
        Panel(
            "Predicted labels",
            "percentunit",
            "Shares of the answers, of models that answer with labels.",
            (
                (
                    f"{_rate('lexport_predictions', *_MODEL, 'Label')} / ignoring (Label) group_left "
                    f"{_rate('lexport_predictions', *_MODEL)}",
                    "{{Label}} {{ModelName}} {{ModelVersion}} {{instance}}",
                ),
            ),
        ),
        Panel(
            "Confidence: p5, p50",
            "percentunit",
            "Of the highest score of a text.",
            tuple(
                (_quantile(share, "lexport_confidence"), f"p{round(share * 100)} {{{{ModelName}}}} {{{{instance}}}}")
                for share in (0.05, 0.5)
            ),
        ),
    ),
    "Server": (
        Panel("Up", "short", "Whether Prometheus reaches the metrics.", _gauges("up")),
        Panel("Processes that are ready", "short", "In the embedded engine.", _gauges("lexport_workers")),
        Panel(
            "Processes that died and were started again",
            "short",
            "In the embedded engine, within an hour.",
            ((f"increase(lexport_worker_restarts{_WHERE}[1h])", "{{instance}}"),),
        ),
        Panel(
            "Time that a worker took to load",
            "ms",
            "In TorchServe; it changes when a worker is started again.",
            _gauges("WorkerLoadTime", legend="{{WorkerName}} {{instance}}"),
        ),
        Panel(
            "Last time in the queue and between frontend and worker",
            "ms",
            "In TorchServe, of the last batch.",
            _gauges("QueueTime", "WorkerThreadTime"),
        ),
    ),
    "TorchServe with other handlers, or disable_system_metrics=false": (
        Panel(
            "Last time in a handler",
            "ms",
            "Of TorchServe's own handlers; lexport's count batches instead.",
            _gauges("HandlerTime", "PredictionTime", legend="{{ModelName}} {{instance}}"),
        ),
        Panel(
            "Processors, memory, disk and GPU in use",
            "percent",
            "Of the machine.",
            _gauges(
                "CPUUtilization", "MemoryUtilization", "DiskUtilization", "GPUUtilization", "GPUMemoryUtilization"
            ),
        ),
        Panel(
            "Memory of machine and GPU",
            "decmbytes",
            "",
            _gauges("MemoryUsed", "MemoryAvailable", "GPUMemoryUsed"),
        ),
        Panel("Disk", "decgbytes", "", _gauges("DiskUsage", "DiskAvailable")),
    ),
}
"""The panels by row."""


def dashboard() -> str:
    """Return the JSON of the dashboard, to be imported or provisioned."""
    panels: list[dict[str, Any]] = []
    top = 0
    for title, members in ROWS.items():
        panels.append(
            {
                "type": "row",
                "title": title,
                "id": len(panels) + 1,
                "collapsed": False,
                "gridPos": {"h": 1, "w": 24, "x": 0, "y": top},
                "panels": [],
            }
        )
        top += 1
        for place, panel in enumerate(members):
            across, down = place % (24 // _WIDTH), place // (24 // _WIDTH)
            where = {"h": _HEIGHT, "w": _WIDTH, "x": across * _WIDTH, "y": top + down * _HEIGHT}
            panels.append(_panel(panel, len(panels) + 1, where))
        top += -(-len(members) // (24 // _WIDTH)) * _HEIGHT
    found = {
        "title": "lexport",
        "uid": "lexport",
        "description": "Servers of lexport, on TorchServe and the embedded engine. Made by: lexport generate grafana",
        "tags": ["lexport"],
        "timezone": "browser",
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "schemaVersion": SCHEMA,
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [
                {"type": "datasource", "name": "datasource", "label": "Prometheus", "query": "prometheus"},
                _variable("job", "label_values(up, job)", JOB),
                _variable("instance", 'label_values(up{job=~"$job"}, instance)', None),
            ]
        },
        "annotations": {"list": []},
        "panels": panels,
    }
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


def _panel(panel: Panel, number: int, where: dict[str, int]) -> dict[str, Any]:
    return {
        "type": "timeseries",
        "title": panel.title,
        "description": panel.about,
        "id": number,
        "gridPos": where,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + place), "expr": expression, "legendFormat": legend, "datasource": _SOURCE}
            for place, (expression, legend) in enumerate(panel.queries)
        ],
    }


def _variable(name: str, query: str, chosen: str | None) -> dict[str, Any]:
    return {
        "type": "query",
        "name": name,
        "datasource": _SOURCE,
        "query": query,
        "refresh": 2,
        "sort": 1,
        "includeAll": chosen is None,
        "multi": True,
        "current": {"text": [chosen], "value": [chosen]} if chosen else {"text": ["All"], "value": ["$__all"]},
    }
