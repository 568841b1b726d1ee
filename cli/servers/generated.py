"""The commands that write the files that run and watch a server: the kinds of generate besides the proxies."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Annotated, Any

import typer

from ..options import TrustCode, trusted_keys
from .generate import Out, generate, put

Archives = Annotated[list[Path] | None, typer.Argument(metavar="[MAR]…", help="Archives to serve.")]
ModelStore = Annotated[Path | None, typer.Option(help="Serve the newest version of each name here.")]
OfServer = Annotated[
    Path | None,
    typer.Option("--state-dir", help="Take all from the server that runs in this state folder.", show_default="no"),
]
Engine = Annotated[
    str | None,
    typer.Option(
        help="torchserve, embedded, or ray for a Dockerfile.", show_default="torchserve, or the running server's"
    ),
]
Workers = Annotated[
    str | None, typer.Option(help="Per model, such as cpu:2.", show_default="the load test's, or cpu:1")
]
FromLoadtest = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Take cores, memory and workers from results.json of lexport loadtest.",
        show_default="stated defaults",
    ),
]
Drain = Annotated[
    float | None, typer.Option(metavar="SECONDS", help="Time for open requests.", min=0, show_default="10")
]
Keys = Annotated[
    list[Path] | None,
    typer.Option("--key", help="Refuse archives that this public key has not signed; may be repeated."),
]
Image = Annotated[str | None, typer.Option(help="Name of the image.", show_default="lexport-serve:VERSION")]


@generate.command()
def systemd(
    archives: Archives = None,
    model_store: ModelStore = None,
    state_dir: OfServer = None,
    engine: Engine = None,
    workers: Workers = None,
    from_loadtest: FromLoadtest = None,
    drain: Drain = None,
    key: Keys = None,
    trust_code: TrustCode = False,
    program: Annotated[
        Path | None, typer.Option(help="The installed lexport.", show_default="that of this Python")
    ] = None,
    out: Out = None,
) -> None:
    """Write a unit for systemd: a server on this machine's loopback interface, with a user of its own."""
    _deploy(
        "systemd",
        archives,
        out,
        key,
        model_store=model_store,
        state_dir=state_dir,
        engine=engine,
        workers=workers,
        loadtest=from_loadtest,
        drain=drain,
        trust_code=trust_code,
        program=program and program.absolute(),
    )


@generate.command()
def dockerfile(
    archives: Archives = None,
    model_store: ModelStore = None,
    state_dir: OfServer = None,
    engine: Engine = None,
    workers: Workers = None,
    from_loadtest: FromLoadtest = None,
    drain: Drain = None,
    key: Keys = None,
    trust_code: TrustCode = False,
    image: Image = None,
    python: Annotated[
        str | None, typer.Option(metavar="VERSION", help="Of the image's Python.", show_default="this Python's")
    ] = None,
    digest: Annotated[
        str | None, typer.Option(metavar="sha256:…", help="Of that image of Python.", show_default="none")
    ] = None,
    out: Out = None,
) -> None:
    """Write a Dockerfile: an image with lexport and the archives, run by a user without rights."""
    _deploy(
        "dockerfile",
        archives,
        out,
        key,
        model_store=model_store,
        state_dir=state_dir,
        engine=engine,
        workers=workers,
        loadtest=from_loadtest,
        drain=drain,
        trust_code=trust_code,
        image=image,
        python=python or platform.python_version(),
        digest=digest,
    )


@generate.command()
def compose(
    archives: Archives = None,
    model_store: ModelStore = None,
    state_dir: OfServer = None,
    engine: Engine = None,
    workers: Workers = None,
    from_loadtest: FromLoadtest = None,
    drain: Drain = None,
    key: Keys = None,
    trust_code: TrustCode = False,
    image: Image = None,
    out: Out = None,
) -> None:
    """Write a compose.yaml for the image of the Dockerfile, published on this machine's loopback interface."""
    _deploy(
        "compose",
        archives,
        out,
        key,
        model_store=model_store,
        state_dir=state_dir,
        engine=engine,
        workers=workers,
        loadtest=from_loadtest,
        drain=drain,
        trust_code=trust_code,
        image=image,
    )


