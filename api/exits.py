"""`lexport.export_to`: an archive in the form that another server or program runs."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..storage.progress import Say, silent
from .packages import names_missing_packages
from .paths import StrPath

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..export.exits.exit import Exit
    from ..export.exits.kserve import Amounts
    from ..export.exits.writing import WrittenExit
    from ..serving.generated.resources import Resources
    from .archive import Archive

KINDS = ("folder", "mlflow", "mlserver", "bentoml", "kserve", "triton")
_MIB = 1 << 20
_KSERVE = 300  # MiB of KServe's server with a small model, measured on Linux with Python 3.11


@names_missing_packages
def export_to(
    kind: str,
    archive: Archive | StrPath,
    out: StrPath,
    *,
    python: StrPath | None = None,
    keys: Sequence[StrPath] | None = None,
    trust_code: bool = False,
    say: Say = silent,
    **options: Any,
) -> WrittenExit:
    """Write an archive to the new folder `out` in the form that another server or program runs.

    `kind` is `folder`, `mlflow`, `mlserver`, `bentoml`, `kserve` or `triton`. What was written answers the archive's
    golden requests before it is kept, where its packages are installed beside the interpreter `python` (None: this
    one); the returned `proofs` and evidence.json say what was found. The other options are those of
    `lexport export-to KIND`, with `loadtest` for `--from-loadtest`; `keys` are files. Raises InputError if `out`
    exists, RefusedError for an archive that fails verification or answers otherwise, SystemProblem for a program that
    fails.
    """
    from ..export.archive.trust.keys import read_public
    from ..export.exits.writing import write_exit
    from .archive import Archive

    path = archive.path if isinstance(archive, Archive) else Path(archive)
    return write_exit(
        path,
        kind,
        _exit(kind, path, options),
        Path(out),
        python=Path(python or sys.executable),
        trusted=None if keys is None else [read_public(Path(key)) for key in keys],
        trust_code=trust_code,
        say=say,
    )


def _exit(kind: str, archive: Path, options: dict[str, Any]) -> Exit:
    from ..export.exits.bentoml import BentoML
    from ..export.exits.folder import Folder
    from ..export.exits.kserve import KServe
    from ..export.exits.mlflow import MLflow
    from ..export.exits.mlserver import MLServer
    from ..export.exits.triton import Triton

    if kind == "kserve":
        return KServe(_amounts(archive, options.pop("loadtest", None)), **options)
    if kind == "triton":
        return Triton(**options)
    exits: dict[str, type[Exit]] = {"folder": Folder, "mlflow": MLflow, "mlserver": MLServer, "bentoml": BentoML}
    if kind not in exits:
        raise InputError(f"There is no exit {kind!r}. Choose one of {', '.join(KINDS)}.", code="LX-EXPORT-115")
    return exits[kind](**options)


def _amounts(archive: Path, loadtest: StrPath | None) -> Amounts:
    """Return processors and memory of KServe's server: what a load test measured, or a core and stated defaults."""
    from ..export.exits.kserve import Amounts

    if loadtest is not None:
        found = _measured(Path(loadtest), archive)
        why = (*found.why, "That was measured of lexport's server: KServe's takes more for each request.")
        memory = max(found.memory, _KSERVE)
        return Amounts(found.cpu, found.cpu_limit, memory, max(found.memory_limit, 2 * memory), why)
    memory = _KSERVE + math.ceil(archive.stat().st_size / _MIB if archive.is_file() else 0)
    why = (
        "Defaults, since no load test was given (--from-loadtest results.json): a core, and",
        f"{memory} MiB: {_KSERVE} for the server, the rest for the archive; at most twice.",
    )
    return Amounts(cpu=1, cpu_limit=1, memory=memory, memory_limit=2 * memory, why=why)


def _measured(loadtest: Path, archive: Path) -> Resources:
    """Return what a load test says of the embedded engine, or else of TorchServe. Raises InputError if neither."""
    from ..serving.generated.models import models_of
    from ..serving.generated.resources import from_loadtest

    models = models_of([archive], None)
    try:
        return from_loadtest(loadtest, "embedded", models, None)
    except InputError:
        return from_loadtest(loadtest, "torchserve", models, None)
