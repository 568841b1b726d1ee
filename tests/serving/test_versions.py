"""The newest of several versions, as people write them; what has no order is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexport.errors import InputError
from lexport.serving.store import newest as store_newest
from lexport.serving.versions import newest, order

from ..refusals import refused

numbers = st.lists(st.integers(0, 10**30), min_size=1, max_size=4)


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("1.9", "v2"),
        ("1.9", "1.10"),
        ("1.0", "1.0.post1"),
        ("1.0rc1", "1.0"),
        ("1.0-rc1", "1.0"),
        ("1.0.dev3", "1.0a1"),
        ("v1.2", "1.3"),
        ("1.0.0", "1.0.0+build.7"),
        ("2025-12-31", "2026-01-02"),
        ("1.9", "2026-01-02"),
        ("20260101", "20260102"),
        ("1_9", "1_10"),
    ],
)
def test_the_newer_version_is_found(older: str, newer: str) -> None:
    assert newest([older, newer]) == newest([newer, older]) == newer


@given(numbers, numbers)
def test_numbers_count_part_by_part(one: list[int], other: list[int]) -> None:
    texts = [".".join(map(str, parts)) for parts in (one, other)]
    longest = max(len(one), len(other))
    values = [parts + [0] * (longest - len(parts)) for parts in (one, other)]
    if values[0] == values[1]:
        assert order(texts[0]) == order(texts[1])
    else:
        assert newest(texts) == texts[values.index(max(values))]


@pytest.mark.parametrize(
    ("versions", "named"),
    [
        (["1.0", "latest"], "latest cannot be ordered"),
        (["candidate", "stable", "1.0"], "candidate, stable cannot be ordered"),
        (["1.0", "9" * 5000], "9 cannot be ordered"),
        (["1.0", "1.0.0"], "the same version"),
        (["v1.0", "0.9", "1.0"], "v1.0 and 1.0 are the same version"),
    ],
)
def test_what_cannot_be_ordered_is_named(versions: list[str], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        newest(versions)


def test_an_archive_of_a_store_is_served_by_its_version(tmp_path: Path, make_archive: Callable[..., Path]) -> None:
    for version in ("1.9", "v2", "1.10"):
        make_archive(tmp_path, "reviews", version)
    assert store_newest(tmp_path)["reviews"].name == "reviews-v2.mar"
    make_archive(tmp_path, "reviews", "stable")
    with refused(InputError, "LX-SERVE-023", "reviews: stable cannot be ordered") as caught:
        store_newest(tmp_path)
    assert "lexport serve" in str(caught.value)


def test_two_files_of_one_version_are_named(tmp_path: Path, make_archive: Callable[..., Path]) -> None:
    path = make_archive(tmp_path, "reviews")
    (tmp_path / "copy.mar").write_bytes(path.read_bytes())
    with refused(InputError, "LX-SERVE-022", "copy.mar", "reviews-1.0.mar both contain reviews 1.0"):
        store_newest(tmp_path)


def test_hidden_files_are_no_archives(tmp_path: Path, make_archive: Callable[..., Path]) -> None:
    path = make_archive(tmp_path, "reviews")
    (tmp_path / "._reviews-1.0.mar").write_bytes(b"\0\5\x16\7")
    assert store_newest(tmp_path) == {"reviews": path}


def test_a_single_version_needs_no_order() -> None:
    assert newest(["latest"]) == "latest"
