"""Write the inputs of `torch-model-archiver`: an archive's members as files, and the command line."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ...errors import InputError
from ...storage import atomic as files
from ...storage.progress import Say, silent
from .format.writer import write_folder
from .pack import members_of, select

# Files named as --extra-files all go into one folder; a folder named there keeps its sub-folders.
EXTRA = "extra"


def write_archiver_inputs(
    run: Path,
    *,
    version: str,
    name: str | None = None,
    variant: str = "auto",
    out: Path,
    force: bool = False,
    say: Say = silent,
) -> list[str]:
    """Write the folder `out` with an archive's members and return the words of the command line that packs them.

    The archive that it makes differs from that of `archive` in its manifest, which has the time in it, and so in
    DIGESTS, where the manifest is not listed, and in the bill of materials. Raises RefusedError and InputError as
    `archive` does, InputError also if `out` exists without `force`, or if the archiver cannot read it.
    """
    name, chosen, evidence, why = select(run, version=version, name=name, variant=variant)
    _check_place(out, name)
    files.check_folder(out, replace=force)
    members = members_of(run, chosen, evidence, name, version, manifest=False)
    beside = ("handler.py", chosen.file, "model-config.yaml")
    with files.new_folder(out, replace=force) as folder:
        write_folder(folder, {one if one in beside else f"{EXTRA}/{one}": members[one] for one in members})
    if why:
        say(why)
    say(f"{out}: {chosen.name}, {len(members)} files. Pack them into {name}.mar with:")
    command = ["torch-model-archiver", "--model-name", name, "--version", version]
    for option, file in zip(("--handler", "--serialized-file", "--config-file"), beside, strict=True):
        command += [option, str(out / file)]
    return [*command, "--extra-files", str(out / EXTRA)]


def _check_place(out: Path, name: str) -> None:
    """Raise InputError for a folder that the stock archiver would misread or delete."""
    if any(sign in str(out) for sign in ",*?[") or str(out) != str(out).strip():
        raise InputError(
            f"torch-model-archiver cannot read {str(out)!r}: a comma separates files there, and *, ? and [ are "
            "wildcards. Choose another --out.",
            code="LX-ARCHIVE-001",
        )
    stage = Path(tempfile.gettempdir(), name).resolve()
    if out.resolve().is_relative_to(stage):
        raise InputError(
            f"torch-model-archiver deletes {stage} before it packs {name}, and {out} is in it. Choose another --out.",
            code="LX-ARCHIVE-002",
        )
