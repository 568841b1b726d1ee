"""Everything that a run or an archive says of itself, put together for one page: `lexport report`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..data.dataset import Dataset
from ..errors import InputError
from ..evaluation.diagnostics.text_checks import check_unknown
from ..evaluation.tasks import TASKS, Task
from ..handlers.model.goldens import read_goldens
from ..handlers.request.explain import MAX_EXPLAINED_TEXTS, explain
from ..handlers.request.protocol import parse
from ..handlers.request.refusals import Refusal
from ..reports import overview, pages
from ..storage.atomic import sha256_file
from .answered import Answered, evaluate_texts
from .archive.format.unpacked import is_unpacked
from .archive.inspect import inspect
from .archive.trust.keys import PublicKey
from .evidence.evidence import read_evidence
from .evidence.load_results import read_results
from .targets import ArchiveTarget, RunTarget, open_target

_EXPLAINED = 4
"""Texts that are explained where none are named."""
_MISTAKES = 10
_BEHIND = 20
"""Texts that are kept of a cell of the confusion matrix."""
_BEHIND_ALL = 1_000
"""Texts that are kept of all cells; of each cell at least one."""
_UNKNOWN_RATES = (0.1, 0.3)
_MEASURED = ("archive", "workers", "users", "requests_per_second", "p50_ms", "p95_ms", "p99_ms", "failures")


def report(
    target: Path,
    *,
    texts: Sequence[str] = (),
    loadtest: Path | None = None,
    trusted: Sequence[PublicKey] | None = None,
) -> dict[str, Any]:
    """Return what is known of the run folder or the `.mar` at `target`, as JSON can hold it.

    A run is evaluated on its test texts; an archive has no texts, and tells what its export measured. `texts` are
    explained, token by token; without any the worst mistakes of a run, or goldens of an archive. `loadtest` is what
    `lexport loadtest` wrote: the folder or its results.json. What there is not stands in `left_out`, each with the
    reason. Raises InputError for a file that is not a load test's, for texts that cannot be explained, and as
    `read_evidence` and `inprocess.load_archive` do.
    """
    if len(texts) > MAX_EXPLAINED_TEXTS:
        raise InputError(
            f"{len(texts):,} texts are to be explained; at most {MAX_EXPLAINED_TEXTS} can be. Leave out some --text.",
            code="LX-EVAL-056",
        )
    loaded = None if loadtest is None else _read_loadtest(loadtest)
    with open_target(target, trusted) as opened:
        found = (
            _of_run(target, opened)
            if isinstance(opened, RunTarget)
            else _of_archive(target, opened, inspected=None if is_unpacked(target) else inspect(target, trusted))
        )
        usual = found.pop("texts")
        language = opened.languages[0] if opened.languages else None
        chosen = [(text, language) for text in texts] or usual
        found["explanations"] = _explanations(opened, chosen)
    found["loadtest"] = loaded
    reasons = found["left_out"]
    if not found["explanations"]:
        reasons["contributions of words"] = (
            "the model answers vectors" if not opened.task.GIVES_SCORES else "there are no texts to explain"
        )
    if loaded is None:
        reasons["load test"] = "none is named: --loadtest takes what `lexport loadtest --out` wrote"
    return found


def write_report(
    target: Path,
    out: Path,
    *,
    texts: Sequence[str] = (),
    loadtest: str | Path | None = None,
    trusted: Sequence[PublicKey] | None = None,
) -> dict[str, Any]:
    """Write the page of `report` to the file `out`, replacing one that is there, and return what it shows.

    Raises InputError as `report` does, and for a name that does not end in .html, before the work.
    """
    pages.check(out)
    found = report(target, texts=texts, loadtest=None if loadtest is None else Path(loadtest), trusted=trusted)
    overview.write(found, out)
    return found


def _of_run(target: Path, opened: RunTarget) -> dict[str, Any]:
    run, task = opened.run, opened.task
    info = run.info
    answered = evaluate_texts(target, mistakes=_MISTAKES, unknown_rates=_UNKNOWN_RATES)
    evaluation = answered.found
    exported = (target / "export" / "evidence.json").is_file()
    evidence = asdict(read_evidence(target)) if exported else None
    left_out = {} if evidence else {"exported variants": f"the run was not exported: lexport export {target}"}
    test = run.held_out("test")
    _, words = check_unknown(run.encoder, test, float(info.data["unknown_share"]), "")
    if not words:
        left_out["unknown words"] = "no word of the test texts is unknown to the model"
    return {
        "kind": "run",
        "name": run.folder.name,
        "version": None,
        "task": task.NAME,
        "labels": list(run.labels),
        "languages": list(run.encoder.languages),
        "card": (target / "README.md").read_text(encoding="utf-8"),
        "data": info.data,
        "training": info.training,
        "leaderboard": info.leaderboard,
        "cross_validation": info.cross_validation or None,
        "evaluation": evaluation,
        "behind": _behind(answered),
        "measured": "the trained model on the test texts, which it was not trained on",
        "evidence": evidence,
        "variant": None,
        "words": words,
        "texts": _with_languages(test, [one["text"] for one in evaluation["mistakes"][:_EXPLAINED]]),
        "provenance": {
            "run": str(target),
            "trained": info.created,
            "seed": info.seed,
            "weights, SHA-256": run.digest,
            "data, SHA-256": info.data["digest"],
            "history": [*info.history],
            "versions": info.versions,
        },
        "left_out": left_out,
    }


def _of_archive(target: Path, opened: ArchiveTarget, inspected: Any) -> dict[str, Any]:
    evidence, model = opened.evidence, opened.predictor.model
    described = evidence["run"]
    packed = next((one for one in evidence["variants"] if one["name"] == evidence["variant"]), None)
    task = opened.task
    why = "an archive does not keep it; report its run"
    left_out = {
        "curve of the training": why,
        "calibration of the scores": "an archive keeps the error alone, in the table of its evidence; report its run",
        "worst mistakes": "an archive keeps no labelled texts; lexport evaluate MAR DATA finds some",
        "unknown words": "an archive keeps their share alone; lexport diagnose MAR DATA lists those of your texts",
    }
    goldens = [one for one in read_goldens(opened.folder / "golden.jsonl") if one.text and one.image is None]
    return {
        "kind": "archive",
        "name": model.name,
        "version": model.version,
        "task": task.NAME,
        "labels": list(task.labels),
        "languages": list(opened.languages),
        "card": (opened.folder / "README.md").read_text(encoding="utf-8"),
        "data": described["data"],
        "training": None,
        "leaderboard": [],
        "cross_validation": described.get("cross_validation"),
        "behind": [],
        "evaluation": None if packed is None else _measured(task, evidence, packed),
        "measured": f"the variant {evidence['variant']} on the test texts; labels and confusion of the trained model",
        "evidence": evidence,
        "variant": evidence["variant"],
        "words": [],
        "texts": [(one.text, one.lang) for one in goldens if one.text.strip()][:_EXPLAINED],
        "provenance": {
            "archive": str(target),
            "archive, SHA-256": sha256_file(target) if target.is_file() else None,
            "signed by": inspected and inspected.fingerprint,
            "bytes": inspected and inspected.size,
            "exported": evidence["created"],
            "seed": described["seed"],
            "weights, SHA-256": described["weights"],
            "data, SHA-256": described["data"]["digest"],
            "machine": evidence["machine"],
            "versions": evidence["versions"],
        },
        "left_out": left_out,
    }


def _measured(task: Task, evidence: Mapping[str, Any], variant: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an export measured on the test texts in the form of an evaluation."""
    test, trained = variant["test"], evidence["trained"]["test"]
    kept = {name: trained[name] for name in ("per_class", "confusion") if name in trained}
    robustness = variant["robustness"]
    return {
        **{name: test[name] for name in TASKS[task.NAME].HEADLINES},
        f"{task.METRIC}_interval": test["interval"],
        **kept,
        "task": task.NAME,
        "metric": task.METRIC,
        "labels": list(task.labels),
        "data": evidence["run"]["data"]["name"],
        "part": "test",
        "count": test["texts"],
        "seen": test["texts"] if evidence["run"].get("final") else 0,
        "robustness": robustness,
        "mistakes": [],
    }


