"""The file of a load test: read in a report's folder or by itself, and nothing else is taken for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lexport.export.evidence import load_results
from lexport.export.evidence.load_results import load_in_words, read_results
from lexport.loadtest.report import write
from lexport.loadtest.results import LoadReport

from ...loadtest.samples import REPORT


def test_a_report_is_read_by_its_folder_or_its_file(tmp_path: Path) -> None:
    report: LoadReport = REPORT
    write(report, tmp_path / "out", "")
    found = read_results(tmp_path / "out")
    assert found == read_results(tmp_path / "out" / "results.json")
    assert found["schema"] == load_results.SCHEMA
    assert [row["archive"] for row in found["rows"]] == ["films-1.0"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "property name"),
        (b"[]", "not an object"),
        (b"{}", "no list of rows"),
        (b'{"rows": 3}', "no list of rows"),
        (b'{"rows": [3]}', "no list of rows"),
        (b'{"rows": [{"requests_per_second": 1e999}]}', "not a finite number"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "results.json").write_bytes(content)
    with pytest.raises(ValueError, match=reason):
        read_results(tmp_path)


def test_a_file_of_too_many_bytes_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "results.json").open("wb") as file:
        file.truncate((1 << 28) + 1)
    with pytest.raises(ValueError, match="more than 268,435,456 bytes"):
        read_results(tmp_path / "results.json")


def test_no_file_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_results(tmp_path)


def test_a_load_is_named_by_its_users_or_by_its_rate_and_pattern() -> None:
    assert [load_in_words("closed", users) for users in (1, 16)] == ["1 user", "16 users"]
    assert load_in_words("spike", 2500.0) == "2,500 requests/s (spike)"
