"""A model of MLflow: the file MLmodel, the archive as its data, and the code that opens it. No pickle is in it."""

from __future__ import annotations

import json
import platform
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from ...handlers.model.goldens import Golden
from ...storage.atomic import json_bytes
from .evidence import Proof, judged, unproven
from .exit import MODEL_PROGRAM, Exit, program, readme, requirements
from .packed import FOLDER, Packed
from .running import Environment, run

_PACKAGE, _PROGRAM = "mlflow", "mlflow models predict"
_CODE = "code"
_LOADER = "lexport_mlflow"
_TEXT = """
    pip install -r requirements.txt
    mlflow models predict --model-uri . --env-manager local --content-type json \\
        --input-path input_example.json
    mlflow models serve --model-uri . --env-manager local

or in Python `mlflow.pyfunc.load_model(".").predict(rows)`. `rows` has {columns}; an answer is a row with {answers}.
Without `--env-manager local` MLflow makes an environment of `python_env.yaml`. To register it:
`mlflow.register_model("file:///…/this folder", "{name}")`.
"""


class MLflow(Exit):
    """A model of the flavor `python_function`."""

    def files(self, packed: Packed) -> dict[str, bytes]:
        """Return the MLmodel file with its signature, the code, the environment and an example."""
        python = platform.python_version()
        flavor = {
            "loader_module": _LOADER,
            "data": FOLDER,
            "code": _CODE,
            "python_version": python,
            "env": {"virtualenv": "python_env.yaml"},
        }
        columns, answers = _columns(packed), _answer_columns(packed)
        model = {
            "flavors": {"python_function": flavor},
            "metadata": {"lexport_name": packed.model.name, "lexport_version": packed.model.version},
            "signature": {"inputs": json.dumps(columns), "outputs": json.dumps(answers), "params": None},
        }
        text = _TEXT.format(
            columns=" and ".join(f"the column `{one['name']}`" for one in columns),
            answers=", ".join(f"`{one['name']}`" for one in answers),
            name=packed.model.name,
        )
        needs = requirements(packed, "mlflow", "pandas")
        environment = {"python": python, "build_dependencies": ["pip"], "dependencies": ["-r requirements.txt"]}
        return {
            "MLmodel": yaml.safe_dump(model, sort_keys=False, width=1000).encode(),
            f"{_CODE}/{MODEL_PROGRAM}": program(MODEL_PROGRAM),
            f"{_CODE}/{_LOADER}.py": program(f"{_LOADER}.py"),
            "python_env.yaml": yaml.safe_dump(environment, sort_keys=False).encode(),
            "requirements.txt": needs,
            "input_example.json": json_bytes(_input(packed.goldens[:1])),
            "README.md": readme(packed, "MLflow", text),
        }

    def prove(self, folder: Path, packed: Packed, environment: Environment) -> Sequence[Proof]:
        """Have `mlflow models predict` answer all goldens."""
        version = environment.version(_PACKAGE)
        if version is None:
            return [unproven(_PROGRAM, environment.missing(_PACKAGE))]
        with tempfile.TemporaryDirectory(prefix="lexport-") as name:
            scratch = Path(name)
            asked, answered = scratch / "asked.json", scratch / "answered.json"
            asked.write_bytes(json_bytes(_input(packed.goldens)))
            command: list[str | Path] = [environment.python, "-m", "mlflow", "models", "predict"]
            command += ["--model-uri", folder.resolve()]
            command += ["--env-manager", "local", "--content-type", "json"]
            command += ["--input-path", asked, "--output-path", answered]
            variables = environment.variables(scratch) | {"MLFLOW_TRACKING_URI": (scratch / "runs").as_uri()}
            run(command, cwd=scratch, variables=variables, what=_PROGRAM)
            rows = json.loads(answered.read_text(encoding="utf-8"))
        answers = [_answer(row) for row in (rows["predictions"] if isinstance(rows, dict) else rows)]
        return [judged(_PROGRAM, packed, packed.goldens, answers, versions={_PACKAGE: version})]


def _columns(packed: Packed) -> list[dict[str, Any]]:
    text = {"type": "string", "name": "text", "required": not packed.takes_images}
    if packed.languages:
        return [text, {"type": "string", "name": "lang", "required": True}]
    if packed.takes_images:
        numbers = {"type": "array", "items": {"type": "double"}}
        return [text, numbers | {"name": "image", "required": False}]
    return [text]


def _answer_columns(packed: Packed) -> list[dict[str, Any]]:
    """Return the columns of the answers, in the types of MLflow's signatures."""
    [first, *_] = [golden.variant for golden in packed.goldens if golden.image is None]
    types: dict[str, dict[str, Any]] = {
        "label": {"type": "string"},
        "score": {"type": "double"},
        "scores": {"type": "map", "values": {"type": "double"}},
        "labels": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "label": {"type": "string", "required": True},
                    "score": {"type": "double", "required": True},
                },
            },
        },
        "vector": {"type": "array", "items": {"type": "double"}},
        "tokens": {"type": "long"},
        "unknown": {"type": "long"},
        "truncated": {"type": "boolean"},
    }
    return [types[name] | {"name": name, "required": True} for name in first]


def _input(goldens: Sequence[Golden]) -> dict[str, Any]:
    """Return goldens as the body of a request to MLflow."""
    columns = [
        name for name in ("text", "lang", "image") if any(_cell(golden, name) is not None for golden in goldens)
    ]
    rows = [[_cell(golden, name) for name in columns] for golden in goldens]
    return {"dataframe_split": {"columns": columns, "data": rows}}


def _cell(golden: Golden, name: str) -> Any:
    if name == "text":
        return golden.text if golden.image is None else None
    return golden.lang if name == "lang" else golden.image


def _answer(row: dict[str, Any]) -> dict[str, Any]:
    """Return an answer without the empty cells, NaN or None, of what other answers of its table have."""
    return {name: value for name, value in row.items() if value is not None and value == value}
