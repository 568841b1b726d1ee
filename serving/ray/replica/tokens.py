"""Tokens that a replica knows by their hashes alone: orders travel through the cluster, and stay in its memory."""

from __future__ import annotations

from hmac import compare_digest

from ...embedded.addresses.tokens import Bearer
from ...tokens import Accepted
from ..orders import hashed

_BEARER = b"Bearer "


class HashedBearer(Bearer):
    """What the header `Authorization` must say, where `Accepted` has the SHA-256 of each token."""

    def change(self, accepted: Accepted | None) -> None:
        """Expect one of other tokens from now on; None: nothing."""
        self._expected, self._former = None, []
        self.changes += 1
        self._expect(accepted)

    def is_borne(self, given: bytes) -> bool:
        """Return whether the value of a request's header is right. Takes as long for every wrong one."""
        if self._expected is None:
            return True
        value = _hashed(given)
        return compare_digest(value, self._expected) or super().is_former(value)

    def is_former(self, given: bytes) -> bool:
        """Return whether it is right for a while only: with a token that another one has taken the place of."""
        return bool(self._former) and super().is_former(_hashed(given))


def _hashed(given: bytes) -> bytes:
    if not given.startswith(_BEARER):
        return b""
    return _BEARER + hashed(given[len(_BEARER) :].decode("latin-1")).encode()
