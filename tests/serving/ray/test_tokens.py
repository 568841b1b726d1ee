"""Tokens that a replica knows by their hashes."""

from __future__ import annotations

import time

from lexport.serving.ray.orders import hashed_tokens
from lexport.serving.ray.replica.tokens import HashedBearer
from lexport.serving.tokens import Accepted, Former


def bearer(accepted: Accepted | None) -> HashedBearer:
    facts = hashed_tokens(accepted)
    found = HashedBearer(None)
    found.change(None if facts is None else Accepted.parse(facts))
    return found


def test_the_token_is_taken_and_no_other_and_not_its_hash() -> None:
    own = bearer(Accepted("right-token"))
    hashed = hashed_tokens(Accepted("right-token"))
    assert hashed is not None
    assert own.is_borne(b"Bearer right-token")
    for wrong in (b"", b"right-token", b"Bearer wrong-token", b"Bearer " + hashed["key"].encode(), b"Basic cmlnaHQ="):
        assert not own.is_borne(wrong)


def test_a_former_token_is_taken_until_its_time_is_up() -> None:
    own = bearer(Accepted("new-token", (Former("old-token", time.time() + 60), Former("older-token", 1.0))))
    assert own.is_borne(b"Bearer old-token")
    assert own.is_former(b"Bearer old-token")
    assert not own.is_borne(b"Bearer older-token")
    assert not own.is_former(b"Bearer new-token")


def test_the_need_for_a_token_may_end_and_begin() -> None:
    own = bearer(None)
    assert own.is_borne(b"")
    facts = hashed_tokens(Accepted("right-token"))
    assert facts is not None
    before = own.changes
    own.change(Accepted.parse(facts))
    assert not own.is_borne(b"")
    own.change(None)
    assert own.is_borne(b"")
    assert own.changes == before + 2
