"""Orders: what travels to replicas as JSON, and which cannot be."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lexport.errors import InputError
from lexport.export.archive.trust.keys import PublicKey
from lexport.serving.canary.rule import Rule
from lexport.serving.ray.orders import ModelOrder, VersionOrder, hashed_tokens
from lexport.serving.tokens import Accepted, Former

ONE, TWO = VersionOrder("1.0", "a" * 64), VersionOrder("2.0", "b" * 64, largest=8, queue=20, seconds=1.5)
TOKEN = "a-token-of-some-length"


def order(**changes: Any) -> ModelOrder:
    return ModelOrder(**{"name": "topics", "versions": (ONE, TWO), "default": "1.0", **changes})


def test_an_order_is_the_same_after_its_way_through_json() -> None:
    given = order(
        canary=("c1", Rule("topics", "2.0", 0.1)),
        tokens=hashed_tokens(Accepted(TOKEN, (Former("the-former-token", 12.5),))),
        keys=(PublicKey(b"k" * 32, "release"),),
        limits={"body": 1_000},
        least=2,
        most=4,
    )
    assert ModelOrder.parse(json.loads(json.dumps(given.to_json()))) == given


def test_an_order_holds_no_token_itself() -> None:
    written = json.dumps(order(tokens=hashed_tokens(Accepted(TOKEN, (Former("the-former-token", 12.5),)))).to_json())
    assert TOKEN not in written
    assert "the-former-token" not in written


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"versions": ()}, "LX-RAY-100"),
        ({"versions": (ONE, ONE)}, "LX-RAY-100"),
        ({"default": "3.0"}, "LX-RAY-100"),
        ({"canary": ("c1", Rule("topics", "1.0", 0.1))}, "LX-RAY-101"),
        ({"canary": ("c1", Rule("topics", "3.0", 0.1))}, "LX-RAY-101"),
        ({"least": 0}, "LX-RAY-102"),
        ({"least": 3, "most": 2}, "LX-RAY-102"),
    ],
)
def test_an_order_that_cannot_be_is_refused(changes: dict[str, Any], code: str) -> None:
    with pytest.raises(InputError) as refused:
        order(**changes)
    assert refused.value.code == code
