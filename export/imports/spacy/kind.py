"""Text classifiers of spaCy's as runs: two rows of a table for each n-gram, their sum, and a bias for each label."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import torch

from ....data.dataset import SEPARATOR
from ....errors import InputError
from ....handlers.text.encoder import FIRST_WORD, TextEncoder, TextSpec
from ....handlers.text.spacy import LONGEST_PIECE
from ....models.compose import build
from ....models.embeddings import TableOptions
from ....models.encoders.bag import BagOptions
from ....models.heads import LinearOptions
from ....models.recipes import Recipe, TextOptions, TrainingOptions
from ....storage.compression import listed, shown
from ..kind import MAX_TOKENS, Imported, ImportOptions, Kind
from .answering import Answering
from .folder import TextCat, is_pipeline, read_textcat

# No text spec has a pattern of its own where spaCy's rules find the tokens.
_PATTERN = r"\S+"


class SpacyPipeline(Kind):
    """The folder of a pipeline with a textcat over a bag of n-grams, as nlp.to_disk writes it."""

    NAME = "a pipeline of spaCy with a textcat over a bag of n-grams (a folder)"

    def recognise(self, path: Path) -> bool:
        """Return whether the folder is one that spaCy saved."""
        return is_pipeline(path)

    def read(self, path: Path, options: ImportOptions) -> Imported:
        """Return the textcat. Raises InputError for another classifier or tokenizer, and a damaged folder."""
        textcat = read_textcat(path)
        labels = _labels(path, textcat)
        rows, outputs = textcat.table.shape
        spec = TextSpec(
            words=FIRST_WORD,
            buckets=rows,
            ngrams=textcat.ngrams,
            max_tokens=MAX_TOKENS,
            lowercase=False,
            pattern=_PATTERN,
            min_count=1,
            spacy=textcat.rules,
        )
        recipe = Recipe(
            name="spacy",
            when="A textcat that spaCy trained.",
            text=TextOptions(
                ngrams=spec.ngrams,
                # A recipe knows no hashed words without n-grams; the text spec has them.
                buckets=rows if spec.ngrams > 1 else 0,
                min_count=1,
                max_tokens=spec.max_tokens,
                normalization="none",
            ),
            embedding=TableOptions(dim=outputs),
            encoder=BagOptions("sum"),
            head=LinearOptions(multi_label=textcat.several, threshold=textcat.threshold),
            training=TrainingOptions(),
        )
        model = build(recipe, spec, labels=outputs)
        model.load_state_dict(
            {
                "embedding.weight": torch.from_numpy(
                    np.concatenate([np.zeros((FIRST_WORD, outputs), np.float32), textcat.table])
                ),
                "head.bias": torch.from_numpy(textcat.bias.copy()),
            }
        )
        return Imported(
            recipe=recipe,
            model=model,
            encoder=TextEncoder(spec, []),
            labels=labels,
            before=Answering(textcat),
            notes=[
                f"texts are split by the rules in {shown(path.name)}/tokenizer; a run of more than "
                f"{LONGEST_PIECE:,} characters without white space is one token"
            ],
            facts={
                "component": textcat.component,
                "architecture": textcat.architecture,
                "language": textcat.language,
                "ngrams": textcat.ngrams,
                "rows": rows,
                "exceptions": len(textcat.rules.rules or {}),
            },
        )


def _labels(path: Path, textcat: TextCat) -> list[str]:
    """Return the labels. Raises InputError for names that a run cannot have."""
    bad = [label for label, count in Counter(textcat.labels).items() if count > 1 or not label]
    if textcat.several:
        bad += [label for label in textcat.labels if SEPARATOR in label]
    if bad:
        raise InputError(
            f"{shown(path)} has labels that a run cannot have: {listed(map(repr, bad))}. They must have a character, "
            f"and where texts have several labels be without {SEPARATOR!r}. Train it with other names.",
            code="LX-IMPORT-387",
        )
    return textcat.labels
