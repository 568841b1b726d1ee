"""What a training begins with: its data, read and split, and the encoder of their words."""

from __future__ import annotations

import dataclasses
import itertools
import zlib
from array import array
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..data import load as data
from ..data.dataset import joined
from ..data.load import USUAL_READING, Columns, Dataset, Reading, Source
from ..data.part_record import PartRecord
from ..data.pretrained import open_vectors
from ..data.samples import SAMPLES
from ..data.splits import SplitOptions, Splits, assign, split
from ..errors import InputError
from ..evaluation.tasks import TASKS, Task
from ..handlers.text.encoder import TextEncoder
from ..handlers.text.spec import Layout
from ..models import recipes, run
from ..models.corpus import Corpus
from ..models.embeddings.buckets import AUTO, choose_buckets, most_buckets
from ..models.vocabulary import build_encoder
from ..storage.progress import Say

# Number of tokens below which a dimension applies: for a bag that classifies, for an encoder that reads words in
# order, for search vectors. docs/benchmarks.md has the measurements. A bag that classifies 0.16 to 5.8 million tokens
# is no more accurate when wider than 16, and on short texts its loss is worse; with two labels 4 or 8 would do, with
# five 4 fails. Search vectors improve up to 256, the widest measured. For ordered encoders 64 is a cautious guess (in
# few runs on 0.16 million tokens no better and no worse than 16). From 10 million tokens on all is extrapolated.
_STEPS = ((1_000_000, 16, 64, 256), (10_000_000, 16, 96, 256), (100_000_000, 32, 128, 256))
_WIDEST = (64, 256, 256)

# Texts that are packed at a time.
_TOGETHER = 4096


class Prepared(NamedTuple):
    """The data of a training."""

    dataset: Dataset
    parts: Splits
    record: PartRecord | None
    """The parts of the texts, where they are not the usual ones."""
    how: str
    """How the data were split, in words."""


def prepare(
    source: Source | Dataset,
    recipe: recipes.Recipe,
    columns: Columns,
    splitting: SplitOptions = SplitOptions(),  # noqa: B008  (it is immutable)
    held_out: Mapping[str, Source | Dataset] | None = None,
    reading: Reading = USUAL_READING,
) -> Prepared:
    """Load and split the data as the recipe's task needs them.

    `reading` says how files are read. `held_out`: validation or test texts of their own, by "validation" and
    "test". Raises InputError if a column is missing, and for data that cannot be split so.
    """
    task = TASKS[recipe.task]
    label_sets = task.label_sets if task.GIVES_SCORES else None
    given = dict(held_out or {})
    read = {}
    for part, one in {"train": source, **given}.items():
        if not isinstance(one, Dataset):
            named = dataclasses.replace(columns, key=splitting.column) if part == "train" else _texts_alone(columns)
            one = data.load(one, task.columns(one, named), multi_label=task.MULTI_LABEL, reading=reading)
        if not task.TAKES_IMAGES and columns.image is None:
            one = dataclasses.replace(one, images=None)  # of a sample set; the split is not by image
        read[part] = one
    # The parts of a sample set are found again by its name, those of other data are recorded.
    said = read["train"].parts is not None
    own = bool(given) or (said and read["train"].name not in SAMPLES)
    how = str(splitting)
    if said and splitting == SplitOptions():
        how = "as the data say" if columns.part is None else f"column {columns.part}"
    how += f"; {' and '.join(given)} of their own" if given else ""
    read["train"], moved = assign(read["train"], splitting, label_sets, given)
    whole = joined(read) if given else read["train"]
    dataset = dataclasses.replace(task.prepare(whole, columns), notes=whole.notes)
    if recipe.inputs is not Layout.LANGUAGES and columns.language is None:
        dataset = dataclasses.replace(dataset, languages=None)  # of a sample set that has them
    if (recipe.inputs is Layout.LANGUAGES) != (dataset.languages is not None):
        raise InputError(
            f"The embedding {recipe.embedding.NAME!r} needs the language of every text, and {dataset.name} has none. "
            "Name --language-column."
            if dataset.languages is None
            else f"{dataset.name} names languages, which the embedding {recipe.embedding.NAME!r} does not use. "
            "Leave out --language-column, or use --model multilingual.",
            code="LX-TRAIN-024",
        )
    task.check(dataset)
    return Prepared(dataset, split(dataset, task.label_sets), PartRecord.of(whole, None if own else moved), how)


def without_rows(prepared: Prepared) -> Prepared:
    """Return the data without the rows of the whole, once the parts and the labels are known."""
    empty = dataclasses.replace(prepared.dataset, texts=[], labels=[], languages=None, parts=None, keys=None)
    return prepared._replace(dataset=empty)


def without_training_texts(parts: Splits) -> Splits:
    """Return the parts without the characters of the training texts, once they are looked up.

    The texts of `parts` are taken out of its lists. Those held out lie between those of training and would keep the
    memory of both: they are packed until all are gone.
    """
    held_out = [_Packed(part.texts) for part in (parts.validation, parts.test)]
    for part in (parts.train, parts.validation, parts.test):
        part.texts.clear()
    texts = ([""] * len(parts.train.labels), *(packed.texts() for packed in held_out))
    each = zip((parts.train, parts.validation, parts.test), texts, strict=True)
    return Splits(*(dataclasses.replace(part, texts=own) for part, own in each))


