"""Commands around a server: serve, predict, stop."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from ...messages import last_words
from ..options import (
    Explain,
    ImageFile,
    Json,
    Keys,
    Lang,
    StateDir,
    Texts,
    TrustCode,
    app,
    emit,
    emit_line,
    given_images,
    given_texts,
    print_line,
    say_to,
    show,
    trusted_keys,
)


def _log_format(value: str) -> str:
    """Check the option before any other one, so that a wrong one is said in this format too."""
    from ...errors import InputError

    if value not in ("text", "json"):
        raise InputError(f"--log-format {value!r} is not known. Expected text or json.", code="LX-CLI-085")
    last_words.use_json(value == "json")
    return value


@app.command()
def serve(
    archives: Annotated[list[Path] | None, typer.Argument(metavar="[MAR]…", help="Archives to serve.")] = None,
    model_store: Annotated[
        Path | None,
        typer.Option(
            help="Serve the newest version of each name here.",
            show_default="what was served before, else model_store",
        ),
    ] = None,
    workers: Annotated[str, typer.Option(help="Per model: cpu, cpu:2, gpu:1.")] = "cpu",
    allow_cpu: Annotated[
        bool, typer.Option("--allow-cpu", help="With gpu workers: int8 and int4 archives may run on the CPU.")
    ] = False,
    engine: Annotated[
        str | None,
        typer.Option(help="torchserve; embedded: without Java; ray: on a Ray cluster.", show_default="torchserve"),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="ray: its cluster, or auto.", show_default="one is started here"),
    ] = None,
    replicas: Annotated[
        str | None,
        typer.Option(metavar="LEAST-MOST", help="ray: replicas per model, by load.", show_default="--workers"),
    ] = None,
    port: Annotated[int | None, typer.Option(help="Inference port; two more follow it. 0: any free.")] = None,
    config: Annotated[Path | None, typer.Option(help="A config.properties.", show_default="closed")] = None,
    key: Keys = None,
    trust_code: TrustCode = False,
    env: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Pass this environment variable on as well; may be repeated."),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(help="Tokens of your own: one line, or a key file.", show_default="new ones"),
    ] = None,
    health: Annotated[
        str | None,
        typer.Option(
            metavar="[ADDRESS:]PORT",
            help="Answer /livez and /readyz here, without a token.",
            show_default="nowhere",
        ),
    ] = None,
    drain: Annotated[
        float, typer.Option(metavar="SECONDS", help="Time for open requests when the server stops.", min=0)
    ] = 10.0,
    state_dir: StateDir = None,
    timeout: Annotated[float, typer.Option(help="Seconds to become ready.", min=1)] = 300.0,
    foreground: Annotated[bool, typer.Option("--foreground", help="Stay until stopped.")] = False,
    log_format: Annotated[
        str,
        typer.Option(
            help="text, or json: a line of JSON for each line, for what collects the logs of containers.",
            callback=_log_format,
            is_eager=True,
        ),
    ] = "text",
    as_json: Json = False,
) -> None:
    """Start a server and return when every worker has answered its goldens."""
    from ... import serving
    from ...errors import InputError
    from ...serving import operations

    if as_json and log_format == "json":
        raise InputError(
            "--json was given beside --log-format json, and both would write to stdout. Give one of them.",
            code="LX-CLI-086",
        )
    journal = serving.Journal(emit_line) if log_format == "json" else None

    chosen = archives or []
    start: Callable[..., serving.Server] = operations.serve_again
    if chosen or model_store is not None or not operations.has_record(state_dir):
        store = model_store if model_store or chosen else Path("model_store")
        start = partial(serving.serve, chosen, model_store=store)
        engine = engine or "torchserve"
    server = start(
        engine=engine,
        workers=workers,
        address=address or "",
        replicas=replicas,
        allow_cpu=allow_cpu,
        state_dir=state_dir,
        port=port,
        config=config,
        trusted=trusted_keys(key),
        trust_code=trust_code,
        env=env or (),
        token_file=token_file,
        health_at=health,
        drain=drain,
        bound=foreground,
        timeout=timeout,
        say=journal.say if journal else say_to(as_json),
    )
    if journal is not None:
        with journal.following(server):
            return serving.wait(server, look=journal.look) if foreground else journal.look()

    def announce() -> None:
        if as_json:
            emit(serving.status(server.state_dir))
        else:
            _print_next(next(iter(server.models)), state_dir, foreground)

    if foreground:
        serving.wait(server, announce)
    else:
        announce()
    return None


def _print_next(name: str, state_dir: Path | None, foreground: bool) -> None:
    where = f" --state-dir {shlex.quote(str(state_dir))}" if state_dir else ""
    end = "Ctrl-C stops it" if foreground else f"in the end: lexport stop{where}"
    print_line(f'Next: lexport predict {name} "a text"{where}   ({end})')


@app.command()
def predict(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A served model.")],
    texts: Texts = None,
    lang: Lang = None,
    images: ImageFile = None,
    version: Annotated[str | None, typer.Option(help="One version of it.", show_default="default")] = None,
    explain: Explain = False,
    state_dir: StateDir = None,
    host: Annotated[str | None, typer.Option(help="HOST:PORT of another server.")] = None,
    token_file: Annotated[Path | None, typer.Option(help="Its key file, or its token's.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait.", min=0.1)] = 60.0,
    as_json: Json = False,
) -> None:
    """Ask a served model over HTTP; answers of a model that lexport did not make are shown as they are."""
    from ...client import once
    from ...client.answers import is_own
    from ...errors import SystemProblem
    from ...reports import tables as screens

    asked: dict[str, Any] = {
        "lang": lang,
        "version": version,
        "state_dir": state_dir,
        "host": host,
        "token_file": token_file,
        "timeout": timeout,
    }
    pictures = None if images is None else given_images(images, texts, lang, explain=explain)
    given = given_texts(texts) if images is None else []
    if explain:
        explained = once.explain(name, given, **asked)
        if as_json:
            return emit(explained)
        with screens.reading(f"The answer of {name}", SystemProblem):
            return show(screens.explanations(given, explained))
    found = once.predict(name, given, images=pictures, **asked)
    if images is not None:
        given = [f"{images.name}:{number}" for number in range(1, len(found) + 1)]
    if as_json:
        return emit(found)
    if all(map(is_own, found)):
        with screens.reading(f"The answer of {name}", SystemProblem):
            return show(screens.answers(given, found))
    for answer in found:  # of a model that lexport did not make
        print_line(answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False))
    return None


@app.command()
def stop(state_dir: StateDir = None) -> None:
    """Stop the server and remove what it left."""
    from ... import serving

    serving.stop(state_dir, say=print_line)
