"""New words join a run, and whatever it answered without them it answers still."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from lexport.data.load import Columns
from lexport.models import recipes
from lexport.models.predict import text_outputs
from lexport.models.run import Run, open_run
from lexport.training.expansion.expand import expand
from lexport.training.train import train

from .cases import NEW, expanded, language_of, own_languages, table, vectors_file, words_file


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


def test_the_kept_texts_come_along_and_the_card_is_rewritten(pair: tuple[Run, Run]) -> None:
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


def test_a_run_may_take_the_place_of_another(run_of: Callable[[str], Run], tmp_path: Path) -> None:
    run, file = run_of("words"), words_file(tmp_path / "words.txt", "keeper")
    shutil.copytree(run.folder, tmp_path / "out")
    (tmp_path / "out" / "export").mkdir()
    after = expand(run.folder, tmp_path / "out", words=file, replace=True)
    assert after.encoder.vocabulary[-1] == "keeper"
    assert not (tmp_path / "out" / "export").exists()
    assert json.loads((tmp_path / "out" / "text.json").read_text())["version"] == 2
    assert open_run(run.folder).digest == run.digest


def test_a_warning_that_comes_again_is_kept_once(tasks_jsonl: Path, tmp_path: Path) -> None:
    """The held-out texts are answered again, and no score reaches the threshold before and after."""
    recipe = recipes.load("bag").changed("embedding", dim=8).changed("training", epochs=1)
    recipe = recipe.changed("head", multi_label=True, threshold=0.99)
    before = train(str(tasks_jsonl), tmp_path / "run", recipe=recipe, columns=Columns(label="labels"))
    assert [one["code"] for one in before.info.warnings].count("LX-WARN-008") == 1
    after = expand(tmp_path / "run", tmp_path / "grown", words=words_file(tmp_path / "words.txt", "omega"))
    assert after.info.warnings == before.info.warnings
