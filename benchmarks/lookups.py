"""The time of looking texts up: in a dictionary, and in the files that workers share."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lexport.benchmarks.figures import interval, say
from lexport.benchmarks.million import real_words
from lexport.benchmarks.report import Report
from lexport.data import load as data
from lexport.handlers.text.encoder import TextEncoder, TextSpec
from lexport.handlers.text.files import load_encoder
from lexport.handlers.text.vocabulary import INDEX, index_of


def look_ups(sizes: Sequence[int], folder: Path, rounds: int, report: Report) -> None:
    """Report a table over vocabularies of so many words; every round looks up texts that were not seen before."""
    texts = data.load("imdb").texts[::2]
    share = len(texts) // (2 * rounds + 1)
    every, rows = real_words(max(sizes)), []
    for size in sizes:
        words = every[:size]
        files = folder / f"words-{size}"
        files.mkdir(exist_ok=True)
        spec = TextSpec(words=2 + size)
        for name, content in TextEncoder(spec, words).files().items():
            (files / name).write_bytes(content)
        (files / INDEX).unlink(missing_ok=True)
        listed, opening = _opened(files)
        (files / INDEX).write_bytes(index_of(spec, words))
        mapped, mapping = _opened(files)
        row = [f"{size:,}", f"{1000 * opening:,.0f}", f"{1000 * mapping:,.1f}"]
        for batch in (1, 64):
            times: dict[TextEncoder, list[float]] = {listed: [], mapped: []}
            for number in range(rounds):
                chosen = texts[share * number : share * (number + 1)]
                for encoder in (listed, mapped)[:: 1 if number % 2 else -1]:
                    times[encoder].append(_time(encoder, chosen, batch))
            ratios = np.array(times[mapped]) / np.array(times[listed])
            low, high = interval(ratios)
            row += [f"{statistics.median(times[encoder]):,.1f}" for encoder in (listed, mapped)]
            row.append(f"{np.median(ratios):.2f} ({low:.2f} – {high:.2f})")
        rows.append(row)
        say(f"look-ups of {size:,} words: done")
    columns = ["words", "dictionary opens, ms", "files open, ms"]
    for asked in ("1 text", "64 texts"):
        columns += [f"{asked}: dictionary, µs a text", "files", "× (95 %)"]
    report.part(f"Looking up imdb reviews, {rounds} pairs")
    report.table(columns, rows, {"files": "µs a text"})


def _opened(files: Path) -> tuple[TextEncoder, float]:
    began = time.perf_counter()
    encoder = load_encoder(files)
    return encoder, time.perf_counter() - began


def _time(encoder: TextEncoder, texts: Sequence[str], batch: int) -> float:
    """Microseconds a text, splitting included."""
    began = time.perf_counter()
    for first in range(0, len(texts), batch):
        encoder.look_up(texts[first : first + batch])
    return (time.perf_counter() - began) / len(texts) * 1e6
