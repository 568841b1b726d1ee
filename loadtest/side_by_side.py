"""Two load tests side by side: their runs with the same workers and load, with ratios."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE

from ..errors import InputError, RefusedError
from ..export.evidence.load_results import RESULTS, load_in_words, read_results
from ..reports.numbers import at_least, measured
from ..reports.tables import Table
from ..storage.atomic import write_file
from ..storage.validation import build

_FIGURES = ("requests_per_second", "p50_ms", "p95_ms", "p99_ms", "max_ms")


@dataclass(frozen=True)
class Measured:
    """What one run measured: of its row in results.json what is compared. Times in ms, None: nothing was answered."""

    requests_per_second: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    failures: int
    client_limited: bool
    """Whether the requests/s are a lower bound, because the client was the limit."""

    def bounded(self) -> str:
        """Return the requests/s for people."""
        return at_least(self.requests_per_second, self.client_limited)


@dataclass(frozen=True)
class Loaded:
    """The results of one load test, as far as they are compared."""

    path: Path
    started: str
    subject: str
    """The archives, or the address of the server that ran."""
    passed: bool | None
    """None without objectives."""
    facts: Mapping[str, str]
    """Settings, machine and versions, by name."""
    rows: Mapping[tuple[str, str, str, float], Measured]
    """By archive, workers, arrivals and load: users in a closed loop, requests/s else."""


@dataclass(frozen=True)
class Pair:
    """A run of each test with the same workers and load; the names of the archives may differ."""

    archives: tuple[str, str]
    workers: str
    arrivals: str
    level: float
    before: Measured
    after: Measured

    @property
    def load(self) -> str:
        """The load in words."""
        return load_in_words(self.arrivals, self.level)

    def ratio(self, name: str) -> float | None:
        """Return how many times the first's figure the second's is; None where one is missing, or only a bound."""
        if self.before.client_limited or self.after.client_limited:
            return None
        one, other = getattr(self.before, name), getattr(self.after, name)
        return other / one if one and other is not None else None


@dataclass(frozen=True)
class LoadComparison:
    """Two load tests: the pairs of their runs, those that only one has, and what was set up otherwise."""

    before: Loaded
    after: Loaded
    pairs: tuple[Pair, ...]
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]
    differences: tuple[tuple[str, str, str], ...]
    """Name, and the value of each."""

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return {
            "before": _described(self.before),
            "after": _described(self.after),
            "pairs": [
                {
                    "archives": list(pair.archives),
                    "workers": pair.workers,
                    "arrivals": pair.arrivals,
                    "load": pair.level,
                    "before": vars(pair.before),
                    "after": vars(pair.after),
                    "ratios": {name: pair.ratio(name) for name in _FIGURES},
                }
                for pair in self.pairs
            ],
            "only_before": list(self.only_before),
            "only_after": list(self.only_after),
            "differences": {name: [one, other] for name, one, other in self.differences},
        }


def is_loadtest(path: Path) -> bool:
    """Return whether a path is the folder of a load test's report, or a file of results as they are there."""
    if path.is_dir():
        return (path / RESULTS).is_file()
    try:
        found = json.loads(path.read_bytes()) if path.suffix == ".json" else None
    except (OSError, ValueError, RecursionError):  # a recording is no single JSON document
        return False
    return isinstance(found, dict) and "rows" in found


def compare(before: Path, after: Path) -> LoadComparison:
    """Return two load tests side by side; each is a report's folder or its results.json.

    Runs belong together by archive, workers and load. Where each test has one archive only, it may have another name,
    as two versions of a model have; where each has one server that ran, it may have another address. Raises
    InputError for a file that is no load test's, RefusedError where no run of one has its like in the other.
    """
    one, other = read(before), read(after)
    left, right = _keyed(one, other), _keyed(other, one)
    pairs = tuple(
        Pair((key[0], right[place][0][0]), place[1], place[2], place[3], found, right[place][1])
        for place, (key, found) in left.items()
        if place in right
    )
    if not pairs:
        raise RefusedError(
            f"No run of {before} has the workers and the load of one of {after}, so nothing is compared. Expected "
            f"load tests with runs alike; {before} has {_names(left)}, {after} has {_names(right)}.",
            code="LX-LOAD-111",
        )
    names = dict.fromkeys([*one.facts, *other.facts])
    return LoadComparison(
        one,
        other,
        pairs,
        tuple(_name(key) for place, (key, _) in left.items() if place not in right),
        tuple(_name(key) for place, (key, _) in right.items() if place not in left),
        tuple(
            (name, one.facts.get(name, "–"), other.facts.get(name, "–"))
            for name in names
            if one.facts.get(name) != other.facts.get(name)
        ),
    )


