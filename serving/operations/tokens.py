"""Change the tokens of a running server."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ...errors import InputError, RefusedError
from ...storage.progress import Say, silent
from .. import folders
from ..process import sigterm_raises
from ..server import running
from ..tokens import KINDS, Accepted, generate, given_tokens, read_key_file, write_key_file
from .control import Control
from .locking import TIMEOUT

ALL = "all"
GRACE = 300.0
"""Seconds for which the former tokens are taken: an orchestrator may need two minutes to hand out a new secret."""


@dataclass(frozen=True)
class Rotated:
    """What was rotated, without the tokens."""

    kinds: tuple[str, ...]
    """`inference`, `management`."""
    key_file: str
    """Where the new tokens are."""
    grace: float
    """Seconds for which the former tokens are still taken."""
    until: str
    """When they end, in UTC."""


def rotate(
    kind: str = ALL,
    *,
    grace: float = GRACE,
    token_file: Path | None = None,
    state_dir: Path | None = None,
    timeout: float = TIMEOUT,
    say: Say = silent,
) -> Rotated:
    """Give a running server new tokens and have it take the former ones for `grace` seconds more.

    `kind`: `inference`, `management` or `all`. The new tokens are random, or those of `token_file`. The key file has
    them when this returns; at any moment it has a token that the server takes. They hold when a process of the
    server is started again. Raises InputError for other options and tokens, RefusedError for a server that asks for
    no tokens, SystemProblem if none runs or it does not take them; then it has its former tokens.
    """
    kinds = _kinds(kind)
    if not (math.isfinite(grace) and grace >= 0):
        raise InputError(f"A grace period of {grace:g} s cannot be. Expected 0 or more seconds.", code="LX-SERVE-231")
    given = None if token_file is None else given_tokens(token_file)
    with sigterm_raises(), folders.locked(running(state_dir).state_dir):
        server = running(state_dir)
        if not server.authorized:
            raise RefusedError(
                f"The server at {server.inference_url} asks for no tokens (disable_token_authorization=true), so "
                "there are none to rotate. Start it without that setting.",
                code="LX-SERVE-232",
            )
        keys, following = server.state_dir / folders.KEYS, server.state_dir / folders.NEXT_KEYS
        before = read_key_file(keys)
        fresh = _fresh(kinds, given, before, token_file)
        until = time.time() + grace
        after = {one: before[one].followed_by(fresh[one], until) if one in fresh else before[one] for one in KINDS}
        write_key_file(following, after)
        try:
            Control(server, timeout).rotate()
        finally:
            following.unlink(missing_ok=True)
    done = Rotated(kinds, str(keys), grace, datetime.fromtimestamp(until, UTC).isoformat(timespec="seconds"))
    what = f"The {' and the '.join(kinds)} token{'s' * (len(kinds) > 1)}"
    one = len(kinds) == 1
    end = f"taken until {done.until}" if grace else "refused"
    say(f"{what} {'was' if one else 'were'} rotated; the former {'one is' if one else 'ones are'} {end}. New: {keys}")
    return done


def _kinds(kind: str) -> tuple[str, ...]:
    if kind == ALL:
        return KINDS
    if kind not in KINDS:
        raise InputError(
            f"There is no kind of token {kind!r}. Expected {', '.join(KINDS)} or {ALL}.", code="LX-SERVE-233"
        )
    return (kind,)


def _fresh(
    kinds: Sequence[str], given: Mapping[str, str] | None, before: Mapping[str, Accepted], path: Path | None
) -> dict[str, str]:
    """Return the new tokens by kind. Raises InputError for given ones that cannot take the place of those before."""
    made = generate()
    found = {kind: getattr(made, kind) for kind in kinds}
    if given is None:
        return found
    if not set(kinds) & set(given):
        raise InputError(
            f"The token file {path} has no {kinds[0]} token. Expected a key_file.json that has one, or another "
            "--kind.",
            code="LX-SERVE-234",
        )
    found |= {kind: given[kind] for kind in kinds if kind in given}
    for kind, token in found.items():
        if token == before[kind].key:
            raise InputError(
                f"The {kind} token in {path} is the one that the server has. Expected another one, or a --kind that "
                "leaves it out.",
                code="LX-SERVE-235",
            )
    keys = {kind: one.key for kind, one in before.items()} | found
    if len(set(keys.values())) < len(keys):
        raise InputError(
            f"With the token in {path} the inference and the management token would be the same, so every inference "
            "client could manage models too. Give two different ones.",
            code="LX-SERVE-236",
        )
    return found
