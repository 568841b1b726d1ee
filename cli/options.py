"""The parts that commands share: the application, common options, and how results are printed."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..messages.escaping import json_visible, visible, visible_lines
from ..messages.output import output
from ..storage.progress import silent

if TYPE_CHECKING:
    from rich.console import Console

    from ..export.archive.trust.keys import PublicKey

_bars: list[Console] = []
"""The terminal of each progress bar that is drawn now."""

# Commands print warnings themselves; without a handler Python would print them once more.
logging.getLogger("lexport").addHandler(logging.NullHandler())

app = typer.Typer(
    name="lexport",
    help="Train, export, prove, pack, serve and load-test small text models.",
    epilog="Exit codes: 0 done, 1 refused, 2 wrong usage or input, 3 the environment, 130 interrupted.",
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
StateDir = Annotated[Path | None, typer.Option(help="Folder of the server's state.", show_default="per user")]
TextColumn = Annotated[str, typer.Option(help="Column of the texts.")]
LabelColumn = Annotated[str | None, typer.Option(help="Column of the labels.", show_default="label, if needed")]
LanguageColumn = Annotated[str | None, typer.Option(help="Column of the languages.", show_default="none")]
PairColumn = Annotated[str | None, typer.Option(help="Column of second texts.", show_default="none")]
ImageColumn = Annotated[str | None, typer.Option(help="Column of images, lists of numbers.", show_default="none")]
Data = Annotated[
    list[str], typer.Argument(metavar="DATA", help="Files, patterns, a folder, - for stdin, or a sample set.")
]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder that `lexport train` made.")]
Archive = Annotated[Path, typer.Argument(metavar="MAR", help="An archive that `lexport archive` made.")]
AnyArchive = Annotated[
    Path, typer.Argument(metavar="MAR", help="Any .mar, or the folder of one that was packed as no-archive.")
]
RunOrArchive = Annotated[Path, typer.Argument(metavar="RUN|MAR", help="A run folder or an archive.")]
Keys = Annotated[
    list[Path] | None,
    typer.Option(
        "--key",
        help="Refuse archives that this public key has not signed; may be repeated.",
        show_default="LEXPORT_KEYS",
    ),
]
TrustCode = Annotated[
    bool, typer.Option("--trust-code", help="Let an archive's own code run, by any author, if no key is given.")
]
TEXT = "TEXT…"
"""The name of a free-text argument in the help."""
Texts = Annotated[
    list[str] | None,
    typer.Argument(metavar=TEXT, help="Texts; without any, lines of stdin. One that begins with - goes after --."),
]
Lang = Annotated[
    str | None, typer.Option(help="Language of the texts, in a multilingual model.", show_default="none")
]
ImageFile = Annotated[
    Path | None, typer.Option("--images", help="Ask about images instead: one JSON list of numbers per line.")
]

Explain = Annotated[bool, typer.Option("--explain", help="What each token contributes.")]


def show(value: Any) -> None:
    """Print a table, or another rich renderable, for people, without the control characters of the data."""
    from rich.console import Console

    from ..reports.tables import Escaped

    # Texts and labels are data: "[b]" and ":tada:" in them are shown as they are.
    width = None if sys.stdout.isatty() else 120
    Console(highlight=False, markup=False, emoji=False, width=width).print(Escaped(value))


def print_line(line: str, *, err: bool = False) -> None:
    """Print one line, even if it has names or messages from outside with line breaks in them.

    On a terminal with a progress bar it is printed above the bar.
    """
    stream = sys.stderr if err else sys.stdout
    if _bars and stream.isatty():
        _bars[-1].print(visible(line), markup=False, highlight=False, emoji=False, soft_wrap=True)
    else:
        typer.echo(visible(line), err=err)


def print_text(text: str) -> None:
    """Print a document of several lines as it is, except for control characters."""
    typer.echo(visible_lines(text), nl=False)


def trusted_keys(files: list[Path] | None) -> list[PublicKey] | None:
    """Return the public keys of `--key`; None for those of LEXPORT_KEYS.

    Raises InputError for a file that is not a public key.
    """
    from ..export.archive.trust.keys import read_public

    return [read_public(file) for file in files] if files else None


def say_to(as_json: bool) -> Callable[[str], None]:
    """Return the function that prints progress lines: to stderr with --json, so that stdout has only the result.

    With --quiet it prints nothing, with --verbose the seconds since the command began too.
    """
    if output.quiet:
        return silent
    if output.verbose:
        return lambda line: print_line(f"[{time.monotonic() - output.started:6.1f} s] {line}", err=as_json)
    return partial(print_line, err=as_json)


def emit(value: Any, *, indent: int | None = 2) -> None:
    """Print a result as JSON, on one line without `indent`; what could disturb a terminal becomes a JSON escape."""
    readable = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    typer.echo(json_visible(json.dumps(value, indent=indent, ensure_ascii=not readable, default=str)))


def emit_line(line: str) -> None:
    """Print a line of JSON that is one already, at once."""
    typer.echo(line)


def given_texts(texts: list[str] | None) -> list[str]:
    """Return the texts of the command line, or the lines of stdin. Raises InputError if there are none."""
    from ..errors import InputError

    if texts:
        return texts
    if sys.stdin.isatty():
        raise InputError(
            'No text is given. Give at least one, or pipe lines in: lexport run MAR "a text"', code="LX-CLI-001"
        )
    try:
        given = sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"stdin is not UTF-8 (byte {error.start:,}). Convert it first.", code="LX-CLI-002") from None
    if not given:
        raise InputError("stdin is empty; expected one text per line.", code="LX-CLI-003")
    # Not splitlines(), which ends a line at U+2028 or a form feed too.
    return [line.removesuffix("\r") for line in given.removesuffix("\n").split("\n")]


def given_images(path: Path, texts: list[str] | None, lang: str | None, *, explain: bool) -> list[list[float]]:
    """Return the images of a file: per line one JSON list of numbers, or an object with such a list as "image".

    Raises InputError for other content, and if texts, a language or `explain` are given too.
    """
    from ..errors import InputError

    if explain:
        raise InputError("--explain was given beside --images; only texts have explanations.", code="LX-CLI-004")
    if texts or lang is not None:
        raise InputError(
            "Texts or a language were given beside --images. Ask about one or the other.", code="LX-CLI-005"
        )
    images: list[list[float]] = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        for line in lines:
            value = json.loads(line)
            numbers = value["image"] if isinstance(value, dict) else value
            if not isinstance(numbers, list) or not all(type(number) in (int, float) for number in numbers):
                raise TypeError
            images.append([float(number) for number in numbers])
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}.", code="LX-CLI-006") from None
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        raise InputError(
            f'{path}, line {len(images) + 1:,} is not an image; expected [0.1, 0.2, …] or {{"image": [0.1, …]}}.',
            code="LX-CLI-007",
        ) from None
    if not images:
        raise InputError(f"{path} is empty; expected one JSON list of numbers per line.", code="LX-CLI-008")
    return images


@contextmanager
def bar(what: str) -> Iterator[Callable[[int, int, str], None]]:
    """Yield a progress bar on stderr with the name `what`: a function of (done, total, current step).

    There is none without a terminal, and with --quiet.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    what_now = TextColumn("{task.description}", markup=False)
    columns = (TextColumn(what), BarColumn(), what_now, TimeRemainingColumn())
    console = Console(stderr=True)
    if output.quiet or not console.is_interactive:  # where rich would leave an empty line
        yield silent
        return
    # What is printed meanwhile goes through `print_line`: rich would take it from a stdout that is a file, too.
    with Progress(
        *columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False
    ) as progress:
        task = progress.add_task("", total=None)
        _bars.append(console)
        try:
            yield lambda done, total, now: progress.update(
                task, completed=done, total=total, description=visible(now)
            )
        finally:
            _bars.pop()


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False
) -> None:
    if version:
        from ..version import __version__

        print_line(__version__)
    elif context.invoked_subcommand is None:
        from .looking.overview import overview

        for part in overview(Path.cwd()):
            print_line(part) if isinstance(part, str) else show(part)
