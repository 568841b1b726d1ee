"""Where new words come from, and where their vectors do."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from lexport.data.load import Columns, Reading
from lexport.data.pretrained.subword_neighbours import neighbours
from lexport.models.run import Run
from lexport.training.expansion.expand import expand

from .cases import expanded, vector, vectors_file, words_file


def test_words_come_from_vectors_then_from_spelling_then_from_chance(
    run_of: Callable[[str], Run], tmp_path: Path
) -> None:
    run, heard = run_of("words"), list[str]()
    vectors = vectors_file(tmp_path / "v.txt", 8, "butterfly", "the")
    after = expanded(run, tmp_path, "qi", "butterfly", "goalkeeper", vectors=vectors, say=heard.append)
    assert vector(after, "butterfly").tolist() == [9 + n for n in range(8)]
    (near,) = neighbours(["goalkeeper"], run.encoder.vocabulary)
    rows = torch.stack([vector(run, run.encoder.vocabulary[position]) for position, _ in near])
    weights = torch.tensor([weight for _, weight in near])
    torch.testing.assert_close(vector(after, "goalkeeper"), (weights[:, None] * rows).sum(0) / weights.sum())
    assert 0 < vector(after, "qi").abs().max() <= np.float32(0.1)
    assert torch.equal(vector(after, "the"), vector(run, "the"))
    assert heard == [
        "v.txt: 1 of 3 words have a vector (33.3 %)",
        "3 new words: 1 from vectors, 1 from words with a similar spelling, 1 random",
    ]
    (entry,) = after.info.history
    assert entry == {
        "expanded": {"from": run.digest, "words_added": 3, "from_vectors": 1, "from_neighbours": 1, "drawn": 1}
    }


def test_a_word_with_a_vector_uses_as_many_dimensions_as_a_fresh_one(
    run_of: Callable[[str], Run], tmp_path: Path
) -> None:
    run = run_of("dynamic")
    vectors = vectors_file(tmp_path / "v.txt", 8, "butterfly")
    after = expanded(run, tmp_path, "butterfly", "goalkeeper", vectors=vectors)
    sizes = after.model.embedding.get_parameter("size").detach()[-258:-256, 0]
    assert sizes[0] == torch.tensor(8 / 2).log()
    known = run.model.embedding.get_parameter("size").detach()
    assert known[2 : run.encoder.spec.words].min() <= sizes[1] <= known[2 : run.encoder.spec.words].max()


def test_the_spelling_of_another_language_does_not_count(run_of: Callable[[str], Run], tmp_path: Path) -> None:
    run = run_of("languages")
    file = words_file(tmp_path / "words.txt", "laogs")
    done = [
        expand(run.folder, tmp_path / language, words=file, language=language).info.history[0]["expanded"]
        for language in ("back", "en")
    ]
    assert [one["from_neighbours"] for one in done] == [1, 0]


def test_words_are_normalised_and_known_ones_skipped(run_of: Callable[[str], Run], tmp_path: Path) -> None:
    run, heard = run_of("words"), list[str]()
    file = tmp_path / "words.txt.gz"
    file.write_bytes(gzip.compress("\ufeffGoal\r\n  Keeper \n\nkeeper\n好\n".encode()))
    after = expand(run.folder, tmp_path / "out", words=file, say=heard.append)
    assert after.encoder.vocabulary == [*run.encoder.vocabulary, "keeper", "好"]
    assert heard[0] == "words.txt.gz: 2 new words; 2 skipped: known already, or listed twice"


def test_unknown_tokens_of_data_join_by_their_frequency(run_of: Callable[[str], Run], tmp_path: Path) -> None:
    run = run_of("words")
    source = tmp_path / "seen.csv"
    source.write_text("body\nZeta zeta alpha goal once\nalpha beta beta ZETA goal\n", encoding="utf-8")
    columns = Columns(text="body")
    after = expand(run.folder, tmp_path / "a", from_oov=str(source), columns=columns)
    assert after.encoder.vocabulary == [*run.encoder.vocabulary, "zeta", "alpha", "beta"]
    after = expand(run.folder, tmp_path / "b", from_oov=str(source), columns=columns, min_count=1, limit=2)
    assert after.encoder.vocabulary == [*run.encoder.vocabulary, "zeta", "alpha"]
    after = expand(run.folder, tmp_path / "c", from_oov=str(source), columns=columns, min_count=3)
    assert after.encoder.vocabulary == [*run.encoder.vocabulary, "zeta"]


def test_data_are_read_as_they_come_and_of_several_files(run_of: Callable[[str], Run], tmp_path: Path) -> None:
    run, heard = run_of("words"), list[str]()
    (tmp_path / "old.csv").write_bytes("Zeta zeta café;x\nzeta;y\n".encode("cp1252"))
    (tmp_path / "new.csv").write_bytes("café;z\n".encode("cp1252"))
    reading = Reading(delimiter=";", encoding="cp1252", header=False, names=("text", "label"))
    sources = [str(tmp_path / "old.csv"), str(tmp_path / "new.csv")]
    after = expand(run.folder, tmp_path / "out", from_oov=sources, reading=reading, say=heard.append)
    assert after.encoder.vocabulary == [*run.encoder.vocabulary, "zeta", "café"]
    assert any("cp1252" in line or "1252" in line for line in heard)


def test_of_data_in_several_languages_the_texts_of_one_count(run_of: Callable[[str], Run], tmp_path: Path) -> None:
    run = run_of("languages")
    source = tmp_path / "seen.csv"
    source.write_text("text,lang\nzeta zeta,en\nomega omega,back\n", encoding="utf-8")
    columns = Columns(language="lang")
    after = expand(run.folder, tmp_path / "out", from_oov=str(source), columns=columns, language="back")
    assert set(after.encoder.vocabulary) - set(run.encoder.vocabulary) == {"omega"}
    assert after.encoder.look_up(["omega", "omega"], ["back", "en"]).unknown.tolist() == [0, 1]


def test_words_may_be_given_by_themselves_and_others_of_them_are_left_out(
    run_of: Callable[[str], Run], tmp_path: Path
) -> None:
    run, heard = run_of("words"), list[str]()
    given = ["goalkeeper", "goal", "new york", "Snowstorm", "qi", "goalkeeper", "don't"]
    after = expand(run.folder, tmp_path / "out", words=given, limit=2, say=heard.append)
    assert after.encoder.vocabulary == [*run.encoder.vocabulary, "goalkeeper", "qi"]
    assert heard[0] == "2 new words; 5 skipped: known already, or not one word"