def _behind(answered: Answered) -> list[dict[str, Any]]:
    """Return the cells of the confusion matrix that have texts, each with those of the highest score."""
    cells = dict.fromkeys((one["label"], one["prediction"]) for one in answered.texts)
    most = min(_BEHIND, max(1, _BEHIND_ALL // max(1, len(cells))))
    found = []
    for truth, answer in sorted(cells):
        texts = answered.behind(truth, answer)
        kept = [{"text": one["text"], "score": one["confidence"]} for one in texts[:most]]
        found.append({"truth": truth, "answer": answer, "count": len(texts), "texts": kept})
    return found


def _with_languages(part: Dataset, texts: Sequence[str]) -> list[tuple[str, str | None]]:
    """Return some texts of a part, or its first ones where none are named, with their languages."""
    languages: Sequence[str | None] = part.languages or [None] * len(part)
    spoken = dict(zip(part.texts, languages, strict=True))
    return [(text, spoken[text]) for text in texts or part.texts[:_EXPLAINED]]


def _explanations(opened: RunTarget | ArchiveTarget, texts: Sequence[tuple[str, str | None]]) -> list[dict[str, Any]]:
    """Return what each token of some texts adds to the logits, as `/explanations` answers; none for vectors."""
    if not opened.task.GIVES_SCORES or not texts:
        return []
    body: dict[str, Any] = {"texts": [text for text, _ in texts]}
    if opened.languages:
        body["lang"] = [language for _, language in texts]
    try:
        found = explain(opened.predictor, parse({"body": json.dumps(body).encode()}, "application/json"))
    except Refusal as refusal:
        raise InputError(
            f"The texts cannot be explained: {refusal.body['error']} Expected: {refusal.body['expected']}. "
            "Name others with --text.",
            code="LX-EVAL-058",
        ) from None
    return [{"text": text} | one for (text, _), one in zip(texts, found, strict=True)]


def _read_loadtest(path: Path) -> dict[str, Any]:
    """Return the results of a load test. Raises InputError for another file."""
    try:
        found = read_results(path)
        lacking = [name for row in found["rows"] for name in _MEASURED if name not in row]
        if lacking:
            raise ValueError(f"a row lacks {lacking[0]}")
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} is not what a load test wrote ({type(error).__name__}: {error}). Expected the folder of "
            "`lexport loadtest --out`, or the results.json in it.",
            code="LX-EVAL-057",
        ) from None
    return found
