"""Labels that differ only in spelling, and labels that stand for none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lexport.data.load import Reading, load
from lexport.data.reading.options import parse_label_map
from lexport.evaluation.diagnostics.advice import Advice
from lexport.evaluation.diagnostics.label_names import alike_labels, count_labels, placeholder_labels


def alike(labels: list[str]) -> Advice | None:
    return alike_labels(count_labels(labels))


def placeholders(labels: list[str]) -> Advice | None:
    return placeholder_labels(count_labels(labels))


@pytest.mark.parametrize("other", ["billing", "BILLING", "Ｂilling"])
def test_labels_that_differ_in_case_or_width_are_named_with_the_option_that_joins_them(other: str) -> None:
    advice = alike(["Billing"] * 5 + [other] * 2 + ["Other"] * 3)
    assert advice is not None
    assert advice.options == (("--map-label", f"{other}=Billing"),)
    assert advice.details == {"labels": 1, "texts": 2}
    assert repr(other) in advice.warning


def test_inner_spaces_and_several_labels_count_too() -> None:
    advice = alike(["a b|c", "a  b", "a b", "c", "C"])
    assert advice is not None
    assert set(advice.options) == {("--map-label", "a  b=a b"), ("--map-label", "C=c")}


def test_labels_that_differ_are_not_named() -> None:
    assert alike(["a", "b", "ab", "a b"]) is None


@pytest.mark.parametrize("name", ["n/a", "N/A", "null", "-", "None", "?"])
def test_placeholders_are_named_with_the_options_that_leave_them_out(name: str) -> None:
    advice = placeholders(["good", "bad", name, name])
    assert advice is not None
    assert advice.options == (("--map-label", f"{name}="), ("--drop-unlabelled", None))
    assert advice.details == {"labels": 1, "texts": 2}


def test_where_all_labels_are_such_words_they_are_the_labels() -> None:
    assert placeholders(["none", "-"]) is None
    assert placeholders(["good", "bad"]) is None


@pytest.mark.parametrize("warning", [alike, placeholders])
def test_the_options_do_what_the_advice_says(tmp_path: Path, warning: Callable[[list[str]], Advice | None]) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\nu,Billing\nv,BILLING\nw,n/a\nx,other\n", encoding="utf-8")
    advice = warning(load(str(path)).labels)
    assert advice is not None
    pairs = [value for name, value in advice.options if name == "--map-label" and value is not None]
    drop = ("--drop-unlabelled", None) in advice.options
    reading = Reading(map_labels=parse_label_map(pairs), drop_unlabelled=drop)
    assert warning(load(str(path), reading=reading).labels) is None
