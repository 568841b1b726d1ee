"""Unknown words of requests, collected by a server's workers while it is asked for: on, off, listed, forgotten."""

from __future__ import annotations

import json
import mmap
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...export.archive.format.reader import json_of, open_archive
from ...handlers.runtime.draining import share
from ...handlers.runtime.sampling import CONTROL, LEAST, control_name, words_name
from ...handlers.text.spec import Layout
from .. import folders
from .. import server as servers
from ..record import Deployed
from ..state import Server
from .drift import find

MOST = 10_000
"""Words that can be kept at most."""


@dataclass(frozen=True)
class Sampled:
    """An unknown word of requests."""

    word: str
    language: str
    """Its language; "" where the model has one vocabulary for all."""
    requests: int
    """Requests that had it, or more."""


def sample(most: int, model: str | None = None, version: str | None = None, *, state_dir: Path | None = None) -> str:
    """Have the workers of a version collect at most so many unknown words, 0: none more; return NAME VERSION.

    It takes effect with the next request, and until the server is started again. Raises InputError for another
    number, and for a model that has no words of its own or is answered by an earlier lexport's handler.
    """
    if not 0 <= most <= MOST:
        raise InputError(
            f"{most:,} words cannot be collected; expected 1 to {MOST:,}, or 0 to collect none more.",
            code="LX-SERVE-216",
        )
    server, served = _served(model, version, state_dir)
    with _control(server, served) as control:
        _, forgotten = CONTROL.unpack(control[:])
        control[:] = CONTROL.pack(most, forgotten)
    return str(served)


def forget(model: str | None = None, version: str | None = None, *, state_dir: Path | None = None) -> str:
    """Delete the words that were collected of a version, and return NAME VERSION. Raises as `sample`.

    Collecting goes on if it is on.
    """
    server, served = _served(model, version, state_dir)
    with _control(server, served) as control:
        most, forgotten = CONTROL.unpack(control[:])
        control[:] = CONTROL.pack(most, (forgotten + 1) % (1 << 32))
    for file in _files(server, served):
        file.unlink(missing_ok=True)
    return str(served)


def words(
    model: str | None = None, version: str | None = None, *, state_dir: Path | None = None
) -> tuple[list[Sampled], int]:
    """Return the words that were collected of a version, those of most requests first, and how many are kept at most.

    The number is 0 while none are collected. Each worker counts by itself and tells of words that five of its own
    requests had, within a second. Raises as `sample`.
    """
    server, served = _served(model, version, state_dir)
    with _control(server, served) as control:
        most, forgotten = CONTROL.unpack(control[:])
    counts: Counter[tuple[str, str]] = Counter()
    for file in _files(server, served):
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
            if found["forgotten"] == forgotten:
                counts.update({(str(word), str(language)): int(count) for word, language, count in found["words"]})
        except (OSError, ValueError, KeyError, TypeError):  # it was removed just now
            continue
    listed = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [Sampled(word, language, count) for (word, language), count in listed if count >= LEAST], most


def words_to_add(
    model: str, version: str | None = None, *, language: str | None = None, state_dir: Path | None = None
) -> list[str]:
    """Return the collected words of a language, None: of a model without languages, to be added to its vocabulary.

    Raises InputError if there are none; the rest as `sample`.
    """
    found, most = words(model, version, state_dir=state_dir)
    chosen = [one.word for one in found if one.language == (language or "")]
    if not chosen:
        others = sorted({one.language or "no language" for one in found})
        why = f"; there are words of {', '.join(others)}" if found else ""
        state = f"at most {most:,} are collected" if most else "none are collected now"
        raise InputError(
            f"No unknown words of {model} have been collected{why} ({state}). Collect some with `lexport drift "
            f"{model} --sample 500`; a word is kept once five requests to one worker had it.",
            code="LX-SERVE-218",
        )
    return chosen


def _served(model: str | None, version: str | None, state_dir: Path | None) -> tuple[Server, Deployed]:
    server = servers.running(state_dir)
    if server.engine == "ray":
        raise InputError(
            "Words are collected on one machine, and replicas on a Ray cluster collect none. Serve the archive there "
            "with --engine embedded or torchserve.",
            code="LX-RAY-160",
        )
    return server, find(server, model, version)


def _files(server: Server, served: Deployed) -> list[Path]:
    return sorted(server.reports.glob(words_name(served.name, served.version, "*")))


@contextmanager
def _control(server: Server, served: Deployed) -> Iterator[mmap.mmap]:
    """Map the control file of a version's workers. Raises InputError if none of them reads one."""
    file = server.reports / control_name(served.name, served.version)
    if not file.is_file():
        spec = _text_spec(server.state_dir / folders.STORE / served.file)
        inputs = spec.get("inputs")
        if inputs in (Layout.HASHES, Layout.CHARACTERS):
            raise InputError(
                f"{served} reads words by their {inputs}: no word is unknown to it, and none can be added. Expected "
                "a model with a vocabulary of words.",
                code="LX-SERVE-217",
            )
        if spec.get("tokenizer") is not None:
            raise InputError(
                f"{served} reads texts by a tokenizer.json, which makes pieces of words that it does not know: no "
                "word can be added. Expected a model with a vocabulary of words.",
                code="LX-SERVE-300",
            )
        raise InputError(
            f"The workers of {served} collect no words: its archive was made by an earlier lexport, or by another "
            "program. Archive its run again with this lexport, and deploy it.",
            code="LX-SERVE-220",
        )
    with share(file, mmap.ACCESS_WRITE, CONTROL.size) as control:
        yield control


def _text_spec(archive: Path) -> Mapping[str, Any]:
    """Return an archive's text spec as JSON, empty if it has none."""
    with open_archive(archive) as members:
        found: dict[str, Any] = json_of(members, "text.json") if "text.json" in members.namelist() else {}
    return found
