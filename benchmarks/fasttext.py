"""fastText's own command line, to compare with: trained and asked on the very tokens that our models read.

Joulin, Grave, Bojanowski, Mikolov: Bag of Tricks for Efficient Text Classification, 2016, arXiv:1607.01759.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from lexport.errors import InputError, SystemProblem

_LABEL = "__label__"
_END = "</s>"  # what fastText makes of the end of a line
_SPEED = re.compile(r"words/sec/thread:\s*(\d+)")
# What fastText splits at; our own tokens hold none of it unless a pattern of the user's lets them.
_SPACE = re.compile(r"[ \n\r\t\v\f\0]")


@dataclass(frozen=True)
class Settings:
    """dim: width of a vector. ngrams: the longest n-gram in words. epochs, rate: its -lr, falling to 0. buckets,
    min_count: as in a recipe. threads: 1 is deterministic, more race. loss: "softmax" or "ova". seed: of the order
    of the texts, which fastText reads as they come.
    """

    dim: int = 100
    ngrams: int = 2
    epochs: int = 5
    rate: float = 0.1
    buckets: int = 262_144
    min_count: int = 2
    threads: int = 1
    loss: str = "softmax"
    seed: int = 0


class Model:
    """A trained model in a folder of its own, removed with it. Use as a context manager, or call `close`.

    words_per_second: tokens, labels and ends of lines a second, of all threads, as fastText reports them for training
    proper. seconds: of the whole process, which reads the file, trains and writes the model.
    """

    def __init__(
        self,
        program: str,
        folder: TemporaryDirectory[str],
        labels: list[str],
        words_per_second: float,
        seconds: float,
    ) -> None:
        """`folder` holds model.bin, which `program` wrote; `labels[n]` is what it knows as number n."""
        self._program, self._folder, self._labels = program, folder, labels
        self.words_per_second, self.seconds = words_per_second, seconds

    def __enter__(self) -> Model:
        """The model itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Remove the folder."""
        self.close()

    def close(self) -> None:
        """Remove the folder; the model answers no more."""
        self._folder.cleanup()

    def predict(self, texts: Sequence[Sequence[str]]) -> list[str]:
        """The likeliest label of each text, given as tokens."""
        lines = "".join(_line(tokens) for tokens in texts)
        model = str(Path(self._folder.name) / "model.bin")
        answers = _run([self._program, "predict", model, "-"], lines).stdout.split()
        if len(answers) != len(texts):
            raise SystemProblem(f"fastText answered {len(answers):,} of {len(texts):,} texts.")
        return [self._labels[int(answer.removeprefix(_LABEL))] for answer in answers]


def find(program: str | None = None) -> str:
    """The path of the executable: `program`, or "fasttext" in PATH. Raises SystemProblem if there is none."""
    found = shutil.which(program or "fasttext")
    if found is None:
        where = f"{program} is no executable" if program else "There is no program called fasttext in PATH"
        raise SystemProblem(
            f"{where}. Install it (Debian, Ubuntu: apt-get install fasttext), or compile it: pip download "
            "fasttext==0.9.3 --no-binary :all: --no-deps && tar xf fasttext-0.9.3.tar.gz && c++ -pthread -std=c++17 "
            "-march=native -O3 -funroll-loops -DNDEBUG fasttext-0.9.3/src/*.cc -o fasttext, and name it: --fasttext "
            "./fasttext."
        )
    return found


def train(
    texts: Sequence[Sequence[str]], labels: Sequence[str], settings: Settings, program: str | None = None
) -> Model:
    """Train on texts given as tokens (`TextEncoder.tokens(text)[0]`) and the label of each.

    Raises SystemProblem if fastText is absent or fails, InputError if labels are missing.
    """
    if len(texts) != len(labels) or not texts:
        raise InputError(f"{len(texts):,} texts have {len(labels):,} labels; each needs one, and there must be some.")
    path = find(program)
    names = sorted(set(labels))
    number = {name: place for place, name in enumerate(names)}
    folder = TemporaryDirectory(prefix="lexport-fasttext-")
    try:
        data = Path(folder.name) / "train.txt"
        order = np.random.default_rng(settings.seed).permutation(len(texts)).tolist()
        lines = (f"{_LABEL}{number[labels[row]]} {_line(texts[row])}" for row in order)
        data.write_text("".join(lines), encoding="utf-8", newline="")
        given = {
            "input": data,
            "output": Path(folder.name) / "model",
            "dim": settings.dim,
            "wordNgrams": settings.ngrams,
            "epoch": settings.epochs,
            "lr": settings.rate,
            "bucket": settings.buckets,
            "minCount": settings.min_count,
            "thread": settings.threads,
            "loss": settings.loss,
        }
        began = time.perf_counter()
        done = _run([path, "supervised", *(str(part) for name in given for part in (f"-{name}", given[name]))])
        seconds = time.perf_counter() - began
        found = _SPEED.findall(done.stderr)
        if not found:
            raise SystemProblem(f"fastText has not said how fast it was: {done.stderr.strip()[-300:]!r}")
        return Model(path, folder, names, float(found[-1]) * settings.threads, seconds)
    except BaseException:
        folder.cleanup()
        raise


def _line(tokens: Sequence[str]) -> str:
    return " ".join(map(_word, tokens)) + "\n"


def _word(token: str) -> str:
    """A token as a plain word to fastText, whatever it says."""
    if token.startswith(_LABEL) or token == _END:
        return f"_{token}"
    return token if token.isalnum() else _SPACE.sub("_", token)


def _run(command: list[str], text: str = "") -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, input=text, capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        raise SystemProblem(f"{' '.join(command[:2])} failed with {done.returncode}: {done.stderr.strip()[-500:]}")
    return done
