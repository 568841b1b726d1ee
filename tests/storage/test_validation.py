"""Values from outside become a dataclass, or every problem with them is named."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from lexport.storage.validation import Invalid, build, json_schema, raise_any


@dataclass(frozen=True)
class Settings:
    """Some settings."""

    name: str
    rate: float = 0.5
    steps: int | None = None
    range: tuple[int, int] | None = None
    sizes: dict[str, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise Invalid for values out of range."""
        raise_any([f"{field} must be above 0" for field in ("rate", "steps") if (getattr(self, field) or 1) <= 0])


def test_whole_numbers_and_lists_stand_for_floats_and_tuples() -> None:
    found = build(Settings, {"name": "a", "rate": 1, "range": [2, 3]})
    assert found == Settings("a", 1.0, None, (2, 3))
    assert type(found.rate) is float


@pytest.mark.parametrize(
    ("values", "problems"),
    [
        ({}, ["name is missing"]),
        ({"name": 1, "rate": True}, ["name is 1; str was expected", "rate is True; float was expected"]),
        ({"name": "a\ud800"}, ["it cannot be read: Invalid JSON: unexpected end of hex escape at line 1 column 18"]),
        ({"name": "a", "steps": 1.5}, ["steps is 1.5; int | None was expected"]),
        ({"name": "a", "range": [1]}, ["range is [1]; tuple[int, int] | None was expected"]),
        ({"name": "a", "sizes": {"x": [1, "2"]}}, ["sizes.x.1 is '2'; a valid integer"]),
        ({"name": "a", "rate": -1, "steps": -2}, ["rate must be above 0", "steps must be above 0"]),
        (
            {"nam": "a", "rat": 1},
            [
                "unknown options: nam (did you mean name?), rat (did you mean rate?); known are: name, rate, steps, "
                "range, sizes",
                "name is missing",
            ],
        ),
        ([1], ["[1] is not an object"]),
        (None, ["None is not an object"]),
    ],
)
def test_every_problem_is_named(values: Any, problems: list[str]) -> None:
    with pytest.raises(Invalid) as caught:
        build(Settings, values)
    assert caught.value.problems == problems


def test_problems_are_joined_as_sentences() -> None:
    assert str(Invalid(["One is wrong.", "Two is wrong."])) == "One is wrong; Two is wrong."


def test_the_schema_has_defaults_and_descriptions() -> None:
    schema = json_schema(Settings, {"name": "What it is called."})
    assert schema["required"] == ["name"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["name"]["description"] == "What it is called."
    assert schema["properties"]["rate"]["default"] == 0.5
