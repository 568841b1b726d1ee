"""Answers to a text that someone types: of a trained model and each of its variants, or of an archive."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ..api.inprocess import answer_request
from ..errors import InputError, LexportError
from ..evaluation.trained import predictor_of
from ..export.archive.inprocess import load_archive
from ..export.evidence.evidence import read_evidence
from ..handlers.model.loading import open_model
from ..handlers.model.predictor import IdsIn, ModelFile, Predictor
from ..models.run import open_run
from ..storage.atomic import sha256_file
from .library import Item

LONGEST = 20_000
"""Characters of a text."""
_SCORES = 10  # of each answer are shown, the highest


class Opened:
    """The models of an item, open until `close`."""

    def __init__(self, item: Item) -> None:
        """Open a run with its variants, or an archive. Raises LexportError for one that cannot be used."""
        self._stack = ExitStack()
        self.models: dict[str, Predictor] = {}
        """By name; the first explains its answers."""
        self.closed: dict[str, str] = {}
        """Why a variant was not opened, by its name."""
        try:
            if item.kind == "run":
                self._open_run(item.path)
            else:
                archived = self._stack.enter_context(load_archive(item.path))
                self.models[archived.worker.predictor.model.variant] = archived.worker.predictor
        except BaseException:
            self._stack.close()
            raise

    def close(self) -> None:
        """Remove what an archive was extracted to."""
        self._stack.close()

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages of which a text must name one; none for most models."""
        return next(iter(self.models.values())).languages

    def answer(self, text: str, lang: str | None) -> dict[str, Any]:
        """Return the answer of each model, and what each token adds, as JSON. Raises InputError for a bad text."""
        if not text.strip() or len(text) > LONGEST:
            raise InputError(
                f"The text has {len(text):,} characters. Type some, {LONGEST:,} at most.", code="LX-UI-001"
            )
        body = {"text": text} | ({"lang": lang} if lang else {})
        return {
            "answers": [self._answered(name, model, body) for name, model in self.models.items()],
            "tokens": list(self._tokens(body)),
            "closed": [{"name": name, "reason": reason} for name, reason in self.closed.items()],
        }

    def _answered(self, name: str, model: Predictor, body: dict[str, str]) -> dict[str, Any]:
        started = time.perf_counter()
        found = answer_request(model, body, explained=False)
        milliseconds = (time.perf_counter() - started) * 1000
        shown = {"name": name, "milliseconds": milliseconds, "tokens": found["tokens"], "unknown": found["unknown"]}
        if "vector" in found:
            return shown | {"vector": found["vector"][:_SCORES], "values": len(found["vector"])}
        best = sorted(found["scores"].items(), key=lambda one: -one[1])[:_SCORES]
        labels = [one["label"] for one in found["labels"]] if "labels" in found else [found["label"]]
        return shown | {"labels": labels, "scores": best}

    def _tokens(self, body: dict[str, str]) -> Iterator[dict[str, Any]]:
        """Yield each token with what it adds to the logit of the best label, and whether the model knows it."""
        model = next(iter(self.models.values()))
        if not model.decoder.GIVES_SCORES:
            return
        explained = answer_request(model, body, explained=True)
        best = max(explained["logits"], key=explained["logits"].__getitem__)
        words = [one["token"] for one in explained["tokens"]]
        unknown: set[str] = set()
        if isinstance(model, IdsIn):
            unknown = set(model.encoder.without_row(words, body.get("lang")))
        for one in explained["tokens"]:
            word = one["token"]
            yield {"token": word, "adds": one["contributions"][best], "label": best, "unknown": word in unknown}

    def _open_run(self, folder: Path) -> None:
        run = open_run(folder)
        self.models["trained model"] = predictor_of(run)
        if not (folder / "export" / "evidence.json").is_file():
            return
        for variant in read_evidence(folder).variants:
            if Path(variant.name).name != variant.name:
                self.closed[variant.name] = "this is not the name of a variant"
                continue
            own = folder / "export" / variant.name
            try:
                altered = [name for name, digest in variant.digests.items() if sha256_file(own / name) != digest]
                if altered:
                    self.closed[variant.name] = (
                        f"{altered[0]} is not the file that was measured; export the run again"
                    )
                    continue
                unnamed = json.loads((own / "model.json").read_text(encoding="utf-8"))
                model = ModelFile(**{"name": "run", "version": "0"} | unnamed)
                self.models[variant.name] = open_model(model, own, folder, threads=1, device="cpu")
            except LexportError as error:
                self.closed[variant.name] = error.message
            except (OSError, ValueError, TypeError, RuntimeError) as error:
                self.closed[variant.name] = str(error)[:300]
