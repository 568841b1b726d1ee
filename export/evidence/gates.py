"""The gates: limits that a variant must keep, compared with the trained model, to be archived."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...models.recipes import GateOptions


@dataclass(frozen=True)
class Gate:
    """One limit and the value that was measured on the validation texts."""

    name: str
    """Name of the limit in the recipe's section [gates]."""
    limit: float
    """The limit."""
    value: float
    """The measured value."""
    told: str
    """The value in words, for a message."""
    held: bool
    """Whether the variant passes."""
    refuses: bool = True
    """Whether a variant that does not pass is refused; else there is only a warning."""


def evaluate_gates(
    options: GateOptions,
    metric: str,
    trained: float,
    validation: dict[str, Any],
    batch: dict[str, Any],
    size_ratio: float,
    speedup: float | None,
) -> list[Gate]:
    """Return every gate that has a value.

    trained: the trained model's `metric` on the validation texts; validation, batch: what the results of
    `measure.quality` and `measure.batch_sensitivity` there; speedup: None where no fp32 variant of the engine was
    exported.
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
            f"{validation['flips']} of {texts} validation texts are predicted differently ({share:.4f})",
            share <= options.max_flips,
        ),
        Gate(
            "max_batch_flips",
            options.max_batch_flips,
            batch_share,
            f"{batch['flips']} of {batch['texts']} validation texts are predicted differently alone than in a batch "
            f"of 64 ({batch_share:.4f})",
            batch_share <= options.max_batch_flips,
        ),
        Gate(
            "min_cosine_p1",
            options.min_cosine_p1,
            cosine,
            f"for one validation text in 100 the cosine between the encoder's output and the trained model's is "
            f"{cosine:.4f} or less",
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
    """Return why a variant is refused, or None: the gates that it fails, with limit and value."""
    return _describe([gate for gate in gates if gate.refuses and not gate.held])


def warning(gates: Sequence[Gate]) -> str | None:
    """Return a warning about failed gates that do not refuse, or None."""
    return _describe([gate for gate in gates if not gate.refuses and not gate.held])


def _describe(gates: Sequence[Gate]) -> str | None:
    told = [f"{one.name}: {one.told}; {one.name.partition('_')[0]}imum allowed: {one.limit:g}" for one in gates]
    return "; ".join(told) or None
