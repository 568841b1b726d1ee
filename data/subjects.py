"""What the rows of data are about, which of them are copies, and which have labels that contradict each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping


def subject_of(text: str, language: str | None, pair: str | None, image: bytes | None) -> Hashable:
    """Return what must have only one label: the image, else all that identifies a row."""
    if image is not None:
        return image
    return text if language is None and pair is None else (text, language, pair)


class Subjects:
    """The subjects of the rows so far."""

    def __init__(self) -> None:
        """Begin without rows."""
        # Not the number of the row: a new number for each would lie between the texts and, once forgotten, leave
        # holes that keep their memory from being given back.
        self.first: dict[Hashable, str] = {}
        """The first label of each subject."""
        self._copies: Counter[Hashable] = Counter()  # rows after the first, while all have one label
        self._several: dict[Hashable, Counter[str]] = {}  # labels of the subjects that have more than one

    def add(self, subject: Hashable, label: str) -> bool:
        """Add a row, and return whether it is the first of its subject."""
        known = self.first.get(subject)
        if known is None:
            self.first[subject] = label
            return True
        if subject in self._several:
            self._several[subject][label] += 1
        elif known != label:
            self._several[subject] = Counter({known: self._copies[subject] + 1, label: 1})
        else:
            self._copies[subject] += 1
        return False

    def chosen(self, conflicts: str) -> dict[Hashable, tuple[str, ...]]:
        """Return which labels are kept of each subject that has several, as `Reading.conflicts` says."""
        return {subject: _chosen(labels, conflicts) for subject, labels in self._several.items()}

    def conflicting(self, chosen: Mapping[Hashable, tuple[str, ...]]) -> int:
        """Return the number of rows whose labels are not among the `chosen`."""
        return sum(
            count
            for subject, labels in self._several.items()
            for label, count in labels.items()
            if label not in chosen[subject]
        )


def _chosen(labels: Counter[str], conflicts: str) -> tuple[str, ...]:
    if conflicts == "keep":
        return tuple(labels)
    if conflicts == "vote":
        (first, most), (_, second) = labels.most_common(2)
        return (first,) if most > second else ()
    return ()
