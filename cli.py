"""The command line: each command is a thin layer over one function; what it needs is imported inside it."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    name="lexport",
    help="Train, export, prove, pack, serve and load-test small text models.",
    epilog="Exit codes: 0 done, 1 refused, 2 wrong usage or input, 3 the environment, 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
StateDir = Annotated[Path | None, typer.Option(help="Where the server's state lies.", show_default="per user")]
TextColumn = Annotated[str, typer.Option(help="Column of the texts.")]
LabelColumn = Annotated[str, typer.Option(help="Column of the labels.")]
Data = Annotated[str, typer.Argument(metavar="DATA", help="CSV, TSV, JSONL or Parquet file, or a sample set.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder that `lexport train` made.")]
Archive = Annotated[Path, typer.Argument(metavar="MAR", help="An archive that `lexport archive` made.")]
Texts = Annotated[list[str] | None, typer.Argument(metavar="TEXT…", help="Texts; without any, lines of stdin.")]


def _print(value: Any) -> None:
    from rich.console import Console

    # Texts and labels are data: "[b]" and ":tada:" in them are shown as they are.
    width = None if sys.stdout.isatty() else 120
    Console(highlight=False, markup=False, emoji=False, width=width).print(value)


def _say(as_json: bool) -> Callable[[str], None]:
    """Progress lines go to stderr, so that --json leaves stdout to the result."""

    def say(line: str) -> None:
        typer.echo(line, err=as_json)

    return say


def _emit(value: Any) -> None:
    readable = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    typer.echo(json.dumps(value, indent=2, ensure_ascii=not readable, default=str))


def _given(texts: list[str] | None) -> list[str]:
    from .errors import InputError

    if texts:
        return texts
    if sys.stdin.isatty():
        raise InputError('No text is given. Give at least one, or pipe lines in: lexport run MAR "a text"')
    try:
        given = sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"stdin is not UTF-8 (byte {error.start:,}). Convert it first.") from None
    if not given:
        raise InputError("stdin is empty; expected a text a line.")
    # Not splitlines(), which ends a line at U+2028 or a form feed too.
    return [line.removesuffix("\r") for line in given.removesuffix("\n").split("\n")]


@contextmanager
def _bar() -> Iterator[Callable[[int, int, str], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("training"), BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    console = Console(stderr=True)
    # Where it cannot draw, rich would leave an empty line.
    with Progress(*columns, console=console, transient=True, disable=not console.is_interactive) as progress:
        task = progress.add_task("", total=None)
        yield lambda done, total, what: progress.update(task, completed=done, total=total, description=what)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        from . import __version__

        typer.echo(__version__)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything the demo makes.")] = Path("lexport-demo"),
    duration: Annotated[float, typer.Option(help="Seconds of load at each number of users.", min=1)] = 10.0,
) -> None:
    """The whole chain on real data: train, export, archive, serve, load-test, report."""
    from .demo import run_demo

    with _bar() as progress:
        run_demo(out, duration=duration, say=typer.echo, show=_print, progress=progress)


@app.command()
def recipes(as_json: Json = False) -> None:
    """List what --model takes, with a line on when to use it."""
    from .models import recipes as shipped

    found = {name: shipped.load(name).when for name in shipped.names()}
    if as_json:
        return _emit(found)
    for name, when in found.items():
        typer.echo(f"{name:12} {when}")
    return None


@app.command()
def train(
    source: Data,
    out: Annotated[Path, typer.Option(metavar="RUN", help="The run folder to make.")],
    model: Annotated[str, typer.Option(help="A recipe; see `lexport recipes`.")] = "bag",
    text_column: TextColumn = "text",
    label_column: LabelColumn = "label",
    seed: Annotated[int, typer.Option(help="Of the model; the split never depends on it.", min=0, max=2**63 - 1)] = 0,
    min_count: Annotated[int | None, typer.Option(help="Rarer words are UNK.", show_default="recipe")] = None,
    max_vocabulary: Annotated[int | None, typer.Option(help="Keep this many words.", show_default="all")] = None,
    dim: Annotated[int | None, typer.Option(help="Width of a vector.", show_default="recipe")] = None,
    epochs: Annotated[int | None, typer.Option(help="At most.", show_default="recipe")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace RUN if it is there.")] = False,
    as_json: Json = False,
) -> None:
    """Train a model on labelled texts."""
    from . import screens
    from .models import recipes as shipped
    from .models import train as training

    recipe = shipped.load(model)
    recipe = recipe.changed("text", min_count=min_count, max_vocabulary=max_vocabulary)
    recipe = recipe.changed("embedding", dim=dim).changed("training", epochs=epochs)
    with _bar() as progress:
        run = training.train(
            source,
            out,
            recipe=recipe,
            text_column=text_column,
            label_column=label_column,
            seed=seed,
            replace=force,
            say=_say(as_json),
            progress=progress,
        )
    if as_json:
        return _emit({"run": str(out), **run.metrics["test"]})
    test = run.metrics["test"]
    _print(screens.metrics(f"On {test['count']:,} test texts: accuracy {test['accuracy']:.4f}", test))
    typer.echo(
        f"{out}: trained in {run.info.training['seconds']:.0f} s. Next: lexport export {shlex.quote(str(out))}"
    )
    return None


@app.command()
def export(
    run: RunFolder,
    variants: Annotated[
        str | None, typer.Option(help="Only these, comma-separated; others go.", show_default="all")
    ] = None,
    as_json: Json = False,
) -> None:
    """Export a run to every variant and measure each against the trained model."""
    from dataclasses import asdict

    from . import screens
    from .export.export import export as export_run
    from .export.variants import choose
    from .models.run import open_run

    chosen = choose(variants)
    evidence = asdict(export_run(open_run(run), chosen, say=_say(as_json)))
    if as_json:
        return _emit(evidence)
    _print(screens.evidence(evidence))
    typer.echo(f"{run}/export/evidence.json has it all. Next: lexport archive {shlex.quote(str(run))} --version 1.0")
    return None


@app.command()
def evaluate(
    target: Annotated[Path, typer.Argument(metavar="RUN|MAR", help="A run folder or an archive.")],
    source: Data,
    text_column: TextColumn = "text",
    label_column: LabelColumn = "label",
    part: Annotated[str, typer.Option(help="Only these texts: all, train, validation or test.")] = "all",
    as_json: Json = False,
) -> None:
    """Judge a trained run, or an archive's own variant, on labelled texts."""
    from . import screens
    from .export.evaluate import evaluate as judge

    found = judge(target, source, text_column=text_column, label_column=label_column, part=part)
    if found["seen"]:
        typer.echo(
            f"note: {found['seen']:,} of these {found['count']:,} texts were trained on; --part test leaves them out",
            err=True,
        )
    if as_json:
        return _emit(found)
    low, high = found["accuracy_interval"]
    title = f"{found['count']:,} texts of {found['data']}: accuracy {found['accuracy']:.4f} [{low:.4f}, {high:.4f}]"
    _print(screens.metrics(f"{title}, macro-F1 {found['macro_f1']:.4f}", found))
    _print(screens.confusion(found["labels"], found["confusion"]))
    return None


