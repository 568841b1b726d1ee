"""Check and clean rows: what they must have, which are dropped, and what is said of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from ..errors import InputError
from ..storage.compression import listed
from . import cells
from .columns import Columns, Place, Row, Rows
from .dataset import SEPARATOR, Dataset, Images, dataset_of, label_sets
from .reading.bad_rows import BadRows
from .reading.options import Reading
from .subjects import Subjects, subject_of

_SAMPLE = 2_000  # rows that the separator of labels is found in


class _Item(NamedTuple):
    """A row with checked cells; None if the column is not read or the cell is blank; a blank text is ""."""

    text: str
    label: str | None
    language: str | None
    pair: str | None
    image: Images | None
    part: str | None
    key: str | None


def clean(
    name: str, sources: Sequence[Rows], columns: Columns, reading: Reading, bad: BadRows, *, multi_label: bool
) -> Dataset:
    """Return the rows of `sources` as a dataset called `name`, without those that `reading` has dropped.

    `bad` has the rows that could not be read. Raises InputError with the places of all rows that are wrong, if there
    are more than may be skipped, and if none is left.
    """
    cleaner = _Cleaner(columns, reading, bad, multi_label=multi_label)
    for source in sources:
        cleaner.read(source)
    bad.check(name, cleaner.rows + bad.count)
    return cleaner.dataset(name, sources)


class _Cleaner:
    """The rows read so far, those that may be kept as columns: an object a row would take twice the memory."""

    def __init__(self, columns: Columns, reading: Reading, bad: BadRows, *, multi_label: bool) -> None:
        self._columns, self._reading, self._bad, self._multi_label = columns, reading, bad, multi_label
        # The fields that a row must have, and their places in an item.
        self._places = [(field, _Item._fields.index(field)) for field in columns.named()]
        self._needed = itemgetter(*(place for field, place in self._places if field != "image"), 0)
        self.rows = 0
        self._empty = self._unlabelled = 0
        self._texts: list[str] = []
        self._labels: list[str] = []
        self._names: dict[str, str | None] = {}  # the labels by their cells
        self._further: dict[str, list[Any]] = {
            field: [] for field in ("language", "pair", "image", "part", "key") if field in columns.named()
        }
        self._subjects = Subjects()
        # What rows are known by, where more than the first of a subject may be kept.
        self._seen: set[Hashable] | None = None
        if reading.duplicates == "drop" and (columns.image is not None or reading.conflicts != "drop"):
            self._seen = set()
        self._missing: dict[str, list[tuple[Rows, int, str]]] = {field: [] for field, _ in self._places}
        self._sizes: dict[int, str] = {}  # the first place of each number of image values
        self.separator = reading.label_separator

    def read(self, source: Rows) -> None:
        """Read the rows of a source."""
        place = Place(source)
        rows = self._with_separator(source.rows)
        if self._seen is None and self._columns.named().keys() <= {"text", "label"}:
            rows = self._all_but_plain(rows)
        for row in rows:
            self.rows += 1
            place.number = row.number
            try:
                item = self._item(row, place)
            except InputError as error:
                self._bad.add(error)
                self.rows -= 1
                continue
            self._add(item, place)

    def _with_separator(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Yield the rows, once the separator of labels is known, where several are read."""
        if self.separator is not None or not self._multi_label:
            return iter(rows)
        iterator = iter(rows)
        first = list(islice(iterator, _SAMPLE))
        self.separator = cells.find_separator(row.label for row in first)
        return chain(first, iterator)

    def _all_but_plain(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Keep the rows of a new ASCII text and a known label, most of all in large files; yield the others."""
        texts, labels, names, further = self._texts, self._labels, self._names, self._further
        first = self._subjects.first
        labelled = self._columns.label is not None
        for row in rows:
            cell, label = row.text, row.label if labelled else ""
            if type(cell) is str and type(label) is str and cell.isascii() and row.part is None and not further:
                text, known = cell.strip(), names.get(label) if labelled else label
                if text and known is not None and text not in first:
                    self.rows += 1
                    first[text] = known
                    texts.append(text)
                    labels.append(known)
                    continue
            yield row

    def _item(self, row: Row, place: Place) -> _Item:
        columns = self._columns
        return _Item(
            cells.text(row.text, place),
            "" if columns.label is None else self._label(row.label, place),
            None if columns.language is None else cells.language(row.language, place),
            None if columns.pair is None else cells.text(row.pair, place, "pair"),
            None if columns.image is None else cells.image(row.image, place),
            None if row.part is None and columns.part is None else cells.part(row.part, place),
            None if columns.key is None else cells.label(row.key, place),
        )

    def _label(self, cell: Any, place: Place) -> str | None:
        """Return the label of a cell; one string for all rows of a label, not one for each."""
        if not isinstance(cell, str):
            return self._read_label(cell, place)
        if cell not in self._names:
            self._names[cell] = self._read_label(cell, place)
        return self._names[cell]

    def _read_label(self, cell: Any, place: Place) -> str | None:
        names = self._reading.map_labels
        if not self._multi_label:
            label = cells.label(cell, place)
            return (names.get(label, label) or None) if label is not None and names else label
        found = cells.labels(cell, place, self.separator or SEPARATOR)
        if not names:
            return found
        (own,) = label_sets([found])
        return SEPARATOR.join(sorted({names.get(label, label) for label in own} - {""}))

    def _add(self, item: _Item, place: Place) -> None:
        if not item.text or item.pair == "":
            self._empty += 1
            return
        if None in self._needed(item) or (item.image is None and self._columns.image is not None):
            self._note_missing(item, place)
            return
        image = None
        if item.image is not None:
            self._sizes.setdefault(len(item.image), str(place))
            _check_sizes(self._sizes)
            image = item.image.tobytes()
        label = item.label or ""
        subject = subject_of(item.text, item.language, item.pair, image)
        identity = subject if image is None else (item.text, item.language, item.pair, image)
        new = self._subjects.add(subject, label)
        if self._seen is not None:
            # The label matters only to texts with several, of which all may be kept, or one by vote.
            key = identity if self._reading.conflicts == "drop" else (identity, label)
            if key in self._seen:
                return
            self._seen.add(key)
        elif not new and self._reading.duplicates == "drop":
            return
        self._texts.append(item.text)
        self._labels.append(label)
        if item.part is not None and "part" not in self._further:
            self._further["part"] = [None] * (len(self._texts) - 1)
        for field, column in self._further.items():
            column.append(image if field == "image" else getattr(item, field))

    def _note_missing(self, item: _Item, place: Place) -> None:
        lacking = [field for field, position in self._places if item[position] is None]
        if lacking == ["label"] and self._reading.drop_unlabelled:
            self._unlabelled += 1
            return
        for field in lacking:
            self._missing[field].append((place.source, place.number, str(place)))

    def dataset(self, name: str, sources: Sequence[Rows]) -> Dataset:
        """Return the rows that are kept. Raises InputError if some lack a cell, or none is left."""
        self._check_missing(name)
        chosen = self._subjects.chosen(self._reading.conflicts)
        conflicting = self._subjects.conflicting(chosen)
        self._keep(chosen)
        dropped = {
            "duplicates": self.rows - self._empty - self._unlabelled - conflicting - len(self._texts),
            "conflicting": conflicting,
            "empty": self._empty,
        }
        further = Counter({"unlabelled": self._unlabelled, "bad": self._bad.count})
        for source in sources:
            further.update(source.dropped)
        dropped |= {reason: count for reason, count in further.items() if count}
        if not self._texts:
            raise self._nothing_left(name, dropped)
        columns = self._further
        return dataset_of(
            self._texts,
            self._labels,
            name,
            dropped=dropped,
            languages=columns.get("language"),
            pairs=columns.get("pair"),
            images=_images(columns.get("image")),
            parts=[part or "train" for part in columns["part"]] if any(columns.get("part", ())) else None,
            keys=columns.get("key"),
            notes=self._notes(name, sources, dropped),
        )

    def _keep(self, chosen: Mapping[Hashable, tuple[str, ...]]) -> None:
        """Keep the rows whose labels are `chosen`, of subjects with several labels, and all of the others."""
        self._subjects.first.clear()
        if not chosen:
            return
        columns = self._further
        none = [None] * len(self._texts)
        identities = zip(
            self._texts, *(columns.get(field, none) for field in ("language", "pair", "image")), strict=True
        )
        rows = [
            row
            for row, (label, identity) in enumerate(zip(self._labels, identities, strict=True))
            if label in chosen.get(subject_of(*identity), (label,))
        ]
        self._texts, self._labels = ([column[row] for row in rows] for column in (self._texts, self._labels))
        self._further = {field: [column[row] for row in rows] for field, column in columns.items()}

    def _notes(self, name: str, sources: Sequence[Rows], dropped: dict[str, int]) -> tuple[str, ...]:
        notes = [note for source in sources for note in source.notes]
        if self.separator not in (None, SEPARATOR):
            notes.append(f"several labels of a text are separated by {self.separator!r} (--label-separator)")
        gone = ", ".join(f"{count:,} {reason}" for reason, count in dropped.items() if count)
        return (*notes, *([f"{name}: rows left out: {gone}"] if gone else []))

    def _check_missing(self, name: str) -> None:
        for field, places in self._missing.items():
            if places:
                raise InputError(
                    f"{name}: {len(places):,} of {self.rows:,} rows have a text but no {field} "
                    f"({_listed(places)}). Fill in the {field}s or remove these rows"
                    f"{'; --drop-unlabelled leaves them out' * (field == 'label')}.",
                    code="LX-DATA-013",
                )

    def _nothing_left(self, name: str, dropped: dict[str, int]) -> InputError:
        expected = "a text and a label" if self._columns.pair is None else "two texts"
        what = "a text" if self._columns.image is None else "an image"
        if not self.rows:
            found = "there are columns but no rows."
        else:
            found = (
                f"none of its {self.rows:,} rows can be used: {dropped['empty']:,} with a blank text, "
                f"{dropped['conflicting']:,} with {what} that also has another label."
            )
        return InputError(f"{name}: {found} Expected rows with {expected}.", code="LX-DATA-014")


def _listed(places: Sequence[tuple[Rows, int, str]]) -> str:
    """Return the first of the places, by number alone if all are in one file."""
    source = places[0][0]
    if source.places is not None or any(other is not source for other, _, _ in places):
        return listed([name for _, _, name in places])
    return f"{source.unit}{'s' * (len(places) > 1)} {listed([number for _, number, _ in places])}"


def _check_sizes(sizes: dict[int, str]) -> None:
    if len(sizes) > 1:
        (first, there), (other, here) = sizes.items()
        raise InputError(
            f"{here}: the image has {other:,} value{'s' * (other > 1)}, that of {there} has {first:,}; "
            "all must have the same number. Scale or crop the images to one size.",
            code="LX-DATA-015",
        )


def _images(images: list[bytes] | None) -> Images | None:
    if not images:
        return None
    # Over a bytearray, so that the array can be written to: torch warns of one that cannot.
    return np.frombuffer(bytearray().join(images), dtype=np.float32).reshape(len(images), -1)
