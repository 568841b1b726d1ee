"""Tokens of a server, given by the user or generated: 256 bits, where TorchServe's own tokens have 48.

The key file in the state folder has them, and those before them that are still taken. TorchServe makes tokens of its
own and takes none, so a class of ours (`torchserve/plugin`) reads that file in the place of one of its own.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import stat
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError, SystemProblem
from ..storage.atomic import json_bytes, new_file

KINDS = ("inference", "management")
SHORTEST, LONGEST = 16, 512
"""Characters of a token."""

_TORCHSERVES = 8  # characters of the tokens that TorchServe makes
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # what HTTP allows behind `Authorization: Bearer`
_MAX_BYTES = 65_536  # of a token file
_WAY_OUT = (
    "Expected one line with the inference token, or a key_file.json of lexport serve. Make one with: "
    "(umask 077; openssl rand -hex 32 > FILE)"
)


@dataclass(frozen=True)
class Tokens:
    """The tokens that requests to the two protected ports must carry; printing the object does not show them."""

    inference: str = field(repr=False)
    management: str = field(repr=False)


@dataclass(frozen=True)
class Former:
    """A token that another one has taken the place of."""

    key: str = field(repr=False)
    until: float
    """Seconds since 1970 until which requests may bear it."""


@dataclass(frozen=True)
class Accepted:
    """What requests of one kind may bear: the token, and those before it for a while."""

    key: str = field(repr=False)
    former: tuple[Former, ...] = ()

    def followed_by(self, key: str, until: float) -> Accepted:
        """Return what they may bear when `key` takes this token's place, which is taken `until` then."""
        now = time.time()
        former = (Former(self.key, until), *self.former)
        return Accepted(key, tuple(one for one in former if one.until > now and one.key != key))

    def to_json(self) -> dict[str, Any]:
        """Return it as the key file has it."""
        return asdict(self)

    @classmethod
    def parse(cls, facts: Mapping[str, Any]) -> Accepted:
        """Return what `to_json` wrote. Raises KeyError or TypeError for anything else."""
        former = tuple(Former(str(one["key"]), float(one["until"])) for one in facts["former"])
        return cls(str(facts["key"]), former)


def accepted(tokens: Tokens) -> dict[str, Accepted]:
    """Return what requests may bear, by kind, where no token was another one before."""
    return {kind: Accepted(getattr(tokens, kind)) for kind in KINDS}


def write_key_file(path: Path, tokens: Mapping[str, Accepted]) -> None:
    """Write a key file, which only its owner can read, in the place of an older one."""
    with new_file(path) as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(json_bytes({kind: tokens[kind].to_json() for kind in KINDS}))


def read_key_file(path: Path) -> dict[str, Accepted]:
    """Return what requests may bear, by kind. Raises SystemProblem for a file that `write_key_file` did not write."""
    try:
        facts = json.loads(path.read_bytes())
        return {kind: Accepted.parse(facts[kind]) for kind in KINDS}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise SystemProblem(
            f"The key file {path} cannot be read ({type(error).__name__}). Expected that of a running server; stop "
            "it and start it again.",
            code="LX-SERVE-230",
        ) from None


def generate() -> Tokens:
    """Return two tokens of 256 random bits each."""
    return Tokens(inference=secrets.token_urlsafe(32), management=secrets.token_urlsafe(32))


def is_token(text: str) -> bool:
    """Return whether a text can be a token: characters that HTTP allows, at least as many as in TorchServe's own."""
    return len(text) >= _TORCHSERVES and _TOKEN.fullmatch(text) is not None


def read_token_file(path: Path) -> Tokens:
    """Return the tokens of a user's file: one line is the inference token, a key file has `inference` and
    `management`.

    A token that is not in the file is generated. Raises InputError as `given_tokens`, and if there is no inference
    token.
    """
    given = given_tokens(path)
    if "inference" not in given:
        raise InputError(f"The token file {path} has no inference token. {_WAY_OUT}", code="LX-SERVE-032")
    made = generate()
    return Tokens(given["inference"], given.get("management", made.management))


def given_tokens(path: Path) -> dict[str, str]:
    """Return the tokens that a user's file has, by kind; one line is the inference token.

    A file of root's may be readable by this user's group, as orchestrators mount secrets. Raises InputError for a
    file that cannot be read or that others can read, and for tokens that are too short, too long, equal or not fit
    for an HTTP header.
    """
    text = _read_private(path)
    given: dict[str, Any] = {"inference": text}
    if text.startswith("{"):
        try:
            parsed = json.loads(text)
            given = {kind: parsed[kind]["key"] for kind in KINDS if kind in parsed}
        except (ValueError, RecursionError, KeyError, TypeError) as error:
            raise InputError(
                f"The token file {path} is not understood ({type(error).__name__}). {_WAY_OUT}", code="LX-SERVE-031"
            ) from None
    for kind, token in given.items():
        if not isinstance(token, str) or not is_token(token) or not SHORTEST <= len(token) <= LONGEST:
            count = f"{len(token)} characters" if isinstance(token, str) else type(token).__name__
            raise InputError(
                f"The {kind} token in {path} cannot be used ({count}): expected {SHORTEST} to {LONGEST} of the "
                f"characters A-Z a-z 0-9 - . _ ~ + /, with = at the end. {_WAY_OUT}",
                code="LX-SERVE-033",
            )
    if len(given) > len(set(given.values())):
        raise InputError(
            f"The inference and the management token in {path} are the same, so every inference client could manage "
            "models too. Give two different ones.",
            code="LX-SERVE-034",
        )
    return given


def _read_private(path: Path) -> str:
    """Return the text of a regular file that only its owner can use, without blanks around it."""
    try:
        with path.open("rb") as file:
            facts = os.fstat(file.fileno())
            content = file.read(_MAX_BYTES + 1) if stat.S_ISREG(facts.st_mode) else b""
    except OSError as error:
        raise InputError(
            f"Cannot read the token file {path}: {error.strerror}. {_WAY_OUT}", code="LX-SERVE-035"
        ) from None
    if not stat.S_ISREG(facts.st_mode) or len(content) > _MAX_BYTES:
        raise InputError(f"The token file {path} is not a file of a few lines. {_WAY_OUT}", code="LX-SERVE-036")
    # Kubernetes and systemd mount a secret as root's, readable by the one group of the service.
    mounted = facts.st_uid == 0 != os.geteuid()
    if stat.S_IMODE(facts.st_mode) & (0o037 if mounted else 0o077):
        raise InputError(
            f"Other users can use the token file {path} (mode {stat.S_IMODE(facts.st_mode):04o}). Expected "
            f"0600: chmod 600 {path}",
            code="LX-SERVE-037",
        )
    return content.decode("utf-8", "replace").strip()
