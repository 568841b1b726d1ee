"""Add words to a trained run: each new word gets a row. Predictions for texts without these words do not change.

A row comes from pretrained vectors if they have the word, else from known words with a similar spelling, else it is
random. Nothing is trained here; further training on texts with these words does that.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...data.load import USUAL_READING, Columns, Reading, Source
from ...data.pretrained import Coverage, Vectors, open_vectors
from ...data.pretrained.subword_neighbours import blend
from ...errors import InputError
from ...handlers.text.encoder import TextEncoder, TextError, TextSpec
from ...handlers.text.spec import Layout
from ...models import run as runs
from ...models.compose import TextModel, build
from ...models.run import Run
from ...storage import atomic as files
from ...storage.progress import Say, silent
from ..pretrained import check_width, draw_uniform
from ..save import check_replaceable, save, unknown_share
from .new_words import find_words, new_of, read_words


@dataclass(frozen=True)
class _InsertionPoint:
    """The place in vocabulary and table where new words of one language are inserted."""

    language: str | None
    """The language; None if the model has only one."""
    known: list[str]
    """The words that the language has already."""
    row: int
    """First new row of the table."""
    position: int
    """First new position in the vocabulary."""


def expand(
    folder: Path,
    out: Path,
    *,
    words: Path | Sequence[str] | None = None,
    from_oov: Source | None = None,
    columns: Columns | None = None,
    reading: Reading = USUAL_READING,
    language: str | None = None,
    vectors: str | None = None,
    min_count: int | None = None,
    limit: int | None = None,
    seed: int = 0,
    replace: bool = False,
    say: Say = silent,
) -> Run:
    """Write a copy of the run `folder` with new words to `out`, completely or not at all; `folder` does not change.

    The new words are `words`, a file with one per line or the words themselves, or the unknown tokens that occur
    `min_count` times or more (None: 2) in the data `from_oov`, read by `columns` and `reading`, most frequent first;
    in both cases the first `limit`. A model of several languages needs the `language` of the words, and data with the
    language of every text. The held-out texts of the run are evaluated again; exported variants are not copied.
    Raises InputError for words, data, vectors or an output folder that cannot be used.
    """
    if (words is None) == (from_oov is None):
        raise InputError(
            "Give either the new words (--words or --from-drift) or data to find them in (--from-oov), not both.",
            code="LX-TRAIN-010",
        )
    if words is not None and (columns is not None or min_count is not None or reading != USUAL_READING):
        raise InputError(
            "Words that are given are used completely; columns, min_count and how files are read are only for data. "
            "Leave out --min-count, --text-column, --language-column, --pair-column and the options of reading "
            "files, or give --from-oov instead of --words or --from-drift.",
            code="LX-TRAIN-011",
        )
    if any(number is not None and number < 1 for number in (min_count, limit)):
        raise InputError(
            f"min_count={min_count} and limit={limit} must be at least 1, or left out.", code="LX-TRAIN-012"
        )
    _check_target(folder, out, replace=replace)
    run = runs.open_run(folder)
    point = _insertion_point(run, language)
    opened = None if vectors is None else open_vectors(vectors)
    if opened is not None:
        check_width(opened, run.model.embedding.dim)
    with files.new_folder(out, replace=replace) as target:
        if isinstance(words, Path):
            new = read_words(words, run.encoder, point.known, say)[:limit]
        elif words is not None:
            new = new_of(words, run.encoder, point.known, say)[:limit]
        else:
            assert from_oov is not None
            least = 2 if min_count is None else min_count
            new = find_words(
                from_oov,
                columns or Columns(),
                reading,
                run.encoder,
                point.known,
                language=language,
                min_count=least,
                say=say,
            )[:limit]
        encoder = _expanded_encoder(run.encoder, point, new)
        model, origins = _expanded_model(run, encoder.spec, point, new, opened, seed)
        if opened is not None:
            say(str(Coverage(opened.name, origins["from_vectors"], len(new), opened.skipped)))
        say(
            f"{len(new):,} new words: {origins['from_vectors']:,} from vectors, {origins['from_neighbours']:,} from "
            f"words with a similar spelling, {origins['drawn']:,} random"
        )
        of = {} if language is None else {"language": language}
        _write(target, out.name, run, model, encoder, {"words_added": len(new), **of, **origins})
    return runs.open_run(out)


def _check_target(folder: Path, out: Path, *, replace: bool) -> None:
    old, new = folder.resolve(), out.resolve()
    if new.is_relative_to(old) or old.is_relative_to(new):
        raise InputError(
            f"{out} and the run {folder} contain one another; the run itself is not changed. Choose another --out.",
            code="LX-TRAIN-013",
        )
    files.check_folder(out, replace=replace)
    check_replaceable(out, replace=replace)


def _insertion_point(run: Run, language: str | None) -> _InsertionPoint:
    encoder, spec = run.encoder, run.encoder.spec
    if spec.inputs in (Layout.HASHES, Layout.CHARACTERS):
        how = "their hashes" if spec.inputs is Layout.HASHES else "their characters"
        raise InputError(
            f"{run.folder} reads words by {how}: every word has a vector already. "
            "Only models with a vocabulary of words accept new words.",
            code="LX-TRAIN-014",
        )
    if spec.tokenizer is not None:
        raise InputError(
            f"{run.folder} reads texts by a tokenizer.json, whose tokens and their numbers are fixed. Only models "
            "with a vocabulary of words accept new words; give this one's program new tokens and bring it in again.",
            code="LX-TRAIN-300",
        )
    try:
        number = encoder.language_number(language)
    except TextError as error:
        raise InputError(str(error), code="LX-TRAIN-015") from None
    sizes = list(spec.languages.values()) or [spec.words - 1]
    # The rows before it: PAD, and UNK and the words of each language. The vocabulary has only the words.
    row = 1 + sum(sizes[: number + 1])
    position = row - 1 - (number + 1)
    known = encoder.vocabulary[position - (sizes[number] - 1) : position]
    return _InsertionPoint(language, known, row, position)


def _expanded_encoder(encoder: TextEncoder, point: _InsertionPoint, new: Sequence[str]) -> TextEncoder:
    spec, vocabulary = encoder.spec, encoder.vocabulary
    languages = dict(spec.languages)
    if point.language is not None:
        languages[point.language] += len(new)
    expanded = dataclasses.replace(spec, words=spec.words + len(new), languages=languages, version=spec.version + 1)
    return TextEncoder(expanded, [*vocabulary[: point.position], *new, *vocabulary[point.position :]])


def _expanded_model(
    run: Run, spec: TextSpec, point: _InsertionPoint, new: Sequence[str], vectors: Vectors | None, seed: int
) -> tuple[TextModel, dict[str, int]]:
    """Return the run's model with rows for `new` inserted at point.row, and the number of rows by origin."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        values = int(run.info.data.get("image_values", 0))
        model = build(run.recipe, spec, labels=len(run.labels), image_values=values)
    old, expanded = dict(run.model.named_parameters()), dict(model.named_parameters())
    tables = [name for name in expanded if expanded[name].shape != old[name].shape]
    first, last = point.row, point.row + len(new)
    with torch.no_grad():
        for name, parameter in expanded.items():
            if name in tables:
                parameter[:first] = old[name][:first]
                parameter[last:] = old[name][first:]
            else:
                parameter.copy_(old[name])
        origins = _fill(model, tables, old, point, new, vectors, np.random.default_rng(seed))
    return model.eval(), origins


