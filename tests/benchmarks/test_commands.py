"""The benchmark of whole commands: its data, its verdicts, and a run beside a program that stands in for fastText."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lexport.benchmarks import commands
from lexport.data.load import load
from lexport.data.splits import split

# It keeps what fastText does at the command line: a model file, and how often it was right.
STAND_IN = """#!/usr/bin/env python3
import sys
from pathlib import Path
if sys.argv[1] == "supervised":
    given = dict(zip(sys.argv[2::2], sys.argv[3::2]))
    assert all(line.startswith("__label__topic-") for line in Path(given["-input"]).read_text().splitlines())
    Path(given["-output"] + ".bin").write_bytes(b"")
else:
    print("N\\t10\\nP@1\\t0.125\\nR@1\\t0.125")
"""


@pytest.mark.long
def test_commands(tmp_path: Path) -> None:
    program = tmp_path / "fasttext"
    program.write_text(STAND_IN)
    program.chmod(0o755)
    script = Path(__file__).parents[2] / "benchmarks" / "commands.py"
    command = [sys.executable, str(script), "--quick", "--fasttext", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    (row,) = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith("| 400 |")]
    ours, theirs, our_memory, their_memory = (float(row[place]) for place in (2, 3, 7, 8))
    assert ours > theirs
    assert our_memory > 100 > their_memory  # torch, and an interpreter alone
    assert row[-1].startswith("12.50% (0.1)")
    assert sum(line.endswith((" yes |", " NO |")) for line in done.stdout.splitlines()) == 3


def test_both_sides_get_the_same_rows_in_the_same_parts(tmp_path: Path) -> None:
    task = commands.made(tmp_path, 500)
    parts = split(load(str(task.table)))
    for part, file in task.theirs.items():
        own = getattr(parts, part)
        lines = [f"__label__{label} {text}" for text, label in zip(own.texts, own.labels, strict=True)]
        assert file.read_text().splitlines() == lines
    assert list(commands.texts(20)) == list(commands.texts(20))


def test_limits_are_of_each_size_and_of_their_growth() -> None:
    def measured(rows: int, seconds: float, memory: float) -> commands.Measured:
        task = commands.Task(rows, Path(), {}, rows / 10_000, 16)
        ours, theirs = commands.Cost(seconds, 1.0, memory), commands.Cost(1.0, 1.0, 50.0)
        return commands.Measured(task, [ours], [theirs], 0.9, 0.8, 0.5)

    sizes = [measured(20_000, 6.1, 300.0), measured(200_000, 6.0, 410.0), measured(2_000_000, 61.0, 951.0)]
    held = {verdict.asked: verdict.held for verdict in commands.verdicts(sizes)}
    assert [asked for asked, kept in held.items() if not kept] == [
        "20,000 rows: at most 2 × fastText's time and 4 s",
        "2,000,000 rows: at most 2 × fastText's time and 4 s",
        "2,000,000 rows: at most 350 MB and 3 × the file",
        "time: 10 × the rows, at most 10 × the time",
    ]
