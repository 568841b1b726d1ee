"""Claims about nn.Embedding: every one is measured on tiny settings, and no verdict says other than its figures."""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lexport.benchmarks import claims
from lexport.benchmarks.advice import CLAIMS, cases, timing
from lexport.benchmarks.advice.claim import Estimate, takes, tried
from lexport.benchmarks.advice.page import Kept, page
from lexport.reports.charts.axes import around
from lexport.storage import atomic as files

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "claims.md"
NAMES = [claim.name for claim in CLAIMS]
TIMED = ["sparse", "mixed-precision", "int8"]


def run(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "benchmarks" / "claims.py"), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)


def kept() -> dict[str, Any]:
    """The figures that the committed page was set from."""
    return {name: asdict(one) for name, one in claims.read(PAGE.with_suffix("")).items()}


def said(name: str, figures: Any) -> str:
    shown = next(claim for claim in CLAIMS if claim.name == name).show(figures)
    return f"{shown.short} {shown.verdict}"


def with_intervals(figures: Any, value: float, low: float, high: float) -> Any:
    """The same figures, every estimate in them replaced."""
    if isinstance(figures, list):
        return [with_intervals(one, value, low, high) for one in figures]
    if not isinstance(figures, dict):
        return figures
    changed = {key: with_intervals(one, value, low, high) for key, one in figures.items()}
    return (
        changed | {"value": value, "low": low, "high": high}
        if {"value", "low", "high"} <= changed.keys()
        else changed
    )


@pytest.mark.long
@pytest.mark.parametrize("names", [*([name] for name in TIMED), [name for name in NAMES if name not in TIMED]])
def test_every_claim_is_measured_on_tiny_settings(names: list[str]) -> None:
    done = run("--quick", "--only", ",".join(names))
    assert done.returncode == 0, done.stderr
    for claim in CLAIMS:
        assert (f"## {claim.title}\n\n> {claim.said}\n\n**Verdict.** " in done.stdout) == (claim.name in names)


def test_the_page_and_its_pictures_are_those_of_the_kept_figures() -> None:
    text, pictures = page(claims.read(PAGE.with_suffix("")), CLAIMS, "claims")
    assert PAGE.read_text(encoding="utf-8") == text, "python benchmarks/claims.py --only none --write docs/claims.md"
    for name, drawing in pictures.items():
        assert (PAGE.with_suffix("") / name).read_text(encoding="utf-8") == drawing, name


def test_every_picture_is_a_file_of_its_own_that_follows_the_readers_colours() -> None:
    for name in NAMES:
        drawing = (PAGE.with_suffix("") / f"{name}.svg").read_text(encoding="utf-8")
        assert ET.fromstring(drawing).tag == "{http://www.w3.org/2000/svg}svg"
        assert "prefers-color-scheme:dark" in drawing
        assert "nan" not in drawing.lower().split()


@pytest.mark.parametrize(
    ("name", "above", "level", "below"),
    [
        ("freezing", "Yes, in some case", "Not found", "No, it harms"),
        ("embedding-rate", "In part", "Not found", "Not found"),
        ("max-norm", "Yes, here", "Not found", "No, it harms here"),
        ("dimension", "worth it", "buys nothing", "buys nothing"),
    ],
)
def test_a_verdict_on_accuracy_follows_the_intervals(name: str, above: str, level: str, below: str) -> None:
    figures = kept()[name]["figures"]
    assert above in said(name, with_intervals(figures, 2.0, 1.0, 3.0))
    assert level in said(name, with_intervals(figures, 0.1, -1.0, 1.2))
    if name != "dimension":  # there the reference, which is none below itself, would be too
        assert below in said(name, with_intervals(figures, -2.0, -3.0, -1.0))


@pytest.mark.parametrize(
    ("name", "slower", "faster"),
    [
        ("sparse", "takes 3 times as long as one of plain `Adam`", "is 2 times as fast as one of plain `Adam`"),
        ("mixed-precision", "faster in 0 of", "A step is 2 times as fast"),
        ("int8", "twice as fast in 0 of", "twice as fast in 12 of 12"),
        ("padding", "Not always", "Yes"),
    ],
)
def test_a_verdict_on_time_follows_the_ratios(name: str, slower: str, faster: str) -> None:
    figures = kept()[name]["figures"]
    assert slower in said(name, with_intervals(figures, 3.0, 2.5, 3.5))
    assert faster in said(name, with_intervals(figures, 0.5, 0.4, 0.6))


