"""What a folder for the Hub holds: README.md with YAML in front of a model card, lexport.json, the files themselves.

The fields of the YAML are those of https://huggingface.co/docs/hub/model-cards. Tools of the Hub upload and download
such a folder; nothing here uses the network.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from ...errors import InputError
from ...evaluation.tasks import TASKS
from ...storage.strict_json import parse_json
from ...storage.validation import Invalid, build, raise_any

RECORD = "lexport.json"
CARD = "README.md"
ATTRIBUTES = ".gitattributes"
RUN, ARCHIVE = "run", "archive"
SCHEMA = 1

# Files that the Hub keeps by Git LFS, as in the .gitattributes of its new repositories.
_LARGE = ("*.mar", "*.safetensors", "*.onnx", "*.onnx.data", "*.pt", "*.pt2", "*.gz", "*.index")
_PIPELINES = {"classify": "text-classification", "multilabel": "text-classification"}
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MOST_FILES = 10_000
_MOST_BYTES = 1 << 24  # of lexport.json
_LONGEST_PATH, _LONGEST_NAME = 1000, 255  # bytes, which every file system has room for


@dataclass(frozen=True)
class Record:
    """The content of `lexport.json`: what lies in the folder."""

    kind: str
    """`run` or `archive`."""
    name: str
    """Of the run or the model."""
    version: str | None
    """Of the model in an archive; null for a run."""
    lexport: str
    """The version of lexport that wrote the folder."""
    files: dict[str, str] = field(default_factory=dict)
    """The files by their path in the folder, with the hex SHA-256 of each; all but the card and this one."""
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        """Raise Invalid for values that no folder of this schema has."""
        problems = [f"{path!r} is no path inside the folder" for path in self.files if not _inside(path)]
        problems += [
            f"the digest of {path} is not 64 hexadecimal digits"
            for path, digest in self.files.items()
            if not _DIGEST.fullmatch(digest)
        ]
        if self.kind not in (RUN, ARCHIVE):
            problems.append(f"kind is {self.kind!r}, not {RUN} or {ARCHIVE}")
        archive = f"{self.name}-{self.version}.mar"
        if self.kind == ARCHIVE and ("/" in archive or [*self.files] != [archive]):
            # The name is that of the file in a store, too, which must not lie elsewhere.
            problems.append(f"an archive is one file, {archive}, beside lexport.json")
        folders = {str(folder) for path in self.files for folder in PurePosixPath(path).parents}
        problems += [f"{path!r} is a file and a folder" for path in self.files if path in folders]
        if len(self.files) > _MOST_FILES:
            problems.append(f"{len(self.files):,} files are listed, more than {_MOST_FILES:,}")
        raise_any(problems)


def read_record(folder: Path) -> Record:
    """Return the record of a folder. Raises InputError if it has none or one that cannot be used."""
    path = folder / RECORD
    try:
        with path.open("rb") as handle:
            content = handle.read(_MOST_BYTES)
        values = parse_json(content)
        schema = values.get("schema")
    except FileNotFoundError:
        raise InputError(
            f"{folder} has no {RECORD}. Expected a folder that `lexport hub push` wrote, downloaded whole.",
            code="LX-HUB-001",
        ) from None
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"{path} cannot be read: {error}. Download it again.", code="LX-HUB-002") from None
    if schema != SCHEMA:
        raise InputError(
            f"{path} has schema {schema!r}, this version reads schema {SCHEMA}. Update lexport.", code="LX-HUB-003"
        )
    try:
        return build(Record, values)
    except Invalid as error:
        raise InputError(f"{path}: {error}. Download it again.", code="LX-HUB-004") from None


def with_front(card: str, front: Mapping[str, Any]) -> str:
    """Return a card with YAML in front."""
    return f"---\n{yaml.safe_dump(dict(front), sort_keys=False, allow_unicode=True)}---\n{card}"


def read_card(folder: Path) -> str:
    """Return the text of README.md in a folder, nothing where there is none. Raises InputError if it is no text."""
    path = folder / CARD
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} cannot be read as UTF-8: {error}. Save it as UTF-8, or remove it.", code="LX-HUB-400"
        ) from None


def without_front(card: str) -> str:
    """Return a card without the YAML in front, if it has any."""
    return re.sub(r"\A---\n.*?\n---\n", "", card, count=1, flags=re.DOTALL)


def front_matter(
    name: str,
    task: str,
    recipe: str,
    data: str,
    metrics: Mapping[str, Any],
    *,
    license_id: str | None,
    languages: list[str],
) -> dict[str, Any]:
    """Return the fields of the card: what the Hub finds and shows a model by, and its metrics on the test texts."""
    pipeline = _PIPELINES.get(task, "feature-extraction")
    front: dict[str, Any] = {"license": license_id} if license_id else {}
    if languages:
        front["language"] = languages
    measured = [
        {"type": key, "name": title, "value": round(float(metrics[key]), 4)}
        for key, title in TASKS[task].HEADLINES.items()
        if key in metrics
    ]
    front |= {"library_name": "lexport", "pipeline_tag": pipeline, "tags": ["lexport", "word-embeddings", recipe]}
    if measured:
        dataset = {"type": data, "name": data, "split": "test"}
        result = {"task": {"type": pipeline}, "dataset": dataset, "metrics": measured}
        front["model-index"] = [{"name": name, "results": [result]}]
    return front


def attributes() -> bytes:
    """Return the .gitattributes of a folder."""
    return "".join(f"{one} filter=lfs diff=lfs merge=lfs -text\n" for one in _LARGE).encode()


def _inside(path: str) -> bool:
    """Whether this is a plain relative path, of a file that is none of the folder's own and none that is hidden.

    Hidden files are never pushed, and git runs what a folder `.git` says.
    """
    parts = PurePosixPath(path).parts
    return (
        bool(parts)
        and "/".join(parts) == path
        and not path.startswith("/")
        and not any(part.startswith(".") for part in parts)
        and "\\" not in path
        and path.isprintable()
        and len(path.encode()) <= _LONGEST_PATH
        and all(len(part.encode()) <= _LONGEST_NAME for part in parts)
        and path not in (RECORD, CARD)
    )
