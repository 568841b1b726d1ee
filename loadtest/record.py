"""`lexport record`: write the answers of any model to some texts into a file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from ..client import Client, ModelFailed, RefusedInput, UnknownModel
from ..client.answers import is_own
from ..client.once import made_by_lexport
from ..client.questions import served_model
from ..errors import InputError, SystemProblem
from ..export.archive.recordings import Recorded, digest_of, read_texts, write_recording
from ..export.archive.trust.keys import PublicKey
from ..export.archive.trust.rule import Trust
from ..serving.process import sigterm_raises
from ..serving.store import read
from ..storage.atomic import sha256_file
from ..storage.progress import Say, silent
from . import environment
from .servers import open_server
from .targets import subjects

Ask = Callable[[str], Any]


@dataclass(frozen=True)
class RecordingSummary:
    """A recording that was written."""

    out: Path
    """The file."""
    source: str
    """The archive's name, or the URL of the served model."""
    made_by_lexport: bool
    answers: int
    """Number of texts with an answer."""
    refused: int
    """Number of texts that the model refused or failed for."""
    median_ms: float
    """Median latency of an answer."""


@dataclass(frozen=True)
class _Source:
    """A model to ask."""

    name: str
    """Its name in the recording."""
    digest: str | None
    """SHA-256 of an archive; None for a served model."""
    own: bool
    """Whether lexport made it."""
    way: str
    """`http`, or `in this process`."""
    ask: Ask
    """The function that returns the answer to a text."""


def record(
    source: str,
    texts: Path | Sequence[str],
    out: Path,
    *,
    column: str = "text",
    keep_texts: bool = True,
    host: str | None = None,
    state_dir: Path | None = None,
    token_file: Path | None = None,
    timeout: float = 60.0,
    trusted: Sequence[PublicKey] | None = None,
    trust_code: bool = False,
    say: Say = silent,
) -> RecordingSummary:
    """Ask a model for every text, one after the other, and write its answers with their latencies to `out`.

    `source` is an archive (.mar): lexport's own archives answer in this process; for any other a TorchServe is
    started, which needs `trust_code` as `serve` does. Or `source` is a served model: its URL
    (http://127.0.0.1:8080/predictions/NAME), or its name on the server of `state_dir` or at `host`. `texts` is a data
    file with the column `column`, a .txt file with one text per line, or a list. With `keep_texts` false the
    recording has digests in place of the texts. A text that the model refuses or fails for is recorded with the
    error. `timeout`, in seconds, is for one answer.

    Raises InputError for a source or texts that cannot be used, RefusedError for an archive that is not trusted,
    SystemProblem if the server cannot answer. Nothing is written in these cases.
    """
    asked = read_texts(texts, column) if isinstance(texts, Path) else list(dict.fromkeys(texts))
    if not asked:
        raise InputError("No texts to ask about. Give at least one.", code="LX-LOAD-017")
    began = datetime.now(UTC)
    with (
        sigterm_raises(),
        _opened(source, asked[0], host, state_dir, token_file, timeout, trusted, trust_code, say) as (opened),
    ):
        lines = [_recorded(opened.ask, text) for text in asked]
    refused = sum(line.error is not None for line in lines)
    if refused == len(lines):
        raise SystemProblem(
            f"{source} answered none of {refused:,} texts, so nothing was recorded: {lines[0].error}",
            code="LX-LOAD-018",
        )
    head = {
        "source": opened.name,
        "sha256": opened.digest,
        "made_by_lexport": opened.own,
        "way": opened.way,
        "created": began.isoformat(timespec="seconds"),
        "count": len(lines),
        "machine": environment.machine(),
    }
    write_recording(out, head, lines, texts=keep_texts)
    times = sorted(line.latency_ms for line in lines)
    return RecordingSummary(out, opened.name, opened.own, len(lines) - refused, refused, times[len(times) // 2])


def _recorded(ask: Ask, text: str) -> Recorded:
    started = time.perf_counter()
    answer, error = None, None
    try:
        answer = ask(text)
    except UnknownModel:
        raise
    except (ModelFailed, InputError) as refused:
        error = refused.message
    return Recorded(digest_of(text), text, answer, (time.perf_counter() - started) * 1000, error)


@contextmanager
def _opened(
    source: str,
    first: str,
    host: str | None,
    state_dir: Path | None,
    token_file: Path | None,
    timeout: float,
    trusted: Sequence[PublicKey] | None,
    trust_code: bool,
    say: Say,
) -> Iterator[_Source]:
    path = Path(source)
    if path.suffix == ".mar" or path.is_file():
        with _archive(path, first, Trust.of(trusted, trust_code), timeout, say) as found:
            yield found
        return
    name, version, host = _named(source, host)
    known = made_by_lexport(name, state_dir) if host is None else None
    with Client(host, token_file=token_file, state_dir=state_dir, timeout=timeout) as client:
        own, ask = _way(client, name, first, known, version)
        yield _Source(f"{client.url}/predictions/{name}", None, own, "http", ask)


@contextmanager
def _archive(path: Path, first: str, trust: Trust, timeout: float, say: Say) -> Iterator[_Source]:
    found = read(path)
    digest = sha256_file(path)
    if found.made_by_lexport:
        from ..export.archive.inprocess import load_archive

        with load_archive(path, trusted=trust.keys) as archived:
            yield _Source(path.name, digest, True, "in this process", lambda text: archived.predict([text])[0])
        return
    [subject] = subjects([path])
    with (
        open_server(subject, "torchserve", "cpu:1", trust, say) as target,
        Client(target.url, token=target.token, timeout=timeout) as client,
    ):
        own, ask = _way(client, target.model, first, False, None)
        yield _Source(path.name, digest, own, "http", ask)


def _way(client: Client, name: str, first: str, own: bool | None, version: str | None) -> tuple[bool, Ask]:
    """Return whether lexport made the model, and the function that asks it.

    If `own` is None, the form of the first answer decides. The first text is sent once before any measurement,
    because the first request opens the connection.
    """
    as_json: Ask = lambda text: client.ask(name, {"text": text}, version=version)  # noqa: E731
    as_text: Ask = partial(client.ask, name, version=version)
    if own is None:
        try:
            own = is_own(as_json(first))
        except (ModelFailed, RefusedInput):
            own = False
    ask = as_json if own else as_text
    with suppress(ModelFailed, RefusedInput):  # the recording has this error later
        ask(first)
    return own, ask


def _named(source: str, host: str | None) -> tuple[str, str | None, str | None]:
    """Return the name, version and host of a served model, from its URL or its name."""
    if "://" not in source:
        own, _, number = source.partition("/")
        return own, number or None, host
    served = served_model(source)
    if served is None or not source.startswith("http://") or host is not None:
        raise InputError(
            f"{source!r} is not a served model. Expected http://HOST:PORT/predictions/NAME, or the model's name with "
            "--host HOST:PORT, or an archive.",
            code="LX-LOAD-019",
        )
    address, name, version = served
    return name, version, address
