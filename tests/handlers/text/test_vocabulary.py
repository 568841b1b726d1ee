"""Words in files answer as a dictionary does, whatever the words, the hashes and the question."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import mmh3
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexport.handlers.text import vocabulary
from lexport.handlers.text.encoder import TextEncoder, TextError, TextSpec
from lexport.handlers.text.files import load_encoder
from lexport.handlers.text.hashing import murmur
from lexport.handlers.text.spec import Layout
from lexport.handlers.text.vocabulary import INDEX, Listed, Mapped, index_of

# No line ends inside of a word; a vocabulary is UTF-8. NUL, prefixes and lengths are as they come.
WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), max_size=6) | st.text(
    "ab\0é", max_size=4
)
# What is asked may be anything, half a surrogate pair and the line end itself included.
ASKED = st.text(max_size=6) | st.text("ab\0é\n", max_size=5) | st.just("\ud800")


def written(spec: TextSpec, words: list[str], folder: Path) -> Mapped:
    text, index = folder / "vocabulary.txt", folder / INDEX
    text.write_bytes("".join(f"{word}\n" for word in words).encode())
    index.write_bytes(index_of(spec, words))
    return Mapped(spec, text, index)


@contextmanager
def both(spec: TextSpec, words: list[str]) -> Iterator[tuple[Listed, Mapped]]:
    with TemporaryDirectory() as folder:
        yield Listed(spec, words), written(spec, words, Path(folder))


def weak(text: str | bytes, seed: int = 0) -> int:
    """Few values, at both ends of the 32 bits: words collide in buckets and in their hashes."""
    return murmur(text, seed) % 3 * 0x7FFFFFFF


@pytest.mark.parametrize("hash_", [murmur, weak, lambda text, seed=0: 0xFFFFFFFF], ids=["murmur", "weak", "constant"])
@settings(max_examples=150)
@given(
    words=st.lists(WORDS, max_size=40, unique=True),
    asked=st.lists(ASKED, max_size=20),
    seed=st.integers(0, 2**32 - 1),
)
def test_files_answer_as_the_dictionary_does(hash_: object, words: list[str], asked: list[str], seed: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vocabulary, "murmur", hash_)
        spec = TextSpec(2 + len(words), buckets=7, ngrams=2, hash_seed=seed)
        with both(spec, words) as (listed, mapped):
            questions = asked + words + [word + "\n" for word in words] + ["\n".join(words)] + asked
            found = [mapped.rows[0][word] for word in questions]
            assert found == [listed.rows[0][word] for word in questions]
            rows = np.array([[0, 1, *range(2, spec.words)]])
            assert mapped.hashes(rows).tolist() == listed.hashes(rows).tolist()
            assert mapped.words() == listed.words() == words


@settings(max_examples=100)
@given(
    vocabularies=st.lists(st.lists(WORDS, max_size=12, unique=True), min_size=1, max_size=4),
    asked=st.lists(ASKED, max_size=10),
)
def test_each_language_has_words_of_its_own(vocabularies: list[list[str]], asked: list[str]) -> None:
    languages = {f"l{number}": 1 + len(words) for number, words in enumerate(vocabularies)}
    spec = TextSpec(1 + sum(languages.values()), inputs=Layout.LANGUAGES, languages=languages)
    words = [word for own in vocabularies for word in own]
    with both(spec, words) as (listed, mapped):
        for mine, theirs in zip(mapped.rows, listed.rows, strict=True):
            assert [mine[word] for word in words + asked] == [theirs[word] for word in words + asked]
        assert mapped.words() == words


def test_more_words_than_are_remembered_are_still_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "_REMEMBERED", 16)
    words = [f"word{number}" for number in range(500)]
    rows = written(TextSpec(502), words, tmp_path).rows[0]
    for _ in range(2):
        assert [rows[word] for word in words] == list(range(2, 502))
        assert rows["word"] == 1
        assert len(rows) <= 16


def test_what_requests_send_does_not_stay_in_memory(tmp_path: Path) -> None:
    """A word of a million letters is looked for like any other, known or not, and forgotten."""
    words = ["soup", "x" * 1_000_000]
    rows = written(TextSpec(4), words, tmp_path).rows[0]
    assert [rows[word] for word in (*words, "y" * 1_000_000)] == [2, 3, 1]
    assert list(rows) == ["soup"]


@given(words=st.lists(WORDS, min_size=1, max_size=8))
def test_words_that_repeat_are_refused_by_both(words: list[str]) -> None:
    spec = TextSpec(3 + len(words))
    for make in (Listed, index_of):
        with pytest.raises(TextError, match=r"[0-9]+ words of the vocabulary occur twice"):
            make(spec, [*words, words[0]])
    for make in (Listed, index_of):
        with pytest.raises(TextError, match=r"has 1 words, text\.json says 2"):
            make(TextSpec(4), words[:1])


def test_the_index_is_the_same_bytes_everywhere_and_for_ever() -> None:
    words = ["goal", "die", "", "好", "a\0b", "goals"]
    content = index_of(TextSpec(8, hash_seed=7), words)
    assert content[:24] == b"LXWORDS1" + bytes([7, 0, 0, 0, 6, 0, 0, 0, 24, 0, 0, 0, 0, 0, 0, 0])
    starts, hashes = [0, 5, 9, 10, 14, 18, 24], [mmh3.hash(word, 7, signed=False) for word in words]
    # By the first three bits of the hashes: three words in the first bucket, two in the fourth, one in the fifth.
    buckets, places = [0, 3, 3, 3, 5, 6, 6, 6, 6], [2, 4, 0, 5, 3, 1]
    assert np.frombuffer(content[24:], "<u4").tolist() == starts + hashes + buckets + places
    assert hashes == [475987440, 2504552354, 415870660, 2098116614, 423747166, 1643041122]


def test_an_encoder_reads_texts_alike_from_files(tmp_path: Path) -> None:
    words = ["goal", "the", "rain", "好", "."]
    one = TextEncoder(TextSpec(7, buckets=97, ngrams=3, subwords=(3, 4)), words)
    for name, content in one.files().items():
        (tmp_path / name).write_bytes(content)
    elsewhere = tmp_path / "elsewhere.index"
    elsewhere.write_bytes(index_of(one.spec, words))
    again = load_encoder(tmp_path, elsewhere)
    assert again.vocabulary == words
    assert again.files() == one.files()
    texts = ["The goal, the rain. 好!", "", "nothing known"]
    assert again.assemble(again.look_up(texts)).tolist() == one.assemble(one.look_up(texts)).tolist()
    assert again.look_up(texts).unknown.tolist() == one.look_up(texts).unknown.tolist() == [2, 0, 2]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        (INDEX, b"", "is not of this vocabulary.txt"),
        (INDEX, b"no index at all, and longer than a header", "is not of this vocabulary.txt"),
        ("vocabulary.txt", b"goal\nrains\n", "is not of this vocabulary.txt"),
        ("vocabulary.txt", None, "cannot be read"),
    ],
)
def test_an_index_of_other_words_is_refused(tmp_path: Path, name: str, content: bytes | None, reason: str) -> None:
    spec, words = TextSpec(4), ["goal", "rain"]
    written(spec, words, tmp_path)
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(TextError, match=reason):
        Mapped(spec, tmp_path / "vocabulary.txt", tmp_path / INDEX)


def test_an_index_that_was_cut_or_is_of_another_spec_is_refused(tmp_path: Path) -> None:
    spec, words = TextSpec(4), ["goal", "rain"]
    content = index_of(spec, words)
    written(spec, words, tmp_path)
    for other in (TextSpec(5), TextSpec(4, hash_seed=1)):
        with pytest.raises(TextError, match=r"is not of this vocabulary\.txt and text\.json; export the run again"):
            Mapped(other, tmp_path / "vocabulary.txt", tmp_path / INDEX)
    for damaged in (content[:-4], content + bytes(4)):
        (tmp_path / INDEX).write_bytes(damaged)
        with pytest.raises(TextError, match="which is not its size"):
            Mapped(spec, tmp_path / "vocabulary.txt", tmp_path / INDEX)
