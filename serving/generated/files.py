"""Write one of the files that run and watch a server, by its kind."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...errors import InputError
from ..engines import check_engine
from ..ray.replicas import worker_set
from ..server import running
from ..state import Server
from . import alerts, compose, dockerfile, grafana, kuberay, kubernetes, prometheus, systemd
from .deployment import Deployment
from .models import Model, models_of, models_of_server
from .resources import from_loadtest, usual
from .watching import Alerts, Scrape

CONTAINERS: dict[str, Callable[[Deployment], str]] = {
    "dockerfile": dockerfile.dockerfile,
    "compose": compose.compose,
    "kubernetes": kubernetes.manifests,
}
"""The writers of files for a container of one machine."""
DEPLOYMENTS = ("systemd", *CONTAINERS)
OF_RAY = ("dockerfile", "kuberay")
"""The files of a Ray cluster."""
WATCHING = ("prometheus", "grafana", "alerts")


def deployment_file(
    kind: str,
    archives: Sequence[Path] = (),
    *,
    model_store: Path | None = None,
    state_dir: Path | None = None,
    engine: str | None = None,
    workers: str | None = None,
    replicas: int | str | None = None,
    loadtest: Path | None = None,
    drain: float | None = None,
    program: Path | None = None,
    **options: Any,
) -> str:
    """Return the text of a file that runs a server: `kind` is one of DEPLOYMENTS, or `kuberay`.

    What is served is `archives`, the newest of each name in `model_store`, or what the server of `state_dir` serves,
    with its engine, workers and time to drain unless they are given. `loadtest` is a results.json, of which
    processors, memory and, where none are given, workers are taken. `program` is the installed lexport, for systemd,
    `replicas` are the pods of `kubernetes`, and the replicas of each model of `kuberay`, such as `1-4`. The `options`
    are fields of `Deployment`.

    Raises InputError for what cannot be deployed, SystemProblem if no server runs in `state_dir`.
    """
    server = _server(archives, model_store, state_dir)
    models = models_of(archives, model_store) if server is None else models_of_server(server)
    usual_engine = "torchserve" if server is None else server.engine
    chosen = engine or ("ray" if kind == "kuberay" else usual_engine)
    check_engine(chosen)
    _check_kind(kind, chosen)
    if kind == "kuberay" and replicas is not None:
        chosen_set, options["most"] = worker_set(workers or "cpu", str(replicas))
        workers = chosen_set.partition("x")[0]
    elif replicas is not None:
        options["replicas"] = replicas
    counted = workers or (None if server is None else _workers(server, models))
    resources = (
        usual(chosen, models, counted or "cpu")
        if loadtest is None
        else from_loadtest(loadtest, chosen, models, counted)
    )
    usual_drain = Deployment.drain if server is None else server.drain
    found = Deployment(chosen, models, resources, usual_drain if drain is None else drain, **options)
    if kind == "systemd":
        return systemd.unit(found, program or _program())
    if kind == "kuberay":
        return kuberay.ray_service(found)
    if kind not in CONTAINERS:
        raise InputError(
            f"{kind!r} is not a file that lexport can write. Expected "
            f"{', '.join((*DEPLOYMENTS, 'kuberay', *WATCHING))}.",
            code="LX-SERVE-149",
        )
    return CONTAINERS[kind](found)


def scrape_file(scrape: Scrape, state_dir: Path | None = None) -> str:
    """Return the text of a prometheus.yml; without targets of its own it names the server of `state_dir`."""
    if not scrape.targets:
        address = "127.0.0.1:8082" if state_dir is None else _address(running(state_dir).metrics_url)
        scrape = replace(scrape, targets=(address,))
    return prometheus.configuration(scrape)


def alerts_file(
    archives: Sequence[Path] = (),
    *,
    model_store: Path | None = None,
    state_dir: Path | None = None,
    engine: str | None = None,
    **objectives: Any,
) -> str:
    """Return the text of a file of alerting rules; the `objectives` are fields of `Alerts`.

    Archives tell how many unknown words are usual; none need be given. Raises as `deployment_file` does.
    """
    server = _server(archives, model_store, state_dir)
    models: tuple[Model, ...] = ()
    if server is not None:
        models = models_of_server(server)
    elif archives or model_store is not None:
        models = models_of(archives, model_store)
    chosen = engine or ("torchserve" if server is None else server.engine)
    check_engine(chosen)
    return alerts.rules(Alerts(chosen, models, **objectives))


def dashboard_file() -> str:
    """Return the JSON of Grafana's dashboard."""
    return grafana.dashboard()


def _check_kind(kind: str, engine: str) -> None:
    """Raise InputError for a file that does not run servers of this engine."""
    if kind not in OF_RAY if engine == "ray" else kind == "kuberay":
        raise InputError(
            f"lexport generate {kind} does not run servers of the engine {engine}. Expected generate "
            f"{' or '.join(OF_RAY)} for a Ray cluster, {', '.join(DEPLOYMENTS)} for the engines of one machine.",
            code="LX-RAY-158",
        )


def _server(archives: Sequence[Path], model_store: Path | None, state_dir: Path | None) -> Server | None:
    """Return the server to take everything from, if that is what is asked for."""
    if state_dir is None:
        return None
    if archives or model_store is not None:
        raise InputError(
            f"Archives and --state-dir {state_dir} were given. Expected the archives, or the folder of a server that "
            "serves them.",
            code="LX-CLI-062",
        )
    return running(state_dir)


def _workers(server: Server, models: tuple[Model, ...]) -> str | None:
    """Return the workers of each model; None where they differ."""
    count, rest = divmod(server.workers, len(models))
    return f"{server.device}:{count}" if count and not rest else None


def _address(url: str) -> str:
    return url.removeprefix("http://")


def _program() -> Path:
    """Return the lexport that belongs to this Python, or where it would be."""
    return Path(sys.executable).parent / "lexport"
