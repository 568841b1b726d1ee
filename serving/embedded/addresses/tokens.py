"""Tokens that requests must bear."""

from __future__ import annotations

from hmac import compare_digest


class Bearer:
    """What the header `Authorization` must say."""

    def __init__(self, token: str | None) -> None:
        """Expect `token`; None: nothing."""
        self._expected = None if token is None else f"Bearer {token}".encode()

    def is_borne(self, given: bytes) -> bool:
        """Return whether the value of a request's header is right. Takes as long for every wrong one."""
        return self._expected is None or compare_digest(given, self._expected)
