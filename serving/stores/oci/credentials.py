"""Credentials for a registry: from a variable of the environment, or as docker keeps them.

Docker's `config.json` has them itself (`auths`), or names a program that keeps them (`credHelpers`, `credsStore`):
`docker-credential-NAME get` reads the registry's name and writes JSON.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ....errors import InputError
from ....storage.strict_json import parse_json

_MOST_BYTES = 1 << 20
_PATIENCE = 30.0  # seconds that a credential helper may take
_HELPER = re.compile(r"[A-Za-z0-9._-]{1,100}")


@dataclass(frozen=True)
class Credentials:
    """Whom a registry is to take us for."""

    user: str
    password: str = field(repr=False)


def find_credentials(registry: str, variable: str | None = None) -> Credentials | None:
    """Return the credentials for a registry, None if there are none.

    `variable` names a variable of the environment with USER:PASSWORD; None means docker's configuration, in
    `$DOCKER_CONFIG` or `~/.docker`. Raises InputError for a variable that is not set, and for what cannot be read.
    """
    if variable is not None:
        user, colon, password = os.environ.get(variable, "").partition(":")
        if not (user and colon and password):
            raise _unusable(registry, f"the variable {variable}", "it is not set to USER:PASSWORD")
        return Credentials(user, password)
    where = os.environ.get("DOCKER_CONFIG")
    path = (Path(where) if where else Path(os.path.expanduser("~/.docker"))) / "config.json"  # noqa: PTH111
    try:
        with path.open("rb") as handle:
            content = handle.read(_MOST_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _unusable(registry, str(path), str(error.strerror)) from None
    try:
        return _of_config(registry, parse_json(content))
    except (ValueError, TypeError, AttributeError, KeyError, OSError, subprocess.SubprocessError) as error:
        # A message of these may hold the content.
        reason = str(error) if isinstance(error, _Refused) else f"{type(error).__name__} while it was read"
        raise _unusable(registry, str(path), reason) from None


class _Refused(ValueError):
    """What a configuration says cannot be used; the message holds nothing secret."""


def _of_config(registry: str, config: Any) -> Credentials | None:
    helper = config.get("credHelpers", {}).get(registry)
    if helper is not None:
        return _of_helper(registry, helper)
    for key, entry in config.get("auths", {}).items():
        # Older versions of docker wrote URLs.
        if key.partition("://")[2].partition("/")[0] == registry or key == registry:
            if entry.get("identitytoken"):
                raise _Refused("it has an identity token, which only docker can exchange")
            if entry.get("auth"):
                return _decoded(entry["auth"])
    store = config.get("credsStore")
    return None if store is None else _of_helper(registry, store)


def _decoded(auth: str) -> Credentials:
    try:
        user, colon, password = base64.b64decode(auth, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        colon = ""
    if not colon:
        raise _Refused("its auth is not USER:PASSWORD in base64")
    return Credentials(user, password)


def _of_helper(registry: str, name: str) -> Credentials | None:
    if not _HELPER.fullmatch(name):
        raise _Refused(f"the credential helper {name[:100]!r} is no name of a program")
    program = f"docker-credential-{name}"
    try:
        done = subprocess.run(
            [program, "get"], input=registry.encode(), capture_output=True, timeout=_PATIENCE, check=False
        )
    except FileNotFoundError:
        raise _Refused(f"it names the credential helper {program}, which is not on the PATH") from None
    except subprocess.TimeoutExpired:
        raise _Refused(f"{program} did not answer within {_PATIENCE:.0f} seconds") from None
    if done.returncode:
        said = (done.stdout + done.stderr).decode("utf-8", "replace").strip()
        if "credentials not found" in said:
            return None
        raise _Refused(f"{program} ended with {done.returncode}: {said[:200]}")
    values = json.loads(done.stdout[:_MOST_BYTES])
    if values["Username"] == "<token>":
        raise _Refused(f"{program} has an identity token, which only docker can exchange")
    return Credentials(str(values["Username"]), str(values["Secret"]))


def _unusable(registry: str, where: str, reason: str) -> InputError:
    return InputError(
        f"The credentials for {registry} in {where} cannot be used: {reason}. Expected what `docker login` writes, "
        "or a variable with USER:PASSWORD that --credentials names.",
        code="LX-SERVE-166",
    )
