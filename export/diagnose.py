"""Find what usually goes wrong with embeddings and labels, in a run or an archive and in data."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.dataset import Dataset, joined
from ..data.load import USUAL_READING, Columns, Reading, Source
from ..data.splits import PARTS
from ..data.writing.targets import check_target
from ..errors import InputError
from ..evaluation.diagnostics import text_checks
from ..evaluation.diagnostics.findings import (
    SKIPPED,
    Diagnosis,
    Finding,
    LabelError,
    SharedText,
    check_names,
    worst_first,
)
from ..evaluation.diagnostics.label_errors import Probabilities
from ..evaluation.drift import Texts, texts_of
from ..evaluation.metrics import label_indices
from ..evaluation.tasks import UNLABELLED
from ..handlers.model.distributions import Distributions
from ..handlers.text.encoder import Ids
from ..models.corpus import Corpus
from ..storage.progress import Progress, silent
from .archive.trust.keys import PublicKey
from .evaluate import read_data
from .evidence.measure import counting, predict_batched
from .labels import JUDGES, find_label_errors, judged_out_of_fold, write_relabelled
from .targets import ArchiveTarget, RunTarget, open_target

if TYPE_CHECKING:
    from ..models.recipes import Recipe

_COMPARED = 20_000  # texts of a side whose answers are compared for drift
# A model is surer of the texts it was trained on and knows their words: that says nothing of drift.
_OF_OWN_TEXTS = ("lengths", "labels")
_NEEDS_DATA = "it needs the data that the run was trained on; name them as DATA"


def diagnose(
    target: Path,
    source: Source | None = None,
    *,
    columns: Columns = UNLABELLED,
    reading: Reading = USUAL_READING,
    skip: Collection[str] = (),
    judges: Sequence[str | Recipe] = (),
    relabel: str | Path | None = None,
    replace_file: bool = False,
    seed: int = 0,
    trusted: Sequence[PublicKey] | None = None,
    progress: Progress = silent,
) -> Diagnosis:
    """Return what is found about the run folder or `.mar` at `target`, and about `source` or a run's held-out texts.

    The data that a run was trained on are recognized: then labels are judged by models of the recipes `judges`
    (none: those of JUDGES), each of which has not seen the text, rows that training never met are counted, and the
    parts are compared. Labels of other data are judged by the model itself. `skip` names checks to leave out; without
    labels the data need none. The file `relabel` gets all texts of `source` with the suggested labels. With `trusted`
    keys (None: those that LEXPORT_KEYS names) one of them must have signed an archive. Raises InputError for data
    that do not fit and for options that do not go together, and as `inprocess.load_archive` does.
    """
    check_names(list(skip))
    if relabel is not None and (source is None or "labels" in skip):
        raise InputError(
            f"--relabel {relabel} writes texts of DATA with suggested labels, and "
            f"{'no DATA is named' if source is None else 'labels are not checked'}. Name DATA, or leave it out.",
            code="LX-EVAL-053",
        )
    written = None if relabel is None else check_target(Path(relabel), option="--relabel", replace=replace_file)
    with open_target(target, trusted) as opened:
        material = _Material(opened, target, source, columns, reading, labelled="labels" not in skip)
        checks = {
            "table": material.table,
            "unknown": material.unknown,
            "vocabulary": material.vocabulary,
            "leakage": material.leakage,
            "drift": material.drift,
        }
        findings: list[Finding] = []
        for name, check in checks.items():
            if name not in skip:
                findings += check()
        errors: list[LabelError] = []
        if "labels" not in skip:
            finding, errors = material.labels(judges, seed, progress)
            findings.append(finding)
        if "training" not in skip:
            findings += material.training(findings)
        if written is not None:
            write_relabelled(written, material.texts, errors)
        return Diagnosis(
            str(target),
            material.about,
            len(material.texts),
            worst_first([one for one in findings if one.check not in skip]),
            errors,
            material.words,
            material.shared,
            material.texts.notes,
        )


class _Material:
    """A model and the texts to look at, with what the checks of them find."""

    def __init__(
        self,
        opened: RunTarget | ArchiveTarget,
        target: Path,
        source: Source | None,
        columns: Columns,
        reading: Reading,
        *,
        labelled: bool,
    ) -> None:
        self._opened, self._task = opened, opened.task
        self._run = opened.run if isinstance(opened, RunTarget) else None
        self.words: Sequence[tuple[str, int]] = ()
        self.shared: Sequence[SharedText] = ()
        self._own, self._kept = False, source is None
        if source is not None:
            self.texts, seen = read_data(opened, source, columns, reading, "all", labelled=labelled)
            opened.check(self.texts)
            # Of a run's own data at least half of its training texts are there.
            # A model that was brought in has none that are known.
            self._own = self._run is not None and 0 < int(self._run.info.data["train"]) <= 2 * seen
            self.about = self.texts.name + (", the data of the training" if self._own else "")
            if not self._own:
                self.texts = replace(self.texts, parts=None)  # the usual ones say nothing of other data
        elif self._run is not None:
            if columns != UNLABELLED:
                raise InputError(
                    "Columns are given without DATA. Name DATA, or leave out the columns.", code="LX-EVAL-054"
                )
            self.texts = self._held_out
            self.about = f"{self._run.info.data['name']}, the held-out texts that the run kept"
        else:
            raise InputError(
                f"{target} is an archive and keeps no texts. Name DATA, or diagnose its run.", code="LX-EVAL-055"
            )
        if labelled and self._task.GIVES_SCORES:
            label_indices(self._task.labels, self._task.label_sets(self.texts))

    @property
    def _held_out(self) -> Dataset:
        assert self._run is not None
        parts = {part: self._run.held_out(part) for part in PARTS[1:]}
        whole = joined({"train": parts["validation"], "test": parts["test"]})
        places = [part for part, one in parts.items() for _ in range(len(one))]
        return replace(whole, name=str(self._run.info.data["name"]), parts=places)

    def table(self) -> Iterator[Finding]:
        """Yield what is found about the table of vectors."""
        if self._run is None:
            reason = "an archive has its table in the form of an engine; name its run"
            yield from (
                Finding(check, SKIPPED, reason)
                for check in ("padding", "norms", "untrained", "duplicates", "dimension")
            )
            return
        from ..evaluation.diagnostics.table import check_table  # which needs torch

        yield from check_table(self._run, self._task, self._run.held_out("validation"), self._trained_counts)

    def unknown(self) -> Iterator[Finding]:
        """Yield what is found about unknown words."""
        model = "RUN" if self._run is None else str(self._run.folder)
        add = f"lexport expand {model} --from-oov DATA --out RUN2 gives them vectors"
        usual = float(self._described["unknown_share"])
        finding, self.words = text_checks.check_unknown(self._opened.open_model().encoder, self.texts, usual, add)
        yield finding

    def vocabulary(self) -> Iterator[Finding]:
        """Yield what is found about the size of the vocabulary."""
        encoder = self._opened.open_model().encoder
        if self._own:
            tokens = int(self._trained.lengths.sum())
        else:
            lengths = Corpus.split_by(encoder, self.texts.texts).lengths
            tokens = int(lengths.mean() * int(self._described["train"]))
        yield text_checks.check_vocabulary(encoder, tokens, self._trained_counts)

    def leakage(self) -> Iterator[Finding]:
        """Yield what is found about texts in more than one part."""
        if not self._task.DUPLICATES_LEAK:
            yield Finding("leakage", SKIPPED, "rows are told apart by their images")
            return
        if self._run is None or not (self._own or self._kept):
            yield Finding("leakage", SKIPPED, _NEEDS_DATA)
            return
        places = np.array(self.texts.parts)
        rows = {part: np.flatnonzero(places == part).tolist() for part in PARTS}
        parts = {part: self.texts.take(own, part) for part, own in rows.items() if own}
        finding, self.shared = text_checks.check_leakage(self._run.encoder, parts)
        yield finding

    def drift(self) -> Iterator[Finding]:
        """Yield what is found about texts that are not like those of the training."""
        if self._run is not None and self._own:
            held = [row for row, part in enumerate(self.texts.parts or []) if part in PARTS[1:]]
            reference = self._counted(self._spread(self._trained_rows()))
            yield from text_checks.check_drift(
                reference,
                self._counted(self._spread(held)),
                "the held-out texts",
                "the training texts",
                _OF_OWN_TEXTS,
            )
        elif self._kept:
            yield Finding("drift", SKIPPED, "there are no other texts; name some as DATA")
        else:
            reference_or_none = self._reference()
            if reference_or_none is None:
                yield Finding(
                    "drift", SKIPPED, "the archive does not say what its held-out texts were like; export again"
                )
                return
            now = self._counted(self._spread(range(len(self.texts))))
            yield from text_checks.check_drift(
                reference_or_none, now, f"the texts of {self.texts.name}", "the held-out texts"
            )

    def training(self, findings: Sequence[Finding]) -> Iterator[Finding]:
        """Yield the warnings of the training but for what `findings` of its texts have already."""
        warnings = self._run.info.warnings if self._run is not None else self._evidence["run"].get("warnings", [])
        checked = {one.check for one in findings if self._own and one.severity != SKIPPED}
        yield from text_checks.check_training(warnings, checked)

    def labels(
        self, judges: Sequence[str | Recipe], seed: int, progress: Progress
    ) -> tuple[Finding, list[LabelError]]:
        """Return what is found about the labels."""
        if not self._task.GIVES_SCORES:
            return Finding("labels", SKIPPED, "the model learns no labels"), []
        if self._own:
            probabilities: Probabilities
            probabilities, names = judged_out_of_fold(self.texts, self._task, judges or JUDGES, seed, progress)
            how = f"by models ({names}) that had not seen the text"
        elif self._kept and "test" in self._opened.trained_parts:
            reason = "the model was fitted on all texts in the end; name the training data, whose labels others judge"
            return Finding("labels", SKIPPED, reason), []
        else:
            probabilities = self._opened.open_model().predict(self.texts)
            how = "by the model, which had not seen them"
        return find_label_errors(self.texts, self._task, probabilities, how)

    @property
    def _described(self) -> Mapping[str, Any]:
        data: Mapping[str, Any] = self._run.info.data if self._run is not None else self._evidence["run"]["data"]
        return data

    @property
    def _evidence(self) -> Mapping[str, Any]:
        assert isinstance(self._opened, ArchiveTarget)
        return self._opened.evidence

    def _trained_rows(self) -> list[int]:
        return [row for row, part in enumerate(self.texts.parts or []) if part in self._opened.trained_parts]

    @cached_property
    def _trained(self) -> Corpus:
        part = self.texts.take(self._trained_rows(), self.texts.name)
        texts = part.texts if part.pairs is None else [*part.texts, *part.pairs]
        languages = None if part.languages is None else [*part.languages, *(part.languages if part.pairs else [])]
        return Corpus.split_by(self._opened.open_model().encoder, texts, languages)

    @cached_property
    def _trained_counts(self) -> Ids | None:
        """Return how often the training texts have each word of the vocabulary; None unless they are there."""
        if not self._own or self._run is None or not len(self._run.encoder.vocabulary):
            return None
        from ..evaluation.diagnostics.word_rows import count_words  # which needs torch

        return count_words(self._run.encoder, self._trained)

    def _counted(self, part: Dataset) -> Texts:
        predictor = self._opened.predictor
        seen: Distributions = counting(predictor)
        predict_batched(predictor, replace(part, images=None), seen)
        found = texts_of({"reference": seen.to_json()})
        return found or Texts(dict.fromkeys(("texts", "tokens", "unknown_tokens"), 0), [], [], {})

    def _reference(self) -> Texts | None:
        if self._run is not None:
            return self._counted(self._held_out)
        [variant] = [one for one in self._evidence["variants"] if one["name"] == self._evidence["variant"]]
        return texts_of(variant)

    def _spread(self, rows: Sequence[int]) -> Dataset:
        """Return the texts at `rows`; of many, some that are spread evenly."""
        step = 1 + (len(rows) - 1) // _COMPARED
        return self.texts.take(rows[::step], self.texts.name)
