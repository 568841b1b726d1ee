"""What MLflow loads: `loader_module` of the file MLmodel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from lexport_model import ArchivedModel, Refused

_ASKED = ("text", "lang", "image")


class _Model:
    def __init__(self, model: ArchivedModel) -> None:
        self._model = model

    def predict(self, rows: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Return a row of answers for each row: text, or lang and text, or image. Raises Refused."""
        columns = [name for name in _ASKED if name in rows]
        found = []
        for status, answer in self._model.answer([_request(row, columns) for _, row in rows.iterrows()]):
            if status != 200:
                raise Refused(status, answer)
            found.append(answer)
        return pd.DataFrame(found)


def _request(row: Any, columns: list[str]) -> dict[str, Any]:
    given = {name: row[name] for name in columns}
    return {
        name: value.tolist() if hasattr(value, "tolist") else value
        for name, value in given.items()
        if isinstance(value, str) or hasattr(value, "__len__")
    }


def _load_pyfunc(path: str) -> _Model:
    """Open the archive in the folder `path`. Called by MLflow."""
    return _Model(ArchivedModel(Path(path)))