class _Packed:
    """Texts, compressed."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._blocks = []
        for first in range(0, len(texts), _TOGETHER):
            encoded = [text.encode() for text in texts[first : first + _TOGETHER]]
            self._blocks.append((zlib.compress(b"".join(encoded), 1), array("q", map(len, encoded))))

    def texts(self) -> list[str]:
        """Return the texts."""
        found: list[str] = []
        for packed, lengths in self._blocks:
            block, ends = memoryview(zlib.decompress(packed)), list(itertools.accumulate(lengths))
            found += [str(block[begin:end], "utf-8") for begin, end in zip([0, *ends[:-1]], ends, strict=True)]
        return found


def _texts_alone(columns: Columns) -> Columns:
    """Return the columns of a file whose texts all belong to one part."""
    return dataclasses.replace(columns, part=None, key=None)


def labels_without(part: Dataset, labels: Sequence[str], task: type[Task]) -> list[str]:
    """Return those of `labels` that no text of `part` has; the metrics of the part say nothing of them."""
    seen = set(itertools.chain.from_iterable(task.label_sets(part)))
    return [label for label in labels if label not in seen]


def split_texts(recipe: recipes.Recipe, part: Dataset) -> Corpus:
    """Split the training texts, and then their second texts, into tokens."""
    texts = part.texts if part.pairs is None else [*part.texts, *part.pairs]
    languages = None if part.languages is None else [*part.languages, *(part.languages if part.pairs else [])]
    return Corpus.of(texts, recipe.text, languages)


def new_encoder(
    recipe: recipes.Recipe, corpus: Corpus, texts: int, labels: int, say: Say
) -> tuple[recipes.Recipe, TextEncoder]:
    """Return the recipe with its dimension and buckets chosen, and the encoder of the corpus.

    `texts`: how many there are before the second texts; `labels`: how many the model has. Raises InputError for
    vectors that are missing or cannot be read, and for a dimension that the head cannot have.
    """
    dim, vectors = recipe.embedding.dim, getattr(recipe.embedding, "vectors", None)
    width = recipe.head.width(labels)
    if width is not None:
        if vectors is not None or dim not in (None, width):
            raise InputError(
                f"The head {recipe.head.NAME!r} has one dimension for each of {width} labels. Leave out "
                f"{'the vectors ' + str(vectors) if vectors is not None else f'dim={dim}'}, or use another recipe.",
                code="LX-TRAIN-028",
            )
        dim = width
        if recipe.text.buckets == AUTO and recipe.text.grams:
            recipe = recipe.changed("text", buckets=choose_buckets(corpus, recipe.text, most_buckets(width)))
    encoder = build_encoder(corpus, recipe.text, inputs=recipe.inputs)
    if recipe.text.min_count == AUTO and encoder.vocabulary:
        say(
            f"words that occur {'once' if encoder.spec.min_count == 1 else 'twice'} get a vector, for "
            f"{int(corpus.lengths.sum()):,} tokens; --min-count sets another number"
        )
    if vectors is None and not recipe.learns:
        raise InputError(
            'The head averages pretrained word vectors without training (objective = "pooled"), but no vectors are '
            'given. Name them with --vectors, or set objective = "contrastive".',
            code="LX-TRAIN-025",
        )
    if vectors is not None and dim is None:
        dim = open_vectors(vectors).dim
        say(f"{dim} dimensions, as the vectors {vectors} have")
    elif dim is None:
        dim, reason = choose_dim(
            recipe.encoder.NAME, int(corpus.lengths[:texts].sum()), search=TASKS[recipe.task].TAKES_PAIRS
        )
        say(reason)
    if getattr(recipe.embedding, "buckets", None) == AUTO:
        recipe = recipe.changed("embedding", buckets=choose_buckets(corpus, recipe.text))
    return recipe.changed("embedding", dim=dim).changed(
        "text", buckets=encoder.spec.buckets, min_count=encoder.spec.min_count
    ), encoder


def require_known_labels(dataset: Dataset, classes: list[str], start: run.Run) -> None:
    """Raise InputError if `classes`, the labels of the data, are not all labels of the run `start`."""
    unknown = sorted(set(classes) - set(start.labels))
    if unknown:
        raise InputError(
            f"{dataset.name} has labels that {start.folder} does not know: {', '.join(unknown[:5])}; its "
            f"labels are: {', '.join(start.labels[:20])}. Train without --from, or remove these rows.",
            code="LX-TRAIN-026",
        )


def choose_dim(encoder: str, tokens: int, *, search: bool = False) -> tuple[int, str]:
    """Return a dimension for `encoder` and `tokens` tokens of training text, and the reason in a sentence.

    `search`: for vectors that find the other text of a pair.
    """
    column = 2 if search else 0 if encoder == "bag" else 1
    purpose = "vectors to search with, by" if search else "for"
    for limit, *widths in _STEPS:
        if tokens < limit:
            dim, step = widths[column], f" (below {limit:,})"
            break
    else:
        dim, step = _WIDEST[column], ""
    return dim, f"{dim} dimensions, {purpose} a {encoder} on {tokens:,} tokens{step}; --dim sets another"
