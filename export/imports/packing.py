"""From a foreign model to a run, or to an archive at once."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

from ...data.load import Source
from ...data.reading.options import USUAL_READING, Reading
from ...errors import InputError
from ...models.run import Run
from ...storage import atomic
from ...storage.progress import Say, silent
from ..archive.pack import archive
from ..export import export
from ..formats.variants import choose
from .importing import import_run
from .kind import ImportOptions

_ARCHIVE = ".mar"
AUTO = "auto"


def import_model(
    path: Path | object,
    out: Path,
    texts: Source,
    *,
    text_column: str = "text",
    reading: Reading = USUAL_READING,
    options: ImportOptions = ImportOptions(),  # noqa: B008  (it is immutable)
    variant: str = AUTO,
    replace: bool = False,
    say: Say = silent,
) -> Path:
    """Make the run `out` of the foreign model at `path`, or an archive if it is called NAME-VERSION.mar.

    Returns `out`. `variant` is what an archive holds (auto: the best of the usual ones); the run behind it is not
    kept. Raises as `import_run`, `export` and `archive` do.
    """
    imported = partial(import_run, path, text_column=text_column, reading=reading, options=options, say=say)
    if out.suffix != _ARCHIVE:
        return imported(out=out, texts=texts, replace=replace).folder
    name, _, version = out.stem.rpartition("-")
    if not name or not version:
        raise InputError(
            f"{out} does not name an archive; expected NAME-VERSION.mar, such as model_store/reviews-1.0.mar, or a "
            "folder for a run.",
            code="LX-IMPORT-007",
        )
    atomic.check_file(out, replace=replace)
    with tempfile.TemporaryDirectory(prefix="lexport-import-") as folder:
        run: Run = imported(out=Path(folder) / name, texts=texts)
        export(run, choose(None if variant == AUTO else variant), say=say)
        return archive(run.folder, version=version, variant=variant, out=out.parent, force=replace, say=say)
