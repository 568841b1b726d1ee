"""A unit for systemd: a server on this machine's loopback interface, with a user of its own."""

from __future__ import annotations

import re
from pathlib import Path

from ...errors import InputError
from .deployment import HEALTH, MODELS, STATE, TOKEN, Deployment
from .text import render

_HOMES = ("/home", "/root", "/run/user")


def unit(deployment: Deployment, program: Path) -> str:
    """Return the text of a .service file; `program` is the installed lexport, archives are named where they lie.

    Raises InputError for a deployment that cannot be, and for paths that systemd cannot take.
    """
    deployment.check()
    given = [model.path for model in deployment.models]
    # A running server tells names, not where the files came from.
    loose = [path.name for path in given if path.name == str(path) and not path.exists()]
    files = [str(MODELS / path.name) if path.name in loose else str(path.absolute()) for path in given]
    keys = [str(key.absolute()) for key in deployment.keys]
    words = deployment.options(files, keys, token=f"%d/{TOKEN}", health=f"127.0.0.1:{HEALTH}")
    command = [_quoted(str(program))]
    command += [word if word.startswith("%d/") else _quoted(word) for word in words]
    ask = f"{_quoted(str(program))} status --ready --state-dir {STATE}/state"
    return render(
        "systemd.jinja",
        deployment=deployment,
        command=" ".join(command),
        ready=f"/bin/sh -c 'until {ask} >/dev/null 2>&1; do kill -0 $MAINPID || exit 1; sleep 1; done'",
        home=any(path.startswith(_HOMES) for path in (str(program), *files, *keys)),
        notes=[f"Put {', '.join(loose)} into {MODELS}, which everybody can read."] if loose else [],
        state=STATE,
        token=TOKEN,
    )


def _quoted(word: str) -> str:
    """Return a word of a command line as systemd reads it back. Raises InputError for one that it cannot have."""
    if not word.isprintable() or "'" in word:
        raise InputError(
            f"{word!r} cannot be written into a unit of systemd. Expected no quotes and control characters.",
            code="LX-SERVE-144",
        )
    safe = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return word if re.fullmatch(r"[A-Za-z0-9_./:=+@,-]+", word) else f'"{safe}"'
