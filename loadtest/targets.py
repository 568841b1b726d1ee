"""The targets of a load test: archives, their evidence, servers that run, and the texts that are sent to them."""

from __future__ import annotations

import io
import ipaddress
import json
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..data.columns import Columns
from ..data.reading.bad_rows import BadRows
from ..data.reading.kinds import ENDINGS, identify
from ..data.reading.options import USUAL_READING
from ..data.reading.sources import open_paths
from ..errors import InputError
from ..export.archive.format.reader import EVIDENCE, open_archive, read_member
from ..export.evidence.load import model_digest
from ..export.formats.files import GOLDENS
from ..serving.store import read
from ..storage.compression import COMPRESSIONS, opener_for, readable
from ..storage.strict_json import parse_json
from .results import LoadedModel

MOST_TEXTS = 100_000  # that are read of a file; a run sends 2,000 of them


@dataclass(frozen=True)
class Subject:
    """What is tested; `label` identifies it in the report."""

    path: Path | None
    """The archive; None for what a server that runs answers with."""
    label: str
    model: str
    evidence: Mapping[str, Any]
    """MAR-INF/EVIDENCE.json, empty where there is none."""
    version: str | None = None
    """None of a server that runs."""
    cpu_alone: str | None = None
    """Why it does not run on a GPU."""
    expect: str = "label"
    """What counts as an answer, unless the caller says; of an archive that lexport did not make, any good status."""

    @property
    def tested(self) -> LoadedModel:
        """What results say of it."""
        variant = self.evidence.get("variant")
        return LoadedModel(
            self.model, self.version, variant if isinstance(variant, str) else None, model_digest(self.evidence)
        )


@dataclass(frozen=True)
class Endpoint:
    """A server that runs, whoever made it."""

    url: str
    """Such as http://127.0.0.1:8080; with a path, that is what is asked."""
    model: str = ""
    """Name of the model, asked at /predictions/NAME, if the `url` has no path."""
    token: str = ""
    """Sent as a bearer token; empty: none."""
    remote: bool = False
    """Whether it may be on another machine."""

    def subject(self) -> Subject:
        """Return it as what is tested. Raises InputError for an address that cannot be asked, or may not be."""
        try:
            parts = urlsplit(self.url)
            name, path, _ = parts.hostname or "", parts.path.strip("/"), parts.port
        except ValueError as error:
            name, path, parts = "", "", urlsplit("")
            problem = f" ({error})"
        else:
            problem = ""
        if parts.scheme not in ("http", "https") or not name:
            raise InputError(
                f"--host {self.url!r} is not an address{problem}; expected such as http://127.0.0.1:8080 or "
                "http://127.0.0.1:9000/v1/classify.",
                code="LX-LOAD-061",
            )
        if not self.remote and not is_loopback(name):
            raise InputError(
                f"--host {self.url} is not this machine. A load test at full speed is an attack on a server of "
                "others; give --remote if it is yours to load.",
                code="LX-LOAD-062",
            )
        if bool(path) == bool(self.model):
            raise InputError(
                f"--host {self.url} was given with {'both' if path else 'neither'} a path and the name of a model. "
                "Expected one of them: lexport loadtest NAME --host http://HOST:PORT, or lexport loadtest --host "
                "http://HOST:PORT/PATH",
                code="LX-LOAD-063",
            )
        return Subject(None, self.model or path, self.model or path, {}, expect="status")


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine by its loopback address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def subjects(archives: Sequence[Path]) -> list[Subject]:
    """Read the archives. Raises InputError for a bad one, or for two with the same label."""
    found = [read(path) for path in archives]
    labels = [f"{archive.name}-{archive.version}" for archive in found]
    if len(set(labels)) < len(labels):  # variants of one run
        labels = [path.stem for path in archives]
    if len(set(labels)) < len(labels):
        raise InputError(
            f"Two archives are called {', '.join(sorted(set(labels)))}; rename one, because the report needs "
            "different names.",
            code="LX-LOAD-028",
        )
    return [
        Subject(
            archive.path,
            label,
            archive.name,
            evidence(archive.path),
            archive.version,
            archive.cpu_alone,
            expect="label" if archive.made_by_lexport else "status",
        )
        for archive, label in zip(found, labels, strict=True)
    ]


def evidence(archive: Path) -> dict[str, Any]:
    """Return the evidence packed in an archive; empty where there is none or it is not a JSON object."""
    with open_archive(archive) as members:
        if EVIDENCE not in members.namelist():
            return {}
        try:
            found = parse_json(read_member(members, EVIDENCE))
        except ValueError:
            return {}
    return found if isinstance(found, dict) else {}


