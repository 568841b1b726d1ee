"""docs/trust.md names a test for each attack; they are there."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "trust.md"


def test_every_test_that_the_page_names_is_there() -> None:
    named = re.findall(r"`((?:\w+/)*test_\w+\.py)(?:::(\w+))?`", PAGE.read_text(encoding="utf-8"))
    assert len(named) > 50
    missing = [
        f"{file}::{name}"
        for file, name in named
        if not (TESTS / file).is_file()
        or (name and not re.search(rf"def {name}(\w*)\(", (TESTS / file).read_text(encoding="utf-8")))
    ]
    assert missing == []
