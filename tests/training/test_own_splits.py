"""Training with a split of the user's: what is trained on, what is recorded, what evaluation knows of it."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

import lexport
from lexport.data.load import Columns, load
from lexport.data.splits import PARTS, SplitOptions
from lexport.errors import InputError
from lexport.export.archive.pack import archive
from lexport.export.evaluate import evaluate
from lexport.export.export import export
from lexport.export.formats.variants import choose
from lexport.models import recipes
from lexport.models.run import Run, open_run
from lexport.training.expansion.expand import expand
from lexport.training.train import train

from ..conftest import write_rows
from ..refusals import refused

SMALL = recipes.load("bag").changed("text", buckets=64).changed("embedding", dim=4).changed("training", epochs=2)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows on three topics, with an author each and a part in other words than ours."""
    path = write_rows(tmp_path_factory.mktemp("rows") / "topics.csv", rows=200)
    rows = rows_of(path)
    for number, row in enumerate(rows):
        row |= {"author": f"author {number % 20}", "set": ("dev", "testing", *["training"] * 6)[number % 8]}
    return write(path, rows)


@pytest.fixture(scope="module")
def by_column(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("column") / "run"
    return train(str(whole), out, recipe=SMALL, columns=Columns(part="set"))


def test_the_column_of_parts_decides(by_column: Run, whole: Path) -> None:
    expected = load(str(whole), Columns(part="set"))
    assert expected.parts is not None
    for part in PARTS[1:]:
        own = [text for text, name in zip(expected.texts, expected.parts, strict=True) if name == part]
        assert by_column.held_out(part).texts == own
    assert by_column.info.data["train"] == expected.parts.count("train")
    assert by_column.info.data["split"] == {"by": "column set", "own": True}


def test_evaluate_follows_the_run_s_own_parts_and_counts_what_it_has_seen(by_column: Run, whole: Path) -> None:
    for part in PARTS:
        evaluation = evaluate(by_column.folder, str(whole), part=part)
        assert evaluation.count == by_column.info.data[part]
        assert evaluation.seen == (evaluation.count if part == "train" else 0)
    assert evaluate(by_column.folder, str(whole)).seen == by_column.info.data["train"]


def test_a_text_is_recognized_in_other_data_too(by_column: Run, whole: Path, tmp_path: Path) -> None:
    rows = rows_of(whole)[2:10]
    trained = sum(row["set"] == "training" for row in rows)
    rows.append(rows[0] | {"text": "a text that is new"})
    evaluation = evaluate(by_column.folder, str(write(tmp_path / "some.csv", rows)))
    assert (evaluation.count, evaluation.seen) == (9, trained)


def test_expanding_keeps_the_parts(by_column: Run, whole: Path, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("zebra\n", encoding="utf-8")
    grown = expand(by_column.folder, tmp_path / "grown", words=tmp_path / "words.txt")
    assert evaluate(grown.folder, str(whole), part="test").count == by_column.info.data["test"]


def test_an_archive_does_not_know_the_parts_of_such_a_run_and_says_so(
    by_column: Run, whole: Path, tmp_path: Path
) -> None:
    export(by_column, choose("onnx-fp32"))
    packed = archive(by_column.folder, version="1.0", variant="onnx-fp32", out=tmp_path)
    assert evaluate(packed, str(whole)).seen == 0
    with refused(InputError, "LX-EXPORT-081", packed):
        evaluate(packed, str(whole), part="test")


def test_validation_and_test_files_are_taken_whole_and_the_rest_is_trained_on(whole: Path, tmp_path: Path) -> None:
    rows = rows_of(whole)
    files = {
        "train": write(tmp_path / "train.csv", rows[40:]),
        "validation": write(tmp_path / "validation.csv", rows[:20]),
        "test": write(tmp_path / "test.csv", rows[20:40]),
    }
    held_out = {part: str(files[part]) for part in PARTS[1:]}
    run = train(str(files["train"]), tmp_path / "run", recipe=SMALL, held_out=held_out)
    for part, file in files.items():
        assert run.info.data[part] == len(load(str(file)))
    assert run.held_out("test").texts == load(str(files["test"])).texts


def test_with_a_test_file_alone_validation_is_a_part_of_the_data(whole: Path, tmp_path: Path) -> None:
    rows = rows_of(whole)
    test = write(tmp_path / "test.csv", rows[:40])
    run = train(
        str(write(tmp_path / "data.csv", rows[40:])), tmp_path / "run", recipe=SMALL, held_out={"test": str(test)}
    )
    assert run.info.data["test"] == len(load(str(test)))
    assert run.info.data["train"] > 7 * run.info.data["validation"] > 0


def test_groups_are_kept_together(whole: Path, tmp_path: Path) -> None:
    run = train(str(whole), tmp_path / "run", recipe=SMALL, splitting=SplitOptions("group", "author"))
    author = {row["text"]: row["author"] for row in rows_of(whole)}
    held = [{author[text] for text in run.held_out(part).texts} for part in PARTS[1:]]
    rest = {author[text] for text in author} - held[0] - held[1]
    assert all(held)
    assert not held[0] & held[1]
    assert run.info.data["train"] == sum(own in rest for own in author.values())


def test_a_label_of_one_text_is_trained_and_named(whole: Path, tmp_path: Path) -> None:
    rows = rows_of(whole)
    rows += [rows[0] | {"text": f"a single text {number}", "label": f"single {number}"} for number in range(10)]
    said: list[str] = []
    run = train(str(write(tmp_path / "data.csv", rows)), tmp_path / "run", recipe=SMALL, say=said.append)
    assert [label for label in run.labels if label.startswith("single")] == [f"single {n}" for n in range(10)]
    assert len(run.info.data["untested_labels"]) == 10
    assert any("10 of 13 labels have no test text" in line for line in said)
    assert "10 of 13 labels have no test text" in (run.folder / "README.md").read_text(encoding="utf-8")
    assert run.metrics["test"]["absent_labels"] == 10
    # The texts that were moved are known as trained ones.
    assert evaluate(run.folder, str(tmp_path / "data.csv"), part="train").count == run.info.data["train"]


def test_in_memory_validation_and_test_are_pairs(tmp_path: Path) -> None:
    texts = [f"{word} {number}" for number in range(30) for word in ("goal", "soup")]
    labels = ["sport", "kitchen"] * 30
    run = lexport.train(
        texts=texts[:40],
        labels=labels[:40],
        validation=(texts[40:50], labels[40:50]),
        test=(texts[50:], labels[50:]),
        recipe=SMALL,
        out=tmp_path / "run",
    )
    assert open_run(run.folder).held_out("test").texts == texts[50:]
    assert open_run(run.folder).info.data["train"] == 40


def test_a_label_that_only_the_test_file_has_is_refused(whole: Path, tmp_path: Path) -> None:
    rows = rows_of(whole)
    test = write(tmp_path / "test.csv", [row | {"label": "unheard"} for row in rows[:3]])
    with refused(InputError, "LX-DATA-030", "unheard"):
        train(str(write(tmp_path / "d.csv", rows[3:])), tmp_path / "run", recipe=SMALL, held_out={"test": str(test)})


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"split": "random"}, "LX-DATA-081"),
        ({"shares": "80/20"}, "LX-DATA-082"),
        ({"split": "group:nobody"}, "LX-DATA-019"),
        ({"split_column": "nobody"}, "LX-DATA-019"),
        ({"split_column": "author"}, "LX-DATA-066"),
        ({"test": "nowhere.csv"}, "LX-DATA-012"),
    ],
)
def test_what_cannot_be_split_so_is_refused(whole: Path, tmp_path: Path, options: dict[str, str], code: str) -> None:
    with refused(InputError, code):
        lexport.train(whole, recipe=SMALL, out=tmp_path / "run", **options)  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()


def test_texts_in_memory_have_no_column_to_split_by() -> None:
    with refused(InputError, "LX-DATA-086", "group:author"):
        lexport.train(texts=["a", "b"], labels=["x", "y"], split="group:author")


def test_the_parts_of_files_in_a_folder_are_those_of_the_run(whole: Path, tmp_path: Path) -> None:
    rows = rows_of(whole)
    folder = tmp_path / "data"
    folder.mkdir()
    write(folder / "train.csv", rows[40:])
    write(folder / "test.csv", rows[:40])
    run = train(str(folder), tmp_path / "run", recipe=SMALL)
    assert run.held_out("test").texts == load(str(folder / "test.csv")).texts
    assert run.info.data["validation"] > 0
    assert evaluate(run.folder, str(folder / "test.csv")).seen == 0
    assert evaluate(run.folder, str(folder / "train.csv")).seen == run.info.data["train"]
