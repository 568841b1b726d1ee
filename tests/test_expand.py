"""New words join a run, and whatever it answered without them it answers still."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lexport.errors import InputError
from lexport.models import recipes
from lexport.models.data import Columns
from lexport.models.expand import expand
from lexport.models.lessons import text_outputs
from lexport.models.neighbours import neighbours
from lexport.models.recipes import Recipe
from lexport.models.run import Run, open_run
from lexport.models.train import train

WORDS = ["match", "goal", "team", "oven", "butter", "flour", "storm", "cloud", "snow", "thunder"]
LABELS = ["sport"] * 3 + ["kitchen"] * 3 + ["weather"] * 4
KINDS = ("words", "subwords", "dynamic", "cnn", "languages")
NEW = ["goalkeeper", "butterfly", "snowstorm", "qi"]


def recipe(kind: str) -> Recipe:
    shipped = {"cnn": "cnn", "languages": "multilingual", "hashed": "hashed", "char": "char"}.get(kind, "bag")
    made = recipes.load(shipped).changed("training", epochs=1).changed("embedding", dim=8)
    if shipped in ("bag", "multilingual"):
        made = made.changed("text", buckets=256)
    if kind == "subwords":
        made = made.changed("text", ngrams=1, subwords=(3, 5))
    if kind == "dynamic":
        options = recipes.PARTS["embedding"]["dynamic_dim"]
        made = replace(made, embedding=options(dim=8, ramp=2))
    return made


def write_rows(path: Path, *, languages: bool) -> Path:
    """A CSV of texts made of WORDS; in the second language every word is written backwards."""
    draw = np.random.default_rng(5)
    lines = ["text,label,lang"]
    for row in range(120):
        topic = int(draw.integers(len(WORDS)))
        words = [WORDS[topic], *draw.choice(["the", "a", "of", *WORDS[topic : topic + 2]], 4)]
        second = languages and row % 2 == 1
        text = " ".join(word[::-1] if second else word for word in words)
        lines.append(f"{text} only{row},{LABELS[topic]},{'back' if second else 'en'}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def run_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """The run of a kind, trained once. Tests only read it."""
    made: dict[str, Run] = {}

    def make(kind: str) -> Run:
        if kind not in made:
            folder = tmp_path_factory.mktemp(kind)
            source = write_rows(folder / "rows.csv", languages=kind == "languages")
            columns = Columns(language="lang" if kind == "languages" else None)
            made[kind] = train(str(source), folder / "run", recipe=recipe(kind), columns=columns, seed=3)
        return made[kind]

    return make


def words_file(path: Path, *words: str) -> Path:
    path.write_text("".join(f"{word}\n" for word in words), encoding="utf-8")
    return path


def vectors_file(path: Path, dim: int, *words: str) -> str:
    lines = (f"{word} {' '.join(str(len(word) + n) for n in range(dim))}\n" for word in words)
    path.write_text("".join(lines), encoding="utf-8")
    return str(path)


def language_of(run: Run) -> str | None:
    return run.encoder.languages[0] if run.encoder.languages else None


def expanded(run: Run, folder: Path, *words: str, **options: Any) -> Run:
    file = words_file(folder / "words.txt", *(words or NEW))
    return expand(run.folder, folder / "out", words=file, language=language_of(run), **options)


def table(run: Run) -> torch.Tensor:
    inner = getattr(run.model.embedding, "table", run.model.embedding)
    return inner.get_parameter("weight").detach()


def own_languages(run: Run, texts: list[str]) -> list[str] | None:
    return [language] * len(texts) if (language := language_of(run)) else None


def vector(run: Run, word: str) -> torch.Tensor:
    return table(run)[run.encoder.vocabulary.index(word) + 2]


@pytest.fixture(scope="module", params=KINDS)
def pair(
    request: pytest.FixtureRequest, run_of: Callable[[str], Run], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Run, Run]:
    """A run and what it becomes with NEW words, of its first language if it has several."""
    run = run_of(request.param)
    return run, expanded(run, tmp_path_factory.mktemp(f"{request.param}-more"))


def test_old_rows_and_all_other_weights_are_as_they_were(pair: tuple[Run, Run]) -> None:
    before, after = pair
    place = 1 + next(iter(before.encoder.spec.languages.values()), before.encoder.spec.words - 1)
    old, new = before.model.state_dict(), after.model.state_dict()
    assert old.keys() == new.keys()
    grown = []
    for name in old:
        if old[name].shape == new[name].shape:
            assert torch.equal(old[name], new[name]) or name == "embedding.offsets"
        else:
            grown.append(name.rpartition(".")[2])
            assert torch.equal(old[name][:place], new[name][:place])
            assert torch.equal(old[name][place:], new[name][place + len(NEW) :])
    assert grown == (["weight", "size"] if before.recipe.embedding.NAME == "dynamic_dim" else ["weight"])
    assert not table(after)[0].any()


@given(data=st.data())
def test_texts_of_old_words_are_answered_exactly_as_before(data: st.DataObject, pair: tuple[Run, Run]) -> None:
    before, after = pair
    words = st.sampled_from([*before.encoder.vocabulary, "neverseen", "?", "ÄÖ", "好"])
    texts = data.draw(st.lists(st.lists(words, max_size=12).map(" ".join), min_size=1, max_size=4))
    languages = before.encoder.languages
    own = [data.draw(st.sampled_from(languages)) for _ in texts] if languages else None
    np.testing.assert_array_equal(
        text_outputs(before.model, before.encoder, texts, own), text_outputs(after.model, after.encoder, texts, own)
    )


def test_new_words_are_no_longer_unknown(pair: tuple[Run, Run]) -> None:
    before, after = pair
    own = own_languages(before, NEW[:1])
    for word in NEW:
        assert before.encoder.look_up([word], own).unknown.tolist() == [1]
        assert after.encoder.look_up([word.upper()], own).unknown.tolist() == [0]
    assert set(after.encoder.vocabulary) == set(before.encoder.vocabulary) | set(NEW)
    others = after.encoder.languages[1:]
    assert all(after.encoder.look_up([NEW[0]], [other]).unknown.tolist() == [1] for other in others)


def test_each_new_word_has_a_row_of_its_own(pair: tuple[Run, Run]) -> None:
    _, after = pair
    words = [*NEW, "neverseen"]
    outputs = text_outputs(after.model, after.encoder, words, own_languages(after, words))
    assert len(np.unique(outputs, axis=0)) == len(words)


def test_version_words_and_parameters_move_on(pair: tuple[Run, Run]) -> None:
    before, after = pair
    old, new = before.encoder.spec, after.encoder.spec
    languages = {name: rows + len(NEW) * (name == language_of(before)) for name, rows in old.languages.items()}
    assert new == replace(old, version=old.version + 1, words=old.words + len(NEW), languages=languages)
    assert after.info.parameters == sum(one.numel() for one in after.model.parameters())
    assert (after.info.recipe, after.labels) == (before.info.recipe, before.labels)


def test_the_history_names_the_weights_it_came_from(pair: tuple[Run, Run]) -> None:
    before, after = pair
    (entry,) = after.info.history
    found = entry["expanded"]
    assert found["from"] == before.digest
    assert found["words_added"] == 4 == found["from_vectors"] + found["from_neighbours"] + found["drawn"]
    assert found.get("language") == language_of(before)


def test_the_kept_texts_come_along_and_the_card_is_written_anew(pair: tuple[Run, Run]) -> None:
    before, after = pair
    for name in ("validation.jsonl.gz", "test.jsonl.gz", "labels.json"):
        assert (after.folder / name).read_bytes() == (before.folder / name).read_bytes()
    assert (after.folder / "README.md").read_text().startswith("# out\n")
    assert {path.name for path in after.folder.iterdir()} == {path.name for path in before.folder.iterdir()}


def test_an_expanded_run_can_be_expanded(pair: tuple[Run, Run], tmp_path: Path) -> None:
    _, after = pair
    again = expanded(after, tmp_path, "keeper")
    assert again.encoder.spec.version == 3
    assert [entry["expanded"]["words_added"] for entry in again.info.history] == [4, 1]


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
        "3 new words: 1 from vectors, 1 from words spelled alike, 1 drawn at random",
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


def test_metrics_are_those_of_the_grown_model(run_of: Callable[[str], Run], tmp_path: Path) -> None:
    run = run_of("words")
    part = run.held_out("test")
    unseen = sorted({word for text in part.texts for word in text.split() if word.startswith("only")})
    vectors = vectors_file(tmp_path / "v.txt", 8, *unseen)
    after = expanded(run, tmp_path, *unseen, vectors=vectors)
    answers = text_outputs(after.model, after.encoder, part.texts).argmax(axis=1)
    right = sum(after.labels[top] == label for top, label in zip(answers, part.labels, strict=True))
    assert after.metrics["test"]["accuracy"] == right / len(part)
    assert after.metrics["test"] != run.metrics["test"]


def test_the_same_seed_makes_the_same_weights(run_of: Callable[[str], Run], tmp_path: Path) -> None:
    run, file = run_of("dynamic"), words_file(tmp_path / "words.txt", "qi", "xu")
    one, two, other = (
        expand(run.folder, tmp_path / name, words=file, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert one.digest == two.digest != other.digest


def test_words_are_normalised_and_known_ones_skipped(run_of: Callable[[str], Run], tmp_path: Path) -> None:
    run, heard = run_of("words"), list[str]()
    file = tmp_path / "words.txt.gz"
    file.write_bytes(gzip.compress("\ufeffGoal\r\n  Keeper \n\nkeeper\n好\n".encode()))
    after = expand(run.folder, tmp_path / "out", words=file, say=heard.append)
    assert after.encoder.vocabulary == [*run.encoder.vocabulary, "keeper", "好"]
    assert heard[0] == "words.txt.gz: 2 new words; 2 skipped, known or given twice"


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


def test_of_data_in_several_languages_the_texts_of_one_count(run_of: Callable[[str], Run], tmp_path: Path) -> None:
    run = run_of("languages")
    source = tmp_path / "seen.csv"
    source.write_text("text,lang\nzeta zeta,en\nomega omega,back\n", encoding="utf-8")
    columns = Columns(language="lang")
    after = expand(run.folder, tmp_path / "out", from_oov=str(source), columns=columns, language="back")
    assert set(after.encoder.vocabulary) - set(run.encoder.vocabulary) == {"omega"}
    assert after.encoder.look_up(["omega", "omega"], ["back", "en"]).unknown.tolist() == [0, 1]


def refused(run: Run, folder: Path, **options: Any) -> str:
    """The message with which an expansion is refused, after which nothing is left and the run is as it was."""
    before = {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}
    out = options.pop("out", folder / "out")
    there = sorted(folder.iterdir())
    with pytest.raises(InputError) as caught:
        expand(run.folder, out, **options)
    assert sorted(folder.iterdir()) == there
    assert {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()} == before
    message = str(caught.value)
    assert message.isprintable()
    return message


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
    assert what in refused(run_of("words"), tmp_path, words=file)


def test_nothing_new_is_refused(run_of: Callable[[str], Run], tmp_path: Path) -> None:
    run = run_of("words")
    known = words_file(tmp_path / "known.txt", "goal", "Team", "goal")
    assert "has no new word: all 3 are known" in refused(run, tmp_path, words=known)
    blank = words_file(tmp_path / "blank.txt", "", " ")
    assert "has no words; one word a line was expected" in refused(run, tmp_path, words=blank)
    source = tmp_path / "seen.csv"
    source.write_text("text\ngoal keeper once\n", encoding="utf-8")
    message = refused(run, tmp_path, from_oov=str(source))
    assert "2 are unknown to the run, none of them 2 times or more (the most frequent: 1)" in message
    source.write_text("text\ngoal team\n", encoding="utf-8")
    assert "0 are unknown to the run" in refused(run, tmp_path, from_oov=str(source))


def test_a_words_file_must_be_there_and_be_utf8(run_of: Callable[[str], Run], tmp_path: Path) -> None:
    run = run_of("words")
    assert "There is no file" in refused(run, tmp_path, words=tmp_path / "none.txt")
    file = tmp_path / "latin.txt"
    file.write_bytes(b"keeper\ncaf\xe9\n")
    assert "not UTF-8 text: line 2 has the byte 0xe9" in refused(run, tmp_path, words=file)


def test_words_come_from_exactly_one_place(run_of: Callable[[str], Run], tmp_path: Path) -> None:
    run, file = run_of("words"), words_file(tmp_path / "words.txt", "keeper")
    assert "either a file of words or data" in refused(run, tmp_path)
    assert "either a file of words or data" in refused(run, tmp_path, words=file, from_oov="imdb")


@pytest.mark.parametrize("options", [{"min_count": 0}, {"limit": 0}])
def test_numbers_below_one_are_refused(options: dict[str, int], run_of: Callable[[str], Run], tmp_path: Path) -> None:
    file = words_file(tmp_path / "words.txt", "keeper")
    assert "must be at least 1" in refused(run_of("words"), tmp_path, words=file, **options)


@pytest.mark.parametrize(("kind", "how"), [("hashed", "hashes"), ("char", "characters")])
def test_models_without_a_vocabulary_need_no_words(
    kind: str, how: str, run_of: Callable[[str], Run], tmp_path: Path
) -> None:
    message = refused(run_of(kind), tmp_path, words=words_file(tmp_path / "words.txt", "keeper"))
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
    assert what in refused(run_of(kind), tmp_path, words=file, language=language)


def test_vectors_of_another_width_are_refused(run_of: Callable[[str], Run], tmp_path: Path) -> None:
    file, vectors = words_file(tmp_path / "words.txt", "keeper"), vectors_file(tmp_path / "v.txt", 5, "keeper")
    message = refused(run_of("words"), tmp_path, words=file, vectors=vectors)
    assert "have 5 dimensions and the model's have 8" in message


def test_damage_found_late_leaves_nothing_behind(run_of: Callable[[str], Run], tmp_path: Path) -> None:
    file, vectors = words_file(tmp_path / "words.txt", "keeper"), vectors_file(tmp_path / "v.txt", 8, "cat", "keeper")
    with Path(vectors).open("a", encoding="utf-8") as lines:
        lines.write("dog 1 2\n")
    message = refused(run_of("words"), tmp_path, words=file, vectors=vectors)
    assert "line 3 has 2 numbers" in message


def test_what_stands_in_the_way_stays(run_of: Callable[[str], Run], tmp_path: Path) -> None:
    run, file = run_of("words"), words_file(tmp_path / "words.txt", "keeper")
    for out in (run.folder, run.folder / "more", run.folder.parent):
        assert "lie in one another" in refused(run, tmp_path, words=file, out=out, replace=True)
    other = tmp_path / "other"
    other.mkdir()
    (other / "letter.txt").write_text("keep me")
    assert "exists already" in refused(run, tmp_path, words=file, out=other)
    assert "holds other things than a run" in refused(run, tmp_path, words=file, out=other, replace=True)
    assert (other / "letter.txt").read_text() == "keep me"


def test_a_run_may_take_the_place_of_another(run_of: Callable[[str], Run], tmp_path: Path) -> None:
    run, file = run_of("words"), words_file(tmp_path / "words.txt", "keeper")
    shutil.copytree(run.folder, tmp_path / "out")
    (tmp_path / "out" / "export").mkdir()
    after = expand(run.folder, tmp_path / "out", words=file, replace=True)
    assert after.encoder.vocabulary[-1] == "keeper"
    assert not (tmp_path / "out" / "export").exists()
    assert json.loads((tmp_path / "out" / "text.json").read_text())["version"] == 2
    assert open_run(run.folder).digest == run.digest
