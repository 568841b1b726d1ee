"""Labels that differ only in spelling, and labels that stand for none."""

from __future__ import annotations

from pathlib import Path

import pytest

from lexport.data.load import Reading, load
from lexport.data.reading.options import parse_label_map
from lexport.evaluation.diagnostics.label_names import alike_labels, placeholder_labels


@pytest.mark.parametrize("other", ["billing", "BILLING", "Ｂilling"])
def test_labels_that_differ_in_case_or_width_are_named_with_the_option_that_joins_them(other: str) -> None:
    advice = alike_labels(["Billing"] * 5 + [other] * 2 + ["Other"] * 3)
    assert advice is not None
    assert advice.options == (("--map-label", f"{other}=Billing"),)
    assert advice.details == {"labels": 1, "texts": 2}
    assert repr(other) in advice.warning


def test_inner_spaces_and_several_labels_count_too() -> None:
    advice = alike_labels(["a b|c", "a  b", "a b", "C"])
    assert advice is not None
    assert set(advice.options) == {("--map-label", "a  b=a b"), ("--map-label", "C=c")}


def test_labels_that_differ_are_not_named() -> None:
    assert alike_labels(["a", "b", "ab", "a b"]) is None


@pytest.mark.parametrize("name", ["n/a", "N/A", "null", "-", "None", "?"])
def test_placeholders_are_named_with_the_options_that_leave_them_out(name: str) -> None:
    advice = placeholder_labels(["good", "bad", name, name])
    assert advice is not None
    assert advice.options == (("--map-label", f"{name}="), ("--drop-unlabelled", None))
    assert advice.details["texts"] == 2


def test_where_all_labels_are_such_words_they_are_the_labels() -> None:
    assert placeholder_labels(["none", "-"]) is None
    assert placeholder_labels(["good", "bad"]) is None


def test_the_options_do_what_the_advice_says(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\nu,Billing\nv,BILLING\nw,n/a\nx,other\n", encoding="utf-8")
    labels = load(str(path)).labels
    for advice in (alike_labels(labels), placeholder_labels(labels)):
        assert advice is not None
        pairs = [value for name, value in advice.options if name == "--map-label" and value]
        drop = ("--drop-unlabelled", None) in advice.options
        repaired = load(str(path), reading=Reading(map_labels=parse_label_map(pairs), drop_unlabelled=drop)).labels
        assert alike_labels(repaired) is None or advice.code == "LX-WARN-011"
        assert placeholder_labels(repaired) is None or advice.code == "LX-WARN-010"
