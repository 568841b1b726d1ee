"""Write an exit of an archive, prove it by the goldens, and keep it only if it answers as the archive does."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ...errors import InputError, RefusedError
from ...storage import atomic
from ...storage.progress import Say, silent
from ...version import __version__
from ..archive.format.reader import extract, named
from ..archive.format.writer import write_folder
from ..archive.trust.code import accept
from ..archive.trust.keys import PublicKey
from ..archive.trust.rule import Trust
from ..archive.verify import Verified, verify
from .evidence import FILE, Proof
from .exit import Exit
from .packed import read_packed
from .running import Environment

_SCHEMA = 1


@dataclass(frozen=True)
class WrittenExit:
    """An exit that was written."""

    folder: Path
    """The folder."""
    kind: str
    """What it is for, such as `mlserver`."""
    archive: Verified
    """The archive that it was made of."""
    proofs: tuple[Proof, ...]
    """What its programs answered here."""

    @property
    def proven(self) -> bool:
        """Whether one of its programs answered the goldens here."""
        return any(proof.proven for proof in self.proofs)


def write_exit(
    path: Path,
    kind: str,
    chosen: Exit,
    out: Path,
    *,
    python: Path,
    trusted: Sequence[PublicKey] | None = None,
    trust_code: bool = False,
    say: Say = silent,
) -> WrittenExit:
    """Write the exit `chosen`, called `kind`, of the archive at `path` to the new folder `out`.

    `python` is an interpreter beside which the packages that run it are installed; what is not installed there is not
    proven, and the evidence says so. With `trusted` keys (None: those that LEXPORT_KEYS names) one of them must have
    signed the archive; else its code must be lexport's, unless `trust_code`. The archive is read and not changed.
    Raises InputError if `out` exists or the archive cannot be read, RefusedError if the archive fails verification or
    the exit answers otherwise, SystemProblem if a program that is installed fails.
    """
    if os.path.lexists(out):
        raise InputError(f"{out} exists already. Choose another --out.", code="LX-EXPORT-116")
    atomic.check_folder(out)
    trust = Trust.of(trusted, trust_code)
    verified = verify(path, trust.keys)
    with atomic.new_folder(out) as folder:
        members = folder / ".members"
        members.mkdir()
        extract(path, members)
        with named(path, members):  # which the archive's file may differ from by now
            accept(members, trust)
        packed = read_packed(members)
        place = folder / chosen.place(packed)
        place.parent.mkdir(parents=True, exist_ok=True)
        members.rename(place)
        write_folder(folder, chosen.files(packed))
        kept = set(folder.rglob("*"))
        say(f"Asking what was written for {len(packed.goldens)} goldens")
        proofs = tuple(chosen.prove(folder, packed, Environment(python)))
        _remove_others(folder, kept)
        _refuse(path, kind, proofs)
        record = {
            "schema": _SCHEMA,
            "exit": kind,
            "lexport": __version__,
            "archive": {
                "name": verified.name,
                "version": verified.version,
                "variant": verified.variant,
                "sha256": verified.digest,
                "signed_by": verified.fingerprint,
            },
            "proofs": [asdict(proof) for proof in proofs],
        }
        (folder / FILE).write_bytes(atomic.json_bytes(record))
    return WrittenExit(out, kind, verified, proofs)


def _refuse(path: Path, kind: str, proofs: Sequence[Proof]) -> None:
    wrong = [proof for proof in proofs if proof.problems]
    if wrong:
        lines = [f"  {proof.program}: {problem}" for proof in wrong for problem in proof.problems]
        raise RefusedError(
            f"The {kind} exit of {path} does not answer its goldens as the archive does, so nothing was written. See "
            "whether the archive itself does, with lexport run, and which versions are installed beside --python.",
            "\n".join(lines),
            code="LX-EXPORT-107",
        )


def _remove_others(folder: Path, kept: set[Path]) -> None:
    """Remove what programs left in the folder while it was proven."""
    for path in sorted(set(folder.rglob("*")) - kept, reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