def read(path: Path) -> Loaded:
    """Read results.json, or the one in a folder. Raises InputError for another file."""
    try:
        return _loaded(path, read_results(path))
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror or error}. Expected the folder of a load test's report, or its "
            "results.json.",
            code="LX-LOAD-112",
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} is not what a load test writes ({type(error).__name__}: {str(error)[:100]}). Expected its "
            "results.json, of this version of lexport.",
            code="LX-LOAD-113",
        ) from None


def _loaded(path: Path, found: Mapping[str, Any]) -> Loaded:
    rows = {}
    for row in found["rows"]:
        closed = row["arrivals"] == "closed"
        key = (str(row["archive"]), str(row["workers"]), str(row["arrivals"]))
        figures = {name: row[name] for name in (*_FIGURES, "failures")}
        rows[(*key, float(row["users"] if closed else row["rate"]))] = build(
            Measured, figures | {"client_limited": row["client_limit"] is not None}
        )
    kinds = {"setting": found["settings"], "machine": found["machine"], "version of": found["versions"]}
    facts = {
        f"{kind} {name.replace('_', ' ')}": value if isinstance(value, str) else json.dumps(value)
        for kind, values in kinds.items()
        for name, value in values.items()
        if name != "command"
    }
    return Loaded(
        path,
        str(found["started"]),
        ", ".join(dict.fromkeys(key[0] for key in rows)),
        bool(found["passed"]) if found["objectives"] else None,
        facts,
        rows,
    )


_Place = tuple[str, str, str, float]


def _keyed(of: Loaded, other: Loaded) -> dict[_Place, tuple[_Place, Measured]]:
    """Return the rows by what makes them alike: a lone archive, and a lone address, are left out of it."""
    archives, workers = ({len({key[place] for key in one.rows}) for one in (of, other)} for place in (0, 1))
    served = all("setting host" in one.facts for one in (of, other))
    return {
        (
            "" if archives == {1} else key[0],
            "" if workers == {1} and served else key[1],
            key[2],
            key[3],
        ): (key, found)
        for key, found in of.rows.items()
    }


def _name(key: _Place) -> str:
    return f"{key[0]} {key[1]} {load_in_words(key[2], key[3])}"


def _names(rows: Mapping[_Place, tuple[_Place, Measured]]) -> str:
    names = [_name(key) for key, _ in rows.values()]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "") if names else "no run"


def _described(one: Loaded) -> dict[str, Any]:
    return {"path": str(one.path), "started": one.started, "subject": one.subject, "passed": one.passed}


def in_ratio(value: float | None) -> str:
    """Return a ratio for people, such as `1.25×`; a dash for None."""
    return "–" if value is None else f"{value:.2f}×"


def table(found: LoadComparison) -> Table:
    """Return the pairs as a table for a terminal: A, B and the ratio of requests/s and p99."""
    several = len({pair.archives for pair in found.pairs}) > 1
    shown = Table(box=SIMPLE, collapse_padding=True, pad_edge=False)
    for name in (["archive"] if several else []) + ["workers"]:
        shown.add_column(name)
    closed = all(pair.arrivals == "closed" for pair in found.pairs)
    heads = ("users" if closed else "rate", "req/s A", "req/s B", "B/A", "p99 A", "p99 B", "B/A", "failed A", "B")
    for name in heads:
        shown.add_column(name, justify="right")
    for pair in found.pairs:
        shown.add_row(
            *([pair.archives[0]] if several else []),
            pair.workers or "the server",
            f"{pair.level:,.6g}",
            pair.before.bounded(),
            pair.after.bounded(),
            in_ratio(pair.ratio("requests_per_second")),
            measured(pair.before.p99_ms),
            measured(pair.after.p99_ms),
            in_ratio(pair.ratio("p99_ms")),
            f"{pair.before.failures:,}",
            f"{pair.after.failures:,}",
        )
    return shown


def notes(found: LoadComparison) -> Sequence[str]:
    """Return the lines below the table: what A and B are, and what is not alike."""
    lines = [
        f"A  {found.before.path}: {found.before.subject}, {found.before.started}",
        f"B  {found.after.path}: {found.after.subject}, {found.after.started}",
    ]
    lines += [f"only in A  {name}" for name in found.only_before]
    lines += [f"only in B  {name}" for name in found.only_after]
    return [*lines, *(f"{name}: {one} in A, {other} in B" for name, one, other in found.differences)]


def write(found: LoadComparison, out: Path) -> None:
    """Write the page, replacing one that is there. Raises InputError for a place where no file can be."""
    from .pages.side_by_side import html

    write_file(out, html(found).encode())
