"""The texts of a training, looked up once for everything that reads them."""

from __future__ import annotations

from dataclasses import dataclass

from ...data.splits import Splits
from ...handlers.text.encoder import Ids, TextEncoder
from ...models.corpus import Corpus, LookedUpTexts


@dataclass(frozen=True)
class TokenizedSplits:
    """The texts of the parts, looked up."""

    train: LookedUpTexts
    validation: LookedUpTexts
    test: LookedUpTexts
    pairs: LookedUpTexts | None = None
    """The second texts of training, if any."""
    validation_pairs: LookedUpTexts | None = None
    """Those of validation."""
    test_pairs: LookedUpTexts | None = None
    """Those of test."""

    @classmethod
    def of(cls, encoder: TextEncoder, parts: Splits, corpus: Corpus | None = None) -> TokenizedSplits:
        """Look up all texts of `parts`. `corpus`: the training texts and then their second texts, already split."""
        texts: list[LookedUpTexts] = []
        pairs: list[LookedUpTexts | None] = []
        if corpus is not None:
            found, count = corpus.looked_up(encoder), len(parts.train)
            texts.append(found.part(0, count))
            pairs.append(found.part(count, len(corpus)) if len(corpus) > count else None)
        for part in (parts.train, parts.validation, parts.test)[len(texts) :]:
            split = [
                Corpus.split_by(encoder, one, part.languages) for one in (part.texts, part.pairs) if one is not None
            ]
            first, *second = (one.looked_up(encoder) for one in split)
            texts.append(first)
            pairs.append(second[0] if second else None)
        return cls(*texts, *pairs)

    def take(self, train: Ids, validation: Ids, test: Ids) -> TokenizedSplits:
        """Return the texts at the given rows of each part, int64 [chosen]."""
        rows = (train, validation, test)
        texts = [own.take(chosen) for own, chosen in zip((self.train, self.validation, self.test), rows, strict=True)]
        seconds = (self.pairs, self.validation_pairs, self.test_pairs)
        pairs = [None if own is None else own.take(chosen) for own, chosen in zip(seconds, rows, strict=True)]
        return TokenizedSplits(*texts, *pairs)

    @property
    def trained(self) -> list[LookedUpTexts]:
        """The texts that training reads."""
        return [self.train] if self.pairs is None else [self.train, self.pairs]
