"""`lexport archive --with-load`: a load test joins the evidence of the model that it measured, and of no other."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lexport.cli.archive_tables import comparison, inspection
from lexport.docs.generate import schemas
from lexport.errors import InputError, RefusedError
from lexport.export.archive.diff import compare
from lexport.export.archive.format.reader import EVIDENCE, read_json
from lexport.export.archive.inspect import inspect
from lexport.export.archive.pack import archive
from lexport.export.archive.verify import verify
from lexport.export.evidence.load import LoadCheck, LoadEvidence, LoadRow, model_digest, read_load
from lexport.loadtest.measuring.figures import ServerFigures
from lexport.loadtest.objectives import judge, parse
from lexport.loadtest.results import LoadedModel, Row
from lexport.storage.atomic import json_bytes

from ... import json_schema
from ...loadtest.samples import REPORT, ROW, repeated
from ...refusals import refused

MACHINE = {"system": "Linux", "processor": "a processor", "cores": 2, "memory_gib": 7.7}
SETTINGS = {**REPORT.settings, "arrivals": "closed", "texts": "secret.csv", "headers": ["X-Key"], "host": "http://h"}
SERVED = ServerFigures(100, 50, 100, 0.5, 0.2, 2.0, 5.0, 4.0, None)


@pytest.fixture
def measured(run_folder: Path, archive_of: Callable[[str], Path], tmp_path: Path) -> Callable[..., Path]:
    """The results.json of a load test of this run's onnx-int8, and of another model."""

    def write(*rows: Row, name: str = "results.json", **changes: Any) -> Path:
        digest = model_digest(read_json(archive_of("onnx-int8"), EVIDENCE))
        rows = rows or (replace(repeated(ROW, [990.0, 1000.0, 1010.0]), server=SERVED),)
        other = replace(ROW, archive="books-1.0", requests_per_second=1.0)
        objectives = parse(["p99=50ms"])
        report = replace(
            REPORT,
            rows=(*rows, other),
            objectives=tuple(map(str, objectives)),
            verdicts=judge(objectives, (*rows, other)),
            settings=SETTINGS,
            machine=MACHINE,
            tested={
                "films-1.0": LoadedModel("films", "1.0", "onnx-int8", digest),
                "books-1.0": LoadedModel("books", "1.0", "onnx-fp32", "00"),
            },
        )
        path = tmp_path / name
        path.write_bytes(json_bytes(report.as_dict() | changes))
        return path

    return write


def pack(run: Path, out: Path, load: Path | None, variant: str = "onnx-int8", version: str = "1.0") -> Path:
    return archive(run, version=version, variant=variant, out=out, with_load=load)


def shown(screen: Any) -> str:
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(screen)
    return console.export_text()


def test_without_a_load_test_an_archive_is_what_it_was(run_folder: Path, tmp_path: Path) -> None:
    path = pack(run_folder, tmp_path, None)
    assert "load" not in read_json(path, EVIDENCE)
    assert (
        path.read_bytes() == archive(run_folder, version="1.0", variant="onnx-int8", out=tmp_path / "b").read_bytes()
    )


def test_the_load_test_joins_the_evidence_without_what_may_be_private(
    run_folder: Path, tmp_path: Path, measured: Callable[..., Path]
) -> None:
    path = pack(run_folder, tmp_path, measured())
    verify(path)
    evidence = read_json(path, EVIDENCE)
    load = read_load(evidence["load"])
    [row] = load.rows
    assert (row.workers, row.users, row.runs, row.requests_per_second) == ("cpu:1", 16, 3, 1000.0)
    assert (row.spread["requests_per_second"]["low"], row.batch_texts, row.queue_ms) == (990.0, 2.0, 5.0)
    assert [(check.objective, check.passed) for check in load.checks] == [
        ("p99 <= 50 ms", True),
        ("failures <= 0%", True),
    ]
    assert load.model == model_digest(evidence)
    for secret in ("secret.csv", "X-Key", "http://h", "books"):
        assert secret not in json.dumps(evidence["load"])
    schema = json.loads((schemas.FOLDER / "evidence.schema.json").read_text(encoding="utf-8"))
    assert json_schema.problems(schema, evidence) == []


def test_the_archive_is_the_same_whenever_it_is_packed(
    run_folder: Path, tmp_path: Path, measured: Callable[..., Path]
) -> None:
    load = measured()
    one, other = (pack(run_folder, tmp_path / name, load) for name in "ab")
    assert one.read_bytes() == other.read_bytes()
    assert one.read_bytes() != pack(run_folder, tmp_path / "c", None).read_bytes()


