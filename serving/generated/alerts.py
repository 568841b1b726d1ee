"""Alerting rules of Prometheus for a server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...evaluation.drift import most_unknown
from .models import Model
from .text import yaml_text
from .watching import JOB, READY_JOB, Alerts

_OWN = f'{{job="{JOB}"}}'
_QUEUE = 500  # requests: half of the places that a model's queue has
_WAIT_MS = 100.0  # mean wait that is worth knowing where no objective is given
_WORDS = 1000  # tokens in an hour below which a share says nothing
_TEXTS = 100  # answers in an hour below which the shares of labels say nothing
_MOVED = 0.25  # how far the share of a label may be from that of the held-out texts
_MOST_LABELS = 20


def rules(alerts: Alerts) -> str:
    """Return the text of a file of rules. Raises InputError for objectives that cannot be."""
    alerts.check()
    found = [*_availability(alerts), *_speed(alerts), *_content(alerts)]
    return yaml_text((*_head(alerts),), [{"groups": [{"name": JOB, "rules": found}]}])


def _head(alerts: Alerts) -> Iterator[str]:
    yield "Made by: lexport generate alerts"
    yield "Check it with: promtool check rules FILE"
    yield ""
    yield f"For {alerts.engine}, scraped by the job {JOB!r} (lexport generate prometheus)."
    if alerts.engine == "torchserve":
        yield "TorchServe says by no metric whether models are ready: a blackbox exporter asks /readyz"
        yield "(lexport generate prometheus --health … --blackbox …). It has no histogram of latencies either: the"
        yield "mean is compared with the objective: a mean beyond it is a p99 beyond it."
    if alerts.p99_ms is None:
        yield "There is no rule for latencies, as no objective was given (--p99 50ms)."
    for model in alerts.models:
        if model.unknown_share is None:
            yield f"There is no rule for unknown words of {model}: its evidence has no share of them above 0."
        if len(model.labels) < 2:
            yield f"There is no rule for the labels of {model}: its evidence does not say which are usual."
    if not alerts.models:
        yield "There is no rule for unknown words and labels: no archive was given, which says what is usual."


def _rule(name: str, expression: str, minutes: int, severity: str, summary: str, description: str) -> dict[str, Any]:
    return {
        "alert": name,
        "expr": expression,
        "for": f"{minutes}m",
        "labels": {"severity": severity},
        "annotations": {"summary": summary, "description": description},
    }


def _availability(alerts: Alerts) -> Iterator[dict[str, Any]]:
    yield _rule(
        "LexportDown",
        f"up{_OWN} == 0 or absent(up{_OWN})",
        1,
        "critical",
        "A server of lexport does not answer Prometheus",
        "{{ $labels.instance }} has not answered at its metrics address for a minute. See lexport status, and "
        "logs/supervisor.log in its state folder.",
    )
    ready = f'probe_success{{job="{READY_JOB}"}}'
    yield _rule(
        "LexportNotReady",
        f"lexport_workers{_OWN} == 0" if alerts.engine != "torchserve" else f"{ready} == 0 or absent({ready})",
        1,
        "critical",
        "A server of lexport is not ready",
        "At {{ $labels.instance }} a model has no worker that is ready, or nobody has asked. See lexport status.",
    )
    restarts = (
        f"increase(lexport_worker_restarts{_OWN}[15m]) > 0"
        if alerts.engine != "torchserve"
        else f"changes(WorkerLoadTime{_OWN}[15m]) > 0"
    )
    yield _rule(
        "LexportRestarts",
        restarts,
        0,
        "warning",
        "A worker died and was started again",
        "At {{ $labels.instance }} within 15 minutes. logs/supervisor.log says why"
        + ("." if alerts.engine != "torchserve" else ", or logs/model_log.log."),
    )
    failed, answered = (f"sum by (instance) (rate(Requests{name}{_OWN}[5m]))" for name in ("5XX", "2XX"))
    yield _rule(
        "LexportErrors",
        f"{failed} / ({answered} + {failed}) > {alerts.error_share:g}",
        5,
        "critical",
        "Requests fail",
        f"More than {alerts.error_share:.3g} of the requests to {{{{ $labels.instance }}}} fail with a status of 500 "
        "or more: {{ $value | humanizePercentage }}. Requests that clients got wrong (4XX) are not counted.",
    )


def _speed(alerts: Alerts) -> Iterator[dict[str, Any]]:
    """Yield rules on latencies and waits."""
    count = f"sum by (instance, model_name) (rate(ts_inference_requests_total{_OWN}[5m]))"
    if alerts.p99_ms is not None and alerts.engine != "torchserve":
        buckets = f"sum by (instance, ModelName, le) (rate(lexport_request_seconds_bucket{_OWN}[5m]))"
        yield _rule(
            "LexportP99",
            f"histogram_quantile(0.99, {buckets}) > {alerts.p99_ms / 1000:g}",
            5,
            "warning",
            "The p99 is beyond its objective",
            f"{{{{ $labels.ModelName }}}} at {{{{ $labels.instance }}}}: {{{{ $value | humanizeDuration }}}}, "
            f"expected at most {alerts.p99_ms:g} ms.",
        )
    elif alerts.p99_ms is not None:
        total = f"sum by (instance, model_name) (rate(ts_inference_latency_microseconds{_OWN}[5m]))"
        yield _rule(
            "LexportMeanLatency",
            f"{total} / {count} > {alerts.p99_ms * 1000:g}",
            5,
            "warning",
            "The mean latency is beyond the objective for the p99",
            f"{{{{ $labels.model_name }}}} at {{{{ $labels.instance }}}}: {{{{ $value }}}} µs, and at most "
            f"{alerts.p99_ms:g} ms are expected of the slowest hundredth.",
        )
    limit = alerts.p99_ms / 2 if alerts.p99_ms is not None else _WAIT_MS
    waited = f"sum by (instance, model_name) (rate(ts_queue_latency_microseconds{_OWN}[5m]))"
    yield _rule(
        "LexportQueueWait",
        f"{waited} / {count} > {limit * 1000:g}",
        5,
        "warning",
        "Requests wait long for a worker",
        f"{{{{ $labels.model_name }}}} at {{{{ $labels.instance }}}}: {{{{ $value }}}} µs on average, expected at "
        f"most {limit:g} ms. More workers, or fewer requests.",
    )
    if alerts.engine != "torchserve":
        yield _rule(
            "LexportQueueFull",
            f"lexport_queue_requests{_OWN} > {_QUEUE}",
            1,
            "warning",
            "A queue is half full",
            "{{ $value }} requests wait for {{ $labels.ModelName }} at {{ $labels.instance }}; beyond 1000 they are "
            "refused with 429, unless job_queue_size says otherwise.",
        )


def _content(alerts: Alerts) -> Iterator[dict[str, Any]]:
    """Yield rules for each model on words that it does not know, and on the labels that it predicts."""
    for model in alerts.models:
        chosen = f'{{job="{JOB}",ModelName="{model.name}",ModelVersion="{model.version}"}}'
        if model.unknown_share is not None:
            yield _unknown_words(model, chosen, model.unknown_share)
        if len(model.labels) > 1:
            yield _labels(model, chosen)


def _unknown_words(model: Model, chosen: str, share: float) -> dict[str, Any]:
    unknown, tokens = (
        f"sum by (ModelName, ModelVersion) (increase(lexport_{name}{chosen}[1h]))"
        for name in ("unknown_tokens", "tokens")
    )
    return _rule(
        "LexportUnknownWords",
        f"{unknown} / ({tokens} > {_WORDS}) > {most_unknown(share):.4f}",
        30,
        "warning",
        f"The texts for {model.name} are not those that it was trained for",
        f"{{{{ $value | humanizePercentage }}}} of the words of the last hour are unknown to {model}; of its "
        f"held-out texts it was {share:.1%}. See lexport drift, and train again with such texts.",
    )


def _labels(model: Model, chosen: str) -> dict[str, Any]:
    """Return a rule on the labels that are most frequent in the held-out texts."""
    every = f"(sum by (ModelName, ModelVersion) (increase(lexport_predictions{chosen}[1h])) > {_TEXTS})"
    usual = sorted(model.labels.items(), key=lambda item: (-item[1], item[0]))[:_MOST_LABELS]
    moved = []
    for label, share in usual:
        own = chosen.replace("}", f',Label="{label}"}}')
        found = f"sum by (ModelName, ModelVersion, Label) (increase(lexport_predictions{own}[1h]))"
        moved.append(f"abs({found} / ignoring (Label) group_left () {every} - {share:.4f}) > {_MOVED}")
    return _rule(
        "LexportLabels",
        " or ".join(moved),
        30,
        "warning",
        f"{model.name} predicts other labels than it did",
        f"The share of the label {{{{ $labels.Label }}}} in the last hour's answers of {model} is "
        "{{ $value | humanizePercentage }} away from that of its held-out texts. See lexport drift.",
    )
