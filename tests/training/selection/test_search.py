"""`--model auto`: which recipes are tried, which one is kept, and what is left of the others."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import lexport
from lexport.client.answers import Prediction
from lexport.data.load import Columns, of_texts
from lexport.errors import InputError
from lexport.models import recipes
from lexport.models.run import Run
from lexport.training.selection import candidates, search, train_best
from lexport.training.train import train

from ...refusals import refused

WORDS = {"good": "a warm and lively film", "bad": "a dull and empty film", "long": "three hours of talk"}
DATA = of_texts(
    [f"{text} {number} {name[0]}{number % 7}" for number in range(50) for name, text in WORDS.items()],
    [name for _ in range(50) for name in WORDS],
)
SMALL = [recipes.load("linear"), *(recipes.load(name).changed("training", epochs=1) for name in ("bag", "hashed"))]


def best(out: Path, **options: Any) -> Run:
    given: dict[str, Any] = {"source": DATA, "recipes": SMALL, "columns": Columns()} | options
    return train_best(out=out, **given)


def test_the_best_on_the_validation_texts_is_kept_as_if_it_had_been_trained_alone(tmp_path: Path) -> None:
    run = best(tmp_path / "run")
    board = run.info.leaderboard
    assert sorted(one["recipe"] for one in board) == ["bag", "hashed", "linear"]
    assert run.recipe.name == board[0]["recipe"]
    order = [(-one["cross_validated"]["accuracy"], one["loss"]) for one in board[1:]]
    assert order == sorted(order)
    [recipe] = [one for one in SMALL if one.name == run.recipe.name]
    assert run.digest == train(DATA, tmp_path / "alone", recipe=recipe).digest
    card = (tmp_path / "run" / "README.md").read_text(encoding="utf-8")
    assert all(f"| `{one['recipe']}` |" in card for one in board)
    assert card.startswith("# run\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alone", "run"]
    kept, alone = ({path.name for path in (tmp_path / name).iterdir()} for name in ("run", "alone"))
    assert kept == alone


def test_a_budget_ends_the_search_between_two_recipes(tmp_path: Path) -> None:
    said: list[str] = []
    run = best(tmp_path / "run", budget=1e-9, say=said.append)
    assert [one["recipe"] for one in run.info.leaderboard] == ["linear"]
    assert any("not tried: bag, hashed" in line for line in said)


def test_an_exact_fit_that_would_take_long_is_left_out_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cost = sum(map(len, DATA.texts)) * len(WORDS)
    for most, tried in ((cost, ["bag", "hashed", "linear"]), (cost - 1, ["bag", "hashed"])):
        monkeypatch.setattr(search, "_MOST_EXACT", most)
        said: list[str] = []
        run = best(tmp_path / str(most), say=said.append)
        assert sorted(one["recipe"] for one in run.info.leaderboard) == tried
        assert any(line.startswith("linear is not tried: ") for line in said) == ("linear" not in tried)
    assert best(tmp_path / "alone", recipes=SMALL[:1]).recipe.name == "linear"


def test_an_interruption_leaves_nothing_and_a_finished_run_is_not_searched_again(tmp_path: Path) -> None:
    def stop(done: float, most: float, what: str) -> None:
        if what.startswith("epoch"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        best(tmp_path / "run", progress=stop)
    assert list(tmp_path.iterdir()) == []
    finished = best(tmp_path / "run", recipes=SMALL[:1], resume=True)
    before = (tmp_path / "run" / "run.json").read_bytes()
    assert best(tmp_path / "run", resume=True).digest == finished.digest
    assert (tmp_path / "run" / "run.json").read_bytes() == before


def test_a_run_written_before_there_was_a_leaderboard_opens_without_one(tmp_path: Path) -> None:
    run = train(DATA, tmp_path / "run", recipe=SMALL[0])
    values = json.loads((run.folder / "run.json").read_text(encoding="utf-8"))
    del values["leaderboard"]
    (run.folder / "run.json").write_text(json.dumps(values), encoding="utf-8")
    opened = lexport.load(run.folder)
    assert isinstance(opened, lexport.Run)
    assert opened.info.leaderboard == []


def test_what_is_tried_depends_on_the_columns() -> None:
    assert candidates(Columns())[0] == "linear"
    assert candidates(Columns(language="lang")) == ("multilingual",)
    for columns, recipe in ((Columns(pair="other"), "vectors"), (Columns(image="pixels"), "joint")):
        with refused(InputError, "LX-TRAIN-029", recipe):
            candidates(columns)


def test_what_auto_cannot_do_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with refused(InputError, "LX-TRAIN-030", "budget=0"):
        best(tmp_path / "run", budget=0)
    with refused(InputError, "LX-API-015", "--budget 5"):
        lexport.train(texts=DATA.texts, labels=DATA.labels, recipe="bag", budget=5)
    with refused(InputError, "LX-API-016", "--dim"):
        lexport.train(texts=DATA.texts, labels=DATA.labels, recipe="auto", dim=5)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with refused(InputError, "LX-TRAIN-031", "2"):
        best(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_python_names_it_as_the_command_does() -> None:
    run = lexport.train(texts=DATA.texts, labels=DATA.labels, recipe="auto", budget=1e-9)
    assert [one["recipe"] for one in run.info.leaderboard] == ["linear"]
    [answer] = run.predict(["a dull and empty film"])
    assert isinstance(answer, Prediction)
    assert answer.label == "bad"


def test_few_validation_texts_are_not_chosen_by(tmp_path: Path) -> None:
    said: list[str] = []
    best(tmp_path / "few", budget=1e-9, say=said.append)
    assert "few validation texts: the recipes are judged by 5-fold cross-validation" in said
    held = of_texts([f"{text} held {number}" for number in range(4) for text in WORDS.values()], [*WORDS] * 4)
    run = best(tmp_path / "given", budget=1e-9, held_out={"validation": held})
    assert run.info.cross_validation == {}


def test_of_fewer_than_twenty_texts_the_first_recipe_is_trained_alone(tmp_path: Path) -> None:
    """Those of the test part, which choose nothing, do not count."""
    parts = ["test"] * 100 + ["validation"] * 3 + ["train"] * 15
    for own, tried in ((parts, ["linear"]), ([*parts, "train"] * 2, ["bag", "hashed", "linear"])):
        rows = replace(DATA.take([row % len(DATA) for row in range(len(own))], "few"), parts=own)
        said: list[str] = []
        run = best(tmp_path / str(len(own)), source=rows, say=said.append)
        assert sorted(one["recipe"] for one in run.info.leaderboard) == tried
        told = "18 texts are too few to choose a recipe by: linear alone is tried"
        assert (told in said) == (tried == ["linear"])
        assert bool(run.info.cross_validation) == (tried != ["linear"])


@pytest.mark.parametrize(
    ("accuracy", "texts", "better"),
    [
        (0.84, 64, False),  # the standard error is 0.05
        (0.86, 64, True),
        (0.84, 400, True),  # 0.02
        (0.80, 10_000, False),
        (0.805, 10_000, True),  # 0.004
    ],
)
@pytest.mark.parametrize("folds", [False, True])
def test_a_later_recipe_must_be_better_than_chance(accuracy: float, texts: int, better: bool, folds: bool) -> None:
    def line(value: float) -> dict[str, Any]:
        return {"accuracy": 0.1, "cross_validated": {"accuracy": value}} if folds else {"accuracy": value}

    assert search._is_better(line(accuracy), line(0.8), "accuracy", texts) is better


def test_only_the_kept_model_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rare = of_texts([f"w{number} x{number * 7} y{number * 13}" for number in range(150)], ["a", "b", "c"] * 50)
    said: list[str] = []
    run = train_best(rare, tmp_path / "run", recipes=SMALL, columns=Columns(), say=said.append)
    warned = [line for line in said if line.startswith("warning: ")]
    assert warned
    assert len(warned) == len(run.info.warnings) == len(caplog.records)
    assert all(f"--model {run.recipe.name}" in line or "--model hashed" in line for line in warned)
    assert said.index(f"kept: {run.recipe.name}") < min(map(said.index, warned), default=len(said))