def golden_requests(archive: Path) -> list[dict[str, Any]]:
    """Return an archive's golden requests: `text`, with its `lang` if it has one, or `image`.

    The list is empty if the archive was packed without them; blank texts are left out.
    """
    with open_archive(archive) as members:
        content = read_member(members, GOLDENS) if GOLDENS in members.namelist() else b""
    try:
        goldens = [parse_json(line) for line in content.splitlines() if line.strip()]
    except ValueError:
        return []
    asked = [_request(golden) for golden in goldens]
    return [request for request in asked if request]


def _request(line: Any) -> dict[str, Any] | None:
    """Return the fields of a JSON line that make a request; None if it has none."""
    if not isinstance(line, dict):
        return None
    if isinstance(line.get("image"), list):
        return {"image": line["image"]}
    if not isinstance(line.get("text"), str) or not line["text"].strip():
        return None
    return {"text": line["text"]} | ({"lang": line["lang"]} if line.get("lang") is not None else {})


def texts_file(
    texts: Path | Sequence[str] | None, subject: Subject, folder: Path, column: str | None = None
) -> Path | None:
    """Return a file of texts or images for the locustfile, made in `folder`; None if there are none.

    Raises InputError if a named file has none, or cannot be read.
    """
    if isinstance(texts, Path):
        kept = read_asked(texts, column)
    elif texts is None:
        kept = golden_requests(subject.path) if subject.path else []
    else:
        kept = [{"text": text} for text in texts if text.strip()]
    if not kept:
        return None
    path = folder / "texts.jsonl"
    path.write_text("".join(json.dumps(request) + "\n" for request in kept), encoding="utf-8")
    return path


def read_asked(texts: Path, column: str | None = None) -> list[dict[str, Any]]:
    """Return the first 100,000 requests of a file, as they are.

    Of JSON lines, those with `text`, and `lang` where there is one, or `image`; of any other data file that
    `lexport train` reads, and where a `column` is named, the texts of that column (`text`); else a text a line.
    Raises InputError for a file that is not there, cannot be read or has no text.
    """
    if not texts.exists():
        raise InputError(
            f"There is no file {texts}. Expected texts, one a line, or a data file with a column of texts.",
            code="LX-LOAD-029",
        )
    with closing(_requests(texts, column)) as found:
        kept = [one for one in islice(found, MOST_TEXTS) if str(one.get("text", "image")).strip()]
    if not kept:
        raise InputError(
            f"{texts} has no text. Expected texts, one a line, or a data file with a column of texts.",
            code="LX-LOAD-033",
        )
    return kept


def _requests(texts: Path, column: str | None) -> Generator[dict[str, Any], None, None]:
    """Return the requests of a file, blank ones too."""
    endings = [ending.lower() for ending in texts.suffixes if ending.lower() not in COMPRESSIONS]
    if column is not None or texts.is_dir():
        return _of_column(texts, column or "text")
    if not endings or endings[-1] not in ENDINGS:
        return _of_lines(texts, lambda number, line: {"text": line.strip()})
    if identify(texts).kind == "lines":
        return _of_lines(texts, partial(_asked, texts))
    return _of_column(texts, "text")


def _of_lines(texts: Path, read_line: Callable[[int, str], dict[str, Any]]) -> Generator[dict[str, Any], None, None]:
    """Yield the requests of the lines that are not blank."""
    try:
        with (
            readable(texts),
            opener_for(texts.suffix.lower())(texts) as file,
            io.TextIOWrapper(file, encoding="utf-8-sig", newline="\n") as lines,
        ):
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield read_line(number, line)
    except UnicodeDecodeError as error:
        raise InputError(
            f"{texts} cannot be read as UTF-8 text: {error}. Expected texts, one a line.", code="LX-LOAD-031"
        ) from None


def _asked(texts: Path, number: int, line: str) -> dict[str, Any]:
    """Return the request of a JSON line."""
    try:
        found = json.loads(line)
        if isinstance(found.get("image"), list):
            return {"image": found["image"]}
        return {"text": str(found["text"])} | ({"lang": found["lang"]} if found.get("lang") is not None else {})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InputError(
            f'{texts}, line {number:,} is not a JSON object with a "text" or "image". Where another field holds the '
            "texts, name it: --text-column FIELD.",
            code="LX-LOAD-032",
        ) from None


def _of_column(texts: Path, column: str) -> Generator[dict[str, Any], None, None]:
    """Yield the texts of a column of a data file, or of a folder of them."""
    with open_paths([texts], Columns(text=column, label=None), USUAL_READING, BadRows(0)) as sources:
        for source in sources:
            yield from ({"text": str(row.text)} for row in source.rows if row.text is not None)


def texts_in_words(texts: Path | Sequence[str] | None, served: bool) -> str:
    """Return where the texts come from, for the report; `served`: there is no archive."""
    if texts is None:
        return "six sentences of the locustfile" if served else "the archive's golden requests"
    return texts.name if isinstance(texts, Path) else f"{len(texts):,} texts given by the caller"
