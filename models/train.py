"""Training: labelled texts in, a run folder out."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from .. import files
from ..errors import InputError
from ..handlers.text import UNK, Ids, TextEncoder, Tokens
from . import card, data, recipes, run
from .compose import BagModel, build
from .metrics import score
from .splits import Splits, split
from .vocabulary import build_encoder

Say = Callable[[str], None]
Progress = Callable[[int, int, str], None]


def _silent(*_: object) -> None:
    return


@dataclass(frozen=True)
class Fit:
    """A fitted model and how it went. losses: validation cross-entropy by epoch."""

    model: BagModel
    losses: list[float]
    best_epoch: int
    seconds: float


def train(
    source: str,
    out: Path,
    *,
    recipe: recipes.Recipe,
    text_column: str = "text",
    label_column: str = "label",
    seed: int = 0,
    replace: bool = False,
    say: Say = _silent,
    progress: Progress = _silent,
) -> run.Run:
    """Train `recipe` on a sample set or file and write the run folder `out`, whole or not at all.

    `progress` is told (steps done, steps at most, what is going on). Raises InputError for data or a target
    that cannot be used.
    """
    if replace and out.is_dir() and any(out.iterdir()) and not (out / "run.json").is_file():
        raise InputError(f"{out} holds other things than a run, so no run takes its place. Choose another folder.")
    with files.new_folder(out, replace=replace) as folder:
        dataset = data.load(source, text_column=text_column, label_column=label_column)
        data.require_classes(dataset)
        parts = split(dataset)
        labels = dataset.classes
        encoder = build_encoder(parts.train.texts, recipe.text)
        say(
            f"{dataset.name}: {len(parts.train.texts):,} texts to train on, {len(parts.validation.texts):,} to "
            f"choose by, {len(parts.test.texts):,} to report on; "
            f"{len(labels)} labels; {encoder.spec.words - 2:,} words"
        )
        fitted = fit(recipe, parts, labels, encoder, seed=seed, progress=progress)
        held_out = {"validation": parts.validation, "test": parts.test}
        metrics = {
            name: score(part.labels, predict(fitted.model, encoder, labels, part.texts), labels)
            for name, part in held_out.items()
        }
        info = run.RunInfo(
            recipe=asdict(recipe),
            seed=seed,
            data={
                "name": dataset.name,
                "digest": dataset.digest,
                "dropped": dataset.dropped,
                "train": len(parts.train.texts),
                "validation": len(parts.validation.texts),
                "test": len(parts.test.texts),
            },
            parameters=sum(parameter.numel() for parameter in fitted.model.parameters()),
            training={
                "epochs": len(fitted.losses),
                "best_epoch": fitted.best_epoch,
                "validation_losses": fitted.losses,
                "seconds": round(fitted.seconds, 1),
            },
            versions=run.versions(),
            created=int(time.time()),
        )
        text = card.write_card(out.name, info, labels, metrics, encoder.spec.words - 2)
        run.write(folder, info, fitted.model, encoder, labels, metrics, held_out, text)
    return run.open_run(out)


def fit(
    recipe: recipes.Recipe,
    parts: Splits,
    labels: Sequence[str],
    encoder: TextEncoder,
    *,
    seed: int,
    progress: Progress = _silent,
) -> Fit:
    """Fit a fresh model on parts.train, keeping the epoch with the lowest loss on parts.validation.

    Same seed, same machine: the same weights. Every random draw comes from two
    generators of its own, so that the caller's state neither matters nor changes.
    """
    options, started = recipe.training, time.monotonic()
    generator = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]), _one_thread():
        torch.manual_seed(seed)
        spec = encoder.spec
        model = build(recipe, rows=spec.rows, words=spec.words, labels=len(labels))
        optimizer = torch.optim.Adam(model.parameters(), lr=options.learning_rate, fused=True)
        tokens, truth = encoder.look_up(parts.train.texts), _targets(parts.train.labels, labels)
        held, held_truth = encoder.look_up(parts.validation.texts), _targets(parts.validation.labels, labels)
        steps = -(-len(truth) // options.batch_size)
        losses: list[float] = []
        best, best_state = 0, copy.deepcopy(model.state_dict())
        for epoch in range(options.epochs):
            model.train()
            order = generator.permutation(len(truth))
            for step in range(steps):
                rows = order[step * options.batch_size : (step + 1) * options.batch_size]
                batch = drop_words(tokens.take(rows), options.word_dropout, generator)
                loss = F.cross_entropy(model(torch.from_numpy(encoder.assemble(batch))), truth[rows])
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                if step % 16 == 0:
                    done = epoch * steps + step
                    progress(done, options.epochs * steps, f"epoch {epoch + 1}, loss {loss.item():.3f}")
            losses.append(_loss(model, encoder, held, held_truth))
            if losses[-1] <= min(losses):
                best, best_state = epoch, copy.deepcopy(model.state_dict())
            elif epoch - best >= options.patience:
                break
        progress(options.epochs * steps, options.epochs * steps, f"best epoch {best + 1} of {len(losses)}")
        model.load_state_dict(best_state)
    model.eval()
    return Fit(model, losses, best + 1, time.monotonic() - started)


@contextmanager
def _one_thread() -> Iterator[None]:
    """A step takes a millisecond: more threads gain nothing, and wait for one another where cores are busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def drop_words(tokens: Tokens, share: float, generator: np.random.Generator) -> Tokens:
    """Replace a share of the tokens by words that nobody has seen: UNK, with a hash drawn at random.

    So UNK's row is trained as what it will be used for, and the n-grams around an unseen word are as
    arbitrary in training as they will be in service.
    """
    dropped = generator.random(len(tokens.indices)) < share
    drawn = generator.integers(0, 2**32, len(tokens.indices))
    indices: Ids = np.where(dropped, UNK, tokens.indices)
    hashes: Ids = np.where(dropped, drawn, tokens.hashes)
    return Tokens(indices, hashes, tokens.lengths, tokens.truncated)


def predict(model: BagModel, encoder: TextEncoder, labels: Sequence[str], texts: Sequence[str]) -> list[str]:
    """The trained model's label of every text."""
    best = scores(model, encoder, texts).argmax(axis=1) if texts else []
    return [labels[index] for index in best]


def scores(model: BagModel, encoder: TextEncoder, texts: Sequence[str]) -> npt.NDArray[np.float32]:
    """The trained model's scores, float32 [texts, labels]."""
    tokens = encoder.look_up(texts)
    with torch.inference_mode():
        logits = [model(_ids(encoder, tokens, rows)) for rows in _slices(len(texts))]
        return torch.cat(logits).softmax(dim=1).numpy()


def _loss(model: BagModel, encoder: TextEncoder, tokens: Tokens, truth: Tensor) -> float:
    model.eval()
    with torch.inference_mode():
        logits = torch.cat([model(_ids(encoder, tokens, rows)) for rows in _slices(len(truth))])
        return F.cross_entropy(logits, truth).item()


def _ids(encoder: TextEncoder, tokens: Tokens, rows: Ids) -> Tensor:
    return torch.from_numpy(encoder.assemble(tokens.take(rows)))


def _slices(count: int, size: int = 256) -> list[Ids]:
    return [np.arange(first, min(first + size, count)) for first in range(0, count, size)]


def _targets(names: Sequence[str], labels: Sequence[str]) -> Tensor:
    index = {label: position for position, label in enumerate(labels)}
    return torch.tensor([index[name] for name in names])
