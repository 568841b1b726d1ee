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
    model_store: Path,
    trusted: Sequence[PublicKey] | None,
    say: Callable[[str], None],
    show: Callable[[Any], None] | None,
    **options: Any,
) -> TuneReport:
    """Tune a model of the store, an archive, or every passing variant of a run.

    The other `options` are those of `tune.tune`, and so are the errors; InputError too for options that are not
    understood.
    """
    with archives_of(name, model_store) as (archives, packed):
        run = Path(name) if packed else None
        report = tune(
            _default_first(archives, run),
            budget=seconds("--budget", budget),
            engines=[one.strip() for one in engines.split(",")],
            users=numbers(users) if users else (),
            rates=rates_of(rate) if rate else (),
            run=run,
            # Archives that were just packed here have no signature.
            trusted=() if packed else trusted,
            say=say,
            **options,
        )
    if show is not None:
        show(front_table(report))
        show(final_table(report))
        for line in lines(report):
            say(line)
    return report


def _default_first(archives: Sequence[Path], run: Path | None) -> list[Path]:
    """Return a run's archives with the variant first that `lexport archive` would pack."""
    if run is None:
        return list(archives)
    usual = choose_variant(read_evidence(run), None)[0].name
    return sorted(archives, key=lambda path: not path.name.endswith(f".{usual}-0.mar"))
