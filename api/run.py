"""`lexport.Run`: a trained model, to ask, evaluate, export and pack."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..evaluation.trained import predictor_of
from ..models.run import Run as TrainedRun
from ..models.run import RunInfo, open_run
from ..reports import notebook
from ..storage import atomic
from ..storage.progress import Say, silent
from .archive import Archive
from .inprocess import answer_request
from .model import Model
from .paths import StrPath, source_of, with_paths

if TYPE_CHECKING:
    from ..evaluation.diagnostics.findings import Diagnosis
    from ..export.evaluation import Evaluation
    from ..export.evidence.evidence import Evidence
    from ..export.hub.push import HubFolder
    from ..loadtest.tuning.results import TuneReport


class Run(Model):
    """A trained model in its folder.

    run = lexport.train("reviews.csv")
    run.predict(["would buy again"])[0].label
    run.export("onnx-int8")
    archive = run.archive("1.0")
    """

    def __init__(self, run: TrainedRun) -> None:
        """Wrap an opened run."""
        self._run = run
        self._predictor = predictor_of(run)

    @property
    def name(self) -> str:
        """The folder's name."""
        return self._run.folder.name

    @property
    def folder(self) -> Path:
        """The run's folder; a temporary one is removed when the run is no longer used (see `save`)."""
        return self._run.folder

    @property
    def labels(self) -> list[str]:
        """The labels in the order of the scores; none for vector models."""
        return list(self._run.labels)

    @property
    def metrics(self) -> dict[str, Any]:
        """The model's metrics on the validation and test texts."""
        return self._run.metrics

    @property
    def recipe(self) -> str:
        """The recipe's name."""
        return self._run.recipe.name

    @property
    def task(self) -> str:
        """What the model answers: "classify", "multilabel", "vector" or "joint"."""
        return self._run.recipe.task

    @property
    def info(self) -> RunInfo:
        """What the run says of its training: data, seconds, versions, history and warnings."""
        return self._run.info

    def ask(self, body: dict[str, Any] | str, *, explain: bool = False) -> Any:
        """Answer one JSON request as docs/http.md has it, or explain it. Raises InputError if it is refused."""
        return answer_request(self._predictor, body, explained=explain)

    def evaluate(self, data: str | Path | None = None, **options: Any) -> Evaluation:
        """Evaluate on `data`, or on the test texts kept with the run; the options are `evaluate`'s."""
        from ..export.evaluate import evaluate

        return evaluate(self.folder, None if data is None else str(data), **options)

    def diagnose(self, data: StrPath | Sequence[StrPath] | None = None, **options: Any) -> Diagnosis:
        """Return what is wrong with the model and `data`, or its held-out texts; the options are `diagnose`'s.

        With the data that the run was trained on every check is made. Raises InputError.
        """
        from ..export.diagnose import diagnose

        return diagnose(self.folder, None if data is None else source_of(data), **options)

    def report(self, out: str | Path, **options: Any) -> Path:
        """Write one page of the run and return its path. Raises InputError.

        `texts` are explained (none: the worst mistakes), `loadtest` is the folder of a load test to show.
        """
        from ..export.report import write_report

        write_report(self.folder, Path(out), **options)
        return Path(out)

    def to_hub(self, out: str | Path, **options: Any) -> HubFolder:
        """Write the run as a folder for the Hugging Face Hub and return what is in it; options as `lexport hub push`.

        Raises InputError if `out` is there and not to be replaced.
        """
        from ..export.hub.push import push

        return push(self.folder, Path(out), **options)

    def export(
        self, variants: str | None = None, *, goldens: str | Path | None = None, say: Say = silent
    ) -> Evidence:
        """Write the named variants (comma-separated, `onnx-*`; None: the usual ones) and return what was measured.

        Raises InputError for a variant that cannot be made, RefusedError if none passes its gates.
        """
        from ..export.export import export
        from ..export.formats.variants import choose

        return export(self._run, choose(variants), goldens=None if goldens is None else Path(goldens), say=say)

    def archive(
        self, version: str, *, out: str | Path = "model_store", sign: str | Path | None = None, **options: Any
    ) -> Archive:
        """Pack an exported variant and return the archive; the options are those of `lexport archive`.

        Exports all variants first where that has not been done. Raises RefusedError if the variant did not pass.
        """
        from ..export.archive.pack import archive

        if not (self.folder / "export" / "evidence.json").is_file():
            self.export(say=options.get("say", silent))
        key = None if sign is None else Path(sign)
        return Archive(archive(self.folder, version=version, out=Path(out), sign=key, **with_paths(options)))

    def tune(self, *, slo: Sequence[str], **options: Any) -> TuneReport:
        """Find the variant and settings that serve most requests/s within `slo`; the options are `lexport tune`'s.

        Exports all variants first where that has not been done. Raises RefusedError if no variant passes the gates or
        none meets the objectives.
        """
        from ..loadtest.tuning.command import tune_named

        if not (self.folder / "export" / "evidence.json").is_file():
            self.export(say=options.get("say", silent))
        return tune_named(str(self.folder), slo=slo, **with_paths(options))

    def save(self, folder: str | Path, *, replace: bool = False) -> Run:
        """Copy the run, with what was exported of it, to `folder` and return it from there. Raises InputError."""
        target = Path(folder)
        if target.exists() and target.samefile(self.folder):
            raise InputError(f"The run is already in {target}.", code="LX-API-009")
        with atomic.new_folder(target, replace=replace) as new:
            shutil.copytree(self.folder, new, dirs_exist_ok=True)
        return Run(open_run(target))

    def expand(self, out: str | Path, *, words: str | Path | Sequence[str] | None = None, **options: Any) -> Run:
        """Write a run with more words in its vocabulary and return it; the options are those of `lexport expand`.

        `words` is a file, or the words: `[one.word for one in server.words()]` are those that a server has collected.
        """
        from ..training.expansion.expand import expand

        given = Path(words) if isinstance(words, str) else words
        return Run(expand(self.folder, Path(out), words=given, **options))

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"

    def _repr_html_(self) -> str:
        test = {
            f"test {name}": value
            for name, value in self.metrics.get("test", {}).items()
            if isinstance(value, float) and not name.endswith("_interval")
        }
        info = self._run.info
        about = {
            "recipe": self.recipe,
            "data": info.data["name"],
            "labels": ", ".join(self.labels[:8])
            + ("" if len(self.labels) < 9 else f" and {len(self.labels) - 8} more"),
            "parameters": f"{info.parameters:,}",
        }
        return notebook.facts(f"Run {self.name}", about | test)


def of_folder(folder: Path) -> Run:
    """Open a run folder. Raises InputError."""
    return Run(open_run(folder))
