"""Settings as people write them, and the command lines and files that serve a model with them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lexport.errors import InputError
from lexport.export.archive.batching import Batches
from lexport.loadtest.targets import Subject
from lexport.loadtest.tuning.report import check_out
from lexport.loadtest.tuning.settings import Tunable, commands, parse_start, properties_of, tuned_file
from lexport.loadtest.tuning.space import Candidate
from lexport.serving.settings.properties import parse
from lexport.serving.settings.user_settings import read_user_settings
from lexport.serving.store import Archive

from ...refusals import refused
from .surface import REVIEWS

PATH = Path("model_store/reviews-1.0.mar")
OURS = Tunable(
    Subject(PATH, "reviews-1.0", "reviews", {}),
    Archive(PATH, "reviews", "1.0", made_by_lexport=True, variant="onnx-int8"),
    REVIEWS,
)
THEIRS = Tunable(
    Subject(Path("old.mar"), "old-2", "old", {}),
    Archive(Path("old.mar"), "old", "2", made_by_lexport=False),
    replace(REVIEWS, label="old-2", batches=Batches(1, 100), engines=("torchserve",)),
)
DEFAULT = Candidate("torchserve", "reviews-1.0", 2, None, 64, 1)


def test_a_start_changes_what_it_names() -> None:
    tested = {"reviews-1.0": OURS}
    assert parse_start("workers=4,batch=1,delay=100", DEFAULT, tested) == replace(
        DEFAULT, workers=4, batch_size=1, batch_delay=100
    )
    embedded = parse_start("engine=embedded, threads=1, variant=onnx-int8", DEFAULT, tested)
    assert embedded == replace(DEFAULT, engine="embedded", threads=1, batch_delay=0)
    assert parse_start("engine=torchserve", embedded, tested).batch_delay == 1


@pytest.mark.parametrize("text", ["", "workers", "workers=0", "batch=x", "engine=triton", "variant=int3", "users=4"])
def test_another_start_is_refused_with_what_there_is(text: str) -> None:
    with refused(InputError, "LX-LOAD-137", "onnx-int8", "engine=torchserve,workers=4,batch=1,delay=100"):
        parse_start(text, DEFAULT, {"reviews-1.0": OURS})


@pytest.mark.parametrize(
    ("tested", "text", "values"),
    [
        (THEIRS, "engine=embedded", ("old-2", "torchserve")),
        (replace(OURS, served=replace(REVIEWS, can_change=False)), "batch=8", ("its own settings fix its batches",)),
        (replace(OURS, served=replace(REVIEWS, workers=3)), "workers=2", ("3 workers",)),
    ],
)
def test_a_start_that_cannot_be_served_is_refused(tested: Tunable, text: str, values: tuple[str, ...]) -> None:
    with refused(InputError, "LX-LOAD-138", text, *values):
        parse_start(text, replace(DEFAULT, archive=tested.served.label), {tested.served.label: tested})


@pytest.mark.parametrize(
    ("winner", "file", "serve"),
    [
        (DEFAULT, None, ["lexport serve model_store/reviews-1.0.mar --engine torchserve --workers cpu:2"]),
        (
            replace(DEFAULT, engine="embedded", batch_delay=0, threads=1),
            None,  # the embedded engine never waits, so the archive's own delay may stay
            ["lexport serve model_store/reviews-1.0.mar --engine embedded --workers cpu:2x1"],
        ),
        (
            replace(DEFAULT, batch_size=8),
            "reviews-1.0.mar",
            ["lexport serve tune/reviews-1.0.mar --engine torchserve --workers cpu:2"],
        ),
    ],
)
def test_an_archive_is_served_as_it_is_or_with_the_copy_that_has_the_batches(
    winner: Candidate, file: str | None, serve: list[str]
) -> None:
    assert tuned_file(winner, OURS, None) == file
    assert commands(winner, OURS, None, Path("tune"), trust_code=False) == serve


def test_a_run_is_packed_with_the_variant_and_the_batches() -> None:
    winner = replace(DEFAULT, batch_size=8, batch_delay=5)
    assert tuned_file(winner, OURS, Path("runs/reviews")) is None
    assert commands(winner, OURS, Path("runs/reviews"), Path("tune"), trust_code=False) == [
        "lexport archive runs/reviews --version 1.0 --variant onnx-int8 --batch-size 8 --batch-delay 5",
        "lexport serve model_store/reviews-1.0.mar --engine torchserve --workers cpu:2",
    ]
    assert "--batch-size" not in commands(DEFAULT, OURS, Path("runs/reviews"), Path("tune"), trust_code=False)[0]


def test_an_archive_of_others_has_its_batches_in_a_file_of_settings_that_serve_keeps() -> None:
    winner = Candidate("torchserve", "old-2", 2, None, 8, 5)
    assert tuned_file(winner, THEIRS, None) == "tuned.properties"
    assert commands(winner, THEIRS, None, Path("tune"), trust_code=True) == [
        "lexport serve old.mar --engine torchserve --workers cpu:2 --config tune/tuned.properties --trust-code"
    ]
    own = parse(properties_of(THEIRS.archive, Batches(8, 5)))
    kept = read_user_settings(own, [THEIRS.archive], count=2)
    assert kept.limits == {"old": {"batchSize": 8, "maxBatchDelay": 5}}
    assert kept.lines == ()


def test_a_folder_with_anything_else_is_refused(tmp_path: Path) -> None:
    check_out(tmp_path / "new")
    (tmp_path / "reviews-1.0.mar").touch()
    with refused(InputError, "LX-LOAD-139", tmp_path, "no journal"):
        check_out(tmp_path)
    (tmp_path / "journal.jsonl").touch()
    check_out(tmp_path)
    (tmp_path / "notes.txt").touch()
    with refused(InputError, "LX-LOAD-139", tmp_path, "notes.txt"):
        check_out(tmp_path)