@app.command()
def archive(
    run: RunFolder,
    version: Annotated[str, typer.Option(help="Of the archive, for example 1.0.")],
    name: Annotated[str | None, typer.Option(help="Of the model.", show_default="the run folder's")] = None,
    variant: Annotated[str, typer.Option(help="A variant's name, or auto: the fastest that passed.")] = "auto",
    out: Annotated[Path, typer.Option(help="Folder for the archive.")] = Path("model_store"),
    force: Annotated[bool, typer.Option("--force", help="Replace a different archive.")] = False,
    as_json: Json = False,
) -> None:
    """Pack an exported variant into NAME-VERSION.mar, with its evidence."""
    from .export.archive import archive as pack
    from .export.reader import EVIDENCE, read_json

    path = pack(run, version=version, name=name, variant=variant, out=out, force=force, say=_say(as_json))
    packed = read_json(path, EVIDENCE)["variant"]
    if as_json:
        return _emit({"archive": str(path), "variant": packed, "bytes": path.stat().st_size})
    typer.echo(f"{path}: {packed}, {path.stat().st_size:,} bytes. Next: lexport serve {shlex.quote(str(path))}")
    return None


@app.command()
def run(mar: Archive, texts: Texts = None, as_json: Json = False) -> None:
    """Answer texts with an archive's own handler in this process, without Java."""
    from . import screens
    from .export.inprocess import opened

    given = _given(texts)
    with opened(mar) as archived:
        found = archived.predict(given)
    return _emit(found) if as_json else _print(screens.answers(given, found))


