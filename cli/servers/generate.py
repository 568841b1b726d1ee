"""The commands that write files for other programs: generate, with the two proxies; `deploy` has the others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..options import StateDir, app, print_line, print_text

generate = typer.Typer(
    name="generate",
    help="Write a file for another program: a proxy, systemd, Docker, Kubernetes, KubeRay, Prometheus, Grafana.",
    no_args_is_help=True,
)
app.add_typer(generate)

Out = Annotated[Path | None, typer.Option(help="File to write.", show_default="stdout")]


def put(text: str, out: Path | None) -> None:
    """Write a generated file, or print it."""
    from ...storage.atomic import write_file

    if out is None:
        print_text(text)
    else:
        write_file(out, text.encode())


@generate.command("nginx")
@generate.command("haproxy")
def proxy(
    context: typer.Context,
    listen: Annotated[str, typer.Option(help="Where clients connect, ADDRESS:PORT.")] = "127.0.0.1:8443",
    tls_certificate: Annotated[Path | None, typer.Option(help="PEM file.", show_default="no TLS")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key.", show_default="in the same file")] = None,
    upstream: Annotated[
        str | None, typer.Option(help="The server's inference address.", show_default="127.0.0.1:8080")
    ] = None,
    state_dir: StateDir = None,
    metrics: Annotated[
        str | None, typer.Option(help="Serve /metrics too, from this address.", show_default="no")
    ] = None,
    health: Annotated[
        str | None,
        typer.Option(help="Serve /livez and /readyz too, from the address of serve --health.", show_default="no"),
    ] = None,
    max_body: Annotated[int, typer.Option(help="Bytes of a request, kept in memory.")] = 1 << 20,
    max_form: Annotated[int, typer.Option(help="Bytes of a form.")] = 1 << 16,
    max_connections: Annotated[int, typer.Option(help="Connections of all clients.")] = 1024,
    max_per_address: Annotated[int, typer.Option(help="Connections of one address.")] = 64,
    out: Out = None,
) -> None:
    """Write the configuration of a proxy that protects a server from slow, large and malformed requests."""
    from ...serving import running
    from ...serving.proxies.configuration import Limits, Proxy, parse_address, proxy_configuration

    if upstream is None and state_dir is not None:
        upstream = running(state_dir).inference_url.removeprefix("http://")
    wanted = Proxy(
        listen=parse_address(listen),
        upstream=parse_address(upstream or "127.0.0.1:8080"),
        metrics=parse_address(metrics) if metrics else None,
        health=parse_address(health) if health else None,
        certificate=tls_certificate and tls_certificate.absolute(),
        key=tls_key and tls_key.absolute(),
        limits=Limits(body=max_body, form=max_form, connections=max_connections, per_address=max_per_address),
    )
    text = proxy_configuration(str(context.info_name), wanted)
    if wanted.certificate is None and not wanted.listen.is_local:
        print_line(
            f"Tokens and texts will cross the network unencrypted: {listen} without --tls-certificate.", err=True
        )
    put(text, out)