@pytest.mark.parametrize(
    ("enough", "expected"), [(1_000, "Harmless, more than needed"), (10_000, "**Yes.**"), (60_000, "Not always")]
)
def test_a_vocabulary_is_enough_from_where_no_interval_lies_below(enough: int, expected: str) -> None:
    figures = copy.deepcopy(kept()["vocabulary"]["figures"])
    for one in figures["sets"]:
        for setting, words in zip(one["comparison"]["settings"], one["words"], strict=True):
            all_of_them = words is one["words"][-1]
            high = 1.0 if words["words"] >= enough or all_of_them else -1.0
            setting["points"] = {"value": -2.0, "low": -3.0, "high": high}
    assert expected in said("vocabulary", figures)
    if enough == 10_000:
        assert "10,000 of" in said("vocabulary", figures)


def test_ratios_in_words() -> None:
    assert takes(Estimate(2.0, 1.5, 2.5), "that") == "takes 2 times as long as that"
    assert takes(Estimate(0.25, 0.2, 0.3), "that") == "is 4 times as fast as that"
    assert takes(Estimate(1.1, 0.9, 1.3), "that") == "takes as long as that within the noise (1.1 [0.9, 1.3])"


def test_what_is_tried_is_told_by_its_answer_or_its_error() -> None:
    assert tried(lambda: "fine") == "fine"
    assert tried(lambda: [][1]) == "IndexError: list index out of range"


def test_turns_alternate_and_times_are_those_of_one_call() -> None:
    calls: list[tuple[str, int]] = []

    def block(name: str, seconds: float) -> timing.Block:
        def work(count: int) -> float:
            calls.append((name, count))
            return seconds * count

        return work

    found = timing.alternated([block("a", 0.05), block("b", 0.01)], 2)
    assert found == pytest.approx(np.array([[0.05, 0.01]] * 2))
    assert calls[-4:] == [("a", 2), ("b", 10), ("b", 10), ("a", 2)]


def test_row_by_row_is_the_step_that_sparse_adam_takes() -> None:
    models = {}
    for way in ("SparseAdam", "row by row"):
        case = cases.Case(500, way)
        torch.manual_seed(0)
        models[way] = cases.Model(case)
        with torch.no_grad():
            for place, (_, weight) in enumerate(sorted(models[way].named_parameters())):
                torch.manual_seed(place)
                weight.uniform_(-0.1, 0.1)
        step = cases.stepping(case, models[way])
        for _ in range(3):
            step()
    theirs, ours = (dict(model.named_parameters()) for model in models.values())
    for name, weight in ours.items():
        torch.testing.assert_close(weight, theirs[name], rtol=1e-4, atol=1e-6)


def test_memory_is_that_of_the_case_alone() -> None:
    words = 60_000
    table = words * cases.DIM * 4 / 2**20
    with cases.Child(cases.Case(words, "SparseAdam")) as sparse:
        sparse_tables = sparse.peak_mib / table
    with cases.Child(cases.Case(words, "Adam, fused")) as dense:
        dense_tables = dense.peak_mib / table
        assert dense.seconds(1) > 0
    assert 3 <= sparse_tables < 4 <= dense_tables < 5.5  # weights and two means; a dense gradient besides


def test_a_case_that_is_killed_is_told_from_one_that_is_slow() -> None:
    with cases.Child(cases.Case(100, "Adam")) as child:
        os.kill(child._process.pid or 0, signal.SIGKILL)
        with pytest.raises(MemoryError, match=r"The process of Case\(words=100, optimizer='Adam'.* was ended"):
            child.seconds(1)


def test_nothing_is_written_while_figures_lack(tmp_path: Path) -> None:
    target = tmp_path / "claims.md"
    with pytest.raises(SystemExit, match=r"claims\.md is not written.*lacks figures of sparse, mixed-precision"):
        claims.write(target, target.with_suffix(""))
    assert list(tmp_path.iterdir()) == []


def test_a_page_is_set_anew_from_kept_figures_without_measuring(tmp_path: Path) -> None:
    folder = tmp_path / "claims"
    for name, one in kept().items():
        files.write_file(folder / f"{name}.json", files.json_bytes(one))
    done = run("--only", "none", "--write", str(tmp_path / "claims.md"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "claims.md").read_text(encoding="utf-8") == PAGE.read_text(encoding="utf-8")
    assert (
        Kept(**json.loads((folder / "sparse.json").read_text(encoding="utf-8"))).figures
        == kept()["sparse"]["figures"]
    )


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--only", "sparse,nonsense"], "there is no claim nonsense; there are sparse, mixed-precision"),
        (["--quick", "--write", "page.md"], "--quick measures nothing worth writing"),
    ],
)
def test_options_that_make_no_sense(
    options: list[str], reason: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["claims.py", *options])
    with pytest.raises(SystemExit) as ended:
        claims.main()
    assert ended.value.code == 2
    assert reason in capsys.readouterr().err


def test_an_axis_around_values_holds_them_between_round_ticks() -> None:
    axis = around("%", [76.3, 79.9])
    assert (axis.low, axis.high) == (76.0, 80.0)
    assert [name for _, name in axis.ticks] == ["76", "77", "78", "79", "80"]
