"""The rooms of the package: few modules in each, and only what belongs to all of them at the root."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from ..conftest import FIRST, TOGETHER, TORCHSERVE_IN_FULL_RUNS

ROOT = Path(__file__).parents[2]
MOST = 15
BESIDE = {"tests", "benchmarks", "docs", "build"}


def modules() -> list[Path]:
    """The package's modules, as paths from the root."""
    rooms = [one for one in ROOT.iterdir() if one.is_dir() and one.name not in BESIDE and one.name[0] != "."]
    found = [*ROOT.glob("*.py"), *(path for room in rooms for path in room.rglob("*.py"))]
    return [path.relative_to(ROOT) for path in found]


def test_no_folder_has_more_loose_modules_than_a_reader_can_keep_in_mind() -> None:
    counts = Counter(str(path.parent) for path in modules() if path.name != "__init__.py")
    assert {folder: count for folder, count in counts.items() if count > MOST} == {}


def test_only_four_modules_lie_at_the_root() -> None:
    loose = {path.name for path in modules() if len(path.parts) == 1}
    assert loose == {"__init__.py", "__main__.py", "errors.py", "version.py", "setup.py"}


def test_the_tests_mirror_the_rooms() -> None:
    rooms = {path.parts[0] for path in modules() if len(path.parts) > 1}
    assert {room for room in rooms if not (ROOT / "tests" / room).is_dir()} == set()


@pytest.mark.parametrize("name", sorted({*TOGETHER, *TORCHSERVE_IN_FULL_RUNS, *FIRST}))
def test_what_conftest_says_of_a_file_is_of_one_that_is_there(name: str) -> None:
    path = ROOT / "tests" / name
    assert path.is_dir() if name.endswith("/") else path.is_file()
