"""What people see of a diagnosis, in the terminal and on the page."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from lexport.evaluation.diagnostics.findings import Diagnosis, Finding, LabelError, SharedText, worst_first
from lexport.reports.diagnosis import html, screens
from lexport.reports.tables import Escaped

from ..hostile import EVIL, check
from .reader import read
from .test_hostile_pages import EVIL_HTML, compare

FINDINGS = [
    Finding("padding", "ok", "padding adds nothing to a text"),
    Finding("norms", "serious", "a value is no number", "A text has no score.", "train again"),
    Finding("unknown", "warning", "31.0% of 100 words are unknown", "All look the same.", "lexport expand RUN"),
    Finding("drift", "not checked", "there are no other texts"),
    Finding("labels", "note", "2 labels may be wrong", "A model learns them.", "read them"),
]
FOUND = Diagnosis(
    "runs/topics",
    "topics.csv",
    1_200,
    worst_first(FINDINGS),
    [
        LabelError("a goal in the rain", "sport", "weather", 0.0125, "train", 7),
        LabelError("ink", "", "art", 0.25, "", 0),
    ],
    [("showrunner", 1_200), ("cringey", 1)],
    [SharedText("the match", "test", "The match", "train", 1.0)],
)


def screen(found: Diagnosis, most: int = 10) -> str:
    console = Console(file=io.StringIO(), width=120, highlight=False, markup=False, emoji=False)
    for one in screens(found.to_json(), most):
        console.print(Escaped(one))
    output = console.file
    assert isinstance(output, io.StringIO)
    return output.getvalue()


def test_the_screen_has_every_finding_with_its_reason_and_what_fixes_it() -> None:
    shown = screen(FOUND)
    first = shown.splitlines()[0]
    assert first == "runs/topics and 1,200 texts of topics.csv: 1 serious, 1 warning, 1 note, 1 ok, 1 not checked"
    for one in FINDINGS:
        assert one.found in shown
        assert one.why in shown
        assert not one.fix or f"→ {one.fix}" in shown
    places = [shown.index(one.found) for one in FOUND.findings]
    assert places == sorted(places)
    assert "0.0125   sport" in shown
    assert "1,200" in shown


def test_as_many_texts_are_shown_as_are_asked_for() -> None:
    assert "the first 1 of 2 labels" in screen(FOUND, 1)
    without = screen(FOUND, 0)
    assert "a goal in the rain" not in without
    assert "the match" not in without


def test_the_page_has_a_banner_for_each_finding_and_tables_of_texts() -> None:
    page = html(FOUND.to_json())
    found = read(page)
    assert list(found) == [
        "Diagnosis of runs/topics",
        "Findings",
        "serious: sizes of the vectors",
        "warning: unknown words",
        "note: labels",
        "Labels that are likely wrong",
        "Texts in more than one part",
        "Unknown words",
        "Nothing found",
    ]
    assert found["serious: sizes of the vectors"].texts == [
        "a value is no number",
        "A text has no score.",
        "What fixes it: train again",
    ]
    [errors] = found["Labels that are likely wrong"].tables
    assert errors.rows == [
        ["sport", "weather", "0.0125", "train", "a goal in the rain"],
        ["(none)", "art", "0.2500", "", "ink"],
    ]
    [shared] = found["Texts in more than one part"].tables
    assert shared.rows == [["test", "train", "1.0000", "the match", "The match"]]
    assert found["Unknown words"].texts == ["showrunner 1,200", "cringey 1"]
    assert found["Nothing found"].facts == [
        "padding",
        "padding adds nothing to a text",
        "other texts than in training",
        "there are no other texts (not checked)",
    ]
    assert 'class="banner bad"' in page


def test_the_first_banner_says_the_worst() -> None:
    def first(*findings: Finding) -> str:
        return read(html(replace(FOUND, findings=findings).to_json()))["Diagnosis of runs/topics"].texts[1]

    assert "seriously wrong" in first(FINDINGS[1])
    assert "worse than it could be" in first(FINDINGS[2])
    assert first(FINDINGS[0], FINDINGS[4]).startswith("Nothing is wrong")


def test_many_texts_are_cut_on_the_page() -> None:
    errors = [LabelError(f"text {number}", "a", "b", 0.1, "", number) for number in range(1_201)]
    section = read(html(replace(FOUND, label_errors=errors).to_json()))["Labels that are likely wrong"]
    assert section.texts[-1] == "The first 200 of 1,201 labels; --json has all."
    assert len(section.tables[0].rows) == 200


def of(evil: str) -> Diagnosis:
    """A diagnosis whose every text has `evil` in it."""
    return replace(
        FOUND,
        target=f"runs/{evil}",
        data=evil,
        findings=[replace(one, found=evil, why=evil, fix=evil) for one in FOUND.findings],
        label_errors=[LabelError(evil, evil, evil, 0.1, "train", 0)],
        words=[(evil, 3)],
        shared=[SharedText(evil, "test", evil, "train", 1.0)],
    )


def test_hostile_texts_are_text_in_both() -> None:
    compare(html(of(EVIL_HTML).to_json()), html(of("x").to_json()))
    check(screen(of(EVIL)))
