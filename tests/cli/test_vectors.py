"""`lexport vectors`, as people and machines call it."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gensim.models import KeyedVectors

import lexport as package

from ..hostile import EVIL, check
from .conftest import Place, Result

Command = Callable[..., Result]

TABLE = "5 2\ngood 1 0\nfine 0.9 0.1\nnice 0.8 0.3\nbad -1 0\npoor -0.9 0.2\n"


@pytest.fixture
def here(place: Place) -> Place:
    (place.cwd / "v.vec").write_text(TABLE, encoding="utf-8")
    return place


def test_similar_words_are_listed_for_people_and_for_machines(here: Place, lexport: Command) -> None:
    result = lexport("vectors", "similar", "v.vec", "good", "--top", "2")
    assert (result.code, result.err) == (0, "")
    assert [line.split() for line in result.out.splitlines() if "0." in line] == [
        ["fine", "0.994"],
        ["nice", "0.936"],
    ]
    read = json.loads(lexport("vectors", "similar", "v.vec", "good", "--top", "2", "--json").out)
    assert read["words"] == ["good"]
    assert [one["word"] for one in read["similar"]] == ["fine", "nice"]


def test_a_file_that_gensim_saved_is_read(place: Place, lexport: Command) -> None:
    keyed = KeyedVectors(2)
    keyed.add_vectors(["good", "fine", "bad"], np.array([[1, 0], [0.9, 0.1], [-1, 0]], np.float32))
    keyed.save(str(place.cwd / "own.kv"))
    read = json.loads(lexport("vectors", "similar", "own.kv", "good", "--top", "1", "--json").out)
    assert [one["word"] for one in read["similar"]] == ["fine"]
    (place.cwd / "other.kv").write_bytes(pickle.dumps(Path("x")))
    result = lexport("vectors", "similar", "other.kv", "good")
    assert (result.code, result.error[0]) == (2, "LX-IMPORT-355")


def test_an_unknown_word_exits_with_2_and_names_words_that_are_spelled_alike(here: Place, lexport: Command) -> None:
    result = lexport("vectors", "similar", "v.vec", "goood")
    assert result.code == 2
    code, message = result.error
    assert code == "LX-VECTORS-102"
    assert "Spelled alike are: good" in message
    assert lexport("vectors", "similar", "absent.vec", "good").error[0] == "LX-VECTORS-001"


def test_an_analogy_is_asked_by_three_words(here: Place, lexport: Command) -> None:
    read = json.loads(lexport("vectors", "analogy", "v.vec", "good", "fine", "bad", "--json").out)
    assert {one["word"] for one in read["similar"]} == {"nice", "poor"}


def test_a_run_and_its_archive_name_the_same_neighbours(
    here: Place, lexport: Command, run_folder: Path, archive_of: Callable[[str], Path]
) -> None:
    found = []
    for source in (run_folder, archive_of("onnx-fp32")):
        result = lexport("vectors", "similar", str(source), "Goal", "--json")
        assert result.code == 0, result.err
        found.append([one["word"] for one in json.loads(result.out)["similar"]])
    assert found[0] == found[1]
    assert here.files() == [str(here.cwd / "v.vec")]  # the archive's folder is removed


def test_words_are_evaluated_with_fewer_bits_beside_them(here: Place, lexport: Command) -> None:
    rows = np.random.default_rng(0).standard_normal((40, 4))
    words = ["tiger", "cat", "book", "paper", "car", "train", *(f"w{at}" for at in range(34))]
    lines = [f"{word} {' '.join(map(str, row))}" for word, row in zip(words, rows, strict=True)]
    (here.cwd / "w.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    result = lexport("vectors", "evaluate", "w.txt", "--sets", "wordsim353", "--sample", "20")
    assert (result.code, result.err) == (0, "")
    assert "w.txt: 40 words, 4 dimensions, fp32" in result.out
    read = json.loads(lexport("vectors", "evaluate", "w.txt", "--sets", "wordsim353", "--sample", "20", "--json").out)
    assert [one["precision"] for one in read["sets"]] == ["fp32", "int8", "int4"]
    assert {one["asked"] for one in read["sets"]} == {353}
    assert [(one["precision"], one["words"], one["among"]) for one in read["kept"]] == [
        ("int8", 20, 40),
        ("int4", 20, 40),
    ]
    assert lexport("vectors", "evaluate", "w.txt", "--sets", "simlex").error[0] == "LX-VECTORS-110"


def test_texts_are_found_by_the_vectors_of_a_model(
    here: Place, lexport: Command, task_run: Callable[[str], Path], task_archive: Callable[[str], Path]
) -> None:
    texts = ["goal and match", "soup with butter", "rain and storm", "", "bread flour oven"]
    (here.cwd / "texts.csv").write_text("id,body\n" + "".join(f"{at},{text}\n" for at, text in enumerate(texts)))
    for source in (task_run("vector"), task_archive("vector")):
        command = ["vectors", "search", str(source), "bread flour oven", "--in", "texts.csv", "--text-column", "body"]
        result = lexport(*command, "--top", "2", "--json")
        assert result.code == 0, result.err
        first, second = json.loads(result.out)["found"]
        assert (first["row"], first["text"], first["record"]["id"]) == (5, "bread flour oven", "4")
        assert first["similarity"] == pytest.approx(1, abs=1e-5)
        assert second["similarity"] < first["similarity"]
        table = lexport(*command)
        assert "bread flour oven" in table.out


def test_a_classifier_has_no_vectors_of_texts_to_search_by(here: Place, lexport: Command, run_folder: Path) -> None:
    (here.cwd / "texts.csv").write_text("text\na goal\n")
    assert lexport("vectors", "search", str(run_folder), "goal", "--in", "texts.csv").error[0] == "LX-API-007"


def test_a_text_without_words_is_near_to_none(here: Place, lexport: Command, task_run: Callable[[str], Path]) -> None:
    (here.cwd / "texts.csv").write_text("text\na goal\n")
    result = lexport("vectors", "search", str(task_run("vector")), "", "--in", "texts.csv")
    assert (result.code, result.error[0]) == (2, "LX-VECTORS-117")


def test_a_map_is_a_page_and_the_projector_gets_two_files(here: Place, lexport: Command) -> None:
    result = lexport("vectors", "map", "v.vec", "--method", "pca", "--out", "map.html", "--projector", "p")
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines()[-2:] == ["p is written", "map.html is written"]
    assert (here.cwd / "map.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert (here.cwd / "p" / "metadata.tsv").read_text(encoding="utf-8").split() == "good fine nice bad poor".split()
    again = lexport("vectors", "map", "v.vec", "--method", "pca", "--out", "map.html")
    assert again.error[0] == "LX-FILE-001"
    assert lexport("vectors", "map", "v.vec", "--method", "pca", "--out", "map.html", "--force").code == 0


def test_words_of_a_map_come_from_the_command_or_a_file(here: Place, lexport: Command) -> None:
    (here.cwd / "words.txt").write_text("good\n\nfine\nnice\nbad\npoor\n", encoding="utf-8")
    for words in ("good, fine,nice,bad,poor", "words.txt"):
        result = lexport("vectors", "map", "v.vec", "--words", words, "--method", "pca", "--out", "m.html", "--force")
        assert result.code == 0, result.err
    many = ",".join(["good", "fine", "nice", "bad", "poor"] * 500)  # longer than the name of any file
    assert lexport("vectors", "map", "v.vec", "--words", many, "--method", "pca", "--out", "many.html").code == 0
    few = lexport("vectors", "map", "v.vec", "--words", "good,bad", "--method", "pca", "--out", "n.html")
    assert few.error[0] == "LX-VECTORS-108"


def test_labels_colour_the_words_of_a_classifier(
    here: Place, lexport: Command, run_folder: Path, task_run: Callable[[str], Path]
) -> None:
    command = ["vectors", "map", str(run_folder), "--colour", "label", "--method", "pca", "--top", "30"]
    assert lexport(*command, "--out", "map.html").code == 0
    page = (here.cwd / "map.html").read_text(encoding="utf-8")
    assert all(label in page for label in ("kitchen", "sport", "weather"))
    without = lexport("vectors", "map", "v.vec", "--colour", "label", "--method", "pca", "--out", "n.html")
    assert (without.error[0], without.out) == ("LX-VECTORS-109", "")  # before the work
    vectors = lexport("vectors", "map", str(task_run("vector")), "--colour", "label", "--out", "n.html")
    assert (vectors.error[0], vectors.out) == ("LX-VECTORS-112", "")


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ([], "LX-VECTORS-114"),
        (["--out", "map.svg"], "LX-VECTORS-113"),
        (["--out", "map"], "LX-VECTORS-113"),
    ],
)
def test_a_map_needs_somewhere_to_go(here: Place, lexport: Command, options: list[str], code: str) -> None:
    result = lexport("vectors", "map", "v.vec", "--method", "pca", *options)
    assert (result.code, result.error[0], result.out) == (2, code, "")


@pytest.mark.parametrize("word", [EVIL, "", "a" * 5000, "\u202egood"])
def test_hostile_words_are_shown_safely(here: Place, lexport: Command, word: str) -> None:
    result = lexport("vectors", "similar", "v.vec", word)
    assert result.code == 2
    check(result.err)


def test_hostile_words_of_a_table_are_shown_safely(here: Place, lexport: Command) -> None:
    words = ["good", EVIL.replace("\n", "").replace(" ", "_")]
    np.save("m.npy", np.array([[1, 0], [0.9, 0.1]], np.float32))
    Path("m.json").write_text(json.dumps(words), encoding="utf-8")
    for extra in ([], ["--json"]):
        result = lexport("vectors", "similar", "m.npy", "good", *extra)
        assert result.code == 0
        check(result.out)


def test_in_python_it_is_one_object(here: Place) -> None:
    with package.vectors("v.vec") as vectors:
        assert (len(vectors), vectors.dim, vectors.precision) == (5, 2, "fp32")
        assert "good" in vectors
        assert "absent" not in vectors
        assert vectors["fine"].tolist() == pytest.approx([0.9, 0.1])
        assert vectors.words[0] == "good"
        assert vectors.similar("good", top=1)[0].word == "fine"
        assert [one.word for one in vectors.similar(["good", "nice"], top=1)] == ["fine"]
        assert repr(vectors) == "Vectors('v.vec', 5 words, 2 dimensions, fp32)"
        made = vectors.map(method="pca")
        assert package.save_map(made, "map.html").is_file()
        with pytest.raises(package.InputError, match="umap"):
            vectors.map(method="other")
