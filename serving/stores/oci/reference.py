"""References to artefacts, `oci://REGISTRY/REPOSITORY:TAG` or `…@sha256:…`.

The grammar of names, tags and digests is that of the OCI Distribution Specification 1.1
(https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md).
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

import httpx

from ....errors import InputError

SCHEME = "oci://"

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    r"oci://(?P<registry>(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?)"
    rf"/(?P<repository>{_PART}(?:/{_PART})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127})|@(?P<digest>sha256:[0-9a-f]{64}))"
)
_LONGEST = 500


@dataclass(frozen=True)
class Reference:
    """What a registry is asked for."""

    registry: str
    """HOST or HOST:PORT."""
    repository: str
    tag: str
    """"" where a digest is given."""
    digest: str
    """`sha256:…`; "" where a tag is given."""

    def __str__(self) -> str:
        """Return it as it was given."""
        return f"{SCHEME}{self.registry}/{self.repository}" + (f":{self.tag}" if self.tag else f"@{self.digest}")


def parse(text: str, *, tagged: bool = False) -> Reference:
    """Return the reference of a text.

    Raises InputError for anything else than `oci://` with a tag or a digest, and with `tagged` for one without a tag.
    """
    found = _REFERENCE.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None or (tagged and not found["tag"]) or address(f"https://{found['registry']}") is None:
        raise InputError(
            f"{text[:_LONGEST]!r} is not an artefact of a registry. Expected oci://REGISTRY/REPOSITORY:TAG, the "
            "repository in small letters; to pull also oci://REGISTRY/REPOSITORY@sha256:….",
            code="LX-SERVE-165",
        )
    return Reference(found["registry"], found["repository"], found["tag"] or "", found["digest"] or "")


def address(url: str) -> httpx.URL | None:
    """Return a URL as the HTTP client reads it; None for what is none."""
    try:
        found = httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        return None
    return found if found.host and (found.port is None or 0 < found.port < 2**16) else None


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine's loopback interface."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
