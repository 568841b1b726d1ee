"""What a run and an archive say of themselves, in the one form in which `lexport ui` compares them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..export.archive.format.reader import EVIDENCE
from ..export.archive.inprocess import load_archive
from ..export.evidence.evidence import read_evidence
from ..models.run import open_run
from .library import Item, read_json

NONE = "–"
"""What is shown where one has no such value."""


@dataclass(frozen=True)
class Side:
    """What a run or an archive says of itself, as far as it is compared."""

    whole: bool
    """Whether it has every setting of its recipe, as a run."""
    made: Mapping[str, str]
    """Settings of its recipe, which an archive does not keep, and its data, by names with dots."""
    task: str
    digest: str
    """Of its data."""
    scores: Mapping[str, Any]
    """Metrics on the test texts, with intervals."""
    labels: Mapping[str, Mapping[str, Any]]
    """Precision, recall, F1 and count of texts by label; empty for vectors."""
    variants: Mapping[str, Mapping[str, Any]]
    """Evidence of each variant, by name; of an archive the one that it carries."""
    load: Mapping[str, Any] | None
    """The load test in an archive's evidence."""


def side_of(item: Item) -> Side:
    """Return what a run or an archive says of itself. Raises LexportError for one that cannot be opened."""
    return _of_run(item.path) if item.kind == "run" else _of_archive(item.path)


def _of_run(folder: Path) -> Side:
    info, test = read_json(folder / "run.json"), read_json(folder / "metrics.json")["test"]
    exported = (folder / "export" / "evidence.json").is_file()
    return Side(
        True,
        _named(info["recipe"], "recipe") | _named(info["data"], "data") | {"seed": str(info["seed"])},
        open_run(folder).recipe.task,
        info["data"]["digest"],
        test,
        test.get("per_class", {}),
        {one.name: asdict(one) for one in read_evidence(folder).variants} if exported else {},
        None,
    )


def _of_archive(path: Path) -> Side:
    with load_archive(path) as archived:
        evidence = archived.read(EVIDENCE)
    run = evidence["run"]
    [packed] = [one for one in evidence["variants"] if one["name"] == evidence["variant"]]
    made = {"recipe.name": str(run["recipe"]), "variant": packed["name"], "seed": str(run["seed"])}
    return Side(
        False,
        made | _named(run["data"], "data"),
        run["task"],
        run["data"]["digest"],
        packed["test"] | {f"{run['metric']}_interval": packed["test"]["interval"]},
        evidence["trained"]["test"].get("per_class", {}),
        {packed["name"]: packed},
        evidence.get("load"),
    )


def _named(values: Mapping[str, Any], name: str) -> dict[str, str]:
    """Return nested settings as texts, by names such as `recipe.training.epochs`."""
    found: dict[str, str] = {}
    for key, value in values.items():
        own = f"{name}.{key}"
        if isinstance(value, Mapping):
            found |= _named(value, own)
        elif own != "recipe.when":  # a sentence about the recipe
            found[own] = _told(value)
    return found


def _told(value: Any) -> str:
    """Return a setting for people."""
    if isinstance(value, list):
        return ", ".join(map(_told, value)) or NONE
    return NONE if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
