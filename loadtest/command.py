"""`lexport loadtest`: from the command line to the runner."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import InputError, RefusedError
from ..export.archive.format.unpacked import is_unpacked
from ..export.archive.trust.keys import PublicKey
from ..serving.store import newest
from .report import table
from .results import LoadReport
from .runner import loadtest


def run_loadtest(
    name: str,
    *,
    worker_sets: str,
    engines: str,
    users: str,
    duration: str,
    slo: Sequence[str],
    unknown_share: float,
    texts: Path | None,
    model_store: Path,
    out: Path,
    trusted: Sequence[PublicKey] | None,
    trust_code: bool,
    say: Callable[[str], None],
    show: Callable[[Any], None] | None,
) -> LoadReport:
    """Load a model of the store, an archive, or every passing variant of a run; write the report to `out`.

    Raises InputError for options that are not understood, and the errors of `runner.loadtest`.
    """
    levels = _numbers(users)
    seconds = _seconds(duration)
    with _archives(name, model_store) as (archives, own):
        report = loadtest(
            archives,
            worker_sets=[one.strip() for one in worker_sets.split(",")],
            engines=[one.strip() for one in engines.split(",")],
            users=levels,
            duration=seconds,
            slo=slo,
            unknown_share=unknown_share,
            texts=texts,
            out=out,
            # Archives that were just packed here have no signature.
            trusted=() if own else trusted,
            trust_code=trust_code,
            say=say,
        )
    if show is not None:
        show(table(report))
        say(f"report: {out / 'report.html'}")
    return report


@contextmanager
def _archives(name: str, model_store: Path) -> Iterator[tuple[list[Path], bool]]:
    """Yield the archives, and whether they were packed here, into a private folder."""
    path = Path(name)
    if path.is_file() or is_unpacked(path):
        yield [path], False
    elif (path / "run.json").is_file():
        from ..export.archive.pack import archive
        from ..export.evidence.evidence import read_evidence

        with tempfile.TemporaryDirectory(prefix="lexport-store-") as folder:
            label = re.sub(r"[^A-Za-z0-9_-]", "-", path.resolve().name).strip("-_") or "run"
            passing = [variant.name for variant in read_evidence(path).variants if variant.refused is None]
            if not passing:
                raise RefusedError(
                    f"No variant of {path} passes the gates; {path}/export/evidence.json says why.",
                    code="LX-LOAD-001",
                )
            packed = [
                archive(path, version="0", name=f"{label}.{variant}", variant=variant, out=Path(folder))
                for variant in passing
            ]
            yield packed, True
    elif name.endswith(".mar") or "/" in name:
        raise InputError(f"There is no archive or run {name}.", code="LX-LOAD-002")
    else:
        found = newest(model_store)
        if name not in found:
            raise InputError(f"{model_store} has no model {name!r}; it has: {', '.join(found)}.", code="LX-LOAD-003")
        yield [found[name]], False


def _numbers(value: str) -> list[int]:
    if not re.fullmatch(r" *[0-9]{1,6} *(, *[0-9]{1,6} *)*", value):
        raise InputError(
            f"--users {value!r} is not understood. Expected whole numbers, for example 1,16,64.", code="LX-LOAD-004"
        )
    return [int(one) for one in value.split(",")]


def _seconds(value: str) -> float:
    match = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]+)?)(s|m)?", value.strip())
    if not match:
        raise InputError(
            f"--duration {value!r} is not understood. Expected seconds or minutes, for example 10s or 1m.",
            code="LX-LOAD-005",
        )
    return float(match[1]) * (60 if match[2] == "m" else 1)
