"""The record of what a server was given: kept, read again, and refused where it is damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lexport.errors import SystemProblem
from lexport.serving import folders
from lexport.serving.operations.locking import as_served
from lexport.serving.operations.ready import check_settings
from lexport.serving.record import Deployed, Record, load, save

from ..refusals import refused


def version(number: str, *, workers: int = 1, default: bool = False) -> Deployed:
    return Deployed("reviews", number, f"/store/{number}.mar", "0" * 64, f"reviews-{number}.mar", workers, default)


ONE, TWO, THREE = version("1", default=True), version("2"), version("3")
ALL = Record((ONE, TWO, THREE))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folders.make_private(tmp_path / "s")
    return tmp_path / "s"


def defaults(record: Record) -> list[str]:
    return [one.version for one in record.versions if one.default]


def test_it_is_read_as_it_was_written(folder: Path) -> None:
    assert load(folder) is None
    save(folder, ALL.with_default("reviews", "2"))
    assert load(folder) == ALL.with_default("reviews", "2")
    assert (folder / folders.DEPLOYED).stat().st_mode & 0o777 == 0o600


def test_a_rollback_goes_further_back_each_time() -> None:
    record = ALL.with_default("reviews", "2").with_default("reviews", "3")
    assert (defaults(record), record.before) == (["3"], {"reviews": ["2", "1"]})
    record = record.rolled_back("reviews", "2")
    assert (defaults(record), record.before) == (["2"], {"reviews": ["1"]})
    record = record.rolled_back("reviews", "1")
    assert (defaults(record), record.before) == (["1"], {"reviews": []})


def test_a_version_that_is_taken_out_is_nothing_to_roll_back_to() -> None:
    record = ALL.with_default("reviews", "2").without("reviews", ["1"])
    assert [one.version for one in record.versions] == ["2", "3"]
    assert record.before == {"reviews": []}


def described(number: str, *, workers: int, default: bool) -> dict[str, Any]:
    return {"modelName": "reviews", "modelVersion": number, "minWorkers": workers, "default": default}


def test_what_the_server_says_comes_before_what_was_written() -> None:
    now = [described("1", workers=4, default=False), described("2", workers=1, default=True)]
    found = as_served(ALL, now)
    assert [(one.version, one.workers, one.default) for one in found.versions] == [("1", 4, False), ("2", 1, True)]
    assert found.before == {"reviews": ["1"]}


def test_other_settings_than_an_archive_asks_for_are_an_error() -> None:
    found = {**described("1", workers=1, default=True), "batchSize": 1, "maxBatchDelay": 1}
    check_settings(found, {"batchSize": 1, "maxBatchDelay": 1})
    with refused(SystemProblem, "LX-SERVE-188", "reviews 1", "batchSize=1 for 64"):
        check_settings(found, {"batchSize": 64, "maxBatchDelay": 1})


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"versions": [{"name": "reviews"}]},
        {"versions": 3},
        {"before": []},
        {"versions": [{**vars(ONE), "workers": "2"}]},
    ],
)
def test_a_damaged_record_is_refused_with_what_to_do(folder: Path, change: dict[str, Any]) -> None:
    save(folder, ALL)
    path = folder / folders.DEPLOYED
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with refused(SystemProblem, "LX-SERVE-170", str(path), "lexport serve NAME-VERSION.mar"):
        load(folder)
    path.write_bytes(b"\xff{")
    with refused(SystemProblem, "LX-SERVE-170", str(path)):
        load(folder)
