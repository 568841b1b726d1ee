"""The texts of a training, looked up once for everything that reads them."""

from __future__ import annotations

from dataclasses import dataclass

from ...data.splits import Splits
from ...handlers.text.encoder import Ids, TextEncoder, Tokens
from ...models.corpus import Corpus


@dataclass(frozen=True)
class TokenizedSplits:
    """The texts of the parts as `TextEncoder.look_up` returns them."""

    train: Tokens
    validation: Tokens
    test: Tokens
    pairs: Tokens | None = None
    """The second texts of training, if any."""
    validation_pairs: Tokens | None = None
    """Those of validation."""
    test_pairs: Tokens | None = None
    """Those of test."""

    @classmethod
    def of(cls, encoder: TextEncoder, parts: Splits, corpus: Corpus | None = None) -> TokenizedSplits:
        """Look up all texts of `parts`. `corpus`: the training texts and then their second texts, already split."""
        texts: list[Tokens] = []
        pairs: list[Tokens | None] = []
        if corpus is not None:
            first, *second = corpus.batches(encoder, len(parts.train))
            texts.append(first)
            pairs.append(second[0] if second else None)
        for part in (parts.train, parts.validation, parts.test)[len(texts) :]:
            texts.append(encoder.look_up(part.texts, part.languages))
            pairs.append(None if part.pairs is None else encoder.look_up(part.pairs, part.languages))
        return cls(*texts, *pairs)

    def take(self, train: Ids, validation: Ids, test: Ids) -> TokenizedSplits:
        """Return the texts at the given rows of each part, int64 [chosen]."""
        rows = (train, validation, test)
        texts = [own.take(chosen) for own, chosen in zip((self.train, self.validation, self.test), rows, strict=True)]
        seconds = (self.pairs, self.validation_pairs, self.test_pairs)
        pairs = [own and own.take(chosen) for own, chosen in zip(seconds, rows, strict=True)]
        return TokenizedSplits(*texts, *pairs)

    @property
    def trained(self) -> list[Tokens]:
        """The texts that training reads."""
        return [self.train] if self.pairs is None else [self.train, self.pairs]
