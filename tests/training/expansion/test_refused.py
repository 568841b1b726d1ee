"""What is refused, with the reason, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lexport.data.load import Columns
from lexport.models.run import Run

from .cases import refused, vectors_file, words_file


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("new york", "line 2: 'new york' is not one word; the model reads it as 'new', 'york'"),
        ("don't", "is not one word; the model reads it as 'don', \"'\", 't'"),
        ("\u200b", "line 2: '\\u200b' is not one word; the model reads nothing in it"),
    ],
)
def test_a_line_that_is_not_one_word_is_named_with_what_it_splits_into(
    line: str, what: str, run_of: Callable[[str], Run], tmp_path: Path
) -> None:
    file = words_file(tmp_path / "words.txt", "keeper", line)
    assert what in refused("LX-TRAIN-016", run_of("words"), tmp_path, words=file)


def test_nothing_new_is_refused(run_of: Callable[[str], Run], tmp_path: Path) -> None:
    run = run_of("words")
    known = words_file(tmp_path / "known.txt", "goal", "Team", "goal")
    assert "has no new word: the run knows all 3" in refused("LX-TRAIN-017", run, tmp_path, words=known)
    blank = words_file(tmp_path / "blank.txt", "", " ")
    assert "has no words; expected one word per line" in refused("LX-TRAIN-017", run, tmp_path, words=blank)
    assert "None of the 2 words is new" in refused("LX-TRAIN-210", run, tmp_path, words=["goal", "two words"])
    source = tmp_path / "seen.csv"
    source.write_text("text\ngoal keeper once\n", encoding="utf-8")
    message = refused("LX-TRAIN-018", run, tmp_path, from_oov=str(source))
    assert "2 of its words are unknown to the run, and none occurs 2 times or more (the most frequent: 1)" in message
    source.write_text("text\ngoal team\n", encoding="utf-8")
    assert "0 of its words are unknown to the run" in refused("LX-TRAIN-018", run, tmp_path, from_oov=str(source))


def test_a_words_file_must_be_there_and_be_utf8(run_of: Callable[[str], Run], tmp_path: Path) -> None:
    run = run_of("words")
    assert "There is no file" in refused("LX-FILE-007", run, tmp_path, words=tmp_path / "none.txt")
    file = tmp_path / "latin.txt"
    file.write_bytes(b"keeper\ncaf\xe9\n")
    assert "not UTF-8 text: line 2 has the byte 0xe9" in refused("LX-FILE-014", run, tmp_path, words=file)


def test_words_come_from_exactly_one_place(run_of: Callable[[str], Run], tmp_path: Path) -> None:
    run, file = run_of("words"), words_file(tmp_path / "words.txt", "keeper")
    assert "either the new words (--words or --from-drift) or data" in refused("LX-TRAIN-010", run, tmp_path)
    assert "either the new words (--words or --from-drift) or data" in refused(
        "LX-TRAIN-010", run, tmp_path, words=file, from_oov="imdb"
    )


def test_numbers_below_one_are_refused(run_of: Callable[[str], Run], tmp_path: Path) -> None:
    run, file = run_of("words"), words_file(tmp_path / "words.txt", "keeper")
    assert "min_count=None and limit=0 must be at least 1" in refused(
        "LX-TRAIN-012", run, tmp_path, words=file, limit=0
    )
    assert "min_count=0 and limit=None" in refused("LX-TRAIN-012", run, tmp_path, from_oov=str(file), min_count=0)


@pytest.mark.parametrize(("kind", "how"), [("hashed", "hashes"), ("char", "characters")])
def test_models_without_a_vocabulary_need_no_words(
    kind: str, how: str, run_of: Callable[[str], Run], tmp_path: Path
) -> None:
    message = refused("LX-TRAIN-014", run_of(kind), tmp_path, words=words_file(tmp_path / "words.txt", "keeper"))
    assert f"reads words by their {how}: every word has a vector already" in message


@pytest.mark.parametrize(
    ("kind", "language", "what"),
    [
        ("words", "en", "leave the language 'en' out"),
        ("languages", None, "needs a language"),
        ("languages", "xx", "'xx' is not known; known are: "),
    ],
)
def test_the_language_must_be_one_of_the_runs(
    kind: str, language: str | None, what: str, run_of: Callable[[str], Run], tmp_path: Path
) -> None:
    file = words_file(tmp_path / "words.txt", "keeper")
    assert what in refused("LX-TRAIN-015", run_of(kind), tmp_path, words=file, language=language)


def test_vectors_of_another_width_are_refused(run_of: Callable[[str], Run], tmp_path: Path) -> None:
    file, vectors = words_file(tmp_path / "words.txt", "keeper"), vectors_file(tmp_path / "v.txt", 5, "keeper")
    message = refused("LX-TRAIN-022", run_of("words"), tmp_path, words=file, vectors=vectors)
    assert "have 5 dimensions, the model has 8" in message


def test_damage_found_late_leaves_nothing_behind(run_of: Callable[[str], Run], tmp_path: Path) -> None:
    file, vectors = words_file(tmp_path / "words.txt", "keeper"), vectors_file(tmp_path / "v.txt", 8, "cat", "keeper")
    with Path(vectors).open("a", encoding="utf-8") as lines:
        lines.write("dog 1 2\n")
    message = refused("LX-VECTORS-024", run_of("words"), tmp_path, words=file, vectors=vectors)
    assert "line 3 has 2 numbers" in message


def test_what_stands_in_the_way_stays(run_of: Callable[[str], Run], tmp_path: Path) -> None:
    run, file = run_of("words"), words_file(tmp_path / "words.txt", "keeper")
    for out in (run.folder, run.folder / "more", run.folder.parent):
        assert "contain one another" in refused("LX-TRAIN-013", run, tmp_path, words=file, out=out, replace=True)
    other = tmp_path / "other"
    other.mkdir()
    (other / "letter.txt").write_text("keep me")
    assert "exists already" in refused("LX-FILE-001", run, tmp_path, words=file, out=other)
    assert "holds files that are not a run" in refused(
        "LX-TRAIN-023", run, tmp_path, words=file, out=other, replace=True
    )
    assert (other / "letter.txt").read_text() == "keep me"


def test_columns_and_counts_are_of_data_alone(run_of: Callable[[str], Run], tmp_path: Path) -> None:
    run, file = run_of("words"), words_file(tmp_path / "words.txt", "keeper")
    for options in ({"columns": Columns()}, {"min_count": 2}):
        assert "leave out --min-count" in refused("LX-TRAIN-011", run, tmp_path, words=file, **options).lower()


@pytest.mark.parametrize(
    ("kind", "column", "language", "what", "code"),
    [
        (
            "languages",
            None,
            "en",
            "seen.csv names no language; new words can only come from texts in 'en'",
            "LX-TRAIN-020",
        ),
        ("languages", "lang", "en", "seen.csv has no text in 'en', only in EN, fr", "LX-TRAIN-021"),
        ("words", "lang", None, "one vocabulary for every language. Leave out --language-column", "LX-TRAIN-019"),
    ],
)
def test_the_language_of_texts_must_be_known_where_it_counts(
    kind: str,
    column: str | None,
    language: str | None,
    what: str,
    run_of: Callable[[str], Run],
    tmp_path: Path,
    code: str,
) -> None:
    source = tmp_path / "seen.csv"
    source.write_text("text,lang\nzeta zeta,fr\nomega omega,EN\n", encoding="utf-8")
    columns = Columns(language=column)
    assert what in refused(code, run_of(kind), tmp_path, from_oov=str(source), columns=columns, language=language)
