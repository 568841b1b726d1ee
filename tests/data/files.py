"""Data files for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def jsonl(*items: Any) -> str:
    return "".join(json.dumps(item) + "\n" for item in items)


def parquet(path: Path, **columns: Any) -> Path:
    arrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet").write_table(arrow.table(columns), path)
    return path
