"""`lexport loadtest`: from the command line to the runner."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..client.tokens import Keys, find
from ..errors import InputError, RefusedError
from ..export.archive.format.unpacked import is_unpacked
from ..export.archive.trust.keys import PublicKey
from ..messages.nearest import did_you_mean
from ..serving.store import newest
from .judging.verdict import verdict
from .report import Screen
from .results import LoadReport
from .runner import loadtest
from .targets import Endpoint


def run_loadtest(
    name: str | None,
    *,
    host: str | None,
    token_file: Path | None,
    remote: bool,
    worker_sets: str,
    engines: str,
    users: str,
    rate: str | None,
    duration: str,
    max_regression: str = "5%",
    model_store: Path,
    out: Path,
    trusted: Sequence[PublicKey] | None,
    trust_code: bool,
    say: Callable[[str], None],
    show: Callable[[Any], None] | None,
    **options: Any,
) -> LoadReport:
    """Load a model of the store, an archive, every passing variant of a run, or a server that runs; report to `out`.

    The other `options` are those of `runner.loadtest`. Raises InputError for options that are not understood, and the
    errors of `runner.loadtest`.
    """
    said: set[str] = set()

    def tell(line: str) -> None:
        said.add(line)
        say(line)

    shared: dict[str, Any] = {
        "users": numbers(users),
        "rates": rates_of(rate) if rate else (),
        "duration": seconds("--duration", duration),
        "max_regression": _share(max_regression),
        "out": out,
        "trust_code": trust_code,
        "say": tell,
        **options,
    }
    if host is not None:
        endpoint = endpoint_of(name or "", host, token_file, remote)
        report = loadtest(endpoint=endpoint, **shared)
    else:
        if name is None:
            raise InputError(
                "Nothing was named to load. Give a model of the store, an archive or a run, or --host URL for a "
                "server that runs.",
                code="LX-LOAD-071",
            )
        if token_file or remote:
            raise InputError(
                "--token-file and --remote are for a server that runs; name it with --host URL.", code="LX-LOAD-072"
            )
        with archives_of(name, model_store) as (archives, own):
            report = loadtest(
                archives,
                worker_sets=[one.strip() for one in worker_sets.split(",")],
                engines=[one.strip() for one in engines.split(",")],
                # Archives that were just packed here have no signature.
                trusted=() if own else trusted,
                **shared,
            )
    if show is not None:
        show(Screen(report))
        for one in report.capacities:
            say(one.words)
        say(f"report: {out / 'report.html'}")
    for warning in report.warnings:
        if warning not in said:  # some come before the test
            say(warning)
    if report.passed:  # else the command's last line says why
        say(verdict(report))
    return report


def endpoint_of(name: str, host: str, token_file: Path | None, remote: bool) -> Endpoint:
    """Return a server that runs; its token from the file, LEXPORT_TOKEN, or the state of the user's own server.

    Raises SystemProblem for a token file that cannot be read.
    """
    url = host if "://" in host else f"http://{host}"
    if token_file is not None:
        return Endpoint(url, name, Keys(file=token_file).token() or "", remote)
    return Endpoint(url, name, os.environ.get("LEXPORT_TOKEN") or _own_token(url), remote)


def _own_token(url: str) -> str:
    """Return the token of this user's own server if it is the one at `url`, else nothing: it is sent nowhere else."""
    try:
        parts = urlsplit(url)
        _, keys = find(f"{parts.scheme}://{parts.netloc}", None, None, None)
    except (InputError, ValueError):
        return ""
    return keys.token() or ""


@contextmanager
def archives_of(name: str, model_store: Path) -> Iterator[tuple[list[Path], bool]]:
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
            raise InputError(
                f"{model_store} has no model {name!r}.{did_you_mean(name, found)} It has: {', '.join(found)}.",
                code="LX-LOAD-003",
            )
        yield [found[name]], False


def numbers(value: str) -> list[int]:
    """Return the whole numbers of `--users`. Raises InputError for anything else."""
    if not re.fullmatch(r" *[0-9]{1,6} *(, *[0-9]{1,6} *)*", value):
        raise InputError(
            f"--users {value!r} is not understood. Expected whole numbers, for example 1,16,64.", code="LX-LOAD-004"
        )
    return [int(one) for one in value.split(",")]


def rates_of(value: str) -> list[float]:
    """Return the requests/s of `--rate`. Raises InputError for anything else."""
    if not re.fullmatch(r" *[0-9]{1,7}(\.[0-9]+)? *(, *[0-9]{1,7}(\.[0-9]+)? *)*", value):
        raise InputError(
            f"--rate {value!r} is not understood. Expected requests/s, for example 50 or 50,100,200.",
            code="LX-LOAD-073",
        )
    return [float(one) for one in value.split(",")]


def _share(value: str) -> float:
    match = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]+)?) *%", value.strip())
    if not match:
        raise InputError(
            f"--max-regression {value!r} is not understood. Expected a percentage, for example 5%.",
            code="LX-LOAD-089",
        )
    return float(match[1]) / 100


def seconds(option: str, value: str) -> float:
    """Return a time in seconds, such as 10s, 1m or 10. Raises InputError, which names the option, for another one."""
    match = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]+)?)(s|m)?", value.strip())
    if not match:
        raise InputError(
            f"{option} {value!r} is not understood. Expected seconds or minutes, for example 10s or 1m.",
            code="LX-LOAD-005",
        )
    return float(match[1]) * (60 if match[2] == "m" else 1)
