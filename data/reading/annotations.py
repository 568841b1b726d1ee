"""Exports of annotation tools: which tool made them, and the texts and labels in their objects.

doccano's JSONL needs nothing: its labels are lists in `label`. Prodigy's (`db-out`) have the chosen options in
`accept` and the annotator's verdict in `answer`. Label Studio's JSON has texts in `data` and choices in
`annotations`; its short form (JSON-MIN) has the choices under their own name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ..columns import Columns

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Export(ABC):
    """An export of a tool."""

    columns: Columns
    """The wanted columns; labels are put into that of the labels."""

    TOOL: ClassVar[str]
    """The tool's name."""

    @abstractmethod
    def records(self, item: Record) -> Iterator[Record]:
        """Yield a record for each annotation of an object; none if all were rejected."""

    def labelled(self, record: Record, label: Any) -> Record:
        """Return the record with a label, if labels are wanted and the record does not have that column."""
        name = self.columns.label
        return record if name is None or name in record else {**record, name: label}


class Prodigy(Export):
    """One object a line, of which only those accepted count."""

    TOOL: ClassVar[str] = "Prodigy"

    def records(self, item: Record) -> Iterator[Record]:
        """Yield the object if it was accepted, with the options that were chosen."""
        if item.get("answer") == "accept":
            chosen = item.get("accept")
            name = self.columns.label
            yield self.labelled(item, chosen) if chosen is None or name != "label" else {**item, "label": chosen}


class LabelStudio(Export):
    """A list of tasks, each with any number of annotations."""

    TOOL: ClassVar[str] = "Label Studio"

    def records(self, item: Record) -> Iterator[Record]:
        """Yield the task's data with the choices of each annotation that was not cancelled."""
        data = item.get("data")
        annotations = item.get("annotations")
        if not isinstance(data, dict) or not isinstance(annotations, list):
            yield item
            return
        if not annotations:
            yield self.labelled(data, None)
        for annotation in annotations:
            if isinstance(annotation, dict) and not annotation.get("was_cancelled"):
                yield {**data, **self._choices(annotation.get("result"))}

    def _choices(self, results: Any) -> Record:
        """Return the choices of an annotation by the name of their question; those of the only one as labels."""
        found: dict[str, Any] = {}
        for result in results if isinstance(results, list) else []:
            value = result.get("value") if isinstance(result, dict) else None
            chosen = _chosen(value)
            if chosen is not None:
                found[str(result.get("from_name"))] = chosen
        name = self.columns.label
        if name is not None and name not in found and len(found) < 2:
            return {name: next(iter(found.values()), None)}
        return found


class LabelStudioShort(Export):
    """A list of texts, each with its choices under the name of their question."""

    TOOL: ClassVar[str] = "Label Studio"
    OWN: ClassVar[frozenset[str]] = frozenset(
        ("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time")
    )

    def records(self, item: Record) -> Iterator[Record]:
        """Yield the object, its only question as the label."""
        flat = {name: _chosen(value) if isinstance(value, dict) else value for name, value in item.items()}
        wanted = {name for field, name in self.columns.named().items() if field != "label"}
        questions = [name for name in flat if name not in self.OWN | wanted]
        yield self.labelled(flat, flat[questions[0]]) if len(questions) == 1 else flat


def _chosen(value: Any) -> Any:
    if not isinstance(value, dict):
        return None
    if "choices" in value:
        return value["choices"]
    return str(value["rating"]) if "rating" in value else None


def export_of(first: Record, columns: Columns) -> Export | None:
    """Return the export whose first object is `first`; None if no tool is recognised."""
    if first.get("answer") in ("accept", "reject", "ignore") and {"_task_hash", "_input_hash"} & first.keys():
        return Prodigy(columns)
    if isinstance(first.get("data"), dict) and isinstance(first.get("annotations"), list):
        return LabelStudio(columns)
    if {"annotation_id", "annotator"} <= first.keys():
        return LabelStudioShort(columns)
    return None
