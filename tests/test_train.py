"""Training: reproducible, UNK trained, the best epoch kept, nothing half-written."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from lexport.errors import InputError
from lexport.handlers.text import UNK, TextEncoder, TextSpec
from lexport.models import recipes
from lexport.models import train as training
from lexport.models.data import load
from lexport.models.run import Run, open_run
from lexport.models.splits import Splits, part_of, split
from lexport.models.train import Fit, drop_words, fit, train
from lexport.models.vocabulary import build_encoder

SMALL = recipes.load("bag").changed("text", buckets=1024).changed("embedding", dim=8).changed("training", epochs=3)


@pytest.fixture(scope="module")
def parts(tiny_csv: Path) -> Splits:
    return split(load(str(tiny_csv)))


@pytest.fixture(scope="module")
def encoder(parts: Splits) -> TextEncoder:
    return build_encoder(parts.train.texts, SMALL.text)


def fitted(parts: Splits, encoder: TextEncoder, *, seed: int = 0, recipe: recipes.Recipe = SMALL) -> Fit:
    return fit(recipe, parts, sorted(set(parts.train.labels)), encoder, seed=seed)


def test_the_same_seed_gives_the_same_weights_to_the_bit(tiny_csv: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        torch.rand(3)  # the caller's random state plays no part
        train(str(tiny_csv), tmp_path / name, recipe=SMALL, seed=7)
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("one", "two")]
    assert weights[0] == weights[1]


def test_another_seed_gives_other_weights(parts: Splits, encoder: TextEncoder) -> None:
    one, two = fitted(parts, encoder, seed=0), fitted(parts, encoder, seed=1)
    assert not torch.equal(one.model.head.linear.weight, two.model.head.linear.weight)


def test_training_leaves_the_callers_random_state_alone(parts: Splits, encoder: TextEncoder) -> None:
    torch.manual_seed(5)
    expected = torch.rand(4)
    torch.manual_seed(5)
    fitted(parts, encoder)
    assert torch.equal(torch.rand(4), expected)


def test_pad_stays_zero_and_unk_moves(parts: Splits, encoder: TextEncoder) -> None:
    start = fitted(parts, encoder, recipe=SMALL.changed("training", learning_rate=1e-12))
    end = fitted(parts, encoder)
    weights = [one.model.embedding.get_parameter("weight") for one in (start, end)]
    assert torch.count_nonzero(weights[1][0]) == 0
    assert (weights[1][UNK] - weights[0][UNK]).norm() > 0.01


def test_word_dropout_takes_part_in_training(parts: Splits, encoder: TextEncoder) -> None:
    with_, without = (
        fitted(parts, encoder, recipe=SMALL.changed("training", word_dropout=share)) for share in (0.3, 0.0)
    )
    assert not torch.equal(with_.model.head.linear.weight, without.model.head.linear.weight)


def test_dropout_takes_part_in_training(parts: Splits, encoder: TextEncoder) -> None:
    with_, without = (fitted(parts, encoder, recipe=SMALL.changed("head", dropout=share)) for share in (0.5, 0.0))
    assert not torch.equal(with_.model.head.linear.weight, without.model.head.linear.weight)


def test_an_ngram_that_training_never_met_adds_nothing(parts: Splits) -> None:
    recipe = SMALL.changed("text", buckets=2**18).changed("training", word_dropout=0.0)
    encoder = build_encoder(parts.train.texts, recipe.text)
    model = fitted(parts, encoder, recipe=recipe).model
    met = set(encoder.assemble(encoder.look_up(parts.train.texts)).ravel().tolist())
    never = [row for row in range(encoder.spec.words, encoder.spec.rows) if row not in met]
    assert len(never) > 200_000
    assert torch.count_nonzero(model.embedding.get_parameter("weight")[never]) == 0
    assert torch.count_nonzero(model.embedding.get_parameter("weight")[sorted(met)[-100:]]) > 0


def test_the_epoch_with_the_lowest_validation_loss_is_kept(parts: Splits, encoder: TextEncoder) -> None:
    recipe = SMALL.changed("training", epochs=12, learning_rate=0.05, patience=3)
    result = fitted(parts, encoder, recipe=recipe)
    assert result.best_epoch == int(np.argmin(result.losses)) + 1
    assert len(result.losses) in (12, result.best_epoch + 3)
    labels = sorted(set(parts.train.labels))
    scores = training.scores(result.model, encoder, parts.validation.texts)
    truth = [labels.index(label) for label in parts.validation.labels]
    loss = -np.log(scores[np.arange(len(truth)), truth]).mean()
    assert loss == pytest.approx(min(result.losses), abs=1e-5)


def test_the_test_texts_choose_nothing(parts: Splits, encoder: TextEncoder) -> None:
    """Training on the same train and validation texts with other test texts gives the same weights."""
    other = Splits(parts.train, parts.validation, parts.train)
    one, two = fitted(parts, encoder), fitted(other, encoder)
    assert torch.equal(one.model.head.linear.weight, two.model.head.linear.weight)


def test_the_small_run_has_learned(trained_run: Run) -> None:
    assert trained_run.metrics["test"]["accuracy"] > 0.9


def test_dropped_words_become_unknown_ones_with_hashes_of_their_own() -> None:
    encoder = TextEncoder(TextSpec(words=4, buckets=64, ngrams=2), ["a", "b"])
    tokens = encoder.look_up(["a b a b " * 200])
    dropped = drop_words(tokens, 0.25, np.random.default_rng(0))
    replaced = dropped.indices == UNK
    assert 0.18 < replaced.mean() < 0.32
    assert np.array_equal(dropped.hashes[~replaced], tokens.hashes[~replaced])
    assert len(set(dropped.hashes[replaced].tolist())) == replaced.sum()
    assert np.array_equal(tokens.indices, encoder.look_up(["a b a b " * 200]).indices)


def test_rare_words_have_no_row(parts: Splits, encoder: TextEncoder) -> None:
    assert not any(word.startswith("rare") for word in encoder.vocabulary)
    every = build_encoder(parts.train.texts, recipes.TextOptions(min_count=1))
    assert any(word.startswith("rare") for word in every.vocabulary)


def test_the_vocabulary_is_ordered_by_count_then_code_point() -> None:
    texts = ["b a c", "c b a", "d d d d", "a b"]
    assert build_encoder(texts, recipes.TextOptions(min_count=2)).vocabulary == ["d", "a", "b", "c"]
    assert build_encoder(texts, recipes.TextOptions(min_count=1, max_vocabulary=2)).vocabulary == ["d", "a"]


def test_a_run_folder_holds_what_it_promises(run_folder: Path) -> None:
    expected = {"run.json", "weights.safetensors", "text.json", "vocabulary.txt", "labels.json", "metrics.json"}
    expected |= {"validation.jsonl.gz", "test.jsonl.gz", "README.md", "export"}
    assert {entry.name for entry in run_folder.iterdir()} == expected
    metrics = json.loads((run_folder / "metrics.json").read_text())
    assert set(metrics) == {"validation", "test"}
    assert set(metrics["test"]) >= {"accuracy", "macro_f1", "per_class", "confusion", "count"}
    card = (run_folder / "README.md").read_text()
    assert f"accuracy {metrics['test']['accuracy']:.4f}" in card


def test_an_opened_run_answers_as_the_one_that_was_written(trained_run: Run) -> None:
    test = trained_run.held_out("test")
    predicted = training.predict(trained_run.model, trained_run.encoder, trained_run.labels, test.texts)
    share = np.mean([a == b for a, b in zip(predicted, test.labels, strict=True)])
    assert share == pytest.approx(trained_run.metrics["test"]["accuracy"])
    assert all(part_of(text) == "test" for text in test.texts)


def test_damaged_held_out_texts_say_so(run_folder: Path, tmp_path: Path) -> None:
    content = (run_folder / "test.jsonl.gz").read_bytes()
    run = dataclasses.replace(open_run(run_folder), folder=tmp_path)
    for position in range(0, len(content), 37):
        damaged = bytearray(content)
        damaged[position] ^= 0x10
        (tmp_path / "test.jsonl.gz").write_bytes(damaged)
        with contextlib.suppress(InputError):
            run.held_out("test")


@pytest.mark.parametrize("member", ["run.json", "weights.safetensors", "vocabulary.txt", "labels.json", "text.json"])
def test_a_damaged_run_says_so(run_folder: Path, tmp_path: Path, member: str) -> None:
    for name in ("run.json", "weights.safetensors", "text.json", "vocabulary.txt", "labels.json", "metrics.json"):
        content = (run_folder / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2] if name == member else content)
    with pytest.raises(InputError, match="damaged"):
        open_run(tmp_path)


def test_a_run_of_a_newer_schema_is_refused(run_folder: Path, tmp_path: Path) -> None:
    for name in ("run.json", "weights.safetensors", "text.json", "vocabulary.txt", "labels.json", "metrics.json"):
        (tmp_path / name).write_bytes((run_folder / name).read_bytes())
    values = json.loads((tmp_path / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps({**values, "schema": 2}))
    with pytest.raises(InputError, match="schema 2, this version reads schema 1"):
        open_run(tmp_path)


def test_a_folder_that_is_no_run_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is not a run: it has no run\.json.*lexport train"):
        open_run(tmp_path)


def test_one_class_only_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("text,label\n" + "".join(f"word {row},same\n" for row in range(50)))
    with pytest.raises(InputError, match="at least two different labels"):
        train(str(tmp_path / "data.csv"), tmp_path / "run", recipe=SMALL)
    assert [entry.name for entry in tmp_path.iterdir()] == ["data.csv"]


def test_an_existing_run_is_not_replaced_unasked(tiny_csv: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with pytest.raises(InputError, match="exists already"):
        train(str(tiny_csv), tmp_path / "run", recipe=SMALL)


def test_a_folder_that_is_no_run_is_never_replaced(tiny_csv: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("mine")
    with pytest.raises(InputError, match="holds other things than a run"):
        train(str(tiny_csv), tmp_path / "thesis", recipe=SMALL, replace=True)
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "mine"


def test_texts_of_any_script_train(tmp_path: Path) -> None:
    rows = [("我喜欢这个酒店 👍", "好"), ("太糟糕了 ทดสอบ", "坏"), ("Ça va très bien", "好"), ("нет плохо", "坏")]
    lines = [f"{text} {number},{label}" for number in range(40) for text, label in rows]
    (tmp_path / "data.csv").write_text("text,label\n" + "\n".join(lines) + "\n", encoding="utf-8")
    run = train(str(tmp_path / "data.csv"), tmp_path / "run", recipe=SMALL)
    assert run.labels == ["坏", "好"]
    assert "酒" in run.encoder.vocabulary
    assert run.metrics["test"]["accuracy"] == 1.0
