"""Tokens of a server, given by the user or generated: 256 bits, where TorchServe's own tokens have 48.

TorchServe makes its tokens at every start and takes none. A plugin of ours (`plugin/`) replaces them at its start;
it gets them through a file that only this user can read, never on a command line.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError
from .settings import properties

PLUGIN = Path(__file__).resolve().parent / "torchserve" / "plugin"
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


def generate() -> Tokens:
    """Return two tokens of 256 random bits each."""
    return Tokens(inference=secrets.token_urlsafe(32), management=secrets.token_urlsafe(32))


def is_token(text: str) -> bool:
    """Return whether a text can be a token: characters that HTTP allows, at least as many as in TorchServe's own."""
    return len(text) >= _TORCHSERVES and _TOKEN.fullmatch(text) is not None


def read_token_file(path: Path) -> Tokens:
    """Return the tokens of a user's file: one line is the inference token, a key file has `inference` and
    `management`.

    A token that is not in the file is generated. A file of root's may be readable by this user's group, as
    orchestrators mount secrets. Raises InputError for a file that cannot be read or that others can
    read, and for tokens that are too short, too long, equal or not fit for an HTTP header.
    """
    text = _read_private(path)
    given: dict[str, Any] = {"inference": text}
    if text.startswith("{"):
        try:
            parsed = json.loads(text)
            given = {kind: parsed[kind]["key"] for kind in ("inference", "management") if kind in parsed}
        except (ValueError, RecursionError, KeyError, TypeError) as error:
            raise InputError(
                f"The token file {path} is not understood ({type(error).__name__}). {_WAY_OUT}", code="LX-SERVE-031"
            ) from None
    if "inference" not in given:
        raise InputError(f"The token file {path} has no inference token. {_WAY_OUT}", code="LX-SERVE-032")
    for kind, token in given.items():
        if not isinstance(token, str) or not is_token(token) or not SHORTEST <= len(token) <= LONGEST:
            count = f"{len(token)} characters" if isinstance(token, str) else type(token).__name__
            raise InputError(
                f"The {kind} token in {path} cannot be used ({count}): expected {SHORTEST} to {LONGEST} of the "
                f"characters A-Z a-z 0-9 - . _ ~ + /, with = at the end. {_WAY_OUT}",
                code="LX-SERVE-033",
            )
    if given.get("management") == given["inference"]:
        raise InputError(
            f"The inference and the management token in {path} are the same, so every inference client could manage "
            "models too. Give two different ones.",
            code="LX-SERVE-034",
        )
    made = generate()
    return Tokens(given["inference"], given.get("management", made.management))


@dataclass(frozen=True)
class JavaArguments:
    """The arguments that start TorchServe's Java with given tokens."""

    class_path: str
    """To be put before TorchServe's own classes."""
    options: tuple[str, ...]
    """Options of `java`."""


def java_arguments(tokens: Tokens, folder: Path) -> JavaArguments:
    """Write the tokens into a file in the private `folder`, and return the arguments with which Java reads it.

    The file is for one start: TorchServe removes it when it has read it.
    """
    path = folder / "tokens.properties"
    path.unlink(missing_ok=True)
    text = properties.render({"inference": tokens.inference, "management": tokens.management}, "For one start.")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
    return JavaArguments(str(PLUGIN), (f"-Dlexport.tokens={path}",))


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
