"""How many words deserve a row."""

from __future__ import annotations

from collections import Counter
from typing import Any

from lexport.benchmarks.figures import table
from lexport.handlers.text.encoder import TextEncoder, TextSpec
from lexport.reports.charts.axes import steps

from .claim import Claim, Figures, Shown, listed, signed
from .fits import Comparison, compared, parts_of, words_alone
from .pictures import accuracies, estimates, thousands

_SETS = {"rotten-tomatoes": (3, (300, 1_000, 3_000, 10_000)), "imdb": (1, (1_000, 3_000, 10_000, 30_000))}
_ALL = "all"
_SAID = (10_000, 50_000)


def measure(quick: bool) -> Figures:
    """A bag of words with the most frequent words, so many of them."""
    found = []
    for name, (seeds, sizes) in list(_SETS.items())[:1] if quick else _SETS.items():
        recipe = words_alone(quick).changed("text", min_count=1)
        kept = sizes[-1:] if quick else sizes
        settings = {f"{size:,}": recipe.changed("text", max_vocabulary=size) for size in kept} | {_ALL: recipe}
        comparison = compared(name, settings, 2 if quick else seeds, _ALL)
        found.append({"comparison": comparison.to_json(), "words": _words(name, kept)})
    return {"sets": found}


def _words(name: str, sizes: tuple[int, ...]) -> list[dict[str, Any]]:
    """Of each size, and of all words: how often the rarest word occurs, and the share of test tokens known."""
    parts = parts_of(name)
    split = TextEncoder(TextSpec(words=2), []).tokens
    train, test = (
        Counter(word for text in part.texts for word in split(text)[0]) for part in (parts.train, parts.test)
    )
    ranked = train.most_common()
    found = []
    for size in (*sizes, len(ranked)):
        kept = ranked[:size]
        known = sum(test[word] for word, _ in kept) / test.total()
        found.append({"words": len(kept), "count": kept[-1][1], "known": known})
    return found


def show(figures: Figures) -> Shown:
    """The verdict by the sizes that are not measurably below all words, inside and outside of the advised range."""
    found = [Comparison.restored(one["comparison"]) for one in figures["sets"]]
    words = [one["words"] for one in figures["sets"]]
    sentences, enough, inside, below = [], [], [], False
    for own, sizes in zip(found, words, strict=True):
        pairs = list(zip(own.settings, sizes, strict=True))
        inside += [one.points.side(0) for one, size in pairs if _SAID[0] <= size["words"] <= _SAID[1]]
        fewest, size = next((one, size) for one, size in pairs if one.points.side(0) >= 0)
        worse = [f"{size['words']:,} ({one.points.points})" for one, size in pairs if one.points.side(0) < 0]
        better = [f"{size['words']:,} ({one.points.points})" for one, size in pairs if one.points.side(0) > 0]
        below |= size["words"] < _SAID[0]
        enough.append(f"{size['words']:,} of {sizes[-1]['words']:,} on {own.data}")
        sentences.append(
            f"On {own.data} the {size['words']:,} most frequent of {sizes[-1]['words']:,} words, {size['known']:.0%} "
            f"of the test's tokens, are {signed(fewest.points.value)} points from all, not measurably worse"
            + (f"; fewer are: {listed(worse)}" if worse else "")
            + (f"; better than all: {listed(better)}" if better else "")
            + "."
        )
    harmless = min(inside, default=0) >= 0
    verdict = (
        f"{' '.join(sentences)} Sizes from {_SAID[0]:,} to {_SAID[1]:,} are "
        + ("never measurably worse than all words" if harmless else "measurably worse than all words in some case")
        + (", and more than is needed in some case. " if below else ", and fewer are not enough on any set. ")
        + "Beyond what is enough, rare words cost memory and buy nothing that shows; the share of tokens that are "
        "known says more than a number of words."
    )
    word = "Not always" if not harmless else "Harmless, more than needed" if below else "Yes"
    short = f"**{word}.** Enough: {listed(enough)}"
    how = (
        "A bag of words 16 wide over the most frequent words of the training texts (`max_vocabulary`); `min_count` "
        "is the same knob by another name, as the last table says. Intervals: 95 %, seeds and texts drawn again; "
        "with one seed, texts alone."
    )
    rows = [
        [own.data, f"{size['words']:,}", f"{size['count']}", f"{size['known']:.1%}"]
        for own, sizes in zip(found, words, strict=True)
        for size in sizes
    ]
    tables = [own.shown("words", rows=True) for own in found]
    tables.append(table(["data", "words", "as `min_count`", "test tokens known"], rows))
    return Shown(short, verdict, how, "\n".join(tables), _picture(found, words), "Test accuracy by vocabulary size")


def _picture(found: list[Comparison], words: list[list[dict[str, Any]]]) -> str:
    sizes = sorted({size["words"] for own in words for size in own})
    shown = [size for size in sizes if size in {1, 300, 1_000, 3_000, 10_000, 30_000, sizes[-1]}]
    x = steps("words with a row of their own", shown, [thousands(size) for size in shown])
    levels, points = [], []
    for series, (own, counts) in enumerate(zip(found, words, strict=True)):
        at = [size["words"] * 1.04**series for size in counts]  # apart, so that intervals can be told
        levels.append(estimates(series, list(zip(at, [one.percent for one in own.settings], strict=True)), own.data))
        points.append(estimates(series, list(zip(at, [one.points for one in own.settings], strict=True)), own.data))
    names = [own.data for own in found]
    return accuracies("How many words deserve a row", names, x, levels, points, "all words")


CLAIM = Claim(
    "vocabulary",
    "How many words",
    "Keep the 10,000 to 50,000 most frequent words, and drop rare ones by a minimal count.",
    measure,
    show,
)
