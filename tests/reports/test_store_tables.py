"""What people see of a store."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console, RenderableType

from lexport.reports.store_tables import archives, events

from ..hostile import EVIL, check

ENTRY: dict[str, Any] = {
    "path": "store/topics-1.0.mar",
    "name": "topics",
    "version": "1.0",
    "digest": "0123456789abcdef" * 4,
    "size": 4_200_000,
    "variant": "onnx-int8",
    "fingerprint": None,
    "signer": None,
    "served": False,
    "default": False,
    "measured": {"metric": "micro_f1", "value": 0.75, "gates": "passed", "p95_ms": 0.1234},
    "problem": None,
}
EVENT = {
    "time": "2026-01-31T12:00:00Z",
    "action": "promote",
    "name": "topics",
    "version": "1.1",
    "digest": "0123456789abcdef" * 4,
    "command": "lexport promote",
    "user": "ada",
    "before": "",
}


def printed(screen: RenderableType) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=200).print(screen)
    return [line for line in out.getvalue().splitlines() if any(map(str.isalnum, line))]


def lines(screen: RenderableType) -> list[str]:
    return [" ".join(line.split()) for line in printed(screen)]


def test_a_row_of_an_archive() -> None:
    assert lines(archives("store", [ENTRY])) == [
        "store: 1 archive",
        "model version sha256 size variant signed by evidence",
        "topics 1.0 0123456789ab 4.2 MB onnx-int8 unsigned micro f1 0.7500, gates passed, p95 0.123 ms",
    ]


def test_the_default_is_marked_and_signers_are_named() -> None:
    signed = ENTRY | {"served": True, "default": True, "fingerprint": "SHA256:abc"}
    shown = lines(archives("store", [signed, signed | {"signer": "ours.pub", "default": False}]))
    assert "topics 1.0 * " in shown[2]
    assert " SHA256:abc " in shown[2]
    assert "topics 1.0 + 0123456789ab" in shown[3]
    assert " ours.pub " in shown[3]
    assert shown[4].startswith("* the running server")


def test_what_would_not_be_accepted_has_its_reason_below() -> None:
    unreadable = ENTRY | {"path": "store/half.mar", "name": None, "digest": None, "problem": "no zip"}
    theirs = ENTRY | {"name": "theirs", "variant": None, "measured": None}
    altered = ENTRY | {"variant": None, "measured": None, "problem": "was altered"}
    shown = lines(archives("store", [theirs, altered, unreadable]))
    assert shown[2] == "theirs 1.0 0123456789ab 4.2 MB not lexport's unsigned"
    assert shown[3] == "topics 1.0 0123456789ab 4.2 MB ? ?"
    assert shown[4:] == ["store/topics-1.0.mar: was altered", "store/half.mar: no zip"]


def test_the_default_before_has_a_column_where_an_event_has_one() -> None:
    assert lines(events([EVENT]))[0] == "time action model version sha256 command user"
    shown = lines(events([EVENT, EVENT | {"before": "1.0"}]))
    assert shown[0] == "time action model version sha256 default before command user"
    assert shown[2] == "2026-01-31T12:00:00Z promote topics 1.1 0123456789ab 1.0 lexport promote ada"


def test_hostile_values_stay_on_their_lines() -> None:
    spoiled = {key: EVIL if isinstance(value, str) else value for key, value in ENTRY.items()}
    spoiled |= {"problem": EVIL, "signer": EVIL, "fingerprint": EVIL}
    spoiled["measured"] = {"metric": EVIL, "value": 1.0, "gates": EVIL, "p95_ms": 1.0}
    for line in printed(archives(EVIL, [spoiled])) + printed(events([dict.fromkeys(EVENT, EVIL)])):
        check(line)
