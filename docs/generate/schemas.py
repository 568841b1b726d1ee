"""Write docs/schemas/: a JSON Schema for each file that lexport writes or reads, from the dataclasses behind it."""

from __future__ import annotations

import json
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from lexport.docs.generate.options import described
from lexport.export.evidence.evidence import Evidence, VariantEvidence
from lexport.export.evidence.load import LoadCheck, LoadEvidence, LoadRow
from lexport.export.evidence.load_results import SCHEMA
from lexport.handlers.model.predictor import ModelFile
from lexport.handlers.text.spec import TextSpec
from lexport.loadtest.judging.comparison import Change, Comparison
from lexport.loadtest.measuring.figures import GpuUse, Repeat, ServerFigures, Spread
from lexport.loadtest.results import Capacity, LoadedModel, LoadReport, NotRun, Row, Verdict
from lexport.loadtest.series import Slot
from lexport.loadtest.tuning import results as tuning
from lexport.loadtest.tuning.explain import Effect
from lexport.loadtest.tuning.final import Finalist, Outcome
from lexport.loadtest.tuning.space import Candidate
from lexport.loadtest.tuning.trials import Task, Trial
from lexport.models.recipes import PARTS, GateOptions, TextOptions, TrainingOptions
from lexport.models.run import RunInfo
from lexport.storage.validation import json_schema

FOLDER = Path(__file__).parents[1] / "schemas"
_DRAFT = "https://json-schema.org/draft/2020-12/schema"


def files() -> dict[Path, str]:
    """Return the content of every schema by its file."""
    found = {
        "recipe": ("A recipe, as TOML has it", _recipe()),
        "run": ("run.json of a run", _documented(RunInfo)),
        "text": ("text.json of a run or an archive", _documented(TextSpec)),
        "model": ("model.json of an archive", _documented(ModelFile)),
        "evidence": (
            "evidence.json of an export, and EVIDENCE.json of an archive, which names its variant",
            _evidence(),
        ),
        "tune": ("tune.json of a search, and what `lexport tune --json` prints", _tune_report()),
        "loadtest": ("results.json of a load test, and what `lexport loadtest --json` prints", _load_report()),
    }
    return {
        FOLDER / f"{name}.schema.json": json.dumps({"$schema": _DRAFT, **schema, "title": title}, indent=2) + "\n"
        for name, (title, schema) in found.items()
    }


def _documented(kind: type[Any]) -> dict[str, Any]:
    assert is_dataclass(kind)
    return json_schema(kind, described(kind))


def _recipe() -> dict[str, Any]:
    """Return the schema of a recipe: each section has the options of the part that it names."""
    plain = {"text": TextOptions, "training": TrainingOptions, "gates": GateOptions}
    sections = {name: _documented(kind) for name, kind in plain.items()}
    for section, kinds in PARTS.items():
        first = next(iter(kinds))
        chosen = []
        for name, kind in kinds.items():
            options = _documented(kind)
            properties = {"name": {"const": name}, **options.get("properties", {})}
            chosen.append({**options, "properties": properties, "required": [] if name == first else ["name"]})
        sections[section] = {"oneOf": chosen}
    texts = {"when": {"type": "string"}, "extends": {"type": "string"}}
    return {"type": "object", "properties": texts | sections, "additionalProperties": False}


def _load_report() -> dict[str, Any]:
    schema = _documented(LoadReport)
    schema["properties"]["schema"] = {"const": SCHEMA, "description": "Of this format; 1 had none."}
    met = "Whether every objective was met, and nothing was worse than in an earlier test."
    schema["properties"]["passed"] = {"type": "boolean", "description": met}
    parts = (Row, NotRun, Verdict, Slot, Repeat, Spread, ServerFigures, GpuUse)
    for kind in (*parts, LoadedModel, Comparison, Change, Capacity):
        schema["$defs"][kind.__name__] = _documented(kind)
        schema["$defs"][kind.__name__].pop("$defs", None)
    return schema


def _tune_report() -> dict[str, Any]:
    schema = _documented(tuning.TuneReport)
    schema["properties"]["schema"] = {"const": tuning.SCHEMA, "description": "Of this format."}
    schema["properties"]["winner"] = {"$ref": "#/$defs/Candidate", "description": "The settings to serve with."}
    kinds = (Candidate, Task, Trial, tuning.Point, Spread, Finalist, Outcome, Effect)
    for kind in kinds:
        schema["$defs"][kind.__name__] = _documented(kind)
        schema["$defs"][kind.__name__].pop("$defs", None)
    return schema


def _evidence() -> dict[str, Any]:
    schema = _documented(Evidence)
    schema["properties"]["variants"]["items"] = _documented(VariantEvidence)
    schema["properties"]["variant"] = {"type": "string", "description": "The variant of an archive."}
    load = _documented(LoadEvidence)
    for name, kind in (("rows", LoadRow), ("checks", LoadCheck)):
        load["properties"][name]["items"] = _documented(kind)
    load.pop("$defs", None)
    schema["properties"]["load"] = {**load, "description": "A load test of an archive's variant, if it has one."}
    schema.pop("$defs", None)
    return schema
