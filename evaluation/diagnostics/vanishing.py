"""Vanishing gradients: compare the gradients of the embedding with all other gradients."""

from __future__ import annotations

from statistics import median

from ...models.recipes import Recipe
from .advice import Advice, setting

# Of the norm of the other gradients. The median of a training is 0.1 to 5 in every shipped recipe on the sample sets,
# with no step below 0.06, and 0.00002 to 0.001 where an encoder of too many layers, or one driven far off by vectors
# a thousand times too long, passes nothing on.
_VANISHED = 0.005
# Without other parameters: below this Adam's own epsilon, 1e-8 a number, outweighs the gradients.
_NOTHING = 1e-6
_FEWEST = 3
# Options that make gradients vanish if they are above these values.
_USUAL = (("encoder", "layers", 2), ("embedding", "spread", 0.05))


class GradientMonitor:
    """Collect gradient norms during training, and warn if those of the embedding vanish.

    Why gradients vanish: Bengio, Simard, Frasconi: Learning Long-Term Dependencies with Gradient Descent is
    Difficult, IEEE Transactions on Neural Networks 5, 1994.
    """

    def __init__(self) -> None:
        """Start without observations."""
        self._ratios: list[float] = []

    def observe(self, embedding: float, others: float) -> None:
        """Record the L2 norms of a step's gradients: the embedding's (not while it is frozen) and all others'."""
        if others > 0:
            self._ratios.append(embedding / others)
        else:
            self._ratios.append(0.0 if embedding < _NOTHING else 1.0)

    def warning(self, recipe: Recipe) -> Advice | None:
        """Return a warning if most steps had no gradient for the words, with options of `recipe` to lower.

        None if there were few such steps, or if none of these options is high.
        """
        vanished = sum(ratio < _VANISHED for ratio in self._ratios)
        if len(self._ratios) < _FEWEST or 2 * vanished <= len(self._ratios):
            return None
        lower = [
            setting(f"{section}.{option}", f"{usual:g}")
            for section, option, usual in _USUAL
            if getattr(getattr(recipe, section), option, 0) > usual
        ]
        if not lower:
            return None
        return Advice(
            "LX-WARN-007",
            f"embedding gradients vanish: in {vanished:,} of {len(self._ratios):,} observed steps their norm was "
            f"below {_VANISHED:g} of the others' (median {median(self._ratios):.1g}), so that words hardly learn. "
            "The encoder has too many layers, or too large vectors saturate it.",
            tuple(lower),
            details={"vanished": vanished, "observed": len(self._ratios), "median_ratio": median(self._ratios)},
        )
