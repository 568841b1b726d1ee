"""Choose the variant to archive if none is named: a rule over the evidence, and the reason in words."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import InputError, RefusedError
from ..evidence.evidence import Evidence, VariantEvidence

PREFERENCES = ("speed", "size", "accuracy")

# Times of small batches differ by this share from one measurement to the next.
_NOISE = 0.25
_BATCH = 8


def choose_variant(evidence: Evidence, prefer: str | None = None) -> tuple[VariantEvidence, str]:
    """Return the variant to pack, of those that passed the gates, and the reason.

    Without a preference: of the variants that take ids (a worker has Python, where these need no locale and less
    memory) and whose answers do not depend on their batch, the smallest of those as fast as the fastest, for 8 texts,
    within noise. `prefer` is "speed": the fastest of all, text-in too; "size": the smallest; "accuracy": the one that
    is closest to the trained model. The reason says so where the chosen one is slower than the fp32 variant of its
    engine, and where its answers depend on their batch. Raises RefusedError if none passed, InputError for another
    preference.
    """
    if prefer not in (None, *PREFERENCES):
        raise InputError(
            f"--prefer {prefer!r} is not known; choose one of: {', '.join(PREFERENCES)}.", code="LX-ARCHIVE-003"
        )
    chosen, why = _by_rule(_passing(evidence), prefer)
    return chosen, "; ".join([why, *_drawbacks(chosen)])


def _passing(evidence: Evidence) -> list[VariantEvidence]:
    passing = [one for one in evidence.variants if one.refused is None]
    if not passing:
        raise RefusedError(
            "No exported variant passes the gates: "
            + "; ".join(f"{one.name}: {one.refused}" for one in evidence.variants),
            code="LX-ARCHIVE-004",
        )
    return passing


def _by_rule(passing: Sequence[VariantEvidence], prefer: str | None) -> tuple[VariantEvidence, str]:
    of_ids = [one for one in passing if one.takes == "ids"]
    if prefer == "speed":
        chosen = min(passing, key=lambda one: one.time(_BATCH))
        return chosen, f"{chosen.name} is the fastest that passed: {_times([chosen])} for {_BATCH} texts"
    among = of_ids or passing
    kind = "of the variants that take ids and passed" if of_ids else "of those that passed"
    if prefer == "size":
        chosen = min(among, key=lambda one: one.size)
        return chosen, f"{chosen.name} is the smallest {kind}: {chosen.size:,} bytes"
    if prefer == "accuracy":
        chosen = min(among, key=_distance_from_trained)
        flips, texts = chosen.validation["flips"], chosen.validation["texts"]
        return chosen, (
            f"{chosen.name} is closest to the trained model {kind}: {flips:,} of {texts:,} validation texts "
            "are predicted differently"
        )
    alone = [one for one in among if one.dense == "fp32"]
    if alone and len(alone) < len(among):
        among, kind = alone, f"{kind}, of answers that do not depend on their batch"
    least = min(one.time(_BATCH) for one in among)
    alike = [one for one in among if one.time(_BATCH) <= least * (1 + _NOISE)]
    chosen = min(alike, key=lambda one: one.size)
    if len(alike) == 1:
        return chosen, f"{chosen.name} is the fastest {kind}: {_times(alike)} for {_BATCH} texts"
    return chosen, (
        f"{chosen.name} is the smallest, {chosen.size:,} bytes, of those equally fast within {_NOISE:.0%} {kind}: "
        f"{_times(alike)} for {_BATCH} texts"
    )


def _drawbacks(variant: VariantEvidence) -> list[str]:
    """Return what speaks against a variant, in clauses: its speed, and how much answers depend on their batch."""
    clauses = [
        gate["told"] for gate in variant.gates if gate["name"] == "min_speedup" and round(gate["value"], 2) < 1
    ]
    if variant.dense == "int8":
        change = variant.batch_sensitivity["validation"]["largest_change"]
        clauses.append(f"its answers depend on their batch, by up to {change:.1e} on the validation texts")
    return clauses


def _distance_from_trained(variant: VariantEvidence) -> tuple[int, float, int]:
    return variant.validation["flips"], variant.validation["largest_difference"], variant.size


def _times(variants: Sequence[VariantEvidence]) -> str:
    ranked = sorted(variants, key=lambda one: one.time(_BATCH))
    return ", ".join(f"{one.name} {one.time(_BATCH):.2f} ms" for one in ranked)
