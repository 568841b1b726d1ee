"""`lexport.import_model`: a model of another program as a run or an archive. The command `lexport import` is this."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..storage import atomic
from ..storage.progress import Say, silent
from .packages import names_missing_packages
from .paths import StrPath, source_of

if TYPE_CHECKING:
    from ..data.load import Reading
    from .archive import Archive
    from .run import Run

ARCHIVE = ".mar"
AUTO = "auto"


@names_missing_packages
def import_model(
    path: StrPath | object,
    *,
    texts: StrPath | Sequence[StrPath],
    out: StrPath,
    text_column: str = "text",
    reading: Reading | None = None,
    label_prefix: str = "__label__",
    vocabulary: StrPath | None = None,
    labels: StrPath | None = None,
    tokenizer: str = "basic_english",
    variant: str = AUTO,
    replace: bool = False,
    say: Say = silent,
) -> Run | Archive:
    """Bring in the foreign model at `path` and return it: a run, or an archive if `out` is called NAME-VERSION.mar.

    In place of a path it may be a fitted pipeline of scikit-learn.

    Both answer `texts`, data as `train` takes them, whose labels are not read; the run is written only if the answers
    are the same. `label_prefix` is left out of the names of labels. Of a model that says nothing of them,
    `vocabulary` and `labels` are files with the row of each word and with the labels in the order of the outputs, and
    `tokenizer` names how texts are split. `variant` is what an archive holds (auto: the best of the usual ones).
    Raises InputError for a model that cannot be brought in, with the reason, and RefusedError if the answers differ.
    """
    from ..data.reading.options import USUAL_READING
    from ..export.imports.importing import import_run
    from ..export.imports.kind import ImportOptions
    from .run import of_folder

    target, data = Path(out), source_of(texts)
    assert data is not None
    options = ImportOptions(
        label_prefix=label_prefix,
        vocabulary=None if vocabulary is None else Path(vocabulary),
        labels=None if labels is None else Path(labels),
        tokenizer=tokenizer,
    )
    source = Path(path) if isinstance(path, (str, os.PathLike)) else path
    read = reading or USUAL_READING

    def run_at(folder: Path, *, replace: bool) -> Run:
        found = import_run(
            source, folder, data, text_column=text_column, reading=read, options=options, replace=replace, say=say
        )
        return of_folder(found.folder)

    if target.suffix != ARCHIVE:
        return run_at(target, replace=replace)
    name, _, version = target.stem.rpartition("-")
    if not name or not version:
        raise InputError(
            f"{target} does not name an archive; expected NAME-VERSION.mar, such as model_store/reviews-1.0.mar, or "
            "a folder for a run.",
            code="LX-IMPORT-007",
        )
    atomic.check_file(target, replace=replace)
    with tempfile.TemporaryDirectory(prefix="lexport-import-") as folder:
        run = run_at(Path(folder) / name, replace=False)
        run.export(None if variant == AUTO else variant, say=say)
        return run.archive(version, out=target.parent, variant=variant, force=replace, say=say)
