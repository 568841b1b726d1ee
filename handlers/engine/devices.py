"""The devices on which a variant runs."""

from __future__ import annotations

CPU_ALONE = ("int8", "int4")
"""Precisions whose look-ups have kernels only for the CPU."""


def why_cpu_alone(variant: str, precision: str) -> str | None:
    """Return why a variant of this precision does not run on a GPU, in a sentence, or None if it does."""
    if precision not in CPU_ALONE:
        return None
    return f"{variant} runs only on the CPU: its {precision} table needs kernels that GPUs do not have"


def check_device(variant: str, precision: str, device: str) -> None:
    """Raise RuntimeError with the reason if the variant does not run on `device` ("cpu" or "cuda:0")."""
    reason = None if device == "cpu" else why_cpu_alone(variant, precision)
    if reason is not None:
        raise RuntimeError(f"This worker was given {device}; {reason}. Use an fp32 or fp16 variant or cpu workers.")
