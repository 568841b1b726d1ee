"""Which requests a canary gets."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import Any

from ...errors import InputError

LEAST_SHARE, MOST_SHARE = 0.001, 0.9
HEADER = "x-request-id"
"""The header that decides, if no other is named."""
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_GOLDEN = 0.6180339887498949  # multiples of the golden ratio, modulo 1, are spread more evenly than random numbers


@dataclass(frozen=True)
class Rule:
    """A share of the requests for a name that name no version."""

    name: str
    version: str
    """The canary. The other one is the name's default."""
    share: float
    """Of the requests, 0.001 to 0.9."""
    header: str = HEADER
    """In lower case: requests with the same value of it go to the same version."""
    mirror: bool = False
    """Whether the canary gets copies of its requests, which the default answers."""

    def __post_init__(self) -> None:
        """Raise InputError for a share or a header that cannot be."""
        if not LEAST_SHARE <= self.share <= MOST_SHARE:
            raise InputError(
                f"A share of {self.share:.4%} cannot be tried; expected {LEAST_SHARE:.1%} to {MOST_SHARE:.0%}, such "
                "as --share 10%.",
                code="LX-SERVE-190",
            )
        if not _NAME.fullmatch(self.header) or self.header != self.header.lower():
            raise InputError(
                f"{self.header!r} cannot be the name of a header; expected one such as x-user-id.",
                code="LX-SERVE-191",
            )

    def to_json(self) -> dict[str, Any]:
        """Return the fields."""
        return asdict(self)


class Chooser:
    """Says of one request after the other whether the canary gets it."""

    def __init__(self, rule: Rule) -> None:
        """Choose by the rule."""
        self._share = rule.share
        self._limit = int(rule.share * 2**64)
        # Another version asks other users.
        self._key = blake2b(f"{rule.name} {rule.version}".encode(), digest_size=16).digest()
        self._place = 0.0

    def is_chosen(self, value: str | None) -> bool:
        """Return whether the canary gets a request, by its header's value; without one, by turns.

        The same value is answered alike in every process and by every canary of the version; a larger share has all
        the values of a smaller one.
        """
        if value:
            digest = blake2b(value.encode("utf-8", "surrogateescape"), digest_size=8, key=self._key).digest()
            return int.from_bytes(digest) < self._limit
        self._place = (self._place + _GOLDEN) % 1.0
        return self._place < self._share
