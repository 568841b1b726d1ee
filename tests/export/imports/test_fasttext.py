"""Models of fastText: the files beside this one, whose answers fastText's own program wrote (fasttext/make.py)."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexport.errors import InputError
from lexport.evaluation.metrics import Outputs
from lexport.export.imports.fasttext.file import MAGIC, read_file
from lexport.export.imports.fasttext.kind import FastTextClassifier
from lexport.export.imports.kind import Imported, ImportOptions
from lexport.handlers.text.offsets import find_tokens
from lexport.models.predict import text_outputs

from ...refusals import refused

HERE = Path(__file__).parent / "fasttext"
SOFTMAX = ["words.bin", "grams.bin", "pruned.ftz", "many.ftz", "tree.bin"]
# What the program prints: log(p + 1e-5), raised again.
PRINTED = 2e-5


@dataclass(frozen=True)
class Answered:
    """A model, and what fastText answers to the texts."""

    imported: Imported
    scores: list[dict[str, float]]

    @property
    def best(self) -> list[str]:
        """The label that fastText names first."""
        return [next(iter(one)) for one in self.scores]

    def differences(self, outputs: Outputs) -> float:
        """Return the largest difference of a score that fastText printed."""
        place = {label: number for number, label in enumerate(self.imported.labels)}
        return max(
            abs(float(row[place[label]]) - score)
            for row, one in zip(outputs, self.scores, strict=True)
            for label, score in one.items()
        )


def texts() -> list[str]:
    return (HERE / "texts.txt").read_bytes().decode().split("\n")[:-1]


@cache
def read(name: str) -> Imported:
    imported = FastTextClassifier().read(HERE / name, ImportOptions())
    imported.model.eval()
    return imported


def answered(name: str) -> Answered:
    lines = (HERE / name).with_suffix(".answers").read_text(encoding="utf-8").splitlines()
    scores = []
    for line in lines:
        fields = line.split(" ")
        labels = (label.removeprefix("__label__") for label in fields[::2])
        scores.append(dict(zip(labels, map(float, fields[1::2]), strict=True)))
    return Answered(read(name), scores)


def after(imported: Imported, asked: list[str]) -> Outputs:
    return text_outputs(imported.model, imported.encoder, asked)


@pytest.mark.parametrize("name", SOFTMAX)
def test_a_run_names_the_labels_that_fasttext_names_with_its_scores(name: str) -> None:
    expected = answered(name)
    outputs = after(expected.imported, texts())
    labels = [expected.imported.labels[row] for row in outputs.argmax(axis=1)]
    assert len(labels) == 1000
    assert labels == expected.best
    assert expected.differences(outputs) < 1e-4


@pytest.mark.parametrize("name", [*SOFTMAX, "versus.bin"])
def test_what_the_run_is_compared_with_is_what_fasttext_answers(name: str) -> None:
    expected = answered(name)
    assert expected.imported.before is not None
    assert expected.differences(expected.imported.before(texts())) < PRINTED


def test_of_labels_one_against_all_the_scores_are_within_the_steps_of_fasttexts_table() -> None:
    expected = answered("versus.bin")
    outputs = after(expected.imported, texts())
    assert expected.differences(outputs) < expected.imported.within == 0.01
    for row, one in zip(outputs, expected.scores, strict=True):
        first, second = list(one.values())[:2]
        if first - second > 0.02:
            assert expected.imported.labels[row.argmax()] == next(iter(one))


@pytest.mark.parametrize("name", [*SOFTMAX, "versus.bin"])
@given(
    st.lists(
        st.one_of(
            st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
            st.sampled_from(["goal", "butter", "rain", "</s>", "__label__sport", "\0", "\x0b", "été", "w17", "\n"]),
        ),
        max_size=12,
    ),
    st.sampled_from([" ", "\t", "\0", "\u00a0"]),
)
@settings(max_examples=60)
def test_whatever_the_text_the_run_and_fasttexts_own_rules_agree(name: str, parts: list[str], space: str) -> None:
    imported, text = read(name), space.join(parts)
    assert imported.before is not None
    before, found = imported.before([text]), after(imported, [text])
    assert np.abs(before - found).max() <= imported.within


def test_a_text_ends_at_its_end_token_and_labels_in_it_are_no_words() -> None:
    encoder = read("grams.bin").encoder
    assert encoder.tokens("goal __label__sport team </s> butter") == (["goal", "team"], False)
    assert encoder.read("goal")[0] == ["goal", "</s>"]
    assert encoder.tokens("a\u00a0b c\x0bd\0e")[0] == ["a\u00a0b", "c", "d", "e"]


def test_offsets_are_those_of_the_tokens() -> None:
    encoder = read("grams.bin").encoder
    text = "  goal __label__sport\tété </s> butter"
    found = find_tokens(encoder.spec, text)
    assert [one.token for one in found] == encoder.tokens(text)[0] == ["goal", "été"]
    assert [text[one.start : one.end] for one in found] == ["goal", "été"]


def test_labels_lose_the_prefix_that_is_named() -> None:
    kind = FastTextClassifier()
    assert sorted(kind.read(HERE / "words.bin", ImportOptions()).labels) == ["kitchen", "sport", "weather"]
    assert "__label__sport" in kind.read(HERE / "words.bin", ImportOptions(label_prefix="")).labels
    with refused(InputError, "LX-IMPORT-017", "words.bin", "__label__sport", "''"):
        kind.read(HERE / "words.bin", ImportOptions(label_prefix="__label__sport"))


def test_a_file_is_recognised_by_its_content(tmp_path: Path) -> None:
    kind = FastTextClassifier()
    other = tmp_path / "model.bin"
    other.write_bytes(b"3 2\nword \0\0\0\0")
    assert kind.recognise(HERE / "pruned.ftz")
    assert kind.recognise(HERE / "skipgram.bin")  # its reader says what is the matter with it
    assert not kind.recognise(other)
    assert not kind.recognise(tmp_path)


def test_a_tree_that_is_too_deep_is_refused(tmp_path: Path) -> None:
    counts = [1, 1]
    while len(counts) < 40:
        counts.append(counts[-1] + counts[-2])
    labels = b"".join(
        f"__label__{number}\0".encode() + struct.pack("<qb", count, 1)
        for number, count in enumerate(reversed(counts))
    )
    options = struct.pack("<13id", 12, 1, 5, 1, 1, 5, 1, 1, 3, 0, 0, 0, 100, 1e-4)
    dictionary = struct.pack("<3i2q", len(counts), 0, len(counts), 1, -1) + labels
    matrices = b"\0" + struct.pack("<2q", 0, 1) + b"\0" + struct.pack("<2q", len(counts), 1) + bytes(4 * len(counts))
    file = tmp_path / "deep.bin"
    file.write_bytes(MAGIC + options + dictionary + matrices)
    with refused(InputError, "LX-IMPORT-015", "deep.bin", 40, 39):
        FastTextClassifier().read(file, ImportOptions())


def test_word_vectors_without_labels_are_refused() -> None:
    with refused(InputError, "LX-IMPORT-013", "skipgram.bin", "skipgram"):
        read_file(HERE / "skipgram.bin")


def at(offset: int, content: bytes) -> Callable[[bytes], bytes]:
    return lambda whole: whole[:offset] + content + whole[offset + len(content) :]


def integer(offset: int, value: int) -> Callable[[bytes], bytes]:
    return at(offset, struct.pack("<i", value))


DIM, NGRAMS, LOSS, BUCKETS, MAXN, SIZE, WORDS, PRUNED = 8, 28, 32, 40, 48, 64, 68, 84
ALTERED: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "a later version": (integer(4, 13), "LX-IMPORT-012"),
    "no dimensions": (integer(DIM, 0), "LX-IMPORT-010"),
    "other dimensions than the matrices": (integer(DIM, 11), "LX-IMPORT-010"),
    "negative n-grams": (integer(NGRAMS, -1), "LX-IMPORT-010"),
    "a label of impossibly many texts": (
        lambda whole: at(whole.index(b"__label__sport\0") + 15, struct.pack("<q", -1))(whole),
        "LX-IMPORT-010",
    ),
    "an unknown loss": (integer(LOSS, 9), "LX-IMPORT-010"),
    "negative buckets": (integer(BUCKETS, -1), "LX-IMPORT-010"),
    "other buckets than rows": (integer(BUCKETS, 301), "LX-IMPORT-010"),
    "n-grams of any length": (integer(MAXN, 1 << 30), "LX-IMPORT-010"),
    "sizes that do not add up": (integer(WORDS, 1), "LX-IMPORT-010"),
    "a dictionary larger than the file": (
        lambda whole: at(SIZE, struct.pack("<3i", (1 << 30) + 3, 1 << 30, 3))(whole),
        "LX-IMPORT-010",
    ),
    "pruned buckets larger than the file": (at(PRUNED, struct.pack("<q", 1 << 40)), "LX-IMPORT-011"),
    "a number that is not finite": (lambda whole: whole[:-4] + struct.pack("<f", float("nan")), "LX-IMPORT-019"),
    "bytes behind the end": (lambda whole: whole + b"\0", "LX-IMPORT-010"),
}


@pytest.mark.parametrize("what", ALTERED)
def test_a_file_that_contradicts_itself_is_refused(what: str, tmp_path: Path) -> None:
    change, code = ALTERED[what]
    file = tmp_path / "altered.bin"
    file.write_bytes(change((HERE / "grams.bin").read_bytes()))
    with refused(InputError, code, "altered.bin"):
        read_file(file)


@pytest.mark.parametrize("name", ["grams.bin", "pruned.ftz", "many.ftz"])
def test_a_file_that_is_cut_anywhere_is_refused(name: str, tmp_path: Path) -> None:
    whole, file = (HERE / name).read_bytes(), tmp_path / "cut.bin"
    for size in [*range(len(MAGIC), 120), *range(120, len(whole), len(whole) // 150), len(whole) - 1]:
        file.write_bytes(whole[:size])
        with pytest.raises(InputError) as caught:
            read_file(file)
        assert caught.value.code in ("LX-IMPORT-010", "LX-IMPORT-011")


@pytest.mark.parametrize("name", ["grams.bin", "pruned.ftz", "many.ftz"])
@given(st.data())
@settings(max_examples=150)
def test_whatever_bytes_are_changed_it_is_read_or_refused(name: str, data: st.DataObject) -> None:
    whole = bytearray((HERE / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        # Mostly where sizes stand.
        place = data.draw(st.one_of(st.integers(4, 200), st.integers(4, len(whole) - 1)))
        whole[place] = data.draw(st.integers(0, 255))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / name
        file.write_bytes(whole)
        with suppress(InputError):
            found = FastTextClassifier().read(file, ImportOptions())
            assert len(found.labels) == found.model.head.labels


def test_a_quantized_matrix_cannot_expand_without_limit(tmp_path: Path) -> None:
    content = MAGIC + struct.pack("<13id", 12, 1000, 5, 1, 1, 5, 1, 3, 3, 0, 0, 0, 100, 1e-4)
    content += struct.pack("<3i2q", 1, 0, 1, 1, -1) + b"__label__a\0" + struct.pack("<qb", 1, 1)
    content += b"\1" + b"\0" + struct.pack("<2qi", 1_000_000, 1000, 1_000_000) + bytes(1_000_000)
    file = tmp_path / "bomb.ftz"
    file.write_bytes(content)
    with refused(InputError, "LX-IMPORT-014", "bomb.ftz", "4,000,000,000"):
        read_file(file)
