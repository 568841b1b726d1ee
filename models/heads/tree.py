"""The tree head: the probability of a label is the product of the choices on its way down a binary tree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from .classifier import LabelHead, LabelOptions
from .losses import classification_loss

DEPTH = 32
"""The most choices on the way to a label."""


@dataclass(frozen=True)
class TreeOptions(LabelOptions):
    """Options of the head `tree`."""

    NAME: ClassVar[str] = "tree"

    def problems(self) -> list[str]:
        """Return what is wrong with the values, in sentences."""
        alone = "head: multi_label=True: the head 'tree' tells one label of several; use the head 'classifier'."
        return [alone] * self.multi_label + super().problems()

    def build(self, width: int, labels: int, image_values: int) -> Tree:
        """Return a new head of text vectors of `width`, with a tree of least depth."""
        return Tree(width, labels, self)


class Tree(LabelHead):
    """A sigmoid for each inner node of a binary tree whose leaves are the labels.

    A training step of fastText takes as many sigmoids as the tree is deep, in place of one for each label. Morin,
    Bengio: Hierarchical Probabilistic Neural Network Language Model, 2005; with Huffman's tree in Joulin, Grave,
    Bojanowski, Mikolov: Bag of Tricks for Efficient Text Classification, 2016, arXiv:1607.01759.
    """

    def __init__(self, width: int, labels: int, options: TreeOptions) -> None:
        """From vectors of `width` to probabilities of `labels` labels. Raises ValueError for fewer than two."""
        super().__init__(labels, options)
        if labels < 2:
            raise ValueError(f"head: the head 'tree' needs two labels or more, not {labels}.")
        self.nodes = labels - 1
        self.linear = nn.Linear(width, self.nodes, bias=False)
        self.steps = nn.Buffer(steps_of([_way(label, self.nodes) for label in range(labels)], self.nodes))

    def forward(self, vectors: Tensor) -> Tensor:
        """float32 [batch, width] → probabilities float32 [batch, labels]."""
        nodes = self.linear(vectors)
        right = nodes.sigmoid()
        left = (nodes * -1.0).sigmoid()
        choices = torch.cat([right, left, torch.ones_like(right[:, :1])], dim=1)
        # Halves are multiplied, because an export has no product over an axis.
        found = choices[:, self.steps]
        found = found[:, :, :16] * found[:, :, 16:]
        found = found[:, :, :8] * found[:, :, 8:]
        found = found[:, :, :4] * found[:, :, 4:]
        found = found[:, :, :2] * found[:, :, 2:]
        probabilities: Tensor = found[:, :, 0] * found[:, :, 1]
        return probabilities

    def answer(self, outputs: Tensor) -> Tensor:
        """Return the probabilities as they are; they sum to one."""
        return outputs

    def loss(self, outputs: Tensor, truth: Tensor, others: Tensor | None, weights: Tensor | None) -> Tensor:
        """Return the cross-entropy of probabilities; truth as the classifier has it."""
        logits = outputs.clamp(min=torch.finfo(outputs.dtype).tiny).log()
        smoothing = self.options.label_smoothing if self.training else 0.0
        return classification_loss(logits, truth, False, smoothing, weights)


def steps_of(ways: list[list[tuple[int, bool]]], nodes: int) -> Tensor:
    """Return the choices on the way to each label as a head keeps them, int64 [labels, DEPTH].

    `ways`: for each label the nodes above it, and whether it stands to the right. A choice is the node, `nodes` more
    for the left, or 2 * `nodes` for none. Raises ValueError for a way of more than DEPTH nodes.
    """
    deepest = max(map(len, ways))
    if deepest > DEPTH:
        raise ValueError(f"head: the tree is {deepest} nodes deep; the head 'tree' takes {DEPTH} at most.")
    steps = torch.full((len(ways), DEPTH), 2 * nodes)
    for label, way in enumerate(ways):
        for place, (node, right) in enumerate(way):
            steps[label, place] = node if right else nodes + node
    return steps


def _way(label: int, nodes: int) -> list[tuple[int, bool]]:
    """Return the nodes above a label in the tree of least depth, numbered row by row from its root."""
    way, place = [], nodes + label
    while place > 0:
        way.append(((place - 1) // 2, place % 2 == 0))
        place = (place - 1) // 2
    return way