def _fill(
    model: nn.Module,
    tables: Sequence[str],
    old: Mapping[str, Tensor],
    point: _InsertionPoint,
    new: Sequence[str],
    vectors: Vectors | None,
    generator: np.random.Generator,
) -> dict[str, int]:
    """Set the rows of `new`. Return the number of rows by origin.

    Besides its vector a row may have a size; it keeps that of a new model unless its neighbours have another.
    """
    (weight,) = (name for name in tables if name.endswith("weight"))
    ordered = [weight, *(name for name in tables if name != weight)]
    rows = {name: model.get_parameter(name)[point.row : point.row + len(new)] for name in ordered}
    dim = rows[weight].size(1)
    rows[weight].copy_(torch.from_numpy(draw_uniform(generator, len(new), dim)))
    left = np.arange(len(new))
    given = 0
    if vectors is not None:
        found, values = vectors.look_up(new)
        rows[weight][found] = torch.from_numpy(values)
        left, given = np.delete(left, found), len(found)
    own = slice(point.row - len(point.known), point.row)
    known = torch.cat([old[name][own] for name in ordered], dim=1).numpy()
    near, values = blend([new[position] for position in left.tolist()], point.known, known)
    widths = np.cumsum([rows[name].size(1) for name in ordered])
    for name, part in zip(ordered, np.split(values, widths[:-1], axis=1), strict=True):
        rows[name][left[near]] = torch.from_numpy(part)
    return {"from_vectors": given, "from_neighbours": len(near), "drawn": len(left) - len(near)}


def _write(target: Path, name: str, run: Run, model: TextModel, encoder: TextEncoder, entry: dict[str, Any]) -> None:
    parts = {part: run.held_out(part) for part in ("validation", "test")}
    tokens = encoder.look_up(parts["validation"].texts, parts["validation"].languages)
    info = dataclasses.replace(
        run.info,
        data={**run.info.data, "unknown_share": unknown_share(tokens)},
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        versions=runs.versions(),
        created=int(time.time()),
        history=[*run.info.history, {"expanded": {"from": run.digest, **entry}}],
    )
    save(target, name, info, run.recipe, model, encoder, run.labels, parts, parts=run.parts)
