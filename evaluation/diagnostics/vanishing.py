"""Whether the words of a model learn: the gradients of its embedding beside those of all else."""

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
# What may stand between words and their gradients when it is higher than this.
_USUAL = (("encoder", "layers", 2), ("embedding", "spread", 0.05))


class GradientWatch:
    """Told the norms of gradients now and then in a training; afterwards it knows whether the embedding learned.

    Why they vanish: Bengio, Simard, Frasconi: Learning Long-Term Dependencies with Gradient Descent is Difficult,
    IEEE Transactions on Neural Networks 5, 1994.
    """

    def __init__(self) -> None:
        """Nothing observed yet."""
        self._ratios: list[float] = []

    def observe(self, embedding: float, others: float) -> None:
        """The L2 norms of a step's gradients: the embedding's together (none while it is frozen), all others'."""
        if others > 0:
            self._ratios.append(embedding / others)
        else:
            self._ratios.append(0.0 if embedding < _NOTHING else 1.0)

    def warning(self, recipe: Recipe) -> Advice | None:
        """What to say of most steps without a gradient for the words, and which options of `recipe` to lower.

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
            f"embedding gradients vanish: in {vanished:,} of {len(self._ratios):,} steps looked at their norm was "
            f"below {_VANISHED:g} of the others' (median {median(self._ratios):.1g}), so that words hardly learn. "
            "What lies between has too many layers, or is driven to its limits by too large vectors.",
            tuple(lower),
        )