@app.command()
def serve(
    archives: Annotated[list[Path] | None, typer.Argument(metavar="[MAR]…", help="Archives to serve.")] = None,
    model_store: Annotated[Path | None, typer.Option(help="Serve the newest version of each name here.")] = None,
    workers: Annotated[str, typer.Option(help="Per model: cpu, cpu:2, gpu:1.")] = "cpu",
    port: Annotated[int | None, typer.Option(help="Inference port; two more follow it. 0: any free.")] = None,
    config: Annotated[Path | None, typer.Option(help="TorchServe settings.", show_default="closed")] = None,
    state_dir: StateDir = None,
    timeout: Annotated[float, typer.Option(help="Seconds to become ready.", min=1)] = 300.0,
    foreground: Annotated[bool, typer.Option("--foreground", help="Stay until stopped.")] = False,
    as_json: Json = False,
) -> None:
    """Start TorchServe; returns when every worker has answered its goldens."""
    from . import serving

    chosen = archives or []
    store = model_store if model_store or chosen else Path("model_store")
    server = serving.serve(
        chosen,
        model_store=store,
        workers=workers,
        state_dir=state_dir,
        port=port,
        config=config,
        timeout=timeout,
        say=_say(as_json),
    )
    if as_json:
        _emit(serving.status(server.state_dir))
    else:
        _print_next(next(iter(server.models)), state_dir, foreground)
    if foreground:
        serving.wait(server)


def _print_next(name: str, state_dir: Path | None, foreground: bool) -> None:
    where = f" --state-dir {shlex.quote(str(state_dir))}" if state_dir else ""
    end = "Ctrl-C stops it" if foreground else f"in the end: lexport stop{where}"
    typer.echo(f'Next: lexport predict {name} "a text"{where}   ({end})')


@app.command()
def predict(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A served model.")],
    texts: Texts = None,
    version: Annotated[str | None, typer.Option(help="One version of it.", show_default="default")] = None,
    state_dir: StateDir = None,
    host: Annotated[str | None, typer.Option(help="HOST:PORT of another server.")] = None,
    token_file: Annotated[Path | None, typer.Option(help="Its key file.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait.", min=0.1)] = 60.0,
    as_json: Json = False,
) -> None:
    """Ask a served model over HTTP."""
    from . import screens, serving

    given = _given(texts)
    found = serving.predict(
        name, given, version=version, state_dir=state_dir, host=host, token_file=token_file, timeout=timeout
    )
    return _emit(found) if as_json else _print(screens.answers(given, found))


@app.command()
def status(state_dir: StateDir = None, as_json: Json = False) -> None:
    """Show the running server, its models and workers."""
    from . import screens, serving

    found = serving.status(state_dir)
    return _emit(found) if as_json else _print(screens.status(found))


@app.command()
def stop(state_dir: StateDir = None) -> None:
    """Stop the server and remove what it left."""
    from . import serving

    serving.stop(state_dir, say=typer.echo)


@app.command()
def loadtest(
    name: Annotated[str, typer.Argument(metavar="NAME|MAR|RUN", help="A model of the store, an archive or a run.")],
    workers: Annotated[str, typer.Option(help="Worker sets, comma-separated.")] = "cpu:1,cpu:2,gpu:1",
    users: Annotated[str, typer.Option(help="Numbers of users, comma-separated.")] = "1,16,64",
    duration: Annotated[str, typer.Option(help="Of each run, for example 10s or 1m.")] = "10s",
    slo: Annotated[list[str] | None, typer.Option(help="For example p99=50ms, rps=500, failures=0%.")] = None,
    unknown_share: Annotated[float, typer.Option(help="Share of words replaced by unseen ones.")] = 0.1,
    texts: Annotated[Path | None, typer.Option(help="Texts to send.", show_default="the goldens")] = None,
    model_store: Annotated[Path, typer.Option(help="Where NAME is looked up.")] = Path("model_store"),
    out: Annotated[Path, typer.Option(help="Folder for the report.")] = Path("loadtest-report"),
    as_json: Json = False,
) -> None:
    """Load a model with Locust on several worker sets; exit 1 if an objective is missed."""
    from .loadtest.command import run_loadtest

    report = run_loadtest(
        name,
        worker_sets=workers,
        users=users,
        duration=duration,
        slo=slo or [],
        unknown_share=unknown_share,
        texts=texts,
        model_store=model_store,
        out=out,
        say=_say(as_json),
        show=None if as_json else _print,
    )
    if as_json:
        _emit(report.as_dict())
    from .loadtest import objectives

    objectives.require(report)
