"""How text from outside is shown: nothing in it moves a cursor, starts a line, or hides."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexport.errors import RefusedError, SystemProblem
from lexport.messages.escaping import indented, json_visible, visible, visible_lines

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
CONTROLS = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))]
HIDING = [*BIDI, "\u2028", "\u2029", "\ufeff", "\u2060", "\xad", "\u200b", "\u3164", "\uffa0", "\u034f", "\U000e0041"]

# Characters that attacks are made of, among ordinary ones of several scripts.
MIXED = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from(
            [*CONTROLS, *HIDING, "\u200c", "\u200d", "\ufe0f", "\ud800", "\ue000", "\\", "x", "م", "❤", "്"]
        ),
    )
)


@given(MIXED)
def test_what_is_shown_has_no_control_no_line_end_and_nothing_that_turns_or_hides_text(text: str) -> None:
    shown = visible(text)
    assert not {"Cc", "Cs", "Co", "Cn", "Zl", "Zp"} & {unicodedata.category(one) for one in shown}
    assert not set(BIDI) & set(shown)
    assert len(shown.splitlines()) <= 1
    shown.encode("utf-8")


@given(MIXED)
def test_doing_it_twice_changes_nothing(text: str) -> None:
    assert visible(visible(text)) == visible(text)


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"], exclude_characters="\u115f\u1160\u3164\uffa0")))
def test_letters_numbers_signs_and_spaces_of_any_language_stay(text: str) -> None:
    assert visible(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "Größe «x» — 5\xa0%",
        "漢字\u3000仮名 한국어 ไทย हिन्दी العربية עברית",
        "می\u200cخواهم",  # Persian, joined letters held apart
        "PDF\u200cها",
        "അവന\u0d4d\u200d",  # Malayalam as it was written before Unicode 5.1
        "👨\u200d👩\u200d👧 ❤\ufe0f\u200d🔥 1\ufe0f\u20e3 👍🏽",
        "葛\U000e0100城",
        "ភាសា\u200bខ្មែរ",  # Khmer, whose words have no spaces between them
        "\u0600١",
        r"C:\new\x1b",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert visible(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x1b[2J\x9b1m\x7f\x00", r"\x1b[2J\x9b1m\x7f\x00"),
        ("\x1b]8;;http://x\x07link", r"\x1b]8;;http://x\x07link"),
        ("a\u202egnp.exe", r"a\u202egnp.exe"),
        ("one\u2028two\x85", r"one\u2028two\x85"),
        ("ad\u200cmin \u200dx\u200b", r"ad\u200cmin \u200dx\u200b"),
        ("\u3164\ufeff\xad", r"\u3164\ufeff\xad"),
        ("a\ufe0f\ufe01", "a\ufe0f\\ufe01"),  # a second selector can only carry hidden data
        ("hi\U000e0068\U000e0069", r"hi\U000e0068\U000e0069"),
        ("\udcff\ue000\uffff", r"\udcff\ue000\uffff"),
    ],
)
def test_what_is_not_seen_is_written_as_its_code(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_a_long_run_of_joiners_is_no_trouble() -> None:
    assert visible("\u200d" * 5_000) == r"\u200d" * 5_000


def test_other_values_are_shown_as_text() -> None:
    assert visible(1.5) == "1.5"
    assert visible(["\x1b"]) == r"['\x1b']"


def test_several_lines_keep_their_ends_and_are_indented_where_they_stand_below_one_of_ours() -> None:
    text = "Traceback\r\n\tat x\x1b[2J\rsigned by us\n    deep"
    assert visible_lines(text) == "Traceback\n    at x\\x1b[2J\\rsigned by us\n    deep"
    assert indented(text).splitlines() == ["    Traceback", "        at x\\x1b[2J\\rsigned by us", "        deep"]


@given(st.recursive(MIXED, lambda inner: st.lists(inner) | st.dictionaries(MIXED, inner), max_leaves=5))
def test_json_says_the_same_and_has_no_character_that_disturbs_a_terminal(value: object) -> None:
    written = json_visible(json.dumps(value, ensure_ascii=False, indent=2))
    assert json.loads(written) == value
    assert visible(written.replace("\n", "")) == written.replace("\n", "")


def test_an_error_is_one_line_and_what_is_given_below_it_is_indented() -> None:
    assert str(RefusedError("a name\nsigned by us\x1b[2J")) == r"a name\nsigned by us\x1b[2J"
    error = SystemProblem("It failed.", "Traceback\nerror: ours\x1b")
    assert str(error).splitlines() == ["It failed.", "    Traceback", "    error: ours\\x1b"]
