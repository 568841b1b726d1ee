"""Tokens that requests must bear."""

from __future__ import annotations

import time
from hmac import compare_digest

from ...tokens import Accepted


class Bearer:
    """What the header `Authorization` must say."""

    def __init__(self, accepted: Accepted | None) -> None:
        """Expect one of these tokens; None: nothing."""
        self.changes = 0
        """How often other tokens have been expected since; what was found out about a header before holds no more."""
        self._expected: bytes | None = None
        self._former: list[tuple[bytes, float]] = []
        self._expect(accepted)

    def change(self, accepted: Accepted) -> None:
        """Expect one of other tokens from now on."""
        self.changes += 1
        self._expect(accepted)

    def is_borne(self, given: bytes) -> bool:
        """Return whether the value of a request's header is right. Takes as long for every wrong one."""
        return self._expected is None or compare_digest(given, self._expected) or self.is_former(given)

    def is_former(self, given: bytes) -> bool:
        """Return whether it is right for a while only: with a token that another one has taken the place of."""
        now = time.time()
        right = [compare_digest(given, former) and now < until for former, until in self._former]
        return any(right)

    def _expect(self, accepted: Accepted | None) -> None:
        if accepted is not None:
            self._expected = _header(accepted.key)
            self._former = [(_header(one.key), one.until) for one in accepted.former]


def _header(token: str) -> bytes:
    return f"Bearer {token}".encode()
