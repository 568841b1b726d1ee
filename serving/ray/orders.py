"""What the replicas of a model are told, as plain JSON: it travels as Ray Serve's `user_config`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ...errors import InputError
from ...export.archive.trust.keys import PublicKey
from ..canary.rule import Rule
from ..tokens import Accepted

MOST_BATCH, QUEUE, SECONDS = 64, 1_000, 60.0


def hashed(token: str) -> str:
    """Return the SHA-256 of a token, in hexadecimal digits."""
    return hashlib.sha256(token.encode()).hexdigest()


def hashed_tokens(accepted: Accepted | None) -> dict[str, Any] | None:
    """Return what requests may bear, each token as its hash, for `ModelOrder.tokens`; None: they need none."""
    if accepted is None:
        return None
    former = [{"key": hashed(one.key), "until": one.until} for one in accepted.former]
    return {"key": hashed(accepted.key), "former": former}


@dataclass(frozen=True)
class VersionOrder:
    """One version of a model."""

    version: str
    digest: str
    """SHA-256 of the archive, in hexadecimal digits."""
    largest: int = MOST_BATCH
    """Most requests of a batch."""
    queue: int = QUEUE
    """Requests that may wait for it in one replica."""
    seconds: float = SECONDS
    """That a request may wait."""


@dataclass(frozen=True)
class ModelOrder:
    """Everything that a replica of a model needs to know, and how many replicas there are to be."""

    name: str
    """What requests call the model."""
    versions: tuple[VersionOrder, ...]
    """Those that answer; at least one."""
    default: str
    """The version that answers where a request names none."""
    canary: tuple[str, Rule] | None = None
    """Identity of what is counted, and the rule."""
    tokens: Mapping[str, Any] | None = None
    """`hashed_tokens` of what requests may bear; None: they need no token."""
    keys: tuple[PublicKey, ...] = ()
    """If there are any, one of them must have signed each archive."""
    limits: Mapping[str, int] = field(default_factory=dict)
    """Values of `http.Limits` other than its defaults; `body` is what replicas heed."""
    threads: int = 1
    """Threads of each model in a replica."""
    least: int = 1
    """Replicas at least."""
    most: int = 1
    """Replicas at most: Ray adds and removes replicas by load; equal to `least`, their number is fixed."""
    target: float = 0.6
    """Share of a core that a replica's thread is to be busy: with more, Ray adds replicas, with less it ends some."""

    def __post_init__(self) -> None:
        """Raise InputError for versions, a default or numbers of replicas that cannot be."""
        names = [one.version for one in self.versions]
        if not names or len(set(names)) < len(names) or self.default not in names:
            raise InputError(
                f"{self.name} cannot have the versions {', '.join(names) or 'none'} with the default "
                f"{self.default}; expected each version once, the default among them.",
                code="LX-RAY-100",
            )
        if self.canary is not None and self.canary[1].version not in set(names) - {self.default}:
            raise InputError(
                f"{self.canary[1].version} cannot be a canary of {self.name}; expected one of its versions "
                f"({', '.join(names)}) other than the default {self.default}.",
                code="LX-RAY-101",
            )
        if not 1 <= self.least <= self.most:
            raise InputError(
                f"{self.name} cannot have {self.least} to {self.most} replicas; expected at least 1, and no more at "
                "least than at most.",
                code="LX-RAY-102",
            )

    def to_json(self) -> dict[str, Any]:
        """Return the order as plain JSON."""
        canary = self.canary and {"identity": self.canary[0], "rule": self.canary[1].to_json()}
        return {
            **vars(self),
            "versions": [asdict(one) for one in self.versions],
            "canary": canary,
            "tokens": None if self.tokens is None else dict(self.tokens),
            "keys": [[key.raw.hex(), key.name] for key in self.keys],
            "limits": dict(self.limits),
        }

    @classmethod
    def parse(cls, facts: Mapping[str, Any]) -> ModelOrder:
        """Return what `to_json` wrote."""
        canary = facts["canary"]
        return cls(
            **{
                **facts,
                "versions": tuple(VersionOrder(**one) for one in facts["versions"]),
                "canary": canary and (canary["identity"], Rule(**canary["rule"])),
                "keys": tuple(PublicKey(bytes.fromhex(raw), name) for raw, name in facts["keys"]),
            }
        )
