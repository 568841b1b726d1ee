"""What is said of class weights that a recipe leaves "auto"."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ...data.dataset import Dataset
from ...models.heads import LabelOptions
from ...models.recipes import Recipe


def explain_weights(recipe: Recipe, labels: Sequence[str], train: Dataset) -> str:
    """Return why labels are weighed though the recipe does not say so, a line for the user; "" if they are not."""
    head = recipe.head
    if not isinstance(head, LabelOptions) or head.multi_label:  # several labels are never weighed unasked
        return ""
    if train.targets is None:
        counter = Counter(train.labels)
        counts = [float(counter[label]) for label in labels]
    else:
        counts = train.targets.sum(axis=0, dtype=float).tolist()
    weighting = head.weighting(counts)
    if weighting in (head.class_weights, "none"):
        return ""
    inverse = "the root of the inverse counts" if weighting == "root" else "the inverse counts"
    return (
        f"class weights by {inverse}, for labels of {min(counts):,.0f} to "
        f"{max(counts):,.0f} training texts; --set head.class_weights=none leaves them out"
    )
