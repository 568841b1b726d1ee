"""The gates: what a variant must keep of the trained model, to be let into an archive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...models.recipes import GateOptions


@dataclass(frozen=True)
class Gate:
    """One limit and what was found on the validation texts; refuses: whether a variant beyond it is refused.

    told: the value in words, for a message.
    """

    name: str
    limit: float
    value: float
    told: str
    held: bool
    refuses: bool = True


def evaluate_gates(
    options: GateOptions,
    metric: str,
    trained: float,
    validation: dict[str, Any],
    batch: dict[str, Any],
    size_ratio: float,
    speedup: float | None,
) -> list[Gate]:
    """Every gate that there is a figure for.

    trained: the trained model's `metric` on the validation texts; validation, batch: what `measure.quality` and
    `measure.batch_sensitivity` found there; speedup: None where no fp32 variant of the engine was exported.
    """
    found, texts = validation[metric], validation["texts"]
    drop = trained - found
    share, batch_share = validation["flips"] / texts, batch["flips"] / batch["texts"]
    cosine = validation["encoder"]["cosine"]["p1"]
    # Written so that a NaN is refused.
    gates = [
        Gate(
            "max_metric_drop",
            options.max_metric_drop,
            drop,
            f"{metric} on the validation texts fell by {drop:.4f} ({trained:.4f} to {found:.4f})",
            drop <= options.max_metric_drop,
        ),
        Gate(
            "max_flips",
            options.max_flips,
            share,
            f"{validation['flips']} of {texts} validation texts are answered otherwise ({share:.4f})",
            share <= options.max_flips,
        ),
        Gate(
            "max_batch_flips",
            options.max_batch_flips,
            batch_share,
            f"{batch['flips']} of {batch['texts']} validation texts are answered otherwise alone than in a batch "
            f"of 64 ({batch_share:.4f})",
            batch_share <= options.max_batch_flips,
        ),
        Gate(
            "min_cosine_p1",
            options.min_cosine_p1,
            cosine,
            f"of one validation text in 100 the encoder's output has a cosine of {cosine:.4f} or less with the "
            "trained model's",
            cosine >= options.min_cosine_p1,
        ),
        Gate(
            "max_size_ratio",
            options.max_size_ratio,
            size_ratio,
            f"its files are {size_ratio:.2f} times as large as the trained weights, or as 1 MB",
            size_ratio <= options.max_size_ratio,
        ),
    ]
    if speedup is not None:
        told = f"it answers 8 texts {speedup:.2f} times as fast as the same engine's fp32 variant"
        held = speedup >= options.min_speedup
        gates.append(Gate("min_speedup", options.min_speedup, speedup, told, held, options.slow_refused))
    return gates


def refusal(gates: Sequence[Gate]) -> str | None:
    """Why a variant is refused, or None: the gates it does not hold, with limit and value."""
    return _told([gate for gate in gates if gate.refuses and not gate.held])


def warning(gates: Sequence[Gate]) -> str | None:
    """What to warn of, or None."""
    return _told([gate for gate in gates if not gate.refuses and not gate.held])


def _told(gates: Sequence[Gate]) -> str | None:
    told = [f"{one.name}: {one.told}; {one.name.partition('_')[0]}imum allowed: {one.limit:g}" for one in gates]
    return "; ".join(told) or None
