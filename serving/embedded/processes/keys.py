"""The tokens of a server: in its key file, and wherever they are checked."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ....errors import RefusedError
from ... import folders
from ...supervision import log
from ...tokens import KINDS, Accepted, Former, accepted, read_key_file, write_key_file
from ..addresses.tokens import Bearer
from .orders import Orders

Tell = Callable[[dict[str, Any]], Awaitable[None]]
"""Tells the processes that answer which tokens requests may bear."""


class Keys:
    """What requests to a server may bear; the management address is the supervisor's own."""

    def __init__(self, orders: Orders, tell: Tell) -> None:
        """Take the tokens that the `orders` name; `tell` is called when there are others."""
        self._folder = orders.server.state_dir
        self._accepted = None if orders.tokens is None else accepted(orders.tokens)
        self._tell = tell
        self.management = Bearer(None if self._accepted is None else self._accepted["management"])

    @property
    def inference(self) -> dict[str, Any] | None:
        """What requests to a model may bear, as JSON; None if they need nothing."""
        return None if self._accepted is None else self._accepted["inference"].to_json()

    def write(self) -> None:
        """Write the key file, if requests need a token."""
        if self._accepted is not None:
            write_key_file(self._folder / folders.KEYS, self._accepted)

    async def rotate(self) -> None:
        """Take the tokens of the file beside the key file, put it in its place, and then refuse those it has not.

        Whoever reads the key file finds a token that is taken, at any moment. Raises LexportError.
        """
        before = self._accepted
        if before is None:
            raise RefusedError(
                "The server asks for no tokens, so there are none to rotate. Start it without "
                "disable_token_authorization=true.",
                code="LX-SERVE-237",
            )
        after = read_key_file(self._folder / folders.NEXT_KEYS)
        await self._take({kind: _both(after[kind], before[kind]) for kind in KINDS})
        (self._folder / folders.NEXT_KEYS).replace(self._folder / folders.KEYS)
        await self._take(after)
        for kind in KINDS:
            if after[kind].key != before[kind].key:
                log(f"The {kind} token was rotated{_taken(after[kind], before[kind])}.")

    async def _take(self, tokens: Mapping[str, Accepted]) -> None:
        self._accepted = dict(tokens)
        self.management.change(tokens["management"])
        await self._tell(tokens["inference"].to_json())


def _both(new: Accepted, old: Accepted) -> Accepted:
    return replace(new, former=(*new.former, Former(old.key, math.inf), *old.former))


def _taken(tokens: Accepted, before: Accepted) -> str:
    """Say until when the token before the newest is taken; nothing if it is not."""
    if not tokens.former or tokens.former[0].key != before.key:
        return ""
    until = datetime.fromtimestamp(tokens.former[0].until, UTC).isoformat(timespec="seconds")
    return f"; the one before it is taken until {until.replace('+00:00', 'Z')}"