def test_it_may_be_measured_on_an_archive_of_another_name_and_version(
    run_folder: Path, tmp_path: Path, measured: Callable[..., Path]
) -> None:
    path = archive(
        run_folder, version="7", name="other", variant="onnx-int8", out=tmp_path, with_load=measured(), no_texts=True
    )
    assert read_load(read_json(path, EVIDENCE)["load"]).rows


def test_another_model_is_refused(run_folder: Path, tmp_path: Path, measured: Callable[..., Path]) -> None:
    with refused(
        InputError, "LX-ARCHIVE-302", "torchscript-fp32", "films-1.0 (onnx-int8), books-1.0 (onnx-fp32)"
    ) as caught:
        pack(run_folder, tmp_path / "out", measured(), variant="torchscript-fp32")
    assert caught.value.exit_code == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"schema": 2}, "LX-ARCHIVE-301"),
        ({"rows": 3}, "LX-ARCHIVE-300"),
        ({"machine": None}, "LX-ARCHIVE-300"),
        ({"tested": []}, "LX-ARCHIVE-300"),
        ({"versions": {"python": 3}}, "LX-ARCHIVE-300"),
    ],
)
def test_what_cannot_be_read_is_refused(
    run_folder: Path, tmp_path: Path, measured: Callable[..., Path], changes: dict[str, Any], code: str
) -> None:
    with refused(InputError, code, "results.json"):
        pack(run_folder, tmp_path / "out", measured(**changes))


def test_numbers_that_json_does_not_have_are_refused(
    run_folder: Path, tmp_path: Path, measured: Callable[..., Path]
) -> None:
    path = measured()
    path.write_text(path.read_text().replace('"p50_ms": 4.0', '"p50_ms": NaN'))
    with refused(InputError, "LX-ARCHIVE-300", "NaN"):
        pack(run_folder, tmp_path / "out", path)
    with refused(InputError, "LX-ARCHIVE-300", "absent.json"):
        pack(run_folder, tmp_path / "out", tmp_path / "absent.json")


def test_a_load_test_of_another_model_fails_verification(
    run_folder: Path, tmp_path: Path, measured: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `archive` refuses, packed all the same."""
    from lexport.export.archive import pack as packing

    stolen = {**read_json(pack(run_folder, tmp_path, measured()), EVIDENCE)["load"], "model": "00"}
    monkeypatch.setattr(packing, "load_evidence", lambda *given: stolen)
    path = pack(run_folder, tmp_path / "forged", measured())
    with refused(RefusedError, "LX-ARCHIVE-038", "load test in the evidence was measured on another model"):
        verify(path)


def test_inspect_shows_it(run_folder: Path, tmp_path: Path, measured: Callable[..., Path]) -> None:
    found = inspect(pack(run_folder, tmp_path, measured()))
    text = shown(inspection(found))
    for part in (
        "Load test of 2026-01-02 on a processor, 2 cores",
        "p99 <= 50 ms",
        "cpu:1, 16 users",
        "1,000",
        "5.00",
    ):
        assert part in text
    assert "(2 of 2 checks judged, 0 missed)" in text
    disturbed = replace(ROW, other_work="the machine was 100% busy, 45% with other work")
    path = pack(run_folder, tmp_path / "disturbed", measured(disturbed, name="disturbed.json"))
    text = shown(inspection(inspect(path)))
    assert "other work" in text
    assert "(1 of 2 checks judged, 0 missed)" in text
    assert "load test" not in shown(inspection(inspect(pack(run_folder, tmp_path / "b", None))))


def test_diff_compares_two_load_tests(run_folder: Path, tmp_path: Path, measured: Callable[..., Path]) -> None:
    slower = repeated(ROW, [490.0, 500.0, 510.0])
    before = pack(run_folder, tmp_path / "a", measured())
    after = pack(run_folder, tmp_path / "b", measured(slower, name="later.json"), version="1.1")
    text = shown(comparison(compare(before, after)))
    assert "cpu:1, 16 users: req/s" in text
    assert "-50.0%" in text
    elsewhere = {"machine": {**MACHINE, "cores": 64}}
    far = pack(run_folder, tmp_path / "c", measured(name="far.json", **elsewhere), version="1.2")
    assert "two machines: a processor, 2 cores; a processor, 64 cores" in shown(comparison(compare(before, far)))
    none = pack(run_folder, tmp_path / "d", None, version="1.3")
    assert "only 1.0 has a load test in its evidence" in shown(comparison(compare(before, none)))


def test_every_field_is_on_the_page_of_the_evidence() -> None:
    page = (Path(__file__).parents[3] / "docs" / "evidence.md").read_text(encoding="utf-8")
    names = {field.name for kind in (LoadEvidence, LoadRow, LoadCheck) for field in fields(kind)}
    assert {name for name in names if f"`{name}`" not in page} == set()
