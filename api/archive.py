"""`lexport.Archive`: a `.mar` that answers in this process, with lexport's own handlers."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..reports import notebook
from ..storage.progress import Say, silent
from .model import Model, RequestRefused, encoded
from .paths import StrPath, source_of, with_paths

if TYPE_CHECKING:
    from ..evaluation.diagnostics.findings import Diagnosis
    from ..export.archive.diff import Comparison
    from ..export.archive.inprocess import LoadedArchive
    from ..export.archive.inspect import Inspection
    from ..export.archive.trust.keys import PublicKey
    from ..export.archive.verify import Verified
    from ..export.evaluation import Evaluation
    from ..export.exits.exit import Exit
    from ..export.exits.kserve import Amounts
    from ..export.exits.writing import WrittenExit
    from ..export.hub.push import HubFolder
    from ..loadtest.results import LoadReport
    from ..loadtest.tuning.results import TuneReport
    from ..serving.generated.resources import Resources

EXITS = ("folder", "mlflow", "mlserver", "bentoml", "kserve", "triton")
"""What an archive can be written for."""
_MIB = 1 << 20
_KSERVE = 200  # MiB of KServe's server with a small model; 168 were measured on Linux with Python 3.11


class Archive(Model):
    """An archive on disk. The first request extracts and loads it; `close` or leaving `with` closes it.

    with lexport.load("reviews-1.0.mar") as archive:
        archive.predict(["would buy again"])[0].label

    No code of the archive is imported: lexport's own handlers answer.
    """

    def __init__(self, path: str | Path, *, trusted: Sequence[PublicKey] | None = None) -> None:
        """Name the archive at `path`; with `trusted` keys (None: those of LEXPORT_KEYS) one must have signed it."""
        self._stack = ExitStack()  # first: __del__ closes it, whatever fails below
        self._opened: LoadedArchive | None = None
        self.path = Path(path)
        self._trusted = trusted

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name

    def ask(self, body: dict[str, Any] | str, *, explain: bool = False) -> Any:
        """Answer one JSON request as docs/http.md has it, or explain it. Raises InputError for one that is refused.

        The first request opens the archive: RefusedError if it fails verification, SystemProblem where a package is
        missing.
        """
        [(status, answer)] = self._loaded().request([encoded(body)], explain=explain)
        value = json.loads(answer)
        if status != 200:
            raise RequestRefused(f"{value['error']} Expected: {value['expected']}.", code="LX-API-001")
        return value

    def evaluate(self, data: str | Path, **options: Any) -> Evaluation:
        """Evaluate on `data`; the options are those of `lexport evaluate`. Raises InputError."""
        from ..export.evaluate import evaluate

        return evaluate(self.path, str(data), trusted=self._trusted, **options)

    def diagnose(self, data: StrPath | Sequence[StrPath], **options: Any) -> Diagnosis:
        """Return what is wrong with `data` for the model; the options are `lexport diagnose`'s. Raises InputError."""
        from ..export.diagnose import diagnose

        return diagnose(self.path, source_of(data), trusted=self._trusted, **options)

    def report(self, out: str | Path, **options: Any) -> Path:
        """Write one page of the archive and return its path. Raises InputError, and whatever `verify` raises.

        `texts` are explained (none: its goldens), `loadtest` is the folder of a load test to show.
        """
        from ..export.report import write_report

        write_report(self.path, Path(out), trusted=self._trusted, **options)
        return Path(out)

    def verify(self) -> Verified:
        """Check members, digests, evidence and signature. Raises RefusedError with all problems."""
        from ..export.archive.verify import verify

        return verify(self.path, self._trusted)

    def inspect(self) -> Inspection:
        """Return the verified archive's evidence, members and model card. Raises as `verify` does."""
        from ..export.archive.inspect import inspect

        return inspect(self.path, self._trusted)

    def diff(self, after: Archive | str | Path) -> Comparison:
        """Return what changes from this archive to `after`: figures, words, label flips, members."""
        from ..export.archive.diff import compare

        return compare(self.path, after.path if isinstance(after, Archive) else Path(after), trusted=self._trusted)

    def export_to(
        self,
        kind: str,
        out: StrPath,
        *,
        python: StrPath | None = None,
        trust_code: bool = False,
        say: Say = silent,
        **options: Any,
    ) -> WrittenExit:
        """Write the archive to the new folder `out` in the form that another server or program runs.

        `kind` is `folder`, `mlflow`, `mlserver`, `bentoml`, `kserve` or `triton`. What was written answers the
        golden requests before it is kept, where its packages are installed beside the interpreter `python` (None:
        this one); `proofs` and evidence.json say what was found. The other options are those of
        `lexport export-to KIND`, with `loadtest` for `--from-loadtest`. Raises InputError if `out` exists,
        RefusedError if the archive fails verification or the exit answers otherwise, SystemProblem for a program that
        fails.
        """
        from ..export.exits.writing import write_exit

        return write_exit(
            self.path,
            kind,
            _exit(kind, self.path, options),
            Path(out),
            python=Path(python or sys.executable),
            trusted=self._trusted,
            trust_code=trust_code,
            say=say,
        )

    def to_hub(self, out: str | Path, **options: Any) -> HubFolder:
        """Write a folder for the Hugging Face Hub and return what is in it; options as `lexport hub push`.

        Raises InputError if `out` is there and not to be replaced, RefusedError if the archive fails verification.
        """
        from ..export.hub.push import push

        return push(self.path, Path(out), trusted=self._trusted, **options)

    def loadtest(self, **options: Any) -> LoadReport:
        """Load the archive with Locust on several worker sets; the options are those of `lexport loadtest`."""
        from ..loadtest.runner import loadtest

        return loadtest([self.path], trusted=self._trusted, **with_paths(options))

    def tune(self, *, slo: Sequence[str], **options: Any) -> TuneReport:
        """Find the settings that serve most requests/s within `slo`; the options are those of `lexport tune`."""
        from ..loadtest.tuning.tune import tune

        return tune([self.path], slo=slo, trusted=self._trusted, **with_paths(options))

    def close(self) -> None:
        """Remove the extracted files; the next request opens the archive again."""
        self._opened = None
        self._stack.close()

    def __del__(self) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Archive({str(self.path)!r})"

    def _repr_html_(self) -> str:
        found = self.inspect()
        about = {"name": found.name, "version": found.version, "variant": found.variant, "bytes": f"{found.size:,}"}
        return notebook.facts(f"Archive {self.name}", about)

    def _loaded(self) -> LoadedArchive:
        from ..export.archive.inprocess import load_archive

        if self._opened is None:
            self._opened = self._stack.enter_context(load_archive(self.path, trusted=self._trusted))
        return self._opened


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
        raise InputError(f"There is no exit {kind!r}. Choose one of {', '.join(EXITS)}.", code="LX-EXPORT-115")
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
