"""A configuration of Prometheus: where the metrics of servers are, and who asks whether they are ready."""

from __future__ import annotations

from typing import Any

from .text import yaml_text
from .watching import JOB, READY_JOB, Scrape


def configuration(scrape: Scrape) -> str:
    """Return the text of a prometheus.yml. Raises InputError for what is no address."""
    scrape.check()
    seconds = f"{scrape.interval}s"
    document: dict[str, Any] = {"global": {"scrape_interval": seconds, "evaluation_interval": seconds}}
    if scrape.rules:
        document["rule_files"] = [scrape.rules]
    jobs: list[dict[str, Any]] = [
        {"job_name": JOB, "metrics_path": "/metrics", "static_configs": [{"targets": list(scrape.targets)}]}
    ]
    if scrape.blackbox:
        jobs.append(
            {
                "job_name": READY_JOB,
                "metrics_path": "/probe",
                "params": {"module": ["http_2xx"]},
                "static_configs": [{"targets": [f"http://{address}/readyz" for address in scrape.health]}],
                "relabel_configs": [
                    {"source_labels": ["__address__"], "target_label": "__param_target"},
                    {"source_labels": ["__param_target"], "target_label": "instance"},
                    {"target_label": "__address__", "replacement": scrape.blackbox},
                ],
            }
        )
    return yaml_text(
        (
            "Made by: lexport generate prometheus",
            "Check it with: promtool check config FILE",
            "",
            "The metrics address of both engines asks for no token, so none is configured: it should be reached by",
            "Prometheus alone, on the loopback interface or through a firewall.",
            *(
                ("A blackbox exporter (its module http_2xx) asks /readyz, for the alert LexportNotReady.",)
                if scrape.blackbox
                else ()
            ),
        ),
        [document | {"scrape_configs": jobs}],
    )
