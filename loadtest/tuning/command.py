"""`lexport tune`: from the command line to the search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ...export.archive.choice import choose_variant
from ...export.archive.trust.keys import PublicKey
from ...export.evidence.evidence import read_evidence
from ..command import archives_of, numbers, rates_of, seconds
from .report import final_table, front_table, lines
from .results import TuneReport
from .tune import tune


def run_tune(
    name: str,
    *,
    budget: str,
    engines: str,
    users: str | None,
    rate: str | None,
    say: Callable[[str], None],
    show: Callable[[Any], None] | None,
    **options: Any,
) -> TuneReport:
    """Tune a model of the store, an archive, or every passing variant of a run, and show the result.

    The other `options` are those of `tune_named`, and so are the errors; InputError too for options that are not
    understood.
    """
    report = tune_named(
        name,
        budget=seconds("--budget", budget),
        engines=[one.strip() for one in engines.split(",")],
        users=numbers(users) if users else (),
        rates=rates_of(rate) if rate else (),
        say=say,
        **options,
    )
    if show is not None:
        show(front_table(report))
        show(final_table(report))
        for line in lines(report):
            say(line)
    return report


def tune_named(
    name: str,
    *,
    model_store: Path = Path("model_store"),
    trusted: Sequence[PublicKey] | None = None,
    **options: Any,
) -> TuneReport:
    """Tune what `name` names: a model of the store, an archive, or every passing variant of a run.

    The other `options` and the errors are those of `tune.tune`; RefusedError too for a run of which nothing passes.
    """
    with archives_of(name, model_store) as (archives, packed):
        run = Path(name) if packed else None
        # Archives that were just packed here have no signature.
        keys = () if packed else trusted
        return tune(_default_first(archives, run), run=run, trusted=keys, **options)


def _default_first(archives: Sequence[Path], run: Path | None) -> list[Path]:
    """Return a run's archives with the variant first that `lexport archive` would pack."""
    if run is None:
        return list(archives)
    usual = choose_variant(read_evidence(run), None)[0].name
    return sorted(archives, key=lambda path: not path.name.endswith(f".{usual}-0.mar"))
