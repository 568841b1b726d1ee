"""What a misspelt name may have been."""

from __future__ import annotations

import pytest

from lexport.errors import InputError
from lexport.export.formats.variants import choose
from lexport.messages.nearest import did_you_mean
from lexport.models import recipes

from ..hostile import EVIL, check
from ..refusals import refused


@pytest.mark.parametrize(
    ("name", "known", "said"),
    [
        ("txet", ["id", "text", "label"], " Did you mean 'text'?"),
        ("Text", ["id", "text"], " Did you mean 'text'?"),
        ("topcs", ["topics", "topics2"], " Did you mean 'topics'?"),
        ("zzz", ["id", "text"], ""),
        ("", ["id"], ""),
        ("text", [], ""),
    ],
)
def test_the_nearest_name_is_offered(name: str, known: list[str], said: str) -> None:
    assert did_you_mean(name, known) == said


def test_names_from_outside_are_shown_with_codes() -> None:
    check(did_you_mean(EVIL, [EVIL + "x"]).strip())


def test_recipes_and_variants_that_are_not_there() -> None:
    with refused(InputError, "LX-RECIPE-004", "'bagg'", "Did you mean 'bag'?", "bag"):
        recipes.load("bagg")
    with refused(InputError, "LX-EXPORT-014", "'onnx-fp23'", "Did you mean 'onnx-fp32'?"):
        choose("onnx-fp23")