@generate.command()
def kubernetes(
    archives: Archives = None,
    model_store: ModelStore = None,
    state_dir: OfServer = None,
    engine: Engine = None,
    workers: Workers = None,
    from_loadtest: FromLoadtest = None,
    drain: Drain = None,
    key: Keys = None,
    trust_code: TrustCode = False,
    image: Image = None,
    replicas: Annotated[int, typer.Option(help="Pods that are kept running.")] = 2,
    out: Out = None,
) -> None:
    """Write manifests for the image of the Dockerfile: Deployment, Service, NetworkPolicy and what they need."""
    _deploy(
        "kubernetes",
        archives,
        out,
        key,
        model_store=model_store,
        state_dir=state_dir,
        engine=engine,
        workers=workers,
        loadtest=from_loadtest,
        drain=drain,
        trust_code=trust_code,
        image=image,
        replicas=replicas,
    )


@generate.command()
def kuberay(
    archives: Archives = None,
    model_store: ModelStore = None,
    state_dir: OfServer = None,
    workers: Workers = None,
    replicas: Annotated[
        str | None,
        typer.Option(metavar="LEAST-MOST", help="Of each model, by load.", show_default="--workers"),
    ] = None,
    from_loadtest: FromLoadtest = None,
    key: Keys = None,
    image: Image = None,
    out: Out = None,
) -> None:
    """Write a RayService of KubeRay for the image of the Dockerfile: a Ray cluster on Kubernetes that serves."""
    _deploy(
        "kuberay",
        archives,
        out,
        key,
        model_store=model_store,
        state_dir=state_dir,
        workers=workers,
        replicas=replicas,
        loadtest=from_loadtest,
        image=image,
    )


@generate.command()
def prometheus(
    target: Annotated[
        list[str] | None,
        typer.Option(help="A metrics address, HOST:PORT; may be repeated.", show_default="127.0.0.1:8082"),
    ] = None,
    state_dir: OfServer = None,
    health: Annotated[
        list[str] | None,
        typer.Option(help="An address of serve --health, to be asked for /readyz; may be repeated."),
    ] = None,
    blackbox: Annotated[
        str | None, typer.Option(help="The blackbox exporter that asks it.", show_default="none")
    ] = None,
    rules: Annotated[str | None, typer.Option(help="File of generate alerts.", show_default="none")] = None,
    interval: Annotated[int, typer.Option(metavar="SECONDS", help="Between two looks.")] = 15,
    out: Out = None,
) -> None:
    """Write a configuration of Prometheus: where the metrics are, and who asks whether a server is ready."""
    from ...serving.generated.files import scrape_file
    from ...serving.generated.watching import Scrape

    scrape = Scrape(tuple(target or ()), tuple(health or ()), blackbox, rules, interval)
    put(scrape_file(scrape, state_dir), out)


@generate.command()
def grafana(out: Out = None) -> None:
    """Write a dashboard for Grafana with every metric of both engines."""
    from ...serving.generated.files import dashboard_file

    put(dashboard_file(), out)


@generate.command()
def alerts(
    archives: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[MAR]…", help="Archives whose evidence says how many unknown words are usual."),
    ] = None,
    model_store: Annotated[Path | None, typer.Option(help="The newest version of each name here.")] = None,
    state_dir: OfServer = None,
    engine: Engine = None,
    p99: Annotated[
        str | None, typer.Option(metavar="TIME", help="Objective, such as 50ms or 1s.", show_default="no rule")
    ] = None,
    error_share: Annotated[float, typer.Option(help="Of the requests, that may fail by the server's fault.")] = 0.01,
    out: Out = None,
) -> None:
    """Write alerting rules of Prometheus: down, not ready, errors, latency, queue, unknown words, restarts."""
    from ...errors import InputError
    from ...loadtest.objectives import UNITS
    from ...serving.generated.files import alerts_file

    milliseconds = None
    if p99 is not None:
        unit = "ms" if p99.endswith("ms") else "s"
        try:
            milliseconds = float(p99.removesuffix(unit)) * UNITS[unit]
        except ValueError:
            raise InputError(f"--p99 {p99!r} is no time. Expected such as 50ms or 1s.", code="LX-CLI-061") from None
    text = alerts_file(
        archives or (),
        model_store=model_store,
        state_dir=state_dir,
        engine=engine,
        p99_ms=milliseconds,
        error_share=error_share,
    )
    put(text, out)


def _deploy(kind: str, archives: list[Path] | None, out: Path | None, key: list[Path] | None, **options: Any) -> None:
    """Write a file that runs a server; options that are not given keep their defaults."""
    from ...serving.generated.files import deployment_file

    trusted_keys(key)
    given = {name: value for name, value in options.items() if value is not None}
    put(deployment_file(kind, archives or (), keys=tuple(key or ()), **given), out)
