"""Unknown words: bounded, none that fewer than five requests had, none that may say who wrote a text."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexport.handlers.runtime import periodic
from lexport.handlers.runtime.sampling import (
    CONTROL,
    LEAST,
    FrequentWords,
    Sampling,
    control_name,
    unknown_words,
    words_name,
)
from lexport.handlers.text.spec import Layout

from ..models import text_encoder

requests = st.lists(st.lists(st.sampled_from("abcdefghijklmnopqrstuvwxyz"), max_size=30), max_size=200)


@given(requests, st.integers(1, 4))
def test_it_never_counts_more_than_there_was_nor_keeps_more_than_its_bound(
    stream: list[list[str]], most: int
) -> None:
    words, true = FrequentWords(most), Counter[str]()
    for request in stream:
        words.add((word, "") for word in request)
        true.update(set(request))
        assert len(words) <= 10 * most
    found = words.frequent()
    assert len(found) <= most
    assert all(LEAST <= count <= true[word] for (word, _), count in found)
    assert found == sorted(found, key=lambda item: -item[1])
    if len(true) <= 10 * most:
        often = sorted(((count for count in true.values() if count >= LEAST)), reverse=True)
        assert [count for _, count in found] == often[:most]


def test_a_frequent_word_is_found_among_any_number_of_rare_ones() -> None:
    words = FrequentWords(10)
    for number in range(20_000):
        words.add([(f"rare{number}", ""), *([("often", "")] if number % 20 == 0 else [])])
    assert words.frequent() == [(("often", ""), 1_000)]


def test_a_request_counts_once_however_often_it_has_a_word() -> None:
    words = FrequentWords(10)
    words.add([("streaming", "")] * 50)
    assert words.frequent() == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Goal streaming RAIN binge-watch", ["streaming", "binge", "-", "watch"]),
        ("write to anna.smith@example.org or @anna, anna＠example", ["write", "to", "or"]),
        ("order AB-1234, room 12b, x² and ① too", ["order", "room", "and", "too"]),
        ("call +49(0)30/12345 now", ["call", "now"]),
        (f"{'x' * 65} {'y' * 64}", ["y" * 64]),
        ("好 看", ["好", "看"]),
        ("", []),
    ],
)
def test_what_may_say_who_wrote_a_text_is_left_out(text: str, found: list[str]) -> None:
    assert list(unknown_words(text_encoder(), text, "")) == found


def test_a_word_is_unknown_in_its_own_language() -> None:
    encoder = text_encoder(Layout.LANGUAGES)
    assert list(unknown_words(encoder, "tor goal", "en")) == ["tor"]
    assert list(unknown_words(encoder, "tor goal", "de")) == ["goal"]


@pytest.mark.parametrize("inputs", [Layout.HASHES, Layout.CHARACTERS])
def test_a_model_without_words_of_its_own_has_no_unknown_ones(inputs: Layout) -> None:
    assert list(unknown_words(text_encoder(inputs), "zebra", "")) == []


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LEXPORT_REPORT_DIR", str(tmp_path))
    # What is written is written by the tests.
    monkeypatch.setattr(periodic.Periodic, "start", lambda self: None)
    return tmp_path


def switch(folder: Path, most: int, forgotten: int = 0) -> None:
    (folder / control_name("topics", "1.0")).write_bytes(CONTROL.pack(most, forgotten))


def written(folder: Path) -> list[list[object]]:
    found: list[list[object]] = []
    for file in folder.glob(words_name("topics", "1.0", "*")):
        found += json.loads(file.read_text())["words"]
    return found


def test_it_is_off_until_it_is_switched_on_and_off_again(folder: Path) -> None:
    sampling = Sampling("topics", "1.0", text_encoder)
    on = [sampling.on]
    switch(folder, 3)
    on.append(sampling.on)
    for _ in range(LEAST):
        sampling.add(["streaming goal"], None)
    switch(folder, 0)
    assert [*on, sampling.on] == [False, True, False]
    sampling.add(["streaming"], None)
    sampling.write()
    assert written(folder) == [["streaming", "", LEAST]]


def test_a_word_of_four_requests_is_written_nowhere(folder: Path) -> None:
    sampling = Sampling("topics", "1.0", text_encoder)
    switch(folder, 100)
    for number in range(LEAST - 1):
        sampling.add(["unmentionable", "unmentionable", f"another{'x' * number}"], None)
    sampling.write()
    assert [path for path in folder.iterdir() if b"unmentionable" in path.read_bytes()] == []
    assert written(folder) == []
    sampling.add(["unmentionable"], None)
    sampling.write()
    assert written(folder) == [["unmentionable", "", LEAST]]


def test_what_was_forgotten_is_neither_written_again_nor_counted_on(folder: Path) -> None:
    sampling = Sampling("topics", "1.0", text_encoder)
    switch(folder, 100)
    for _ in range(LEAST):
        sampling.add(["streaming"], None)
    sampling.write()
    switch(folder, 100, forgotten=1)
    sampling.write()
    assert written(folder) == []
    for _ in range(LEAST - 1):
        sampling.add(["streaming"], None)
    sampling.write()
    assert written(folder) == []


def test_two_models_are_switched_apart(folder: Path) -> None:
    switch(folder, 5)
    assert Sampling("topics", "1.0", text_encoder).on
    assert not Sampling("topics", "2.0", text_encoder).on
    assert not Sampling("topics 1.0", "", text_encoder).on


def test_without_lexport_serve_nothing_is_collected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LEXPORT_REPORT_DIR", raising=False)
    assert not Sampling("topics", "1.0", text_encoder).on
